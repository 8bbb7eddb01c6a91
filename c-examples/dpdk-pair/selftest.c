/* The self-test: connections are opened through firewall A, then their packets come through firewall B, and pass. */
#include "selftest.h"
#include "node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

enum { CONNECTIONS = 8, WIRE_FRAMES = 1024 };

/* Both directions of one port's wire. */
struct wire {
	struct rte_ring *to_node, *from_node;
};

/* The test's clock; one turn of all lanes takes a millisecond of it. */
static uint64_t now_ns = 1;

static void
require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "dpdk-pair: self-test: %s\n", what);
	exit(1);
}

static struct rte_ring *
ring(const char *node, const char *port, const char *direction)
{
	char name[RTE_RING_NAMESIZE];
	struct rte_ring *made;

	snprintf(name, sizeof(name), "%s_%s_%s", node, port, direction);
	made = rte_ring_create(name, WIRE_FRAMES, SOCKET_ID_ANY, 0);
	require(made != NULL, "no memory for a ring");
	return made;
}

/* Makes a port of two rings. Both queues of a direction use the same one, so that a lane gets packets of the other. */
static uint16_t
connect_port(const char *name, struct wire wire, struct rte_mempool *pool, const pfplane_engine *engine)
{
	struct rte_ring *rx[LANES] = {wire.to_node, wire.to_node}, *tx[LANES] = {wire.from_node, wire.from_node};
	const int port = rte_eth_from_rings(name, rx, LANES, tx, LANES, 0);

	require(port >= 0, "a ring port cannot be made");
	start_port((uint16_t)port, pool, engine);
	return (uint16_t)port;
}

/* Creates a firewall; returns the wires of its inside and its outside. */
static void
start_node(struct node *node, uint8_t number, struct rte_mempool *pool, struct wire sync, struct wire side[2])
{
	static const char *const names[2][PORTS] = {{"a_in", "a_out", "a_sync"}, {"b_in", "b_out", "b_sync"}};
	const char *letter = number == 1 ? "a" : "b";

	node_create(node, number, pool);
	for (unsigned int i = INSIDE; i <= OUTSIDE; i++) {
		side[i].to_node = ring(letter, i == INSIDE ? "in" : "out", "rx");
		side[i].from_node = ring(letter, i == INSIDE ? "in" : "out", "tx");
		node->port[i] = connect_port(names[number - 1][i], side[i], pool, node->engine);
	}
	node->port[SYNC] = connect_port(names[number - 1][SYNC], sync, pool, node->engine);
}

static void
run(struct node *nodes, unsigned int milliseconds)
{
	for (unsigned int n = 0; n < milliseconds; n++) {
		now_ns += 1000000;
		for (unsigned int node = 0; node < 2; node++)
			for (unsigned int lane = 0; lane < LANES; lane++)
				worker_turn(&nodes[node].worker[lane], now_ns);
	}
}

/* Puts a TCP segment of connection `n` on a wire. Its checksums are not filled in: the firewall does not check them. */
static void
put(struct wire wire, struct rte_mempool *pool, unsigned int n, bool from_client, uint8_t flags, uint32_t seq, uint32_t ack)
{
	const rte_be32_t client = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 1)), server = rte_cpu_to_be_32(RTE_IPV4(10, 9, 0, 1));
	const rte_be16_t client_port = rte_cpu_to_be_16((uint16_t)(4000 + n)), server_port = rte_cpu_to_be_16(443);
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
	const struct rte_ether_hdr ethernet = {.ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)};
	const struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF, .total_length = rte_cpu_to_be_16(40),
	                                .time_to_live = 64, .next_proto_id = IPPROTO_TCP,
	                                .src_addr = from_client ? client : server, .dst_addr = from_client ? server : client};
	const struct rte_tcp_hdr tcp = {.src_port = from_client ? client_port : server_port,
	                                .dst_port = from_client ? server_port : client_port,
	                                .sent_seq = rte_cpu_to_be_32(seq), .recv_ack = rte_cpu_to_be_32(ack),
	                                .data_off = 0x50, .tcp_flags = flags, .rx_win = 0xffff};
	char *data;

	require(mbuf != NULL, "no mbuf");
	data = rte_pktmbuf_append(mbuf, sizeof(ethernet) + sizeof(ip) + sizeof(tcp));
	require(data != NULL, "an mbuf is too small");
	memcpy(data, &ethernet, sizeof(ethernet));
	memcpy(data + sizeof(ethernet), &ip, sizeof(ip));
	memcpy(data + sizeof(ethernet) + sizeof(ip), &tcp, sizeof(tcp));
	require(rte_ring_enqueue(wire.to_node, mbuf) == 0, "a ring is full");
}

/* Takes all frames from a wire, and counts them. */
static unsigned int
take(struct wire wire)
{
	struct rte_mbuf *mbuf;
	unsigned int count = 0;

	while (rte_ring_dequeue(wire.from_node, (void **)&mbuf) == 0) {
		rte_pktmbuf_free(mbuf);
		count++;
	}
	return count;
}

int
selftest(struct rte_mempool *pool)
{
	static struct node nodes[2];
	struct wire a[2], b[2];
	const struct wire sync = {.to_node = ring("ab", "sync", "rx"), .from_node = ring("ab", "sync", "tx")};
	struct node *node_a = &nodes[0], *node_b = &nodes[1];
	uint64_t handed_off, held;

	start_node(node_a, 1, pool, sync, a);
	start_node(node_b, 2, pool, (struct wire){.to_node = sync.from_node, .from_node = sync.to_node}, b);
	run(nodes, 3000);
	require(pfplane_engine_ready(node_a->engine) && pfplane_engine_ready(node_b->engine), "the nodes are not ready");

	for (unsigned int n = 0; n < CONNECTIONS; n++)
		put(a[INSIDE], pool, n, true, RTE_TCP_SYN_FLAG, 1000, 0);
	run(nodes, 100);
	require(take(a[OUTSIDE]) == CONNECTIONS, "a SYN did not pass");
	for (unsigned int n = 0; n < CONNECTIONS; n++)
		put(a[OUTSIDE], pool, n, false, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, 5000, 1001);
	run(nodes, 10);
	for (unsigned int n = 0; n < CONNECTIONS; n++)
		put(a[INSIDE], pool, n, true, RTE_TCP_ACK_FLAG, 1001, 5001);
	run(nodes, 2000);
	require(take(a[INSIDE]) == CONNECTIONS && take(a[OUTSIDE]) == CONNECTIONS, "an answer did not pass");
	handed_off = node_a->worker[0].handed_off + node_a->worker[1].handed_off;
	held = node_a->worker[0].held + node_a->worker[1].held;
	require(handed_off > 0 && held == CONNECTIONS, "nothing was handed off, or a first packet was not held");
	printf("A: %d connections opened, %" PRIu64 " packets handed off, %" PRIu64 " held until B had their state\n", CONNECTIONS,
	       handed_off, held);

	/* From here on, packets come through B, as if A had died. One is of no connection. */
	for (unsigned int n = 0; n <= CONNECTIONS; n++)
		put(b[OUTSIDE], pool, n, false, RTE_TCP_ACK_FLAG, 5001, 1001);
	run(nodes, 10);
	require(take(b[INSIDE]) == CONNECTIONS, "B does not continue A's connections");
	require(node_b->worker[0].dropped + node_b->worker[1].dropped == 1, "B passed a packet of no connection");
	printf("B: all %d connections continue, a packet of none is dropped\n", CONNECTIONS);

	node_free(node_a, now_ns);
	node_free(node_b, now_ns);
	take(sync);
	take((struct wire){.from_node = sync.to_node});
	for (uint16_t port = 0; port < 2 * PORTS; port++)
		require(rte_eth_dev_stop(port) == 0, "a port does not stop");
	require(rte_mempool_in_use_count(pool) == 0, "an mbuf was lost");
	printf("all mbufs are back in the pool\n");
	return 0;
}
