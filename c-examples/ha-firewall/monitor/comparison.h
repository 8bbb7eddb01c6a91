/* Whether this node holds what its peer sent. */
#ifndef HA_COMPARISON_H
#define HA_COMPARISON_H

#include <stdio.h>

struct firewall;

/* Writes it, and as of when, as fields of the status. Writes nothing unless both are pfplane nodes. */
void comparison_write_status(FILE *out, const struct firewall *firewall);

#endif
