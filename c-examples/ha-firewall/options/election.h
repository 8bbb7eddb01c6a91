/* The options of the election. */
#ifndef HA_OPTIONS_ELECTION_H
#define HA_OPTIONS_ELECTION_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"

/* Above all numbers of options elsewhere. */
#define ELECTION_OPTIONS 512
#define MAX_PASSPHRASE 19 /* of CARP */

struct arguments;

struct election_arguments {
	bool enabled;
	uint32_t dialect; /* PFPLANE_ELECTION_* */
	uint8_t id;
	uint8_t priority;
	bool preempt;
	uint32_t interval_ms;
	uint32_t mac; /* PFPLANE_ELECTION_MAC_* */
	bool hellos;            /* over the sync link */
	struct address witness; /* family 0 for none */
	uint8_t witness_side;
	const char *passphrase_file;
	char passphrase[MAX_PASSPHRASE + 1]; /* wiped once the election has it */
	const char *option; /* the first of these options that was given, other than --election; NULL for none */
};

/* The options for getopt_long, and their help. */
extern const struct option election_options[];
extern const size_t election_option_count;
extern const char election_help[];

void election_options_init(struct election_arguments *out);
/* Sets an option whose number is ELECTION_OPTIONS or above. */
void election_set_option(int option, const char *name, const char *text, struct arguments *out);
/* Checks all of them together, and reads the pass-phrase. */
void election_check_options(struct arguments *out);

#endif
