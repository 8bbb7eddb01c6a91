#include "rules/rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "rules/line.h"

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{"tcp", 6}, {"udp", 17}, {"icmp", 1}, {"icmp6", 58}, {"sctp", 132}, {"gre", 47}, {"esp", 50},
};

static bool
read_protocol(struct line *line, struct rule *rule)
{
	const char *word = line_peek(line);
	unsigned long number;
	char *end;

	if (word == NULL)
		return line_fail(line, NULL, "a protocol is missing");
	line->next++;
	rule->any_proto = false;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (strcmp(word, protocols[i].name) == 0) {
			rule->proto = protocols[i].number;
			return true;
		}
	}
	if (!parse_number(word, 255, &number, &end) || *end != '\0')
		return line_fail(line, word, "not a protocol: tcp, udp, icmp, icmp6, sctp, gre, esp or 0 to 255");
	rule->proto = (uint8_t)number;
	return true;
}

static bool
read_host(struct line *line, bool *any, struct prefix *prefix, struct port_range *ports)
{
	const char *word = line_peek(line);

	if (word == NULL)
		return line_fail(line, NULL, "an address or 'any' is missing");
	line->next++;
	*any = strcmp(word, "any") == 0;
	if (!*any && !prefix_parse(word, prefix))
		return line_fail(line, word, "not 'any', an address or a prefix");
	return !line_accept(line, "port") || line_ports(line, ports);
}

/* Returns the family of a rule, from its keyword or its addresses; 0 for both. */
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

/* Keywords of pf that are not supported: a rule copied from pf must not get another meaning. */
static const struct {
	const char *word;
	const char *reason;
} unsupported[] = {
	{"no", "'no state' is not supported: every pass rule keeps state"},
	{"modulate", "modulation of sequence numbers is not supported: use 'keep state'"},
	{"synproxy", "a SYN proxy is not supported: use 'keep state'"},
	{"flags", "a TCP connection is always created by its SYN"},
	{"on", "rules are not bound to interfaces: 'in' means from the inside, 'out' from the outside"},
	{"log", "logging is not supported"},
	{"return", "blocked packets are dropped without an answer"},
	{"drop", "blocked packets are dropped: omit the word"},
	{"binat-to", "use one rule with nat-to and one with rdr-to"},
	{"route-to", "each side has one route"},
	{"!", "negated addresses are not supported"},
	{"{", "lists are not supported: write one rule per line"},
	{"set", "options are not supported"},
	{"match", "only 'pass' and 'block' are supported"},
	{"anchor", "anchors are not supported"},
	{"table", "tables are not supported"},
};

static bool
unexpected(const struct line *line, const char *otherwise)
{
	const char *word = line_peek(line);

	for (size_t i = 0; word != NULL && i < sizeof(unsupported) / sizeof(unsupported[0]); i++)
		if (strcmp(word, unsupported[i].word) == 0)
			return line_fail(line, word, unsupported[i].reason);
	return line_fail(line, word, otherwise);
}

static bool
check_rule(const struct line *line, const struct rule *rule)
{
	bool proto_has_ports = !rule->any_proto && (rule->proto == 6 || rule->proto == 17 || rule->proto == 132);

	if (has_ports(rule) && !proto_has_ports)
		return line_fail(line, "port", "needs proto tcp, udp or sctp");
	if (rule->family != 0 && ((!rule->any_source && rule->source.address.family != rule->family) ||
	                          (!rule->any_destination && rule->destination.address.family != rule->family)))
		return line_fail(line, "inet", "the address has the other family");
	if (!rule->any_proto && ((rule->proto == 1 && rule_family(rule) == 6) || (rule->proto == 58 && rule_family(rule) == 4)))
		return line_fail(line, "proto", "icmp needs inet, icmp6 needs inet6");
	if (!rule->any_source && !rule->any_destination &&
	    rule->source.address.family != rule->destination.address.family)
		return line_fail(line, "to", "the two addresses have different families");
	return true;
}

/* "keep state" at the end of a rule. */
static bool
read_keep_state(struct line *line, const struct rule *rule)
{
	if (!line_accept(line, "keep"))
		return true;
	if (!line_accept(line, "state"))
		return line_fail(line, line_peek(line), "'keep' needs 'state'");
	return rule->pass || line_fail(line, "keep state", "a block rule has no state");
}

/* "all", or "from HOST to HOST" with either part optional. */
static bool
read_hosts(struct line *line, struct rule *rule)
{
	if (line_accept(line, "all"))
		return true;
	if (line_accept(line, "from") && !read_host(line, &rule->any_source, &rule->source, &rule->source_ports))
		return false;
	return !line_accept(line, "to") ||
	       read_host(line, &rule->any_destination, &rule->destination, &rule->destination_ports);
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
	rule->pass = line_accept(line, "pass");
	if (!rule->pass && !line_accept(line, "block"))
		return unexpected(line, "a rule starts with 'pass' or 'block'");
	if (line_accept(line, "in"))
		rule->direction = PFPLANE_IN;
	else if (line_accept(line, "out"))
		rule->direction = PFPLANE_OUT;
	rule->quick = line_accept(line, "quick");
	if (line_accept(line, "inet"))
		rule->family = 4;
	else if (line_accept(line, "inet6"))
		rule->family = 6;
	if (line_accept(line, "proto") && !read_protocol(line, rule))
		return false;
	if (!read_hosts(line, rule) || !translation_read(line, rule) || !read_keep_state(line, rule))
		return false;
	if (line_peek(line) != NULL)
		return unexpected(line, "not expected here");
	return translation_check(line, rule) && check_rule(line, rule);
}

bool
rules_read(const char *path, struct rules *rules, char error[RULES_ERROR_BYTES])
{
	struct line line = {.path = path, .error = error};
	char text[1024];
	bool valid = true;
	FILE *file = fopen(path, "r");

	rules->count = 0;
	if (file == NULL) {
		snprintf(error, RULES_ERROR_BYTES, "%s: %s", path, strerror(errno));
		return false;
	}
	while (valid && fgets(text, sizeof(text), file) != NULL) {
		line.number++;
		if (strchr(text, '\n') == NULL && !feof(file)) {
			valid = line_fail(&line, "line", "longer than 1022 characters");
			break;
		}
		line_split(text, &line);
		if (line.count == 0)
			continue;
		if (rules->count == MAX_RULES)
			valid = line_fail(&line, line.words[0], "more than 1024 rules");
		else
			valid = read_rule(&line, &rules->rule[rules->count++]);
	}
	/* A directory can be opened, but not read. */
	if (valid && ferror(file)) {
		snprintf(error, RULES_ERROR_BYTES, "%s: %s", path, strerror(errno));
		valid = false;
	}
	/* Nothing was written, so a failure to close loses nothing. */
	(void)fclose(file);
	return valid;
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
