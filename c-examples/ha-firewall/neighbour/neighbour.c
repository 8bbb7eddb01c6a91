/* ARP and neighbour discovery messages, and frames whose next hop is unknown. */
#include "neighbour/neighbour.h"

#include <string.h>

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>

#include "firewall.h"
#include "neighbour/send.h"

#define MS 1000000ull
#define REQUEST_INTERVAL (100 * MS)
#define PENDING_TIMEOUT (1000 * MS)
#define ANNOUNCE_INTERVAL (100 * MS)
#define WANTED_INTERVAL (1000 * MS)

/* Counts the pending frames of a next hop. */
static unsigned int
count_pending(const struct neighbours *neighbours, uint8_t side, const struct address *address)
{
	unsigned int frames = 0;

	for (unsigned int i = 0; i < neighbours->pending_count; i++)
		frames += neighbours->pending[i].side == side &&
		          address_equal(&neighbours->pending[i].next_hop, address);
	return frames;
}

static void
send_pending(struct worker *worker, uint8_t side, const struct address *address)
{
	struct neighbours *neighbours = &worker->firewall->neighbours;
	unsigned int kept = 0;

	for (unsigned int i = 0; i < neighbours->pending_count; i++) {
		struct pending *pending = &neighbours->pending[i];

		if (pending->side == side && address_equal(&pending->next_hop, address))
			forward_one(worker, side, pending->mbuf);
		else
			neighbours->pending[kept++] = *pending;
	}
	neighbours->pending_count = kept;
}

static bool
is_own(const struct worker *worker, uint8_t side, const struct address *address)
{
	const struct side_state *state = &worker->firewall->side[side];
	const struct side_arguments *shared = state->arguments;

	for (unsigned int i = 0; i < shared->address_count; i++)
		if (address_equal(&shared->addresses[i].address, address))
			return true;
	return address_equal(&state->own[address->family == 6], address);
}

/* Whether this node always wants to know an address: with an election the gateways, for a takeover, and unicast peers. */
static bool
is_wanted(const struct side_state *state, const struct address *address)
{
	const struct side_arguments *side = state->arguments;
	bool wanted = address_equal(&side->gateway[address->family == 6], address);

	for (unsigned int i = 0; i < side->peer_count; i++)
		wanted |= address_equal(&side->peers[i], address);
	return wanted && state->own[address->family == 6].family != 0;
}

/* Learns the Ethernet address of an address on the side's own subnets. A new entry needs a pending frame, a request to us
 * (`asks_us`), or to be wanted: other unsolicited messages add nothing. */
static void
learn(struct worker *worker, uint8_t side, const struct address *address, const uint8_t mac[MAC_BYTES], bool asks_us,
      bool may_change)
{
	static const uint8_t unspecified[MAC_BYTES];
	struct neighbours *neighbours = &worker->firewall->neighbours;
	const struct side_state *state = &worker->firewall->side[side];
	bool wanted = is_wanted(state, address), on_subnet = wanted;

	election_note_neighbour(worker->firewall, side, address);
	if (is_own(worker, side, address))
		return;
	for (unsigned int i = 0; i < state->arguments->address_count; i++)
		on_subnet |= prefix_contains(&state->arguments->addresses[i], address);
	if (!on_subnet || (mac[0] & 1) != 0 || memcmp(mac, unspecified, MAC_BYTES) == 0 ||
	    memcmp(mac, state->shared_mac[address->family == 6], MAC_BYTES) == 0)
		return;
	wanted |= asks_us || count_pending(neighbours, side, address) > 0;
	if (neighbour_store(neighbours, side, address, mac, wanted, may_change, now_ns())) {
		count(&worker->counters.learned, 1);
		send_pending(worker, side, address);
	}
}

/* Whether this node is the master and answers itself: with an election the library does. */
static bool
answers(const struct worker *worker)
{
	return worker->firewall->election.handle == NULL && atomic_load(&worker->firewall->master);
}

bool
neighbour_is(const struct rte_mbuf *mbuf)
{
	const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *);
	const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)(ethernet + 1);
	const uint8_t *type = (const uint8_t *)(ip + 1);

	if (mbuf->data_len < sizeof(*ethernet))
		return false;
	if (ethernet->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP))
		return true;
	if (ethernet->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV6) || mbuf->data_len < sizeof(*ethernet) + sizeof(*ip) + 1)
		return false;
	return ip->proto == IPPROTO_ICMPV6 && *type >= 133 && *type <= 137;
}

static void
receive_arp(struct worker *worker, uint8_t side, const struct rte_mbuf *mbuf)
{
	const struct rte_arp_hdr *arp =
		rte_pktmbuf_mtod_offset(mbuf, const struct rte_arp_hdr *, sizeof(struct rte_ether_hdr));
	struct address sender = {.family = 4}, target = {.family = 4};
	uint8_t mac[MAC_BYTES];
	bool is_request, asks_us;

	if (mbuf->data_len < sizeof(struct rte_ether_hdr) + sizeof(*arp) ||
	    arp->arp_hardware != RTE_BE16(RTE_ARP_HRD_ETHER) ||
	    arp->arp_protocol != RTE_BE16(RTE_ETHER_TYPE_IPV4) || arp->arp_hlen != MAC_BYTES ||
	    arp->arp_plen != 4)
		return;
	is_request = arp->arp_opcode == RTE_BE16(RTE_ARP_OP_REQUEST);
	if (!is_request && arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REPLY))
		return;
	memcpy(sender.bytes, &arp->arp_data.arp_sip, 4);
	memcpy(target.bytes, &arp->arp_data.arp_tip, 4);
	memcpy(mac, &arp->arp_data.arp_sha, MAC_BYTES);
	asks_us = is_request && is_own(worker, side, &target);
	learn(worker, side, &sender, mac, asks_us, true);
	if (asks_us && answers(worker))
		neighbour_answer_arp(worker, side, mac, &sender, &target);
}

/* Returns the link-layer address in a neighbour message's option, or NULL. */
static const uint8_t *
nd_option(const uint8_t *option, const uint8_t *end, uint8_t wanted)
{
	while (end - option >= 8 && option[1] != 0) {
		ptrdiff_t bytes = option[1] * 8;

		if (bytes > end - option)
			return NULL;
		if (option[0] == wanted && option[1] == 1)
			return option + 2;
		option += bytes;
	}
	return NULL;
}

static void
receive_nd(struct worker *worker, uint8_t side, const struct rte_mbuf *mbuf)
{
	const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *);
	const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)(ethernet + 1);
	const struct nd_message *message = (const struct nd_message *)(ip + 1);
	const uint8_t *first_option = (const uint8_t *)message + offsetof(struct nd_message, option_type);
	size_t available = mbuf->data_len - sizeof(*ethernet) - sizeof(*ip);
	size_t length = rte_be_to_cpu_16(ip->payload_len);
	struct address source = {.family = 6}, target = {.family = 6};
	const uint8_t *mac;
	bool asks_us;

	if (length > available || length < offsetof(struct nd_message, option_type) || ip->hop_limits != 255 ||
	    message->code != 0 || rte_ipv6_udptcp_cksum(ip, message) != 0)
		return;
	memcpy(source.bytes, &ip->src_addr, 16);
	memcpy(target.bytes, message->target, 16);
	if (message->type == ND_ADVERTISEMENT) {
		mac = nd_option(first_option, (const uint8_t *)message + length, ND_OPTION_TARGET);
		if (mac != NULL)
			learn(worker, side, &target, mac, false, (message->flags & ND_OVERRIDE) != 0);
		return;
	}
	if (message->type != ND_SOLICITATION)
		return;
	asks_us = is_own(worker, side, &target);
	mac = nd_option(first_option, (const uint8_t *)message + length, ND_OPTION_SOURCE);
	if (mac != NULL)
		learn(worker, side, &source, mac, asks_us, true);
	else /* a sender may omit the option when it assumes that we know its address */
		mac = ethernet->src_addr.addr_bytes;
	/* Multicast addresses are not valid senders. */
	if (asks_us && source.bytes[0] != 0xff && (mac[0] & 1) == 0 && answers(worker))
		neighbour_answer_solicitation(worker, side, &source, mac, &target);
}

void
neighbour_receive(struct worker *worker, uint8_t side, struct rte_mbuf *mbuf)
{
	const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *);

	if (worker->firewall->election.handle != NULL)
		election_answer(worker, side, mbuf);
	if (ethernet->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP))
		receive_arp(worker, side, mbuf);
	else
		receive_nd(worker, side, mbuf);
	rte_pktmbuf_free(mbuf);
}

static void
drop_pending(struct worker *worker, unsigned int index)
{
	struct neighbours *neighbours = &worker->firewall->neighbours;

	count(&worker->counters.unresolved, 1);
	rte_pktmbuf_free(neighbours->pending[index].mbuf);
	neighbours->pending_count--;
	memmove(&neighbours->pending[index], &neighbours->pending[index + 1],
	        (neighbours->pending_count - index) * sizeof(neighbours->pending[0]));
}

void
neighbour_resolve(struct worker *worker, uint8_t side, struct rte_mbuf *mbuf,
                  const struct address *next_hop, uint64_t now)
{
	struct neighbours *neighbours = &worker->firewall->neighbours;
	unsigned int pending = count_pending(neighbours, side, next_hop);

	/* No other host has our own address. */
	if (pending >= MAX_PENDING_PER_HOP || is_own(worker, side, next_hop)) {
		count(&worker->counters.unresolved, 1);
		rte_pktmbuf_free(mbuf);
		return;
	}
	/* Drops the oldest: existing hosts answer quickly, so old entries are most likely from a scan. */
	if (neighbours->pending_count == MAX_PENDING)
		drop_pending(worker, 0);
	if (neighbours->pending_count == 0)
		neighbours->requested_at = now;
	neighbours->pending[neighbours->pending_count++] =
		(struct pending){.mbuf = mbuf, .next_hop = *next_hop, .since = now, .side = side};
	if (pending == 0)
		neighbour_request(worker, side, next_hop);
}

/* Whether an earlier frame has the same next hop, so that one request is enough. */
static bool
is_requested(const struct neighbours *neighbours, unsigned int index)
{
	for (unsigned int i = 0; i < index; i++)
		if (neighbours->pending[i].side == neighbours->pending[index].side &&
		    address_equal(&neighbours->pending[i].next_hop, &neighbours->pending[index].next_hop))
			return true;
	return false;
}

static void
retry_pending(struct worker *worker, uint64_t now)
{
	struct neighbours *neighbours = &worker->firewall->neighbours;

	/* Sorted by age; `since` may be later than `now`, as it is read separately. */
	while (neighbours->pending_count > 0 && now >= neighbours->pending[0].since + PENDING_TIMEOUT)
		drop_pending(worker, 0);
	for (unsigned int i = 0; i < neighbours->pending_count; i++)
		if (!is_requested(neighbours, i))
			neighbour_request(worker, neighbours->pending[i].side, &neighbours->pending[i].next_hop);
}

static void
request_unknown(struct worker *worker, uint8_t side, const struct address *address)
{
	uint8_t mac[MAC_BYTES];

	if (address->family != 0 && !neighbour_find(&worker->firewall->neighbours, side, address, mac))
		neighbour_request(worker, side, address);
}

static void
request_wanted(struct worker *worker)
{
	for (uint8_t side = 0; side < SIDES; side++) {
		const struct side_arguments *arguments = worker->firewall->side[side].arguments;

		request_unknown(worker, side, &arguments->gateway[0]);
		request_unknown(worker, side, &arguments->gateway[1]);
		for (unsigned int i = 0; i < arguments->peer_count; i++)
			request_unknown(worker, side, &arguments->peers[i]);
	}
}

unsigned int
neighbour_poll(struct worker *worker, uint64_t now)
{
	struct firewall *firewall = worker->firewall;
	struct neighbours *neighbours = &firewall->neighbours;
	unsigned int work = 0;
	int rounds = atomic_load(&firewall->announcements);

	if (!may_forward(firewall, now)) {
		neighbour_free(neighbours);
		/* Without an own address the backup is silent: a frame from the shared Ethernet address would attract traffic. */
		if (firewall->election.handle == NULL)
			return 0;
	}
	if (firewall->election.handle != NULL && now >= neighbours->wanted_at) {
		neighbours->wanted_at = now + WANTED_INTERVAL;
		request_wanted(worker);
	}
	neighbour_age(neighbours, now, worker, neighbour_request);
	if (rounds > 0 && now - neighbours->announced_at >= ANNOUNCE_INTERVAL) {
		neighbours->announced_at = now;
		neighbour_announce(worker);
		atomic_fetch_sub(&firewall->announcements, 1);
		work++;
	}
	if (neighbours->pending_count > 0 && now >= neighbours->requested_at + REQUEST_INTERVAL) {
		neighbours->requested_at = now;
		retry_pending(worker, now);
		work++;
	}
	return work;
}

void
neighbour_free(struct neighbours *neighbours)
{
	for (unsigned int i = 0; i < neighbours->pending_count; i++)
		rte_pktmbuf_free(neighbours->pending[i].mbuf);
	neighbours->pending_count = 0;
}
