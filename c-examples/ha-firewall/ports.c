/* The DPDK ports: configuration, start, steering, stop, link state. */
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
/* The input of the engine's hash: addresses, and ports if there are any. */
#define STEERED (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP)

static const char *const side_names[SIDES] = {"inside", "outside"};

/* Configures the queues of a port and starts it. Returns a DPDK status. */
static int
start_queues(uint16_t port, uint16_t queues, const struct rte_eth_dev_info *info, struct rte_mempool *pool)
{
	struct rte_eth_conf conf;
	uint16_t rx = DESCRIPTORS, tx = DESCRIPTORS;
	unsigned int socket = (unsigned int)rte_eth_dev_socket_id(port);
	int status;

	memset(&conf, 0, sizeof(conf));
	if (queues > 1 && (info->flow_type_rss_offloads & STEERED) != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & STEERED;
	}
	status = rte_eth_dev_configure(port, queues, queues, &conf);
	if (status == 0)
		status = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx, &tx);
	for (uint16_t queue = 0; status == 0 && queue < queues; queue++) {
		status = rte_eth_rx_queue_setup(port, queue, rx, socket, NULL, pool);
		if (status == 0)
			status = rte_eth_tx_queue_setup(port, queue, tx, socket, NULL);
	}
	return status == 0 ? rte_eth_dev_start(port) : status;
}

static bool
start(const char *name, uint16_t port, uint16_t max_queues, struct rte_mempool *pool, uint16_t *queues_out)
{
	struct rte_eth_dev_info info;
	uint16_t queues;
	int status;

	if (!rte_eth_dev_is_valid_port(port)) {
		fprintf(stderr, "ha-firewall: --%s %u: no such port; DPDK found %u\n", name, port,
		        rte_eth_dev_count_avail());
		return false;
	}
	if (rte_eth_dev_info_get(port, &info) != 0) {
		fprintf(stderr, "ha-firewall: --%s %u: the port's properties are not available\n", name, port);
		return false;
	}
	queues = info.max_rx_queues < info.max_tx_queues ? info.max_rx_queues : info.max_tx_queues;
	if (queues > max_queues)
		queues = max_queues;
	if (queues == 0) {
		fprintf(stderr, "ha-firewall: --%s %u (%s): the port cannot receive and send\n", name, port,
		        info.driver_name);
		return false;
	}
	status = start_queues(port, queues, &info, pool);
	if (status != 0) {
		fprintf(stderr, "ha-firewall: --%s %u (%s): %s\n", name, port, info.driver_name, rte_strerror(-status));
		return false;
	}
	/* The shared and multicast addresses are not the port's own. A virtual port may accept everything anyway. */
	if (rte_eth_promiscuous_enable(port) != 0 && rte_eth_allmulticast_enable(port) != 0)
		fprintf(stderr, "ha-firewall: --%s %u (%s): cannot be set to receive frames for other addresses\n", name,
		        port, info.driver_name);
	*queues_out = queues;
	return true;
}

static uint32_t
max_frame_of(uint16_t port)
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
		state->max_frame = max_frame_of(state->port);
		for (int queue = 0; queue < MAX_LANES; queue++)
			rte_spinlock_init(&state->tx_lock[queue]);
	}
	if (firewall->arguments.no_sync)
		return true;
	return start("sync", firewall->arguments.sync_port, 1, firewall->pool, &sync_queues);
}

/* Sets the engine's hash key and table on the port, so that packets arrive at their own lane. Returns false when the port
 * does not support it. */
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
	/* The key is periodic, so it can be extended for ports with a longer key. */
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
		        steered ? "the port steers packets to their lanes" : "lanes hand off packets of other lanes");
	}
}

static void
stop(uint16_t port, uint16_t queues)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t received;

	if (!rte_eth_dev_is_valid_port(port))
		return;
	/* Some drivers keep unreceived frames, which would be missing from the pool. Others generate frames forever. */
	for (uint16_t queue = 0; queue < queues; queue++) {
		for (int rounds = 0; rounds < DESCRIPTORS; rounds++) {
			received = rte_eth_rx_burst(port, queue, mbufs, BURST);
			if (received == 0)
				break;
			rte_pktmbuf_free_bulk(mbufs, received);
		}
	}
	if (rte_eth_dev_stop(port) != 0 || rte_eth_dev_close(port) != 0)
		fprintf(stderr, "ha-firewall: port %u cannot be closed\n", port);
}

void
ports_stop(struct firewall *firewall)
{
	for (int side = 0; side < SIDES; side++)
		stop(firewall->side[side].port, firewall->side[side].queues);
	if (!firewall->arguments.no_sync)
		stop(firewall->arguments.sync_port, 1);
}

/* Whether the kernel reports an interface as running; drivers on top of one do not always know. */
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
	(void)close(socket_fd);
	return runs;
}

bool
ports_link(uint16_t port)
{
	struct rte_eth_dev_info info;
	struct rte_eth_link link;

	if (rte_eth_dev_info_get(port, &info) == 0 && info.if_index != 0)
		return interface_runs(info.if_index);
	return rte_eth_link_get_nowait(port, &link) != 0 || link.link_status == RTE_ETH_LINK_UP;
}

void
ports_accept(uint16_t port, const uint8_t mac[MAC_BYTES])
{
	struct rte_ether_addr address;

	if (rte_eth_promiscuous_get(port) == 1)
		return;
	memcpy(address.addr_bytes, mac, MAC_BYTES);
	if (rte_eth_dev_mac_addr_add(port, &address, 0) != 0)
		fprintf(stderr, "ha-firewall: port %u does not accept a second Ethernet address: it does not receive frames to the shared one\n",
		        port);
}

uint64_t
ports_sync_missed(const struct firewall *firewall)
{
	struct rte_eth_stats stats;

	if (rte_eth_stats_get(firewall->arguments.sync_port, &stats) != 0)
		return 0;
	return stats.imissed + stats.rx_nombuf;
}
