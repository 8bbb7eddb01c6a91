/* Generates minimum-size frames of many connections. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

/* An IPv6 packet does not fit into 60 bytes. */
#define V6_UDP_FRAME_BYTES 62
#define V6_FRAME_BYTES 74
#define CLIENT_SEQ 1000
#define SERVER_SEQ 5000
#define OPENING_NS 1000000

/* One packet of a flow: its direction and its TCP header fields. */
struct segment {
	bool reverse;
	uint8_t flags;
	uint32_t seq;
	uint32_t ack;
};

static const struct segment opening[] = {
	{false, RTE_TCP_SYN_FLAG, CLIENT_SEQ, 0},
	{true, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, SERVER_SEQ, CLIENT_SEQ + 1},
	{false, RTE_TCP_ACK_FLAG, CLIENT_SEQ + 1, SERVER_SEQ + 1},
};
#define ACK (&opening[2])

static uint16_t
frame_bytes(const struct arguments *arguments)
{
	if (!arguments->ipv6)
		return FRAME_BYTES;
	return arguments->udp ? V6_UDP_FRAME_BYTES : V6_FRAME_BYTES;
}

/* Each number is another connection: clients in 10.0.0.0/8 or fd00::/96, one server. */
static void
ends(uint32_t flow, uint32_t *client, uint16_t *port)
{
	uint32_t mixed = flow * UINT32_C(0x9e3779b1);

	*client = UINT32_C(0x0a000000) | (flow & 0xffffff);
	*port = (uint16_t)(1024 + ((mixed >> 16) % 60000));
}

static void
write_ip(const struct arguments *arguments, uint8_t *at, uint32_t client, bool reverse, uint16_t payload, uint8_t proto)
{
	uint32_t server = UINT32_C(0xc0000201);

	if (arguments->ipv6) {
		struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)at;
		uint32_t from = rte_cpu_to_be_32(reverse ? server : client), to = rte_cpu_to_be_32(reverse ? client : server);

		memset(ip, 0, sizeof(*ip));
		ip->vtc_flow = rte_cpu_to_be_32(6u << 28);
		ip->payload_len = rte_cpu_to_be_16(payload);
		ip->proto = proto;
		ip->hop_limits = 64;
		memset((uint8_t *)ip + 8, 0xfd, 1);
		memset((uint8_t *)ip + 24, 0xfd, 1);
		memcpy((uint8_t *)ip + 20, &from, sizeof(from));
		memcpy((uint8_t *)ip + 36, &to, sizeof(to));
	} else {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)at;

		memset(ip, 0, sizeof(*ip));
		ip->version_ihl = 0x45;
		ip->total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip) + payload));
		ip->time_to_live = 64;
		ip->next_proto_id = proto;
		ip->src_addr = rte_cpu_to_be_32(reverse ? server : client);
		ip->dst_addr = rte_cpu_to_be_32(reverse ? client : server);
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	}
}

static void
write_frame(const struct arguments *arguments, uint32_t flow, const struct segment *segment, uint8_t *frame)
{
	struct rte_ether_hdr *ether = (struct rte_ether_hdr *)frame;
	uint8_t *ip = frame + sizeof(*ether);
	uint8_t *transport = ip + (arguments->ipv6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr));
	uint16_t ports[2];
	uint32_t client;

	memset(frame, 0, frame_bytes(arguments));
	memset(&ether->dst_addr, 2, 1);
	memset(&ether->src_addr, 2, 1);
	ether->ether_type = rte_cpu_to_be_16(arguments->ipv6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
	ends(flow, &client, &ports[0]);
	ports[1] = 443;
	if (arguments->udp) {
		struct rte_udp_hdr *udp = (struct rte_udp_hdr *)transport;

		udp->src_port = rte_cpu_to_be_16(ports[segment->reverse]);
		udp->dst_port = rte_cpu_to_be_16(ports[!segment->reverse]);
		udp->dgram_len = rte_cpu_to_be_16(sizeof(*udp));
		write_ip(arguments, ip, client, segment->reverse, sizeof(*udp), IPPROTO_UDP);
	} else {
		struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)transport;

		tcp->src_port = rte_cpu_to_be_16(ports[segment->reverse]);
		tcp->dst_port = rte_cpu_to_be_16(ports[!segment->reverse]);
		tcp->sent_seq = rte_cpu_to_be_32(segment->seq);
		tcp->recv_ack = rte_cpu_to_be_32(segment->ack);
		tcp->data_off = 5 << 4;
		tcp->tcp_flags = segment->flags;
		tcp->rx_win = UINT16_MAX;
		write_ip(arguments, ip, client, segment->reverse, sizeof(*tcp), IPPROTO_TCP);
	}
}

static struct pfplane_packet
packet_of(const struct arguments *arguments, uint8_t *frame)
{
	return (struct pfplane_packet){.data = frame, .length = frame_bytes(arguments)};
}

bool
frames_share(const struct arguments *arguments, const struct pfplane_engine *engine, struct frames *frames,
             uint32_t lanes)
{
	const struct pfplane_burst burst = {
		.size = sizeof(burst), .direction = PFPLANE_IN, .link = PFPLANE_LINK_ETHERNET};

	for (uint32_t lane = 0; lane < lanes; lane++) {
		frames[lane] = (struct frames){.flows = malloc(arguments->flows * sizeof(uint32_t))};
		if (frames[lane].flows == NULL) {
			fprintf(stderr, "nic-bench: no memory for the numbers of %u flows\n", arguments->flows);
			return false;
		}
	}
	for (uint32_t flow = 0; flow < arguments->flows; flow++) {
		uint8_t frame[V6_FRAME_BYTES];
		struct pfplane_packet packet = packet_of(arguments, frame);
		uint32_t lane;

		write_frame(arguments, flow, ACK, frame);
		if (pfplane_engine_lane_of(engine, &burst, &packet, &lane) != PFPLANE_OK) {
			fprintf(stderr, "nic-bench: %s\n", pfplane_last_error());
			return false;
		}
		frames[lane].flows[frames[lane].count++] = flow;
	}
	/* Shuffle the packets, so that no cache can predict them. */
	for (uint32_t lane = 0; lane < lanes; lane++) {
		uint64_t random = 0x5eed;

		for (uint32_t n = frames[lane].count; n > 1; n--) {
			random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			uint32_t other = (uint32_t)((random >> 33) % n), swap = frames[lane].flows[n - 1];

			frames[lane].flows[n - 1] = frames[lane].flows[other];
			frames[lane].flows[other] = swap;
		}
	}
	return true;
}

bool
frames_open(const struct arguments *arguments, struct pfplane_lane *lane, const struct frames *frames)
{
	for (uint32_t n = 0; n < frames->count; n++) {
		for (size_t step = 0; step < RTE_DIM(opening); step++) {
			const struct pfplane_burst burst = {.size = sizeof(burst),
			                                    .direction = opening[step].reverse ? PFPLANE_OUT : PFPLANE_IN,
			                                    .link = PFPLANE_LINK_ETHERNET, .now_ns = OPENING_NS};
			uint8_t frame[V6_FRAME_BYTES];
			struct pfplane_packet packet = packet_of(arguments, frame);
			struct pfplane_verdict verdict;
			int32_t status;

			write_frame(arguments, frames->flows[n], &opening[step], frame);
			status = step == 0 ? pfplane_lane_state_create(lane, &burst, &packet, NULL, &verdict)
			                   : pfplane_lane_lookup(lane, &burst, &packet, 1, &verdict);
			if (status != PFPLANE_OK || verdict.action != PFPLANE_PASS) {
				fprintf(stderr, "nic-bench: flow %u cannot be opened (action %u, reason %u): is --states large enough?\n",
				        frames->flows[n], verdict.action, verdict.reason);
				return false;
			}
		}
	}
	return true;
}

uint32_t
frames_make(const struct arguments *arguments, struct frames *frames, struct rte_mempool *pool,
            struct rte_mbuf **mbufs, uint32_t count)
{
	if (frames->count == 0 || rte_pktmbuf_alloc_bulk(pool, mbufs, count) != 0)
		return 0;
	for (uint32_t n = 0; n < count; n++) {
		uint8_t *frame = (uint8_t *)rte_pktmbuf_append(mbufs[n], frame_bytes(arguments));

		write_frame(arguments, frames->flows[frames->at], ACK, frame);
		frames->at = frames->at + 1 == frames->count ? 0 : frames->at + 1;
	}
	return count;
}

void
frames_free(struct frames *frames, uint32_t lanes)
{
	for (uint32_t lane = 0; lane < lanes; lane++)
		free(frames[lane].flows);
}
