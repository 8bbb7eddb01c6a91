/* Runs the election: its configuration, adverts in and out, links, readiness, and stepping down in order. */
#include "election/election.h"

#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>

#include "firewall.h"

#define MS 1000000ull
#define LINK_INTERVAL (10 * MS)
/* How long to wait for new states to be sent before stepping down, beyond their maximum age. */
#define FLUSH_MARGIN_MS 20
/* How long a node that stepped down on command takes over from nobody: at least a second, or ten intervals. */
#define MIN_HOLD_MS 1000
/* A node that ends does not come back. */
#define LAST_HOLD_MS 60000
#define ADVERT_PROTOCOL 112
/* A firewall with a dead side forwards nothing, so it takes the whole priority away. */
#define LINK_WEIGHT 254

static const uint8_t broadcast[MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* The arrays that a configuration points to. */
struct storage {
	struct pfplane_election_member members[MAX_MEMBERS];
	struct pfplane_address addresses[MAX_MEMBERS][MAX_ADDRESSES];
	struct pfplane_address peers[MAX_MEMBERS][MAX_ELECTION_PEERS];
};

static struct pfplane_address
library_address(const struct address *address)
{
	struct pfplane_address out = {.family = address->family};

	memcpy(out.bytes, address->bytes, sizeof(out.bytes));
	return out;
}

/* Returns the link-local address that belongs to an Ethernet address (RFC 4291, appendix A). */
static struct address
link_local(const uint8_t mac[MAC_BYTES])
{
	return (struct address){.family = 6,
	                        .bytes = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3],
	                                  mac[4], mac[5]}};
}

/* Adds the member of a side and family, if the side has shared addresses of the family. */
static void
add_member(const struct arguments *arguments, int side, uint8_t family, const uint8_t mac[MAC_BYTES],
           const struct address *own, struct pfplane_election_config *config, struct storage *storage)
{
	const struct side_arguments *from = side == INSIDE ? &arguments->inside : &arguments->outside;
	uint32_t index = config->member_count;
	struct pfplane_election_member *member = &storage->members[index];

	*member = (struct pfplane_election_member){
		.size = sizeof(*member),
		.port = (uint16_t)side,
		.id = arguments->election.id,
		.own_address = library_address(own),
		.addresses = storage->addresses[index],
		.peers = storage->peers[index],
		.passphrase = arguments->election.passphrase[0] != '\0' ? arguments->election.passphrase : NULL,
	};
	memcpy(member->own_mac, mac, MAC_BYTES);
	for (unsigned int i = 0; i < from->address_count; i++)
		if (from->addresses[i].address.family == family)
			storage->addresses[index][member->address_count++] = library_address(&from->addresses[i].address);
	for (unsigned int i = 0; i < from->peer_count; i++)
		if (from->peers[i].family == family)
			storage->peers[index][member->peer_count++] = library_address(&from->peers[i]);
	if (member->address_count > 0)
		config->member_count++;
}

/* Builds the configuration. `macs` are the ports' own addresses; `own_out` receives the own IP addresses. */
static void
configure(const struct arguments *arguments, uint8_t macs[SIDES][MAC_BYTES], struct address own_out[SIDES][2],
          struct pfplane_election_config *config, struct storage *storage)
{
	require_ok(pfplane_election_config_init(config, sizeof(*config)), "pfplane_election_config_init");
	config->dialect = arguments->election.dialect;
	config->mac = arguments->election.mac;
	config->priority = arguments->election.priority;
	config->preempt = arguments->election.preempt;
	config->interval_us = arguments->election.interval_ms * 1000;
	config->link_weight = LINK_WEIGHT;
	config->members = storage->members;
	for (int side = 0; side < SIDES; side++) {
		const struct side_arguments *from = side == INSIDE ? &arguments->inside : &arguments->outside;

		memcpy(own_out[side], from->own, sizeof(from->own));
		if (own_out[side][1].family == 0)
			own_out[side][1] = link_local(macs[side]);
		for (int family = 0; family < 2; family++)
			add_member(arguments, side, family == 0 ? 4 : 6, macs[side], &own_out[side][family], config, storage);
	}
}

bool
election_check_arguments(const struct arguments *arguments)
{
	uint8_t macs[SIDES][MAC_BYTES] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
	struct pfplane_election_config config;
	struct address own[SIDES][2];
	struct storage storage = {0};
	pfplane_election *election;

	if (!arguments->election.enabled)
		return true;
	configure(arguments, macs, own, &config, &storage);
	if (pfplane_election_new(&config, &election) != PFPLANE_OK) {
		fprintf(stderr, "ha-firewall: --election: %s\n", pfplane_last_error());
		return false;
	}
	pfplane_election_free(election);
	return true;
}

/* Sets the Ethernet addresses of a side: what the shared addresses have, by family, and the port's own. */
static bool
set_macs(struct firewall *firewall, int side)
{
	const struct election_arguments *arguments = &firewall->arguments.election;
	struct side_state *state = &firewall->side[side];
	struct rte_ether_addr own;

	if (!arguments->enabled) {
		memcpy(state->shared_mac[0], state->arguments->mac, MAC_BYTES);
		memcpy(state->shared_mac[1], state->arguments->mac, MAC_BYTES);
		return true;
	}
	if (rte_eth_macaddr_get(state->port, &own) != 0) {
		fprintf(stderr, "ha-firewall: port %u has no Ethernet address of its own\n", state->port);
		return false;
	}
	memcpy(state->own_mac, own.addr_bytes, MAC_BYTES);
	for (int family = 0; family < 2; family++) {
		const uint8_t kind = family == 1 && arguments->dialect == PFPLANE_ELECTION_VRRP3 ? 2 : 1;
		const uint8_t shared[MAC_BYTES] = {0, 0, 0x5e, 0, kind, arguments->id};

		memcpy(state->shared_mac[family], arguments->mac == PFPLANE_ELECTION_MAC_OWN ? state->own_mac : shared,
		       MAC_BYTES);
		if (arguments->mac != PFPLANE_ELECTION_MAC_OWN)
			ports_accept(state->port, shared);
	}
	return true;
}

bool
election_start(struct firewall *firewall)
{
	struct election *election = &firewall->election;
	uint8_t macs[SIDES][MAC_BYTES];
	struct address own[SIDES][2];
	struct pfplane_election_config config;
	struct storage storage = {0};

	for (int side = 0; side < SIDES; side++) {
		if (!set_macs(firewall, side))
			return false;
		memcpy(macs[side], firewall->side[side].own_mac, MAC_BYTES);
	}
	if (!firewall->arguments.election.enabled)
		return true;
	configure(&firewall->arguments, macs, own, &config, &storage);
	if (pfplane_election_new(&config, &election->handle) != PFPLANE_OK) {
		fprintf(stderr, "ha-firewall: --election: %s\n", pfplane_last_error());
		return false;
	}
	/* The library keeps only a digest of it. */
	explicit_bzero(firewall->arguments.election.passphrase, sizeof(firewall->arguments.election.passphrase));
	election->lease_end = pfplane_election_lease(election->handle);
	election->member_count = config.member_count;
	for (uint32_t i = 0; i < config.member_count; i++) {
		uint8_t side = (uint8_t)config.members[i].port, family = config.members[i].own_address.family;

		election->side[i] = side;
		election->family[i] = family;
		firewall->side[side].own[family == 6] = own[side][family == 6];
	}
	return true;
}

void
election_stop(struct firewall *firewall)
{
	pfplane_election_free(firewall->election.handle);
	firewall->election.handle = NULL;
}

bool
election_is_advert(const struct rte_mbuf *mbuf)
{
	const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *);

	if (mbuf->data_len >= sizeof(*ethernet) + sizeof(struct rte_ipv4_hdr) &&
	    ethernet->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4))
		return ((const struct rte_ipv4_hdr *)(ethernet + 1))->next_proto_id == ADVERT_PROTOCOL;
	return mbuf->data_len >= sizeof(*ethernet) + sizeof(struct rte_ipv6_hdr) &&
	       ethernet->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6) &&
	       ((const struct rte_ipv6_hdr *)(ethernet + 1))->proto == ADVERT_PROTOCOL;
}

void
election_receive(struct worker *worker, uint8_t side, struct rte_mbuf *mbuf)
{
	count(&worker->counters.adverts, 1);
	/* The library reads what lies in one piece; a longer advert is none. */
	enqueue_to(worker, worker->firewall->election.adverts, side, mbuf);
}

/* Passes in the adverts that all lanes received. */
static unsigned int
receive_adverts(struct worker *worker, uint64_t now)
{
	struct firewall *firewall = worker->firewall;
	struct rte_mbuf *mbufs[BURST];
	unsigned int received = rte_ring_dequeue_burst(firewall->election.adverts, (void **)mbufs, BURST, NULL);

	for (unsigned int i = 0; i < received; i++) {
		uint16_t side = mbufs[i]->port == firewall->side[INSIDE].port ? INSIDE : OUTSIDE;
		int32_t status = pfplane_election_receive(firewall->election.handle, side, 0,
		                                          rte_pktmbuf_mtod(mbufs[i], const uint8_t *),
		                                          mbufs[i]->data_len, now);

		if (status != PFPLANE_END)
			require_ok(status, "pfplane_election_receive");
		/* Each advert: the next one has another sender, if the master has several addresses. */
		election_note_master(&firewall->election);
		rte_pktmbuf_free(mbufs[i]);
	}
	return received;
}

static bool
send_frame(struct worker *worker, enum side side, const uint8_t *bytes, uint32_t length)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(worker->firewall->pool);
	char *data = mbuf == NULL ? NULL : rte_pktmbuf_append(mbuf, (uint16_t)length);

	if (data == NULL) {
		rte_pktmbuf_free(mbuf);
		return false;
	}
	memcpy(data, bytes, length);
	return forward_now(worker, side, mbuf);
}

void
election_answer(struct worker *worker, uint8_t side, const struct rte_mbuf *mbuf)
{
	uint8_t answer[PFPLANE_MAX_ELECTION_ANSWER];
	uint32_t length;
	int32_t status = pfplane_election_answer(worker->firewall->election.handle, side, 0,
	                                         rte_pktmbuf_mtod(mbuf, const uint8_t *), mbuf->data_len, now_ns(), answer,
	                                         sizeof(answer), &length);

	if (status == PFPLANE_END)
		return;
	require_ok(status, "pfplane_election_answer");
	if (send_frame(worker, side, answer, length))
		count(&worker->counters.answered, 1);
}

/* Sends adverts and announcements. */
static void
send_frames(struct worker *worker)
{
	struct firewall *firewall = worker->firewall;
	pfplane_election *handle = firewall->election.handle;
	struct pfplane_election_status role = {.size = sizeof(role)};
	uint8_t bytes[PFPLANE_MAX_ELECTION_FRAME];
	struct pfplane_election_frame frame = {.size = sizeof(frame)};
	int32_t status;

	require_ok(pfplane_election_status_read(handle, &role), "pfplane_election_status_read");
	while ((status = pfplane_election_flush(handle, bytes, sizeof(bytes), &frame)) == PFPLANE_OK) {
		enum side side = (enum side)frame.port;
		uint64_t now = now_ns();

		/* If this process was stopped since the poll, another node may be master. A backup's last words may be late. */
		if (role.role == PFPLANE_ELECTION_MASTER && !pfplane_election_may_forward(handle, now)) {
			count(&worker->counters.lease_ended, 1);
			continue;
		}
		if (frame.receiver.family != 0) {
			struct address peer = {.family = frame.receiver.family};

			memcpy(peer.bytes, frame.receiver.bytes, sizeof(peer.bytes));
			if (!neighbour_find(&firewall->neighbours, (uint8_t)side, &peer, bytes))
				memcpy(bytes, broadcast, MAC_BYTES);
		}
		if (!send_frame(worker, side, bytes, frame.length))
			require_ok(pfplane_election_send_failed(handle, frame.port, 1, now), "pfplane_election_send_failed");
	}
	if (status != PFPLANE_END)
		require_ok(status, "pfplane_election_flush");
}

/* Returns whether a link changed. */
static bool
watch_links(struct firewall *firewall, uint64_t now)
{
	struct election *election = &firewall->election;
	bool changed = false;

	if (now < election->links_due_ns)
		return false;
	election->links_due_ns = now + LINK_INTERVAL;
	for (uint8_t side = 0; side < SIDES; side++) {
		bool is_up = ports_link(firewall->side[side].port);

		if (is_up == election->link[side])
			continue;
		election->link[side] = is_up;
		changed = true;
		election_log_link(side, is_up, now);
		require_ok(pfplane_election_link(election->handle, side, is_up, now), "pfplane_election_link");
	}
	return changed;
}

static void
set_readiness(struct firewall *firewall, uint64_t now)
{
	static const uint32_t classes[] = {
		[PFPLANE_READY_CLASS_LOADING] = PFPLANE_ELECTION_LOADING,
		[PFPLANE_READY_CLASS_GAVE_UP] = PFPLANE_ELECTION_GAVE_UP,
		[PFPLANE_READY_CLASS_SYNCED] = PFPLANE_ELECTION_SYNCED,
	};
	struct pfplane_readiness readiness = {.size = sizeof(readiness)};

	require_ok(pfplane_engine_readiness(firewall->engine, now, &readiness), "pfplane_engine_readiness");
	require_ok(pfplane_election_readiness(firewall->election.handle,
	                                      classes[RTE_MIN(readiness.ready_class, RTE_DIM(classes) - 1)]),
	           "pfplane_election_readiness");
}

/* Steps down in order, for a command or because this process ends: first the states, then the farewell, then this node forwards
 * until another one has taken over. Returns whether the election must be polled. */
static bool
leave(struct firewall *firewall, const struct pfplane_election_status *status, uint64_t now)
{
	struct election *election = &firewall->election;
	bool ends = atomic_load_explicit(&firewall->leaving, memory_order_relaxed);
	uint32_t hold = RTE_MAX(10 * firewall->arguments.election.interval_ms, (uint32_t)MIN_HOLD_MS);

	if (ends && election->stepped_down) {
		if (!pfplane_election_may_forward(election->handle, now))
			atomic_store(&firewall->stop, true);
		return false;
	}
	if (ends && status->role != PFPLANE_ELECTION_MASTER) {
		atomic_store(&firewall->stop, true);
		return false;
	}
	if (ends && election->leave_until_ns == 0)
		election->leave_until_ns = now + (firewall->arguments.insert_age_ms + FLUSH_MARGIN_MS) * MS;
	if (election->leave_until_ns == 0)
		return false;
	if (!firewall->arguments.no_sync && now < election->leave_until_ns && exposure_sum(firewall).creations > 0)
		return false;
	election->leave_until_ns = 0;
	election->stepped_down = ends;
	require_ok(pfplane_election_step_down(election->handle, ends ? LAST_HOLD_MS : hold, now), "pfplane_election_step_down");
	return true;
}

/* Carries out the request of the control thread. Returns whether the election must be polled. */
static bool
serve_request(struct firewall *firewall, uint64_t now)
{
	struct election *election = &firewall->election;
	int request = atomic_load_explicit(&election->request, memory_order_acquire);

	if (request == ELECTION_REQUEST_NONE)
		return false;
	election->status = PFPLANE_OK;
	if (request == ELECTION_REQUEST_STEP_DOWN)
		election->leave_until_ns = now + (firewall->arguments.insert_age_ms + FLUSH_MARGIN_MS) * MS;
	else if (request == ELECTION_REQUEST_DEMOTE)
		election->status = pfplane_election_demote(election->handle, election->reason, election->weight);
	if (election->status != PFPLANE_OK)
		(void)snprintf(election->error, sizeof(election->error), "%s", pfplane_last_error());
	election_fill_report(firewall, now);
	atomic_store_explicit(&election->request, ELECTION_REQUEST_NONE, memory_order_release);
	return request != ELECTION_REQUEST_REPORT;
}

/* Whether anything but received adverts is to be done. */
static bool
is_due(const struct firewall *firewall, uint64_t now)
{
	const struct election *election = &firewall->election;

	return now >= election->due_ns || now >= election->links_due_ns || election->leave_until_ns != 0 ||
	       now >= election->witness_due_ns || atomic_load_explicit(&firewall->leaving, memory_order_relaxed) ||
	       atomic_load_explicit(&election->request, memory_order_relaxed) != ELECTION_REQUEST_NONE;
}

unsigned int
election_poll(struct worker *worker)
{
	struct firewall *firewall = worker->firewall;
	struct election *election = &firewall->election;
	struct pfplane_election_status status = {.size = sizeof(status)};
	/* Not the time of the whole turn: a stop since then must be seen. */
	uint64_t now = now_ns();
	unsigned int received;
	bool must_poll;

	if (election->handle == NULL)
		return 0;
	received = receive_adverts(worker, now);
	if (received == 0 && !is_due(firewall, now))
		return 0;
	require_ok(pfplane_election_status_read(election->handle, &status), "pfplane_election_status_read");
	must_poll = watch_links(firewall, now);
	must_poll |= serve_request(firewall, now);
	must_poll |= leave(firewall, &status, now);
	must_poll |= election_poll_witness(worker, now);
	if (received == 0 && !must_poll && now < election->due_ns)
		return 0;
	/* The library must see a stop since the frames were read. */
	now = now_ns();
	if (firewall->arguments.election.hellos)
		require_ok(pfplane_election_greet(election->handle, firewall->engine, now), "pfplane_election_greet");
	set_readiness(firewall, now);
	require_ok(pfplane_election_poll(election->handle, now, &election->due_ns), "pfplane_election_poll");
	send_frames(worker);
	election_log_events(firewall, now);
	return received + 1;
}
