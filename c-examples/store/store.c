/* Replicates a hash map that the program owns: two nodes in one process, joined by a function call instead of a wire.
 * pfplane's own tables are not used. Needs neither DPDK nor root. */
#include <pfplane.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 4096, FLOWS = 1000, MTU = 1500, PROTO_TCP = 6, ESTABLISHED = 4, TIMEOUT_S = 86400 };

#define MILLISECOND UINT64_C(1000000)
#define SECOND (1000 * MILLISECOND)

/* A connection as this program keeps it, with far fewer fields than pf has. */
struct flow {
	uint32_t client, server;
	uint16_t client_port, server_port;
	uint32_t sequence[2];
	uint64_t last_seen_ns;
	uint8_t state[2];
	uint8_t used;
};

/* Open addressing; the index in the array is the slot in calls of pfplane. */
struct map {
	struct flow flows[SLOTS];
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

/* Returns the slot of a flow, or the one for it if `*found` is 0. SLOTS if the map is full. */
static uint32_t
slot_of(const struct map *map, const struct flow *flow, int *found)
{
	const uint32_t hash = (flow->client ^ flow->server * 2654435761u) + flow->client_port * 40503u + flow->server_port;
	uint32_t free = SLOTS;

	*found = 0;
	for (uint32_t n = 0; n < SLOTS; n++) {
		const uint32_t slot = (hash + n) % SLOTS;
		const struct flow *other = &map->flows[slot];

		if (!other->used) {
			/* Removal leaves no tombstones, so a search examines the whole array. A real map would do better. */
			if (free == SLOTS)
				free = slot;
			continue;
		}
		if (other->client == flow->client && other->server == flow->server &&
		    other->client_port == flow->client_port && other->server_port == flow->server_port) {
			*found = 1;
			return slot;
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

/* Describes a flow as a state, in the fields that the program knows; pfplane has filled in the others. */
static int32_t
map_get(void *context, uint32_t slot, struct pfplane_frame_record *record)
{
	const struct map *map = context;
	const struct flow *flow = &map->flows[slot];
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
	state->timeout = PFPLANE_TIMEOUT_TCP_ESTABLISHED;
	state->expire_s = idle_s < TIMEOUT_S ? (uint32_t)(TIMEOUT_S - idle_s) : 0;
	return PFPLANE_OK;
}

static void
apply(struct map *map, struct flow *flow, const struct pfplane_state *state)
{
	flow->sequence[0] = state->src.seqlo;
	flow->state[0] = state->src.state;
	flow->sequence[1] = state->dst.seqlo;
	flow->state[1] = state->dst.state;
	flow->last_seen_ns = map->now_ns;
}

static int32_t
map_insert(void *context, const struct pfplane_frame_record *record, uint32_t *slot_out)
{
	struct map *map = context;
	const struct pfplane_key *key = &record->state.key[0];
	struct flow flow = {.used = 1};
	int found;

	/* The map holds IPv4 TCP only; a host may refuse any state. */
	if (key->family != 4 || key->proto != PROTO_TCP)
		return PFPLANE_ERROR_FULL;
	flow.client = address_of(key->addr[0]);
	flow.server = address_of(key->addr[1]);
	flow.client_port = key->port[0];
	flow.server_port = key->port[1];
	apply(map, &flow, &record->state);
	*slot_out = slot_of(map, &flow, &found);
	if (found)
		return PFPLANE_ERROR_EXISTS;
	if (*slot_out == SLOTS)
		return PFPLANE_ERROR_FULL;
	map->flows[*slot_out] = flow;
	map->count++;
	return PFPLANE_OK;
}

static void
map_update(void *context, uint32_t slot, const struct pfplane_frame_record *record)
{
	struct map *map = context;

	apply(map, &map->flows[slot], &record->state);
}

static void
map_remove(void *context, uint32_t slot)
{
	struct map *map = context;

	map->flows[slot].used = 0;
	map->count--;
}

static int32_t
map_walk(void *context, uint32_t from, uint32_t *slot_out)
{
	const struct map *map = context;

	for (uint32_t slot = from; slot < SLOTS; slot++) {
		if (map->flows[slot].used) {
			*slot_out = slot;
			return PFPLANE_OK;
		}
	}
	return PFPLANE_END;
}

/* What the program does when a connection begins, has traffic, or ends: first its own map, then a report to the replica. */
static uint32_t
begin(struct node *node, uint32_t number)
{
	struct flow flow = {.client = 0x0a000000 + number, .server = 0xc6336450, .client_port = (uint16_t)(1024 + number),
	                    .server_port = 443, .sequence = {number, number + 7}, .state = {ESTABLISHED, ESTABLISHED},
	                    .last_seen_ns = node->map.now_ns, .used = 1};
	int found;
	const uint32_t slot = slot_of(&node->map, &flow, &found);

	if (found || slot == SLOTS)
		fail("%s: no slot for flow %u", node->name, number);
	node->map.flows[slot] = flow;
	node->map.count++;
	if (node->replica != NULL)
		must(pfplane_replica_inserted(node->replica, slot, node->map.now_ns), "inserted");
	return slot;
}

static void
traffic(struct node *node, uint32_t slot)
{
	node->map.flows[slot].sequence[0] += 1448;
	node->map.flows[slot].last_seen_ns = node->map.now_ns;
	must(pfplane_replica_updated(node->replica, slot, node->map.now_ns), "updated");
}

static void
end(struct node *node, uint32_t slot)
{
	map_remove(&node->map, slot);
	must(pfplane_replica_removed(node->replica, slot, false, node->map.now_ns), "removed");
}

static void
start(struct node *node, uint8_t number)
{
	const struct pfplane_store store = {.size = sizeof(store), .capacity = SLOTS, .get = map_get, .insert = map_insert,
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

/* Hands everything that is due to the other node. A real program sends it on its sync port. */
static void
carry(struct node *from, struct node *to)
{
	for (;;) {
		uint8_t frame[MTU];
		uint32_t length;

		must(pfplane_replica_flush(from->replica, from->map.now_ns, frame, sizeof(frame), &length), "flush");
		if (length == 0)
			return;
		must(pfplane_replica_receive(to->replica, frame, length, to->map.now_ns), "receive");
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

/* Both maps have the same flows in the same state; their slots may differ. */
static void
must_be_equal(struct node *a, struct node *b, uint32_t expected, const char *when)
{
	if (a->map.count != expected || b->map.count != expected)
		fail("%s: %u and %u flows, not %u", when, a->map.count, b->map.count, expected);
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		const struct flow *flow = &a->map.flows[slot];
		const struct flow *other;
		uint32_t there;
		int found;

		if (!flow->used)
			continue;
		there = slot_of(&b->map, flow, &found);
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
	static uint32_t slots[FLOWS];

	a.map.now_ns = b.map.now_ns = c.map.now_ns = 1000 * SECOND;
	for (uint32_t n = 0; n < 10; n++)
		slots[n] = begin(&a, n);
	start(&a, 1);
	start(&b, 2);
	run(&a, &b, 100 * MILLISECOND);
	must_be_equal(&a, &b, 10, "flows from before the replica was created");

	for (uint32_t n = 10; n < FLOWS; n++)
		slots[n] = begin(&a, n);
	run(&a, &b, 50 * MILLISECOND);
	must_be_equal(&a, &b, FLOWS, "new flows");

	for (uint32_t packet = 0; packet < 50; packet++)
		for (uint32_t n = 0; n < FLOWS; n++)
			traffic(&a, slots[n]);
	run(&a, &b, 2 * SECOND);
	must_be_equal(&a, &b, FLOWS, "50 packets of each flow");
	printf("%-44s %5llu messages for %u packets\n", "", (unsigned long long)statistic(&a, "compressed_sent"),
	       50 * FLOWS);

	for (uint32_t n = 0; n < FLOWS; n += 2)
		end(&a, slots[n]);
	run(&a, &b, SECOND);
	must_be_equal(&a, &b, FLOWS / 2, "every second flow ended");

	/* Node a dies; a new one starts empty and requests all flows. */
	pfplane_replica_free(a.replica);
	c.map.now_ns = b.map.now_ns;
	start(&c, 1);
	run(&b, &c, SECOND);
	if (!pfplane_replica_ready(c.replica))
		fail("the new node is not ready");
	must_be_equal(&b, &c, FLOWS / 2, "a new node that started empty");

	printf("%llu states sent in bulk, %llu frames in all, by the node that had them\n",
	       (unsigned long long)statistic(&b, "bulk_states_sent"), (unsigned long long)statistic(&b, "opackets"));
	pfplane_replica_free(b.replica);
	pfplane_replica_free(c.replica);
	return 0;
}
