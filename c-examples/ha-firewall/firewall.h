/* The types and functions that the files of the firewall share. */
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
#include "election/election.h"
#include "monitor/exposure.h"
#include "neighbour/neighbour.h"
#include "rules/rules.h"

#define MAX_LANES 128
#define BURST 32
#define RING_SIZE 4096
/* The sizes of pfplane_engine_steering. */
#define RSS_KEY_BYTES 40
#define RSS_LANES 128

enum side {
	INSIDE,
	OUTSIDE,
	SIDES,
};

/* A lane's counters, besides the library's. The lane writes them and the control thread reads them; the atomics compile to
 * plain loads and stores. */
#define COUNTERS(X)                                                                                        \
	X(received, "frames received from the inside and the outside")                                     \
	X(forwarded, "frames forwarded")                                                                   \
	X(handed_off, "frames handed off to the lane that owns them")                                          \
	X(adverts, "frames of IP protocol 112, received for the election")                                       \
	X(lease_ended, "frames not sent because the lease of the election had ended")                            \
	X(ring_full, "frames lost because a ring was full")                                   \
	X(not_master, "frames dropped because this node is the backup")                              \
	X(not_addressed, "frames not addressed to this firewall")                                           \
	X(blocked, "new connections blocked by the rules, and mid-stream packets without a state")         \
	X(dropped, "frames dropped by the library's verdict")                                                 \
	X(refused, "segments refused with an answer to the sender")                                      \
	X(fragments, "fragments dropped")                                                                  \
	X(family_changed, "frames translated to the other address family (af-to)")                          \
	X(untranslatable, "frames that cannot be translated")                  \
	X(expired_ttl, "frames with a TTL or hop limit of 1")                                              \
	X(not_routable, "new connections from or to an address that is not routable")                \
	X(too_big, "frames longer than the MTU of the outgoing port")                                                 \
	X(no_route, "frames without a route on the other side")                         \
	X(unresolved, "frames lost because their next hop did not answer")                                   \
	X(tx_full, "frames lost because a port's transmit queue was full")                                                      \
	X(learned, "addresses learned from ARP and neighbour discovery")                   \
	X(answered, "ARP, neighbour discovery and echo requests answered")                                 \
	X(sync_received, "frames received on the sync port")                                               \
	X(sync_sent, "frames sent on the sync port")                                                       \
	X(sync_requeued, "pfsync frames that could not be sent; their contents were requeued")              \
	X(held, "first packets held until the peer has their state")                                        \
	X(not_held, "first packets sent at once because holding failed")

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

/* Frames for one port that are sent together. */
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
	struct rte_ring *handed_off; /* from other lanes; mbuf->port is the ingress port */
	struct rte_ring *returned;   /* pfsync frames of this lane that lane 0 could not send */
	struct tx_buffer tx[SIDES];
	bool logs_takeover; /* its states are being logged */
	uint32_t takeover_cursor;
	struct counters counters;
} __attribute__((aligned(128)));

struct side_state {
	const struct side_arguments *arguments;
	uint16_t port;
	uint16_t queues; /* receive and transmit queues, at most one per lane */
	uint32_t max_frame; /* maximum bytes of a frame that it sends */
	uint8_t shared_mac[2][MAC_BYTES]; /* of the shared addresses, IPv4 and IPv6 */
	/* With an election: */
	uint8_t own_mac[MAC_BYTES];
	struct address own[2]; /* IPv4, IPv6; family 0 for none */
	/* One per transmit queue; used only if lanes share queues. */
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
	/* Work for lane 0 from other lanes. */
	struct rte_ring *for_neighbours; /* ARP and neighbour discovery received by other lanes */
	struct rte_ring *to_resolve;     /* frames with an unknown next hop; mbuf->port is the egress port */
	struct rte_ring *to_sync;        /* pfsync frames */
	struct exposure exposure;
	struct election election;
	_Atomic bool master; /* without an election */
	_Atomic int announcements; /* remaining rounds of gratuitous ARP and neighbour advertisement */
	_Atomic bool leaving; /* with an election: end when another node has taken over */
	_Atomic bool stop;
};

/* Whether this node is the master now. Ask once a burst. */
static inline bool
may_forward(const struct firewall *firewall, uint64_t now)
{
	if (firewall->election.handle != NULL)
		return now < __atomic_load_n(firewall->election.lease_end, __ATOMIC_RELAXED);
	return atomic_load_explicit(&firewall->master, memory_order_relaxed);
}

uint64_t now_ns(void);

/* Aborts with a message unless `status` is PFPLANE_OK. For calls that fail only on invalid arguments. */
void require_ok(int32_t status, const char *call);

/* forward.c: processes a burst from one side. Takes ownership of the frames. */
void forward_burst(struct worker *worker, enum side from, struct rte_mbuf **mbufs, uint16_t count, uint64_t now);

/* transmit.c: routes a frame that may pass and sends it. Takes ownership of the frame. */
void forward_one(struct worker *worker, enum side to, struct rte_mbuf *mbuf);
/* Sends the buffered frames, if this node may still forward. */
void forward_flush(struct worker *worker);
/* Buffers a complete Ethernet frame for a side. Takes ownership of the frame. */
void forward_frame(struct worker *worker, enum side to, struct rte_mbuf *mbuf);
/* Sends a frame at once, whatever the role. Takes ownership of the frame. Returns whether the port accepted it. */
bool forward_now(struct worker *worker, enum side to, struct rte_mbuf *mbuf);
/* Enqueues a frame of a side to a ring, or frees and counts it. Takes ownership of the frame. */
void enqueue_to(struct worker *worker, struct rte_ring *ring, enum side side, struct rte_mbuf *mbuf);
/* Frees a frame and counts it. */
void drop_counted(struct rte_mbuf *mbuf, _Atomic uint64_t *counter);
/* Returns the destination of an IP frame whose headers the library has parsed. */
struct address destination_of(struct rte_mbuf *mbuf);

/* ports.c: starts the ports. On failure prints a message and returns false. */
bool ports_start(struct firewall *firewall);
/* Makes the ports choose a packet's queue as the engine chooses its lane, if they can; logs which do. */
void ports_steer(struct firewall *firewall);
void ports_stop(struct firewall *firewall);
/* Whether a port has a link. */
bool ports_link(uint16_t port);
/* Makes a port receive frames to an Ethernet address that is not its own. */
void ports_accept(uint16_t port, const uint8_t mac[MAC_BYTES]);
/* Frames that the sync port has missed so far. */
uint64_t ports_sync_missed(const struct firewall *firewall);

/* sync.c: receives (lane 0) and sends pfsync. Return the number of frames. */
unsigned int sync_receive(struct worker *worker, uint64_t now);
unsigned int sync_send(struct worker *worker, uint64_t now);
/* Sends the frames of other lanes (lane 0). */
unsigned int sync_send_others(struct worker *worker);
/* Checks the arguments without opening a port. On failure prints a message and returns false. */
bool sync_check_arguments(const struct arguments *arguments);
bool sync_engine_new(struct firewall *firewall);

/* defer.c: holds a frame until the peer has its state. Takes ownership of the frame. */
void defer_hold(struct worker *worker, enum side from, struct rte_mbuf *mbuf, uint32_t slot);
/* Sends the released frames. Returns their number. */
unsigned int defer_release(struct worker *worker, uint64_t now);
/* Frees the held frames, at exit. */
void defer_free(struct worker *worker);

/* monitor/event_log.c: opens the log, NULL for none. On failure prints a message and returns false. */
bool event_log_open(const char *path);
void event_log_close(void);
/* Logs a refused frame, which must be unchanged and stays the caller's. */
void event_log_refused(struct worker *worker, enum side from, struct rte_mbuf *mbuf, const struct pfplane_verdict *verdict,
                     const struct pfplane_burst *burst);
/* Writes one line, which ends with a line feed. */
__attribute__((format(printf, 1, 2))) void event_log_line(const char *format, ...);
/* Continues to log the states of the worker's lane after a takeover, at most `max_states` of them. Returns their number. */
unsigned int event_log_takeover(struct worker *worker, uint64_t now, uint32_t max_states);

/* monitor/control.c: the control socket and its thread. */
bool control_start(struct firewall *firewall);
void control_stop(struct firewall *firewall);

#endif
