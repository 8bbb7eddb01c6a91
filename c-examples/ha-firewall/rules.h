/* The rule file: which new connections may pass. As in pf the last rule that matches decides, unless an earlier one that
 * matches says "quick"; where none matches the packet passes. */
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
	NAT_TO, /* the source becomes `address`, its port one of `ports`, or stays */
	RDR_TO, /* the destination becomes `address`, its port the first of `ports`, or stays */
	AF_TO,  /* the other family: the source as with NAT_TO, the destination from the old one and `destination` */
};

struct nat {
	enum translation kind;
	struct address address;
	struct prefix destination; /* AF_TO: the first bits of the new destination */
	uint8_t embedded;          /* AF_TO to IPv4: how long the prefix is that the old destination's IPv4 address follows */
	bool any_port;             /* the port stays */
	struct port_range ports;
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

/* Reads a rule file. On failure `error` says the file, the line and the word. */
bool rules_read(const char *path, struct rules *rules, char error[RULES_ERROR_BYTES]);

/* Whether a new connection that begins with this packet may pass; `rule_out` is the number of the rule that decided,
 * UINT32_MAX when none matched. */
bool rules_pass(const struct rules *rules, const struct pfplane_facts *facts, uint8_t direction,
                uint32_t *rule_out);

/* Whether a rule translates destinations, which may be our own addresses. */
static inline bool
rules_nat_redirects(const struct rule *rule)
{
	return rule->nat.kind == RDR_TO || rule->nat.kind == AF_TO;
}

/* What a rule translates of a packet, put into the options of a new state. False when no router may pass on a packet to the
 * new destination. */
bool rules_nat(const struct rule *rule, const struct pfplane_facts *facts, struct pfplane_state_options *options);

#endif
