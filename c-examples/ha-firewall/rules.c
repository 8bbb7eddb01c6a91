#include "rules.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MOST 32

/* One line, cut into words, and where the reading is. */
struct line {
	const char *path;
	unsigned int number;
	const char *words[WORDS_MOST];
	size_t count;
	size_t at;
	char *error;
};

static bool
fail(const struct line *line, const char *word, const char *why)
{
	snprintf(line->error, RULES_ERROR_BYTES, "%s:%u: '%s': %s", line->path, line->number,
	         word != NULL ? word : "end of line", why);
	return false;
}

static const char *
peek(const struct line *line)
{
	return line->at < line->count ? line->words[line->at] : NULL;
}

static bool
accept(struct line *line, const char *word)
{
	const char *next = peek(line);

	if (next == NULL || strcmp(next, word) != 0)
		return false;
	line->at++;
	return true;
}

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{"tcp", 6}, {"udp", 17}, {"icmp", 1}, {"icmp6", 58}, {"sctp", 132}, {"gre", 47}, {"esp", 50},
};

static bool
read_number(const char *text, unsigned long most, unsigned long *out, char **end)
{
	if (!isdigit((unsigned char)*text))
		return false;
	*out = strtoul(text, end, 10);
	return *out <= most;
}

static bool
read_protocol(struct line *line, struct rule *rule)
{
	const char *word = peek(line);
	unsigned long number;
	char *end;

	if (word == NULL)
		return fail(line, NULL, "a protocol is missing");
	line->at++;
	rule->any_proto = false;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (strcmp(word, protocols[i].name) == 0) {
			rule->proto = protocols[i].number;
			return true;
		}
	}
	if (!read_number(word, 255, &number, &end) || *end != '\0')
		return fail(line, word, "not a protocol: tcp, udp, icmp, icmp6, sctp, gre, esp or 0 to 255");
	rule->proto = (uint8_t)number;
	return true;
}

static bool
read_ports(struct line *line, struct port_range *ports)
{
	const char *word = peek(line);
	unsigned long first, last;
	char *end;

	if (word == NULL)
		return fail(line, NULL, "a port is missing");
	line->at++;
	if (!read_number(word, 65535, &first, &end))
		return fail(line, word, "not a port from 0 to 65535");
	last = first;
	if (*end == ':' && !read_number(end + 1, 65535, &last, &end))
		return fail(line, word, "not a range of ports such as 5000:6000");
	if (*end != '\0')
		return fail(line, word, "not a port or a range of ports");
	if (last < first)
		return fail(line, word, "the range ends before it begins");
	ports->first = (uint16_t)first;
	ports->last = (uint16_t)last;
	return true;
}

static bool
read_host(struct line *line, bool *any, struct prefix *prefix, struct port_range *ports)
{
	const char *word = peek(line);

	if (word == NULL)
		return fail(line, NULL, "an address or 'any' is missing");
	line->at++;
	*any = strcmp(word, "any") == 0;
	if (!*any && !prefix_parse(word, prefix))
		return fail(line, word, "not 'any', an address or a prefix");
	return !accept(line, "port") || read_ports(line, ports);
}

/* The family that a rule is about, by its word or by its addresses; 0 for both. */
static uint8_t
rule_family(const struct rule *rule)
{
	if (rule->family != 0)
		return rule->family;
	if (!rule->any_source)
		return rule->source.address.family;
	return rule->any_destination ? 0 : rule->destination.address.family;
}

static bool
has_ports(const struct rule *rule)
{
	return rule->source_ports.first != 0 || rule->source_ports.last != 65535 ||
	       rule->destination_ports.first != 0 || rule->destination_ports.last != 65535;
}

/* Words of pf that we have not: a rule that somebody took from there must not be taken for another one. */
static const struct {
	const char *word;
	const char *why;
} foreign[] = {
	{"no", "'no state' is not to be had: every pass rule keeps state"},
	{"modulate", "sequence numbers are not modulated: 'keep state' only"},
	{"synproxy", "there is no SYN proxy: 'keep state' only"},
	{"flags", "a TCP connection is always taken in at its SYN"},
	{"on", "rules are not bound to interfaces: 'in' is from the inside, 'out' from the outside"},
	{"log", "nothing is logged"},
	{"return", "what is blocked is dropped without an answer"},
	{"drop", "what is blocked is dropped: leave the word out"},
	{"af-to", "the two families are not translated into each other"},
	{"binat-to", "write one rule with nat-to and one with rdr-to"},
	{"route-to", "there is one way to each side"},
	{"!", "addresses cannot be negated"},
	{"{", "there are no lists: one rule a line"},
	{"set", "there are no options"},
	{"match", "there are only 'pass' and 'block'"},
	{"anchor", "there are no anchors"},
	{"table", "there are no tables"},
};

static bool
unexpected(const struct line *line, const char *otherwise)
{
	const char *word = peek(line);

	for (size_t i = 0; word != NULL && i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (strcmp(word, foreign[i].word) == 0)
			return fail(line, word, foreign[i].why);
	return fail(line, word, otherwise);
}

static bool
check_rule(const struct line *line, const struct rule *rule)
{
	bool proto_has_ports = !rule->any_proto && (rule->proto == 6 || rule->proto == 17 || rule->proto == 132);

	if (has_ports(rule) && !proto_has_ports)
		return fail(line, "port", "only with proto tcp, udp or sctp");
	if (rule->family != 0 && ((!rule->any_source && rule->source.address.family != rule->family) ||
	                          (!rule->any_destination && rule->destination.address.family != rule->family)))
		return fail(line, "inet", "the address is of the other family");
	if (!rule->any_proto && ((rule->proto == 1 && rule_family(rule) == 6) || (rule->proto == 58 && rule_family(rule) == 4)))
		return fail(line, "proto", "icmp is of inet, icmp6 of inet6");
	if (!rule->any_source && !rule->any_destination &&
	    rule->source.address.family != rule->destination.address.family)
		return fail(line, "to", "the two addresses are of different families");
	return true;
}

/* The ports that pf draws from when a rule names none. */
#define NAT_FIRST_PORT 50001

/* "nat-to 192.0.2.1", then "port 50000:60000" or "static-port"; "rdr-to 10.0.0.80", then "port 8080". */
static bool
read_translation(struct line *line, struct rule *rule)
{
	struct nat *nat = &rule->nat;
	bool source = accept(line, "nat-to");
	const char *word;

	if (!source && !accept(line, "rdr-to"))
		return true;
	nat->kind = source ? NAT_TO : RDR_TO;
	nat->any_port = !source;
	nat->ports = (struct port_range){NAT_FIRST_PORT, 65535};
	word = peek(line);
	if (word == NULL)
		return fail(line, NULL, "an address is missing");
	line->at++;
	if (!address_parse(word, &nat->address))
		return fail(line, word, "not an address");
	if (source && accept(line, "static-port"))
		nat->any_port = true;
	else if (accept(line, "port")) {
		nat->any_port = false;
		if (!read_ports(line, &nat->ports))
			return false;
		if (!source && nat->ports.first != nat->ports.last)
			return fail(line, "port", "rdr-to takes one port");
	}
	return true;
}

static bool
check_translation(const struct line *line, struct rule *rule)
{
	const struct nat *nat = &rule->nat;
	bool has_ports = rule->any_proto || rule->proto == 6 || rule->proto == 17;

	if (nat->kind == TRANSLATE_NOTHING)
		return true;
	if (!rule->pass)
		return fail(line, nat->kind == NAT_TO ? "nat-to" : "rdr-to", "what is blocked is not translated");
	if (rule->family == 0)
		rule->family = nat->address.family;
	if (rule->family != nat->address.family)
		return fail(line, "inet", "the new address is of the other family");
	if (nat->kind == RDR_TO && !nat->any_port && (!has_ports || rule->any_proto))
		return fail(line, "port", "a new destination port only with proto tcp or udp");
	return true;
}

static bool
read_rule(struct line *line, struct rule *rule)
{
	*rule = (struct rule){
		.any_proto = true,
		.any_source = true,
		.any_destination = true,
		.source_ports = {0, 65535},
		.destination_ports = {0, 65535},
	};
	rule->pass = accept(line, "pass");
	if (!rule->pass && !accept(line, "block"))
		return unexpected(line, "a rule begins with 'pass' or 'block'");
	if (accept(line, "in"))
		rule->direction = PFPLANE_IN;
	else if (accept(line, "out"))
		rule->direction = PFPLANE_OUT;
	rule->quick = accept(line, "quick");
	if (accept(line, "inet"))
		rule->family = 4;
	else if (accept(line, "inet6"))
		rule->family = 6;
	if (accept(line, "proto") && !read_protocol(line, rule))
		return false;
	if (!accept(line, "all")) {
		if (accept(line, "from") &&
		    !read_host(line, &rule->any_source, &rule->source, &rule->source_ports))
			return false;
		if (accept(line, "to") && !read_host(line, &rule->any_destination, &rule->destination,
		                                      &rule->destination_ports))
			return false;
	}
	if (!read_translation(line, rule))
		return false;
	if (accept(line, "keep")) {
		if (!accept(line, "state"))
			return fail(line, peek(line), "'keep' is followed by 'state'");
		if (!rule->pass)
			return fail(line, "keep state", "what is blocked has no state");
	}
	if (peek(line) != NULL)
		return unexpected(line, "not expected here");
	return check_translation(line, rule) && check_rule(line, rule);
}

static void
cut_words(char *text, struct line *line)
{
	char *save = NULL;

	text[strcspn(text, "#\r\n")] = '\0';
	line->count = 0;
	line->at = 0;
	for (char *word = strtok_r(text, " \t", &save); word != NULL && line->count < WORDS_MOST;
	     word = strtok_r(NULL, " \t", &save))
		line->words[line->count++] = word;
}

bool
rules_read(const char *path, struct rules *rules, char error[RULES_ERROR_BYTES])
{
	struct line line = {.path = path, .error = error};
	char text[1024];
	bool good = true;
	FILE *file = fopen(path, "r");

	rules->count = 0;
	if (file == NULL) {
		snprintf(error, RULES_ERROR_BYTES, "%s: %s", path, strerror(errno));
		return false;
	}
	while (good && fgets(text, sizeof(text), file) != NULL) {
		line.number++;
		if (strchr(text, '\n') == NULL && !feof(file)) {
			good = fail(&line, "line", "longer than 1022 characters");
			break;
		}
		cut_words(text, &line);
		if (line.count == 0)
			continue;
		if (rules->count == RULES_MOST)
			good = fail(&line, line.words[0], "more than 1024 rules");
		else
			good = read_rule(&line, &rules->rule[rules->count++]);
	}
	/* A directory opens, too. */
	if (good && ferror(file)) {
		snprintf(error, RULES_ERROR_BYTES, "%s: %s", path, strerror(errno));
		good = false;
	}
	fclose(file);
	return good;
}

static bool
host_matches(bool any, const struct prefix *prefix, const struct port_range *ports, uint8_t family,
             const uint8_t *bytes, uint16_t port)
{
	struct address address = {.family = family};

	memcpy(address.bytes, bytes, sizeof(address.bytes));
	if (!any && !prefix_contains(prefix, &address))
		return false;
	return port >= ports->first && port <= ports->last;
}

static bool
matches(const struct rule *rule, const struct pfplane_facts *facts, uint8_t direction)
{
	if (rule->direction != 0 && rule->direction != direction)
		return false;
	if (rule->family != 0 && rule->family != facts->family)
		return false;
	if (!rule->any_proto && rule->proto != facts->proto)
		return false;
	return host_matches(rule->any_source, &rule->source, &rule->source_ports, facts->family, facts->source,
	                    facts->source_port) &&
	       host_matches(rule->any_destination, &rule->destination, &rule->destination_ports,
	                    facts->family, facts->destination, facts->destination_port);
}

bool
rules_pass(const struct rules *rules, const struct pfplane_facts *facts, uint8_t direction,
           uint32_t *rule_out)
{
	bool pass = true;

	*rule_out = UINT32_MAX;
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->rule[i];

		if (!matches(rule, facts, direction))
			continue;
		pass = rule->pass;
		*rule_out = (uint32_t)i;
		if (rule->quick)
			break;
	}
	return pass;
}

void
rules_nat(const struct rule *rule, struct pfplane_state_options *options)
{
	const struct nat *nat = &rule->nat;

	switch (nat->kind) {
	case TRANSLATE_NOTHING: return;
	case NAT_TO:
		options->nat = PFPLANE_NAT_SOURCE;
		memcpy(options->nat_source, nat->address.bytes, sizeof(options->nat_source));
		if (!nat->any_port)
			options->nat |= PFPLANE_NAT_SOURCE_PORT;
		options->nat_source_ports[0] = nat->ports.first;
		options->nat_source_ports[1] = nat->ports.last;
		return;
	case RDR_TO:
		options->nat = PFPLANE_NAT_DESTINATION;
		memcpy(options->nat_destination, nat->address.bytes, sizeof(options->nat_destination));
		if (!nat->any_port)
			options->nat |= PFPLANE_NAT_DESTINATION_PORT;
		options->nat_destination_port = nat->ports.first;
		return;
	}
}
