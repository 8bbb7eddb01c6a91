/* Packets per second through pfplane: arguments, ports, and generated packets. */
#ifndef NIC_BENCH_H
#define NIC_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <pfplane.h>

#define MAX_PORTS 16
#define MAX_LANES 128
#define MAX_BURST 256
#define FRAME_BYTES 60 /* 64 on the wire, with the frame check sequence that the NIC adds */
#define NO_PORT UINT16_MAX

struct arguments {
	uint16_t ports[MAX_PORTS]; /* in use */
	uint16_t port_count;
	uint16_t generate; /* the port that generated packets are sent to, or NO_PORT */
	bool forward;      /* packets that pass are sent to the next port of the list, not freed */
	bool udp;
	bool ipv6;
	bool trust_hash;
	uint32_t flows;
	uint32_t states; /* per lane */
	uint32_t burst;
	uint32_t seconds;
};

/* Returns 0 to continue, 1 for a wrong argument, 2 after --help. */
int arguments_read(struct arguments *arguments, int argc, char **argv);

bool ports_start(const struct arguments *arguments, uint16_t lanes, struct rte_mempool *pool,
                 const struct pfplane_engine *engine);
void ports_stop(const struct arguments *arguments, uint16_t lanes);

/* The packets of one lane's flows. */
struct frames {
	uint32_t *flows;
	uint32_t count;
	uint32_t at;
};

/* Finds the flows of each lane. */
bool frames_share(const struct arguments *arguments, const struct pfplane_engine *engine, struct frames *frames,
                  uint32_t lanes);
/* Opens the connections of a lane's flows, so that data packets have a state. */
bool frames_open(const struct arguments *arguments, struct pfplane_lane *lane, const struct frames *frames);
/* Generates the next packets; returns how many the pool had mbufs for. */
uint32_t frames_make(const struct arguments *arguments, struct frames *frames, struct rte_mempool *pool,
                     struct rte_mbuf **mbufs, uint32_t count);
void frames_free(struct frames *frames, uint32_t lanes);

#endif
