/* ARP and neighbour discovery messages, and frames whose next hop is unknown. */
#include "neighbour/neighbour.h"

#include <string.h>

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>

#include "firewall.h"

#define MS 1000000ull
#define REQUEST_INTERVAL (100 * MS)
#define PENDING_TIMEOUT (1000 * MS)
#define ANNOUNCE_INTERVAL (100 * MS)

#define ND_SOLICITATION 135
#define ND_ADVERTISEMENT 136
#define ND_OPTION_SOURCE 1
#define ND_OPTION_TARGET 2
#define ND_ROUTER 0x80
#define ND_SOLICITED 0x40
#define ND_OVERRIDE 0x20

/* A neighbour solicitation or advertisement with one link-layer address option. */
struct nd_message {
	uint8_t type;
	uint8_t code;
	uint16_t checksum;
	uint8_t flags;
	uint8_t reserved[3];
	uint8_t target[16];
	uint8_t option_type;
	uint8_t option_length;
	uint8_t mac[MAC_BYTES];
} __attribute__((packed));

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

/* Learns the Ethernet address of an address on the side's own subnets. A new entry needs a pending frame or a request to us
 * (`asks_us`): unsolicited messages add nothing. */
static void
learn(struct worker *worker, uint8_t side, const struct address *address, const uint8_t mac[MAC_BYTES], bool asks_us,
      bool may_change)
{
	static const uint8_t unspecified[MAC_BYTES];
	struct neighbours *neighbours = &worker->firewall->neighbours;
	const struct side_arguments *own = worker->firewall->side[side].arguments;
	bool on_subnet = false;

	for (unsigned int i = 0; i < own->address_count; i++) {
		if (address_equal(&own->addresses[i].address, address))
			return;
		on_subnet |= prefix_contains(&own->addresses[i], address);
	}
	if (!on_subnet || (mac[0] & 1) != 0 || memcmp(mac, unspecified, MAC_BYTES) == 0 ||
	    memcmp(mac, own->mac, MAC_BYTES) == 0)
		return;
	if (neighbour_store(neighbours, side, address, mac, asks_us || count_pending(neighbours, side, address) > 0,
	                    may_change, now_ns())) {
		count(&worker->counters.learned, 1);
		send_pending(worker, side, address);
	}
}

static bool
is_own(const struct worker *worker, uint8_t side, const struct address *address)
{
	const struct side_arguments *own = worker->firewall->side[side].arguments;

	for (unsigned int i = 0; i < own->address_count; i++)
		if (address_equal(&own->addresses[i].address, address))
			return true;
	return false;
}

/* Allocates a frame with an Ethernet header and `bytes` bytes. Returns the payload, or NULL. */
static void *
new_frame(struct worker *worker, uint8_t side, const uint8_t to[MAC_BYTES], uint16_t type, uint16_t bytes,
          struct rte_mbuf **mbuf_out)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(worker->firewall->pool);
	struct rte_ether_hdr *ethernet;

	if (mbuf == NULL)
		return NULL;
	ethernet = (struct rte_ether_hdr *)rte_pktmbuf_append(mbuf, (uint16_t)(sizeof(*ethernet) + bytes));
	if (ethernet == NULL) {
		rte_pktmbuf_free(mbuf);
		return NULL;
	}
	memset(ethernet, 0, sizeof(*ethernet) + bytes);
	memcpy(&ethernet->dst_addr, to, MAC_BYTES);
	memcpy(&ethernet->src_addr, worker->firewall->side[side].arguments->mac, MAC_BYTES);
	ethernet->ether_type = rte_cpu_to_be_16(type);
	*mbuf_out = mbuf;
	return ethernet + 1;
}

static void
send_arp(struct worker *worker, uint8_t side, uint16_t operation, const uint8_t to[MAC_BYTES],
         const struct address *sender, const uint8_t target_mac[MAC_BYTES], const struct address *target)
{
	struct rte_mbuf *mbuf;
	struct rte_arp_hdr *arp = new_frame(worker, side, to, RTE_ETHER_TYPE_ARP, sizeof(*arp), &mbuf);

	if (arp == NULL)
		return;
	arp->arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = MAC_BYTES;
	arp->arp_plen = 4;
	arp->arp_opcode = rte_cpu_to_be_16(operation);
	memcpy(&arp->arp_data.arp_sha, worker->firewall->side[side].arguments->mac, MAC_BYTES);
	memcpy(&arp->arp_data.arp_sip, sender->bytes, 4);
	memcpy(&arp->arp_data.arp_tha, target_mac, MAC_BYTES);
	memcpy(&arp->arp_data.arp_tip, target->bytes, 4);
	forward_frame(worker, side, mbuf);
}

static void
send_nd(struct worker *worker, uint8_t side, uint8_t type, uint8_t flags, const uint8_t to_mac[MAC_BYTES],
        const uint8_t from[16], const uint8_t to[16], const uint8_t target[16])
{
	struct rte_mbuf *mbuf;
	struct rte_ipv6_hdr *ip =
		new_frame(worker, side, to_mac, RTE_ETHER_TYPE_IPV6, sizeof(*ip) + sizeof(struct nd_message), &mbuf);
	struct nd_message *message;

	if (ip == NULL)
		return;
	message = (struct nd_message *)(ip + 1);
	ip->vtc_flow = rte_cpu_to_be_32(6u << 28);
	ip->payload_len = rte_cpu_to_be_16(sizeof(*message));
	ip->proto = IPPROTO_ICMPV6;
	ip->hop_limits = 255;
	memcpy(&ip->src_addr, from, 16);
	memcpy(&ip->dst_addr, to, 16);
	message->type = type;
	message->flags = flags;
	memcpy(message->target, target, 16);
	message->option_type = type == ND_SOLICITATION ? ND_OPTION_SOURCE : ND_OPTION_TARGET;
	message->option_length = 1;
	memcpy(message->mac, worker->firewall->side[side].arguments->mac, MAC_BYTES);
	message->checksum = rte_ipv6_udptcp_cksum(ip, message);
	forward_frame(worker, side, mbuf);
}

static const uint8_t broadcast[MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t all_nodes_mac[MAC_BYTES] = {0x33, 0x33, 0, 0, 0, 1};
static const uint8_t all_nodes[16] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

/* Returns our address on the subnet of `address`, the source of requests. */
static const struct address *
own_address(const struct worker *worker, uint8_t side, const struct address *address)
{
	const struct side_arguments *own = worker->firewall->side[side].arguments;

	for (unsigned int i = 0; i < own->address_count; i++)
		if (prefix_contains(&own->addresses[i], address))
			return &own->addresses[i].address;
	return NULL;
}

static void
request(struct worker *worker, uint8_t side, const struct address *address)
{
	const struct address *own = own_address(worker, side, address);
	static const uint8_t unknown[MAC_BYTES];
	uint8_t group[16] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
	uint8_t group_mac[MAC_BYTES] = {0x33, 0x33, 0xff};

	if (own == NULL)
		return;
	if (address->family == 4) {
		send_arp(worker, side, RTE_ARP_OP_REQUEST, broadcast, own, unknown, address);
		return;
	}
	memcpy(group + 13, address->bytes + 13, 3);
	memcpy(group_mac + 3, address->bytes + 13, 3);
	send_nd(worker, side, ND_SOLICITATION, 0, group_mac, own->bytes, group, address->bytes);
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
	if (asks_us && atomic_load(&worker->firewall->master)) {
		send_arp(worker, side, RTE_ARP_OP_REPLY, mac, &target, mac, &sender);
		count(&worker->counters.answered, 1);
	}
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

/* Answers a solicitation for one of our addresses. An unspecified source only checks for duplicates. */
static void
answer_solicitation(struct worker *worker, uint8_t side, const struct address *source, const uint8_t *mac,
                    const struct address *target)
{
	static const struct address unspecified = {.family = 6};

	count(&worker->counters.answered, 1);
	if (address_equal(source, &unspecified))
		send_nd(worker, side, ND_ADVERTISEMENT, ND_ROUTER | ND_OVERRIDE, all_nodes_mac, target->bytes,
		        all_nodes, target->bytes);
	else
		send_nd(worker, side, ND_ADVERTISEMENT, ND_ROUTER | ND_SOLICITED | ND_OVERRIDE, mac,
		        target->bytes, source->bytes, target->bytes);
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
	if (asks_us && source.bytes[0] != 0xff && (mac[0] & 1) == 0 && atomic_load(&worker->firewall->master))
		answer_solicitation(worker, side, &source, mac, &target);
}

void
neighbour_receive(struct worker *worker, uint8_t side, struct rte_mbuf *mbuf)
{
	const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *);

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
		request(worker, side, next_hop);
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
			request(worker, neighbours->pending[i].side, &neighbours->pending[i].next_hop);
}

/* Announces the shared addresses on both sides. */
static void
announce(struct worker *worker)
{
	for (uint8_t side = 0; side < SIDES; side++) {
		const struct side_arguments *own = worker->firewall->side[side].arguments;

		for (unsigned int i = 0; i < own->address_count; i++) {
			const struct address *address = &own->addresses[i].address;

			if (address->family == 4)
				send_arp(worker, side, RTE_ARP_OP_REQUEST, broadcast, address, own->mac, address);
			else
				send_nd(worker, side, ND_ADVERTISEMENT, ND_ROUTER | ND_OVERRIDE, all_nodes_mac,
				        address->bytes, all_nodes, address->bytes);
		}
	}
}

unsigned int
neighbour_poll(struct worker *worker, uint64_t now)
{
	struct firewall *firewall = worker->firewall;
	struct neighbours *neighbours = &firewall->neighbours;
	unsigned int work = 0;
	int rounds = atomic_load(&firewall->announcements);

	/* The backup is silent: a frame from the shared Ethernet address would attract traffic. */
	if (!atomic_load(&firewall->master)) {
		neighbour_free(neighbours);
		return 0;
	}
	neighbour_age(neighbours, now, worker, request);
	if (rounds > 0 && now - neighbours->announced_at >= ANNOUNCE_INTERVAL) {
		neighbours->announced_at = now;
		announce(worker);
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
