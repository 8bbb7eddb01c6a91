/* The command line. */
#include "bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"nic-bench: measures packets per second through pfplane on this machine's ports\n"
	"\n"
	"  nic-bench [EAL options] -- [options]\n"
	"\n"
	"  --ports LIST      ports to use, for instance 0,1; default: all\n"
	"  --generate PORT   send packets of the flows to this port, as fast as it accepts them\n"
	"                    (without it, an external generator sends them)\n"
	"  --forward         send packets that pass to the next port of the list instead of freeing them\n"
	"  --flows N         connections of the generator; default 10000\n"
	"  --states N        capacity of each lane in states; default twice the flows\n"
	"  --burst N         packets per call, 1 to 256; default 32\n"
	"  --seconds N       duration; default 5\n"
	"  --udp             the generator's flows are UDP; default: established TCP connections\n"
	"  --ipv6            over IPv6; default: IPv4\n"
	"  --trust-hash      use the NIC's hash, made with the engine's key\n"
	"  --help            show this text\n"
	"\n"
	"One lane runs on each lcore and polls its own queue of every port; packets without a state create one. Generated packets have\n"
	"64 bytes on the wire, 78 for TCP over IPv6. At the end: packets per second, nanoseconds per packet and stage, losses, and the\n"
	"cores that 10 and 100 Gbit/s of minimum-size frames need. Without a NIC:\n"
	"\n"
	"  nic-bench -l 1 --no-huge -m 512 --no-pci --vdev net_ring0 -- --generate 0\n"
	"  nic-bench -l 1 --no-huge -m 512 --no-pci --vdev net_null0,size=60 --\n"
	"\n"
	"With one, and TRex or pktgen sending to port 0:\n"
	"\n"
	"  nic-bench -l 2-5 -a 81:00.0 -a 81:00.1 -- --forward --trust-hash --states 4000000\n"
	"\n"
	"Exit status: 0 when all mbufs are back in the pool, 1 for an error, 2 for a wrong option.\n";

enum option_number {
	OPTION_PORTS = 256,
	OPTION_GENERATE,
	OPTION_FORWARD,
	OPTION_FLOWS,
	OPTION_STATES,
	OPTION_BURST,
	OPTION_SECONDS,
	OPTION_UDP,
	OPTION_IPV6,
	OPTION_TRUST_HASH,
	OPTION_HELP,
};

static const struct option options[] = {
	{"ports", required_argument, NULL, OPTION_PORTS},     {"generate", required_argument, NULL, OPTION_GENERATE},
	{"forward", no_argument, NULL, OPTION_FORWARD},       {"flows", required_argument, NULL, OPTION_FLOWS},
	{"states", required_argument, NULL, OPTION_STATES},   {"burst", required_argument, NULL, OPTION_BURST},
	{"seconds", required_argument, NULL, OPTION_SECONDS}, {"udp", no_argument, NULL, OPTION_UDP},
	{"ipv6", no_argument, NULL, OPTION_IPV6},             {"trust-hash", no_argument, NULL, OPTION_TRUST_HASH},
	{"help", no_argument, NULL, OPTION_HELP},             {NULL, 0, NULL, 0},
};

static bool
number(const char *name, const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || value < min || value > max) {
		fprintf(stderr, "nic-bench: --%s %s: not a number from %u to %u\n", name, text, min, max);
		return false;
	}
	*out = (uint32_t)value;
	return true;
}

static bool
port(const char *name, const char *text, uint16_t *out)
{
	uint32_t value;

	if (!number(name, text, 0, RTE_MAX_ETHPORTS - 1, &value))
		return false;
	if (!rte_eth_dev_is_valid_port((uint16_t)value)) {
		fprintf(stderr, "nic-bench: --%s %u: there is no such port; DPDK found %u\n", name, value,
		        rte_eth_dev_count_avail());
		return false;
	}
	*out = (uint16_t)value;
	return true;
}

static bool
port_list(struct arguments *arguments, char *text)
{
	char *rest;

	arguments->port_count = 0;
	for (char *item = strtok_r(text, ",", &rest); item != NULL; item = strtok_r(NULL, ",", &rest)) {
		if (arguments->port_count == MAX_PORTS) {
			fprintf(stderr, "nic-bench: --ports: more than %d\n", MAX_PORTS);
			return false;
		}
		if (!port("ports", item, &arguments->ports[arguments->port_count]))
			return false;
		arguments->port_count++;
	}
	return true;
}

static bool
all_ports(struct arguments *arguments)
{
	for (uint16_t found = 0; found < RTE_MAX_ETHPORTS; found++) {
		if (rte_eth_dev_is_valid_port(found) && arguments->port_count < MAX_PORTS)
			arguments->ports[arguments->port_count++] = found;
	}
	if (arguments->port_count == 0)
		fprintf(stderr, "nic-bench: DPDK found no port: bind one to its driver, or give one with --vdev\n");
	return arguments->port_count > 0;
}

static bool
take(struct arguments *arguments, int option, char *value)
{
	switch (option) {
	case OPTION_PORTS: return port_list(arguments, value);
	case OPTION_GENERATE: return port("generate", value, &arguments->generate);
	case OPTION_FORWARD: return arguments->forward = true;
	case OPTION_FLOWS: return number("flows", value, 1, 1u << 26, &arguments->flows);
	case OPTION_STATES: return number("states", value, 1, 1u << 30, &arguments->states);
	case OPTION_BURST: return number("burst", value, 1, MAX_BURST, &arguments->burst);
	case OPTION_SECONDS: return number("seconds", value, 1, 86400, &arguments->seconds);
	case OPTION_UDP: return arguments->udp = true;
	case OPTION_IPV6: return arguments->ipv6 = true;
	case OPTION_TRUST_HASH: return arguments->trust_hash = true;
	default: return false;
	}
}

int
arguments_read(struct arguments *arguments, int argc, char **argv)
{
	int option;

	*arguments = (struct arguments){.generate = NO_PORT, .flows = 10000, .burst = 32, .seconds = 5};
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP) {
			fputs(help, stdout);
			return 2;
		}
		if (!take(arguments, option, optarg)) {
			if (option == '?')
				fprintf(stderr, "nic-bench: nic-bench -- --help lists the options\n");
			return 1;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "nic-bench: '%s' is not an option\n", argv[optind]);
		return 1;
	}
	if (arguments->port_count == 0 && !all_ports(arguments))
		return 1;
	if (arguments->states == 0)
		arguments->states = 2 * arguments->flows;
	return 0;
}
