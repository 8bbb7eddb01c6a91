/* Neighbours on the two sides: ARP (RFC 826) and neighbour discovery (RFC 4861), as far as a firewall with shared
 * addresses needs them.
 *
 * Lane 0 writes the table and all lanes read it. An entry's version is odd while it is written; a reader that sees the
 * version change treats the address as unknown. A keyed hash maps an address to a small set, and a full set replaces the
 * entry confirmed least recently: a flood of forged senders costs requests, but cannot fill the table. */
#ifndef HA_NEIGHBOUR_H
#define HA_NEIGHBOUR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "address.h"

#define NEIGHBOUR_SETS 256
#define NEIGHBOUR_WAYS 4
#define MAX_PENDING 1024
#define MAX_PENDING_PER_HOP 256 /* after a takeover all traffic may wait for one gateway */

struct rte_mbuf;
struct worker;

struct neighbour {
	_Atomic uint32_t version;    /* odd during a write */
	_Atomic uint32_t owner;      /* family and side; 0 when the entry is empty */
	_Atomic uint64_t address[2]; /* network order */
	_Atomic uint64_t mac;
	/* Lane 0 only: */
	uint64_t confirmed;
	unsigned int requests; /* sent since the confirmation */
};

/* A frame whose next hop is being resolved. */
struct pending {
	struct rte_mbuf *mbuf;
	struct address next_hop;
	uint64_t since;
	uint8_t side;
};

struct neighbours {
	struct neighbour entry[NEIGHBOUR_SETS][NEIGHBOUR_WAYS];
	uint64_t secret; /* key of the hash; set before the lanes start */
	/* Lane 0 only: */
	struct pending pending[MAX_PENDING];
	unsigned int pending_count;
	unsigned int next_set; /* to be aged */
	uint64_t aged_at;
	uint64_t requested_at;
	uint64_t announced_at;
	uint64_t wanted_at; /* when unknown gateways and peers are requested next */
};

/* table.c. Looks up an address, on any lane. Returns false when it is unknown. */
bool neighbour_find(const struct neighbours *neighbours, uint8_t side, const struct address *address,
                    uint8_t mac_out[MAC_BYTES]);

/* Lane 0: stores the Ethernet address of an address; `may_add` allows a new entry, `may_change` another Ethernet address.
 * Returns whether the table has this entry now. */
bool neighbour_store(struct neighbours *neighbours, uint8_t side, const struct address *address,
                     const uint8_t mac[MAC_BYTES], bool may_add, bool may_change, uint64_t now);

/* Lane 0: ages a few entries. Calls `request` for an old one, and removes one that does not answer. */
void neighbour_age(struct neighbours *neighbours, uint64_t now, struct worker *worker,
                   void (*request)(struct worker *worker, uint8_t side, const struct address *address));

/* Whether a frame is ARP or neighbour discovery. */
bool neighbour_is(const struct rte_mbuf *mbuf);

/* Lane 0: processes an ARP or neighbour discovery frame from a side, and answers it. Takes ownership of the frame. */
void neighbour_receive(struct worker *worker, uint8_t side, struct rte_mbuf *mbuf);

/* Lane 0: keeps a frame until its next hop is known. Takes ownership of the frame. */
void neighbour_resolve(struct worker *worker, uint8_t side, struct rte_mbuf *mbuf,
                       const struct address *next_hop, uint64_t now);

/* Lane 0: repeats requests, expires pending frames, announces. Returns the amount of work. */
unsigned int neighbour_poll(struct worker *worker, uint64_t now);

/* Frees the pending frames: at exit, and when this node is no longer the master. */
void neighbour_free(struct neighbours *neighbours);

#endif
