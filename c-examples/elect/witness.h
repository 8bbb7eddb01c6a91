/* A third party that this host pings, so that it knows when it is the one that is cut off. */
#ifndef ELECT_WITNESS_H
#define ELECT_WITNESS_H

#include <pfplane.h>

/* Opens a raw socket to the witness, which is pinged every `every_ns`. Returns NULL, or the call that failed (errno says why). */
const char *witness_open(const struct pfplane_address *address, uint64_t every_ns);

/* Sends a ping if one is due and reads the replies. Returns whether the witness answered one of the last three pings; at first it
 * has not. */
bool witness_answers(uint64_t now_ns);

#endif
