/* First packets held until the peer has their state (pf's defer). The library decides which, and when to release them. */
#include "firewall.h"

void
defer_hold(struct worker *worker, enum side from, struct rte_mbuf *mbuf, uint32_t slot)
{
	/* Identifies the ingress side when the frame is released. */
	mbuf->port = worker->firewall->side[from].port;
	if (pfplane_lane_hold(worker->lane, slot, (uint64_t)(uintptr_t)mbuf) == PFPLANE_OK) {
		count(&worker->counters.held, 1);
		return;
	}
	count(&worker->counters.not_held, 1);
	forward_one(worker, from == INSIDE ? OUTSIDE : INSIDE, mbuf);
}

unsigned int
defer_release(struct worker *worker, uint64_t now)
{
	struct firewall *firewall = worker->firewall;
	bool master = may_forward(firewall, now);
	uint64_t handles[BURST];
	uint32_t released = 0;

	if (firewall->arguments.defer_ms == 0 ||
	    pfplane_lane_release(worker->lane, now, false, handles, BURST, &released) != PFPLANE_OK)
		return 0;
	for (uint32_t i = 0; i < released; i++) {
		struct rte_mbuf *mbuf = (struct rte_mbuf *)(uintptr_t)handles[i];

		if (master) {
			forward_one(worker, mbuf->port == firewall->side[INSIDE].port ? OUTSIDE : INSIDE, mbuf);
		} else {
			count(&worker->counters.not_master, 1);
			rte_pktmbuf_free(mbuf);
		}
	}
	return released;
}

void
defer_free(struct worker *worker)
{
	uint64_t handles[BURST];
	uint32_t released = 0;

	do {
		require_ok(pfplane_lane_release(worker->lane, now_ns(), true, handles, BURST, &released), "pfplane_lane_release");
		for (uint32_t i = 0; i < released; i++)
			rte_pktmbuf_free((struct rte_mbuf *)(uintptr_t)handles[i]);
	} while (released > 0);
}
