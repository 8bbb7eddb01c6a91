/* Keeps shared addresses on the best of several Linux hosts, by CARP or VRRPv3: pfplane's election for a host without our engine.
 * It answers ARP and neighbour discovery for the addresses itself; the kernel needs none of them. Needs root (raw sockets). */
#include "interface.h"
#include "report.h"
#include "witness.h"

#include <pfplane.h>

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PORTS = 8, MAX_MEMBERS = 2 * MAX_PORTS, MAX_ADDRESSES = 16, MAX_PEERS = 8, PASSPHRASE = 20, FRAME = 2048 };

/* An interface of the host. Its index is the port number of the election. */
struct port {
	char name[IF_NAMESIZE];
	int socket;
	bool is_up;
};

/* A member and the arrays that its configuration points to. */
struct member {
	struct pfplane_address addresses[MAX_ADDRESSES], peers[MAX_PEERS];
};

static struct port ports[MAX_PORTS];
static uint32_t port_count;
static struct pfplane_election_member members[MAX_MEMBERS];
static struct member arrays[MAX_MEMBERS];
static uint32_t member_count;
static char passphrase[PASSPHRASE];
static bool has_witness;
static volatile sig_atomic_t stop;

static const char usage[] =
	"usage: elect [options] --member IF,OWN,SHARED[,SHARED...] [--member ...]\n"
	"\n"
	"Keeps the SHARED addresses on the best host. OWN is this host's address on interface IF, over IPv6 a link-local one.\n"
	"A member has one family; give one for each interface and family. An interface that loses its last address of the\n"
	"family forbids this host to be master until it has one again.\n"
	"\n"
	"  --dialect D          vrrp (default), openbsd or freebsd: CARP by that system's rules\n"
	"  --id N               VRID or vhid, 1 to 255 (default 1)\n"
	"  --priority N         1 to 254, higher is better (default 100); CARP's advskew is 254 less it\n"
	"  --interval-ms N      between adverts (default 1000)\n"
	"  --passphrase-file F  CARP's pass-phrase: the first line of F, at most 19 bytes\n"
	"  --peer ADDRESS       unicast to this host instead of multicast; repeat it for several hosts\n"
	"  --preempt            take over from a worse master that is alive\n"
	"  --own-mac            use the interface's own MAC address instead of the virtual one\n"
	"  --rfc9568-checksum   VRRP's checksum over IPv4 without pseudo header\n"
	"  --any-addresses      accept VRRP adverts that list other addresses\n"
	"  --readiness R        synced (default), gave-up or loading\n"
	"  --witness ADDRESS    be no master while neither a peer nor this address is reachable. It is pinged every interval, every\n"
	"                       100 ms at most, and is unreachable after three pings without a reply\n"
	"  --seconds N          end after N seconds\n"
	"  --help               print this\n"
	"\n"
	"Prints a line for each change of the role and each event. SIGTERM and SIGINT hand over to another host and end.\n";

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "elect: %s: %s\n", what, why);
	exit(1);
}

void
must(int32_t status, const char *what)
{
	if (status < 0)
		die(what, pfplane_last_error());
}

static uint64_t
now_ns(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
		die("clock_gettime", strerror(errno));
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint32_t
number(const char *option, const char *text, uint32_t min, uint32_t max)
{
	char *end;
	const unsigned long value = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < min || value > max) {
		fprintf(stderr, "elect: %s is '%s', it must be a number from %u to %u\n", option, text, min, max);
		exit(1);
	}
	return (uint32_t)value;
}

static struct pfplane_address
address(const char *option, const char *text)
{
	struct pfplane_address parsed = {0};

	if (inet_pton(AF_INET, text, parsed.bytes) == 1)
		parsed.family = 4;
	else if (inet_pton(AF_INET6, text, parsed.bytes) == 1)
		parsed.family = 6;
	else {
		fprintf(stderr, "elect: %s: '%s' is no address\n", option, text);
		exit(1);
	}
	return parsed;
}

static void
read_passphrase(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[256];

	if (file == NULL)
		die(path, strerror(errno));
	if (fgets(line, sizeof(line), file) == NULL)
		die(path, "is empty");
	line[strcspn(line, "\r\n")] = '\0';
	if (line[0] == '\0')
		die(path, "the first line, which is the pass-phrase, is empty");
	if (strlen(line) >= sizeof(passphrase))
		die(path, "the pass-phrase is longer than 19 bytes");
	memcpy(passphrase, line, strlen(line) + 1);
	explicit_bzero(line, sizeof(line));
	fclose(file);
}

/* Returns the port of an interface; opens a raw socket on it the first time. */
static uint16_t
port_of(const char *name, uint8_t mac[6])
{
	struct ifreq request = {0};
	struct sockaddr_ll here = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct packet_mreq promiscuous = {.mr_type = PACKET_MR_PROMISC};
	uint32_t port = 0;

	while (port < port_count && strcmp(ports[port].name, name) != 0)
		port++;
	if (port == MAX_PORTS)
		die(name, "more than 8 interfaces");
	if (port == port_count) {
		if (strlen(name) >= sizeof(ports[port].name))
			die(name, "the name of an interface is too long");
		strcpy(ports[port].name, name);
		ports[port].socket = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
		if (ports[port].socket < 0)
			die("raw socket", strerror(errno));
		port_count++;
	}
	strcpy(request.ifr_name, name);
	if (ioctl(ports[port].socket, SIOCGIFINDEX, &request) != 0)
		die(name, strerror(errno));
	here.sll_ifindex = promiscuous.mr_ifindex = request.ifr_ifindex;
	if (bind(ports[port].socket, (const struct sockaddr *)&here, sizeof(here)) != 0 ||
	    setsockopt(ports[port].socket, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) != 0 ||
	    ioctl(ports[port].socket, SIOCGIFHWADDR, &request) != 0)
		die(name, strerror(errno));
	memcpy(mac, request.ifr_hwaddr.sa_data, 6);
	return (uint16_t)port;
}

/* Parses IF,OWN,SHARED... */
static void
add_member(struct pfplane_election_config *config, char *text)
{
	struct pfplane_election_member *member = &members[config->member_count];
	struct member *its = &arrays[config->member_count];
	char *rest, *name = strtok_r(text, ",", &rest), *own = strtok_r(NULL, ",", &rest), *shared;

	if (config->member_count == MAX_MEMBERS)
		die("--member", "more than 16");
	if (name == NULL || own == NULL)
		die("--member", "wants IF,OWN,SHARED[,SHARED...]");
	*member = (struct pfplane_election_member){.size = sizeof(*member), .addresses = its->addresses, .peers = its->peers};
	member->port = port_of(name, member->own_mac);
	member->own_address = address("--member", own);
	if (!interface_has_family(name, member->own_address.family)) {
		fprintf(stderr, "elect: --member %s,%s: %s has no IPv%u address\n", name, own, name, member->own_address.family);
		exit(1);
	}
	while ((shared = strtok_r(NULL, ",", &rest)) != NULL) {
		if (member->address_count == MAX_ADDRESSES)
			die("--member", "more than 16 shared addresses");
		its->addresses[member->address_count++] = address("--member", shared);
	}
	config->member_count++;
}

static uint32_t
choice(const char *option, const char *text, const char *const names[], const uint32_t values[], size_t count)
{
	for (size_t n = 0; n < count; n++)
		if (strcmp(text, names[n]) == 0)
			return values[n];
	die(option, "unknown value; see --help");
	return 0;
}

static void
send_frames(pfplane_election *election, uint64_t now)
{
	static uint8_t buffer[PFPLANE_MAX_ELECTION_FRAME];
	struct pfplane_election_frame frame = {.size = sizeof(frame)};
	int32_t status;

	while ((status = pfplane_election_flush(election, buffer, sizeof(buffer), &frame)) == PFPLANE_OK) {
		/* A real host looks up the peer's MAC address; on one LAN a broadcast arrives too. */
		if (frame.receiver.family != 0)
			memset(buffer, 0xff, 6);
		if (send(ports[frame.port].socket, buffer, frame.length, 0) != (ssize_t)frame.length)
			must(pfplane_election_send_failed(election, frame.port, 1, now), "send failed");
	}
	must(status, "flush");
}

/* Passes in all frames that have come to a port, and sends the answers to questions for our addresses. */
static void
receive_frames(pfplane_election *election, uint16_t port, uint64_t now)
{
	uint8_t frame[FRAME], answer[PFPLANE_MAX_ELECTION_ANSWER];
	struct sockaddr_ll from;
	socklen_t from_length = sizeof(from);
	ssize_t length;

	while ((length = recvfrom(ports[port].socket, frame, sizeof(frame), 0, (struct sockaddr *)&from, &from_length)) > 0) {
		uint32_t answer_length = 0;
		int32_t status = PFPLANE_END;

		if (from.sll_pkttype != PACKET_OUTGOING)
			status = pfplane_election_receive(election, port, 0, frame, (uint32_t)length, now);
		must(status, "receive");
		if (status == PFPLANE_OK || from.sll_pkttype == PACKET_OUTGOING)
			continue;
		status = pfplane_election_answer(election, port, 0, frame, (uint32_t)length, now, answer, sizeof(answer),
		                                 &answer_length);
		must(status, "answer");
		if (status == PFPLANE_OK && send(ports[port].socket, answer, answer_length, 0) != (ssize_t)answer_length)
			perror("elect: answer");
	}
}

static void
watch_links(pfplane_election *election, uint64_t now)
{
	for (uint32_t port = 0; port < port_count; port++) {
		struct ifreq request = {0};
		bool is_up;

		strcpy(request.ifr_name, ports[port].name);
		is_up = ioctl(ports[port].socket, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_RUNNING) != 0;
		if (is_up != ports[port].is_up)
			must(pfplane_election_link(election, (uint16_t)port, is_up, now), "link");
		ports[port].is_up = is_up;
	}
}

/* A host that has lost all addresses of a member's family cannot use the shared ones: it must not be master. */
static void
watch_addresses(pfplane_election *election, uint64_t now)
{
	static uint64_t due;
	static bool lacks_one;
	const char *lacks = NULL;
	uint8_t family = 0;

	if (now < due)
		return;
	due = now + 200000000;
	for (uint32_t n = 0; n < member_count && lacks == NULL; n++) {
		family = members[n].own_address.family;
		if (!interface_has_family(ports[members[n].port].name, family))
			lacks = ports[members[n].port].name;
	}
	if ((lacks != NULL) == lacks_one)
		return;
	lacks_one = lacks != NULL;
	if (lacks_one)
		printf("%s has no IPv%u address any more\n", lacks, family);
	else
		printf("all interfaces have addresses again\n");
	must(pfplane_election_demote(election, "no-address", lacks_one ? PFPLANE_ELECTION_FORBID : 0), "demote");
}

static void
on_signal(int number_of_signal)
{
	(void)number_of_signal;
	stop = 1;
}

/* The control loop: read everything, then poll, then send. */
static void
run(pfplane_election *election, uint64_t start, uint64_t end)
{
	uint64_t stopped_at = 0, now = start;

	while (stopped_at == 0 || now < stopped_at + 100000000) {
		struct pollfd waiting[MAX_PORTS];
		uint64_t due;

		for (uint32_t port = 0; port < port_count; port++)
			waiting[port] = (struct pollfd){.fd = ports[port].socket, .events = POLLIN};
		now = now_ns();
		watch_links(election, now);
		watch_addresses(election, now);
		if (has_witness)
			must(pfplane_election_witness(election, witness_answers(now)), "witness");
		for (uint32_t port = 0; port < port_count; port++)
			receive_frames(election, (uint16_t)port, now);
		if ((stop || now >= end) && stopped_at == 0) {
			stopped_at = now;
			must(pfplane_election_step_down(election, 10000, now), "step down");
		}
		must(pfplane_election_poll(election, now, &due), "poll");
		send_frames(election, now);
		print_events(election, start, now);
		due = due > now + 10000000 ? now + 10000000 : due;
		if (ppoll(waiting, port_count, &(struct timespec){.tv_nsec = (long)(due > now ? due - now : 1)}, NULL) < 0 &&
		    errno != EINTR)
			die("poll", strerror(errno));
	}
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"dialect", required_argument, NULL, 'd'}, {"id", required_argument, NULL, 'i'},
		{"priority", required_argument, NULL, 'p'}, {"interval-ms", required_argument, NULL, 't'},
		{"passphrase-file", required_argument, NULL, 'f'}, {"member", required_argument, NULL, 'm'},
		{"peer", required_argument, NULL, 'u'}, {"preempt", no_argument, NULL, 'P'},
		{"own-mac", no_argument, NULL, 'o'}, {"rfc9568-checksum", no_argument, NULL, 'c'},
		{"any-addresses", no_argument, NULL, 'a'}, {"readiness", required_argument, NULL, 'r'},
		{"seconds", required_argument, NULL, 's'}, {"witness", required_argument, NULL, 'w'}, {"help", no_argument, NULL, 'h'}, {0},
	};
	static const char *const dialects[] = {"vrrp", "openbsd", "freebsd"}, *const classes[] = {"synced", "gave-up", "loading"};
	static const uint32_t dialect_values[] = {PFPLANE_ELECTION_VRRP3, PFPLANE_ELECTION_OPENBSD, PFPLANE_ELECTION_FREEBSD};
	static const uint32_t class_values[] = {PFPLANE_ELECTION_SYNCED, PFPLANE_ELECTION_GAVE_UP, PFPLANE_ELECTION_LOADING};
	struct pfplane_election_config config;
	struct pfplane_address peers[MAX_PEERS], witness = {0};
	struct sigaction action = {.sa_handler = on_signal};
	pfplane_election *election;
	uint32_t id = 1, peer_count = 0, seconds = 0, readiness = PFPLANE_ELECTION_SYNCED;
	uint64_t start;
	int option;

	must(pfplane_election_config_init(&config, sizeof(config)), "config");
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'd': config.dialect = choice("--dialect", optarg, dialects, dialect_values, 3); break;
		case 'i': id = number("--id", optarg, 1, 255); break;
		case 'p': config.priority = (uint8_t)number("--priority", optarg, 1, 254); break;
		case 't': config.interval_us = 1000 * number("--interval-ms", optarg, 4, 254000); break;
		case 'f': read_passphrase(optarg); break;
		case 'm': add_member(&config, optarg); break;
		case 'u':
			if (peer_count == MAX_PEERS)
				die("--peer", "more than 8");
			peers[peer_count++] = address("--peer", optarg);
			break;
		case 'P': config.preempt = 1; break;
		case 'o': config.mac = PFPLANE_ELECTION_MAC_OWN; break;
		case 'c': config.checksum_rfc9568 = 1; break;
		case 'a': config.ignore_addresses = 1; break;
		case 'r': readiness = choice("--readiness", optarg, classes, class_values, 3); break;
		case 'w': witness = address("--witness", optarg); break;
		case 's': seconds = number("--seconds", optarg, 1, 1000000); break;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 1;
		}
	}
	if (optind != argc || config.member_count == 0)
		die("arguments", config.member_count == 0 ? "there is no --member" : "one is no option");
	for (uint32_t n = 0; n < config.member_count; n++) {
		members[n].id = (uint8_t)id;
		members[n].passphrase = passphrase[0] == '\0' ? NULL : passphrase;
		for (uint32_t peer = 0; peer < peer_count; peer++)
			if (peers[peer].family == members[n].own_address.family)
				arrays[n].peers[members[n].peer_count++] = peers[peer];
	}
	config.members = members;
	member_count = config.member_count;
	must(pfplane_election_new(&config, &election), "election");
	must(pfplane_election_readiness(election, readiness), "readiness");
	if (sigaction(SIGTERM, &action, NULL) != 0 || sigaction(SIGINT, &action, NULL) != 0)
		die("sigaction", strerror(errno));
	has_witness = witness.family != 0;
	if (has_witness) {
		const char *failed = witness_open(&witness, 1000ull * (config.interval_us < 100000 ? 100000 : config.interval_us));

		if (failed != NULL)
			die(failed, strerror(errno));
	}
	start = now_ns();
	run(election, start, seconds == 0 ? UINT64_MAX : start + seconds * 1000000000ull);
	print_counters(election, config.member_count);
	pfplane_election_free(election);
	return 0;
}
