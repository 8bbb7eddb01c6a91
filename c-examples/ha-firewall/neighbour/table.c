/* The neighbour table: one writer, many readers, bounded; old entries are verified. */
#include "neighbour/neighbour.h"

#include <string.h>

#define MS 1000000ull
#define SECOND (1000 * MS)
#define AGING_INTERVAL (10 * MS) /* one set; all sets take 2.6 seconds */
#define MAX_AGE (30 * SECOND)
#define MAX_REQUESTS 4

/* An address on a side, as stored in the table. */
struct key {
	uint64_t word[2];
	uint32_t owner;
};

static struct key
key_of(uint8_t side, const struct address *address)
{
	struct key key = {.owner = (uint32_t)address->family << 8 | side};

	memcpy(key.word, address->bytes, address_bytes(address));
	return key;
}

/* Keyed and not linear, so that an attacker cannot fill one set. */
static const struct neighbour *
set_of(const struct neighbours *neighbours, const struct key *key)
{
	uint64_t hash = neighbours->secret ^ key->owner;

	for (int i = 0; i < 2; i++) {
		hash = (hash ^ key->word[i]) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 29;
		hash = (hash + neighbours->secret) * 0xbf58476d1ce4e5b9u;
		hash ^= hash >> 32;
	}
	return neighbours->entry[hash % NEIGHBOUR_SETS];
}

static uint64_t
load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static bool
is_of(const struct neighbour *entry, const struct key *key)
{
	return atomic_load_explicit(&entry->owner, memory_order_relaxed) == key->owner &&
	       load(&entry->address[0]) == key->word[0] && load(&entry->address[1]) == key->word[1];
}

bool
neighbour_find(const struct neighbours *neighbours, uint8_t side, const struct address *address,
               uint8_t mac_out[MAC_BYTES])
{
	const struct key key = key_of(side, address);
	const struct neighbour *set = set_of(neighbours, &key);

	for (int way = 0; way < NEIGHBOUR_WAYS; way++) {
		const struct neighbour *entry = &set[way];
		uint32_t version = atomic_load_explicit(&entry->version, memory_order_acquire);
		bool found = (version & 1) == 0 && is_of(entry, &key);
		uint64_t mac = load(&entry->mac);

		atomic_thread_fence(memory_order_acquire);
		if (!found || atomic_load_explicit(&entry->version, memory_order_relaxed) != version)
			continue;
		memcpy(mac_out, &mac, MAC_BYTES);
		return true;
	}
	return false;
}

static void
write_entry(struct neighbour *entry, const struct key *key, uint64_t mac)
{
	uint32_t version = atomic_load_explicit(&entry->version, memory_order_relaxed);

	atomic_store_explicit(&entry->version, version + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&entry->owner, key->owner, memory_order_relaxed);
	atomic_store_explicit(&entry->address[0], key->word[0], memory_order_relaxed);
	atomic_store_explicit(&entry->address[1], key->word[1], memory_order_relaxed);
	atomic_store_explicit(&entry->mac, mac, memory_order_relaxed);
	atomic_store_explicit(&entry->version, version + 2, memory_order_release);
}

/* Returns the entry of a key, or the one it may replace: an empty one, or the one confirmed least recently. */
static struct neighbour *
entry_for(struct neighbour *set, const struct key *key, bool *known_out)
{
	struct neighbour *best = &set[0];

	*known_out = true;
	for (int way = 0; way < NEIGHBOUR_WAYS; way++)
		if (is_of(&set[way], key))
			return &set[way];
	*known_out = false;
	for (int way = 0; way < NEIGHBOUR_WAYS; way++) {
		if (atomic_load_explicit(&set[way].owner, memory_order_relaxed) == 0)
			return &set[way];
		if (set[way].confirmed < best->confirmed)
			best = &set[way];
	}
	return best;
}

bool
neighbour_store(struct neighbours *neighbours, uint8_t side, const struct address *address,
                const uint8_t mac[MAC_BYTES], bool may_add, bool may_change, uint64_t now)
{
	const struct key key = key_of(side, address);
	const struct neighbour *set = set_of(neighbours, &key);
	struct neighbour *entry;
	uint64_t packed = 0;
	bool known;

	memcpy(&packed, mac, MAC_BYTES);
	entry = entry_for(neighbours->entry[(set - neighbours->entry[0]) / NEIGHBOUR_WAYS], &key, &known);
	if (!known && !may_add)
		return false;
	if (known && !may_change && load(&entry->mac) != packed)
		return false;
	if (!known || load(&entry->mac) != packed)
		write_entry(entry, &key, packed);
	entry->confirmed = now;
	entry->requests = 0;
	return true;
}

static void
age_entry(struct neighbour *entry, uint64_t now, struct worker *worker,
          void (*request)(struct worker *worker, uint8_t side, const struct address *address))
{
	static const struct key empty;
	uint32_t owner = atomic_load_explicit(&entry->owner, memory_order_relaxed);
	uint64_t word[2] = {load(&entry->address[0]), load(&entry->address[1])};
	struct address address = {.family = (uint8_t)(owner >> 8)};

	if (owner == 0 || now < entry->confirmed + MAX_AGE)
		return;
	if (entry->requests == MAX_REQUESTS) {
		write_entry(entry, &empty, 0);
		return;
	}
	entry->requests++;
	memcpy(address.bytes, word, sizeof(word));
	request(worker, (uint8_t)owner, &address);
}

void
neighbour_age(struct neighbours *neighbours, uint64_t now, struct worker *worker,
              void (*request)(struct worker *worker, uint8_t side, const struct address *address))
{
	if (now - neighbours->aged_at < AGING_INTERVAL)
		return;
	neighbours->aged_at = now;
	for (int way = 0; way < NEIGHBOUR_WAYS; way++)
		age_entry(&neighbours->entry[neighbours->next_set][way], now, worker, request);
	neighbours->next_set = (neighbours->next_set + 1) % NEIGHBOUR_SETS;
}
