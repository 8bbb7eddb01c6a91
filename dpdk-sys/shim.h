/* What Rust calls of DPDK: cold functions, and the inline ones behind the shim, one call a burst. */
#ifndef PFPLANE_DPDK_SHIM_H
#define PFPLANE_DPDK_SHIM_H

#include <stdint.h>

#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

/* rte_pktmbuf_alloc_bulk: 0, or negative and nothing is allocated. */
int pfplane_shim_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count);

/* Bytes that one mbuf of the pool holds behind its headroom. */
uint32_t pfplane_shim_data_room(struct rte_mempool *pool);

/* rte_errno of this thread. */
int pfplane_shim_errno(void);

/* Lengthens the last segment by `length` bytes; where they begin, or NULL when they do not fit. */
void *pfplane_shim_append(struct rte_mbuf *mbuf, uint16_t length);

/* Hangs `tail` behind `head`; 0, or negative when the chain would be too long. */
int pfplane_shim_chain(struct rte_mbuf *head, struct rte_mbuf *tail);

/* DPDK's CRC hash over `length` bytes, for rte_hash_create. */
uint32_t pfplane_shim_hash_crc(const void *data, uint32_t length, uint32_t initial);

/* DPDK's version as text. */
const char *pfplane_shim_version(void);

#endif
