/* Who has which address on the two sides: ARP (RFC 826) and neighbour discovery (RFC 4861), as far as a firewall that
 * owns the shared addresses needs them.
 *
 * The table has one writer, lane 0, and any lane reads it: each entry has a version that is odd while it is written, and
 * a reader who sees it change has found nothing. An address falls into one of many small sets by a keyed hash, and a full
 * set loses the entry that was confirmed longest ago: a flood of forged senders costs questions, never the table. */
#ifndef HA_NEIGHBOUR_H
#define HA_NEIGHBOUR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "address.h"

#define NEIGHBOUR_SETS 256
#define NEIGHBOUR_WAYS 4
#define MAX_PENDING 1024
#define PENDING_OF_ONE 256 /* after a takeover all traffic may wait for one gateway */

struct rte_mbuf;
struct worker;

struct neighbour {
	_Atomic uint32_t version;    /* odd while it is written */
	_Atomic uint32_t owner;      /* family and side; 0 when the entry is empty */
	_Atomic uint64_t address[2]; /* network order, as it lies in memory */
	_Atomic uint64_t mac;
	/* Lane 0 alone: */
	uint64_t confirmed;
	unsigned int asked; /* questions since then */
};

/* A frame that waits for its next hop. */
struct pending {
	struct rte_mbuf *mbuf;
	struct address next_hop;
	uint64_t since;
	uint8_t side;
};

struct neighbours {
	struct neighbour entry[NEIGHBOUR_SETS][NEIGHBOUR_WAYS];
	uint64_t secret; /* of the hash; set before the lanes start */
	/* Lane 0 alone: */
	struct pending pending[MAX_PENDING];
	unsigned int pending_count;
	unsigned int next_set; /* to be looked at for age */
	uint64_t looked_at;
	uint64_t asked_at;
	uint64_t announced_at;
};

/* neighbour_table.c. What is known of an address, from any lane. False when it is not known. */
bool neighbour_find(const struct neighbours *neighbours, uint8_t side, const struct address *address,
                    uint8_t mac_out[MAC_BYTES]);

/* Lane 0: writes down where an address is, if `may_add` also one that is not in the table yet, if `may_change` also over
 * another Ethernet address. True when the table now holds this. */
bool neighbour_store(struct neighbours *neighbours, uint8_t side, const struct address *address,
                     const uint8_t mac[MAC_BYTES], bool may_add, bool may_change, uint64_t now);

/* Lane 0: looks at a few entries for their age. Calls `ask` for an old one, and forgets one that does not answer. */
void neighbour_age(struct neighbours *neighbours, uint64_t now, struct worker *worker,
                   void (*ask)(struct worker *worker, uint8_t side, const struct address *address));

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

/* Frees what still waits: at the end, and when this node is not the master any more. */
void neighbour_free(struct neighbours *neighbours);

#endif
