/* Two firewalls in one process, joined by rings instead of wires. */
#ifndef DPDK_PAIR_SELFTEST_H
#define DPDK_PAIR_SELFTEST_H

#include <pfplane.h>

struct rte_mempool;

/* Opens connections through the first firewall and continues them through the second. Returns the exit status. */
int selftest(struct rte_mempool *pool);

/* Gives a port one queue per lane in each direction, and starts it. */
void start_port(uint16_t port, struct rte_mempool *pool, const pfplane_engine *engine);

#endif
