/* What the parts of the firewall share. */
#ifndef HA_FIREWALL_H
#define HA_FIREWALL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_spinlock.h>

#include <pfplane.h>

#include "arguments.h"
#include "exposure.h"
#include "neighbour.h"
#include "rules.h"

#define MAX_LANES 128
#define BURST 32
#define RING_SIZE 4096
/* What pfplane_engine_steering gives. */
#define RSS_KEY_BYTES 40
#define RSS_LANES 128

enum side {
	INSIDE,
	OUTSIDE,
	SIDES,
};

/* What a lane counts beside what the library counts. Written by its lane, read by the control thread: hence atomics, which
 * on the writer's side are plain stores. */
#define COUNTERS(X)                                                                                        \
	X(received, "frames received from the inside and the outside")                                     \
	X(forwarded, "frames forwarded")                                                                   \
	X(handed_off, "frames handed to the lane that owns them")                                          \
	X(ring_full, "frames lost because another lane's ring was full")                                   \
	X(not_master, "frames not looked at because this node is the backup")                              \
	X(not_ours, "frames that are not addressed to us")                                                 \
	X(blocked, "new connections that the rules block, and mid-stream packets without a state")         \
	X(dropped, "frames that the library says to drop")                                                 \
	X(refused, "segments refused with an answer to their sender")                                      \
	X(fragments, "fragments dropped")                                                                  \
	X(other_family, "frames that became ones of the other address family (af-to)")                     \
	X(untranslatable, "frames that cannot be translated as their rule or state says")                  \
	X(expired_ttl, "frames with a TTL or hop limit of 1")                                              \
	X(not_routable, "new connections from or to an address that no router may pass on")                \
	X(too_big, "frames longer than the way out takes")                                                 \
	X(no_route, "frames to an address that is on no subnet of the other side")                         \
	X(unresolved, "frames lost while their next hop was looked for")                                   \
	X(tx_full, "frames that a port did not take")                                                      \
	X(learned, "ARP and neighbour discovery messages that told where an address is")                   \
	X(answered, "ARP, neighbour discovery and echo requests answered")                                 \
	X(sync_received, "frames received on the sync port")                                               \
	X(sync_sent, "frames sent on the sync port")                                                       \
	X(sync_unsent, "pfsync frames that no port took; what they said is said again")                    \
	X(held, "first frames held until the peer has their state")                                        \
	X(not_held, "first frames sent at once because too many were held")

struct counters {
#define X(name, help) _Atomic uint64_t name;
	COUNTERS(X)
#undef X
};

static inline void
count(_Atomic uint64_t *counter, uint64_t step)
{
	uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, value + step, memory_order_relaxed);
}

/* Frames on their way out of one port, sent together. */
struct tx_buffer {
	struct rte_mbuf *mbufs[BURST];
	uint16_t count;
};

struct firewall;

/* One lane with its core. */
struct worker {
	struct firewall *firewall;
	uint32_t index;
	pfplane_lane *lane;
	struct rte_ring *handed_off; /* from other lanes; mbuf->port says where it came in */
	struct rte_ring *unsent;     /* pfsync frames of this lane that lane 0 could not send */
	struct tx_buffer tx[SIDES];
	struct counters counters;
} __attribute__((aligned(128)));

struct side_state {
	const struct side_arguments *arguments;
	uint16_t port;
	uint16_t queues; /* receive and transmit queues that the device has, at most one a lane */
	uint32_t max_frame; /* bytes of the longest frame that it sends */
	/* Of the transmit queues; taken only where lanes outnumber them, since a queue takes one sender at a time. */
	rte_spinlock_t tx_lock[MAX_LANES];
};

struct firewall {
	struct arguments arguments;
	struct rules rules;
	struct rte_mempool *pool;
	pfplane_engine *engine;
	struct side_state side[SIDES];
	struct worker *workers;
	uint32_t lanes;
	struct neighbours neighbours;
	/* Lane 0's errands from other lanes. */
	struct rte_ring *for_neighbours; /* ARP and neighbour discovery that came in elsewhere */
	struct rte_ring *to_resolve;     /* frames whose next hop is not known; mbuf->port is the way out */
	struct rte_ring *to_sync;        /* pfsync frames */
	struct exposure exposure;
	_Atomic bool master;
	_Atomic int announcements; /* rounds of gratuitous ARP and neighbour advertisement still to send */
	_Atomic bool stop;
};

uint64_t now_ns(void);

/* forward.c: a burst from one side. Takes the frames over. */
void forward_burst(struct worker *worker, enum side from, struct rte_mbuf **mbufs, uint16_t count, uint64_t now);
/* Sends or hands on a frame that may pass, its next hop still to be found. Takes the frame over. */
void forward_one(struct worker *worker, enum side to, struct rte_mbuf *mbuf);
/* Sends what waits in the buffers. */
void forward_flush(struct worker *worker);
/* Puts a finished Ethernet frame into the buffer of a side. Takes the frame over. */
void forward_frame(struct worker *worker, enum side to, struct rte_mbuf *mbuf);
/* Gives a frame of a side to another lane by a ring, or counts the loss. Takes the frame over. */
void hand_over(struct worker *worker, struct rte_ring *ring, enum side side, struct rte_mbuf *mbuf);

/* ports.c: false with a sentence on stderr when a port cannot be used. */
bool ports_start(struct firewall *firewall);
/* Has the ports choose the queue of a packet as the engine chooses its lane, where they can; says which do. */
void ports_steer(struct firewall *firewall);
void ports_stop(struct firewall *firewall);
/* Whether the sync port has a link. */
bool ports_sync_link(const struct firewall *firewall);

/* sync.c: pfsync in (lane 0) and out. Return the frames handled. */
unsigned int sync_receive(struct worker *worker, uint64_t now);
unsigned int sync_send(struct worker *worker, uint64_t now);
/* Sends what other lanes wrote (lane 0). */
unsigned int sync_send_others(struct worker *worker);
/* Whether an engine can have these arguments; a sentence on stderr otherwise. Needs no port. */
bool sync_arguments_fit(const struct arguments *arguments);
bool sync_engine_new(struct firewall *firewall);

/* defer.c: leaves a frame with the lane until the peer has its state. Takes the frame over. */
void defer_hold(struct worker *worker, enum side from, struct rte_mbuf *mbuf, uint32_t slot);
/* Sends what need not wait any longer. Returns the frames handled. */
unsigned int defer_release(struct worker *worker, uint64_t now);
/* Frees what still waits, at the end. */
void defer_free(struct worker *worker);

/* journal.c: what was refused, and what was there at a takeover. False when the file cannot be written; NULL for none. */
bool journal_open(const char *path);
void journal_close(void);
/* The frame is as it came; it stays the caller's. */
void journal_refused(struct worker *worker, enum side from, struct rte_mbuf *mbuf, const struct pfplane_verdict *verdict,
                     const struct pfplane_burst *burst);
/* All states of the worker's lane. */
void journal_takeover(struct worker *worker, uint64_t now);

/* control.c: the control socket, served by a thread of its own. */
bool control_start(struct firewall *firewall);
void control_stop(struct firewall *firewall);

#endif
