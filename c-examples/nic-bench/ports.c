/* The ports: one queue per lane, with RSS from the engine's key where the NIC can. */
#include "bench.h"

#include <stdio.h>
#include <string.h>

#include <rte_errno.h>

#define DESCRIPTORS 1024
#define KEY_BYTES 40
#define LANE_TABLE 128
/* What the engine hashes. */
#define STEERED (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP)

static bool
steer(uint16_t port, const struct rte_eth_dev_info *info, const struct pfplane_engine *engine)
{
	struct rte_eth_rss_reta_entry64 table[RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE];
	uint8_t key[RTE_ETH_RSS_RETA_SIZE_64], lanes[LANE_TABLE];
	struct rte_eth_rss_conf hash = {.rss_key = key, .rss_hf = info->flow_type_rss_offloads & STEERED};

	if (hash.rss_hf == 0 || info->reta_size == 0 || info->reta_size > RTE_ETH_RSS_RETA_SIZE_512 ||
	    info->hash_key_size > sizeof(key) || pfplane_engine_steering(engine, key, lanes) != PFPLANE_OK)
		return false;
	/* The key repeats every two bytes; some NICs need a longer one. */
	for (size_t i = KEY_BYTES; i < sizeof(key); i++)
		key[i] = key[i % 2];
	hash.rss_key_len = info->hash_key_size != 0 ? info->hash_key_size : KEY_BYTES;
	memset(table, 0, sizeof(table));
	for (size_t i = 0; i < info->reta_size; i++) {
		table[i / RTE_ETH_RETA_GROUP_SIZE].mask |= UINT64_C(1) << (i % RTE_ETH_RETA_GROUP_SIZE);
		table[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = lanes[i % LANE_TABLE];
	}
	return rte_eth_dev_rss_hash_update(port, &hash) == 0 &&
	       rte_eth_dev_rss_reta_update(port, table, info->reta_size) == 0;
}

static bool
start(uint16_t port, uint16_t lanes, struct rte_mempool *pool, const struct pfplane_engine *engine, bool trust_hash)
{
	const unsigned int socket = (unsigned int)rte_eth_dev_socket_id(port);
	uint16_t rx = DESCRIPTORS, tx = DESCRIPTORS;
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	bool steered;
	int status;

	memset(&conf, 0, sizeof(conf));
	if (rte_eth_dev_info_get(port, &info) != 0) {
		fprintf(stderr, "nic-bench: port %u does not report its capabilities\n", port);
		return false;
	}
	if (info.max_rx_queues < lanes || info.max_tx_queues < lanes) {
		fprintf(stderr, "nic-bench: port %u (%s) has %u receive and %u transmit queues; %u lcores need one each\n",
		        port, info.driver_name, info.max_rx_queues, info.max_tx_queues, lanes);
		return false;
	}
	if (lanes > 1 && (info.flow_type_rss_offloads & STEERED) != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & STEERED;
		conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH;
	}
	status = rte_eth_dev_configure(port, lanes, lanes, &conf);
	if (status == 0)
		status = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx, &tx);
	for (uint16_t queue = 0; status == 0 && queue < lanes; queue++) {
		status = rte_eth_rx_queue_setup(port, queue, rx, socket, NULL, pool);
		if (status == 0)
			status = rte_eth_tx_queue_setup(port, queue, tx, socket, NULL);
	}
	if (status == 0)
		status = rte_eth_dev_start(port);
	if (status != 0) {
		fprintf(stderr, "nic-bench: port %u (%s): %s\n", port, info.driver_name, rte_strerror(-status));
		return false;
	}
	steered = lanes > 1 && steer(port, &info, engine);
	if (rte_eth_promiscuous_enable(port) != 0)
		fprintf(stderr, "nic-bench: port %u (%s) receives frames for its own address only\n", port, info.driver_name);
	if (trust_hash && lanes > 1 && !steered) {
		fprintf(stderr, "nic-bench: --trust-hash: port %u (%s) does not accept the engine's key\n", port,
		        info.driver_name);
		return false;
	}
	printf("port %u: %s, %u queue(s)%s\n", port, info.driver_name, lanes, steered ? ", the engine's key" : "");
	return true;
}

/* Returns whether the port is among the first `count` ports in use. */
static bool
is_listed(const struct arguments *arguments, uint16_t port)
{
	for (uint16_t i = 0; i < arguments->port_count; i++) {
		if (arguments->ports[i] == port)
			return true;
	}
	return false;
}

bool
ports_start(const struct arguments *arguments, uint16_t lanes, struct rte_mempool *pool,
            const struct pfplane_engine *engine)
{
	for (uint16_t i = 0; i < arguments->port_count; i++) {
		if (!start(arguments->ports[i], lanes, pool, engine, arguments->trust_hash))
			return false;
	}
	return arguments->generate == NO_PORT || is_listed(arguments, arguments->generate) ||
	       start(arguments->generate, lanes, pool, engine, false);
}

/* Drains and stops a port; closing it frees its mbufs. */
static void
stop(uint16_t port, uint16_t lanes)
{
	struct rte_mbuf *mbufs[MAX_BURST];

	for (uint16_t queue = 0; queue < lanes; queue++) {
		/* A port that generates packets is never empty. */
		for (int turn = 0; turn < 1000; turn++) {
			uint16_t count = rte_eth_rx_burst(port, queue, mbufs, MAX_BURST);

			if (count == 0)
				break;
			rte_pktmbuf_free_bulk(mbufs, count);
		}
	}
	if (rte_eth_dev_stop(port) != 0)
		fprintf(stderr, "nic-bench: port %u cannot be stopped\n", port);
	rte_eth_dev_close(port);
}

void
ports_stop(const struct arguments *arguments, uint16_t lanes)
{
	for (uint16_t i = 0; i < arguments->port_count; i++)
		stop(arguments->ports[i], lanes);
	if (arguments->generate != NO_PORT && !is_listed(arguments, arguments->generate))
		stop(arguments->generate, lanes);
}
