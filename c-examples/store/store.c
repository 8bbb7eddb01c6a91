/* Replicates a hash map of the program's own: two instances in one process, joined by a function call instead of a wire.
 * No state lies in pfplane's tables. Needs neither DPDK nor root. */
#include <pfplane.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 4096, FLOWS = 1000, MTU = 1500, PROTO_TCP = 6, ESTABLISHED = 4, TCP_ESTABLISHED_CLASS = 2 };

#define MILLISECOND UINT64_C(1000000)
#define SECOND (1000 * MILLISECOND)

/* A connection as this program likes to keep it: far less than pf does. */
struct flow {
	uint32_t client, server;
	uint16_t client_port, server_port;
	uint32_t sequence[2];
	uint64_t last_seen_ns;
	uint8_t state[2];
	uint8_t used;
};

/* Open addressing; the place in the array is the place that pfplane speaks of. */
struct map {
	struct flow flows[PLACES];
	uint32_t count;
	uint64_t now_ns;
};

struct node {
	const char *name;
	struct map map;
	pfplane_replica *replica;
};

static void
fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	exit(1);
}

static void
must(int32_t status, const char *what)
{
	if (status != PFPLANE_OK)
		fail("%s: %s: %s", what, pfplane_status_text(status), pfplane_last_error());
}

/* Where a flow is, or where it would go: `*found` says which. PLACES when there is no room. */
static uint32_t
place_of(const struct map *map, const struct flow *flow, int *found)
{
	const uint32_t hash = (flow->client ^ flow->server * 2654435761u) + flow->client_port * 40503u + flow->server_port;
	uint32_t free = PLACES;

	*found = 0;
	for (uint32_t n = 0; n < PLACES; n++) {
		const uint32_t place = (hash + n) % PLACES;
		const struct flow *other = &map->flows[place];

		if (!other->used) {
			/* Removing leaves no marks here, so a search has to see the whole array; a real map would do better. */
			if (free == PLACES)
				free = place;
			continue;
		}
		if (other->client == flow->client && other->server == flow->server &&
		    other->client_port == flow->client_port && other->server_port == flow->server_port) {
			*found = 1;
			return place;
		}
	}
	return free;
}

static void
put_address(uint8_t bytes[16], uint32_t address)
{
	bytes[0] = (uint8_t)(address >> 24);
	bytes[1] = (uint8_t)(address >> 16);
	bytes[2] = (uint8_t)(address >> 8);
	bytes[3] = (uint8_t)address;
}

static uint32_t
address_of(const uint8_t bytes[16])
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* The program's flow as a state of pf's, as far as the program knows it; all else is as pfplane filled it in. */
static int32_t
map_get(void *context, uint32_t place, struct pfplane_frame_record *record)
{
	const struct map *map = context;
	const struct flow *flow = &map->flows[place];
	struct pfplane_state *state = &record->state;
	const uint64_t idle_s = (map->now_ns - flow->last_seen_ns) / SECOND;

	if (!flow->used)
		return PFPLANE_END;
	put_address(state->key[0].addr[0], flow->client);
	put_address(state->key[0].addr[1], flow->server);
	state->key[0].port[0] = flow->client_port;
	state->key[0].port[1] = flow->server_port;
	state->key[0].family = 4;
	state->key[0].proto = PROTO_TCP;
	state->key[1] = state->key[0];
	state->src.seqlo = flow->sequence[0];
	state->src.state = flow->state[0];
	state->dst.seqlo = flow->sequence[1];
	state->dst.state = flow->state[1];
	memcpy(state->ifname, "all", 4);
	state->direction = PFPLANE_IN;
	state->timeout = TCP_ESTABLISHED_CLASS;
	state->expire_s = idle_s < 86400 ? (uint32_t)(86400 - idle_s) : 0;
	return PFPLANE_OK;
}

static void
take_over(struct map *map, struct flow *flow, const struct pfplane_state *state)
{
	flow->sequence[0] = state->src.seqlo;
	flow->state[0] = state->src.state;
	flow->sequence[1] = state->dst.seqlo;
	flow->state[1] = state->dst.state;
	flow->last_seen_ns = map->now_ns;
}

static int32_t
map_put(void *context, const struct pfplane_frame_record *record, uint32_t *place_out)
{
	struct map *map = context;
	const struct pfplane_key *key = &record->state.key[0];
	struct flow flow = {.used = 1};
	int found;

	/* What this program has no room for it need not take. */
	if (key->family != 4 || key->proto != PROTO_TCP)
		return PFPLANE_ERROR_FULL;
	flow.client = address_of(key->addr[0]);
	flow.server = address_of(key->addr[1]);
	flow.client_port = key->port[0];
	flow.server_port = key->port[1];
	take_over(map, &flow, &record->state);
	*place_out = place_of(map, &flow, &found);
	if (found)
		return PFPLANE_ERROR_EXISTS;
	if (*place_out == PLACES)
		return PFPLANE_ERROR_FULL;
	map->flows[*place_out] = flow;
	map->count++;
	return PFPLANE_OK;
}

static void
map_update(void *context, uint32_t place, const struct pfplane_frame_record *record)
{
	struct map *map = context;

	take_over(map, &map->flows[place], &record->state);
}

static void
map_remove(void *context, uint32_t place)
{
	struct map *map = context;

	map->flows[place].used = 0;
	map->count--;
}

static int32_t
map_walk(void *context, uint32_t from, uint32_t *place_out)
{
	const struct map *map = context;

	for (uint32_t place = from; place < PLACES; place++) {
		if (map->flows[place].used) {
			*place_out = place;
			return PFPLANE_OK;
		}
	}
	return PFPLANE_END;
}

/* What the program does when a connection begins, goes on or ends: its own map first, then a word to the replica. */
static uint32_t
begin(struct node *node, uint32_t number)
{
	struct flow flow = {.client = 0x0a000000 + number, .server = 0xc6336450, .client_port = (uint16_t)(1024 + number),
	                    .server_port = 443, .sequence = {number, number + 7}, .state = {ESTABLISHED, ESTABLISHED},
	                    .last_seen_ns = node->map.now_ns, .used = 1};
	int found;
	const uint32_t place = place_of(&node->map, &flow, &found);

	if (found || place == PLACES)
		fail("%s: no room for flow %u", node->name, number);
	node->map.flows[place] = flow;
	node->map.count++;
	if (node->replica != NULL)
		must(pfplane_replica_inserted(node->replica, place, node->map.now_ns), "inserted");
	return place;
}

static void
go_on(struct node *node, uint32_t place)
{
	node->map.flows[place].sequence[0] += 1448;
	node->map.flows[place].last_seen_ns = node->map.now_ns;
	must(pfplane_replica_updated(node->replica, place, node->map.now_ns), "updated");
}

static void
end(struct node *node, uint32_t place)
{
	map_remove(&node->map, place);
	must(pfplane_replica_removed(node->replica, place, false, node->map.now_ns), "removed");
}

static void
start(struct node *node, uint8_t number)
{
	const struct pfplane_store store = {.size = sizeof(store), .capacity = PLACES, .get = map_get, .insert = map_put,
	                                    .update = map_update, .remove = map_remove, .walk = map_walk,
	                                    .context = &node->map};
	struct pfplane_config config;
	struct pfplane_peer peer;

	must(pfplane_config_init(&config, sizeof(config)), "config");
	must(pfplane_peer_init(&peer, sizeof(peer)), "peer");
	peer.source.family = 4;
	memcpy(peer.source.bytes, (const uint8_t[4]){192, 0, 2, number}, 4);
	config.mtu = MTU;
	config.peers = &peer;
	config.peer_count = 1;
	must(pfplane_replica_new(&config, &store, &node->replica), "replica");
}

/* Everything that is due goes from one node to the other. A program would send it on its sync port. */
static uint32_t
carry(struct node *from, struct node *to)
{
	uint32_t frames = 0;

	for (;;) {
		uint8_t frame[MTU];
		uint32_t length;

		must(pfplane_replica_flush(from->replica, from->map.now_ns, frame, sizeof(frame), &length), "flush");
		if (length == 0)
			return frames;
		must(pfplane_replica_receive(to->replica, frame, length, to->map.now_ns), "receive");
		frames++;
	}
}

static void
run(struct node *a, struct node *b, uint64_t time_ns)
{
	for (uint64_t passed = 0; passed < time_ns; passed += MILLISECOND) {
		a->map.now_ns += MILLISECOND;
		b->map.now_ns += MILLISECOND;
		must(pfplane_replica_poll(a->replica, a->map.now_ns), "poll");
		must(pfplane_replica_poll(b->replica, b->map.now_ns), "poll");
		carry(a, b);
		carry(b, a);
	}
}

static uint64_t
statistic(struct node *node, const char *name)
{
	struct pfplane_stat stat = {.size = sizeof(stat)};

	for (uint32_t index = 0;; index++) {
		if (pfplane_replica_stat(node->replica, node->map.now_ns, index, &stat) != PFPLANE_OK)
			fail("no statistic is called %s", name);
		if (strcmp(stat.name, name) == 0)
			return stat.value;
	}
}

/* Both maps hold the same flows in the same state; the places may differ. */
static void
must_be_equal(struct node *a, struct node *b, uint32_t expected, const char *when)
{
	if (a->map.count != expected || b->map.count != expected)
		fail("%s: %u and %u flows, not %u", when, a->map.count, b->map.count, expected);
	for (uint32_t place = 0; place < PLACES; place++) {
		const struct flow *flow = &a->map.flows[place];
		const struct flow *other;
		uint32_t there;
		int found;

		if (!flow->used)
			continue;
		there = place_of(&b->map, flow, &found);
		other = &b->map.flows[there];
		if (!found || memcmp(flow->sequence, other->sequence, sizeof(flow->sequence)) != 0 ||
		    memcmp(flow->state, other->state, sizeof(flow->state)) != 0)
			fail("%s: a flow of %s is not the same on %s", when, a->name, b->name);
	}
	printf("%-44s %5u flows on both\n", when, expected);
}

int
main(void)
{
	/* Static: they are large, and pfplane keeps pointers to the maps. */
	static struct node a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"};
	static uint32_t places[FLOWS];

	a.map.now_ns = b.map.now_ns = c.map.now_ns = 1000 * SECOND;
	for (uint32_t n = 0; n < 10; n++)
		places[n] = begin(&a, n);
	start(&a, 1);
	start(&b, 2);
	run(&a, &b, 100 * MILLISECOND);
	must_be_equal(&a, &b, 10, "flows from before the replica was made");

	for (uint32_t n = 10; n < FLOWS; n++)
		places[n] = begin(&a, n);
	run(&a, &b, 50 * MILLISECOND);
	must_be_equal(&a, &b, FLOWS, "new flows");

	for (uint32_t packet = 0; packet < 50; packet++)
		for (uint32_t n = 0; n < FLOWS; n++)
			go_on(&a, places[n]);
	run(&a, &b, 2 * SECOND);
	must_be_equal(&a, &b, FLOWS, "50 packets of each flow");
	printf("%-44s %5llu messages for %u packets\n", "", (unsigned long long)statistic(&a, "compressed_sent"),
	       50 * FLOWS);

	for (uint32_t n = 0; n < FLOWS; n += 2)
		end(&a, places[n]);
	run(&a, &b, SECOND);
	must_be_equal(&a, &b, FLOWS / 2, "every second flow ended");

	/* Node a dies; a new one comes up empty and asks for all flows. */
	pfplane_replica_free(a.replica);
	c.map.now_ns = b.map.now_ns;
	start(&c, 1);
	run(&b, &c, SECOND);
	if (!pfplane_replica_ready(c.replica))
		fail("the new node is not ready");
	must_be_equal(&b, &c, FLOWS / 2, "a new node that came up empty");

	printf("%llu states told in bulk, %llu frames sent by the one that serves\n",
	       (unsigned long long)statistic(&b, "bulk_states_sent"), (unsigned long long)statistic(&b, "opackets"));
	pfplane_replica_free(b.replica);
	pfplane_replica_free(c.replica);
	return 0;
}
