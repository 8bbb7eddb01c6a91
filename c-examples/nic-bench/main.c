/* The lanes' loop, the measurement, and the report. */
#include "bench.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mempool.h>
#include <rte_prefetch.h>

#define MBUFS_A_LANE 16384u
#define MBUF_CACHE 256
#define POLL_EVERY 64
/* Wire bits of the smallest frame: 64 bytes, preamble and gap. */
#define FRAME_BITS 672.0

enum stage { MAKE, RECEIVE, LOOK_UP, CREATE, SEND, HOUSEKEEPING, STAGES };

static const char *const stage_names[STAGES] = {
	"generate and send", "receive", "look up and track", "create states", "send or free", "poll"};

/* Counters of one lane. Lanes share no cache line. */
struct work {
	struct pfplane_lane *lane;
	struct frames frames;
	uint16_t queue;
	uint64_t cycles[STAGES];
	uint64_t made, not_taken, received, passed, handed_off, dropped, other, not_sent;
	uint64_t elapsed;
} __rte_cache_aligned;

static struct arguments arguments;
static struct rte_mempool *pool;
static struct work works[MAX_LANES];
static volatile bool stopped;

static void
on_signal(int number)
{
	(void)number;
	stopped = true;
}

static uint64_t
now_ns(void)
{
	return (uint64_t)((double)rte_rdtsc() * 1e9 / (double)rte_get_tsc_hz());
}

/* Adds the time since `since` to a stage, and returns the current time. */
static uint64_t
count(struct work *work, enum stage stage, uint64_t since)
{
	uint64_t now = rte_rdtsc();

	work->cycles[stage] += now - since;
	return now;
}

static uint64_t
generate(struct work *work, uint64_t since)
{
	struct rte_mbuf *mbufs[MAX_BURST];
	uint32_t made = frames_make(&arguments, &work->frames, pool, mbufs, arguments.burst);
	uint16_t sent = rte_eth_tx_burst(arguments.generate, work->queue, mbufs, (uint16_t)made);

	work->made += sent;
	work->not_taken += made - sent;
	rte_pktmbuf_free_bulk(mbufs + sent, made - sent);
	return count(work, MAKE, since);
}

/* Counts verdicts; packets that pass stay at the front of `mbufs`. */
static uint16_t
sort(struct work *work, const struct pfplane_burst *burst, struct rte_mbuf **mbufs, struct pfplane_verdict *verdicts,
     uint16_t received)
{
	uint16_t passed = 0;

	for (uint16_t n = 0; n < received; n++) {
		if (verdicts[n].action == PFPLANE_NEW &&
		    pfplane_lane_state_create_mbuf(work->lane, burst, mbufs[n], NULL, &verdicts[n]) != PFPLANE_OK)
			verdicts[n].action = PFPLANE_DROP;
		if (verdicts[n].action == PFPLANE_PASS) {
			struct rte_mbuf *swap = mbufs[passed];

			mbufs[passed++] = mbufs[n];
			mbufs[n] = swap;
			continue;
		}
		work->handed_off += verdicts[n].action == PFPLANE_HANDOFF;
		work->dropped += verdicts[n].action == PFPLANE_DROP;
		work->other += verdicts[n].action != PFPLANE_HANDOFF && verdicts[n].action != PFPLANE_DROP;
	}
	work->passed += passed;
	return passed;
}

static uint64_t
one_port(struct work *work, uint16_t position, uint64_t since)
{
	const struct pfplane_burst burst = {.size = sizeof(burst), .direction = PFPLANE_IN,
	                                    .link = PFPLANE_LINK_ETHERNET, .trust_hash = arguments.trust_hash,
	                                    .now_ns = now_ns()};
	struct pfplane_verdict verdicts[MAX_BURST];
	struct rte_mbuf *mbufs[MAX_BURST];
	uint16_t received, passed, sent = 0;

	received = rte_eth_rx_burst(arguments.ports[position], work->queue, mbufs, (uint16_t)arguments.burst);
	if (received == 0)
		return rte_rdtsc();
	for (uint16_t n = 0; n < received; n++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[n], void *));
	since = count(work, RECEIVE, since);
	work->received += received;
	if (pfplane_lane_lookup_mbufs(work->lane, &burst, mbufs, received, verdicts) != PFPLANE_OK) {
		fprintf(stderr, "nic-bench: %s\n", pfplane_last_error());
		stopped = true;
		rte_pktmbuf_free_bulk(mbufs, received);
		return since;
	}
	since = count(work, LOOK_UP, since);
	passed = sort(work, &burst, mbufs, verdicts, received);
	since = count(work, CREATE, since);
	if (arguments.forward) {
		uint16_t next = arguments.ports[(position + 1) % arguments.port_count];

		sent = rte_eth_tx_burst(next, work->queue, mbufs, passed);
		work->not_sent += passed - sent;
	}
	rte_pktmbuf_free_bulk(mbufs + sent, received - sent);
	return count(work, SEND, since);
}

static int
run(void *argument)
{
	struct work *work = argument;
	const uint64_t start = rte_rdtsc(), end = start + arguments.seconds * rte_get_tsc_hz();
	uint64_t now = start;

	for (uint32_t turn = 0; now < end && !stopped; turn++) {
		if (arguments.generate != NO_PORT)
			now = generate(work, now);
		for (uint16_t position = 0; position < arguments.port_count; position++)
			now = one_port(work, position, now);
		if (turn % POLL_EVERY == 0) {
			if (pfplane_lane_poll(work->lane, now_ns()) != PFPLANE_OK) {
				fprintf(stderr, "nic-bench: %s\n", pfplane_last_error());
				return 1;
			}
			now = count(work, HOUSEKEEPING, now);
		}
	}
	work->elapsed = now - start;
	return 0;
}

static double
ns(uint64_t cycles)
{
	return (double)cycles * 1e9 / (double)rte_get_tsc_hz();
}

static void
report_lane(const struct work *work)
{
	double per_second = (double)work->received / ns(work->elapsed) * 1e9;
	double judging = ns(work->cycles[RECEIVE] + work->cycles[LOOK_UP] + work->cycles[CREATE] + work->cycles[SEND] +
	                    work->cycles[HOUSEKEEPING]);
	double packet = work->received == 0 ? 0 : judging / (double)work->received;

	printf("\nlane %u: %.2f Mpps, %" PRIu64 " received, %" PRIu64 " passed, %" PRIu64 " dropped, %" PRIu64
	       " of other lanes, %" PRIu64 " other\n",
	       work->queue, per_second / 1e6, work->received, work->passed, work->dropped, work->handed_off, work->other);
	if (work->received == 0)
		return;
	for (int stage = 0; stage < STAGES; stage++) {
		if (stage != MAKE || work->made > 0)
			printf("  %-28s %7.1f ns per packet\n", stage_names[stage],
			       ns(work->cycles[stage]) / (double)work->received);
	}
	printf("  a core that only receives, looks up and sends: %.2f Mpps; cores for 10 Gbit/s %.2f, for 100 Gbit/s "
	       "%.2f\n",
	       1e3 / packet, packet * 10.0 / FRAME_BITS, packet * 100.0 / FRAME_BITS);
	if (arguments.forward)
		printf("  %" PRIu64 " passed but not accepted by the port\n", work->not_sent);
}

/* Losses, by the ports' counters and by our own. */
static void
report_loss(uint16_t lanes)
{
	uint64_t made = 0, not_taken = 0, received = 0;

	for (uint16_t lane = 0; lane < lanes; lane++) {
		made += works[lane].made;
		not_taken += works[lane].not_taken;
		received += works[lane].received;
	}
	if (made > 0)
		printf("\nsent %" PRIu64 ", received %" PRIu64 ", lost or in flight %" PRIu64 "; not accepted by the port %" PRIu64
		       "\n",
		       made, received, made > received ? made - received : 0, not_taken);
	for (uint16_t i = 0; i < arguments.port_count; i++) {
		struct rte_eth_stats stats;

		if (rte_eth_stats_get(arguments.ports[i], &stats) == 0)
			printf("port %u: %" PRIu64 " missed, %" PRIu64 " errors, %" PRIu64 " without an mbuf\n",
			       arguments.ports[i], stats.imissed, stats.ierrors, stats.rx_nombuf);
	}
}

static bool
failed(void)
{
	fprintf(stderr, "nic-bench: %s\n", pfplane_last_error());
	return false;
}

static bool
set_up(struct pfplane_engine **engine, uint16_t lanes)
{
	struct frames frames[MAX_LANES] = {0};
	pfplane_config config;
	bool shared;

	pool = rte_pktmbuf_pool_create("nic-bench", lanes * MBUFS_A_LANE - 1u, MBUF_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
	                               (int)rte_socket_id());
	if (pool == NULL) {
		fprintf(stderr, "nic-bench: no memory for %u mbufs: %s; give DPDK more (-m, or huge pages)\n",
		        lanes * MBUFS_A_LANE, rte_strerror(rte_errno));
		return false;
	}
	if (pfplane_config_init(&config, sizeof(config)) != PFPLANE_OK)
		return failed();
	config.lanes = lanes;
	config.states_per_lane = arguments.states;
	if (pfplane_engine_new(&config, engine) != PFPLANE_OK)
		return failed();
	shared = frames_share(&arguments, *engine, frames, lanes);
	for (uint16_t lane = 0; lane < lanes; lane++) {
		works[lane] = (struct work){.queue = lane, .frames = frames[lane]};
		if (pfplane_engine_lane(*engine, lane, &works[lane].lane) != PFPLANE_OK)
			return failed();
	}
	if (!shared)
		return false;
	for (uint16_t lane = 0; lane < lanes; lane++) {
		if (arguments.generate != NO_PORT && !arguments.udp &&
		    !frames_open(&arguments, works[lane].lane, &frames[lane]))
			return false;
	}
	return ports_start(&arguments, lanes, pool, *engine);
}

static void
run_all(uint16_t lanes)
{
	unsigned int lcore;
	uint16_t lane = 1;

	for (lcore = 0; lcore < RTE_MAX_LCORE; lcore++) {
		if (rte_lcore_is_enabled(lcore) && lcore != rte_get_main_lcore() && lane < lanes)
			rte_eal_remote_launch(run, &works[lane++], lcore);
	}
	run(&works[0]);
	rte_eal_mp_wait_lcore();
}

static bool
all_buffers_are_back(void)
{
	unsigned int missing = rte_mempool_in_use_count(pool);

	if (missing > 0)
		fprintf(stderr, "nic-bench: %u mbufs are missing from the pool\n", missing);
	return missing == 0;
}

int
main(int argc, char **argv)
{
	struct pfplane_engine *engine = NULL;
	bool good = false;
	uint16_t lanes;
	int used;

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			char *words[] = {argv[0], argv[i], NULL};

			return arguments_read(&arguments, 2, words) == 2 ? 0 : 1;
		}
	}
	used = rte_eal_init(argc, argv);
	if (used < 0) {
		fprintf(stderr, "nic-bench: DPDK cannot be started: %s\n", rte_strerror(rte_errno));
		return 1;
	}
	argv[used] = argv[0];
	switch (arguments_read(&arguments, argc - used, argv + used)) {
	case 0: break;
	case 2: return rte_eal_cleanup(), 0;
	default: return rte_eal_cleanup(), 2;
	}
	lanes = (uint16_t)RTE_MIN(rte_lcore_count(), (unsigned int)MAX_LANES);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	if (set_up(&engine, lanes)) {
		printf("%u lane(s), %u flows, bursts of %u, %u s\n", lanes, arguments.flows, arguments.burst, arguments.seconds);
		run_all(lanes);
		for (uint16_t lane = 0; lane < lanes; lane++)
			report_lane(&works[lane]);
		report_loss(lanes);
		ports_stop(&arguments, lanes);
		good = all_buffers_are_back();
	}
	for (uint16_t lane = 0; lane < lanes; lane++)
		frames_free(&works[lane].frames, 1);
	pfplane_engine_free(engine);
	rte_eal_cleanup();
	return good ? 0 : 1;
}
