/* The options of the election. */
#include "options/election.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "options/values.h"

enum {
	OPTION_ELECTION = ELECTION_OPTIONS,
	OPTION_ID,
	OPTION_PRIORITY,
	OPTION_INTERVAL,
	OPTION_PREEMPT,
	OPTION_PASSPHRASE,
	OPTION_MAC,
	OPTION_HELLOS,
	OPTION_WITNESS,
	OPTION_INSIDE_OWN,
	OPTION_OUTSIDE_OWN,
	OPTION_INSIDE_PEER,
	OPTION_OUTSIDE_PEER,
};

const struct option election_options[] = {
	{"election", required_argument, NULL, OPTION_ELECTION},
	{"election-id", required_argument, NULL, OPTION_ID},
	{"priority", required_argument, NULL, OPTION_PRIORITY},
	{"interval-ms", required_argument, NULL, OPTION_INTERVAL},
	{"preempt", no_argument, NULL, OPTION_PREEMPT},
	{"passphrase-file", required_argument, NULL, OPTION_PASSPHRASE},
	{"election-mac", required_argument, NULL, OPTION_MAC},
	{"hellos", no_argument, NULL, OPTION_HELLOS},
	{"witness", required_argument, NULL, OPTION_WITNESS},
	{"inside-own", required_argument, NULL, OPTION_INSIDE_OWN},
	{"outside-own", required_argument, NULL, OPTION_OUTSIDE_OWN},
	{"inside-peer", required_argument, NULL, OPTION_INSIDE_PEER},
	{"outside-peer", required_argument, NULL, OPTION_OUTSIDE_PEER},
};

const size_t election_option_count = sizeof(election_options) / sizeof(election_options[0]);

const char election_help[] =
	"\n"
	"The firewalls elect the master themselves, on the inside and the outside and for both families together.\n"
	"--inside-address and --outside-address are the shared addresses, the same on all firewalls. Each\n"
	"firewall also has addresses of its own, which adverts come from:\n"
	"  --election DIALECT       vrrp (VRRPv3), openbsd or freebsd (CARP by that system's rules), carp (as openbsd);\n"
	"                           not with --role, --inside-mac and --outside-mac\n"
	"  --election-id N          VRID or vhid, 1 to 255, the same on all firewalls; default 1\n"
	"  --priority N             1 to 254, higher is better; give each firewall another one; default 100.\n"
	"                           CARP: advskew is 254 less it\n"
	"  --interval-ms N          between adverts. vrrp: 10 to 40950, tens, default 100. CARP: whole seconds to\n"
	"                           254000, default 1000; openbsd also 4 to 999. A backup waits three of them\n"
	"  --preempt                take over from a worse master that is alive, once it has all states\n"
	"  --passphrase-file FILE   CARP's pass-phrase: the first line of FILE, at most 19 bytes\n"
	"  --election-mac NAME      virtual (default): the shared addresses have 00:00:5e:00:01:ID (vrrp over IPv6\n"
	"                           00:00:5e:00:02:ID); own-adverts: the same, but adverts come from the port's own\n"
	"                           address, for ports that drop frames from their addresses; own: the port's own\n"
	"  --hellos                 the other firewalls are pfplane too and have this option: exchange hellos on the sync\n"
	"                           link. A backup takes over only if all LANs and the sync link are silent; without\n"
	"                           hellos, if any LAN is\n"
	"  --witness IP             a host on a subnet of the inside or outside that always answers ARP or neighbour\n"
	"                           discovery: be no master while neither it nor another firewall is received\n"
	"  --inside-own IP          own address on the inside: IPv4 on a subnet of --inside-address, required if\n"
	"                           there is one; IPv6 link-local, default from the port's Ethernet address\n"
	"  --outside-own IP         own address on the outside\n"
	"  --inside-peer IP         own address of another firewall on the inside: unicast adverts instead of\n"
	"                           multicast in its family; at most 4\n"
	"  --outside-peer IP        own address of another firewall on the outside\n";

/* A name and the value that it stands for. */
struct choice {
	const char *name;
	uint32_t value;
};

static uint32_t
choose(const char *name, const char *text, const struct choice *choices, const char *expected)
{
	for (; choices->name != NULL; choices++)
		if (strcmp(text, choices->name) == 0)
			return choices->value;
	fail("--%s %s: not %s", name, text, expected);
}

static uint32_t
dialect(const char *name, const char *text)
{
	static const struct choice dialects[] = {{"vrrp", PFPLANE_ELECTION_VRRP3},
	                                         {"carp", PFPLANE_ELECTION_OPENBSD},
	                                         {"openbsd", PFPLANE_ELECTION_OPENBSD},
	                                         {"freebsd", PFPLANE_ELECTION_FREEBSD},
	                                         {NULL, 0}};

	return choose(name, text, dialects, "vrrp, carp, openbsd or freebsd");
}

static uint32_t
mac(const char *name, const char *text)
{
	static const struct choice macs[] = {{"virtual", PFPLANE_ELECTION_MAC_VIRTUAL},
	                                     {"own-adverts", PFPLANE_ELECTION_MAC_VIRTUAL_ADVERTS_OWN},
	                                     {"own", PFPLANE_ELECTION_MAC_OWN},
	                                     {NULL, 0}};

	return choose(name, text, macs, "virtual, own-adverts or own");
}

static void
set_own(const char *name, const char *text, struct side_arguments *side)
{
	struct address address;

	set_address(name, text, &address);
	if (side->own[address.family == 6].family != 0)
		fail("--%s %s: a second address of the same family", name, text);
	side->own[address.family == 6] = address;
}

static void
add_peer(const char *name, const char *text, struct side_arguments *side)
{
	if (side->peer_count == MAX_ELECTION_PEERS)
		fail("--%s %s: more than %d addresses", name, text, MAX_ELECTION_PEERS);
	set_address(name, text, &side->peers[side->peer_count++]);
}

void
election_options_init(struct election_arguments *out)
{
	out->id = 1;
	out->priority = 100;
	out->mac = PFPLANE_ELECTION_MAC_VIRTUAL;
}

void
election_set_option(int option, const char *name, const char *text, struct arguments *out)
{
	struct election_arguments *election = &out->election;

	if (option != OPTION_ELECTION && election->option == NULL)
		election->option = name;
	switch (option) {
	case OPTION_ELECTION:
		election->enabled = true;
		election->dialect = dialect(name, text);
		break;
	case OPTION_ID: election->id = (uint8_t)number(name, text, 1, 255); break;
	case OPTION_PRIORITY: election->priority = (uint8_t)number(name, text, 1, 254); break;
	case OPTION_INTERVAL: election->interval_ms = number(name, text, 4, 254000); break;
	case OPTION_PREEMPT: election->preempt = true; break;
	case OPTION_PASSPHRASE: election->passphrase_file = text; break;
	case OPTION_MAC: election->mac = mac(name, text); break;
	case OPTION_HELLOS: election->hellos = true; break;
	case OPTION_WITNESS: set_address(name, text, &election->witness); break;
	case OPTION_INSIDE_OWN: set_own(name, text, &out->inside); break;
	case OPTION_OUTSIDE_OWN: set_own(name, text, &out->outside); break;
	case OPTION_INSIDE_PEER: add_peer(name, text, &out->inside); break;
	case OPTION_OUTSIDE_PEER: add_peer(name, text, &out->outside); break;
	default: fail("--%s: not an option", name);
	}
}

static void
check_interval(struct election_arguments *election)
{
	uint32_t interval = election->interval_ms;

	if (interval == 0) {
		election->interval_ms = election->dialect == PFPLANE_ELECTION_VRRP3 ? 100 : 1000;
		return;
	}
	if (election->dialect == PFPLANE_ELECTION_VRRP3) {
		if (interval < 10 || interval > 40950 || interval % 10 != 0)
			fail("--interval-ms %u: with vrrp from 10 to 40950, in tens", interval);
	} else if (interval >= 1000 ? interval % 1000 != 0 : election->dialect != PFPLANE_ELECTION_OPENBSD) {
		fail("--interval-ms %u: with CARP whole seconds%s", interval,
		     election->dialect == PFPLANE_ELECTION_OPENBSD ? ", or less than one" : "");
	}
}

/* Checks a node's address: ours or a peer's. */
static void
check_node(const char *side_name, const char *kind, const struct side_arguments *side, const struct address *address)
{
	bool has_family = false, on_subnet = false;
	char text[64];

	(void)address_text(address, text, sizeof(text));
	for (unsigned int i = 0; i < side->address_count; i++) {
		has_family |= side->addresses[i].address.family == address->family;
		on_subnet |= prefix_contains(&side->addresses[i], address);
		if (address_equal(&side->addresses[i].address, address))
			fail("--%s-%s %s: this is a shared address (--%s-address)", side_name, kind, text, side_name);
	}
	if (!is_unicast(address))
		fail("--%s-%s %s: not a host address", side_name, kind, text);
	if (!has_family)
		fail("--%s-%s %s: --%s-address has no IPv%u address", side_name, kind, text, side_name,
		     address->family);
	if (address->family == 6 && (address->bytes[0] != 0xfe || (address->bytes[1] & 0xc0) != 0x80))
		fail("--%s-%s %s: not a link-local address such as fe80::1", side_name, kind, text);
	if (address->family == 4 && !on_subnet)
		fail("--%s-%s %s: on no subnet of --%s-address", side_name, kind, text, side_name);
}

static void
check_side(const char *name, const struct side_arguments *side)
{
	char text[64];

	for (int family = 0; family < 2; family++)
		if (side->own[family].family != 0)
			check_node(name, "own", side, &side->own[family]);
	for (unsigned int i = 0; i < side->address_count; i++)
		if (side->addresses[i].address.family == 4 && side->own[0].family == 0)
			fail("--%s-own is missing: with --election and IPv4 each firewall has an address of its own", name);
	for (unsigned int i = 0; i < side->peer_count; i++) {
		check_node(name, "peer", side, &side->peers[i]);
		if (address_equal(&side->peers[i], &side->own[side->peers[i].family == 6]))
			fail("--%s-peer %s: this is our own address", name,
			     address_text(&side->peers[i], text, sizeof(text)));
	}
}

/* Finds the side of the witness. */
static void
check_witness(struct arguments *out)
{
	struct address *witness = &out->election.witness;
	bool found = false;
	char text[64];

	if (witness->family == 0)
		return;
	(void)address_text(witness, text, sizeof(text));
	for (int side = 0; side < 2; side++) {
		const struct side_arguments *arguments = side == 0 ? &out->inside : &out->outside;

		for (unsigned int i = 0; i < arguments->address_count; i++) {
			if (address_equal(&arguments->addresses[i].address, witness))
				fail("--witness %s: this is a shared address", text);
			if (!found && prefix_contains(&arguments->addresses[i], witness)) {
				out->election.witness_side = (uint8_t)side;
				found = true;
			}
		}
		if (address_equal(&arguments->own[witness->family == 6], witness))
			fail("--witness %s: this is our own address", text);
	}
	if (!is_unicast(witness))
		fail("--witness %s: not a host address", text);
	if (!found)
		fail("--witness %s: on no subnet of --inside-address and --outside-address", text);
}

static void
read_passphrase(struct election_arguments *election)
{
	const char *path = election->passphrase_file;
	char line[256];
	size_t length;
	FILE *file;

	if (path == NULL)
		return;
	if (election->dialect == PFPLANE_ELECTION_VRRP3)
		fail("--passphrase-file %s: VRRP version 3 has no authentication", path);
	errno = 0;
	file = fopen(path, "r");
	if (file == NULL || fgets(line, sizeof(line), file) == NULL)
		fail("--passphrase-file %s: %s", path, errno != 0 ? strerror(errno) : "is empty");
	(void)fclose(file);
	length = strcspn(line, "\r\n");
	if (length == 0)
		fail("--passphrase-file %s: the first line is empty", path);
	if (length > MAX_PASSPHRASE)
		fail("--passphrase-file %s: the pass-phrase has more than %d bytes", path, MAX_PASSPHRASE);
	memcpy(election->passphrase, line, length);
	explicit_bzero(line, sizeof(line));
}

void
election_check_options(struct arguments *out)
{
	struct election_arguments *election = &out->election;

	if (!election->enabled) {
		if (election->option != NULL)
			fail("--%s needs --election", election->option);
		return;
	}
	if (out->has_role)
		fail("--role and --election exclude each other");
	if (out->inside.has_mac || out->outside.has_mac)
		fail("--%s-mac and --election exclude each other: --election-id gives the Ethernet address",
		     out->inside.has_mac ? "inside" : "outside");
	check_interval(election);
	check_side("inside", &out->inside);
	check_side("outside", &out->outside);
	check_witness(out);
	if (election->hellos && out->no_sync)
		fail("--hellos and --no-sync exclude each other: hellos travel on the sync link");
	read_passphrase(election);
}
