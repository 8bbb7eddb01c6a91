/* Translation by rules: nat-to, rdr-to, af-to. RFC 6052 defines where an IPv6 address embeds an IPv4 address. */
#include <string.h>

#include "rules/line.h"

/* pf's port range for rules that name none. */
#define NAT_FIRST_PORT 50001

#define WELL_KNOWN_BITS 96

static const char *const names[] = {[NAT_TO] = "nat-to", [RDR_TO] = "rdr-to", [AF_TO] = "af-to"};

static const struct port_range default_ports = {NAT_FIRST_PORT, 65535};

static uint8_t
other_family(uint8_t family)
{
	return family == 4 ? 6 : 4;
}

static bool
fits_host(const struct line *line, const char *word, const struct address *address)
{
	return address_is_routable(address->family, address->bytes) ||
	       line_fail(line, word, "not an address of a host beyond its link");
}

static bool
read_address(struct line *line, struct address *address)
{
	const char *word = line_peek(line);

	if (word == NULL)
		return line_fail(line, NULL, "an address is missing");
	line->next++;
	if (!address_parse(word, address))
		return line_fail(line, word, "not an address");
	return fits_host(line, word, address);
}

/* "nat-to 192.0.2.1", then "port 50000:60000" or "static-port". */
static bool
read_nat_to(struct line *line, struct nat *nat)
{
	nat->ports = default_ports;
	if (!read_address(line, &nat->address))
		return false;
	if (line_accept(line, "static-port"))
		nat->any_port = true;
	return nat->any_port || !line_accept(line, "port") || line_ports(line, &nat->ports);
}

/* "rdr-to 10.0.0.80", then "port 8080", then "nat-to 10.0.0.1" for clients on the server's side (hairpin). */
static bool
read_rdr_to(struct line *line, struct nat *nat)
{
	if (!read_address(line, &nat->address))
		return false;
	nat->any_port = !line_accept(line, "port");
	if (!nat->any_port && !line_ports(line, &nat->ports))
		return false;
	if (!nat->any_port && nat->ports.first != nat->ports.last)
		return line_fail(line, "port", "rdr-to takes one port");
	if (!line_accept(line, "nat-to"))
		return true;
	if (!read_address(line, &nat->hairpin))
		return false;
	return nat->hairpin.family == nat->address.family ||
	       line_fail(line, line->words[line->next - 1], "the new source and the new destination have different families");
}

/* Whether an IPv4 address can follow an IPv6 prefix of this length; a longer prefix replaces bits of the address. */
static bool
embeds_ipv4(uint8_t bits)
{
	return bits >= WELL_KNOWN_BITS || (bits >= 32 && bits <= 64 && bits % 8 == 0);
}

static bool
check_length(const struct line *line, const char *word, uint8_t bits)
{
	return embeds_ipv4(bits) ||
	       line_fail(line, word, "af-to takes IPv6 prefixes of 32, 40, 48, 56, 64, or 96 to 128 bits (RFC 6052)");
}

/* "to 2001:db8::/96" after af-to: the bits of the new destination that do not come from the old one. */
static bool
read_new_destination(struct line *line, struct nat *nat)
{
	struct prefix *to = &nat->destination;
	const char *word = line_peek(line);

	if (word == NULL)
		return line_fail(line, NULL, "an address or a prefix is missing");
	line->next++;
	if (!prefix_parse(word, to))
		return line_fail(line, word, "not an address or a prefix");
	if (to->address.family != nat->address.family)
		return line_fail(line, word, "the new destination and the new source have different families");
	if (to->bits == address_bytes(&to->address) * 8 && !fits_host(line, word, &to->address))
		return false;
	if (to->address.family == 6 && !check_length(line, word, to->bits))
		return false;
	return line_peek(line) == NULL || strcmp(line_peek(line), "port") != 0 ||
	       line_fail(line, "port", "af-to keeps the destination's port");
}

/* "af-to inet from 198.51.100.1", then "port 50000:60000", "to 0.0.0.0/0", "static-port". */
static bool
read_af_to(struct line *line, struct nat *nat)
{
	uint8_t family = line_accept(line, "inet") ? 4 : line_accept(line, "inet6") ? 6 : 0;
	bool has_range;

	if (family == 0)
		return line_fail(line, line_peek(line), "af-to needs the new family, 'inet' or 'inet6'");
	if (!line_accept(line, "from"))
		return line_fail(line, line_peek(line), "af-to needs 'from' and the new source");
	if (!read_address(line, &nat->address))
		return false;
	if (nat->address.family != family)
		return line_fail(line, line->words[line->next - 1], "the new source does not have the new family");
	nat->ports = default_ports;
	has_range = line_accept(line, "port");
	if (has_range && !line_ports(line, &nat->ports))
		return false;
	/* As in pf: the whole IPv4 address from the old destination, or the first 96 bits of the new IPv6 source. */
	nat->destination = (struct prefix){.address = nat->address, .bits = family == 6 ? WELL_KNOWN_BITS : 0};
	if (line_accept(line, "to") && !read_new_destination(line, nat))
		return false;
	nat->any_port = line_accept(line, "static-port");
	return !nat->any_port || !has_range || line_fail(line, "static-port", "excludes a range of ports");
}

bool
translation_read(struct line *line, struct rule *rule)
{
	static bool (*const readers[])(struct line *, struct nat *) = {
		[NAT_TO] = read_nat_to, [RDR_TO] = read_rdr_to, [AF_TO] = read_af_to};

	for (enum translation kind = NAT_TO; kind <= AF_TO; kind++) {
		if (!line_accept(line, names[kind]))
			continue;
		rule->nat.kind = kind;
		return readers[kind](line, &rule->nat);
	}
	return true;
}

/* Determines where the old destination embeds the IPv4 address, unless the new one is given completely. */
static bool
check_old_destination(const struct line *line, struct rule *rule)
{
	struct nat *nat = &rule->nat;

	nat->embedded = WELL_KNOWN_BITS;
	if (nat->address.family == 6 || nat->destination.bits == 32)
		return true;
	if (rule->any_destination)
		return line_fail(line, "af-to", "'to' must name the IPv6 prefix that precedes IPv4 addresses");
	if (!check_length(line, "to", rule->destination.bits))
		return false;
	if (rule->destination.bits < WELL_KNOWN_BITS)
		nat->embedded = rule->destination.bits;
	return true;
}

bool
translation_check(const struct line *line, struct rule *rule)
{
	const struct nat *nat = &rule->nat;
	bool has_ports = !rule->any_proto && (rule->proto == 6 || rule->proto == 17);
	uint8_t family = nat->kind == AF_TO ? other_family(nat->address.family) : nat->address.family;

	if (nat->kind == TRANSLATE_NOTHING)
		return true;
	if (!rule->pass)
		return line_fail(line, names[nat->kind], "a block rule cannot translate");
	if (rule->family == 0)
		rule->family = family;
	if (rule->family != family)
		return line_fail(line, "inet", nat->kind == AF_TO ? "af-to applies to packets of the other family"
		                                                   : "the new address has the other family");
	if (nat->kind == RDR_TO && !nat->any_port && !has_ports)
		return line_fail(line, "port", "a new destination port needs proto tcp or udp");
	return nat->kind != AF_TO || check_old_destination(line, rule);
}

/* Returns the position of octet `index` of an IPv4 address after a prefix; bits 64 to 71 are skipped (RFC 6052, 2.2). */
static unsigned int
octet_position(uint8_t bits, unsigned int index)
{
	unsigned int position = bits / 8 + index;

	return bits < WELL_KNOWN_BITS && position >= 8 ? position + 1 : position;
}

static void
put_prefix(const struct prefix *prefix, uint8_t bytes[16])
{
	unsigned int whole = prefix->bits / 8;
	uint8_t mask = (uint8_t)(0xff00u >> (prefix->bits % 8));

	memcpy(bytes, prefix->address.bytes, whole);
	if (mask != 0)
		bytes[whole] = (uint8_t)((prefix->address.bytes[whole] & mask) | (bytes[whole] & ~mask));
}

/* Computes the new destination of an af-to rule from the old one. */
static void
change_family(const struct nat *nat, const uint8_t old[16], uint8_t new[16])
{
	uint8_t bits = nat->destination.bits;

	memset(new, 0, 16);
	for (unsigned int i = 0; i < 4; i++) {
		if (nat->address.family == 4)
			new[i] = old[octet_position(nat->embedded, i)];
		else
			new[octet_position(bits < WELL_KNOWN_BITS ? bits : WELL_KNOWN_BITS, i)] = old[i];
	}
	put_prefix(&nat->destination, new);
}

/* Sets the new source; `ports` is NULL to keep its port. */
static void
new_source(const struct address *address, const struct port_range *ports, struct pfplane_state_options *options)
{
	options->nat |= PFPLANE_NAT_SOURCE;
	memcpy(options->nat_source, address->bytes, sizeof(options->nat_source));
	if (ports == NULL)
		return;
	options->nat |= PFPLANE_NAT_SOURCE_PORT;
	options->nat_source_ports[0] = ports->first;
	options->nat_source_ports[1] = ports->last;
}

bool
rules_nat(const struct rule *rule, const struct pfplane_facts *facts, struct pfplane_state_options *options)
{
	const struct nat *nat = &rule->nat;
	const struct port_range *ports = nat->any_port ? NULL : &nat->ports;

	switch (nat->kind) {
	case TRANSLATE_NOTHING: return true;
	case NAT_TO: new_source(&nat->address, ports, options); return true;
	case RDR_TO:
		options->nat = PFPLANE_NAT_DESTINATION;
		memcpy(options->nat_destination, nat->address.bytes, sizeof(options->nat_destination));
		if (!nat->any_port)
			options->nat |= PFPLANE_NAT_DESTINATION_PORT;
		options->nat_destination_port = nat->ports.first;
		if (nat->hairpin.family != 0)
			new_source(&nat->hairpin, &default_ports, options);
		return true;
	case AF_TO:
		new_source(&nat->address, ports, options);
		options->nat |= PFPLANE_NAT_DESTINATION | PFPLANE_NAT_FAMILY;
		options->nat_family = nat->address.family;
		change_family(nat, facts->destination, options->nat_destination);
		return address_is_routable(options->nat_family, options->nat_destination);
	}
	return true;
}
