#include "arguments.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_number {
	OPTION_INSIDE = 256,
	OPTION_OUTSIDE,
	OPTION_SYNC,
	OPTION_INSIDE_ADDRESS,
	OPTION_OUTSIDE_ADDRESS,
	OPTION_INSIDE_MAC,
	OPTION_OUTSIDE_MAC,
	OPTION_INSIDE_GATEWAY,
	OPTION_OUTSIDE_GATEWAY,
	OPTION_SYNC_ADDRESS,
	OPTION_SYNC_PEER,
	OPTION_RULES,
	OPTION_LANES,
	OPTION_STATES,
	OPTION_CONTROL,
	OPTION_JOURNAL,
	OPTION_ROLE,
	OPTION_MTU,
	OPTION_INSERT_AGE,
	OPTION_UPDATE_AGE,
	OPTION_DEFER,
	MAX_OPTION_DEFER,
	OPTION_EXPOSURE,
	OPTION_NO_SYNC,
	OPTION_HELP,
};

static const struct option options[] = {
	{"inside", required_argument, NULL, OPTION_INSIDE},
	{"outside", required_argument, NULL, OPTION_OUTSIDE},
	{"sync", required_argument, NULL, OPTION_SYNC},
	{"inside-address", required_argument, NULL, OPTION_INSIDE_ADDRESS},
	{"outside-address", required_argument, NULL, OPTION_OUTSIDE_ADDRESS},
	{"inside-mac", required_argument, NULL, OPTION_INSIDE_MAC},
	{"outside-mac", required_argument, NULL, OPTION_OUTSIDE_MAC},
	{"inside-gateway", required_argument, NULL, OPTION_INSIDE_GATEWAY},
	{"outside-gateway", required_argument, NULL, OPTION_OUTSIDE_GATEWAY},
	{"sync-address", required_argument, NULL, OPTION_SYNC_ADDRESS},
	{"sync-peer", required_argument, NULL, OPTION_SYNC_PEER},
	{"rules", required_argument, NULL, OPTION_RULES},
	{"lanes", required_argument, NULL, OPTION_LANES},
	{"states", required_argument, NULL, OPTION_STATES},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"journal", required_argument, NULL, OPTION_JOURNAL},
	{"role", required_argument, NULL, OPTION_ROLE},
	{"mtu", required_argument, NULL, OPTION_MTU},
	{"insert-age", required_argument, NULL, OPTION_INSERT_AGE},
	{"update-age", required_argument, NULL, OPTION_UPDATE_AGE},
	{"defer-ms", required_argument, NULL, OPTION_DEFER},
	{"defer-most", required_argument, NULL, MAX_OPTION_DEFER},
	{"exposure", required_argument, NULL, OPTION_EXPOSURE},
	{"no-sync", no_argument, NULL, OPTION_NO_SYNC},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"ha-firewall: a stateful firewall on DPDK whose connections outlive it\n"
	"\n"
	"usage: ha-firewall EAL-ARGUMENTS -- OPTIONS\n"
	"\n"
	"  --inside PORT            DPDK port of the inside; new packets from it match 'in' rules\n"
	"  --outside PORT           DPDK port of the outside; new packets from it match 'out' rules\n"
	"  --sync PORT              DPDK port of the link to the other firewall (not with --no-sync)\n"
	"  --inside-address CIDR    shared address on the inside, IPv4 or IPv6; up to 8 times\n"
	"  --outside-address CIDR   shared address on the outside; up to 8 times\n"
	"  --inside-mac MAC         shared Ethernet address on the inside\n"
	"  --outside-mac MAC        shared Ethernet address on the outside\n"
	"  --inside-gateway IP      next hop for what is on no inside subnet; once a family\n"
	"  --outside-gateway IP     next hop for what is on no outside subnet; once a family\n"
	"  --sync-address IP        own address on the sync link\n"
	"  --sync-peer IP           the other firewall, default the group 224.0.0.240\n"
	"  --rules FILE             rule file, see below\n"
	"  --control PATH           Unix socket: status, stats, takeover, demote, quit\n"
	"  --journal FILE           a line of JSON for each refused packet, and for each state at a takeover\n"
	"  --role master|backup     who forwards at first, default backup\n"
	"  --lanes N                cores that forward, 1 to 128, default 1; needs as many lcores\n"
	"  --states N               connections for each lane, default 65536\n"
	"  --mtu BYTES              longest pfsync packet, default 1500\n"
	"  --insert-age MS          how long a new connection may wait to be told, default 10\n"
	"  --update-age MS          how long a change may wait to be told, default 1000\n"
	"  --defer-ms MS            how long the first packet of a connection waits at most until the\n"
	"                           peer has it: 0 to 1000, default 0: not at all; pf waits 20\n"
	"  --defer-most N           connections that wait so at once, for each lane; then the oldest goes:\n"
	"                           1 to 4096, default 128\n"
	"  --exposure FILE          keeps what a death would cost in a file that outlives the process\n"
	"  --no-sync                no replication\n"
	"  --help                   this text\n"
	"\n"
	"A rule file has one rule a line; the last one that matches decides, or the first that\n"
	"matches and says quick; where none matches the packet passes, as in pf:\n"
	"  block all\n"
	"  pass in proto tcp from 10.1.0.0/16 to any port 443 keep state\n"
	"  pass in quick inet6 proto icmp6 from any to any keep state\n"
	"  pass out proto udp from any to 10.1.0.53 port 53\n"
	"A TCP connection is taken in at its SYN only. Every pass rule keeps state.\n"
	"A pass rule may translate: the source of connections from the inside, to an address that\n"
	"the outside finds here, or the destination of connections from the outside:\n"
	"  pass in proto tcp from 10.1.0.0/16 to any nat-to 10.2.0.1\n"
	"  pass in proto udp from 10.1.0.0/16 to any nat-to 10.2.0.1 port 40000:49999\n"
	"  pass out proto tcp from any to 10.2.0.1 port 443 rdr-to 10.1.0.80 port 8443\n"
	"or the address family: a new source, and the IPv4 address that the IPv6 destination holds\n"
	"as RFC 6052 has it, or the other way round:\n"
	"  pass in inet6 from any to 64:ff9b::/96 af-to inet from 10.2.0.1\n"
	"  pass in inet from any to any af-to inet6 from fd02::1 to 64:ff9b::/96\n"
	"  pass out proto tcp from any to 10.2.0.1 port 443 af-to inet6 from fd01::1 to fd01::80\n"
	"Source ports are drawn from 50001:65535 unless a range is named or static-port keeps them.\n"
	"\n"
	"example, without special hardware:\n"
	"  ha-firewall -l 0 --no-huge -m 256 --no-pci --file-prefix a \\\n"
	"    --vdev=net_af_packet0,iface=inside,framecnt=4096 \\\n"
	"    --vdev=net_af_packet1,iface=outside,framecnt=4096 \\\n"
	"    --vdev=net_af_packet2,iface=sync,framecnt=4096 -- \\\n"
	"    --inside 0 --outside 1 --sync 2 --role master \\\n"
	"    --inside-address 10.1.0.1/24 --outside-address 10.2.0.1/24 \\\n"
	"    --inside-mac 00:00:5e:00:01:01 --outside-mac 00:00:5e:00:01:02 \\\n"
	"    --sync-address 10.3.0.1 --rules rules --control /run/a.sock\n";

__attribute__((format(printf, 1, 2))) static _Noreturn void
wrong(const char *format, ...)
{
	va_list arguments;

	fputs("ha-firewall: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputs(" (--help lists the options)\n", stderr);
	exit(2);
}

static uint32_t
number(const char *name, const char *text, uint32_t least, uint32_t most)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < least || value > most)
		wrong("--%s %s: not a number from %u to %u", name, text, least, most);
	return (uint32_t)value;
}

static bool
is_unicast(const struct address *address)
{
	static const uint8_t nobody[16];

	if (memcmp(address->bytes, nobody, sizeof(nobody)) == 0)
		return false;
	return address->family == 4 ? address->bytes[0] < 224 : address->bytes[0] != 0xff;
}

static void
add_address(const char *name, const char *text, struct side_arguments *side)
{
	if (side->address_count == MAX_ADDRESSES)
		wrong("--%s %s: more than %d addresses", name, text, MAX_ADDRESSES);
	if (!prefix_parse(text, &side->addresses[side->address_count]))
		wrong("--%s %s: not an address with a prefix length such as 10.1.0.1/24", name, text);
	if (!is_unicast(&side->addresses[side->address_count].address))
		wrong("--%s %s: not an address that a host can have", name, text);
	side->address_count++;
}

static void
set_gateway(const char *name, const char *text, struct side_arguments *side)
{
	struct address address;

	if (!address_parse(text, &address))
		wrong("--%s %s: not an IP address", name, text);
	if (side->gateway[address.family == 6].family != 0)
		wrong("--%s %s: a second gateway of the same family", name, text);
	side->gateway[address.family == 6] = address;
}

static void
check_gateways(const char *name, const struct side_arguments *side)
{
	char text[64];

	for (int family = 0; family < 2; family++) {
		const struct address *gateway = &side->gateway[family];
		bool on_subnet = false;

		if (gateway->family == 0)
			continue;
		for (unsigned int i = 0; i < side->address_count; i++) {
			on_subnet |= prefix_contains(&side->addresses[i], gateway);
			if (address_equal(&side->addresses[i].address, gateway))
				wrong("--%s-gateway %s: that is our own address", name,
				      address_text(gateway, text, sizeof(text)));
		}
		if (!on_subnet)
			wrong("--%s-gateway %s: on no subnet of --%s-address", name,
			      address_text(gateway, text, sizeof(text)), name);
	}
}

static void
check_no_address_twice(const struct arguments *out)
{
	const struct side_arguments *const sides[2] = {&out->inside, &out->outside};
	char text[64];

	for (unsigned int i = 0; i < out->inside.address_count + out->outside.address_count; i++) {
		for (unsigned int j = 0; j < i; j++) {
			const unsigned int inside = out->inside.address_count;
			const struct address *a = &sides[i >= inside]->addresses[i >= inside ? i - inside : i].address;
			const struct address *b = &sides[j >= inside]->addresses[j >= inside ? j - inside : j].address;

			if (address_equal(a, b))
				wrong("%s: given twice as a shared address", address_text(a, text, sizeof(text)));
		}
	}
}

static void
set_mac(const char *name, const char *text, struct side_arguments *side)
{
	if (!mac_parse(text, side->mac))
		wrong("--%s %s: not an Ethernet address such as 00:00:5e:00:01:01", name, text);
	if (side->mac[0] & 1)
		wrong("--%s %s: a group address cannot be ours", name, text);
	if (memcmp(side->mac, (const uint8_t[MAC_BYTES]){0}, MAC_BYTES) == 0)
		wrong("--%s %s: no host has this address", name, text);
	side->has_mac = true;
}

static void
set_address(const char *name, const char *text, struct address *address)
{
	if (!address_parse(text, address))
		wrong("--%s %s: not an IP address", name, text);
}

static bool
role_is_master(const char *text)
{
	if (strcmp(text, "master") == 0)
		return true;
	if (strcmp(text, "backup") != 0)
		wrong("--role %s: neither master nor backup", text);
	return false;
}

static void
take(int option, const char *name, const char *text, struct arguments *out)
{
	switch (option) {
	case OPTION_INSIDE:
		out->inside.port = (uint16_t)number(name, text, 0, UINT16_MAX - 1);
		out->inside.has_port = true;
		break;
	case OPTION_OUTSIDE:
		out->outside.port = (uint16_t)number(name, text, 0, UINT16_MAX - 1);
		out->outside.has_port = true;
		break;
	case OPTION_SYNC:
		out->sync_port = (uint16_t)number(name, text, 0, UINT16_MAX - 1);
		out->has_sync_port = true;
		break;
	case OPTION_INSIDE_ADDRESS: add_address(name, text, &out->inside); break;
	case OPTION_OUTSIDE_ADDRESS: add_address(name, text, &out->outside); break;
	case OPTION_INSIDE_MAC: set_mac(name, text, &out->inside); break;
	case OPTION_OUTSIDE_MAC: set_mac(name, text, &out->outside); break;
	case OPTION_INSIDE_GATEWAY: set_gateway(name, text, &out->inside); break;
	case OPTION_OUTSIDE_GATEWAY: set_gateway(name, text, &out->outside); break;
	case OPTION_SYNC_ADDRESS: set_address(name, text, &out->sync_address); break;
	case OPTION_SYNC_PEER: set_address(name, text, &out->sync_peer); break;
	case OPTION_RULES: out->rules = text; break;
	case OPTION_CONTROL: out->control = text; break;
	case OPTION_JOURNAL: out->journal = text; break;
	case OPTION_LANES: out->lanes = number(name, text, 1, 128); break;
	case OPTION_STATES: out->states = number(name, text, 1, 1u << 30); break;
	case OPTION_MTU: out->mtu = number(name, text, 1, 65535); break;
	case OPTION_INSERT_AGE: out->insert_age_ms = number(name, text, 0, 10000); break;
	case OPTION_UPDATE_AGE: out->update_age_ms = number(name, text, 0, 60000); break;
	case OPTION_DEFER: out->defer_ms = number(name, text, 0, 1000); break;
	case MAX_OPTION_DEFER: out->max_defer = number(name, text, 1, 4096); break;
	case OPTION_EXPOSURE: out->exposure = text; break;
	case OPTION_ROLE: out->master = role_is_master(text); break;
	case OPTION_NO_SYNC: out->no_sync = true; break;
	case OPTION_HELP: fputs(help, stdout); exit(0);
	default: wrong("--%s: not an option", name);
	}
}

static void
check_side(const char *name, const struct side_arguments *side)
{
	if (!side->has_port)
		wrong("--%s is missing", name);
	if (!side->has_mac)
		wrong("--%s-mac is missing", name);
	if (side->address_count == 0)
		wrong("--%s-address is missing", name);
	check_gateways(name, side);
}

static void
check(const struct arguments *out)
{
	check_side("inside", &out->inside);
	check_side("outside", &out->outside);
	if (out->inside.port == out->outside.port)
		wrong("--inside and --outside are the same port %u", out->inside.port);
	check_no_address_twice(out);
	if (out->rules == NULL)
		wrong("--rules is missing");
	if (out->control == NULL)
		wrong("--control is missing");
	if (out->no_sync && out->defer_ms > 0)
		wrong("--defer-ms %u: with --no-sync there is nobody to wait for", out->defer_ms);
	if (out->no_sync)
		return;
	if (!out->has_sync_port)
		wrong("--sync is missing, and so is --no-sync");
	if (out->sync_port == out->inside.port || out->sync_port == out->outside.port)
		wrong("--sync %u: the port is the inside or the outside", out->sync_port);
	if (out->sync_address.family == 0)
		wrong("--sync-address is missing");
	if (!is_unicast(&out->sync_address))
		wrong("--sync-address: not an address that a host can have");
	if (out->sync_peer.family != 0 && address_equal(&out->sync_peer, &out->sync_address))
		wrong("--sync-peer is our own --sync-address");
	if (out->sync_peer.family != 0 && out->sync_peer.family != out->sync_address.family)
		wrong("--sync-peer is of another family than --sync-address");
}

void
arguments_read(int argc, char **argv, struct arguments *out)
{
	int option, index = 0;

	memset(out, 0, sizeof(*out));
	out->lanes = 1;
	out->states = 65536;
	out->mtu = 1500;
	out->insert_age_ms = 10;
	out->update_age_ms = 1000;
	out->max_defer = 128;
	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, ":", options, &index)) != -1) {
		if (option == ':')
			wrong("%s: its value is missing", argv[optind - 1]);
		if (option == '?' && optopt != 0 && optopt < OPTION_INSIDE)
			wrong("-%c: not an option", optopt);
		if (option == '?')
			wrong("%s: not an option", argv[optind - 1]);
		/* No value of ours begins so: it is the next option, and the value was forgotten. */
		if (optarg != NULL && strncmp(optarg, "--", 2) == 0)
			wrong("--%s: its value is missing", options[index].name);
		take(option, options[index].name, optarg, out);
	}
	if (optind < argc)
		wrong("%s: not an option", argv[optind]);
	check(out);
}
