/* Starts one firewall of a pair on real ports, or tests a pair of them over rings (--selftest). node.c is the firewall.
 *
 *   dpdk-pair -l 1-2 -a PCI -a PCI -a PCI -- NUMBER     ports in the order inside, outside, sync; NUMBER 1 or 2
 *   dpdk-pair -l 0 --no-huge -m 256 --no-pci -- --selftest */
#include "node.h"
#include "selftest.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>

enum { MBUFS = 16383, CACHE = 250, DESCRIPTORS = 1024, RSS_KEY_BYTES = 40, RSS_TABLE = 128 };

static volatile sig_atomic_t stopped;

static void
stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void
fail(const char *text)
{
	fprintf(stderr, "dpdk-pair: %s\n", text);
	exit(1);
}

/* Lets a port that can spread packets over its queues choose the same lanes as the engine. Without it everything works
 * too, by handing packets over. */
static void
steer(uint16_t port, const struct rte_eth_dev_info *info, const pfplane_engine *engine)
{
	struct rte_eth_rss_reta_entry64 table[RSS_TABLE / RTE_ETH_RETA_GROUP_SIZE];
	uint8_t key[RSS_KEY_BYTES], lanes[RSS_TABLE];
	struct rte_eth_rss_conf hash = {.rss_key = key, .rss_key_len = sizeof(key),
	                                .rss_hf = info->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP |
	                                                                          RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP)};

	check(pfplane_engine_steering(engine, key, lanes), "steering");
	if (hash.rss_hf == 0 || info->reta_size != RSS_TABLE || info->hash_key_size != RSS_KEY_BYTES)
		return;
	for (size_t i = 0; i < RSS_TABLE; i++) {
		table[i / RTE_ETH_RETA_GROUP_SIZE].mask = UINT64_MAX;
		table[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = lanes[i];
	}
	if (rte_eth_dev_rss_hash_update(port, &hash) != 0 || rte_eth_dev_rss_reta_update(port, table, RSS_TABLE) != 0)
		fprintf(stderr, "dpdk-pair: port %u is not steered\n", port);
}

/* Gives a port one queue per lane in each direction, and starts it. */
void
start_port(uint16_t port, struct rte_mempool *pool, const pfplane_engine *engine)
{
	const struct rte_eth_conf conf = {.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE};
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(port, &info) != 0 || rte_eth_dev_configure(port, LANES, LANES, &conf) != 0)
		fail("a port cannot be configured with one queue per lane");
	for (uint16_t queue = 0; queue < LANES; queue++)
		if (rte_eth_rx_queue_setup(port, queue, DESCRIPTORS, (unsigned int)SOCKET_ID_ANY, NULL, pool) != 0 ||
		    rte_eth_tx_queue_setup(port, queue, DESCRIPTORS, (unsigned int)SOCKET_ID_ANY, NULL) != 0)
			fail("a port's queue cannot be set up");
	if (rte_eth_dev_start(port) != 0)
		fail("a port cannot be started");
	if (rte_eth_promiscuous_enable(port) != 0)
		fprintf(stderr, "dpdk-pair: port %u is not promiscuous\n", port);
	steer(port, &info, engine);
}

static uint64_t
now_ns(void)
{
	const uint64_t cycles = rte_get_timer_cycles(), hz = rte_get_timer_hz();

	return cycles / hz * NS_PER_S + cycles % hz * NS_PER_S / hz;
}

static int
run(void *argument)
{
	while (!stopped)
		worker_turn(argument, now_ns());
	return 0;
}

/* A firewall on real ports, one lane per worker lcore, until a signal. */
static int
run_node(uint8_t number, struct rte_mempool *pool)
{
	static struct node node;
	unsigned int started = 0;

	if (rte_eth_dev_count_avail() < PORTS || rte_lcore_count() < LANES + 1)
		fail("three ports and three lcores are needed: the first lcore waits, each other one runs a lane");
	node_create(&node, number, pool);
	for (uint16_t port = 0; port < PORTS; port++) {
		node.port[port] = port;
		start_port(port, pool, node.engine);
	}
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	for (unsigned int lcore = 0; lcore < RTE_MAX_LCORE && started < LANES; lcore++) {
		if (!rte_lcore_is_enabled(lcore) || lcore == rte_get_main_lcore())
			continue;
		if (rte_eal_remote_launch(run, &node.worker[started++], lcore) != 0)
			fail("a lane cannot be started");
	}
	rte_eal_mp_wait_lcore();
	for (unsigned int i = 0; i < LANES; i++)
		printf("lane %u: %" PRIu64 " passed, %" PRIu64 " dropped, %" PRIu64 " handed off, %" PRIu64 " held\n", i, node.worker[i].passed,
		       node.worker[i].dropped, node.worker[i].handed_off, node.worker[i].held);
	node_free(&node, now_ns());
	return 0;
}

int
main(int count, char **arguments)
{
	const int used = rte_eal_init(count, arguments);
	struct rte_mempool *pool;
	int status;

	if (used < 0)
		return 1;
	pool = rte_pktmbuf_pool_create("packets", MBUFS, CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool == NULL)
		fail("no memory for mbufs");
	if (used + 2 != count)
		fail("usage: dpdk-pair EAL-OPTIONS -- 1|2|--selftest");
	if (strcmp(arguments[used + 1], "--selftest") == 0)
		status = selftest(pool);
	else
		status = run_node((uint8_t)atoi(arguments[used + 1]), pool);
	return rte_eal_cleanup() == 0 ? status : 1;
}
