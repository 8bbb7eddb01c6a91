#include "arguments.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options/election.h"
#include "options/seal.h"
#include "options/values.h"

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
	OPTION_SYNC_PROFILE,
	OPTION_SYNC_PFPLANE,
	OPTION_SYNC_VLAN,
	OPTION_SYNC_ALLOW,
	OPTION_SYNC_INTERFACE,
	OPTION_MAX_IMPORTED,
	OPTION_RULES,
	OPTION_LANES,
	OPTION_STATES,
	OPTION_CONTROL,
	OPTION_EVENT_LOG,
	OPTION_ROLE,
	OPTION_MTU,
	OPTION_INSERT_AGE,
	OPTION_UPDATE_AGE,
	OPTION_DEFER,
	OPTION_MAX_DEFER,
	OPTION_EXPOSURE,
	OPTION_NO_SYNC,
	OPTION_HELP,
};

static const struct option own_options[] = {
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
	{"sync-profile", required_argument, NULL, OPTION_SYNC_PROFILE},
	{"sync-pfplane", no_argument, NULL, OPTION_SYNC_PFPLANE},
	{"sync-vlan", required_argument, NULL, OPTION_SYNC_VLAN},
	{"sync-allow", required_argument, NULL, OPTION_SYNC_ALLOW},
	{"sync-interface", required_argument, NULL, OPTION_SYNC_INTERFACE},
	{"max-imported", required_argument, NULL, OPTION_MAX_IMPORTED},
	{"rules", required_argument, NULL, OPTION_RULES},
	{"lanes", required_argument, NULL, OPTION_LANES},
	{"states", required_argument, NULL, OPTION_STATES},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"event-log", required_argument, NULL, OPTION_EVENT_LOG},
	{"role", required_argument, NULL, OPTION_ROLE},
	{"mtu", required_argument, NULL, OPTION_MTU},
	{"insert-age", required_argument, NULL, OPTION_INSERT_AGE},
	{"update-age", required_argument, NULL, OPTION_UPDATE_AGE},
	{"defer-ms", required_argument, NULL, OPTION_DEFER},
	{"max-defer", required_argument, NULL, OPTION_MAX_DEFER},
	{"exposure", required_argument, NULL, OPTION_EXPOSURE},
	{"no-sync", no_argument, NULL, OPTION_NO_SYNC},
	{"help", no_argument, NULL, OPTION_HELP},
};

#define OWN_OPTIONS (sizeof(own_options) / sizeof(own_options[0]))
#define MAX_OPTIONS 64

static const char help[] =
	"ha-firewall: a stateful DPDK firewall whose connections survive its death\n"
	"\n"
	"usage: ha-firewall EAL-ARGUMENTS -- OPTIONS\n"
	"\n"
	"  --inside PORT            DPDK port of the inside; its new packets match 'in' rules\n"
	"  --outside PORT           DPDK port of the outside; its new packets match 'out' rules\n"
	"  --sync PORT              DPDK port of the link to the other firewall (not with --no-sync)\n"
	"  --inside-address CIDR    shared address on the inside, IPv4 or IPv6; at most 8\n"
	"  --outside-address CIDR   shared address on the outside; at most 8\n"
	"  --inside-mac MAC         shared Ethernet address on the inside\n"
	"  --outside-mac MAC        shared Ethernet address on the outside\n"
	"  --inside-gateway IP      next hop beyond the inside subnets; one per family\n"
	"  --outside-gateway IP     next hop beyond the outside subnets; one per family\n"
	"  --sync-address IP        own address on the sync link\n"
	"  --sync-peer IP           address of the other firewall, default the group 224.0.0.240\n"
	"  --sync-profile NAME      dialect of the other firewall: openbsd6 (default; also pfplane),\n"
	"                           freebsd1301, freebsd1400, freebsd1500\n"
	"  --sync-pfplane           the other firewall is pfplane with this option: what the link loses is sent\n"
	"                           again, and all states are sent faster; --seal-key implies it\n"
	"  --sync-vlan ID           VLAN of the sync link, 1 to 4094; frames of another are refused\n"
	"  --sync-allow IP          accept pfsync frames only from this address and from --sync-peer; at most 8\n"
	"  --sync-interface A=B     the interface that is A here is B on the other firewall; at most 16\n"
	"  --max-imported N         maximum states of other firewalls per lane, 1 to 1073741824;\n"
	"                           default: all but one in 64 of --states\n"
	"  --rules FILE             rule file, see below\n"
	"  --control PATH           Unix socket for commands: status, stats, takeover, step-down, quit, ...\n"
	"  --event-log FILE         log each refused packet, and each state at a takeover, as JSON lines\n"
	"  --role master|backup     initial role without --election, default backup; commands change it\n"
	"  --lanes N                lanes (cores), 1 to 128, default 1; needs as many lcores\n"
	"  --states N               maximum states per lane, default 65536\n"
	"  --mtu BYTES              maximum size of a pfsync packet, default 1500\n"
	"  --insert-age MS          maximum delay of a message about a new state, default 10\n"
	"  --update-age MS          maximum delay of a message about an update, default 1000\n"
	"  --defer-ms MS            hold the first packet of a connection until the peer has its state, at\n"
	"                           most this long: 0 to 1000, default 0 (off); pf uses 20\n"
	"  --max-defer N            held packets per lane; beyond it the oldest is sent: 1 to 4096, default 128\n"
	"  --exposure FILE          publish the unreplicated connections in a file that outlives the process\n"
	"  --no-sync                no replication\n"
	"  --help                   this text\n";

static const char help_rules[] =
	"\n"
	"A rule file has one rule per line. As in pf, the last matching rule decides, or the first\n"
	"matching rule with 'quick'; a packet that matches no rule passes:\n"
	"  block all\n"
	"  pass in proto tcp from 10.1.0.0/16 to any port 443 keep state\n"
	"  pass in quick inet6 proto icmp6 from any to any keep state\n"
	"  pass out proto udp from any to 10.1.0.53 port 53\n"
	"Only a SYN creates a TCP connection. Every pass rule keeps state.\n"
	"A pass rule may translate the source of connections from the inside, to an address that the\n"
	"outside routes here, or the destination of connections from the outside:\n"
	"  pass in proto tcp from 10.1.0.0/16 to any nat-to 10.2.0.1\n"
	"  pass in proto udp from 10.1.0.0/16 to any nat-to 10.2.0.1 port 40000:49999\n"
	"  pass out proto tcp from any to 10.2.0.1 port 443 rdr-to 10.1.0.80 port 8443\n"
	"Clients on the inside reach the same server by its outside address if the rule gives them a source\n"
	"of ours, so that the replies return to us (hairpin):\n"
	"  pass in proto tcp from 10.1.0.0/16 to 10.2.0.1 port 443 rdr-to 10.1.0.80 port 8443 nat-to 10.1.0.1\n"
	"A rule may also translate the address family: a new source, and the IPv4 address embedded in the\n"
	"IPv6 destination (RFC 6052), or the reverse:\n"
	"  pass in inet6 from any to 64:ff9b::/96 af-to inet from 10.2.0.1\n"
	"  pass in inet from any to any af-to inet6 from fd02::1 to 64:ff9b::/96\n"
	"  pass out proto tcp from any to 10.2.0.1 port 443 af-to inet6 from fd01::1 to fd01::80\n"
	"Source ports come from 50001:65535 unless the rule names a range or static-port.\n"
	"\n"
	"example without special hardware:\n"
	"  ha-firewall -l 0 --no-huge -m 256 --no-pci --file-prefix a \\\n"
	"    --vdev=net_af_packet0,iface=inside,framecnt=4096 \\\n"
	"    --vdev=net_af_packet1,iface=outside,framecnt=4096 \\\n"
	"    --vdev=net_af_packet2,iface=sync,framecnt=4096 -- \\\n"
	"    --inside 0 --outside 1 --sync 2 --role master \\\n"
	"    --inside-address 10.1.0.1/24 --outside-address 10.2.0.1/24 \\\n"
	"    --inside-mac 00:00:5e:00:01:01 --outside-mac 00:00:5e:00:01:02 \\\n"
	"    --sync-address 10.3.0.1 --rules rules --control /run/a.sock\n"
	"with an election, instead of --role, --inside-mac and --outside-mac:\n"
	"    --election vrrp --interval-ms 10 --priority 200 --inside-own 10.1.0.2 --outside-own 10.2.0.2\n";

static void
print_help(void)
{
	fputs(help, stdout);
	fputs(election_help, stdout);
	fputs(seal_help, stdout);
	fputs(help_rules, stdout);
}

static void
add_address(const char *name, const char *text, struct side_arguments *side)
{
	if (side->address_count == MAX_ADDRESSES)
		fail("--%s %s: more than %d addresses", name, text, MAX_ADDRESSES);
	if (!prefix_parse(text, &side->addresses[side->address_count]))
		fail("--%s %s: not an address with a prefix length such as 10.1.0.1/24", name, text);
	if (!is_unicast(&side->addresses[side->address_count].address))
		fail("--%s %s: not a host address", name, text);
	side->address_count++;
}

static void
set_gateway(const char *name, const char *text, struct side_arguments *side)
{
	struct address address;

	if (!address_parse(text, &address))
		fail("--%s %s: not an IP address", name, text);
	if (side->gateway[address.family == 6].family != 0)
		fail("--%s %s: a second gateway of the same family", name, text);
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
				fail("--%s-gateway %s: this is our own address", name,
				      address_text(gateway, text, sizeof(text)));
		}
		if (!on_subnet)
			fail("--%s-gateway %s: on no subnet of --%s-address", name,
			      address_text(gateway, text, sizeof(text)), name);
	}
}

static void
check_unique_addresses(const struct arguments *out)
{
	const struct side_arguments *const sides[2] = {&out->inside, &out->outside};
	char text[64];

	for (unsigned int i = 0; i < out->inside.address_count + out->outside.address_count; i++) {
		for (unsigned int j = 0; j < i; j++) {
			const unsigned int inside = out->inside.address_count;
			const struct address *a = &sides[i >= inside]->addresses[i >= inside ? i - inside : i].address;
			const struct address *b = &sides[j >= inside]->addresses[j >= inside ? j - inside : j].address;

			if (address_equal(a, b))
				fail("%s: a shared address is given twice", address_text(a, text, sizeof(text)));
		}
	}
}

static void
set_mac(const char *name, const char *text, struct side_arguments *side)
{
	if (!mac_parse(text, side->mac))
		fail("--%s %s: not an Ethernet address such as 00:00:5e:00:01:01", name, text);
	if (side->mac[0] & 1)
		fail("--%s %s: a group address", name, text);
	if (memcmp(side->mac, (const uint8_t[MAC_BYTES]){0}, MAC_BYTES) == 0)
		fail("--%s %s: not a host address", name, text);
	side->has_mac = true;
}

static uint32_t
profile(const char *name, const char *text)
{
	static const struct {
		const char *name;
		uint32_t profile;
	} profiles[] = {
		{"openbsd6", PFPLANE_PROFILE_OPENBSD6},
		{"freebsd1301", PFPLANE_PROFILE_FREEBSD1301},
		{"freebsd1400", PFPLANE_PROFILE_FREEBSD1400},
		{"freebsd1500", PFPLANE_PROFILE_FREEBSD1500},
	};

	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
		if (strcmp(text, profiles[i].name) == 0)
			return profiles[i].profile;
	}
	fail("--%s %s: not openbsd6, freebsd1301, freebsd1400 or freebsd1500", name, text);
}

static void
add_sync_source(const char *name, const char *text, struct arguments *out)
{
	struct address address;
	struct pfplane_address *source = &out->sync_sources[out->sync_source_count];

	if (out->sync_source_count == MAX_SYNC_SOURCES)
		fail("--%s %s: more than %d addresses", name, text, MAX_SYNC_SOURCES);
	set_address(name, text, &address);
	if (!is_unicast(&address))
		fail("--%s %s: not a host address", name, text);
	source->family = address.family;
	memcpy(source->bytes, address.bytes, sizeof(source->bytes));
	out->sync_source_count++;
}

static void
add_sync_interface(const char *name, const char *text, struct arguments *out)
{
	struct pfplane_interface_names *names = &out->sync_interfaces[out->sync_interface_count];
	const char *theirs = strchr(text, '=');
	size_t length = theirs == NULL ? 0 : (size_t)(theirs - text);

	if (out->sync_interface_count == MAX_SYNC_INTERFACES)
		fail("--%s %s: more than %d pairs", name, text, MAX_SYNC_INTERFACES);
	if (length == 0 || length >= sizeof(names->ours) || theirs[1] == '\0' ||
	    strlen(theirs + 1) >= sizeof(names->theirs))
		fail("--%s %s: not two names of 1 to 15 bytes such as eth0=em0", name, text);
	memcpy(names->ours, text, length);
	memcpy(names->theirs, theirs + 1, strlen(theirs + 1));
	out->sync_interface_count++;
}

static bool
role_is_master(const char *text)
{
	if (strcmp(text, "master") == 0)
		return true;
	if (strcmp(text, "backup") != 0)
		fail("--role %s: not master or backup", text);
	return false;
}

static void
set_option(int option, const char *name, const char *text, struct arguments *out)
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
	case OPTION_SYNC_PROFILE: out->sync_profile = profile(name, text); break;
	case OPTION_SYNC_PFPLANE: out->sync_pfplane = true; break;
	case OPTION_SYNC_VLAN: out->sync_vlan = (uint16_t)number(name, text, 1, 4094); break;
	case OPTION_SYNC_ALLOW: add_sync_source(name, text, out); break;
	case OPTION_SYNC_INTERFACE: add_sync_interface(name, text, out); break;
	case OPTION_MAX_IMPORTED: out->max_imported = number(name, text, 1, 1u << 30); break;
	case OPTION_RULES: out->rules = text; break;
	case OPTION_CONTROL: out->control = text; break;
	case OPTION_EVENT_LOG: out->event_log = text; break;
	case OPTION_LANES: out->lanes = number(name, text, 1, 128); break;
	case OPTION_STATES: out->states = number(name, text, 1, 1u << 30); break;
	case OPTION_MTU: out->mtu = number(name, text, 1, 65535); break;
	case OPTION_INSERT_AGE: out->insert_age_ms = number(name, text, 0, 10000); break;
	case OPTION_UPDATE_AGE: out->update_age_ms = number(name, text, 0, 60000); break;
	case OPTION_DEFER: out->defer_ms = number(name, text, 0, 1000); break;
	case OPTION_MAX_DEFER: out->max_defer = number(name, text, 1, 4096); break;
	case OPTION_EXPOSURE: out->exposure = text; break;
	case OPTION_ROLE:
		out->master = role_is_master(text);
		out->has_role = true;
		break;
	case OPTION_NO_SYNC: out->no_sync = true; break;
	case OPTION_HELP: print_help(); exit(0);
	default: (option < SEAL_OPTIONS ? election_set_option : seal_set_option)(option, name, text, out); break;
	}
}

static void
check_side(const char *name, const struct side_arguments *side, bool has_election)
{
	if (!side->has_port)
		fail("--%s is missing", name);
	if (!side->has_mac && !has_election)
		fail("--%s-mac is missing", name);
	if (side->address_count == 0)
		fail("--%s-address is missing", name);
	check_gateways(name, side);
}

static void
check(struct arguments *out)
{
	check_side("inside", &out->inside, out->election.enabled);
	check_side("outside", &out->outside, out->election.enabled);
	if (out->inside.port == out->outside.port)
		fail("--inside and --outside are the same port %u", out->inside.port);
	check_unique_addresses(out);
	election_check_options(out);
	seal_check_options(out);
	if (out->rules == NULL)
		fail("--rules is missing");
	if (out->control == NULL)
		fail("--control is missing");
	if (out->no_sync && out->defer_ms > 0)
		fail("--defer-ms %u needs replication, which --no-sync disables", out->defer_ms);
	if (out->no_sync)
		return;
	if (!out->has_sync_port)
		fail("--sync is missing (or --no-sync)");
	if (out->sync_port == out->inside.port || out->sync_port == out->outside.port)
		fail("--sync %u: the port is already the inside or the outside", out->sync_port);
	if (out->sync_address.family == 0)
		fail("--sync-address is missing");
	if (!is_unicast(&out->sync_address))
		fail("--sync-address: not a host address");
	if (out->sync_peer.family != 0 && address_equal(&out->sync_peer, &out->sync_address))
		fail("--sync-peer is our own --sync-address");
	if (out->sync_peer.family != 0 && out->sync_peer.family != out->sync_address.family)
		fail("--sync-peer and --sync-address have different families");
	for (uint32_t i = 0; i < out->sync_source_count; i++) {
		if (out->sync_sources[i].family != out->sync_address.family)
			fail("--sync-allow and --sync-address have different families");
	}
}

void
arguments_parse(int argc, char **argv, struct arguments *out)
{
	struct option options[MAX_OPTIONS] = {0};
	int option, index = 0;

	_Static_assert(OWN_OPTIONS < MAX_OPTIONS / 2, "there is space for the options of election and seal and the end");
	memcpy(options, own_options, sizeof(own_options));
	memcpy(options + OWN_OPTIONS, election_options, election_option_count * sizeof(options[0]));
	memcpy(options + OWN_OPTIONS + election_option_count, seal_options, seal_option_count * sizeof(options[0]));
	memset(out, 0, sizeof(*out));
	election_options_init(&out->election);
	out->lanes = 1;
	out->states = 65536;
	out->mtu = 1500;
	out->insert_age_ms = 10;
	out->update_age_ms = 1000;
	out->max_defer = 128;
	out->sync_profile = PFPLANE_PROFILE_OPENBSD6;
	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, ":", options, &index)) != -1) {
		if (option == ':')
			fail("%s: the value is missing", argv[optind - 1]);
		if (option == '?' && optopt != 0 && optopt < OPTION_INSIDE)
			fail("-%c: not an option", optopt);
		if (option == '?')
			fail("%s: not an option", argv[optind - 1]);
		/* No value starts with "--": this is the next option. */
		if (optarg != NULL && strncmp(optarg, "--", 2) == 0)
			fail("--%s: the value is missing", options[index].name);
		set_option(option, options[index].name, optarg, out);
	}
	if (optind < argc)
		fail("%s: not an option", argv[optind]);
	check(out);
}
