/* Tests the example firewall's rule file: parsing, error messages, and which rule decides. Built and run by
 * tests/ha_firewall.sh; argument 1 is a writable directory. */
#include "rules/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char path[512], directory[400];
static struct rules rules;
static unsigned int failed, passed;

static void
check(bool holds, const char *what, const char *actual)
{
	if (holds) {
		passed++;
		return;
	}
	failed++;
	fprintf(stderr, "FAILED: %s (%s)\n", what, actual);
}

static bool
read_text(const char *text, char error[RULES_ERROR_BYTES])
{
	FILE *file = fopen(path, "w");

	if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
		abort();
	error[0] = '\0';
	return rules_read(path, &rules, error);
}

/* Returns the facts of a packet. */
static struct pfplane_facts
packet(uint8_t proto, const char *source, const char *destination, uint16_t destination_port)
{
	struct pfplane_facts facts = {.size = sizeof(facts), .proto = proto, .source_port = 40000};
	struct address address;

	if (!address_parse(source, &address))
		abort();
	memcpy(facts.source, address.bytes, sizeof(facts.source));
	if (!address_parse(destination, &address))
		abort();
	memcpy(facts.destination, address.bytes, sizeof(facts.destination));
	facts.family = address.family;
	facts.destination_port = destination_port;
	return facts;
}

/* Checks the decision and the index of the rule that made it. */
static void
decides(const char *text, struct pfplane_facts facts, uint8_t direction, bool pass, uint32_t by)
{
	char error[RULES_ERROR_BYTES];
	uint32_t rule;

	check(read_text(text, error), text, error);
	check(rules_pass(&rules, &facts, direction, &rule) == pass, text, pass ? "should pass" : "should block");
	check(rule == by, text, "another rule decided");
}

static void
refuses(const char *text, const char *where, const char *word)
{
	char error[RULES_ERROR_BYTES];

	check(!read_text(text, error), text, "was accepted");
	check(strncmp(error, path, strlen(path)) == 0, "names the file", error);
	check(strstr(error, where) != NULL, where, error);
	check(strstr(error, word) != NULL, word, error);
}

static void
rules_decide(void)
{
	struct pfplane_facts web = packet(6, "10.1.0.10", "10.2.0.20", 443);
	struct pfplane_facts web6 = packet(6, "fd01::10", "fd02::20", 443);
	struct pfplane_facts ping6 = packet(58, "fd01::10", "fd02::20", 0);

	decides("", web, PFPLANE_IN, true, UINT32_MAX);
	decides("# nothing\n\n   \t\n", web, PFPLANE_IN, true, UINT32_MAX);
	decides("block all\n", web, PFPLANE_IN, false, 0);
	decides("block all\r\npass all\r\n", web, PFPLANE_OUT, true, 1);
	decides("block quick all\npass all\n", web, PFPLANE_IN, false, 0);
	decides("block all\npass in all\n", web, PFPLANE_OUT, false, 0);
	decides("block all\npass out all\n", web, PFPLANE_OUT, true, 1);
	decides("block all\npass in inet all\n", web6, PFPLANE_IN, false, 0);
	decides("block all\npass in inet6 all\n", web6, PFPLANE_IN, true, 1);
	decides("block all\npass in inet6 proto icmp6 from any to any keep state\n", ping6, PFPLANE_IN, true, 1);
	decides("block all\npass in proto udp all\n", web, PFPLANE_IN, false, 0);
	decides("block all\npass in proto 6 all # by number\n", web, PFPLANE_IN, true, 1);
	decides("block all\npass from 10.1.0.0/24 to any", web, PFPLANE_IN, true, 1);
	decides("block all\npass from 10.1.0.11/32 to any", web, PFPLANE_IN, false, 0);
	decides("block all\npass from 10.1.0.9/29 to any", web, PFPLANE_IN, true, 1);
	decides("block all\npass from any to fd02::/64", web6, PFPLANE_IN, true, 1);
	decides("block all\npass from any to fd02::/127", web6, PFPLANE_IN, false, 0);
	decides("block all\npass from 0.0.0.0/0 to any", web6, PFPLANE_IN, false, 0);
	decides("block all\npass proto tcp from any to any port 443 keep state", web6, PFPLANE_IN, true, 1);
	decides("block all\npass proto tcp from any to any port 400:443", web, PFPLANE_IN, true, 1);
	decides("block all\npass proto tcp from any to any port 444:500", web, PFPLANE_IN, false, 0);
	decides("block all\npass proto tcp from any port 40000 to any", web, PFPLANE_IN, true, 1);
	decides("block all\npass proto tcp from any port 443 to any", web, PFPLANE_IN, false, 0);
}

/* Checks the translation of the first rule. */
static void
translates(const char *text, uint16_t nat, const char *address, uint16_t first, uint16_t last)
{
	struct pfplane_state_options options = {.size = sizeof(options)};
	char error[RULES_ERROR_BYTES];
	struct address expected;
	bool source = (nat & PFPLANE_NAT_SOURCE) != 0;
	struct pfplane_facts facts = packet(6, "10.1.0.10", "10.2.0.20", 443);

	check(read_text(text, error), text, error);
	check(rules_nat(&rules.rule[0], &facts, &options), text, "the new destination is not routable");
	check(options.nat == nat, text, "the translated fields");
	if (!address_parse(address, &expected))
		abort();
	check(memcmp(source ? options.nat_source : options.nat_destination, expected.bytes, 16) == 0, text, "address");
	if ((nat & PFPLANE_NAT_SOURCE_PORT) != 0)
		check(options.nat_source_ports[0] == first && options.nat_source_ports[1] == last, text, "ports");
	if ((nat & PFPLANE_NAT_DESTINATION_PORT) != 0)
		check(options.nat_destination_port == first, text, "port");
}

static void
rules_translate(void)
{
	const uint16_t source = PFPLANE_NAT_SOURCE, ports = PFPLANE_NAT_SOURCE_PORT;
	const uint16_t destination = PFPLANE_NAT_DESTINATION, port = PFPLANE_NAT_DESTINATION_PORT;
	struct pfplane_facts web6 = packet(6, "fd01::10", "fd02::20", 443);

	translates("pass in all nat-to 192.0.2.1\n", source | ports, "192.0.2.1", 50001, 65535);
	translates("pass in proto tcp from 10.0.0.0/8 to any nat-to 192.0.2.1 port 1024:2047 keep state\n", source | ports,
	           "192.0.2.1", 1024, 2047);
	translates("pass in inet6 all nat-to 2001:db8::1 static-port\n", source, "2001:db8::1", 0, 0);
	translates("pass out proto tcp from any to 192.0.2.1 port 80 rdr-to 10.0.0.80 port 8080\n", destination | port,
	           "10.0.0.80", 8080, 8080);
	translates("pass out inet6 from any to 2001:db8::1 rdr-to fd00::80\n", destination, "fd00::80", 0, 0);
	translates("pass in from any to 192.0.2.1 rdr-to 10.0.0.80 nat-to 10.0.0.1\n", destination | source | ports,
	           "10.0.0.1", 50001, 65535);
	refuses("pass in all rdr-to 10.0.0.80 nat-to fd00::1\n", ":1:", "families");
	decides("block all\npass in all nat-to 192.0.2.1\n", web6, PFPLANE_IN, false, 0);
	refuses("pass in all nat-to\n", ":1:", "end of line");
	refuses("pass in all nat-to 192.0.2\n", ":1:", "'192.0.2'");
	refuses("pass in all nat-to 192.0.2.1 port 9:8\n", ":1:", "'9:8'");
	refuses("pass in inet6 all nat-to 192.0.2.1\n", ":1:", "'inet'");
	refuses("pass in from fd00::/8 to any nat-to 192.0.2.1\n", ":1:", "'inet'");
	refuses("block in all nat-to 192.0.2.1\n", ":1:", "'nat-to'");
	refuses("pass out proto tcp all rdr-to 10.0.0.1 port 1:2\n", ":1:", "one port");
	refuses("pass out proto icmp all rdr-to 10.0.0.1 port 1\n", ":1:", "'port'");
	refuses("pass in all nat-to 224.0.0.1\n", ":1:", "'224.0.0.1'");
	refuses("pass out all rdr-to ::1\n", ":1:", "'::1'");
}

/* Checks that the rule gives a packet to `old` the destination `new`; NULL: not routable. */
static void
changes_family(const char *text, const char *old, const char *source, const char *new)
{
	const uint16_t fields = PFPLANE_NAT_SOURCE | PFPLANE_NAT_DESTINATION | PFPLANE_NAT_FAMILY;
	struct pfplane_state_options options = {.size = sizeof(options)};
	struct address expected, expected_source;
	struct pfplane_facts facts = packet(6, strchr(old, ':') != NULL ? "fd01::10" : "10.1.0.10", old, 443);
	char error[RULES_ERROR_BYTES];
	uint32_t rule;
	bool routable;

	check(read_text(text, error), text, error);
	check(rules_pass(&rules, &facts, PFPLANE_IN, &rule) && rule == 0, text, "does not match");
	routable = rules_nat(&rules.rule[0], &facts, &options);
	check(routable == (new != NULL), text, routable ? "routable" : "not routable");
	if (!address_parse(source, &expected_source) || !address_parse(new != NULL ? new : source, &expected))
		abort();
	check((options.nat & fields) == fields, text, "the translated fields");
	check(options.nat_family == expected_source.family, text, "family");
	check(memcmp(options.nat_source, expected_source.bytes, 16) == 0, text, "source");
	if (new != NULL)
		check(memcmp(options.nat_destination, expected.bytes, 16) == 0, text, new);
}

/* 192.0.2.33 after each prefix of RFC 6052, section 2.4; then pf's own prefix lengths. */
static void
rules_change_the_family(void)
{
	static const char *const embedded[][2] = {
		{"2001:db8::/32", "2001:db8:c000:221::"},
		{"2001:db8:100::/40", "2001:db8:1c0:2:21::"},
		{"2001:db8:122::/48", "2001:db8:122:c000:2:2100::"},
		{"2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"},
		{"2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"},
		{"2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"},
		{"64:ff9b::/96", "64:ff9b::192.0.2.33"},
	};
	char text[200];

	for (size_t i = 0; i < sizeof(embedded) / sizeof(embedded[0]); i++) {
		const char *prefix = embedded[i][0], *address = embedded[i][1];

		snprintf(text, sizeof(text), "pass in inet6 from any to %s af-to inet from 198.51.100.1\n", prefix);
		changes_family(text, address, "198.51.100.1", "192.0.2.33");
		snprintf(text, sizeof(text), "pass in inet all af-to inet6 from fd02::1 to %s keep state\n", prefix);
		changes_family(text, "192.0.2.33", "fd02::1", address);
	}
	changes_family("pass in from any to 64:ff9b::/96 af-to inet from 198.51.100.1 to 0.0.0.0/0\n",
	               "64:ff9b::203.0.113.7", "198.51.100.1", "203.0.113.7");
	changes_family("pass in from any to 64:ff9b::10.0.0.0/104 af-to inet from 198.51.100.1\n", "64:ff9b::10.2.0.20",
	               "198.51.100.1", "10.2.0.20");
	changes_family("pass in from any to fd01::/112 af-to inet from 198.51.100.1 to 10.2.0.0/20\n", "fd01::f123",
	               "198.51.100.1", "10.2.1.35");
	changes_family("pass in inet6 all af-to inet from 198.51.100.1 port 1024:2047 to 10.2.0.20\n", "fd01::99",
	               "198.51.100.1", "10.2.0.20");
	changes_family("pass in inet af-to inet6 from 2001:db8::1 static-port\n", "198.51.100.100", "2001:db8::1",
	               "2001:db8::c633:6464");
	changes_family("pass in from any to 10.1.0.1 af-to inet6 from fd02::1 to fd02::20\n", "10.1.0.1", "fd02::1",
	               "fd02::20");
	changes_family("pass in from any to 64:ff9b::/96 af-to inet from 198.51.100.1\n", "64:ff9b::127.0.0.1",
	               "198.51.100.1", NULL);
	changes_family("pass in from any to 64:ff9b::/96 af-to inet from 198.51.100.1\n", "64:ff9b::224.0.0.1",
	               "198.51.100.1", NULL);
}

static void
wrong_families_are_refused(void)
{
	static const char *const lines[][2] = {
		{"pass in inet6 from any to 64:ff9b::/96 af-to", "end of line"},
		{"pass in inet6 from any to 64:ff9b::/96 af-to 198.51.100.1", "'198.51.100.1': af-to needs the new family"},
		{"pass in inet6 from any to 64:ff9b::/96 af-to inet", "'end of line': af-to needs 'from'"},
		{"pass in inet6 from any to 64:ff9b::/96 af-to inet to 10.0.0.0/8", "'to': af-to needs 'from'"},
		{"pass in inet6 from any to 64:ff9b::/96 af-to inet from", "an address is missing"},
		{"pass in inet6 from any to 64:ff9b::/96 af-to inet from 198.51.100", "'198.51.100': not an address"},
		{"pass in inet6 from any to 64:ff9b::/96 af-to inet from 198.51.100.0/24", "'198.51.100.0/24': not an address"},
		{"pass in inet6 from any to 64:ff9b::/96 af-to inet from fd02::1", "'fd02::1': the new source does not have"},
		{"pass in inet6 from any to 64:ff9b::/96 af-to inet from 224.0.0.1", "'224.0.0.1': not an address of a host"},
		{"pass in inet6 from any to 64:ff9b::/96 af-to inet from 198.51.100.1 port 9:8", "'9:8'"},
		{"pass in inet6 from any to 64:ff9b::/96 af-to inet from 198.51.100.1 port 1:9 static-port", "'static-port'"},
		{"pass in inet6 from any to 64:ff9b::/96 af-to inet from 198.51.100.1 to", "a prefix is missing"},
		{"pass in inet6 from any to 64:ff9b::/96 af-to inet from 198.51.100.1 to 10.0.0.0/33", "'10.0.0.0/33'"},
		{"pass in inet6 from any to 64:ff9b::/96 af-to inet from 198.51.100.1 to fd02::/96", "different families"},
		{"pass in inet6 from any to 64:ff9b::/96 af-to inet from 198.51.100.1 to 127.0.0.1", "'127.0.0.1'"},
		{"pass in proto tcp from any to 64:ff9b::/96 af-to inet from 198.51.100.1 to 10.0.0.1 port 80",
	         "'port': af-to keeps"},
		{"pass in inet6 from any to 64:ff9b::/95 af-to inet from 198.51.100.1", "32, 40, 48, 56, 64, or 96 to 128"},
		{"pass in inet6 from any to 64:ff9b::/36 af-to inet from 198.51.100.1", "32, 40, 48, 56, 64, or 96 to 128"},
		{"pass in inet6 from any to 64:ff9b::/72 af-to inet from 198.51.100.1", "32, 40, 48, 56, 64, or 96 to 128"},
		{"pass in inet6 from any to any af-to inet from 198.51.100.1", "'to' must name the IPv6 prefix"},
		{"pass in inet all af-to inet6 from fd02::1 to fd03::/24", "'fd03::/24': af-to takes IPv6 prefixes"},
		{"pass in inet all af-to inet6 from fd02::1 to fd03::/80", "'fd03::/80': af-to takes IPv6 prefixes"},
		{"pass in inet from any to 10.0.0.1 af-to inet from 198.51.100.1", "af-to applies to packets of the other family"},
		{"pass in from any to 10.0.0.1 af-to inet from 198.51.100.1 to 10.0.0.2", "the address has the other family"},
		{"pass in inet6 proto icmp from any to 64:ff9b::/96 af-to inet from 198.51.100.1", "icmp6 needs inet6"},
		{"block in inet6 from any to 64:ff9b::/96 af-to inet from 198.51.100.1", "'af-to': a block rule"},
		{"pass in inet6 from any to 64:ff9b::/96 af-to inet from 198.51.100.1 nat-to 10.0.0.1", "'nat-to'"},
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		refuses(lines[i][0], ":1:", lines[i][1]);
}

static void
rules_are_refused(void)
{
	refuses("allow all\n", ":1:", "'allow'");
	refuses("block all\n\npass in proto tpc all\n", ":3:", "'tpc'");
	refuses("pass proto\n", ":1:", "end of line");
	refuses("pass proto 256 all\n", ":1:", "'256'");
	refuses("pass from\n", ":1:", "end of line");
	refuses("pass from 10.1.0.0/33 to any\n", ":1:", "'10.1.0.0/33'");
	refuses("pass from 10.1.0 to any\n", ":1:", "'10.1.0'");
	refuses("pass from fd00::/129 to any\n", ":1:", "'fd00::/129'");
	refuses("pass from any to 10.0.0.0/\n", ":1:", "'10.0.0.0/'");
	refuses("pass proto tcp from any to any port 65536\n", ":1:", "'65536'");
	refuses("pass proto tcp from any to any port -1\n", ":1:", "'-1'");
	refuses("pass proto tcp from any to any port 6000:5000\n", ":1:", "'6000:5000'");
	refuses("pass proto tcp from any to any port 5000:\n", ":1:", "'5000:'");
	refuses("pass proto tcp from any to any port 99999999999999999999\n", ":1:", "99999999999999999999");
	refuses("pass proto icmp from any to any port 80\n", ":1:", "'port'");
	refuses("pass from any to any port 80\n", ":1:", "'port'");
	refuses("pass inet from fd00::1 to any\n", ":1:", "'inet'");
	refuses("pass from 10.0.0.1 to fd00::1\n", ":1:", "'to'");
	refuses("pass all keep\n", ":1:", "'keep'");
	refuses("pass all keep states\n", ":1:", "'states'");
	refuses("pass all log\n", ":1:", "'log'");
	refuses("pass in out all\n", ":1:", "'out'");
	refuses("pass all no state\n", ":1:", "keeps state");
	refuses("pass all flags S/SA\n", ":1:", "by its SYN");
	refuses("pass from ! 10.0.0.1 to any\n", ":1:", "'!'");
	refuses("match all\n", ":1:", "'match'");
	refuses("block all keep state\n", ":1:", "'keep state'");
	refuses("pass inet6 proto icmp all\n", ":1:", "'proto'");
	refuses("pass proto icmp6 from any to 10.0.0.1\n", ":1:", "'proto'");
}

static void
files_are_refused(void)
{
	static char text[1024 * 16 + 64], line[1200];
	char error[RULES_ERROR_BYTES] = "";

	check(!rules_read(directory, &rules, error), "a directory is not a rule file", "was accepted");
	check(strstr(error, directory) != NULL, "the directory is named", error);
	check(!rules_read("/nowhere/rules", &rules, error), "a missing file", "was accepted");
	check(strstr(error, "/nowhere/rules") != NULL, "the missing file is named", error);
	for (int i = 0; i < 1025; i++)
		strcat(text + i * 9, "pass all\n");
	refuses(text, ":1025:", "1024");
	text[1024 * 9] = '\0';
	check(read_text(text, error), "1024 rules", error);
	memset(line, 'x', sizeof(line) - 1);
	refuses(line, ":1:", "1022");
}

int
main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	snprintf(directory, sizeof(directory), "%s", argv[1]);
	snprintf(path, sizeof(path), "%s/rules.txt", directory);
	rules_decide();
	rules_translate();
	rules_change_the_family();
	wrong_families_are_refused();
	rules_are_refused();
	files_are_refused();
	fprintf(stderr, "%u checks passed, %u failed\n", passed, failed);
	return failed == 0 ? 0 : 1;
}
