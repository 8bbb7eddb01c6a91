/* pfsync frames in and out, and the engine that makes them. */
#include <stdio.h>
#include <string.h>

#include <rte_ether.h>

#include "firewall.h"

static bool
is_group(const struct address *address)
{
	return address->family == 4 ? (address->bytes[0] & 0xf0) == 0xe0 : address->bytes[0] == 0xff;
}

/* What the arguments alone say. */
static void
configure(const struct arguments *arguments, struct pfplane_config *config, struct pfplane_peer *peer)
{
	pfplane_config_init(config, sizeof(*config));
	config->lanes = arguments->lanes;
	config->states_per_lane = arguments->states;
	config->mtu = arguments->mtu;
	config->insert_age_ms = arguments->insert_age_ms;
	config->update_age_ms = arguments->update_age_ms;
	if (arguments->no_sync)
		return;
	pfplane_peer_init(peer, sizeof(*peer));
	peer->source.family = arguments->sync_address.family;
	memcpy(peer->source.bytes, arguments->sync_address.bytes, sizeof(peer->source.bytes));
	peer->destination.family = arguments->sync_peer.family;
	memcpy(peer->destination.bytes, arguments->sync_peer.bytes, sizeof(peer->destination.bytes));
	peer->ethernet = 1;
	/* One peer on a link of its own: to a single address the broadcast address does as well. */
	if (arguments->sync_peer.family != 0 && !is_group(&arguments->sync_peer))
		memset(peer->ethernet_destination, 0xff, MAC_BYTES);
	config->peers = peer;
	config->peer_count = 1;
}

bool
sync_arguments_fit(const struct arguments *arguments)
{
	struct pfplane_config config;
	struct pfplane_peer peer;
	uint64_t bytes;

	if (pfplane_abi_version() != PFPLANE_ABI_VERSION) {
		fprintf(stderr, "ha-firewall: compiled for another pfplane (ABI %u, the library has %u)\n",
		        PFPLANE_ABI_VERSION, pfplane_abi_version());
		return false;
	}
	configure(arguments, &config, &peer);
	if (pfplane_config_memory(&config, &bytes) != PFPLANE_OK) {
		fprintf(stderr, "ha-firewall: %s\n", pfplane_last_error());
		return false;
	}
	return true;
}

bool
sync_engine_new(struct firewall *firewall)
{
	const struct arguments *arguments = &firewall->arguments;
	struct rte_ether_addr own;
	struct pfplane_config config;
	struct pfplane_peer peer;
	uint16_t mtu;

	configure(arguments, &config, &peer);
	config.buffer_room = (uint32_t)rte_pktmbuf_data_room_size(firewall->pool) - RTE_PKTMBUF_HEADROOM -
	                     (uint32_t)sizeof(struct rte_ether_hdr);
	if (!arguments->no_sync && rte_eth_dev_get_mtu(arguments->sync_port, &mtu) == 0)
		config.device_mtu = mtu;
	if (!arguments->no_sync && rte_eth_macaddr_get(arguments->sync_port, &own) == 0)
		memcpy(peer.ethernet_source, own.addr_bytes, MAC_BYTES);
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

/* Lane 0: sends what waits. True when nothing does any more. */
static bool
transmit(struct worker *worker)
{
	struct firewall *firewall = worker->firewall;
	struct sync_out *out = &firewall->sync_out;
	uint16_t sent;

	if (out->sent == out->count)
		return true;
	sent = rte_eth_tx_burst(firewall->arguments.sync_port, 0, out->mbufs + out->sent,
	                        (uint16_t)(out->count - out->sent));
	count(&worker->counters.sync_sent, sent);
	out->sent = (uint16_t)(out->sent + sent);
	if (out->sent < out->count) {
		count(&worker->counters.sync_waits, 1);
		return false;
	}
	return true;
}

/* Lane 0: writes and sends its own frames. */
static unsigned int
send_own(struct worker *worker, uint64_t now)
{
	struct firewall *firewall = worker->firewall;
	struct sync_out *out = &firewall->sync_out;
	uint32_t frames = 0;

	if (!transmit(worker))
		return 0;
	out->count = out->sent = 0;
	if (pfplane_lane_flush_mbufs(worker->lane, now, firewall->pool, out->mbufs, BURST, &frames) != PFPLANE_OK)
		return 0;
	out->count = (uint16_t)frames;
	transmit(worker);
	return frames;
}

unsigned int
sync_send(struct worker *worker, uint64_t now)
{
	struct firewall *firewall = worker->firewall;
	struct rte_mbuf *mbufs[BURST];
	uint32_t frames = 0;

	if (firewall->arguments.no_sync)
		return 0;
	if (worker->index == 0)
		return send_own(worker, now);
	/* What is written must go: only as much as there is room for, with every other lane doing the same. */
	if (rte_ring_free_count(firewall->to_sync) < BURST * (firewall->lanes - 1))
		return 0;
	if (pfplane_lane_flush_mbufs(worker->lane, now, firewall->pool, mbufs, BURST, &frames) != PFPLANE_OK)
		return 0;
	for (uint32_t i = 0; i < frames; i++)
		hand_over(worker, firewall->to_sync, INSIDE, mbufs[i]);
	return frames;
}

unsigned int
sync_send_others(struct worker *worker)
{
	struct firewall *firewall = worker->firewall;
	struct sync_out *out = &firewall->sync_out;

	if (!transmit(worker))
		return 0;
	out->sent = 0;
	out->count = (uint16_t)rte_ring_dequeue_burst(firewall->to_sync, (void **)out->mbufs, BURST, NULL);
	transmit(worker);
	return out->count;
}

void
sync_free(struct firewall *firewall)
{
	struct sync_out *out = &firewall->sync_out;

	rte_pktmbuf_free_bulk(out->mbufs + out->sent, (unsigned int)(out->count - out->sent));
	out->count = out->sent = 0;
}
