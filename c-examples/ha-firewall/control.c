/* The control socket: one word in, one line of JSON out. A thread of its own serves it, and watches the sync link. */
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

#define LINK_EVERY_MS 100
#define CLIENT_PATIENCE_S 1

static struct {
	pthread_t thread;
	int listener;
	struct firewall *firewall;
	bool link; /* of the sync port */
} control = {.listener = -1};

static uint64_t
statistic(const struct firewall *firewall, const char *name)
{
	uint64_t value = 0;

	if (pfplane_engine_stat_find(firewall->engine, PFPLANE_ALL_LANES, name, &value) != PFPLANE_OK)
		fprintf(stderr, "ha-firewall: %s\n", pfplane_last_error());
	return value;
}

static void
answer_status(FILE *out, struct firewall *firewall)
{
	static const char *const phases[] = {"idle", "waiting", "receiving", "done", "given up"};
	struct pfplane_bulk bulk = {.size = sizeof(bulk)};
	struct exposure_sum exposure = exposure_sum(firewall);

	pfplane_engine_bulk(firewall->engine, &bulk);
	fprintf(out,
	        "{\"role\":\"%s\",\"ready\":%s,\"states\":%" PRIu64 ",\"lanes\":%u,"
	        "\"unsent_inserts\":%" PRIu64 ",\"unsent_updates\":%" PRIu64 ",\"oldest_unsent_ms\":%" PRIu64
	        ",\"mtu\":%u,\"host_id\":\"%08x\","
	        "\"bulk\":\"%s\",\"bulk_states\":%" PRIu64 ",\"sync_link\":%s,\"mbufs_in_use\":%u}\n",
	        atomic_load(&firewall->master) ? "master" : "backup",
	        pfplane_engine_ready(firewall->engine) ? "true" : "false", statistic(firewall, "states"),
	        firewall->lanes, exposure.creations, exposure.changes, exposure.oldest_ns / 1000000,
	        pfplane_engine_mtu(firewall->engine), pfplane_engine_host_id(firewall->engine),
	        phases[RTE_MIN(bulk.phase, 4u)], bulk.states, control.link ? "true" : "false", rte_mempool_in_use_count(firewall->pool));
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
	fputs("}}\n", out);
}

static void
answer_peer(FILE *out, struct firewall *firewall)
{
	struct pfplane_stat stat = {.size = sizeof(stat)};

	if (firewall->arguments.no_sync) {
		fputs("{\"ok\":false,\"error\":\"there is no peer: --no-sync\"}\n", out);
		return;
	}
	fputs("{\"ok\":true,\"peer\":{", out);
	for (uint32_t i = 0; pfplane_engine_peer_stat(firewall->engine, 0, PFPLANE_ALL_LANES, i, &stat) == PFPLANE_OK; i++)
		fprintf(out, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", stat.name, stat.value);
	fputs("}}\n", out);
}

/* A node that is told to take over does so, also with what it has so far, and says which it was. */
static void
answer_takeover(FILE *out, struct firewall *firewall)
{
	bool ready = pfplane_engine_ready(firewall->engine);

	atomic_store(&firewall->master, true);
	atomic_store(&firewall->announcements, 3);
	fprintf(out, "{\"ok\":true,\"was_ready\":%s}\n", ready ? "true" : "false");
}

/* From now on silent; the states stay, and a later takeover goes on from them. */
static void
answer_demote(FILE *out, struct firewall *firewall)
{
	atomic_store(&firewall->announcements, 0);
	atomic_store(&firewall->master, false);
	fputs("{\"ok\":true}\n", out);
}

static void
answer_bulk(FILE *out, struct firewall *firewall, int32_t (*ask)(const pfplane_engine *))
{
	if (firewall->arguments.no_sync)
		fputs("{\"ok\":false,\"error\":\"there is no peer: --no-sync\"}\n", out);
	else if (ask(firewall->engine) != PFPLANE_OK)
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
	atomic_store(&firewall->stop, true);
}

static const struct {
	const char *word;
	void (*answer)(FILE *out, struct firewall *firewall);
} words[] = {
	{"status", answer_status},
	{"stats", answer_stats},
	{"peer", answer_peer},
	{"request-bulk", answer_request_bulk},
	{"push-bulk", answer_push_bulk},
	{"takeover", answer_takeover},
	{"demote", answer_demote},
	{"quit", answer_quit},
};

static void
answer(FILE *out, struct firewall *firewall, const char *word)
{
	for (size_t i = 0; i < RTE_DIM(words); i++) {
		if (strcmp(word, words[i].word) == 0) {
			words[i].answer(out, firewall);
			return;
		}
	}
	fputs("{\"ok\":false,\"error\":\"the words are", out);
	for (size_t i = 0; i < RTE_DIM(words); i++)
		fprintf(out, "%s %s", i > 0 ? "," : "", words[i].word);
	fputs("\"}\n", out);
}

/* Reads a line, however it comes in pieces. False when there is none in time or it is too long to be a word of ours. */
static bool
read_word(int client, char *word, size_t size)
{
	size_t length = 0;

	while (length < size - 1) {
		ssize_t more = recv(client, word + length, size - 1 - length, 0);

		if (more < 0 || (more == 0 && length == 0))
			return false;
		length += (size_t)more;
		word[length] = '\0';
		if (more == 0 || strchr(word, '\n') != NULL) {
			word[strcspn(word, "\r\n")] = '\0';
			return true;
		}
	}
	return false;
}

static void
serve(int client)
{
	struct timeval patience = {.tv_sec = CLIENT_PATIENCE_S};
	char word[64];
	FILE *out;

	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	out = read_word(client, word, sizeof(word)) ? fdopen(client, "w") : NULL;
	if (out == NULL) {
		close(client);
		return;
	}
	answer(out, control.firewall, word);
	fclose(out);
}

static void *
run(void *unused)
{
	struct firewall *firewall = control.firewall;
	struct pollfd waiting = {.fd = control.listener, .events = POLLIN};

	(void)unused;
	while (!atomic_load(&firewall->stop)) {
		if (poll(&waiting, 1, LINK_EVERY_MS) > 0) {
			int client = accept4(control.listener, NULL, NULL, SOCK_CLOEXEC);

			if (client >= 0)
				serve(client);
		}
		if (firewall->arguments.no_sync)
			continue;
		control.link = ports_sync_link(firewall);
		pfplane_engine_sync_link(firewall->engine, control.link);
	}
	return NULL;
}

/* A socket that an earlier run left is removed; one that somebody listens on, or another kind of file, is not. */
static bool
make_room(const char *path, const struct sockaddr_un *address)
{
	struct stat found;
	int probe, status;

	if (lstat(path, &found) != 0)
		return true;
	if (!S_ISSOCK(found.st_mode)) {
		fprintf(stderr, "ha-firewall: --control %s: there is a file that is not a socket\n", path);
		return false;
	}
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	status = connect(probe, (const struct sockaddr *)address, sizeof(*address));
	close(probe);
	if (status == 0) {
		fprintf(stderr, "ha-firewall: --control %s: another process listens there\n", path);
		return false;
	}
	unlink(path);
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
	if (!make_room(path, &address))
		return false;
	control.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (control.listener < 0 || bind(control.listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    chmod(path, S_IRUSR | S_IWUSR) != 0 || listen(control.listener, 8) != 0) {
		fprintf(stderr, "ha-firewall: --control %s: %s\n", path, strerror(errno));
		return false;
	}
	status = pthread_create(&control.thread, NULL, run, NULL);
	if (status != 0) {
		fprintf(stderr, "ha-firewall: the control thread cannot be started: %s\n", strerror(status));
		return false;
	}
	return true;
}

void
control_stop(struct firewall *firewall)
{
	pthread_join(control.thread, NULL);
	close(control.listener);
	unlink(firewall->arguments.control);
}
