/* The control thread's view of the election: lane 0 fills in a report on request, so that it never waits for a lock. */
#include "election/election.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "firewall.h"

#define WAIT_US 500
#define MAX_WAITS 2000 /* a second */
#define MS 1000000ull

void
election_note_master(struct election *election)
{
	struct pfplane_election_status status = {.size = sizeof(status)};
	struct seen *seen = election->seen, *oldest = election->seen;
	struct address address = {0};

	require_ok(pfplane_election_status_read(election->handle, &status), "pfplane_election_status_read");
	if (status.master.family == 0)
		return;
	address.family = status.master.family;
	memcpy(address.bytes, status.master.bytes, sizeof(address.bytes));
	for (; seen < election->seen + election->seen_count; seen++) {
		if (address_equal(&seen->address, &address))
			break;
		if (seen->at_ns < oldest->at_ns)
			oldest = seen;
	}
	if (seen == election->seen + MAX_SEEN)
		seen = oldest;
	else if (seen == election->seen + election->seen_count)
		election->seen_count++;
	*seen = (struct seen){.address = address, .at_ns = status.master_at_ns};
}

void
election_fill_report(struct firewall *firewall, uint64_t now)
{
	struct election *election = &firewall->election;
	struct election_report *report = &election->report;
	int32_t status = PFPLANE_END;

	report->now_ns = now;
	report->status.size = sizeof(report->status);
	require_ok(pfplane_election_status_read(election->handle, &report->status), "pfplane_election_status_read");
	for (report->reason_count = 0; report->reason_count < MAX_REASONS; report->reason_count++) {
		struct pfplane_election_reason *reason = &report->reasons[report->reason_count];

		reason->size = sizeof(*reason);
		status = pfplane_election_reason_at(election->handle, report->reason_count, reason);
		if (status != PFPLANE_OK)
			break;
	}
	if (status != PFPLANE_END)
		require_ok(status, "pfplane_election_reason_at");
	for (uint32_t member = 0; member < election->member_count; member++) {
		for (report->stat_count = 0; report->stat_count < MAX_ELECTION_STATS; report->stat_count++) {
			struct pfplane_stat *stat = &report->stats[member][report->stat_count];

			stat->size = sizeof(*stat);
			status = pfplane_election_stat(election->handle, member, report->stat_count, stat);
			if (status != PFPLANE_OK)
				break;
		}
		if (status != PFPLANE_END)
			require_ok(status, "pfplane_election_stat");
	}
	memcpy(report->seen, election->seen, sizeof(report->seen));
	report->seen_count = election->seen_count;
	memcpy(report->link, election->link, sizeof(report->link));
	report->witness_answers = election->witness_answers;
}

bool
election_request(struct firewall *firewall, enum election_request request)
{
	struct election *election = &firewall->election;
	int waits = 0;

	if (atomic_load_explicit(&election->request, memory_order_acquire) != ELECTION_REQUEST_NONE) {
		(void)snprintf(election->error, sizeof(election->error), "lane 0 does not answer");
		return false;
	}
	atomic_store_explicit(&election->request, (int)request, memory_order_release);
	while (atomic_load_explicit(&election->request, memory_order_acquire) != ELECTION_REQUEST_NONE) {
		if (++waits > MAX_WAITS || atomic_load(&firewall->stop)) {
			(void)snprintf(election->error, sizeof(election->error), "lane 0 does not answer");
			return false;
		}
		(void)usleep(WAIT_US);
	}
	return election->status == PFPLANE_OK;
}

static uint64_t
age_ms(const struct election_report *report, uint64_t at_ns)
{
	return report->now_ns > at_ns ? (report->now_ns - at_ns) / MS : 0;
}

static void
write_lists(FILE *out, const struct election_report *report)
{
	char text[64];

	fputs(",\"demotions\":[", out);
	/* A name has only characters that JSON needs no escape for: see control.c. */
	for (uint32_t i = 0; i < report->reason_count; i++)
		fprintf(out, "%s{\"reason\":\"%s\",\"weight\":%u}", i > 0 ? "," : "", report->reasons[i].name,
		        report->reasons[i].weight);
	fputs("],\"masters_seen\":[", out);
	for (uint32_t i = 0; i < report->seen_count; i++)
		fprintf(out, "%s{\"address\":\"%s\",\"age_ms\":%" PRIu64 "}", i > 0 ? "," : "",
		        address_text(&report->seen[i].address, text, sizeof(text)), age_ms(report, report->seen[i].at_ns));
	fputs("]", out);
}

bool
election_demote(struct firewall *firewall, const char *reason, uint32_t weight)
{
	struct election *election = &firewall->election;

	/* Lane 0 may still read the last one. */
	if (atomic_load_explicit(&election->request, memory_order_acquire) == ELECTION_REQUEST_NONE) {
		(void)snprintf(election->reason, sizeof(election->reason), "%s", reason);
		election->weight = weight;
	}
	return election_request(firewall, ELECTION_REQUEST_DEMOTE);
}

void
election_write_status(FILE *out, const struct firewall *firewall)
{
	static const char *const classes[] = {"synced", "gave-up", "loading"};
	static const char *const dialects[] = {"", "openbsd", "freebsd", "vrrp"};
	const struct election_arguments *arguments = &firewall->arguments.election;
	const struct election_report *report = &firewall->election.report;
	const struct pfplane_election_status *status = &report->status;
	struct address master;
	uint64_t lease;
	char text[64];

	lease = status->forward_until_ns > report->now_ns ? (status->forward_until_ns - report->now_ns) / 1000 : 0;
	fprintf(out,
	        ",\"election\":{\"dialect\":\"%s\",\"id\":%u,\"priority\":%u,\"interval_ms\":%u,\"role\":\"%s\",\"since_ms\":%" PRIu64
	        ",\"why\":\"%s\",\"class\":\"%s\",\"demotion\":%u,\"rank\":%u,\"lease_us\":%" PRIu64,
	        dialects[RTE_MIN(arguments->dialect, RTE_DIM(dialects) - 1)], arguments->id, arguments->priority,
	        arguments->interval_ms, election_role_name(status->role), age_ms(report, status->since_ns),
	        election_why_name(status->why), classes[RTE_MIN(status->readiness, RTE_DIM(classes) - 1)], status->demotion,
	        status->rank, lease);
	master.family = status->master.family;
	memcpy(master.bytes, status->master.bytes, sizeof(master.bytes));
	if (master.family != 0)
		fprintf(out, ",\"master\":\"%s\",\"master_age_ms\":%" PRIu64, address_text(&master, text, sizeof(text)),
		        age_ms(report, status->master_at_ns));
	fprintf(out, ",\"role_changes\":%" PRIu64 ",\"late_polls\":%" PRIu64 ",\"links\":{\"inside\":%s,\"outside\":%s}",
	        status->role_changes, status->late_polls, report->link[INSIDE] ? "true" : "false",
	        report->link[OUTSIDE] ? "true" : "false");
	if (status->other_interval_us != 0)
		fprintf(out, ",\"other_interval_ms\":%.1f", status->other_interval_us / 1000.0);
	if (status->hello_at_ns != 0)
		fprintf(out, ",\"hello_age_ms\":%" PRIu64, age_ms(report, status->hello_at_ns));
	if (arguments->witness.family != 0)
		fprintf(out, ",\"witness\":\"%s\",\"witness_answers\":%s",
		        address_text(&arguments->witness, text, sizeof(text)), report->witness_answers ? "true" : "false");
	write_lists(out, report);
	fputs("}", out);
}

void
election_write_stats(FILE *out, const struct firewall *firewall)
{
	const struct election *election = &firewall->election;
	const struct election_report *report = &election->report;

	fputs(",\"election\":[", out);
	for (uint32_t member = 0; member < election->member_count; member++) {
		fprintf(out, "%s{\"side\":\"%s\",\"family\":%u", member > 0 ? "," : "",
		        election->side[member] == INSIDE ? "inside" : "outside", election->family[member]);
		for (uint32_t i = 0; i < report->stat_count; i++)
			fprintf(out, ",\"%s\":%" PRIu64, report->stats[member][i].name, report->stats[member][i].value);
		fputs("}", out);
	}
	fputs("]", out);
}
