/* The commands of the seal. */
#include "monitor/seal.h"

#include <inttypes.h>
#include <string.h>

#include "options/seal.h"

static const char no_seal[] = "{\"ok\":false,\"error\":\"the sync link has no seal (--seal-key)\"}\n";

static struct pfplane_seal_status
status_of(const struct firewall *firewall)
{
	struct pfplane_seal_status status = {.size = sizeof(status)};

	require_ok(pfplane_engine_seal_status(firewall->engine, 0, &status), "pfplane_engine_seal_status");
	return status;
}

static void
write_ids(FILE *out, const char *name, const uint8_t ids[PFPLANE_MAX_SEAL_KEYS])
{
	fprintf(out, ",\"%s\":[", name);
	for (unsigned int i = 0; i < PFPLANE_MAX_SEAL_KEYS && ids[i] != 0; i++)
		fprintf(out, "%s%u", i > 0 ? "," : "", ids[i]);
	fputs("]", out);
}

void
answer_seal(FILE *out, struct firewall *firewall)
{
	static const char *const modes[] = {"off", "sign", "require", "encrypt"};
	struct pfplane_seal_status status;

	if (firewall->arguments.seal.key_file == NULL) {
		fputs(no_seal, out);
		return;
	}
	status = status_of(firewall);
	fprintf(out, "{\"ok\":true,\"mode\":\"%s\",\"proven\":%s,\"accepted\":%s,\"encrypts\":%s,\"key_sent\":%u,\"key_received\":%u",
	        modes[RTE_MIN(status.mode, 3u)], status.proven ? "true" : "false", status.accepted ? "true" : "false",
	        status.encrypts ? "true" : "false",
	        status.key_sent, status.key_received);
	write_ids(out, "keys", status.keys);
	write_ids(out, "peer_keys", status.peer_keys);
	if (status.last_accepted_ns > 0)
		fprintf(out, ",\"last_accepted_ms\":%" PRIu64, (now_ns() - status.last_accepted_ns) / 1000000);
	fputs("}\n", out);
}

static bool
has_key(const struct seal_keys *keys, uint8_t id)
{
	for (uint8_t i = 0; i < keys->count; i++)
		if (keys->keys[i].id == id)
			return true;
	return false;
}

/* Adds the keys that are new, the preferred one last, and removes those that are not in the file. */
static bool
apply(struct firewall *firewall, const struct seal_keys *keys)
{
	struct pfplane_seal_status status = status_of(firewall);
	bool ok = true;

	for (uint8_t i = keys->count; ok && i > 0; i--)
		if (memchr(status.keys, (int)keys->keys[i - 1].id, sizeof(status.keys)) == NULL)
			ok = pfplane_engine_seal_key_add(firewall->engine, 0, &keys->keys[i - 1]) == PFPLANE_OK;
	for (unsigned int i = 0; ok && i < PFPLANE_MAX_SEAL_KEYS; i++)
		if (status.keys[i] != 0 && !has_key(keys, status.keys[i]))
			ok = pfplane_engine_seal_key_remove(firewall->engine, 0, status.keys[i]) == PFPLANE_OK;
	return ok;
}

void
answer_reload_seal_keys(FILE *out, struct firewall *firewall)
{
	char error[SEAL_ERROR_BYTES];
	struct seal_keys keys;

	if (firewall->arguments.seal.key_file == NULL) {
		fputs(no_seal, out);
		return;
	}
	if (!seal_keys_read(firewall->arguments.seal.key_file, &keys, error)) {
		fprintf(out, "{\"ok\":false,\"error\":\"%s\"}\n", error);
		return;
	}
	if (apply(firewall, &keys))
		answer_seal(out, firewall);
	else
		fprintf(out, "{\"ok\":false,\"error\":\"%s\"}\n", pfplane_last_error());
	seal_keys_wipe(&keys);
}
