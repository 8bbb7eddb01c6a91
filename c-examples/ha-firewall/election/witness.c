/* The witness (--witness): a host on one of the LANs that a firewall reaches unless it is cut off itself. It is asked for its Ethernet
 * address, which every host answers. */
#include "election/election.h"

#include "firewall.h"
#include "neighbour/send.h"

#define MS 1000000ull
#define MIN_QUESTION_INTERVAL (100 * MS)
/* It does not answer if it was not received for this many questions. */
#define MAX_UNANSWERED 3

static uint64_t
question_interval(const struct firewall *firewall)
{
	return RTE_MAX(firewall->arguments.election.interval_ms * MS, MIN_QUESTION_INTERVAL);
}

void
election_note_neighbour(struct firewall *firewall, uint8_t side, const struct address *address)
{
	const struct election_arguments *arguments = &firewall->arguments.election;

	if (arguments->witness.family != 0 && side == arguments->witness_side && address_equal(address, &arguments->witness))
		firewall->election.witness_at_ns = now_ns();
}

bool
election_poll_witness(struct worker *worker, uint64_t now)
{
	struct firewall *firewall = worker->firewall;
	const struct election_arguments *arguments = &firewall->arguments.election;
	struct election *election = &firewall->election;
	bool answers, is_first = election->witness_due_ns == 0;

	if (arguments->witness.family == 0) {
		election->witness_due_ns = UINT64_MAX;
		return false;
	}
	if (now >= election->witness_due_ns) {
		election->witness_due_ns = now + question_interval(firewall);
		neighbour_request_from_own(worker, arguments->witness_side, &arguments->witness);
	}
	answers = election->witness_at_ns != 0 && now < election->witness_at_ns + MAX_UNANSWERED * question_interval(firewall);
	if (answers == election->witness_answers && !is_first)
		return false;
	if (!is_first)
		election_log_witness(answers, now);
	election->witness_answers = answers;
	require_ok(pfplane_election_witness(election->handle, answers), "pfplane_election_witness");
	return true;
}
