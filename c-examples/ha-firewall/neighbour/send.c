/* Builds and sends ARP and neighbour discovery messages. */
#include "neighbour/send.h"

#include <string.h>

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_ip.h>

#include "firewall.h"

/* Who sends a message. */
struct sender {
	const struct address *address;
	const uint8_t *mac;
};

/* Allocates a frame with an Ethernet header and `bytes` bytes. Returns the payload, or NULL. */
static void *
new_frame(struct worker *worker, const uint8_t from[MAC_BYTES], const uint8_t to[MAC_BYTES], uint16_t type, uint16_t bytes,
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
	memcpy(&ethernet->src_addr, from, MAC_BYTES);
	ethernet->ether_type = rte_cpu_to_be_16(type);
	*mbuf_out = mbuf;
	return ethernet + 1;
}

/* A master's frame waits with the forwarded ones, and is sent only if this node still is the master. The backup sends from its
 * own address only, at once. */
static void
send_as(struct worker *worker, uint8_t side, struct rte_mbuf *mbuf, const uint8_t from[MAC_BYTES])
{
	if (from == worker->firewall->side[side].own_mac)
		(void)forward_now(worker, (enum side)side, mbuf);
	else
		forward_frame(worker, side, mbuf);
}

static void
send_arp(struct worker *worker, uint8_t side, uint16_t operation, const uint8_t to[MAC_BYTES],
         const struct sender *sender, const uint8_t target_mac[MAC_BYTES], const struct address *target)
{
	struct rte_mbuf *mbuf;
	struct rte_arp_hdr *arp = new_frame(worker, sender->mac, to, RTE_ETHER_TYPE_ARP, sizeof(*arp), &mbuf);

	if (arp == NULL)
		return;
	arp->arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = MAC_BYTES;
	arp->arp_plen = 4;
	arp->arp_opcode = rte_cpu_to_be_16(operation);
	memcpy(&arp->arp_data.arp_sha, sender->mac, MAC_BYTES);
	memcpy(&arp->arp_data.arp_sip, sender->address->bytes, 4);
	memcpy(&arp->arp_data.arp_tha, target_mac, MAC_BYTES);
	memcpy(&arp->arp_data.arp_tip, target->bytes, 4);
	send_as(worker, side, mbuf, sender->mac);
}

static void
send_nd(struct worker *worker, uint8_t side, uint8_t type, uint8_t flags, const uint8_t to_mac[MAC_BYTES],
        const struct sender *from, const uint8_t to[16], const uint8_t target[16])
{
	struct rte_mbuf *mbuf;
	struct rte_ipv6_hdr *ip =
		new_frame(worker, from->mac, to_mac, RTE_ETHER_TYPE_IPV6, sizeof(*ip) + sizeof(struct nd_message), &mbuf);
	struct nd_message *message;

	if (ip == NULL)
		return;
	message = (struct nd_message *)(ip + 1);
	ip->vtc_flow = rte_cpu_to_be_32(6u << 28);
	ip->payload_len = rte_cpu_to_be_16(sizeof(*message));
	ip->proto = IPPROTO_ICMPV6;
	ip->hop_limits = 255;
	memcpy(&ip->src_addr, from->address->bytes, 16);
	memcpy(&ip->dst_addr, to, 16);
	message->type = type;
	message->flags = flags;
	memcpy(message->target, target, 16);
	message->option_type = type == ND_SOLICITATION ? ND_OPTION_SOURCE : ND_OPTION_TARGET;
	message->option_length = 1;
	memcpy(message->mac, from->mac, MAC_BYTES);
	message->checksum = rte_ipv6_udptcp_cksum(ip, message);
	send_as(worker, side, mbuf, from->mac);
}

static const uint8_t broadcast[MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t all_nodes_mac[MAC_BYTES] = {0x33, 0x33, 0, 0, 0, 1};
static const uint8_t all_nodes[16] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

/* Finds from where to ask for an address. Returns false when there is nothing to ask from. */
static bool
find_sender(const struct worker *worker, uint8_t side, const struct address *address, struct sender *out)
{
	const struct side_state *state = &worker->firewall->side[side];
	const struct side_arguments *shared = state->arguments;
	bool v6 = address->family == 6;

	for (unsigned int i = 0; i < shared->address_count && may_forward(worker->firewall, now_ns()); i++) {
		if (prefix_contains(&shared->addresses[i], address)) {
			*out = (struct sender){.address = &shared->addresses[i].address, .mac = state->shared_mac[v6]};
			return true;
		}
	}
	*out = (struct sender){.address = &state->own[v6], .mac = state->own_mac};
	return state->own[v6].family != 0;
}

static void
request_from(struct worker *worker, uint8_t side, const struct address *address, const struct sender *sender)
{
	static const uint8_t unknown[MAC_BYTES];
	uint8_t group[16] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
	uint8_t group_mac[MAC_BYTES] = {0x33, 0x33, 0xff};

	if (address->family == 4) {
		send_arp(worker, side, RTE_ARP_OP_REQUEST, broadcast, sender, unknown, address);
		return;
	}
	memcpy(group + 13, address->bytes + 13, 3);
	memcpy(group_mac + 3, address->bytes + 13, 3);
	send_nd(worker, side, ND_SOLICITATION, 0, group_mac, sender, group, address->bytes);
}

void
neighbour_request(struct worker *worker, uint8_t side, const struct address *address)
{
	struct sender sender;

	if (find_sender(worker, side, address, &sender))
		request_from(worker, side, address, &sender);
}

void
neighbour_request_from_own(struct worker *worker, uint8_t side, const struct address *address)
{
	const struct side_state *state = &worker->firewall->side[side];
	const struct sender own = {.address = &state->own[address->family == 6], .mac = state->own_mac};

	if (own.address->family != 0)
		request_from(worker, side, address, &own);
}

void
neighbour_answer_arp(struct worker *worker, uint8_t side, const uint8_t mac[MAC_BYTES], const struct address *sender,
                     const struct address *target)
{
	const struct sender us = {.address = target, .mac = worker->firewall->side[side].shared_mac[0]};

	send_arp(worker, side, RTE_ARP_OP_REPLY, mac, &us, mac, sender);
	count(&worker->counters.answered, 1);
}

/* An unspecified source only checks for duplicates. */
void
neighbour_answer_solicitation(struct worker *worker, uint8_t side, const struct address *source, const uint8_t *mac,
                              const struct address *target)
{
	static const struct address unspecified = {.family = 6};
	const struct sender us = {.address = target, .mac = worker->firewall->side[side].shared_mac[1]};

	count(&worker->counters.answered, 1);
	if (address_equal(source, &unspecified))
		send_nd(worker, side, ND_ADVERTISEMENT, ND_ROUTER | ND_OVERRIDE, all_nodes_mac, &us,
		        all_nodes, target->bytes);
	else
		send_nd(worker, side, ND_ADVERTISEMENT, ND_ROUTER | ND_SOLICITED | ND_OVERRIDE, mac,
		        &us, source->bytes, target->bytes);
}

void
neighbour_announce(struct worker *worker)
{
	for (uint8_t side = 0; side < SIDES; side++) {
		const struct side_arguments *own = worker->firewall->side[side].arguments;

		for (unsigned int i = 0; i < own->address_count; i++) {
			const struct address *address = &own->addresses[i].address;
			const struct sender us = {.address = address,
			                          .mac = worker->firewall->side[side].shared_mac[address->family == 6]};

			if (address->family == 4)
				send_arp(worker, side, RTE_ARP_OP_REQUEST, broadcast, &us, us.mac, address);
			else
				send_nd(worker, side, ND_ADVERTISEMENT, ND_ROUTER | ND_OVERRIDE, all_nodes_mac, &us,
				        all_nodes, address->bytes);
		}
	}
}
