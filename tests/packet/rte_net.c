/* Runs DPDK's packet functions on frames. Reads frames from standard input, each after its length (two bytes, little
 * endian), and writes for each the packet type, the header lengths, and the correct checksums. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_net.h>
#include <rte_tcp.h>
#include <rte_udp.h>

struct answer {
	uint32_t type;
	uint16_t l2, l3;
	/* In network byte order. */
	uint16_t ip_checksum, l4_checksum;
};
_Static_assert(sizeof(struct answer) == 12, "rte_net.rs reads 12 bytes");

/* Returns the checksum field of a TCP or UDP header. */
static uint16_t *l4_field(uint8_t *l4, uint32_t type)
{
	switch (type & RTE_PTYPE_L4_MASK) {
	case RTE_PTYPE_L4_TCP:
		return (uint16_t *)(l4 + offsetof(struct rte_tcp_hdr, cksum));
	case RTE_PTYPE_L4_UDP:
		return (uint16_t *)(l4 + offsetof(struct rte_udp_hdr, dgram_cksum));
	default:
		return NULL;
	}
}

static void sums(uint8_t *frame, uint32_t type, struct answer *answer)
{
	uint8_t *ip = frame + answer->l2, *l4 = ip + answer->l3;
	uint16_t *field = l4_field(l4, type);

	if (field != NULL)
		memset(field, 0, sizeof(*field));
	if (RTE_ETH_IS_IPV4_HDR(type)) {
		struct rte_ipv4_hdr *header = (struct rte_ipv4_hdr *)ip;

		header->hdr_checksum = 0;
		answer->ip_checksum = rte_ipv4_cksum(header);
		if (field != NULL)
			answer->l4_checksum = rte_ipv4_udptcp_cksum(header, l4);
	} else if (field != NULL) {
		answer->l4_checksum = rte_ipv6_udptcp_cksum((struct rte_ipv6_hdr *)ip, l4);
	}
}

/* Whether the frame holds the IP packet and its transport header. */
static bool fits(const uint8_t *frame, uint32_t length, const struct answer *answer)
{
	const uint8_t *ip = frame + answer->l2;
	bool is_tcp = (answer->type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_TCP;
	bool is_udp = (answer->type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_UDP;
	uint32_t end, transport = is_tcp ? 20 : is_udp ? 8 : 0;

	if (RTE_ETH_IS_IPV4_HDR(answer->type))
		end = answer->l2 + rte_be_to_cpu_16(((const struct rte_ipv4_hdr *)ip)->total_length);
	else if (RTE_ETH_IS_IPV6_HDR(answer->type))
		end = answer->l2 + 40u + rte_be_to_cpu_16(((const struct rte_ipv6_hdr *)ip)->payload_len);
	else
		return false;
	return end <= length && answer->l2 + answer->l3 + transport <= end;
}

int main(void)
{
	static uint8_t frame[65536];
	uint8_t prefix[2];

	while (fread(prefix, 1, 2, stdin) == 2) {
		uint16_t length = (uint16_t)(prefix[0] | prefix[1] << 8);
		struct rte_mbuf mbuf = {.buf_addr = frame, .nb_segs = 1, .data_len = length, .pkt_len = length};
		struct rte_net_hdr_lens lengths = {0};
		struct answer answer = {0};

		if (fread(frame, 1, length, stdin) != length)
			return 1;
		answer.type = rte_net_get_ptype(&mbuf, &lengths,
						RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | RTE_PTYPE_L4_MASK);
		answer.l2 = lengths.l2_len;
		answer.l3 = lengths.l3_len;
		/* The checksum functions trust the headers. */
		if (fits(frame, length, &answer))
			sums(frame, answer.type, &answer);
		if (fwrite(&answer, sizeof(answer), 1, stdout) != 1 || fflush(stdout) != 0)
			return 1;
	}
	return 0;
}
