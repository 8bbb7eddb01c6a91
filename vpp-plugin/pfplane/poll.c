/* The poll of each lane, once a millisecond on its own thread: housekeeping, held packets, pfsync frames. */
#include <pfplane/election/election.h>
#include <pfplane/verdict.h>
#include <vlib/stats/stats.h>

enum
{
  WATCHDOG_ENABLED = 1,
};

static const f64 poll_interval_s = 1e-3;
static const f64 watchdog_interval_s = 20e-3;

/* Passes held packets on that are released, through the nodes that take the feature arc's next step. */
void
pfp_release (vlib_main_t *vm, pfp_thread_t *thread, u64 now_ns)
{
  u64 handles[VLIB_FRAME_SIZE];
  u32 count;

  do
    {
      if (pfplane_lane_release (thread->lane, now_ns, false, handles, VLIB_FRAME_SIZE, &count) != PFPLANE_OK ||
	  count == 0)
	return;
      for (u32 is_ip6 = 0; is_ip6 < 2; is_ip6++)
	{
	  u32 node = is_ip6 ? pfp_release_ip6_node.index : pfp_release_ip4_node.index;
	  vlib_frame_t *frame = 0;

	  for (u32 i = 0; i < count; i++)
	    if (handles[i] >> 32 == is_ip6)
	      {
		if (frame == 0)
		  {
		    frame = vlib_get_frame_to_node (vm, node);
		    frame->n_vectors = 0;
		  }
		((u32 *) vlib_frame_vector_args (frame))[frame->n_vectors++] = (u32) handles[i];
	      }
	  if (frame)
	    vlib_put_frame_to_node (vm, node, frame);
	}
    }
  while (count == VLIB_FRAME_SIZE);
}

static uword
release_node (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame, int is_ip6)
{
  u32 *from = vlib_frame_vector_args (frame), n = frame->n_vectors;
  vlib_buffer_t *buffers[VLIB_FRAME_SIZE];
  u16 nexts[VLIB_FRAME_SIZE];
  vlib_node_runtime_t *lookup =
    vlib_node_get_runtime (vm, is_ip6 ? pfp_lookup_ip6_node.index : pfp_lookup_ip4_node.index);
  u32 closed = pfp_main.has_groups ? pfp_closed_groups (pfp_now_ns (vm)) : 0;

  vlib_get_buffers (vm, from, buffers, n);
  for (u32 i = 0; i < n; i++)
    {
      const u8 *ip = vlib_buffer_get_current (buffers[i]);

      /* Another node has become master while the packet was held. */
      if (PREDICT_FALSE (closed) && pfp_is_closed (closed, vnet_buffer (buffers[i])->sw_if_index[VLIB_RX], is_ip6))
	{
	  nexts[i] = PFP_NEXT_DROP;
	  buffers[i]->error = lookup->errors[PFPLANE_LOOKUP_ERROR_NOT_MASTER];
	}
      /* NAT64 has changed its family while it was held. */
      else if (PREDICT_FALSE (ip[0] >> 4 != (is_ip6 ? 6 : 4)))
	nexts[i] = PFP_NEXT_OTHER_FAMILY;
      else
	vnet_feature_next_u16 (&nexts[i], buffers[i]);
    }
  vlib_buffer_enqueue_to_next (vm, node, from, nexts, n);
  vlib_node_increment_counter (vm, is_ip6 ? pfp_lookup_ip6_node.index : pfp_lookup_ip4_node.index,
			       PFPLANE_LOOKUP_ERROR_RELEASED, n);
  return n;
}

VLIB_NODE_FN (pfp_release_ip4_node) (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  return release_node (vm, node, frame, 0);
}

VLIB_NODE_FN (pfp_release_ip6_node) (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  return release_node (vm, node, frame, 1);
}

/* Siblings of the lookup nodes, so that the arc's next indexes are the same. */
VLIB_REGISTER_NODE (pfp_release_ip4_node) = {
  .name = "pfplane-release-ip4",
  .vector_size = sizeof (u32),
  .type = VLIB_NODE_TYPE_INTERNAL,
  .sibling_of = "pfplane-lookup-ip4",
};

VLIB_REGISTER_NODE (pfp_release_ip6_node) = {
  .name = "pfplane-release-ip6",
  .vector_size = sizeof (u32),
  .type = VLIB_NODE_TYPE_INTERNAL,
  .sibling_of = "pfplane-lookup-ip6",
};

VLIB_NODE_FN (pfp_poll_node) (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  pfp_main_t *pm = &pfp_main;
  pfp_thread_t *thread;
  u64 now_ns;
  u32 sent;

  /* Ends the schedule: pfp_poll_start begins a new one. */
  if (pm->engine == 0 || (thread = vec_elt_at_index (pm->threads, vm->thread_index))->lane == 0)
    return 0;
  now_ns = pfp_now_ns (vm);
  if (pfplane_lane_poll (thread->lane, now_ns) != PFPLANE_OK)
    vlib_node_increment_counter (vm, node->node_index, PFPLANE_POLL_ERROR_ENGINE, 1);
  pfp_release (vm, thread, now_ns);
  sent = pfp_sync_flush (vm, thread, now_ns);
  if (pm->has_groups && vm->thread_index == pm->first_thread)
    pfp_election_poll (vm, now_ns);
  clib_atomic_store_relax_n (&thread->polls, thread->polls + 1);
  vlib_node_increment_counter (vm, node->node_index, PFPLANE_POLL_ERROR_POLLS, 1);
  if (sent)
    vlib_node_increment_counter (vm, node->node_index, PFPLANE_POLL_ERROR_FRAMES_SENT, sent);
  vlib_node_schedule (vm, node->node_index, poll_interval_s);
  return 0;
}

VLIB_REGISTER_NODE (pfp_poll_node) = {
  .name = "pfplane-poll",
  .type = VLIB_NODE_TYPE_SCHED,
  .state = VLIB_NODE_STATE_DISABLED,
  .n_errors = PFPLANE_POLL_N_ERROR,
  .error_counters = pfplane_poll_error_counters,
};

/* Tells clients of the API and the log when the readiness class changes. */
static void
publish_readiness (vlib_main_t *vm)
{
  struct pfplane_readiness readiness = { .size = sizeof (readiness) };
  pfp_event_t event = { .kind = PFP_EVENT_READINESS };

  if (pfp_main.engine)
    pfplane_engine_readiness (pfp_main.engine, pfp_now_ns (vm), &readiness);
  if (readiness.ready_class == pfp_main.readiness)
    return;
  event.election.role_before = pfp_main.readiness;
  event.election.role = pfp_main.readiness = readiness.ready_class;
  event.may_take_over = readiness.ready;
  pfp_log_notice ("this node %s", readiness.ready ? "may take over" : "lacks states: it must not take over");
  pfp_event_publish (&event);
}

/* Shows whether this node may take over: in the stats segment, by events, and by the state of an interface. */
void
pfp_readiness_show (void)
{
  pfp_main_t *pm = &pfp_main;
  vnet_main_t *vnm = vnet_get_main ();
  int is_ready = pm->engine != 0 && pfplane_engine_ready (pm->engine);
  u64 states = 0;

  publish_readiness (vlib_get_main ());

  if (pm->threads)
    {
      if (pm->engine)
	pfplane_engine_stat_find (pm->engine, PFPLANE_ALL_LANES, "states", &states);
      vlib_stats_set_gauge (pm->ready_gauge, is_ready);
      vlib_stats_set_gauge (pm->states_gauge, states);
    }
  if (pm->ready_sw_if_index != ~0 && vnet_sw_interface_is_admin_up (vnm, pm->ready_sw_if_index) != is_ready)
    vnet_sw_interface_set_flags (vnm, pm->ready_sw_if_index, is_ready ? VNET_SW_INTERFACE_FLAG_ADMIN_UP : 0);
}

/* Carries out on the main thread what follows from the roles. */
static void
follow_election (vlib_main_t *vm)
{
  pfp_event_t event;

  pfp_election_apply_roles (vm);
  while (pfp_event_take (&event))
    {
      pfp_event_log (&event);
      pfp_event_publish (&event);
    }
}

/* Starts polls again that have stopped: VPP 26.06 forgets a scheduled node's timer if it builds the graph of nodes anew between
 * the timer's end and the node's turn. */
static uword
watchdog (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  pfp_main_t *pm = &pfp_main;

  while (1)
    {
      if (pm->engine)
	vlib_process_wait_for_event_or_clock (vm, watchdog_interval_s);
      else
	vlib_process_wait_for_event (vm);
      vlib_process_get_events (vm, 0);
      if (pm->engine == 0)
	continue;
      for (u32 i = 0; i < vec_len (pm->threads); i++)
	{
	  pfp_thread_t *thread = vec_elt_at_index (pm->threads, i);
	  u64 polls = clib_atomic_load_relax_n (&thread->polls);

	  if (thread->lane == 0)
	    continue;
	  if (polls == thread->watched_polls)
	    {
	      thread->restarts++;
	      vlib_node_set_interrupt_pending (vlib_get_main_by_index (i), pfp_poll_node.index);
	    }
	  thread->watched_polls = polls;
	}
      pfp_sync_link_update ();
      pfp_readiness_show ();
      if (pm->has_groups)
	follow_election (vm);
    }
  return 0;
}

VLIB_REGISTER_NODE (pfp_watchdog_node) = {
  .name = "pfplane-watchdog",
  .type = VLIB_NODE_TYPE_PROCESS,
  .function = watchdog,
  .process_log2_n_stack_bytes = 17,
};

void
pfp_poll_start (void)
{
  pfp_main_t *pm = &pfp_main;

  for (u32 i = 0; i < pm->lane_count; i++)
    {
      vlib_main_t *vm = vlib_get_main_by_index (pm->first_thread + i);

      vlib_node_set_state (vm, pfp_poll_node.index, VLIB_NODE_STATE_POLLING);
      vlib_node_set_interrupt_pending (vm, pfp_poll_node.index);
    }
  vlib_process_signal_event (vlib_get_main (), pfp_watchdog_node.index, WATCHDOG_ENABLED, 0);
}

void
pfp_poll_stop (void)
{
  pfp_main_t *pm = &pfp_main;

  for (u32 i = 0; i < pm->lane_count; i++)
    vlib_node_set_state (vlib_get_main_by_index (pm->first_thread + i), pfp_poll_node.index, VLIB_NODE_STATE_DISABLED);
}
