/* The DPDK ports: found, set up, started; and whether the sync port has a link. */
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firewall.h"

#define DESCRIPTORS 1024
#define MAX_KEY 64
/* What the engine's hash is over: addresses, and ports where there are any. */
#define STEERED (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP)

static const char *const side_names[SIDES] = {"inside", "outside"};

static bool
start(const char *name, uint16_t port, uint16_t wanted, struct rte_mempool *pool, uint16_t *queues_out)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	uint16_t queues, rx = DESCRIPTORS, tx = DESCRIPTORS;
	int status;

	memset(&conf, 0, sizeof(conf));
	if (!rte_eth_dev_is_valid_port(port)) {
		fprintf(stderr, "ha-firewall: --%s %u: there is no such port; DPDK found %u\n", name, port,
		        rte_eth_dev_count_avail());
		return false;
	}
	if (rte_eth_dev_info_get(port, &info) != 0) {
		fprintf(stderr, "ha-firewall: --%s %u: the port does not say what it can\n", name, port);
		return false;
	}
	queues = info.max_rx_queues < info.max_tx_queues ? info.max_rx_queues : info.max_tx_queues;
	if (queues > wanted)
		queues = wanted;
	if (queues == 0) {
		fprintf(stderr, "ha-firewall: --%s %u (%s): the port cannot both receive and send\n", name, port,
		        info.driver_name);
		return false;
	}
	if (queues > 1 && (info.flow_type_rss_offloads & STEERED) != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & STEERED;
	}
	status = rte_eth_dev_configure(port, queues, queues, &conf);
	if (status == 0)
		status = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx, &tx);
	for (uint16_t queue = 0; status == 0 && queue < queues; queue++) {
		status = rte_eth_rx_queue_setup(port, queue, rx, (unsigned int)rte_eth_dev_socket_id(port), NULL, pool);
		if (status == 0)
			status = rte_eth_tx_queue_setup(port, queue, tx, (unsigned int)rte_eth_dev_socket_id(port), NULL);
	}
	if (status == 0)
		status = rte_eth_dev_start(port);
	if (status != 0) {
		fprintf(stderr, "ha-firewall: --%s %u (%s): %s\n", name, port, info.driver_name, rte_strerror(-status));
		return false;
	}
	/* Shared Ethernet addresses and groups: the port must take what is not sent to its own. A port that cannot may
	 * take everything anyway, as a virtual one does. */
	if (rte_eth_promiscuous_enable(port) != 0 && rte_eth_allmulticast_enable(port) != 0)
		fprintf(stderr, "ha-firewall: --%s %u (%s): cannot be made to take frames for other addresses\n", name,
		        port, info.driver_name);
	*queues_out = queues;
	return true;
}

static uint32_t
longest_frame(uint16_t port)
{
	uint16_t mtu;

	return rte_eth_dev_get_mtu(port, &mtu) == 0 ? mtu + (uint32_t)sizeof(struct rte_ether_hdr) : UINT32_MAX;
}

bool
ports_start(struct firewall *firewall)
{
	uint16_t sync_queues;

	for (int side = 0; side < SIDES; side++) {
		struct side_state *state = &firewall->side[side];

		state->port = state->arguments->port;
		if (!start(side_names[side], state->port, (uint16_t)firewall->lanes, firewall->pool, &state->queues))
			return false;
		state->max_frame = longest_frame(state->port);
		for (int queue = 0; queue < MAX_LANES; queue++)
			rte_spinlock_init(&state->tx_lock[queue]);
	}
	if (firewall->arguments.no_sync)
		return true;
	return start("sync", firewall->arguments.sync_port, 1, firewall->pool, &sync_queues);
}

/* Gives the port the engine's hash key and table, so that a packet arrives at its own lane. False when it takes none. */
static bool
steer(const struct side_state *side, const uint8_t key[RSS_KEY_BYTES], const uint8_t lanes[RSS_LANES])
{
	struct rte_eth_rss_reta_entry64 table[RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE];
	struct rte_eth_dev_info info;
	struct rte_eth_rss_conf hash;
	uint8_t long_key[MAX_KEY];

	if (rte_eth_dev_info_get(side->port, &info) != 0 || (info.flow_type_rss_offloads & STEERED) == 0 ||
	    info.reta_size == 0 || info.reta_size > RTE_ETH_RSS_RETA_SIZE_512 || info.hash_key_size > MAX_KEY)
		return false;
	/* The key repeats itself, for the ports that want more of it. */
	for (size_t i = 0; i < MAX_KEY; i++)
		long_key[i] = key[i % RSS_KEY_BYTES];
	memset(&hash, 0, sizeof(hash));
	hash.rss_key = long_key;
	hash.rss_key_len = info.hash_key_size != 0 ? info.hash_key_size : RSS_KEY_BYTES;
	hash.rss_hf = info.flow_type_rss_offloads & STEERED;
	memset(table, 0, sizeof(table));
	for (size_t i = 0; i < info.reta_size; i++) {
		struct rte_eth_rss_reta_entry64 *group = &table[i / RTE_ETH_RETA_GROUP_SIZE];

		group->mask |= UINT64_C(1) << (i % RTE_ETH_RETA_GROUP_SIZE);
		group->reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)(lanes[i % RSS_LANES] % side->queues);
	}
	return rte_eth_dev_rss_hash_update(side->port, &hash) == 0 &&
	       rte_eth_dev_rss_reta_update(side->port, table, info.reta_size) == 0;
}

void
ports_steer(struct firewall *firewall)
{
	uint8_t key[RSS_KEY_BYTES], lanes[RSS_LANES];

	if (firewall->lanes == 1 || pfplane_engine_steering(firewall->engine, key, lanes) != PFPLANE_OK)
		return;
	for (int side = 0; side < SIDES; side++) {
		const struct side_state *state = &firewall->side[side];
		bool steered = state->queues > 1 && steer(state, key, lanes);

		fprintf(stderr, "ha-firewall: --%s %u: %u lanes, %u queue(s), %s\n", side_names[side], state->port,
		        firewall->lanes, state->queues,
		        steered ? "the port finds the lane of a packet" : "the lanes hand on what is another's");
	}
}

static void
stop(uint16_t port, uint16_t queues)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t received;

	if (!rte_eth_dev_is_valid_port(port))
		return;
	/* Some drivers keep what nobody received, and the pool would miss it. Others make frames for ever. */
	for (uint16_t queue = 0; queue < queues; queue++) {
		for (int rounds = 0; rounds < DESCRIPTORS; rounds++) {
			received = rte_eth_rx_burst(port, queue, mbufs, BURST);
			if (received == 0)
				break;
			rte_pktmbuf_free_bulk(mbufs, received);
		}
	}
	(void)rte_eth_dev_stop(port);
	(void)rte_eth_dev_close(port);
}

void
ports_stop(struct firewall *firewall)
{
	for (int side = 0; side < SIDES; side++)
		stop(firewall->side[side].port, firewall->side[side].queues);
	if (!firewall->arguments.no_sync)
		stop(firewall->arguments.sync_port, 1);
}

/* What the kernel says of an interface; drivers on top of one do not always ask it. */
static bool
interface_runs(unsigned int index)
{
	struct ifreq request;
	bool runs = true;
	int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (socket_fd < 0)
		return true;
	memset(&request, 0, sizeof(request));
	if (if_indextoname(index, request.ifr_name) == NULL)
		runs = false;
	else if (ioctl(socket_fd, SIOCGIFFLAGS, &request) == 0)
		runs = (request.ifr_flags & IFF_RUNNING) != 0;
	close(socket_fd);
	return runs;
}

bool
ports_sync_link(const struct firewall *firewall)
{
	struct rte_eth_dev_info info;
	struct rte_eth_link link;
	uint16_t port = firewall->arguments.sync_port;

	if (rte_eth_dev_info_get(port, &info) == 0 && info.if_index != 0)
		return interface_runs(info.if_index);
	return rte_eth_link_get_nowait(port, &link) != 0 || link.link_status == RTE_ETH_LINK_UP;
}
