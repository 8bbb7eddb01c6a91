/* The control socket: one command per connection, one line of JSON as the answer. Its thread also watches the sync link. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "firewall.h"
#include "monitor/comparison.h"
#include "monitor/seal.h"

#define LINK_INTERVAL_MS 100
#define CLIENT_TIMEOUT_S 1

static struct {
	pthread_t thread;
	int listener;
	struct firewall *firewall;
	const char *argument; /* of the command, "" for none */
	bool link; /* the link state of the sync port */
	uint64_t missed; /* frames that it has missed */
} control = {.listener = -1};

static uint64_t
statistic(const struct firewall *firewall, const char *name)
{
	uint64_t value = 0;

	if (pfplane_engine_stat_find(firewall->engine, PFPLANE_ALL_LANES, name, &value) != PFPLANE_OK)
		fprintf(stderr, "ha-firewall: %s\n", pfplane_last_error());
	return value;
}

/* Writes the reasons that speak against a takeover as a list of names. */
static void
write_reasons(FILE *out, uint32_t reasons)
{
	static const char *const names[] = {"bulk-running",  "bulk-failed", "states-missing",    "messages-lost",
	                                    "frames-missed", "paused",      "duplicate-host-id", "link-down",
	                                    "peer-silent",   "frames-lost", "not-equal"};
	const char *comma = "";

	fputs("[", out);
	for (size_t i = 0; i < RTE_DIM(names); i++) {
		if ((reasons & (1u << i)) != 0) {
			fprintf(out, "%s\"%s\"", comma, names[i]);
			comma = ",";
		}
	}
	fputs("]", out);
}

static void
write_readiness(FILE *out, const struct firewall *firewall)
{
	static const char *const classes[] = {"loading", "gave-up", "synced"};
	struct pfplane_readiness readiness = {.size = sizeof(readiness)};

	require_ok(pfplane_engine_readiness(firewall->engine, now_ns(), &readiness), "pfplane_engine_readiness");
	fprintf(out, "\"ready\":%s,\"class\":\"%s\",\"reasons\":", readiness.ready ? "true" : "false",
	        classes[RTE_MIN(readiness.ready_class, 2u)]);
	write_reasons(out, readiness.reasons);
	fprintf(out, ",\"missing\":%" PRIu64, readiness.missing);
	if (readiness.peer_age_ms != PFPLANE_NEVER)
		fprintf(out, ",\"peer_age_ms\":%" PRIu64, readiness.peer_age_ms);
}

static const char *
role_name(const struct firewall *firewall, bool elects)
{
	if (elects)
		return election_role_name(firewall->election.report.status.role);
	if (firewall->arguments.election.enabled)
		return "unknown";
	return atomic_load(&firewall->master) ? "master" : "backup";
}

static void
answer_status(FILE *out, struct firewall *firewall)
{
	static const char *const phases[] = {"idle", "waiting", "receiving", "done", "given up"};
	struct pfplane_bulk bulk = {.size = sizeof(bulk)};
	struct exposure_sum exposure = exposure_sum(firewall);
	bool elects;

	require_ok(pfplane_engine_bulk(firewall->engine, &bulk), "pfplane_engine_bulk");
	elects = firewall->arguments.election.enabled && election_request(firewall, ELECTION_REQUEST_REPORT);
	fprintf(out, "{\"role\":\"%s\",", role_name(firewall, elects));
	write_readiness(out, firewall);
	comparison_write_status(out, firewall);
	fprintf(out,
	        ",\"states\":%" PRIu64 ",\"lanes\":%u,"
	        "\"unsent_inserts\":%" PRIu64 ",\"unsent_updates\":%" PRIu64 ",\"oldest_unsent_ms\":%" PRIu64
	        ",\"mtu\":%u,\"host_id\":\"%08x\","
	        "\"bulk\":\"%s\",\"bulk_states\":%" PRIu64 ",\"sync_link\":%s,\"mbufs_in_use\":%u",
	        statistic(firewall, "states"), firewall->lanes, exposure.creations, exposure.changes, exposure.oldest_ns / 1000000,
	        pfplane_engine_mtu(firewall->engine), pfplane_engine_host_id(firewall->engine),
	        phases[RTE_MIN(bulk.phase, 4u)], bulk.states, control.link ? "true" : "false", rte_mempool_in_use_count(firewall->pool));
	if (elects)
		election_write_status(out, firewall);
	fputs("}\n", out);
}

static void
answer_stats(FILE *out, struct firewall *firewall)
{
	struct pfplane_stat stat = {.size = sizeof(stat)};

	fputs("{\"engine\":{", out);
	for (uint32_t i = 0; pfplane_engine_stat(firewall->engine, PFPLANE_ALL_LANES, i, &stat) == PFPLANE_OK; i++)
		fprintf(out, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", stat.name, stat.value);
	fputs("},\"firewall\":{", out);
	const char *comma = "";
#define X(name, help)                                                                                      \
	{                                                                                                  \
		uint64_t sum = 0;                                                                          \
		for (uint32_t i = 0; i < firewall->lanes; i++)                                             \
			sum += atomic_load_explicit(&firewall->workers[i].counters.name, memory_order_relaxed); \
		fprintf(out, "%s\"%s\":%" PRIu64, comma, #name, sum);                                      \
		comma = ",";                                                                               \
	}
	COUNTERS(X)
#undef X
	fputs("}", out);
	if (firewall->arguments.election.enabled && election_request(firewall, ELECTION_REQUEST_REPORT))
		election_write_stats(out, firewall);
	fputs("}\n", out);
}

static void
answer_peer(FILE *out, struct firewall *firewall)
{
	struct pfplane_stat stat = {.size = sizeof(stat)};

	if (firewall->arguments.no_sync) {
		fputs("{\"ok\":false,\"error\":\"no peer: replication is off (--no-sync)\"}\n", out);
		return;
	}
	fputs("{\"ok\":true,\"peer\":{", out);
	for (uint32_t i = 0; pfplane_engine_peer_stat(firewall->engine, 0, PFPLANE_ALL_LANES, i, &stat) == PFPLANE_OK; i++)
		fprintf(out, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", stat.name, stat.value);
	fputs("}}\n", out);
}

static void
answer_request(FILE *out, const struct firewall *firewall, bool done)
{
	if (done)
		fputs("{\"ok\":true}\n", out);
	else
		fprintf(out, "{\"ok\":false,\"error\":\"%s\"}\n", firewall->election.error);
}

/* Hands over to another node, which takes over as soon as it receives the farewell. */
static void
answer_step_down(FILE *out, struct firewall *firewall)
{
	if (firewall->arguments.election.enabled)
		answer_request(out, firewall, election_request(firewall, ELECTION_REQUEST_STEP_DOWN));
	else
		fputs("{\"ok\":false,\"error\":\"there is no election (--election): send demote\"}\n", out);
}

/* Takes over, ready or not, and reports whether the node was ready. */
static void
answer_takeover(FILE *out, struct firewall *firewall)
{
	bool ready = pfplane_engine_ready(firewall->engine);

	if (firewall->arguments.election.enabled) {
		fputs("{\"ok\":false,\"error\":\"the firewalls elect the master: send step-down to the present one\"}\n", out);
		return;
	}
	atomic_store(&firewall->master, true);
	atomic_store(&firewall->announcements, 3);
	fprintf(out, "{\"ok\":true,\"was_ready\":%s}\n", ready ? "true" : "false");
}

static bool
is_reason(const char *text, size_t length)
{
	size_t valid = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

	return length > 0 && length < sizeof(((struct election *)NULL)->reason) && valid == length;
}

/* With an election: demotes this node by a weight, for a reason. "forbid" forbids it to be master. */
static void
demote_in_election(FILE *out, struct firewall *firewall, const char *argument)
{
	char reason[sizeof(firewall->election.reason)];
	size_t length = strcspn(argument, " ");
	const char *text = argument + length + strspn(argument + length, " ");
	char *end;
	unsigned long weight = strtoul(text, &end, 10);
	bool forbid = strcmp(text, "forbid") == 0;

	if (!is_reason(argument, length) || (!forbid && (*text < '0' || *text > '9' || *end != '\0' || weight > 255))) {
		fputs("{\"ok\":false,\"error\":\"demote REASON WEIGHT: a name of 1 to 31 letters, digits or -_. and 0 to 255 or forbid\"}\n", out);
		return;
	}
	memcpy(reason, argument, length);
	reason[length] = '\0';
	answer_request(out, firewall, election_demote(firewall, reason, forbid ? PFPLANE_ELECTION_FORBID : (uint32_t)weight));
}

/* Without an election: stops forwarding; the states remain for a later takeover. */
static void
answer_demote(FILE *out, struct firewall *firewall)
{
	if (firewall->arguments.election.enabled) {
		demote_in_election(out, firewall, control.argument);
		return;
	}
	atomic_store(&firewall->announcements, 0);
	atomic_store(&firewall->master, false);
	fputs("{\"ok\":true}\n", out);
}

static void
answer_bulk(FILE *out, struct firewall *firewall, int32_t (*start)(pfplane_engine *))
{
	if (firewall->arguments.no_sync)
		fputs("{\"ok\":false,\"error\":\"no peer: replication is off (--no-sync)\"}\n", out);
	else if (start(firewall->engine) != PFPLANE_OK)
		fprintf(out, "{\"ok\":false,\"error\":\"%s\"}\n", pfplane_last_error());
	else
		fputs("{\"ok\":true}\n", out);
}

static void
answer_request_bulk(FILE *out, struct firewall *firewall)
{
	answer_bulk(out, firewall, pfplane_engine_bulk_request);
}

static void
answer_push_bulk(FILE *out, struct firewall *firewall)
{
	answer_bulk(out, firewall, pfplane_engine_bulk_push);
}

static void
answer_quit(FILE *out, struct firewall *firewall)
{
	fputs("{\"ok\":true}\n", out);
	if (!firewall->arguments.election.enabled || atomic_exchange(&firewall->leaving, true))
		atomic_store(&firewall->stop, true);
}

static const struct {
	const char *name;
	void (*answer)(FILE *out, struct firewall *firewall);
	bool has_argument;
} commands[] = {
	{"status", answer_status, false},
	{"stats", answer_stats, false},
	{"peer", answer_peer, false},
	{"request-bulk", answer_request_bulk, false},
	{"push-bulk", answer_push_bulk, false},
	{"seal", answer_seal, false},
	{"reload-seal-keys", answer_reload_seal_keys, false},
	{"takeover", answer_takeover, false},
	{"demote", answer_demote, true},
	{"step-down", answer_step_down, false},
	{"quit", answer_quit, false},
};

static void
answer(FILE *out, struct firewall *firewall, const char *command)
{
	size_t length = strcspn(command, " ");

	for (size_t i = 0; i < RTE_DIM(commands); i++) {
		if (length == strlen(commands[i].name) && strncmp(command, commands[i].name, length) == 0) {
			control.argument = command + length + strspn(command + length, " ");
			if (*control.argument != '\0' && !commands[i].has_argument)
				break;
			commands[i].answer(out, firewall);
			return;
		}
	}
	fputs("{\"ok\":false,\"error\":\"the commands are", out);
	for (size_t i = 0; i < RTE_DIM(commands); i++)
		fprintf(out, "%s %s", i > 0 ? "," : "", commands[i].name);
	fputs("\"}\n", out);
}

/* Reads one line. Returns false when it does not arrive in time or is too long. */
static bool
read_command(int client, char *command, size_t size)
{
	size_t length = 0;

	while (length < size - 1) {
		ssize_t more = recv(client, command + length, size - 1 - length, 0);

		if (more < 0 || (more == 0 && length == 0))
			return false;
		length += (size_t)more;
		command[length] = '\0';
		if (more == 0 || strchr(command, '\n') != NULL) {
			command[strcspn(command, "\r\n")] = '\0';
			return true;
		}
	}
	return false;
}

static void
serve(int client)
{
	struct timeval timeout = {.tv_sec = CLIENT_TIMEOUT_S};
	char command[128];
	FILE *out = NULL;

	if (setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0 &&
	    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0 &&
	    read_command(client, command, sizeof(command)))
		out = fdopen(client, "w");
	if (out == NULL) {
		(void)close(client);
		return;
	}
	answer(out, control.firewall, command);
	/* Fails when the client has closed the connection, which is the client's loss. */
	(void)fclose(out);
}

/* Reports to the engine how many frames the sync port has missed since the last call. */
static void
report_missed_frames(struct firewall *firewall)
{
	uint64_t missed = ports_sync_missed(firewall);

	if (missed > control.missed)
		require_ok(pfplane_engine_frames_missed(firewall->engine, missed - control.missed),
		           "pfplane_engine_frames_missed");
	control.missed = missed;
}

static void *
run(void *unused)
{
	struct firewall *firewall = control.firewall;
	struct pollfd waiting = {.fd = control.listener, .events = POLLIN};

	(void)unused;
	while (!atomic_load(&firewall->stop)) {
		if (poll(&waiting, 1, LINK_INTERVAL_MS) > 0) {
			int client = accept4(control.listener, NULL, NULL, SOCK_CLOEXEC);

			if (client >= 0)
				serve(client);
		}
		if (firewall->arguments.no_sync)
			continue;
		report_missed_frames(firewall);
		control.link = ports_link(firewall->arguments.sync_port);
		require_ok(pfplane_engine_sync_link(firewall->engine, control.link), "pfplane_engine_sync_link");
	}
	return NULL;
}

/* Removes the socket of an earlier run. Refuses a socket in use and any other file. */
static bool
remove_stale_socket(const char *path, const struct sockaddr_un *address)
{
	struct stat found;
	int probe, status;

	if (lstat(path, &found) != 0)
		return true;
	if (!S_ISSOCK(found.st_mode)) {
		fprintf(stderr, "ha-firewall: --control %s: a file exists that is not a socket\n", path);
		return false;
	}
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (probe < 0) {
		fprintf(stderr, "ha-firewall: --control %s: %s\n", path, strerror(errno));
		return false;
	}
	status = connect(probe, (const struct sockaddr *)address, sizeof(*address));
	(void)close(probe);
	if (status == 0) {
		fprintf(stderr, "ha-firewall: --control %s: another process uses it\n", path);
		return false;
	}
	if (unlink(path) != 0) {
		fprintf(stderr, "ha-firewall: --control %s: %s\n", path, strerror(errno));
		return false;
	}
	return true;
}

bool
control_start(struct firewall *firewall)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = firewall->arguments.control;
	int status;

	control.firewall = firewall;
	if (strlen(path) >= sizeof(address.sun_path)) {
		fprintf(stderr, "ha-firewall: --control %s: longer than %zu characters\n", path,
		        sizeof(address.sun_path) - 1);
		return false;
	}
	strcpy(address.sun_path, path);
	if (!remove_stale_socket(path, &address))
		return false;
	control.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (control.listener < 0 || bind(control.listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    chmod(path, S_IRUSR | S_IWUSR) != 0 || listen(control.listener, 8) != 0) {
		fprintf(stderr, "ha-firewall: --control %s: %s\n", path, strerror(errno));
		return false;
	}
	status = pthread_create(&control.thread, NULL, run, NULL);
	if (status != 0) {
		fprintf(stderr, "ha-firewall: cannot start the control thread: %s\n", strerror(status));
		return false;
	}
	return true;
}

void
control_stop(struct firewall *firewall)
{
	int status = pthread_join(control.thread, NULL);

	if (status != 0)
		fprintf(stderr, "ha-firewall: cannot join the control thread: %s\n", strerror(status));
	if (close(control.listener) != 0 || unlink(firewall->arguments.control) != 0)
		fprintf(stderr, "ha-firewall: --control %s: %s\n", firewall->arguments.control, strerror(errno));
}
