/* The exposure: the connections that would be lost if this process died now.
 *
 * With --exposure FILE it is published in a mapped file, which survives SIGKILL. A lane updates its numbers before it
 * sends frames, so every connection that is open at both ends is either replicated or counted.
 *
 * Format: a header of 64 bytes that starts with "pfplane exposure 1\n" and has the number of lanes at byte 32; then 64 bytes
 * per lane. Numbers have 64 bits in native byte order. */
#ifndef HA_EXPOSURE_H
#define HA_EXPOSURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define EXPOSURE_TITLE "pfplane exposure 1\n"

struct exposure_header {
	char title[32];
	uint64_t lanes;
	uint64_t reserved[3];
};

struct exposure_lane {
	_Atomic uint64_t creations; /* new connections not in a frame yet */
	_Atomic uint64_t changes;   /* states with another change not in a frame yet */
	_Atomic uint64_t oldest_ns; /* approximate age of the oldest of both */
	_Atomic uint64_t queued;    /* new connections in frames that lane 0 has not sent yet */
	uint64_t reserved[4];
};

struct exposure {
	struct exposure_lane *lanes;
	void *memory;
	uint64_t bytes;
};

struct firewall;
struct worker;

/* Allocates the memory, mapped from --exposure if given. On failure prints a message and returns false. */
bool exposure_start(struct firewall *firewall);
void exposure_stop(struct firewall *firewall);

/* Publishes the exposure of this lane. Called before frames are sent, and after frames to the peer were sent. */
void exposure_update(struct worker *worker, uint64_t now);

/* Returns the new connections of this lane that are not in a frame yet. */
uint64_t exposure_creations(struct worker *worker, uint64_t now);

/* The sum over all lanes, the maximum for the age; for any thread. */
struct exposure_sum {
	uint64_t creations;
	uint64_t changes;
	uint64_t oldest_ns;
};
struct exposure_sum exposure_sum(const struct firewall *firewall);

#endif
