/* pfsync frames in and out, and the engine that makes them. */
#include <stdio.h>
#include <string.h>

#include <rte_ether.h>

#include "firewall.h"

bool
sync_engine_new(struct firewall *firewall)
{
	const struct arguments *arguments = &firewall->arguments;
	struct rte_ether_addr own;
	struct pfplane_config config;
	struct pfplane_peer peer;
	uint16_t mtu;

	if (pfplane_abi_version() != PFPLANE_ABI_VERSION) {
		fprintf(stderr, "ha-firewall: compiled for another pfplane (ABI %u, the library has %u)\n",
		        PFPLANE_ABI_VERSION, pfplane_abi_version());
		return false;
	}
	pfplane_config_init(&config, sizeof(config));
	config.lanes = firewall->lanes;
	config.states_per_lane = arguments->states;
	config.mtu = arguments->mtu;
	config.insert_age_ms = arguments->insert_age_ms;
	config.update_age_ms = arguments->update_age_ms;
	config.buffer_room = (uint32_t)rte_pktmbuf_data_room_size(firewall->pool) - RTE_PKTMBUF_HEADROOM -
	                     (uint32_t)sizeof(struct rte_ether_hdr);
	if (!arguments->no_sync) {
		if (rte_eth_dev_get_mtu(arguments->sync_port, &mtu) == 0)
			config.device_mtu = mtu;
		pfplane_peer_init(&peer, sizeof(peer));
		peer.source.family = arguments->sync_address.family;
		memcpy(peer.source.bytes, arguments->sync_address.bytes, sizeof(peer.source.bytes));
		peer.destination.family = arguments->sync_peer.family;
		memcpy(peer.destination.bytes, arguments->sync_peer.bytes, sizeof(peer.destination.bytes));
		peer.ethernet = 1;
		if (rte_eth_macaddr_get(arguments->sync_port, &own) == 0)
			memcpy(peer.ethernet_source, own.addr_bytes, MAC_BYTES);
		/* One peer on a link of its own: to a single address the broadcast address does as well. */
		if (arguments->sync_peer.family != 0 && !(arguments->sync_peer.family == 4
		                                                  ? (arguments->sync_peer.bytes[0] & 0xf0) == 0xe0
		                                                  : arguments->sync_peer.bytes[0] == 0xff))
			memset(peer.ethernet_destination, 0xff, MAC_BYTES);
		config.peers = &peer;
		config.peer_count = 1;
	}
	if (pfplane_engine_new(&config, &firewall->engine) != PFPLANE_OK) {
		fprintf(stderr, "ha-firewall: %s\n", pfplane_last_error());
		return false;
	}
	for (uint32_t i = 0; i < firewall->lanes; i++)
		pfplane_engine_lane(firewall->engine, i, &firewall->workers[i].lane);
	return true;
}

unsigned int
sync_receive(struct worker *worker, uint64_t now)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t received = rte_eth_rx_burst(worker->firewall->arguments.sync_port, 0, mbufs, BURST);

	if (received == 0)
		return 0;
	count(&worker->counters.sync_received, received);
	pfplane_lane_receive_mbufs(worker->lane, mbufs, received, now);
	rte_pktmbuf_free_bulk(mbufs, received);
	return received;
}

static void
transmit(struct worker *worker, struct rte_mbuf **mbufs, uint16_t total)
{
	uint16_t sent = rte_eth_tx_burst(worker->firewall->arguments.sync_port, 0, mbufs, total);

	count(&worker->counters.sync_sent, sent);
	if (sent < total) {
		count(&worker->counters.sync_lost, (uint64_t)(total - sent));
		rte_pktmbuf_free_bulk(mbufs + sent, (unsigned int)(total - sent));
	}
}

unsigned int
sync_send(struct worker *worker, uint64_t now)
{
	struct firewall *firewall = worker->firewall;
	struct rte_mbuf *mbufs[BURST];
	uint32_t frames = 0;

	if (pfplane_lane_flush_mbufs(worker->lane, now, firewall->pool, mbufs, BURST, &frames) != PFPLANE_OK ||
	    frames == 0)
		return 0;
	if (worker->index == 0) {
		transmit(worker, mbufs, (uint16_t)frames);
	} else {
		for (uint32_t i = 0; i < frames; i++)
			hand_over(worker, firewall->to_sync, mbufs[i]);
	}
	return frames;
}

unsigned int
sync_send_others(struct worker *worker)
{
	struct rte_mbuf *mbufs[BURST];
	unsigned int frames = rte_ring_dequeue_burst(worker->firewall->to_sync, (void **)mbufs, BURST, NULL);

	if (frames > 0)
		transmit(worker, mbufs, (uint16_t)frames);
	return frames;
}
