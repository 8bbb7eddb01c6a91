/* The shortest use of pfplane: an engine with one lane, packets made by hand, a verdict for each.
 * Needs neither DPDK nor root. */
#include <pfplane.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IPV4 = 20, TCP = 20, BYTES = IPV4 + TCP };
enum { SYN = 0x02, ACK = 0x10 };

static const uint8_t client[4] = {192, 0, 2, 7}, server[4] = {198, 51, 100, 80};

/* Builds an IPv4 packet with a TCP segment. */
static void
make(uint8_t packet[BYTES], const uint8_t from[4], const uint8_t to[4], uint16_t from_port, uint16_t to_port,
     uint8_t flags, uint32_t seq, uint32_t ack)
{
	const uint8_t bytes[BYTES] = {
		0x45, 0, 0, BYTES, 0, 1, 0x40, 0, 64, 6, 0, 0,
		from[0], from[1], from[2], from[3], to[0], to[1], to[2], to[3],
		(uint8_t)(from_port >> 8), (uint8_t)from_port, (uint8_t)(to_port >> 8), (uint8_t)to_port,
		(uint8_t)(seq >> 24), (uint8_t)(seq >> 16), (uint8_t)(seq >> 8), (uint8_t)seq,
		(uint8_t)(ack >> 24), (uint8_t)(ack >> 16), (uint8_t)(ack >> 8), (uint8_t)ack,
		0x50, flags, 0xff, 0xff, 0, 0, 0, 0,
	};

	memcpy(packet, bytes, BYTES);
}

static void
must(int32_t status, const char *what)
{
	if (status == PFPLANE_OK)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, pfplane_status_text(status), pfplane_last_error());
	exit(1);
}

static const char *
action_name(const struct pfplane_verdict *verdict)
{
	switch (verdict->action) {
	case PFPLANE_PASS: return "pass";
	case PFPLANE_NEW: return "new: the rules decide";
	case PFPLANE_DROP: return "drop";
	case PFPLANE_HANDOFF: return "hand off to another lane";
	case PFPLANE_HELD: return "hold until a peer has the state";
	case PFPLANE_SYNC: return "a pfsync packet";
	case PFPLANE_NOT_IP: return "not IP";
	case PFPLANE_FRAGMENT: return "a fragment";
	case PFPLANE_NOT_CONTIGUOUS: return "make contiguous and repeat";
	case PFPLANE_NOT_WRITABLE: return "copy and repeat";
	default: return "unknown";
	}
}

int
main(void)
{
	enum { PACKETS = 4 };
	static uint8_t bytes[PACKETS][BYTES];
	static const char *const names[PACKETS] = {"SYN to the server", "SYN+ACK back", "ACK to the server",
	                                          "a segment of no connection"};
	static const uint8_t directions[PACKETS] = {PFPLANE_IN, PFPLANE_OUT, PFPLANE_IN, PFPLANE_OUT};
	struct pfplane_config config;
	struct pfplane_verdict verdict;
	pfplane_engine *engine;
	pfplane_lane *lane;
	uint64_t memory, states;

	make(bytes[0], client, server, 4000, 443, SYN, 1000, 0);
	make(bytes[1], server, client, 443, 4000, SYN | ACK, 5000, 1001);
	make(bytes[2], client, server, 4000, 443, ACK, 1001, 5001);
	make(bytes[3], server, client, 443, 4001, ACK, 9, 9);

	if (pfplane_abi_version() != PFPLANE_ABI_VERSION) {
		fprintf(stderr, "compiled for another version of pfplane\n");
		return 1;
	}
	must(pfplane_config_init(&config, sizeof(config)), "config");
	config.states_per_lane = 1000;
	must(pfplane_config_memory(&config, &memory), "memory");
	must(pfplane_engine_new(&config, &engine), "engine");
	must(pfplane_engine_lane(engine, 0, &lane), "lane");
	printf("pfplane %s, %u states in %llu bytes\n", pfplane_version_string(), config.states_per_lane,
	       (unsigned long long)memory);

	for (int i = 0; i < PACKETS; i++) {
		/* A burst has one direction; a dataplane would put up to 256 packets into one call. */
		const struct pfplane_burst burst = {.size = sizeof(burst), .direction = directions[i],
		                                    .link = PFPLANE_LINK_IP, .now_ns = 1000000};
		const struct pfplane_packet packet = {.data = bytes[i], .length = BYTES};

		must(pfplane_lane_lookup(lane, &burst, &packet, 1, &verdict), "lookup");
		printf("%-26s %s\n", names[i], action_name(&verdict));
		if (verdict.action == PFPLANE_NEW && directions[i] == PFPLANE_IN) {
			/* A firewall applies its rules here. Ours pass everything from the client's side. */
			must(pfplane_lane_state_create(lane, &burst, &packet, NULL, &verdict), "create");
			printf("%-26s %s\n", "  state created", action_name(&verdict));
		}
	}
	must(pfplane_lane_poll(lane, 2000000), "poll");
	must(pfplane_engine_stat_find(engine, PFPLANE_ALL_LANES, "states", &states), "stat");
	printf("%llu state(s)\n", (unsigned long long)states);
	pfplane_engine_free(engine);
	return states == 1 ? 0 : 1;
}
