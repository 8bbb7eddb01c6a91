/* Builds and sends ARP and neighbour discovery messages. */
#ifndef HA_NEIGHBOUR_SEND_H
#define HA_NEIGHBOUR_SEND_H

#include <stdint.h>

#include "address.h"

#define ND_SOLICITATION 135
#define ND_ADVERTISEMENT 136
#define ND_OPTION_SOURCE 1
#define ND_OPTION_TARGET 2
#define ND_ROUTER 0x80
#define ND_SOLICITED 0x40
#define ND_OVERRIDE 0x20

struct worker;

/* A neighbour solicitation or advertisement with one link-layer address option. */
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

/* Requests the Ethernet address of an address: as the master from a shared address on its subnet, otherwise from the own address. */
/* Asks for an address from this node's own address, master or not. */
void neighbour_request_from_own(struct worker *worker, uint8_t side, const struct address *address);
void neighbour_request(struct worker *worker, uint8_t side, const struct address *address);

/* Without an election: answer an ARP request and a solicitation for a shared address; announce all of them on both sides. */
void neighbour_answer_arp(struct worker *worker, uint8_t side, const uint8_t mac[MAC_BYTES], const struct address *sender,
                          const struct address *target);
void neighbour_answer_solicitation(struct worker *worker, uint8_t side, const struct address *source, const uint8_t *mac,
                                   const struct address *target);
void neighbour_announce(struct worker *worker);

#endif
