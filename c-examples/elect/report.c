#include "report.h"

#include <arpa/inet.h>
#include <stdio.h>

static const char *const role_names[] = {"init", "backup", "master", "listen"};
static const char *const why_names[] = {
	"started", "link up", "links down", "fault", "silence", "farewell", "peer down", "preemption", "master demoted",
	"better master", "stepped down", "late poll", "nobody else", "isolated", "reachable",
};
static const char *const event_names[] = {
	"?", "role", "conflict", "equal priority", "member deaf", "member mute", "addresses differ", "interval differs",
	"bad digest", "checksum of the other RFC", "wrong mode", "late poll", "contradicted", "events lost", "refused",
};

static const char *
address_text(const struct pfplane_address *given, char text[INET6_ADDRSTRLEN])
{
	if (given->family == 0)
		return "-";
	return inet_ntop(given->family == 4 ? AF_INET : AF_INET6, given->bytes, text, INET6_ADDRSTRLEN);
}

void
print_events(pfplane_election *election, uint64_t start, uint64_t now)
{
	struct pfplane_election_event event = {.size = sizeof(event)};
	struct pfplane_stat counter = {.size = sizeof(counter)};
	char source[INET6_ADDRSTRLEN];
	int32_t status;

	while ((status = pfplane_election_event_next(election, now, &event)) == PFPLANE_OK) {
		printf("%.3f %s", (double)(event.at_ns - start) / 1e9, event_names[event.kind]);
		if (event.kind == PFPLANE_ELECTION_EVENT_ROLE)
			printf(" %s -> %s: %s", role_names[event.role_before], role_names[event.role], why_names[event.why]);
		if (event.counter != UINT32_MAX) {
			must(pfplane_election_stat(election, event.member, event.counter, &counter), "stat");
			printf(" %s", counter.name);
		}
		if (event.kind == PFPLANE_ELECTION_EVENT_INTERVAL_DIFFERS)
			printf(" (%.1f ms, --interval-ms is %.1f)", event.interval_us / 1000.0, event.own_interval_us / 1000.0);
		if (event.member != UINT32_MAX)
			printf(", member %u", event.member);
		printf(", source %s\n", address_text(&event.source, source));
	}
	must(status, "event");
	fflush(stdout);
}

void
print_counters(pfplane_election *election, uint32_t members)
{
	struct pfplane_stat stat = {.size = sizeof(stat)};

	for (uint32_t member = 0; member < members; member++) {
		int32_t status;

		printf("member %u:", member);
		for (uint32_t index = 0; (status = pfplane_election_stat(election, member, index, &stat)) == PFPLANE_OK; index++)
			if (stat.value > 0)
				printf(" %s %llu", stat.name, (unsigned long long)stat.value);
		must(status, "stat");
		printf("\n");
	}
}
