/* A frame's way from one side to the other. */
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

/* What a packet grows by when it becomes IPv6: a header, in an ICMP error two. */
_Static_assert(RTE_PKTMBUF_HEADROOM >= 40, "frames need room to become IPv6");

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

static void
drop_counted(struct rte_mbuf *mbuf, _Atomic uint64_t *counter)
{
	count(counter, 1);
	rte_pktmbuf_free(mbuf);
}

void
hand_over(struct worker *worker, struct rte_ring *ring, enum side side, struct rte_mbuf *mbuf)
{
	/* Not every driver fills it in, and for a way out none could. */
	mbuf->port = worker->firewall->side[side].port;
	if (rte_ring_enqueue(ring, mbuf) == 0)
		return;
	drop_counted(mbuf, &worker->counters.ring_full);
}

static void
send_buffer(struct worker *worker, enum side to)
{
	struct tx_buffer *buffer = &worker->tx[to];
	struct side_state *side = &worker->firewall->side[to];
	uint16_t queue = (uint16_t)(worker->index % side->queues), sent;
	bool shared = side->queues < worker->firewall->lanes;

	if (buffer->count == 0)
		return;
	exposure_note(worker, now_ns());
	if (shared)
		rte_spinlock_lock(&side->tx_lock[queue]);
	sent = rte_eth_tx_burst(side->port, queue, buffer->mbufs, buffer->count);
	if (shared)
		rte_spinlock_unlock(&side->tx_lock[queue]);
	count(&worker->counters.forwarded, sent);
	if (sent < buffer->count) {
		count(&worker->counters.tx_full, (uint64_t)(buffer->count - sent));
		rte_pktmbuf_free_bulk(buffer->mbufs + sent, (unsigned int)(buffer->count - sent));
	}
	buffer->count = 0;
}

void
forward_flush(struct worker *worker)
{
	send_buffer(worker, INSIDE);
	send_buffer(worker, OUTSIDE);
}

void
forward_frame(struct worker *worker, enum side to, struct rte_mbuf *mbuf)
{
	struct tx_buffer *buffer = &worker->tx[to];

	buffer->mbufs[buffer->count++] = mbuf;
	if (buffer->count == BURST)
		send_buffer(worker, to);
}

/* The destination of an IP frame whose headers the library has read. */
static struct address
destination_of(struct rte_mbuf *mbuf)
{
	const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *);
	struct address address = {.family = 4};

	if (ethernet->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6)) {
		address.family = 6;
		memcpy(address.bytes, &((const struct rte_ipv6_hdr *)(ethernet + 1))->dst_addr, 16);
	} else {
		memcpy(address.bytes, &((const struct rte_ipv4_hdr *)(ethernet + 1))->dst_addr, 4);
	}
	return address;
}

/* Where a frame to `destination` goes next on a side. False when the side has no way there. */
static bool
next_hop(const struct side_arguments *side, const struct address *destination, struct address *hop_out)
{
	const struct address *gateway = &side->gateway[destination->family == 6];

	*hop_out = *destination;
	for (unsigned int i = 0; i < side->address_count; i++)
		if (prefix_contains(&side->addresses[i], destination))
			return true;
	*hop_out = *gateway;
	return gateway->family != 0;
}

/* One off the TTL or hop limit; the IPv4 checksum follows by the same step (RFC 1624). */
static void
decrement_ttl(struct rte_mbuf *mbuf)
{
	struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(mbuf, struct rte_ether_hdr *);
	uint32_t sum;

	if (ethernet->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6)) {
		((struct rte_ipv6_hdr *)(ethernet + 1))->hop_limits--;
		return;
	}
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(ethernet + 1);

	ip->time_to_live--;
	sum = rte_be_to_cpu_16(ip->hdr_checksum) + 0x0100u;
	/* 0xffff would be zero in its other form, which no sender writes. */
	ip->hdr_checksum = rte_cpu_to_be_16((uint16_t)(sum + (sum >= 0xffff)));
}

static uint8_t
ttl_of(struct rte_mbuf *mbuf)
{
	const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *);

	if (ethernet->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6))
		return ((const struct rte_ipv6_hdr *)(ethernet + 1))->hop_limits;
	return ((const struct rte_ipv4_hdr *)(ethernet + 1))->time_to_live;
}

void
forward_one(struct worker *worker, enum side to, struct rte_mbuf *mbuf)
{
	struct firewall *firewall = worker->firewall;
	const struct side_arguments *side = firewall->side[to].arguments;
	struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(mbuf, struct rte_ether_hdr *);
	struct address destination = destination_of(mbuf), hop;
	uint8_t mac[MAC_BYTES];

	if (!next_hop(side, &destination, &hop)) {
		drop_counted(mbuf, &worker->counters.no_route);
		return;
	}
	if (mbuf->pkt_len > firewall->side[to].max_frame) {
		drop_counted(mbuf, &worker->counters.too_big);
		return;
	}
	if (!neighbour_find(&firewall->neighbours, (uint8_t)to, &hop, mac)) {
		if (worker->index == 0) {
			neighbour_resolve(worker, (uint8_t)to, mbuf, &hop, now_ns());
		} else {
			hand_over(worker, firewall->to_resolve, to, mbuf);
		}
		return;
	}
	if (ttl_of(mbuf) <= 1) {
		drop_counted(mbuf, &worker->counters.expired_ttl);
		return;
	}
	decrement_ttl(mbuf);
	memcpy(&ethernet->dst_addr, mac, MAC_BYTES);
	memcpy(&ethernet->src_addr, side->mac, MAC_BYTES);
	forward_frame(worker, to, mbuf);
}

/* Turns an echo request's IP header round; the answer sets out with a fresh TTL. */
static void
turn_round(struct rte_ether_hdr *ethernet, const struct pfplane_facts *facts)
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

/* Answers a ping of one of our own addresses, in place. Other packets to us are not ours to answer. */
static void
receive_own(struct worker *worker, enum side from, struct rte_mbuf *mbuf, const struct pfplane_facts *facts)
{
	struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(mbuf, struct rte_ether_hdr *);
	uint8_t *icmp = rte_pktmbuf_mtod_offset(mbuf, uint8_t *, facts->l4_offset);
	bool v6 = facts->family == 6;
	uint8_t request = v6 ? ECHO6_REQUEST : ECHO_REQUEST, reply = v6 ? ECHO6_REPLY : ECHO_REPLY;
	uint16_t checksum;
	uint32_t sum;

	if (facts->proto != (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) || facts->icmp_error || icmp[0] != request ||
	    !address_is_routable(facts->family, facts->source)) {
		drop_counted(mbuf, &worker->counters.blocked);
		return;
	}
	icmp[0] = reply;
	memcpy(&checksum, icmp + 2, sizeof(checksum));
	sum = (uint16_t)~rte_be_to_cpu_16(checksum) + (uint32_t)(uint16_t) ~(request << 8) + (uint32_t)(reply << 8);
	sum = (sum & 0xffff) + (sum >> 16);
	checksum = rte_cpu_to_be_16((uint16_t) ~(sum + (sum >> 16)));
	memcpy(icmp + 2, &checksum, sizeof(checksum));
	turn_round(ethernet, facts);
	ethernet->dst_addr = ethernet->src_addr;
	memcpy(&ethernet->src_addr, worker->firewall->side[from].arguments->mac, MAC_BYTES);
	count(&worker->counters.answered, 1);
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

/* To the lane that owns the packet's key. */
static void
hand_on(struct worker *worker, enum side from, struct rte_mbuf *mbuf, uint16_t lane)
{
	count(&worker->counters.handed_off, 1);
	hand_over(worker, worker->firewall->workers[lane].handed_off, from, mbuf);
}

/* Makes the state of a new connection that the rules let pass. The library writes new addresses into the frame when the
 * options say so, and it is routed by those. False when the frame was refused; else it is taken over. */
static bool
admit(struct worker *worker, enum side from, struct rte_mbuf *mbuf, const struct pfplane_burst *burst,
      struct pfplane_state_options *options, struct pfplane_verdict *verdict)
{
	if (pfplane_lane_state_create_mbuf(worker->lane, burst, mbuf, options, verdict) != PFPLANE_OK)
		return false;
	count(&worker->counters.other_family, verdict->moved != 0);
	switch (verdict->action) {
	case PFPLANE_PASS: forward_one(worker, other(from), mbuf); return true;
	case PFPLANE_HELD: defer_hold(worker, from, mbuf, verdict->slot); return true;
	case PFPLANE_HANDOFF: hand_on(worker, from, mbuf, verdict->lane); return true;
	default: return false;
	}
}

/* A packet without a state: to us, or for the rules to decide. */
static void
judge_new(struct worker *worker, enum side from, struct rte_mbuf *mbuf, const struct pfplane_burst *burst)
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
		pfplane_state_options_init(&options, sizeof(options));
		pass = rules_pass(&firewall->rules, &facts, burst->direction, &options.rule);
		rule = pass && options.rule != UINT32_MAX ? &firewall->rules.rule[options.rule] : NULL;
		destination.family = facts.family;
		memcpy(destination.bytes, facts.destination, 16);
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
		if (pass && admit(worker, from, mbuf, burst, &options, &verdict))
			return;
	}
	journal_refused(worker, from, mbuf, &verdict, burst);
	drop_counted(mbuf, verdict.reason == PFPLANE_REASON_TRANSLATION ? &worker->counters.untranslatable
	                                                                : &worker->counters.blocked);
}

/* pf's answer to a refused SYN or a stale segment goes back where that came from, in its buffer. */
static bool
answer_refused(struct worker *worker, enum side from, struct rte_mbuf *mbuf, const struct pfplane_verdict *verdict,
               const struct pfplane_burst *burst)
{
	struct pfplane_packet packet = {.data = rte_pktmbuf_mtod(mbuf, uint8_t *), .length = mbuf->data_len,
	                                .packet_length = mbuf->pkt_len};
	uint8_t answer[PFPLANE_ANSWER_MAX];
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
act(struct worker *worker, enum side from, struct rte_mbuf *mbuf, const struct pfplane_verdict *verdict,
    const struct pfplane_burst *burst)
{
	_Atomic uint64_t *why = &worker->counters.dropped;

	count(&worker->counters.other_family, verdict->moved != 0);
	switch (verdict->action) {
	case PFPLANE_PASS: forward_one(worker, other(from), mbuf); return;
	case PFPLANE_NEW: judge_new(worker, from, mbuf, burst); return;
	case PFPLANE_HELD: defer_hold(worker, from, mbuf, verdict->slot); return;
	case PFPLANE_HANDOFF:
		hand_on(worker, from, mbuf, verdict->lane);
		return;
	case PFPLANE_FRAGMENT: why = &worker->counters.fragments; break;
	case PFPLANE_DROP:
		journal_refused(worker, from, mbuf, verdict, burst);
		if (answer_refused(worker, from, mbuf, verdict, burst))
			return;
		if (verdict->reason == PFPLANE_REASON_TRANSLATION)
			why = &worker->counters.untranslatable;
		break;
	default: break;
	}
	drop_counted(mbuf, why);
}

/* Whether the frame is for us to forward: sent to our shared Ethernet address, without a VLAN tag. */
static bool
is_ours(const struct side_arguments *side, struct rte_mbuf *mbuf)
{
	const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *);

	if (mbuf->data_len < sizeof(*ethernet) || memcmp(&ethernet->dst_addr, side->mac, MAC_BYTES) != 0)
		return false;
	return ethernet->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4) ||
	       ethernet->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6);
}

/* Takes out what is not for the table; what is left stays in order. */
static uint16_t
sort_out(struct worker *worker, enum side from, struct rte_mbuf **mbufs, uint16_t total)
{
	struct firewall *firewall = worker->firewall;
	bool master = atomic_load_explicit(&firewall->master, memory_order_relaxed);
	uint16_t kept = 0;

	for (uint16_t i = 0; i < total; i++) {
		struct rte_mbuf *mbuf = mbufs[i];

		if (neighbour_is(mbuf)) {
			if (worker->index == 0)
				neighbour_receive(worker, (uint8_t)from, mbuf);
			else
				hand_over(worker, firewall->for_neighbours, from, mbuf);
		} else if (!master) {
			drop_counted(mbuf, &worker->counters.not_master);
		} else if (!is_ours(firewall->side[from].arguments, mbuf)) {
			drop_counted(mbuf, &worker->counters.not_ours);
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
	uint16_t kept = sort_out(worker, from, mbufs, total);

	if (kept == 0)
		return;
	if (pfplane_lane_lookup_mbufs(worker->lane, &burst, mbufs, kept, verdicts) != PFPLANE_OK) {
		count(&worker->counters.dropped, kept);
		rte_pktmbuf_free_bulk(mbufs, kept);
		return;
	}
	for (uint16_t i = 0; i < kept; i++)
		act(worker, from, mbufs[i], &verdicts[i], &burst);
}
