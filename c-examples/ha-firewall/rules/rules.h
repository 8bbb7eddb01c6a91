/* The rule file: which new connections may pass. As in pf, the last matching rule decides, or the first matching rule with
 * "quick"; a packet that matches no rule passes. */
#ifndef HA_RULES_H
#define HA_RULES_H

#include <pfplane.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"

#define MAX_RULES 1024
#define RULES_ERROR_BYTES 1024

struct port_range {
	uint16_t first;
	uint16_t last;
};

enum translation {
	TRANSLATE_NOTHING,
	NAT_TO, /* new source `address`, its port from `ports` or unchanged */
	RDR_TO, /* new destination `address`, its port the first of `ports` or unchanged */
	AF_TO,  /* other family: source as for NAT_TO, destination from the old one and `destination` */
};

struct nat {
	enum translation kind;
	struct address address;
	struct prefix destination; /* AF_TO: first bits of the new destination */
	uint8_t embedded;          /* AF_TO to IPv4: length of the prefix before the embedded IPv4 address */
	bool any_port;             /* the port is unchanged */
	struct port_range ports;
	struct address hairpin; /* RDR_TO: new source for clients on the server's side, family 0 for none */
};

struct rule {
	bool pass;
	bool quick;
	uint8_t direction; /* PFPLANE_IN, PFPLANE_OUT, 0 for both */
	uint8_t family;    /* 4, 6, 0 for both */
	uint8_t proto;
	bool any_proto;
	bool any_source;
	bool any_destination;
	struct prefix source;
	struct prefix destination;
	struct port_range source_ports;
	struct port_range destination_ports;
	struct nat nat;
};

struct rules {
	size_t count;
	struct rule rule[MAX_RULES];
};

/* Reads a rule file. On failure `error` names the file, the line and the word. */
bool rules_read(const char *path, struct rules *rules, char error[RULES_ERROR_BYTES]);

/* Whether this packet may create a connection; `rule_out` is the index of the deciding rule, UINT32_MAX when none
 * matched. */
bool rules_pass(const struct rules *rules, const struct pfplane_facts *facts, uint8_t direction,
                uint32_t *rule_out);

/* Whether a rule translates destinations, which may then be our own addresses. */
static inline bool
rules_nat_redirects(const struct rule *rule)
{
	return rule->nat.kind == RDR_TO || rule->nat.kind == AF_TO;
}

/* Adds a rule's translation of a packet to the options of a new state. Returns false when the new destination is not
 * routable. */
bool rules_nat(const struct rule *rule, const struct pfplane_facts *facts, struct pfplane_state_options *options);

#endif
