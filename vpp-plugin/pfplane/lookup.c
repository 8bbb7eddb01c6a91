/* The lookup nodes: features on the unicast arcs, one call of the library per frame and side. Compiled once per CPU. */
#include <pfplane/election/election.h>
#include <pfplane/vrf/vrf.h>
#include <vnet/ip/icmp46_packet.h>

typedef struct
{
  u32 sw_if_index;
  u32 vrf;
  u8 side;
  u8 is_known; /* the addresses below were parsed */
  u8 proto;
  ip46_address_t source, destination;
  u16 source_port, destination_port;
  struct pfplane_verdict verdict;
} pfp_trace_t;

/* Link-local traffic and neighbour discovery are the router's own: without them no neighbour is reachable. */
static_always_inline int
pfp_is_neighbour_traffic (vlib_buffer_t *b)
{
  const ip6_header_t *ip = vlib_buffer_get_current (b);
  const icmp46_header_t *icmp = (const icmp46_header_t *) (ip + 1);

  if (ip6_address_is_link_local_unicast (&ip->dst_address) || ip6_address_is_link_local_unicast (&ip->src_address))
    return 1;
  return ip->protocol == IP_PROTOCOL_ICMP6 && ip->hop_limit == 255 &&
	 b->current_length >= sizeof (*ip) + sizeof (*icmp) && icmp->type >= ICMP6_router_solicitation &&
	 icmp->type <= ICMP6_redirect;
}

/* A packet from the inside whose TTL ends at this router keeps its addresses: VPP's ICMP error quotes it, and is sent to its source.
 * It is not forwarded. */
static_always_inline int
pfp_expires_here (vlib_buffer_t *b, pfp_side_t side)
{
  const ip4_header_t *ip = vlib_buffer_get_current (b);

  return side == PFP_SIDE_INSIDE && ip->ttl <= 1 && !pfp_is_local (b, 0);
}

/* A node that is not master takes only what is for itself. The claimed addresses of pools are the master's, though VPP has routes
 * to them. */
static_always_inline int
pfp_is_for_backup (vlib_buffer_t *b, int is_ip6)
{
  const ip4_header_t *ip = vlib_buffer_get_current (b);
  const pfp_pool_t *pool = is_ip6 || !pfp_nat_main.is_used ? 0 : pfp_nat_pool_of (ip->dst_address);

  return pfp_is_local (b, is_ip6) && !(pool && pool->is_claimed);
}

static_always_inline pfp_trace_t *
pfp_trace_begin (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_buffer_t *b, const struct pfplane_packet *packet,
		 pfp_side_t side, u32 vrf)
{
  const struct pfplane_burst burst = { .size = sizeof (burst),
				       .direction = pfp_direction (side),
				       .link = PFPLANE_LINK_IP };
  struct pfplane_facts facts = { .size = sizeof (facts) };
  pfp_trace_t *t = vlib_add_trace (vm, node, b, sizeof (*t));

  clib_memset (t, 0, sizeof (*t));
  t->sw_if_index = vnet_buffer (b)->sw_if_index[VLIB_RX];
  t->vrf = vrf;
  t->side = side;
  pfplane_packet_facts (&burst, packet, &facts, 0);
  t->is_known = facts.family != 0;
  t->proto = facts.proto;
  t->source_port = facts.source_port;
  t->destination_port = facts.destination_port;
  if (facts.family == 4)
    {
      clib_memcpy (&t->source.ip4, facts.source, sizeof (t->source.ip4));
      clib_memcpy (&t->destination.ip4, facts.destination, sizeof (t->destination.ip4));
    }
  else
    {
      clib_memcpy (&t->source, facts.source, sizeof (t->source));
      clib_memcpy (&t->destination, facts.destination, sizeof (t->destination));
    }
  return t;
}

/* Hands all packets of a thread without a lane to the threads that own them. */
static uword
pfp_steer (vlib_main_t *vm, vlib_node_runtime_t *node, pfp_thread_t *thread, u32 *from, u32 count, int is_ip6)
{
  pfp_main_t *pm = &pfp_main;
  struct pfplane_packet packet;
  u32 sent;

  for (u32 i = 0; i < count; i++)
    {
      vlib_buffer_t *b = vlib_get_buffer (vm, from[i]);
      const struct pfplane_burst burst = { .size = sizeof (burst),
					   .direction = pfp_direction (pfp_side (vnet_buffer (b)->sw_if_index[VLIB_RX])),
					   .link = PFPLANE_LINK_IP };
      u32 lane = 0;

      pfp_packet_init (&packet, b);
      /* A packet without a key may go to any lane. */
      if (pfplane_engine_lane_of (pm->engine, &burst, &packet, &lane) != PFPLANE_OK)
	lane = 0;
      thread->handoff_threads[i] = (u16) (pm->first_thread + lane);
    }
  sent = pfp_handoff (vm, node, pm->queue[is_ip6], from, thread->handoff_threads, count);
  vlib_node_increment_counter (vm, node->node_index, PFPLANE_LOOKUP_ERROR_HANDED_OFF, sent);
  vlib_node_increment_counter (vm, node->node_index, PFPLANE_LOOKUP_ERROR_CONGESTION, count - sent);
  return count;
}

/* A frame, and what happens to its packets. */
typedef struct
{
  pfp_batch_t batch;
  u32 *from;
  vlib_buffer_t **buffers;
  u16 *nexts;
  pfp_trace_t **traces;
  u32 passed;
  u32 consumed; /* packets that no node gets */
} pfp_frame_t;

/* Looks up packets of one side and FIB table, and writes their next indexes. */
static_always_inline void
pfp_lookup_vrf (pfp_frame_t *frame, u32 fib_index, struct pfplane_packet *packets, const u16 *index, u32 count)
{
  pfp_batch_t *batch = &frame->batch;
  pfp_thread_t *thread = batch->thread;
  struct pfplane_verdict *verdicts = thread->verdicts;
  vlib_buffer_t **buffers = frame->buffers;
  pfp_trace_t **traces = frame->traces;
  u16 *nexts = frame->nexts;
  u32 slow = 0, vrf = pfp_vrf_of_fib (fib_index, batch->is_ip6);

  batch->burst.rdomain = (u16) vrf;
  if (PREDICT_FALSE (vrf > PFP_MAX_VRF ||
		     pfplane_lane_lookup (thread->lane, &batch->burst, packets, count, verdicts) != PFPLANE_OK))
    {
      u16 error = vrf > PFP_MAX_VRF ? PFPLANE_LOOKUP_ERROR_VRF : PFPLANE_LOOKUP_ERROR_ENGINE;

      for (u32 j = 0; j < count; j++)
	nexts[index[j]] = pfp_drop (batch, buffers[index[j]], error);
      return;
    }
  if (PREDICT_FALSE (traces != 0))
    for (u32 j = 0; j < count; j++)
      if (traces[index[j]])
	traces[index[j]]->verdict = verdicts[j];

  for (u32 j = 0; j < count; j++)
    {
      u16 i = index[j];

      if (PREDICT_TRUE (verdicts[j].action == PFPLANE_PASS && verdicts[j].data_shift == 0))
	{
	  if (PREDICT_FALSE (pfp_changes_vrf (batch, &verdicts[j])) && !pfp_vrf_select (batch, buffers[i], &verdicts[j]))
	    {
	      nexts[i] = pfp_drop (batch, buffers[i], PFPLANE_LOOKUP_ERROR_VRF);
	      continue;
	    }
	  vnet_feature_next_u16 (&nexts[i], buffers[i]);
	  frame->passed++;
	}
      /* Answers come before calls that change states. */
      else if (verdicts[j].action == PFPLANE_DROP)
	nexts[i] = pfp_verdict_drop (batch, buffers[i], &packets[j], &verdicts[j]);
      else
	thread->slow[slow++] = (u16) j;
    }
  for (u32 k = 0; k < slow; k++)
    {
      u16 j = thread->slow[k], i = index[j];

      nexts[i] = pfp_verdict_slow (batch, buffers[i], &frame->from[i], &packets[j], &verdicts[j]);
      frame->consumed += nexts[i] == PFP_CONSUMED;
      if (PREDICT_FALSE (traces && traces[i]))
	traces[i]->verdict = verdicts[j];
    }
}

/* Looks up the packets of one side of a frame, VRF by VRF. */
static void
pfp_lookup_vrfs (pfp_frame_t *frame, pfp_side_t side, u32 count)
{
  pfp_thread_t *thread = frame->batch.thread;
  struct pfplane_packet *packets = thread->packets[side - 1];
  u32 *fibs = thread->fibs[side - 1];
  u16 *index = thread->index[side - 1];

  while (count > 0)
    {
      u32 fib_index = fibs[0], chosen = 0, left = 0;

      for (u32 j = 0; j < count; j++)
	if (fibs[j] == fib_index)
	  {
	    thread->packets_of_vrf[chosen] = packets[j];
	    thread->index_of_vrf[chosen++] = index[j];
	  }
	else
	  {
	    packets[left] = packets[j];
	    fibs[left] = fibs[j];
	    index[left++] = index[j];
	  }
      pfp_lookup_vrf (frame, fib_index, thread->packets_of_vrf, thread->index_of_vrf, chosen);
      count = left;
    }
}

static_always_inline uword
pfp_lookup_inline (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *vlib_frame, int is_ip6)
{
  pfp_main_t *pm = &pfp_main;
  pfp_thread_t *thread = vec_elt_at_index (pm->threads, vm->thread_index);
  u32 *from = vlib_frame_vector_args (vlib_frame);
  u32 n = vlib_frame->n_vectors, counts[2] = { 0, 0 }, other_fibs[2] = { 0, 0 }, neighbours = 0, closed = 0;
  const u32 *fib_by_interface = is_ip6 ? ip6_main.fib_index_by_sw_if_index : ip4_main.fib_index_by_sw_if_index;
  pfp_trace_t *trace_space[VLIB_FRAME_SIZE], **traces = 0;
  vlib_buffer_t *buffers[VLIB_FRAME_SIZE];
  u16 nexts[VLIB_FRAME_SIZE];
  pfp_frame_t frame = { .batch = { .vm = vm,
				   .node = node,
				   .thread = thread,
				   .is_ip6 = is_ip6,
				   .burst = { .size = sizeof (frame.batch.burst), .link = PFPLANE_LINK_IP } },
			.from = from,
			.buffers = buffers,
			.nexts = nexts };

  vlib_get_buffers (vm, from, buffers, n);
  /* Packets may still arrive from another thread after pfplane was disabled. */
  if (PREDICT_FALSE (pm->engine == 0))
    {
      for (u32 i = 0; i < n; i++)
	nexts[i] = pfp_drop (&frame.batch, buffers[i], PFPLANE_LOOKUP_ERROR_DISABLED);
      vlib_buffer_enqueue_to_next (vm, node, from, nexts, n);
      return n;
    }
  if (PREDICT_FALSE (thread->lane == 0))
    return pfp_steer (vm, node, thread, from, n, is_ip6);
  if (PREDICT_FALSE (node->flags & VLIB_NODE_FLAG_TRACE))
    traces = trace_space;

  frame.traces = traces;
  frame.batch.burst.now_ns = pfp_now_ns (vm);
  if (PREDICT_FALSE (pm->has_groups))
    closed = pfp_closed_groups (frame.batch.burst.now_ns);
  thread->handoff_count = thread->answer_count = 0;
  for (u32 i = 0; i < n; i++)
    {
      vlib_buffer_t *b = buffers[i];
      u32 k, fib_index;
      pfp_side_t side;

      if (i + 8 < n)
	vlib_prefetch_buffer_header (buffers[i + 8], LOAD);
      if (i + 4 < n)
	vlib_prefetch_buffer_data (buffers[i + 4], LOAD);
      side = pfp_side (vnet_buffer (b)->sw_if_index[VLIB_RX]);
      if (PREDICT_FALSE (b->flags & PFP_BUFFER_AS_REPLY) && side != PFP_SIDE_NONE)
	{
	  b->flags &= ~PFP_BUFFER_AS_REPLY;
	  side = PFP_SIDE_OUTSIDE;
	}
      if (PREDICT_FALSE (traces != 0))
	traces[i] = 0;
      if (PREDICT_FALSE (side == PFP_SIDE_NONE))
	{
	  nexts[i] = pfp_drop (&frame.batch, b, PFPLANE_LOOKUP_ERROR_DISABLED);
	  continue;
	}
      if (is_ip6 && pfp_is_neighbour_traffic (b))
	{
	  vnet_feature_next_u16 (&nexts[i], b);
	  neighbours++;
	  continue;
	}
      if (PREDICT_FALSE (closed) && pfp_is_closed (closed, vnet_buffer (b)->sw_if_index[VLIB_RX], is_ip6) &&
	  !pfp_is_for_backup (b, is_ip6))
	{
	  nexts[i] = pfp_drop (&frame.batch, b, PFPLANE_LOOKUP_ERROR_NOT_MASTER);
	  continue;
	}
      if (PREDICT_FALSE (pfp_nat_main.is_used) && !is_ip6 && pfp_expires_here (b, side))
	{
	  vnet_feature_next_u16 (&nexts[i], b);
	  continue;
	}
      k = counts[side - 1]++;
      thread->index[side - 1][k] = (u16) i;
      fib_index = fib_by_interface[vnet_buffer (b)->sw_if_index[VLIB_RX]];
      thread->fibs[side - 1][k] = fib_index;
      other_fibs[side - 1] |= fib_index ^ thread->fibs[side - 1][0];
      pfp_packet_init (&thread->packets[side - 1][k], b);
      if (PREDICT_FALSE (traces && (b->flags & VLIB_BUFFER_IS_TRACED)))
	traces[i] = pfp_trace_begin (vm, node, b, &thread->packets[side - 1][k], side,
				     pfp_vrf_of_fib (fib_index, is_ip6));
    }

  for (pfp_side_t side = PFP_SIDE_INSIDE; side <= PFP_SIDE_OUTSIDE; side++)
    {
      frame.batch.burst.direction = pfp_direction (side);
      if (PREDICT_FALSE (other_fibs[side - 1] != 0))
	pfp_lookup_vrfs (&frame, side, counts[side - 1]);
      else if (counts[side - 1])
	pfp_lookup_vrf (&frame, thread->fibs[side - 1][0], thread->packets[side - 1], thread->index[side - 1],
			counts[side - 1]);
    }

  if (PREDICT_TRUE (frame.consumed == 0))
    vlib_buffer_enqueue_to_next (vm, node, from, nexts, n);
  else if (frame.consumed < n)
    {
      u32 left = 0;

      for (u32 i = 0; i < n; i++)
	if (nexts[i] != PFP_CONSUMED)
	  {
	    from[left] = from[i];
	    nexts[left++] = nexts[i];
	  }
      vlib_buffer_enqueue_to_next (vm, node, from, nexts, left);
    }
  if (PREDICT_FALSE (thread->answer_count))
    {
      vlib_buffer_enqueue_to_single_next (vm, node, thread->answers, PFP_NEXT_ANSWER, thread->answer_count);
      vlib_node_increment_counter (vm, node->node_index, PFPLANE_LOOKUP_ERROR_ANSWERED, thread->answer_count);
    }
  if (PREDICT_FALSE (thread->handoff_count))
    {
      u32 sent = pfp_handoff (vm, node, pm->queue[is_ip6], thread->handoffs, thread->handoff_threads,
			      thread->handoff_count);
      vlib_node_increment_counter (vm, node->node_index, PFPLANE_LOOKUP_ERROR_HANDED_OFF, sent);
      vlib_node_increment_counter (vm, node->node_index, PFPLANE_LOOKUP_ERROR_CONGESTION,
				   thread->handoff_count - sent);
    }
  vlib_node_increment_counter (vm, node->node_index, PFPLANE_LOOKUP_ERROR_PASSED, frame.passed);
  if (is_ip6)
    vlib_node_increment_counter (vm, node->node_index, PFPLANE_LOOKUP_ERROR_NEIGHBOUR, neighbours);
  return n;
}

VLIB_NODE_FN (pfp_lookup_ip4_node) (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  return pfp_lookup_inline (vm, node, frame, 0);
}

VLIB_NODE_FN (pfp_lookup_ip6_node) (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  return pfp_lookup_inline (vm, node, frame, 1);
}

#ifndef CLIB_MARCH_VARIANT
static const char *const pfp_action_names[] = {
  [PFPLANE_PASS] = "pass",
  [PFPLANE_NEW] = "new",
  [PFPLANE_DROP] = "drop",
  [PFPLANE_HANDOFF] = "handoff",
  [PFPLANE_HELD] = "held",
  [PFPLANE_SYNC] = "sync",
  [PFPLANE_NOT_IP] = "not IP",
  [PFPLANE_FRAGMENT] = "fragment",
  [PFPLANE_NOT_CONTIGUOUS] = "not contiguous",
  [PFPLANE_NOT_WRITABLE] = "not writable",
};

static u8 *
format_pfp_trace (u8 *s, va_list *args)
{
  CLIB_UNUSED (vlib_main_t * vm) = va_arg (*args, vlib_main_t *);
  CLIB_UNUSED (vlib_node_t * node) = va_arg (*args, vlib_node_t *);
  pfp_trace_t *t = va_arg (*args, pfp_trace_t *);
  const struct pfplane_verdict *v = &t->verdict;
  const char *action = v->action < ARRAY_LEN (pfp_action_names) ? pfp_action_names[v->action] : 0;

  s = format (s, "pfplane: sw_if_index %u %s, ", t->sw_if_index, t->side == PFP_SIDE_INSIDE ? "inside" : "outside");
  if (t->vrf)
    s = format (s, "vrf %u, ", t->vrf);
  if (t->is_known)
    s = format (s, "%U %U.%u -> %U.%u", format_ip_protocol, t->proto, format_ip46_address, &t->source, IP46_TYPE_ANY,
		t->source_port, format_ip46_address, &t->destination, IP46_TYPE_ANY, t->destination_port);
  else
    s = format (s, "no key");
  s = format (s, "\n%U%s", format_white_space, 2, action ? action : "none");
  if (v->action == PFPLANE_DROP)
    s = format (s, " (reason %u: %s)", v->reason,
		v->reason > 0 && v->reason <= PFPLANE_LOOKUP_N_ERROR - PFPLANE_LOOKUP_ERROR_DROP_TRUNCATED ?
		  pfplane_lookup_error_counters[PFPLANE_LOOKUP_ERROR_DROP_TRUNCATED + v->reason - 1].desc :
		  "none");
  if (v->action == PFPLANE_HANDOFF)
    s = format (s, " to lane %u", v->lane);
  if (v->slot != UINT32_MAX)
    s = format (s, ", state %u%s%s", v->slot, v->reverse ? " reverse" : "", v->translated ? " translated" : "");
  return s;
}

#define PFP_LOOKUP_NODE                                                                                                \
  .vector_size = sizeof (u32), .format_trace = format_pfp_trace, .type = VLIB_NODE_TYPE_INTERNAL,                      \
  .n_errors = PFPLANE_LOOKUP_N_ERROR, .error_counters = pfplane_lookup_error_counters

VLIB_REGISTER_NODE (pfp_lookup_ip4_node) = {
  .name = "pfplane-lookup-ip4",
  PFP_LOOKUP_NODE,
  .n_next_nodes = PFP_N_NEXT,
  .next_nodes = {
#define _(name, ip4, ip6) [PFP_NEXT_##name] = ip4,
    foreach_pfp_next
#undef _
  },
};

VLIB_REGISTER_NODE (pfp_lookup_ip6_node) = {
  .name = "pfplane-lookup-ip6",
  PFP_LOOKUP_NODE,
  .n_next_nodes = PFP_N_NEXT,
  .next_nodes = {
#define _(name, ip4, ip6) [PFP_NEXT_##name] = ip6,
    foreach_pfp_next
#undef _
  },
};

VNET_FEATURE_INIT (pfp_lookup_ip4_feature, static) = {
  .arc_name = "ip4-unicast",
  .node_name = "pfplane-lookup-ip4",
  .runs_after = VNET_FEATURES ("ip4-sv-reassembly-feature"),
  .runs_before = VNET_FEATURES ("ip4-lookup"),
};

VNET_FEATURE_INIT (pfp_lookup_ip6_feature, static) = {
  .arc_name = "ip6-unicast",
  .node_name = "pfplane-lookup-ip6",
  .runs_after = VNET_FEATURES ("ip6-sv-reassembly-feature"),
  .runs_before = VNET_FEATURES ("ip6-lookup"),
};
#endif
