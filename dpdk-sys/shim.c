/* DPDK's inline functions and macros as functions, and checks that the layout of an mbuf is what src/mbuf expects. */
#include "shim.h"

#include <assert.h>
#include <stddef.h>

#define AT(field, offset) \
	_Static_assert(offsetof(struct rte_mbuf, field) == (offset), "rte_mbuf." #field " is at another offset")

AT(buf_addr, 0);
AT(data_off, 16);
AT(refcnt, 18);
AT(nb_segs, 20);
AT(port, 22);
AT(ol_flags, 24);
AT(packet_type, 32);
AT(pkt_len, 36);
AT(data_len, 40);
AT(vlan_tci, 42);
AT(hash, 44);
AT(buf_len, 54);
AT(pool, 56);
AT(next, 64);
AT(tx_offload, 72);
AT(shinfo, 80);
_Static_assert(sizeof(struct rte_mbuf) == 128, "rte_mbuf has another size");
_Static_assert(offsetof(struct rte_mbuf_ext_shared_info, refcnt) == 16, "rte_mbuf_ext_shared_info.refcnt is at another offset");

#define FLAG(name, value) _Static_assert((name) == (value), #name " has another value")

FLAG(RTE_MBUF_F_RX_L4_CKSUM_MASK, (1ULL << 3) | (1ULL << 8));
FLAG(RTE_MBUF_F_RX_L4_CKSUM_BAD, 1ULL << 3);
FLAG(RTE_MBUF_F_RX_IP_CKSUM_MASK, (1ULL << 4) | (1ULL << 7));
FLAG(RTE_MBUF_F_RX_IP_CKSUM_BAD, 1ULL << 4);
FLAG(RTE_MBUF_F_RX_L4_CKSUM_NONE, (1ULL << 3) | (1ULL << 8));
FLAG(RTE_MBUF_F_RX_VLAN_STRIPPED, 1ULL << 6);
FLAG(RTE_MBUF_F_RX_QINQ_STRIPPED, 1ULL << 15);
FLAG(RTE_MBUF_F_TX_UDP_SEG, 1ULL << 42);
FLAG(RTE_MBUF_F_TX_TCP_SEG, 1ULL << 50);
FLAG(RTE_MBUF_F_TX_L4_MASK, 3ULL << 52);
FLAG(RTE_MBUF_F_TX_IP_CKSUM, 1ULL << 54);
FLAG(RTE_MBUF_F_EXTERNAL, 1ULL << 61);
FLAG(RTE_MBUF_F_INDIRECT, 1ULL << 62);
_Static_assert(RTE_MBUF_F_RX_RSS_HASH == (1ULL << 1), "RTE_MBUF_F_RX_RSS_HASH has another value");

int
pfplane_shim_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count)
{
	return rte_pktmbuf_alloc_bulk(pool, mbufs, count);
}

uint32_t
pfplane_shim_data_room(struct rte_mempool *pool)
{
	uint32_t size = rte_pktmbuf_data_room_size(pool);

	return size > RTE_PKTMBUF_HEADROOM ? size - RTE_PKTMBUF_HEADROOM : 0;
}

int
pfplane_shim_chain(struct rte_mbuf *head, struct rte_mbuf *tail)
{
	return rte_pktmbuf_chain(head, tail);
}
