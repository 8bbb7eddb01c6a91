/* Decides on the frames of a burst, and forwards, answers or drops them. */
#include <string.h>

#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>

#include "firewall.h"

#define ECHO_REQUEST 8
#define ECHO_REPLY 0
#define ECHO6_REQUEST 128
#define ECHO6_REPLY 129
#define ECHO_TTL 64

/* Translation to IPv6 enlarges a packet by a header, an ICMP error by two. */
_Static_assert(RTE_PKTMBUF_HEADROOM >= 40, "frames need headroom for IPv6 headers");

static enum side
other(enum side side)
{
	return side == INSIDE ? OUTSIDE : INSIDE;
}

static uint8_t
direction_of(enum side from)
{
	return from == INSIDE ? PFPLANE_IN : PFPLANE_OUT;
}

/* Returns the side on which a packet leaves; a translated one may turn back to the side that it came from (hairpin). */
static enum side
egress(const struct firewall *firewall, enum side from, struct rte_mbuf *mbuf, bool translated)
{
	const struct side_arguments *own = firewall->side[from].arguments;
	struct address destination = destination_of(mbuf);

	for (unsigned int i = 0; translated && i < own->address_count; i++)
		if (prefix_contains(&own->addresses[i], &destination))
			return from;
	return other(from);
}

/* Swaps the addresses of an echo request's IP header and resets the TTL. */
static void
make_reply_header(struct rte_ether_hdr *ethernet, const struct pfplane_facts *facts)
{
	if (facts->family == 6) {
		struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)(ethernet + 1);

		ip->hop_limits = ECHO_TTL;
		memcpy(&ip->src_addr, facts->destination, 16);
		memcpy(&ip->dst_addr, facts->source, 16);
	} else {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(ethernet + 1);

		ip->time_to_live = ECHO_TTL;
		memcpy(&ip->src_addr, facts->destination, 4);
		memcpy(&ip->dst_addr, facts->source, 4);
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_raw_cksum(ip, (size_t)(ip->version_ihl & 0xf) * 4);
		ip->hdr_checksum = (uint16_t)~ip->hdr_checksum;
	}
}

/* Whether a host can have sent a packet: a neighbour may use a link-local address. */
static bool
is_unicast_source(const struct pfplane_facts *facts)
{
	return address_is_routable(facts->family, facts->source) ||
	       (facts->family == 6 && facts->source[0] == 0xfe && (facts->source[1] & 0xc0) == 0x80);
}

/* Makes the answer to a ping of one of our addresses, in place. Drops other packets to them, and returns false. */
static bool
make_echo_reply(struct worker *worker, struct rte_mbuf *mbuf, const struct pfplane_facts *facts, const uint8_t mac[MAC_BYTES])
{
	struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(mbuf, struct rte_ether_hdr *);
	uint8_t *icmp = rte_pktmbuf_mtod_offset(mbuf, uint8_t *, facts->l4_offset);
	bool v6 = facts->family == 6;
	uint8_t request = v6 ? ECHO6_REQUEST : ECHO_REQUEST, reply = v6 ? ECHO6_REPLY : ECHO_REPLY;
	uint16_t checksum;
	uint32_t sum;

	if (facts->proto != (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) || facts->icmp_error || icmp[0] != request ||
	    !is_unicast_source(facts)) {
		drop_counted(mbuf, &worker->counters.blocked);
		return false;
	}
	icmp[0] = reply;
	memcpy(&checksum, icmp + 2, sizeof(checksum));
	sum = (uint16_t)~rte_be_to_cpu_16(checksum) + (uint32_t)(uint16_t) ~(request << 8) + (uint32_t)(reply << 8);
	sum = (sum & 0xffff) + (sum >> 16);
	checksum = rte_cpu_to_be_16((uint16_t) ~(sum + (sum >> 16)));
	memcpy(icmp + 2, &checksum, sizeof(checksum));
	make_reply_header(ethernet, facts);
	ethernet->dst_addr = ethernet->src_addr;
	memcpy(&ethernet->src_addr, mac, MAC_BYTES);
	count(&worker->counters.answered, 1);
	return true;
}

/* Answers a ping of a shared address. */
static void
receive_own(struct worker *worker, enum side from, struct rte_mbuf *mbuf, const struct pfplane_facts *facts)
{
	if (make_echo_reply(worker, mbuf, facts, worker->firewall->side[from].shared_mac[facts->family == 6]))
		forward_frame(worker, from, mbuf);
}

static bool
is_own(const struct firewall *firewall, const struct address *address)
{
	for (int side = 0; side < SIDES; side++) {
		const struct side_arguments *own = firewall->side[side].arguments;

		for (unsigned int i = 0; i < own->address_count; i++)
			if (address_equal(&own->addresses[i].address, address))
				return true;
	}
	return false;
}

/* Hands a frame off to the lane that owns its key. */
static void
hand_off(struct worker *worker, enum side from, struct rte_mbuf *mbuf, uint16_t lane)
{
	count(&worker->counters.handed_off, 1);
	enqueue_to(worker, worker->firewall->workers[lane].handed_off, from, mbuf);
}

/* Creates the state of a new connection that the rules pass. The library translates the frame as the options say, before it
 * is routed. Returns false when the frame was refused; else takes ownership of it. */
static bool
create_state(struct worker *worker, enum side from, struct rte_mbuf *mbuf, const struct pfplane_burst *burst,
      struct pfplane_state_options *options, struct pfplane_verdict *verdict)
{
	if (pfplane_lane_state_create_mbuf(worker->lane, burst, mbuf, options, verdict) != PFPLANE_OK)
		return false;
	count(&worker->counters.family_changed, verdict->data_shift != 0);
	switch (verdict->action) {
	case PFPLANE_PASS: forward_one(worker, egress(worker->firewall, from, mbuf, verdict->translated), mbuf); return true;
	case PFPLANE_HELD: defer_hold(worker, from, mbuf, verdict->slot); return true;
	case PFPLANE_HANDOFF: hand_off(worker, from, mbuf, verdict->lane); return true;
	default: return false;
	}
}

/* Passes the reply of an inside server to an inside client that reached it through us (hairpin), which has the key of a packet from
 * outside. Returns false when it has no state; else takes ownership of it. */
static bool
hairpin_reply(struct worker *worker, struct rte_mbuf *mbuf, const struct pfplane_burst *burst)
{
	struct pfplane_verdict verdict;
	struct pfplane_burst outside = *burst;

	outside.direction = PFPLANE_OUT;
	if (pfplane_lane_lookup_mbufs(worker->lane, &outside, &mbuf, 1, &verdict) != PFPLANE_OK)
		return false;
	if (verdict.action == PFPLANE_HANDOFF)
		hand_off(worker, INSIDE, mbuf, verdict.lane);
	else if (verdict.action == PFPLANE_PASS)
		forward_one(worker, INSIDE, mbuf);
	return verdict.action == PFPLANE_HANDOFF || verdict.action == PFPLANE_PASS;
}

/* Processes a packet without a state: to our own addresses, or as the rules decide. */
static void
process_new(struct worker *worker, enum side from, struct rte_mbuf *mbuf, const struct pfplane_burst *burst)
{
	struct firewall *firewall = worker->firewall;
	struct pfplane_packet packet = {.data = rte_pktmbuf_mtod(mbuf, uint8_t *), .length = mbuf->data_len,
	                                .packet_length = mbuf->pkt_len};
	struct pfplane_verdict verdict = {.reason = PFPLANE_REASON_NO_STATE, .slot = UINT32_MAX};
	struct pfplane_state_options options;
	const struct rule *rule;
	struct pfplane_facts facts;
	struct address destination;
	bool pass, routable;

	if (pfplane_packet_facts(burst, &packet, &facts, NULL) == PFPLANE_OK) {
		require_ok(pfplane_state_options_init(&options, sizeof(options)), "pfplane_state_options_init");
		pass = rules_pass(&firewall->rules, &facts, burst->direction, &options.rule);
		rule = pass && options.rule != UINT32_MAX ? &firewall->rules.rule[options.rule] : NULL;
		destination.family = facts.family;
		memcpy(destination.bytes, facts.destination, 16);
		if (from == INSIDE && is_own(firewall, &destination) && hairpin_reply(worker, mbuf, burst))
			return;
		if (is_own(firewall, &destination) && (rule == NULL || !rules_nat_redirects(rule))) {
			receive_own(worker, from, mbuf, &facts);
			return;
		}
		routable = address_is_routable(facts.family, facts.source) &&
		           address_is_routable(facts.family, facts.destination) &&
		           (rule == NULL || rules_nat(rule, &facts, &options));
		if (!routable) {
			drop_counted(mbuf, &worker->counters.not_routable);
			return;
		}
		if (pass && create_state(worker, from, mbuf, burst, &options, &verdict))
			return;
	}
	event_log_refused(worker, from, mbuf, &verdict, burst);
	drop_counted(mbuf, verdict.reason == PFPLANE_REASON_TRANSLATION ? &worker->counters.untranslatable
	                                                                : &worker->counters.blocked);
}

/* Sends pf's answer to a refused SYN or stale segment back to its sender, in its buffer. */
static bool
answer_refused(struct worker *worker, enum side from, struct rte_mbuf *mbuf, const struct pfplane_verdict *verdict,
               const struct pfplane_burst *burst)
{
	struct pfplane_packet packet = {.data = rte_pktmbuf_mtod(mbuf, uint8_t *), .length = mbuf->data_len,
	                                .packet_length = mbuf->pkt_len};
	uint8_t answer[PFPLANE_MAX_ANSWER];
	uint32_t length;

	if (verdict->reason != PFPLANE_REASON_CHALLENGE_ACK && verdict->reason != PFPLANE_REASON_RESET)
		return false;
	if (pfplane_lane_answer(worker->lane, burst, &packet, verdict, answer, sizeof(answer), &length) != PFPLANE_OK ||
	    length == 0 || length > mbuf->data_len)
		return false;
	memcpy(rte_pktmbuf_mtod(mbuf, uint8_t *), answer, length);
	rte_pktmbuf_trim(mbuf, (uint16_t)(mbuf->data_len - length));
	count(&worker->counters.refused, 1);
	forward_frame(worker, from, mbuf);
	return true;
}

static void
execute(struct worker *worker, enum side from, struct rte_mbuf *mbuf, const struct pfplane_verdict *verdict,
    const struct pfplane_burst *burst)
{
	_Atomic uint64_t *counter = &worker->counters.dropped;

	count(&worker->counters.family_changed, verdict->data_shift != 0);
	switch (verdict->action) {
	case PFPLANE_PASS: forward_one(worker, egress(worker->firewall, from, mbuf, verdict->translated), mbuf); return;
	case PFPLANE_NEW: process_new(worker, from, mbuf, burst); return;
	case PFPLANE_HELD: defer_hold(worker, from, mbuf, verdict->slot); return;
	case PFPLANE_HANDOFF:
		hand_off(worker, from, mbuf, verdict->lane);
		return;
	case PFPLANE_FRAGMENT: counter = &worker->counters.fragments; break;
	case PFPLANE_DROP:
		event_log_refused(worker, from, mbuf, verdict, burst);
		if (answer_refused(worker, from, mbuf, verdict, burst))
			return;
		if (verdict->reason == PFPLANE_REASON_TRANSLATION)
			counter = &worker->counters.untranslatable;
		break;
	default: break;
	}
	drop_counted(mbuf, counter);
}

/* Whether a frame is addressed to the shared Ethernet address of its family, without a VLAN tag. */
static bool
is_addressed_to(const struct side_state *side, struct rte_mbuf *mbuf)
{
	const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *);
	bool v6;

	if (mbuf->data_len < sizeof(*ethernet))
		return false;
	v6 = ethernet->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6);
	return (v6 || ethernet->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4)) &&
	       memcmp(&ethernet->dst_addr, side->shared_mac[v6], MAC_BYTES) == 0;
}

/* With an election: whether a frame is for this node, master or not: for its own Ethernet and IP address. */
static bool
is_for_node(const struct side_state *side, struct rte_mbuf *mbuf)
{
	const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *);
	struct address destination;
	size_t header;
	bool v6;

	if (mbuf->data_len < sizeof(*ethernet) || memcmp(&ethernet->dst_addr, side->own_mac, MAC_BYTES) != 0)
		return false;
	v6 = ethernet->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6);
	header = v6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);
	if ((!v6 && ethernet->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4)) || mbuf->data_len < sizeof(*ethernet) + header)
		return false;
	destination = destination_of(mbuf);
	return address_equal(&destination, &side->own[destination.family == 6]);
}

/* Answers a ping of this node's own address, at once: the backup answers too. */
static void
receive_for_node(struct worker *worker, enum side from, struct rte_mbuf *mbuf, uint64_t now)
{
	const struct pfplane_burst burst = {.size = sizeof(burst), .direction = direction_of(from),
	                                    .link = PFPLANE_LINK_ETHERNET, .now_ns = now};
	struct pfplane_packet packet = {.length = mbuf->data_len, .packet_length = mbuf->pkt_len};
	struct pfplane_facts facts;

	packet.data = rte_pktmbuf_mtod(mbuf, uint8_t *);
	if (mbuf->nb_segs > 1 || pfplane_packet_facts(&burst, &packet, &facts, NULL) != PFPLANE_OK)
		drop_counted(mbuf, &worker->counters.dropped);
	else if (make_echo_reply(worker, mbuf, &facts, worker->firewall->side[from].own_mac))
		(void)forward_now(worker, from, mbuf);
}

/* Removes the frames that are not looked up, and keeps the order of the others. Returns their number. */
static uint16_t
filter(struct worker *worker, enum side from, struct rte_mbuf **mbufs, uint16_t total, uint64_t now)
{
	struct firewall *firewall = worker->firewall;
	bool elects = firewall->election.handle != NULL, master = may_forward(firewall, now);
	uint16_t kept = 0;

	for (uint16_t i = 0; i < total; i++) {
		struct rte_mbuf *mbuf = mbufs[i];

		if (neighbour_is(mbuf)) {
			if (worker->index == 0)
				neighbour_receive(worker, (uint8_t)from, mbuf);
			else
				enqueue_to(worker, firewall->for_neighbours, from, mbuf);
		} else if (elects && election_is_advert(mbuf)) {
			election_receive(worker, (uint8_t)from, mbuf);
		} else if (elects && is_for_node(&firewall->side[from], mbuf)) {
			receive_for_node(worker, from, mbuf, now);
		} else if (!master) {
			drop_counted(mbuf, &worker->counters.not_master);
		} else if (!is_addressed_to(&firewall->side[from], mbuf)) {
			drop_counted(mbuf, &worker->counters.not_addressed);
		} else if (mbuf->nb_segs > 1 && rte_pktmbuf_linearize(mbuf) != 0) {
			drop_counted(mbuf, &worker->counters.dropped);
		} else {
			mbufs[kept++] = mbuf;
		}
	}
	return kept;
}

void
forward_burst(struct worker *worker, enum side from, struct rte_mbuf **mbufs, uint16_t total, uint64_t now)
{
	struct pfplane_verdict verdicts[BURST];
	const struct pfplane_burst burst = {
		.size = sizeof(burst),
		.direction = direction_of(from),
		.link = PFPLANE_LINK_ETHERNET,
		.now_ns = now,
	};
	uint16_t kept = filter(worker, from, mbufs, total, now);

	if (kept == 0)
		return;
	if (pfplane_lane_lookup_mbufs(worker->lane, &burst, mbufs, kept, verdicts) != PFPLANE_OK) {
		count(&worker->counters.dropped, kept);
		rte_pktmbuf_free_bulk(mbufs, kept);
		return;
	}
	for (uint16_t i = 0; i < kept; i++)
		execute(worker, from, mbufs[i], &verdicts[i], &burst);
}
