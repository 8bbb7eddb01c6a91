/* Logs what the election reports: to stderr in words, to the event log (--event-log) as JSON. */
#include "election/election.h"

#include <inttypes.h>
#include <string.h>

#include "firewall.h"

#define MAX_LOGGED 20 /* a second */
#define SECOND 1000000000ull

static const char *const role_names[] = {
	[PFPLANE_ELECTION_INIT] = "init",
	[PFPLANE_ELECTION_BACKUP] = "backup",
	[PFPLANE_ELECTION_MASTER] = "master",
	[PFPLANE_ELECTION_LISTEN] = "listen",
};

static const char *const event_names[] = {
	[PFPLANE_ELECTION_EVENT_ROLE] = "role",
	[PFPLANE_ELECTION_EVENT_CONFLICT] = "conflict",
	[PFPLANE_ELECTION_EVENT_EQUAL] = "equal-priority",
	[PFPLANE_ELECTION_EVENT_MEMBER_DEAF] = "member-deaf",
	[PFPLANE_ELECTION_EVENT_MEMBER_MUTE] = "member-mute",
	[PFPLANE_ELECTION_EVENT_ADDRESSES_DIFFER] = "addresses-differ",
	[PFPLANE_ELECTION_EVENT_INTERVAL_DIFFERS] = "interval-differs",
	[PFPLANE_ELECTION_EVENT_BAD_DIGEST] = "bad-digest",
	[PFPLANE_ELECTION_EVENT_CHECKSUM_OTHER_MANNER] = "checksum-of-the-other-rfc",
	[PFPLANE_ELECTION_EVENT_WRONG_MODE] = "wrong-mode",
	[PFPLANE_ELECTION_EVENT_LATE_POLL] = "late-poll",
	[PFPLANE_ELECTION_EVENT_CONTRADICTED] = "contradicted",
	[PFPLANE_ELECTION_EVENT_LOST] = "events-lost",
	[PFPLANE_ELECTION_EVENT_REFUSED] = "refused",
};

const char *
election_role_name(uint32_t role)
{
	return role < RTE_DIM(role_names) ? role_names[role] : "other";
}

const char *
election_why_name(uint32_t why)
{
	static const char *const names[] = {
		[PFPLANE_ELECTION_WHY_STARTED] = "started",
		[PFPLANE_ELECTION_WHY_LINK_UP] = "link-up",
		[PFPLANE_ELECTION_WHY_LINKS_DOWN] = "links-down",
		[PFPLANE_ELECTION_WHY_FAULT] = "forbidden",
		[PFPLANE_ELECTION_WHY_SILENCE] = "silence",
		[PFPLANE_ELECTION_WHY_FAREWELL] = "farewell",
		[PFPLANE_ELECTION_WHY_PEER_DOWN] = "peer-down",
		[PFPLANE_ELECTION_WHY_PREEMPTION] = "preemption",
		[PFPLANE_ELECTION_WHY_MASTER_DEMOTED] = "master-demoted",
		[PFPLANE_ELECTION_WHY_BETTER_MASTER] = "better-master",
		[PFPLANE_ELECTION_WHY_STEPPED_DOWN] = "stepped-down",
		[PFPLANE_ELECTION_WHY_LATE_POLL] = "late-poll",
		[PFPLANE_ELECTION_WHY_NOBODY_ELSE] = "nobody-else",
		[PFPLANE_ELECTION_WHY_ISOLATED] = "isolated",
		[PFPLANE_ELECTION_WHY_REACHABLE] = "reachable",
	};

	return why < RTE_DIM(names) ? names[why] : "other";
}

/* Whether one more event may be logged. Events that are not are counted, and the count is logged later. */
static bool
may_log(struct election *election, uint64_t now)
{
	if (now / SECOND != election->log_second) {
		if (election->not_logged > 0)
			fprintf(stderr, "ha-firewall: election: %u events were not logged\n", election->not_logged);
		election->log_second = now / SECOND;
		election->logged = election->not_logged = 0;
	}
	if (election->logged == MAX_LOGGED) {
		election->not_logged++;
		return false;
	}
	election->logged++;
	return true;
}

/* Says in words, and in JSON, what the user can do about an event. */
static void
describe(const struct pfplane_election_event *event, uint8_t id, char *words, size_t room, char *json, size_t json_room)
{
	switch (event->kind) {
	case PFPLANE_ELECTION_EVENT_INTERVAL_DIFFERS:
		(void)snprintf(words, room, ": its interval is %.1f ms, --interval-ms is %.1f", event->interval_us / 1000.0,
		               event->own_interval_us / 1000.0);
		(void)snprintf(json, json_room, ",\"interval_us\":%u,\"own_interval_us\":%u", event->interval_us,
		               event->own_interval_us);
		break;
	case PFPLANE_ELECTION_EVENT_ADDRESSES_DIFFER:
		(void)snprintf(words, room, ": it shares other addresses, or is another group with --election-id %u", id);
		break;
	case PFPLANE_ELECTION_EVENT_BAD_DIGEST:
		(void)snprintf(words, room, ": another pass-phrase or addresses, or another group with --election-id %u", id);
		break;
	default: break;
	}
}

static void
log_event(const struct firewall *firewall, const struct pfplane_election_event *event)
{
	const struct election *election = &firewall->election;
	const char *kind = event->kind < RTE_DIM(event_names) ? event_names[event->kind] : "other";
	struct address source = {.family = event->source.family};
	struct pfplane_stat counter = {.size = sizeof(counter)};
	char from[80] = "", where[40] = "", place[40] = "", sender[80] = "", detail[96] = "", values[80] = "";
	char text[64];

	/* An advert that was refused: its counter says why. */
	if (event->counter != UINT32_MAX &&
	    pfplane_election_stat(election->handle, event->member, event->counter, &counter) == PFPLANE_OK)
		kind = counter.name;
	memcpy(source.bytes, event->source.bytes, sizeof(source.bytes));
	if (source.family != 0) {
		(void)address_text(&source, text, sizeof(text));
		(void)snprintf(from, sizeof(from), ", source %s", text);
		(void)snprintf(sender, sizeof(sender), ",\"source\":\"%s\"", text);
	}
	if (event->member < election->member_count) {
		const char *side = election->side[event->member] == INSIDE ? "inside" : "outside";

		(void)snprintf(where, sizeof(where), " on the %s, IPv%u", side, election->family[event->member]);
		(void)snprintf(place, sizeof(place), ",\"side\":\"%s\",\"family\":%u", side, election->family[event->member]);
	}
	if (event->kind == PFPLANE_ELECTION_EVENT_ROLE) {
		fprintf(stderr, "ha-firewall: election: %s, was %s: %s%s\n", election_role_name(event->role),
		        election_role_name(event->role_before), election_why_name(event->why), from);
		event_log_line("{\"event\":\"role\",\"now_ns\":%" PRIu64 ",\"from\":\"%s\",\"role\":\"%s\",\"why\":\"%s\"%s}\n",
		               event->at_ns, election_role_name(event->role_before), election_role_name(event->role),
		               election_why_name(event->why), sender);
		return;
	}
	describe(event, firewall->arguments.election.id, detail, sizeof(detail), values, sizeof(values));
	fprintf(stderr, "ha-firewall: election: %s%s%s%s\n", kind, where, from, detail);
	event_log_line("{\"event\":\"election\",\"now_ns\":%" PRIu64 ",\"kind\":\"%s\"%s%s%s,\"lost\":%u}\n", event->at_ns, kind,
	               place, sender, values, event->lost);
}

void
election_log_events(struct firewall *firewall, uint64_t now)
{
	struct election *election = &firewall->election;
	struct pfplane_election_event event = {.size = sizeof(event)};
	int32_t status;

	while ((status = pfplane_election_event_next(election->handle, now, &event)) == PFPLANE_OK)
		if (may_log(election, now))
			log_event(firewall, &event);
	if (status != PFPLANE_END)
		require_ok(status, "pfplane_election_event_next");
}

void
election_log_witness(bool answers, uint64_t now)
{
	fprintf(stderr, "ha-firewall: election: the witness %s\n", answers ? "answers" : "does not answer");
	event_log_line("{\"event\":\"witness\",\"now_ns\":%" PRIu64 ",\"answers\":%s}\n", now, answers ? "true" : "false");
}

void
election_log_link(uint8_t side, bool is_up, uint64_t now)
{
	const char *name = side == INSIDE ? "inside" : "outside";

	fprintf(stderr, "ha-firewall: the link of the %s is %s\n", name, is_up ? "up" : "down");
	event_log_line("{\"event\":\"link\",\"now_ns\":%" PRIu64 ",\"side\":\"%s\",\"up\":%s}\n", now, name,
	               is_up ? "true" : "false");
}
