/* Sends frames: the way to the next hop, and the buffers of the ports. */
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>

#include "firewall.h"

void
drop_counted(struct rte_mbuf *mbuf, _Atomic uint64_t *counter)
{
	count(counter, 1);
	rte_pktmbuf_free(mbuf);
}

void
enqueue_to(struct worker *worker, struct rte_ring *ring, enum side side, struct rte_mbuf *mbuf)
{
	/* Not every driver sets the ingress port, and none can know the egress port. */
	mbuf->port = worker->firewall->side[side].port;
	if (rte_ring_enqueue(ring, mbuf) == 0)
		return;
	drop_counted(mbuf, &worker->counters.ring_full);
}

static uint16_t
transmit(struct worker *worker, enum side to, struct rte_mbuf **mbufs, uint16_t total)
{
	struct side_state *side = &worker->firewall->side[to];
	uint16_t queue = (uint16_t)(worker->index % side->queues), sent;
	bool shared = side->queues < worker->firewall->lanes;

	if (shared)
		rte_spinlock_lock(&side->tx_lock[queue]);
	sent = rte_eth_tx_burst(side->port, queue, mbufs, total);
	if (shared)
		rte_spinlock_unlock(&side->tx_lock[queue]);
	return sent;
}

/* Makes the port's own Ethernet address the source of frames that have the shared one: this node hands over, and switches must not
 * send the next master's traffic here again. */
static void
use_own_mac(struct worker *worker, enum side to)
{
	const struct side_state *side = &worker->firewall->side[to];
	struct tx_buffer *buffer = &worker->tx[to];

	for (unsigned int i = 0; i < buffer->count; i++) {
		struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(buffer->mbufs[i], struct rte_ether_hdr *);

		for (int family = 0; family < 2; family++)
			if (memcmp(&ethernet->src_addr, side->shared_mac[family], MAC_BYTES) == 0)
				memcpy(&ethernet->src_addr, side->own_mac, MAC_BYTES);
	}
}

static void
send_buffer(struct worker *worker, enum side to)
{
	struct tx_buffer *buffer = &worker->tx[to];
	const pfplane_election *election = worker->firewall->election.handle;
	uint64_t now = now_ns();
	uint16_t sent;

	if (buffer->count == 0)
		return;
	exposure_update(worker, now);
	/* This process may have been stopped since the frames were received. */
	if (election != NULL && !pfplane_election_may_forward(election, now)) {
		count(&worker->counters.lease_ended, buffer->count);
		rte_pktmbuf_free_bulk(buffer->mbufs, buffer->count);
		buffer->count = 0;
		return;
	}
	if (election != NULL && !pfplane_election_may_use_virtual_mac(election, now))
		use_own_mac(worker, to);
	sent = transmit(worker, to, buffer->mbufs, buffer->count);
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

bool
forward_now(struct worker *worker, enum side to, struct rte_mbuf *mbuf)
{
	if (transmit(worker, to, &mbuf, 1) == 1)
		return true;
	drop_counted(mbuf, &worker->counters.tx_full);
	return false;
}

struct address
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

/* Finds the next hop to `destination` on a side. Returns false when there is no route. */
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

/* Decrements the TTL or hop limit and updates the IPv4 checksum (RFC 1624). */
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
	/* A checksum of 0xffff is avoided: senders write zero as 0. */
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
			enqueue_to(worker, firewall->to_resolve, to, mbuf);
		}
		return;
	}
	if (ttl_of(mbuf) <= 1) {
		drop_counted(mbuf, &worker->counters.expired_ttl);
		return;
	}
	decrement_ttl(mbuf);
	memcpy(&ethernet->dst_addr, mac, MAC_BYTES);
	memcpy(&ethernet->src_addr, firewall->side[to].shared_mac[destination.family == 6], MAC_BYTES);
	forward_frame(worker, to, mbuf);
}
