/* What a death of this process would cost, in memory that can outlive it.
 *
 * With --exposure FILE the numbers are in a file that is mapped: what a lane wrote is there after SIGKILL, too. A lane
 * writes its numbers before a frame leaves it, so no connection is open at both ends that is neither told nor counted.
 *
 * The file: 64 bytes that begin with "pfplane exposure 1\n", from byte 32 on the number of lanes; then 64 bytes a lane.
 * Numbers have 64 bits in the machine's order. */
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
	_Atomic uint64_t creations; /* connections that no frame tells of yet */
	_Atomic uint64_t changes;   /* states with another change that no frame tells of yet */
	_Atomic uint64_t oldest_ns; /* how long the oldest of both has waited, about */
	_Atomic uint64_t waiting;   /* connections told of in frames that lane 0 has not sent yet */
	uint64_t reserved[4];
};

struct exposure {
	struct exposure_lane *lanes;
	void *memory;
	uint64_t bytes;
};

struct firewall;
struct worker;

/* Makes the memory, mapped from --exposure where that is given. False with a sentence on stderr. */
bool exposure_start(struct firewall *firewall);
void exposure_stop(struct firewall *firewall);

/* Writes down what would be lost of this lane now. Called before frames leave, and after frames to the peer have left. */
void exposure_note(struct worker *worker, uint64_t now);

/* Connections that this lane would lose now. */
uint64_t exposure_creations(struct worker *worker, uint64_t now);

/* Of all lanes together, for any thread; of the age the greatest. */
struct exposure_sum {
	uint64_t creations;
	uint64_t changes;
	uint64_t oldest_ns;
};
struct exposure_sum exposure_sum(const struct firewall *firewall);

#endif
