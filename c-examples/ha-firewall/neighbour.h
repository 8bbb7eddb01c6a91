/* Who is where on the two sides: ARP and neighbour discovery, asked, answered and announced.
 *
 * The table has one writer, lane 0. Entries are added and changed, never removed, so any lane may read: an entry's address
 * is written before its Ethernet address is published, and does not change afterwards. */
#ifndef HA_NEIGHBOUR_H
#define HA_NEIGHBOUR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "address.h"

#define NEIGHBOURS_MOST 1024
#define PENDING_MOST 256

struct rte_mbuf;
struct worker;

struct neighbour {
	struct address address;
	uint8_t side;
	_Atomic uint64_t mac; /* 0 while unknown; else bit 48 and the six bytes */
};

/* A frame that waits for its next hop. */
struct pending {
	struct rte_mbuf *mbuf;
	struct address next_hop;
	uint64_t since;
	uint8_t side;
};

struct neighbours {
	struct neighbour entry[NEIGHBOURS_MOST];
	_Atomic uint32_t count;
	/* Lane 0 alone: */
	struct pending pending[PENDING_MOST];
	unsigned int pending_count;
	uint64_t asked_at;
	uint64_t announced_at;
};

/* The Ethernet address of a neighbour, from any lane. False when it is not known. */
bool neighbour_find(const struct neighbours *neighbours, uint8_t side, const struct address *address,
                    uint8_t mac_out[MAC_BYTES]);

/* Whether a frame is ARP or neighbour discovery. */
bool neighbour_is(const struct rte_mbuf *mbuf);

/* Lane 0: takes in an ARP or neighbour discovery frame from a side; answers when we are the master and are asked. Takes the
 * frame over. */
void neighbour_receive(struct worker *worker, uint8_t side, struct rte_mbuf *mbuf);

/* Lane 0: keeps a frame until its next hop is known. Takes the frame over. */
void neighbour_resolve(struct worker *worker, uint8_t side, struct rte_mbuf *mbuf,
                       const struct address *next_hop, uint64_t now);

/* Lane 0: asks again, gives up, announces. Returns the frames handled. */
unsigned int neighbour_poll(struct worker *worker, uint64_t now);

/* Frees what still waits, at the end. */
void neighbour_free(struct neighbours *neighbours);

#endif
