/* A firewall on DPDK: the part to copy into an application. Every verdict of the library has its case here.
 *
 * The firewall is a bump in the wire: it forwards frames unchanged from one side to the other. Connections may be opened
 * from the inside only. */
#include "node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>

enum { INBOX_PACKETS = 1024, STATES_PER_LANE = 65536, MAX_DEFER_MS = 20 };

void
check(int32_t status, const char *what)
{
	if (status == PFPLANE_OK)
		return;
	fprintf(stderr, "dpdk-pair: %s: %s: %s\n", what, pfplane_status_text(status), pfplane_last_error());
	exit(1);
}

void
node_create(struct node *node, uint8_t number, struct rte_mempool *pool)
{
	struct pfplane_config config;
	struct pfplane_peer peer;
	char name[RTE_RING_NAMESIZE];

	if (pfplane_abi_version() != PFPLANE_ABI_VERSION) {
		fprintf(stderr, "dpdk-pair: compiled for another version of pfplane\n");
		exit(1);
	}
	check(pfplane_peer_init(&peer, sizeof(peer)), "peer");
	peer.source.family = 4;
	memcpy(peer.source.bytes, (const uint8_t[4]){192, 0, 2, number}, 4);
	/* Frames go to pfsync's multicast group, with an Ethernet header. */
	peer.ethernet = 1;
	memcpy(peer.ethernet_source, (const uint8_t[6]){2, 0, 0, 0, 0, number}, 6);

	check(pfplane_config_init(&config, sizeof(config)), "config");
	config.lanes = LANES;
	config.states_per_lane = STATES_PER_LANE;
	config.max_defer_ms = MAX_DEFER_MS;
	config.peers = &peer;
	config.peer_count = 1;
	check(pfplane_engine_new(&config, &node->engine), "engine");

	node->pool = pool;
	for (uint16_t i = 0; i < LANES; i++) {
		struct worker *worker = &node->worker[i];

		worker->node = node;
		worker->index = i;
		check(pfplane_engine_lane(node->engine, i, &worker->lane), "lane");
		snprintf(name, sizeof(name), "inbox_%u_%u", number, i);
		/* Several lanes put packets in, one takes them out. */
		worker->inbox = rte_ring_create(name, INBOX_PACKETS, SOCKET_ID_ANY, RING_F_SC_DEQ);
		if (worker->inbox == NULL) {
			fprintf(stderr, "dpdk-pair: no memory for an inbox\n");
			exit(1);
		}
	}
}

/* Sends a packet; a port that does not take it costs the packet. */
static void
send_to(struct worker *worker, enum port to, struct rte_mbuf *mbuf)
{
	if (rte_eth_tx_burst(worker->node->port[to], worker->index, &mbuf, 1) == 1) {
		worker->passed++;
		return;
	}
	worker->dropped++;
	rte_pktmbuf_free(mbuf);
}

static void
drop(struct worker *worker, struct rte_mbuf *mbuf)
{
	worker->dropped++;
	rte_pktmbuf_free(mbuf);
}

/* pf answers some of the TCP packets that it drops, so that clients can use their ports again. */
static void
answer(struct worker *worker, const struct pfplane_burst *burst, struct rte_mbuf *mbuf, enum port from,
       const struct pfplane_verdict *verdict)
{
	const struct pfplane_packet packet = {.data = rte_pktmbuf_mtod(mbuf, uint8_t *), .length = mbuf->data_len,
	                                      .packet_length = mbuf->pkt_len};
	uint8_t bytes[PFPLANE_MAX_ANSWER];
	struct rte_mbuf *reply;
	uint32_t length;
	void *data;

	check(pfplane_lane_answer(worker->lane, burst, &packet, verdict, bytes, sizeof(bytes), &length), "answer");
	if (length == 0 || (reply = rte_pktmbuf_alloc(worker->node->pool)) == NULL)
		return;
	if ((data = rte_pktmbuf_append(reply, (uint16_t)length)) == NULL) {
		rte_pktmbuf_free(reply);
		return;
	}
	memcpy(data, bytes, length);
	send_to(worker, from, reply);
}

/* The host's rules: whoever is inside may open connections. pfplane_packet_facts has what real rules ask for. */
static bool
rules_pass(enum port from)
{
	return from == INSIDE;
}

/* Does what the verdict says. The mbuf is gone afterwards: sent, freed, held, or in another lane's inbox. */
static void
act(struct worker *worker, const struct pfplane_burst *burst, struct rte_mbuf *mbuf, enum port from,
    struct pfplane_verdict verdict)
{
	if (verdict.action == PFPLANE_NOT_CONTIGUOUS && rte_pktmbuf_linearize(mbuf) == 0)
		check(pfplane_lane_lookup_mbufs(worker->lane, burst, &mbuf, 1, &verdict), "second lookup");
	/* Creating a state gives another verdict, often PFPLANE_PASS, with a peer PFPLANE_HELD. */
	if (verdict.action == PFPLANE_NEW && rules_pass(from))
		check(pfplane_lane_state_create_mbuf(worker->lane, burst, mbuf, NULL, &verdict), "create");

	switch (verdict.action) {
	case PFPLANE_PASS:
		send_to(worker, from == INSIDE ? OUTSIDE : INSIDE, mbuf);
		return;
	case PFPLANE_HANDOFF:
		/* mbuf->port tells the other lane where the packet came from. */
		worker->handed_off++;
		if (rte_ring_enqueue(worker->node->worker[verdict.lane].inbox, mbuf) != 0)
			drop(worker, mbuf);
		return;
	case PFPLANE_HELD:
		/* Until the peer has the state; see release(). A lane that holds too many sends the packet at once. */
		if (pfplane_lane_hold(worker->lane, verdict.slot, (uintptr_t)mbuf) == PFPLANE_OK)
			worker->held++;
		else
			send_to(worker, from == INSIDE ? OUTSIDE : INSIDE, mbuf);
		return;
	case PFPLANE_DROP:
		answer(worker, burst, mbuf, from, &verdict);
		drop(worker, mbuf);
		return;
	case PFPLANE_NEW:           /* the rules do not pass it */
	case PFPLANE_SYNC:          /* pfsync belongs on the sync port */
	case PFPLANE_NOT_IP:        /* a router handles ARP here */
	case PFPLANE_FRAGMENT:      /* a router reassembles, then calls pfplane_lane_lookup_facts */
	case PFPLANE_NOT_CONTIGUOUS: /* could not be made contiguous */
	case PFPLANE_NOT_WRITABLE:  /* only with translation: copy the mbuf and repeat */
	default:
		drop(worker, mbuf);
	}
}

/* Looks up packets that came from one side, and does what the verdicts say. */
static void
process(struct worker *worker, enum port from, struct rte_mbuf **mbufs, uint16_t count, uint64_t now_ns)
{
	const struct pfplane_burst burst = {.size = sizeof(burst), .direction = from == INSIDE ? PFPLANE_IN : PFPLANE_OUT,
	                                    .link = PFPLANE_LINK_ETHERNET, .now_ns = now_ns};
	struct pfplane_verdict verdicts[BURST];

	check(pfplane_lane_lookup_mbufs(worker->lane, &burst, mbufs, count, verdicts), "lookup");
	for (uint16_t i = 0; i < count; i++)
		act(worker, &burst, mbufs[i], from, verdicts[i]);
}

/* Sends held packets whose states a peer has by now, or whose time is over. `all`: frees all held packets instead. */
static void
release(struct worker *worker, uint64_t now_ns, bool all)
{
	uint64_t handles[BURST];
	uint32_t count;

	do {
		check(pfplane_lane_release(worker->lane, now_ns, all, handles, BURST, &count), "release");
		for (uint32_t i = 0; i < count; i++) {
			struct rte_mbuf *mbuf = (struct rte_mbuf *)(uintptr_t)handles[i];

			if (all)
				rte_pktmbuf_free(mbuf);
			else
				send_to(worker, mbuf->port == worker->node->port[INSIDE] ? OUTSIDE : INSIDE, mbuf);
		}
	} while (count == BURST);
}

/* Sends the pfsync frames that are due; what the port does not take is requeued. */
static void
flush(struct worker *worker, uint64_t now_ns)
{
	struct rte_mbuf *frames[BURST];
	uint32_t count;
	uint16_t sent;

	do {
		check(pfplane_lane_flush_mbufs(worker->lane, now_ns, worker->node->pool, frames, BURST, &count), "flush");
		sent = rte_eth_tx_burst(worker->node->port[SYNC], worker->index, frames, (uint16_t)count);
		if (sent < count) {
			check(pfplane_lane_requeue_mbufs(worker->lane, frames + sent, count - sent, now_ns), "requeue");
			rte_pktmbuf_free_bulk(frames + sent, count - sent);
		}
	} while (count == BURST && sent == count);
}

void
worker_turn(struct worker *worker, uint64_t now_ns)
{
	const struct node *node = worker->node;
	struct rte_mbuf *mbufs[BURST];
	uint16_t count;
	int32_t status;

	for (enum port side = INSIDE; side <= OUTSIDE; side++) {
		count = rte_eth_rx_burst(node->port[side], worker->index, mbufs, BURST);
		for (uint16_t i = 0; i < count; i++)
			mbufs[i]->port = node->port[side];
		process(worker, side, mbufs, count, now_ns);
	}
	/* What other lanes have handed to this one. */
	count = (uint16_t)rte_ring_dequeue_burst(worker->inbox, (void **)mbufs, BURST, NULL);
	for (uint16_t i = 0; i < count; i++)
		process(worker, mbufs[i]->port == node->port[INSIDE] ? INSIDE : OUTSIDE, &mbufs[i], 1, now_ns);
	/* Lane 0 receives all pfsync frames; the library passes states on to the lanes that own them. */
	if (worker->index == 0) {
		count = rte_eth_rx_burst(node->port[SYNC], 0, mbufs, BURST);
		status = pfplane_lane_receive_mbufs(worker->lane, mbufs, count, now_ns);
		if (status != PFPLANE_ERROR_FULL) /* a statistic counts what was lost, and it is requested again */
			check(status, "receive");
		rte_pktmbuf_free_bulk(mbufs, count);
	}
	check(pfplane_lane_poll(worker->lane, now_ns), "poll");
	release(worker, now_ns, false);
	flush(worker, now_ns);
}

void
node_free(struct node *node, uint64_t now_ns)
{
	struct rte_mbuf *mbuf;

	for (unsigned int i = 0; i < LANES; i++) {
		release(&node->worker[i], now_ns, true);
		while (rte_ring_dequeue(node->worker[i].inbox, (void **)&mbuf) == 0)
			rte_pktmbuf_free(mbuf);
		rte_ring_free(node->worker[i].inbox);
	}
	pfplane_engine_free(node->engine);
}
