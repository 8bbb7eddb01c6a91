/* The table of neighbours: one writer, many readers, bounded, old entries asked for again. */
#include "neighbour.h"

#include <string.h>

#define MS 1000000ull
#define SECOND (1000 * MS)
#define LOOK_EVERY (10 * MS) /* one set; a round takes 2.6 seconds */
#define ASK_AFTER (30 * SECOND)
#define MAX_QUESTIONS 4

/* An address on a side, as the table holds it. */
struct name {
	uint64_t word[2];
	uint32_t owner;
};

static struct name
name_of(uint8_t side, const struct address *address)
{
	struct name name = {.owner = (uint32_t)address->family << 8 | side};

	memcpy(name.word, address->bytes, address_bytes(address));
	return name;
}

/* Keyed and not linear: nobody outside can aim addresses at one set. */
static const struct neighbour *
set_of(const struct neighbours *neighbours, const struct name *name)
{
	uint64_t hash = neighbours->secret ^ name->owner;

	for (int i = 0; i < 2; i++) {
		hash = (hash ^ name->word[i]) * 0x9e3779b97f4a7c15u;
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
is_of(const struct neighbour *entry, const struct name *name)
{
	return atomic_load_explicit(&entry->owner, memory_order_relaxed) == name->owner &&
	       load(&entry->address[0]) == name->word[0] && load(&entry->address[1]) == name->word[1];
}

bool
neighbour_find(const struct neighbours *neighbours, uint8_t side, const struct address *address,
               uint8_t mac_out[MAC_BYTES])
{
	const struct name name = name_of(side, address);
	const struct neighbour *set = set_of(neighbours, &name);

	for (int way = 0; way < NEIGHBOUR_WAYS; way++) {
		const struct neighbour *entry = &set[way];
		uint32_t version = atomic_load_explicit(&entry->version, memory_order_acquire);
		bool found = (version & 1) == 0 && is_of(entry, &name);
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
write_entry(struct neighbour *entry, const struct name *name, uint64_t mac)
{
	uint32_t version = atomic_load_explicit(&entry->version, memory_order_relaxed);

	atomic_store_explicit(&entry->version, version + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&entry->owner, name->owner, memory_order_relaxed);
	atomic_store_explicit(&entry->address[0], name->word[0], memory_order_relaxed);
	atomic_store_explicit(&entry->address[1], name->word[1], memory_order_relaxed);
	atomic_store_explicit(&entry->mac, mac, memory_order_relaxed);
	atomic_store_explicit(&entry->version, version + 2, memory_order_release);
}

/* The entry of a name, or else the one that it may take: an empty one, or the one that was confirmed longest ago. */
static struct neighbour *
place_for(struct neighbour *set, const struct name *name, bool *known_out)
{
	struct neighbour *best = &set[0];

	*known_out = true;
	for (int way = 0; way < NEIGHBOUR_WAYS; way++)
		if (is_of(&set[way], name))
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
	const struct name name = name_of(side, address);
	const struct neighbour *set = set_of(neighbours, &name);
	struct neighbour *entry;
	uint64_t packed = 0;
	bool known;

	memcpy(&packed, mac, MAC_BYTES);
	entry = place_for(neighbours->entry[(set - neighbours->entry[0]) / NEIGHBOUR_WAYS], &name, &known);
	if (!known && !may_add)
		return false;
	if (known && !may_change && load(&entry->mac) != packed)
		return false;
	if (!known || load(&entry->mac) != packed)
		write_entry(entry, &name, packed);
	entry->confirmed = now;
	entry->asked = 0;
	return true;
}

static void
age_entry(struct neighbour *entry, uint64_t now, struct worker *worker,
          void (*ask)(struct worker *worker, uint8_t side, const struct address *address))
{
	static const struct name nobody;
	uint32_t owner = atomic_load_explicit(&entry->owner, memory_order_relaxed);
	uint64_t word[2] = {load(&entry->address[0]), load(&entry->address[1])};
	struct address address = {.family = (uint8_t)(owner >> 8)};

	if (owner == 0 || now < entry->confirmed + ASK_AFTER)
		return;
	if (entry->asked == MAX_QUESTIONS) {
		write_entry(entry, &nobody, 0);
		return;
	}
	entry->asked++;
	memcpy(address.bytes, word, sizeof(word));
	ask(worker, (uint8_t)owner, &address);
}

void
neighbour_age(struct neighbours *neighbours, uint64_t now, struct worker *worker,
              void (*ask)(struct worker *worker, uint8_t side, const struct address *address))
{
	if (now - neighbours->looked_at < LOOK_EVERY)
		return;
	neighbours->looked_at = now;
	for (int way = 0; way < NEIGHBOUR_WAYS; way++)
		age_entry(&neighbours->entry[neighbours->next_set][way], now, worker, ask);
	neighbours->next_set = (neighbours->next_set + 1) % NEIGHBOUR_SETS;
}
