/* The DPDK functions that Rust calls: direct ones, and the shim for inline ones, called once per burst. */
#ifndef PFPLANE_DPDK_SHIM_H
#define PFPLANE_DPDK_SHIM_H

#include <stdint.h>

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

/* rte_pktmbuf_alloc_bulk. Returns 0, or a negative value if nothing was allocated. */
int pfplane_shim_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count);

/* Returns how many bytes an mbuf of the pool holds after its headroom. */
uint32_t pfplane_shim_data_room(struct rte_mempool *pool);

/* rte_pktmbuf_chain: appends `tail` to `head`. Returns 0, or a negative value if the chain would be too long. */
int pfplane_shim_chain(struct rte_mbuf *head, struct rte_mbuf *tail);

#endif
