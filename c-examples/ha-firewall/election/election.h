/* The election of the master (--election), by the library's pfplane_election. Lane 0 runs it: it passes in the adverts that all
 * lanes received, polls, and sends the frames that are due. All lanes ask its lease before they forward. */
#ifndef HA_ELECTION_H
#define HA_ELECTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <pfplane.h>

#include "address.h"

#define MAX_MEMBERS 4 /* two sides, two families */
#define MAX_ELECTION_STATS 32
#define MAX_REASONS 16
#define MAX_SEEN 8

struct arguments;
struct firewall;
struct rte_mbuf;
struct rte_ring;
struct worker;

/* A firewall whose adverts were received. */
struct seen {
	struct address address;
	uint64_t at_ns;
};

/* What the control thread reports. */
struct election_report {
	struct pfplane_election_status status;
	struct pfplane_election_reason reasons[MAX_REASONS];
	uint32_t reason_count;
	struct pfplane_stat stats[MAX_MEMBERS][MAX_ELECTION_STATS];
	uint32_t stat_count;
	struct seen seen[MAX_SEEN];
	uint32_t seen_count;
	bool link[2];
	bool witness_answers;
	uint64_t now_ns;
};

/* What the control thread asks lane 0 for. */
enum election_request {
	ELECTION_REQUEST_NONE,
	ELECTION_REQUEST_REPORT,
	ELECTION_REQUEST_STEP_DOWN,
	ELECTION_REQUEST_DEMOTE,
};

struct election {
	pfplane_election *handle;  /* NULL without --election */
	const uint64_t *lease_end; /* read by all lanes, see pfplane_election_lease */
	struct rte_ring *adverts; /* from other lanes; mbuf->port is the ingress port */
	/* By member number. */
	uint8_t side[MAX_MEMBERS];
	uint8_t family[MAX_MEMBERS];
	uint32_t member_count;

	/* Lane 0 only: */
	uint64_t due_ns; /* of the next poll */
	uint64_t links_due_ns;
	uint64_t witness_due_ns; /* of the next question */
	uint64_t witness_at_ns;  /* when it was received last, 0 for never */
	bool witness_answers;
	uint64_t leave_until_ns; /* until when to wait for the states to be sent, 0 when not stepping down */
	bool stepped_down;       /* and this process ends when another node has taken over */
	bool link[2];
	struct seen seen[MAX_SEEN];
	uint32_t seen_count;
	uint64_t log_second;
	uint32_t logged;
	uint32_t not_logged;

	/* One request at a time: the control thread sets it, lane 0 carries it out and sets it to NONE. */
	_Atomic int request;
	char reason[32];
	uint32_t weight;
	int32_t status; /* of the call */
	char error[160];
	struct election_report report;
};

/* Checks the arguments without opening a port. On failure prints a message and returns false. */
bool election_check_arguments(const struct arguments *arguments);

/* Sets the sides' Ethernet addresses, and creates the election if there is one. On failure prints a message and returns
 * false. */
bool election_start(struct firewall *firewall);
void election_stop(struct firewall *firewall);

/* Whether a frame is an advert: IP protocol 112. */
bool election_is_advert(const struct rte_mbuf *mbuf);

/* Passes an advert on. Takes ownership of the frame. */
void election_receive(struct worker *worker, uint8_t side, struct rte_mbuf *mbuf);

/* Lane 0: answers an ARP request or neighbour solicitation for an address of this node. The frame stays the caller's. */
void election_answer(struct worker *worker, uint8_t side, const struct rte_mbuf *mbuf);

/* Lane 0: everything that is due. Returns the amount of work. */
unsigned int election_poll(struct worker *worker);

/* witness.c: asks the witness when it is time, and tells the election whether it answers. Returns whether that changed. */
bool election_poll_witness(struct worker *worker, uint64_t now);
/* Lane 0: an ARP or neighbour discovery message of an address was received. */
void election_note_neighbour(struct firewall *firewall, uint8_t side, const struct address *address);

/* log.c: logs the events, to the event log and to stderr, at most 20 a second. */
void election_log_events(struct firewall *firewall, uint64_t now);
void election_log_link(uint8_t side, bool is_up, uint64_t now);
void election_log_witness(bool answers, uint64_t now);
const char *election_role_name(uint32_t role);
const char *election_why_name(uint32_t why);

/* report.c: lane 0 notes the master whose advert came last, and fills in the report. */
void election_note_master(struct election *election);
void election_fill_report(struct firewall *firewall, uint64_t now);
/* The control thread: makes lane 0 carry out a request. Returns false when it does not within a second, or when the call failed;
 * `election.error` says why. */
bool election_request(struct firewall *firewall, enum election_request request);
bool election_demote(struct firewall *firewall, const char *reason, uint32_t weight);
/* The control thread: write the report as a member of a JSON object, with a comma before it. */
void election_write_status(FILE *out, const struct firewall *firewall);
void election_write_stats(FILE *out, const struct firewall *firewall);

#endif
