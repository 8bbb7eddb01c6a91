/* Sends and receives pfsync frames, and creates the engine. */
#include <stdio.h>
#include <string.h>

#include <rte_ether.h>

#include "firewall.h"

static bool
is_multicast(const struct address *address)
{
	return address->family == 4 ? (address->bytes[0] & 0xf0) == 0xe0 : address->bytes[0] == 0xff;
}

/* Sets what depends on the arguments only. */
static void
configure(const struct arguments *arguments, struct pfplane_config *config, struct pfplane_peer *peer)
{
	require_ok(pfplane_config_init(config, sizeof(*config)), "pfplane_config_init");
	config->lanes = arguments->lanes;
	config->states_per_lane = arguments->states;
	config->mtu = arguments->mtu;
	config->max_imported_per_lane = arguments->max_imported;
	config->max_insert_age_ms = arguments->insert_age_ms;
	config->max_update_age_ms = arguments->update_age_ms;
	if (arguments->no_sync)
		return;
	config->max_defer_ms = arguments->defer_ms;
	config->max_deferred = arguments->max_defer;
	require_ok(pfplane_peer_init(peer, sizeof(*peer)), "pfplane_peer_init");
	peer->source.family = arguments->sync_address.family;
	memcpy(peer->source.bytes, arguments->sync_address.bytes, sizeof(peer->source.bytes));
	peer->destination.family = arguments->sync_peer.family;
	memcpy(peer->destination.bytes, arguments->sync_peer.bytes, sizeof(peer->destination.bytes));
	peer->profile = arguments->sync_profile;
	peer->extensions = arguments->sync_pfplane || arguments->election.hellos || arguments->seal.key_file != NULL;
	peer->sources = arguments->sync_sources;
	peer->source_count = arguments->sync_source_count;
	peer->interface_names = arguments->sync_interfaces;
	peer->interface_name_count = arguments->sync_interface_count;
	peer->vlan = arguments->sync_vlan;
	peer->seal = (uint8_t)arguments->seal.mode;
	peer->seal_keys = arguments->seal.keys.keys;
	peer->seal_key_count = arguments->seal.keys.count;
	peer->ethernet = 1;
	/* Not used to send: sync_engine_new sets the port's. */
	peer->ethernet_source[0] = 2;
	/* The peer is alone on its link, so the broadcast address reaches a unicast peer too. */
	if (arguments->sync_peer.family != 0 && !is_multicast(&arguments->sync_peer))
		memset(peer->ethernet_destination, 0xff, MAC_BYTES);
	config->peers = peer;
	config->peer_count = 1;
}

bool
sync_check_arguments(const struct arguments *arguments)
{
	struct pfplane_config config;
	struct pfplane_peer peer;
	uint64_t bytes;

	if (pfplane_abi_version() != PFPLANE_ABI_VERSION) {
		fprintf(stderr, "ha-firewall: compiled for pfplane ABI %u, but the library has ABI %u\n",
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
	config.buffer_size = (uint32_t)rte_pktmbuf_data_room_size(firewall->pool) - RTE_PKTMBUF_HEADROOM -
	                     (uint32_t)sizeof(struct rte_ether_hdr);
	if (!arguments->no_sync && rte_eth_dev_get_mtu(arguments->sync_port, &mtu) == 0)
		config.device_mtu = mtu;
	if (!arguments->no_sync && rte_eth_macaddr_get(arguments->sync_port, &own) == 0)
		memcpy(peer.ethernet_source, own.addr_bytes, MAC_BYTES);
	if (pfplane_engine_new(&config, &firewall->engine) != PFPLANE_OK) {
		fprintf(stderr, "ha-firewall: %s\n", pfplane_last_error());
		return false;
	}
	/* The engine has copied them. */
	seal_keys_wipe(&firewall->arguments.seal.keys);
	for (uint32_t i = 0; i < firewall->lanes; i++)
		require_ok(pfplane_engine_lane(firewall->engine, i, &firewall->workers[i].lane), "pfplane_engine_lane");
	return true;
}

unsigned int
sync_receive(struct worker *worker, uint64_t now)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t received = rte_eth_rx_burst(worker->firewall->arguments.sync_port, 0, mbufs, BURST);
	int32_t status;

	if (received == 0)
		return 0;
	count(&worker->counters.sync_received, received);
	status = pfplane_lane_receive_mbufs(worker->lane, mbufs, received, now);
	/* Full: a statistic counts what was lost, and the library requests the states again. */
	if (status != PFPLANE_ERROR_FULL)
		require_ok(status, "pfplane_lane_receive_mbufs");
	rte_pktmbuf_free_bulk(mbufs, received);
	return received;
}

/* Lane 0: sends frames and returns how many the port accepted. */
static uint16_t
transmit(struct worker *worker, struct rte_mbuf **mbufs, uint16_t total)
{
	uint16_t sent = total == 0 ? 0 : rte_eth_tx_burst(worker->firewall->arguments.sync_port, 0, mbufs, total);

	count(&worker->counters.sync_sent, sent);
	return sent;
}

/* Requeues the contents of frames that could not be sent; the library sends them again after a millisecond or more. */
static void
requeue(struct worker *worker, struct rte_mbuf **mbufs, uint32_t total, uint64_t now)
{
	if (total == 0)
		return;
	count(&worker->counters.sync_requeued, total);
	require_ok(pfplane_lane_requeue_mbufs(worker->lane, mbufs, total, now), "pfplane_lane_requeue_mbufs");
	rte_pktmbuf_free_bulk(mbufs, total);
}

/* Lane 0: builds and sends its own frames. */
static unsigned int
send_own(struct worker *worker, uint64_t now)
{
	struct rte_mbuf *mbufs[BURST];
	uint32_t frames = 0;
	uint16_t sent;

	if (pfplane_lane_flush_mbufs(worker->lane, now, worker->firewall->pool, mbufs, BURST, &frames) != PFPLANE_OK)
		return 0;
	sent = transmit(worker, mbufs, (uint16_t)frames);
	requeue(worker, mbufs + sent, frames - sent, now);
	return frames;
}

static _Atomic uint64_t *
queued(struct worker *worker)
{
	return &worker->firewall->exposure.lanes[worker->index].queued;
}

/* Another lane: requeues what lane 0 could not send. Returns false while there may be more. */
static bool
requeue_returned(struct worker *worker, uint64_t now)
{
	struct rte_mbuf *mbufs[BURST];
	unsigned int returned = rte_ring_dequeue_burst(worker->returned, (void **)mbufs, BURST, NULL);
	uint64_t connections = 0;

	for (unsigned int i = 0; i < returned; i++)
		connections += mbufs[i]->hash.usr;
	requeue(worker, mbufs, returned, now);
	/* These connections are now counted in the lane again. */
	exposure_update(worker, now);
	atomic_fetch_sub(queued(worker), connections);
	return returned < BURST;
}

/* Another lane: passes its frames to lane 0. Their connections stay exposed until lane 0 has sent them. */
static unsigned int
send_through_lane_0(struct worker *worker, uint64_t now)
{
	struct firewall *firewall = worker->firewall;
	struct rte_mbuf *mbufs[BURST];
	uint64_t before, connections;
	uint32_t frames = 0;
	unsigned int enqueued;

	if (!requeue_returned(worker, now))
		return BURST;
	before = exposure_creations(worker, now);
	if (pfplane_lane_flush_mbufs(worker->lane, now, firewall->pool, mbufs, BURST, &frames) != PFPLANE_OK ||
	    frames == 0)
		return 0;
	connections = before - RTE_MIN(before, exposure_creations(worker, now));
	for (uint32_t i = 0; i < frames; i++) {
		mbufs[i]->port = (uint16_t)worker->index;
		mbufs[i]->hash.usr = i + 1 == frames ? (uint32_t)connections : 0;
	}
	atomic_fetch_add(queued(worker), connections);
	enqueued = rte_ring_enqueue_burst(firewall->to_sync, (void **)mbufs, frames, NULL);
	if (enqueued < frames) {
		requeue(worker, mbufs + enqueued, frames - enqueued, now);
		exposure_update(worker, now);
		atomic_fetch_sub(queued(worker), connections);
	}
	return frames;
}

unsigned int
sync_send(struct worker *worker, uint64_t now)
{
	if (worker->firewall->arguments.no_sync)
		return 0;
	return worker->index == 0 ? send_own(worker, now) : send_through_lane_0(worker, now);
}

unsigned int
sync_send_others(struct worker *worker)
{
	struct firewall *firewall = worker->firewall;
	struct rte_mbuf *mbufs[BURST];
	uint32_t connections[BURST];
	uint16_t lanes[BURST], total, sent;

	total = (uint16_t)rte_ring_dequeue_burst(firewall->to_sync, (void **)mbufs, BURST, NULL);
	/* The port owns the frames that it accepted, so their data is copied first. */
	for (uint16_t i = 0; i < total; i++) {
		lanes[i] = mbufs[i]->port;
		connections[i] = mbufs[i]->hash.usr;
	}
	sent = transmit(worker, mbufs, total);
	for (uint16_t i = 0; i < sent; i++)
		if (connections[i] > 0)
			atomic_fetch_sub(queued(&firewall->workers[lanes[i]]), connections[i]);
	for (uint16_t i = sent; i < total; i++) {
		/* Never full: it is as large as to_sync, and its lane empties it before it builds more frames. */
		if (rte_ring_enqueue(firewall->workers[lanes[i]].returned, mbufs[i]) != 0) {
			count(&worker->counters.ring_full, 1);
			rte_pktmbuf_free(mbufs[i]);
		}
	}
	return total;
}
