/* A stateful DPDK firewall whose connections survive its death: start, the lanes' loop, orderly exit. */
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_random.h>

#include "firewall.h"

#define MBUFS_PER_LANE 8192
#define MBUF_CACHE 256
#define IDLE_ROUNDS 64
#define IDLE_SLEEP_US 50
/* States of a takeover that a lane logs in one turn while an election runs, which must not be late. */
#define MAX_LOGGED_STATES 16

static struct firewall firewall;

uint64_t
now_ns(void)
{
	struct timespec now;

	/* Cannot fail with this clock. */
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void
require_ok(int32_t status, const char *call)
{
	if (status == PFPLANE_OK)
		return;
	fprintf(stderr, "ha-firewall: %s: %s\n", call, pfplane_last_error());
	abort();
}

static void
on_signal(int number)
{
	(void)number;
	/* A second signal does not wait for another node to take over. */
	if (!firewall.arguments.election.enabled || atomic_exchange(&firewall.leaving, true))
		atomic_store(&firewall.stop, true);
}

static uint16_t
poll_side(struct worker *worker, enum side side, uint64_t now)
{
	const struct side_state *state = &firewall.side[side];
	struct rte_mbuf *mbufs[BURST];
	uint16_t received;

	if (worker->index >= state->queues)
		return 0;
	received = rte_eth_rx_burst(state->port, (uint16_t)worker->index, mbufs, BURST);
	if (received > 0) {
		count(&worker->counters.received, received);
		forward_burst(worker, side, mbufs, received, now);
	}
	return received;
}

/* Processes frames that other lanes handed off, one burst per side. */
static unsigned int
poll_handed_off(struct worker *worker, uint64_t now)
{
	struct rte_mbuf *mbufs[BURST], *of_side[SIDES][BURST];
	uint16_t counts[SIDES] = {0};
	unsigned int received = rte_ring_dequeue_burst(worker->handed_off, (void **)mbufs, BURST, NULL);

	for (unsigned int i = 0; i < received; i++) {
		enum side side = mbufs[i]->port == firewall.side[INSIDE].port ? INSIDE : OUTSIDE;

		of_side[side][counts[side]++] = mbufs[i];
	}
	for (int side = 0; side < SIDES; side++)
		if (counts[side] > 0)
			forward_burst(worker, (enum side)side, of_side[side], counts[side], now);
	return received;
}

/* The work of lane 0 for all lanes. */
static unsigned int
poll_shared_work(struct worker *worker, uint64_t now)
{
	struct rte_mbuf *mbufs[BURST];
	unsigned int work = 0, received;

	received = rte_ring_dequeue_burst(firewall.for_neighbours, (void **)mbufs, BURST, NULL);
	for (unsigned int i = 0; i < received; i++)
		neighbour_receive(worker, mbufs[i]->port == firewall.side[INSIDE].port ? INSIDE : OUTSIDE, mbufs[i]);
	work += received;
	received = rte_ring_dequeue_burst(firewall.to_resolve, (void **)mbufs, BURST, NULL);
	for (unsigned int i = 0; i < received; i++)
		forward_one(worker, mbufs[i]->port == firewall.side[INSIDE].port ? INSIDE : OUTSIDE, mbufs[i]);
	work += received;
	work += election_poll(worker);
	work += neighbour_poll(worker, now);
	if (!firewall.arguments.no_sync) {
		work += sync_receive(worker, now);
		work += sync_send_others(worker);
	}
	return work;
}

static int
lane_main(void *argument)
{
	struct worker *worker = argument;
	bool was_master = firewall.arguments.master, elects = firewall.arguments.election.enabled;
	unsigned int idle = 0;

	while (!atomic_load_explicit(&firewall.stop, memory_order_relaxed)) {
		uint64_t now = now_ns();
		bool is_master = may_forward(&firewall, now);
		unsigned int work = 0;

		if (is_master && !was_master) {
			worker->logs_takeover = true;
			worker->takeover_cursor = 0;
		}
		was_master = is_master;
		work += event_log_takeover(worker, now, elects ? MAX_LOGGED_STATES : UINT32_MAX);
		work += poll_side(worker, INSIDE, now);
		work += poll_side(worker, OUTSIDE, now);
		work += poll_handed_off(worker, now);
		if (worker->index == 0)
			work += poll_shared_work(worker, now);
		require_ok(pfplane_lane_poll(worker->lane, now), "pfplane_lane_poll");
		work += defer_release(worker, now);
		work += sync_send(worker, now);
		exposure_update(worker, now);
		forward_flush(worker);
		/* Processors may be shared, so an idle lane sleeps. */
		idle = work > 0 ? 0 : idle + 1;
		if (idle > IDLE_ROUNDS)
			rte_delay_us_sleep(IDLE_SLEEP_US);
	}
	return 0;
}

static struct rte_ring *
new_ring(const char *name, unsigned int number)
{
	char full_name[RTE_RING_NAMESIZE];
	struct rte_ring *ring;

	(void)snprintf(full_name, sizeof(full_name), "ha_%s_%u", name, number);
	ring = rte_ring_create(full_name, RING_SIZE, (int)rte_socket_id(), RING_F_SC_DEQ);
	if (ring == NULL)
		fprintf(stderr, "ha-firewall: no memory for a ring: %s\n", rte_strerror(rte_errno));
	return ring;
}

static bool
create_workers(uint32_t lanes)
{
	firewall.workers = rte_zmalloc(NULL, sizeof(*firewall.workers) * lanes, 128);
	firewall.for_neighbours = new_ring("neighbours", 0);
	firewall.to_resolve = new_ring("resolve", 0);
	firewall.to_sync = new_ring("sync", 0);
	firewall.election.adverts = new_ring("adverts", 0);
	if (firewall.workers == NULL || firewall.for_neighbours == NULL || firewall.to_resolve == NULL ||
	    firewall.to_sync == NULL || firewall.election.adverts == NULL)
		return false;
	for (uint32_t i = 0; i < lanes; i++) {
		firewall.workers[i].firewall = &firewall;
		firewall.workers[i].index = i;
		firewall.workers[i].handed_off = new_ring("lane", i);
		firewall.workers[i].returned = new_ring("returned", i);
		if (firewall.workers[i].handed_off == NULL || firewall.workers[i].returned == NULL)
			return false;
	}
	return true;
}

static bool
set_up(void)
{
	uint32_t lanes = firewall.arguments.lanes;

	if (lanes > rte_lcore_count()) {
		fprintf(stderr, "ha-firewall: --lanes %u: EAL has only %u lcores (-l or --lcores)\n", lanes,
		        rte_lcore_count());
		return false;
	}
	firewall.lanes = lanes;
	firewall.side[INSIDE].arguments = &firewall.arguments.inside;
	firewall.side[OUTSIDE].arguments = &firewall.arguments.outside;
	atomic_store(&firewall.master, firewall.arguments.master);
	atomic_store(&firewall.announcements, firewall.arguments.master ? 3 : 0);
	firewall.neighbours.secret = rte_rand();
	firewall.pool = rte_pktmbuf_pool_create("ha_frames", MBUFS_PER_LANE * lanes - 1, MBUF_CACHE, 0,
	                                        RTE_MBUF_DEFAULT_BUF_SIZE, (int)rte_socket_id());
	if (firewall.pool == NULL) {
		fprintf(stderr, "ha-firewall: no memory for %u frames: %s (raise EAL's -m)\n",
		        MBUFS_PER_LANE * lanes - 1, rte_strerror(rte_errno));
		return false;
	}
	if (!create_workers(lanes) || !exposure_start(&firewall) || !ports_start(&firewall) ||
	    !sync_engine_new(&firewall) || !election_start(&firewall))
		return false;
	ports_steer(&firewall);
	return true;
}

/* Runs all lanes until `stop`. Returns false when a lane could not be started. */
static bool
run_lanes(void)
{
	unsigned int lcore = UINT_MAX;
	bool started = true;

	for (uint32_t lane = 1; started && lane < firewall.lanes; lane++) {
		lcore = rte_get_next_lcore(lcore, 1, 0);
		started = rte_eal_remote_launch(lane_main, &firewall.workers[lane], lcore) == 0;
	}
	if (started)
		(void)lane_main(&firewall.workers[0]);
	else
		atomic_store(&firewall.stop, true);
	rte_eal_mp_wait_lcore();
	return started;
}

static void
drain(struct rte_ring *ring)
{
	void *mbuf;

	while (rte_ring_dequeue(ring, &mbuf) == 0)
		rte_pktmbuf_free(mbuf);
}

/* Frees everything. Returns the number of frames missing from the pool. */
static unsigned int
tear_down(void)
{
	unsigned int missing;

	for (uint32_t i = 0; i < firewall.lanes; i++) {
		drain(firewall.workers[i].handed_off);
		drain(firewall.workers[i].returned);
		defer_free(&firewall.workers[i]);
	}
	drain(firewall.for_neighbours);
	drain(firewall.to_resolve);
	drain(firewall.to_sync);
	drain(firewall.election.adverts);
	neighbour_free(&firewall.neighbours);
	ports_stop(&firewall);
	election_stop(&firewall);
	pfplane_engine_free(firewall.engine);
	missing = rte_mempool_in_use_count(firewall.pool);
	exposure_stop(&firewall);
	for (uint32_t i = 0; i < firewall.lanes; i++) {
		rte_ring_free(firewall.workers[i].handed_off);
		rte_ring_free(firewall.workers[i].returned);
	}
	rte_ring_free(firewall.for_neighbours);
	rte_ring_free(firewall.to_resolve);
	rte_ring_free(firewall.to_sync);
	rte_ring_free(firewall.election.adverts);
	rte_free(firewall.workers);
	rte_mempool_free(firewall.pool);
	return missing;
}

/* Parses the arguments after "--" before EAL starts, so that errors are reported first. */
static void
parse_own_arguments(int argc, char **argv)
{
	int first = argc;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			first = i;
			break;
		}
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			char *help[] = {argv[0], "--help", NULL};

			arguments_parse(2, help, &firewall.arguments);
		}
	}
	if (first == argc) {
		char *nothing[] = {argv[0], NULL};

		arguments_parse(1, nothing, &firewall.arguments);
		return;
	}
	arguments_parse(argc - first, argv + first, &firewall.arguments);
}

int
main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	char error[RULES_ERROR_BYTES];
	unsigned int missing;
	bool started;

	parse_own_arguments(argc, argv);
	if (!sync_check_arguments(&firewall.arguments) || !election_check_arguments(&firewall.arguments))
		return 2;
	if (!rules_read(firewall.arguments.rules, &firewall.rules, error)) {
		fprintf(stderr, "ha-firewall: --rules %s\n", error);
		return 2;
	}
	if (rte_eal_init(argc, argv) < 0) {
		fprintf(stderr, "ha-firewall: DPDK cannot start: %s\n", rte_strerror(rte_errno));
		return 1;
	}
	if (!event_log_open(firewall.arguments.event_log)) {
		(void)rte_eal_cleanup();
		return 1;
	}
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigaction(SIGTERM, &action, NULL) != 0 ||
	    sigaction(SIGINT, &action, NULL) != 0 || !set_up() || !control_start(&firewall)) {
		(void)rte_eal_cleanup();
		return 1;
	}
	fprintf(stderr, "ha-firewall: %s, %u lane(s), pfsync MTU %u, host id %08x\n",
	        atomic_load(&firewall.master) ? "master" : "backup", firewall.lanes,
	        pfplane_engine_mtu(firewall.engine), pfplane_engine_host_id(firewall.engine));
	started = run_lanes();
	control_stop(&firewall);
	event_log_close();
	missing = tear_down();
	if (rte_eal_cleanup() != 0)
		fputs("ha-firewall: EAL did not release everything\n", stderr);
	if (!started) {
		fputs("ha-firewall: a lane could not be started\n", stderr);
		return 1;
	}
	if (missing > 0) {
		fprintf(stderr, "ha-firewall: %u frames are missing from the pool\n", missing);
		return 1;
	}
	fputs("ha-firewall: exit, no frame is missing\n", stderr);
	return 0;
}
