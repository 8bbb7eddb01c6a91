/* One firewall of the pair: two lanes between an inside and an outside port, and a sync port to the peer. */
#ifndef DPDK_PAIR_NODE_H
#define DPDK_PAIR_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <pfplane.h>

enum { LANES = 2, BURST = 64 };
enum port { INSIDE, OUTSIDE, SYNC, PORTS };

/* What one core works with. Nothing in it is shared but `inbox`, which other lanes fill. */
struct worker {
	struct node *node;
	pfplane_lane *lane;
	uint16_t index;
	struct rte_ring *inbox;
	uint64_t passed, dropped, handed_off, held;
};

struct node {
	pfplane_engine *engine;
	struct rte_mempool *pool;
	uint16_t port[PORTS];
	struct worker worker[LANES];
};

/* Ends the program, with the library's reason, unless `status` is PFPLANE_OK. */
void check(int32_t status, const char *what);

/* Creates the engine and the lanes' inboxes. `number` is the last byte of the node's address on the sync link. */
void node_create(struct node *node, uint8_t number, struct rte_mempool *pool);

/* Frees what the node holds: held packets, packets in inboxes, the engine. No worker may run. */
void node_free(struct node *node, uint64_t now_ns);

/* One turn of a lane's core. `now_ns` is the same clock for all lanes of a node. */
void worker_turn(struct worker *worker, uint64_t now_ns);

#endif
