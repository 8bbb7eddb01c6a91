#include "neighbour.h"

#include <string.h>

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>

#include "firewall.h"

#define MS 1000000ull
#define ASK_EVERY (100 * MS)
#define GIVE_UP_AFTER (1000 * MS)
#define ANNOUNCE_EVERY (100 * MS)

#define ND_SOLICITATION 135
#define ND_ADVERTISEMENT 136
#define ND_OPTION_SOURCE 1
#define ND_OPTION_TARGET 2
#define ND_ROUTER 0x80
#define ND_SOLICITED 0x40
#define ND_OVERRIDE 0x20

/* A neighbour solicitation or advertisement with one option that holds an Ethernet address. */
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

static uint64_t
pack(const uint8_t mac[MAC_BYTES])
{
	uint64_t packed = 1;

	for (int i = 0; i < MAC_BYTES; i++)
		packed = packed << 8 | mac[i];
	return packed;
}

bool
neighbour_find(const struct neighbours *neighbours, uint8_t side, const struct address *address,
               uint8_t mac_out[MAC_BYTES])
{
	uint32_t entries = atomic_load_explicit(&neighbours->count, memory_order_acquire);

	for (uint32_t i = 0; i < entries; i++) {
		const struct neighbour *entry = &neighbours->entry[i];
		uint64_t mac;

		if (entry->side != side || !address_equal(&entry->address, address))
			continue;
		mac = atomic_load_explicit(&entry->mac, memory_order_relaxed);
		for (int byte = MAC_BYTES - 1; byte >= 0; byte--, mac >>= 8)
			mac_out[byte] = (uint8_t)mac;
		return true;
	}
	return false;
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

/* Writes down where an address is. Only addresses of the side's own subnets are taken, so that nobody can fill the table
 * with others; a full table keeps what it has. */
static void
learn(struct worker *worker, uint8_t side, const struct address *address, const uint8_t mac[MAC_BYTES])
{
	struct neighbours *neighbours = &worker->firewall->neighbours;
	const struct side_arguments *own = worker->firewall->side[side].arguments;
	uint32_t entries = atomic_load_explicit(&neighbours->count, memory_order_relaxed);
	bool on_subnet = false;

	for (unsigned int i = 0; i < own->address_count; i++) {
		if (address_equal(&own->addresses[i].address, address))
			return;
		on_subnet |= prefix_contains(&own->addresses[i], address);
	}
	if (!on_subnet || (mac[0] & 1))
		return;
	for (uint32_t i = 0; i < entries; i++) {
		struct neighbour *entry = &neighbours->entry[i];

		if (entry->side == side && address_equal(&entry->address, address)) {
			atomic_store_explicit(&entry->mac, pack(mac), memory_order_relaxed);
			send_pending(worker, side, address);
			return;
		}
	}
	if (entries == NEIGHBOURS_MOST)
		return;
	neighbours->entry[entries].address = *address;
	neighbours->entry[entries].side = side;
	atomic_store_explicit(&neighbours->entry[entries].mac, pack(mac), memory_order_relaxed);
	atomic_store_explicit(&neighbours->count, entries + 1, memory_order_release);
	send_pending(worker, side, address);
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

/* A new frame of `bytes` bytes with its Ethernet header, or NULL. */
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

/* Our address on the subnet of `address`, to ask from. */
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
ask(struct worker *worker, uint8_t side, const struct address *address)
{
	const struct address *own = own_address(worker, side, address);
	static const uint8_t nobody[MAC_BYTES];
	uint8_t group[16] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
	uint8_t group_mac[MAC_BYTES] = {0x33, 0x33, 0xff};

	if (own == NULL)
		return;
	if (address->family == 4) {
		send_arp(worker, side, RTE_ARP_OP_REQUEST, broadcast, own, nobody, address);
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

	if (mbuf->data_len < sizeof(struct rte_ether_hdr) + sizeof(*arp) ||
	    arp->arp_hardware != RTE_BE16(RTE_ARP_HRD_ETHER) ||
	    arp->arp_protocol != RTE_BE16(RTE_ETHER_TYPE_IPV4) || arp->arp_hlen != MAC_BYTES ||
	    arp->arp_plen != 4)
		return;
	memcpy(sender.bytes, &arp->arp_data.arp_sip, 4);
	memcpy(target.bytes, &arp->arp_data.arp_tip, 4);
	memcpy(mac, &arp->arp_data.arp_sha, MAC_BYTES);
	learn(worker, side, &sender, mac);
	if (arp->arp_opcode == RTE_BE16(RTE_ARP_OP_REQUEST) && is_own(worker, side, &target) &&
	    atomic_load(&worker->firewall->master)) {
		send_arp(worker, side, RTE_ARP_OP_REPLY, mac, &target, mac, &sender);
		count(&worker->counters.answered, 1);
	}
}

/* The Ethernet address in a neighbour message's option, or NULL. */
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
	const struct rte_ipv6_hdr *ip =
		rte_pktmbuf_mtod_offset(mbuf, const struct rte_ipv6_hdr *, sizeof(struct rte_ether_hdr));
	const struct nd_message *message = (const struct nd_message *)(ip + 1);
	const uint8_t *first_option = (const uint8_t *)message + offsetof(struct nd_message, option_type);
	size_t available = mbuf->data_len - sizeof(struct rte_ether_hdr) - sizeof(*ip);
	size_t length = rte_be_to_cpu_16(ip->payload_len);
	struct address source = {.family = 6}, target = {.family = 6};
	const uint8_t *mac;

	if (length > available || length < offsetof(struct nd_message, option_type) || ip->hop_limits != 255 ||
	    message->code != 0 || rte_ipv6_udptcp_cksum(ip, message) != 0)
		return;
	memcpy(source.bytes, &ip->src_addr, 16);
	memcpy(target.bytes, message->target, 16);
	if (message->type == ND_ADVERTISEMENT) {
		mac = nd_option(first_option, (const uint8_t *)message + length, ND_OPTION_TARGET);
		if (mac != NULL)
			learn(worker, side, &target, mac);
		return;
	}
	if (message->type != ND_SOLICITATION)
		return;
	mac = nd_option(first_option, (const uint8_t *)message + length, ND_OPTION_SOURCE);
	if (mac != NULL)
		learn(worker, side, &source, mac);
	if (!is_own(worker, side, &target) || !atomic_load(&worker->firewall->master))
		return;
	count(&worker->counters.answered, 1);
	if (mac != NULL)
		send_nd(worker, side, ND_ADVERTISEMENT, ND_ROUTER | ND_SOLICITED | ND_OVERRIDE, mac, target.bytes,
		        source.bytes, target.bytes);
	else /* somebody looks whether the address is taken */
		send_nd(worker, side, ND_ADVERTISEMENT, ND_ROUTER | ND_OVERRIDE, all_nodes_mac, target.bytes,
		        all_nodes, target.bytes);
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

void
neighbour_resolve(struct worker *worker, uint8_t side, struct rte_mbuf *mbuf,
                  const struct address *next_hop, uint64_t now)
{
	struct neighbours *neighbours = &worker->firewall->neighbours;

	if (neighbours->pending_count == PENDING_MOST) {
		count(&worker->counters.unresolved, 1);
		rte_pktmbuf_free(mbuf);
		return;
	}
	if (neighbours->pending_count == 0)
		neighbours->asked_at = now - ASK_EVERY;
	neighbours->pending[neighbours->pending_count++] =
		(struct pending){.mbuf = mbuf, .next_hop = *next_hop, .since = now, .side = side};
}

/* Whether an earlier frame waits for the same next hop: one question is enough. */
static bool
asked_before(const struct neighbours *neighbours, unsigned int place)
{
	for (unsigned int i = 0; i < place; i++)
		if (neighbours->pending[i].side == neighbours->pending[place].side &&
		    address_equal(&neighbours->pending[i].next_hop, &neighbours->pending[place].next_hop))
			return true;
	return false;
}

static void
ask_and_give_up(struct worker *worker, uint64_t now)
{
	struct neighbours *neighbours = &worker->firewall->neighbours;
	unsigned int kept = 0;

	for (unsigned int i = 0; i < neighbours->pending_count; i++) {
		struct pending *pending = &neighbours->pending[i];

		if (now - pending->since >= GIVE_UP_AFTER) {
			count(&worker->counters.unresolved, 1);
			rte_pktmbuf_free(pending->mbuf);
			continue;
		}
		neighbours->pending[kept++] = *pending;
	}
	neighbours->pending_count = kept;
	for (unsigned int i = 0; i < kept; i++)
		if (!asked_before(neighbours, i))
			ask(worker, neighbours->pending[i].side, &neighbours->pending[i].next_hop);
}

/* Tells both sides that the shared addresses are here now. */
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

	if (rounds > 0 && now - neighbours->announced_at >= ANNOUNCE_EVERY) {
		neighbours->announced_at = now;
		announce(worker);
		atomic_fetch_sub(&firewall->announcements, 1);
		work++;
	}
	if (neighbours->pending_count > 0 && now - neighbours->asked_at >= ASK_EVERY) {
		neighbours->asked_at = now;
		ask_and_give_up(worker, now);
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
