/* The options of the seal, and the file of its keys. */
#ifndef HA_OPTIONS_SEAL_H
#define HA_OPTIONS_SEAL_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pfplane.h>

/* Above all numbers of options elsewhere. */
#define SEAL_OPTIONS 768
#define SEAL_KEY_BYTES 32
#define SEAL_ERROR_BYTES 256

struct arguments;

/* The keys of a file, the preferred one first. */
struct seal_keys {
	uint8_t secrets[PFPLANE_MAX_SEAL_KEYS][SEAL_KEY_BYTES];
	struct pfplane_seal_key keys[PFPLANE_MAX_SEAL_KEYS]; /* they point to the secrets */
	uint8_t count;
};

struct seal_arguments {
	const char *key_file; /* NULL for no seal */
	uint32_t mode;        /* PFPLANE_SEAL_* */
	bool has_mode;
	struct seal_keys keys; /* wiped once the engine has them */
};

extern const struct option seal_options[];
extern const size_t seal_option_count;
extern const char seal_help[];

/* Sets an option whose number is SEAL_OPTIONS or above. */
void seal_set_option(int option, const char *name, const char *text, struct arguments *out);
/* Checks all of them together, and reads the keys. */
void seal_check_options(struct arguments *out);

/* Reads the keys of a file. Returns false with a message. */
bool seal_keys_read(const char *path, struct seal_keys *out, char error[SEAL_ERROR_BYTES]);
void seal_keys_wipe(struct seal_keys *keys);

#endif
