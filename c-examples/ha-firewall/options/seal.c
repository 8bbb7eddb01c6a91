/* The options of the seal, and the file of its keys. */
#include "options/seal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "arguments.h"
#include "options/values.h"

enum {
	OPTION_SEAL_KEY = SEAL_OPTIONS,
	OPTION_SEAL,
};

const struct option seal_options[] = {
	{"seal-key", required_argument, NULL, OPTION_SEAL_KEY},
	{"seal", required_argument, NULL, OPTION_SEAL},
};

const size_t seal_option_count = sizeof(seal_options) / sizeof(seal_options[0]);

const char seal_help[] =
	"\n"
	"Two firewalls with a key in common seal the frames on their sync link: forged, changed and replayed\n"
	"ones are refused. --sync-peer, or one --sync-allow, names the other firewall:\n"
	"  --seal-key FILE          the keys, one a line: its number from 1 to 255, and 64 hex digits; at most 4,\n"
	"                           the first is preferred. Readable by its owner only. To make one:\n"
	"                             (umask 077; echo \"1 $(openssl rand -hex 32)\" > FILE)\n"
	"  --seal require|sign|encrypt\n"
	"                           require (default): accept sealed frames only. sign: accept frames without a\n"
	"                           seal until the first sealed one, while the other firewall has no key yet.\n"
	"                           encrypt: encrypt the frames in both directions; the other firewall has a key\n"
	"The command reload-seal-keys reads FILE again: add the new key first on both firewalls, then remove\n"
	"the old one. The command seal shows which key is in use.\n";

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Parses "ID HEX". Returns a message, NULL if it is fine. */
static const char *
parse_key(const char *line, struct seal_keys *out)
{
	struct pfplane_seal_key *key = &out->keys[out->count];
	uint8_t *secret = out->secrets[out->count];
	char *rest;
	unsigned long id = strtoul(line, &rest, 10);
	const char *hex = rest + strspn(rest, " \t");
	size_t digits = strcspn(hex, " \t\r\n");

	if (*line < '0' || *line > '9' || rest == hex || id < 1 || id > 255)
		return "not a number from 1 to 255 and a key";
	if (out->count == PFPLANE_MAX_SEAL_KEYS)
		return "more than 4 keys";
	if (digits != (size_t)2 * SEAL_KEY_BYTES || hex[digits + strspn(hex + digits, " \t\r\n")] != '\0')
		return "the key must have 64 hex digits, that is 32 bytes";
	for (size_t i = 0; i < SEAL_KEY_BYTES; i++) {
		int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return "the key must have 64 hex digits, that is 32 bytes";
		secret[i] = (uint8_t)(high << 4 | low);
	}
	for (uint8_t i = 0; i < out->count; i++)
		if (out->keys[i].id == id)
			return "another key has this number";
	*key = (struct pfplane_seal_key){.key = secret, .key_bytes = SEAL_KEY_BYTES, .id = (uint32_t)id};
	out->count++;
	return NULL;
}

static bool
parse_file(FILE *file, const char *path, struct seal_keys *out, char error[SEAL_ERROR_BYTES])
{
	char line[256];
	unsigned int number = 0;
	const char *why = NULL;

	while (why == NULL && fgets(line, sizeof(line), file) != NULL) {
		number++;
		if (line[strspn(line, " \t\r\n")] == '\0' || line[0] == '#')
			continue;
		why = strchr(line, '\n') == NULL && !feof(file) ? "the line is too long" : parse_key(line, out);
	}
	explicit_bzero(line, sizeof(line));
	if (why != NULL)
		(void)snprintf(error, SEAL_ERROR_BYTES, "%s:%u: %s", path, number, why);
	else if (out->count == 0)
		(void)snprintf(error, SEAL_ERROR_BYTES, "%s: no key is in it", path);
	return why == NULL && out->count > 0;
}

bool
seal_keys_read(const char *path, struct seal_keys *out, char error[SEAL_ERROR_BYTES])
{
	FILE *file = fopen(path, "r");
	struct stat status;
	bool ok = false;

	memset(out, 0, sizeof(*out));
	if (file == NULL || fstat(fileno(file), &status) != 0) {
		(void)snprintf(error, SEAL_ERROR_BYTES, "%s: %s", path, strerror(errno));
	} else if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
		(void)snprintf(error, SEAL_ERROR_BYTES, "%s: others than its owner may use this file: chmod 600", path);
	} else {
		/* No copy of the keys remains in a buffer of the C library. */
		setbuf(file, NULL);
		ok = parse_file(file, path, out, error);
	}
	if (file != NULL)
		(void)fclose(file);
	if (!ok)
		seal_keys_wipe(out);
	return ok;
}

void
seal_keys_wipe(struct seal_keys *keys)
{
	explicit_bzero(keys, sizeof(*keys));
}

void
seal_set_option(int option, const char *name, const char *text, struct arguments *out)
{
	struct seal_arguments *seal = &out->seal;

	if (option == OPTION_SEAL_KEY) {
		seal->key_file = text;
		return;
	}
	seal->has_mode = true;
	if (strcmp(text, "require") == 0)
		seal->mode = PFPLANE_SEAL_REQUIRE;
	else if (strcmp(text, "sign") == 0)
		seal->mode = PFPLANE_SEAL_SIGN;
	else if (strcmp(text, "encrypt") == 0)
		seal->mode = PFPLANE_SEAL_ENCRYPT;
	else
		fail("--%s %s: not require, sign or encrypt", name, text);
}

void
seal_check_options(struct arguments *out)
{
	struct seal_arguments *seal = &out->seal;
	char error[SEAL_ERROR_BYTES];

	if (seal->key_file == NULL) {
		if (seal->has_mode)
			fail("--seal needs --seal-key");
		return;
	}
	if (out->no_sync)
		fail("--seal-key %s needs replication, which --no-sync disables", seal->key_file);
	if (!seal->has_mode)
		seal->mode = PFPLANE_SEAL_REQUIRE;
	if (!seal_keys_read(seal->key_file, &seal->keys, error))
		fail("--seal-key %s", error);
}
