/* Verdicts that are not a plain pass: first packets, refused packets, hand-off, held packets. */
#include <pfplane/vrf/vrf.h>

STATIC_ASSERT (PFPLANE_LOOKUP_ERROR_DROP_TRUNCATED + PFPLANE_REASON_IP_OPTIONS - 1 ==
		 PFPLANE_LOOKUP_ERROR_DROP_IP_OPTIONS,
	       "one counter per reason, in the library's order");
STATIC_ASSERT (PFPLANE_LOOKUP_ERROR_DROP_IP_OPTIONS + 1 == PFPLANE_LOOKUP_N_ERROR, "the reasons come last");

static u16
error_of_reason (u8 reason)
{
  if (reason == PFPLANE_REASON_NONE || reason > PFPLANE_REASON_IP_OPTIONS)
    return PFPLANE_LOOKUP_ERROR_ENGINE;
  return (u16) (PFPLANE_LOOKUP_ERROR_DROP_TRUNCATED + reason - 1);
}

static u16
next_of_arc (vlib_buffer_t *b)
{
  u16 next;

  vnet_feature_next_u16 (&next, b);
  return next;
}

/* Passes a packet by its state. Where its family changed, it is routed anew. */
u16
pfp_pass (pfp_batch_t *batch, vlib_buffer_t *b, const struct pfplane_verdict *verdict)
{
  if (verdict->data_shift == 0)
    {
      if (pfp_changes_vrf (batch, verdict) && !pfp_vrf_select (batch, b, verdict))
	return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_VRF);
      return next_of_arc (b);
    }
  /* The driver would compute the checksum or cut the segments of the old family. */
  if (b->flags & (VNET_BUFFER_F_OFFLOAD | VNET_BUFFER_F_GSO))
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_DROP_TRANSLATION);
  vlib_buffer_advance (b, verdict->data_shift);
  b->flags &= ~(VNET_BUFFER_F_IS_IP4 | VNET_BUFFER_F_IS_IP6 | VNET_BUFFER_F_L2_HDR_OFFSET_VALID |
		VNET_BUFFER_F_L3_HDR_OFFSET_VALID | VNET_BUFFER_F_L4_HDR_OFFSET_VALID);
  vnet_buffer (b)->sw_if_index[VLIB_TX] = ~0;
  if (pfp_changes_vrf (batch, verdict) && !pfp_vrf_select (batch, b, verdict))
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_VRF);
  pfp_count (batch, PFPLANE_LOOKUP_ERROR_FAMILY);
  return PFP_NEXT_OTHER_FAMILY;
}

/* Sends pf's answer to a dropped TCP packet in a buffer of its own: the dropped one may be shared or chained. */
static void
answer (pfp_batch_t *batch, vlib_buffer_t *dropped, const struct pfplane_packet *packet,
	const struct pfplane_verdict *verdict)
{
  pfp_thread_t *thread = batch->thread;
  u32 rx = vnet_buffer (dropped)->sw_if_index[VLIB_RX], length = 0, index;
  vlib_buffer_t *b;

  if (thread->answer_count == VLIB_FRAME_SIZE || vlib_buffer_alloc (batch->vm, &index, 1) != 1)
    return;
  b = vlib_get_buffer (batch->vm, index);
  if (pfplane_lane_answer (thread->lane, &batch->burst, packet, verdict, vlib_buffer_get_current (b),
			   vlib_buffer_get_default_data_size (batch->vm), &length) != PFPLANE_OK ||
      length == 0)
    {
      vlib_buffer_free_one (batch->vm, index);
      return;
    }
  b->current_length = (u16) length;
  b->flags |= VNET_BUFFER_F_LOCALLY_ORIGINATED | VLIB_BUFFER_TOTAL_LENGTH_VALID;
  b->flags |= batch->is_ip6 ? VNET_BUFFER_F_IS_IP6 : VNET_BUFFER_F_IS_IP4;
  b->total_length_not_including_first_buffer = 0;
  vnet_buffer (b)->sw_if_index[VLIB_RX] = rx;
  vnet_buffer (b)->sw_if_index[VLIB_TX] = ~0;
  thread->answers[thread->answer_count++] = index;
}

u16
pfp_verdict_drop (pfp_batch_t *batch, vlib_buffer_t *b, const struct pfplane_packet *packet,
		  const struct pfplane_verdict *verdict)
{
  if (verdict->reason == PFPLANE_REASON_CHALLENGE_ACK || verdict->reason == PFPLANE_REASON_RESET)
    answer (batch, b, packet, verdict);
  /* An ICMP error about a connection of this router, which has no states for its own connections. */
  if (verdict->reason == PFPLANE_REASON_NO_STATE && verdict->slot == UINT32_MAX && pfp_is_local (b, batch->is_ip6))
    {
      u32 rule;
      pfp_decision_t decision = pfp_policy_decide (b, batch->is_ip6, 1, &rule);

      if (decision == PFP_DECISION_DROP_LOCAL)
	return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_POLICY_LOCAL);
      return pfp_pass_without_state (batch, b, decision);
    }
  return pfp_drop (batch, b, error_of_reason (verdict->reason));
}

u16
pfp_pass_without_state (pfp_batch_t *batch, vlib_buffer_t *b, pfp_decision_t decision)
{
  pfp_count (batch, decision == PFP_DECISION_LOCAL ? PFPLANE_LOOKUP_ERROR_LOCAL :
						      PFPLANE_LOOKUP_ERROR_PASSED_WITHOUT_STATE);
  return next_of_arc (b);
}

/* The thread that gets the packet enters the same node, and takes the feature arc's next step itself. */
u16
pfp_handoff_add (pfp_batch_t *batch, vlib_buffer_t *b, u32 buffer_index, u32 lane)
{
  pfp_thread_t *thread = batch->thread;

  if (lane >= pfp_main.lane_count || thread->handoff_count == VLIB_FRAME_SIZE)
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_ENGINE);
  thread->handoff_threads[thread->handoff_count] = (u16) (pfp_main.first_thread + lane);
  thread->handoffs[thread->handoff_count++] = buffer_index;
  return PFP_CONSUMED;
}

/* The upper half of a handle is the family, the lower half the buffer. */
u16
pfp_hold (pfp_batch_t *batch, vlib_buffer_t *b, u32 buffer_index, u32 slot)
{
  u64 handle = (u64) batch->is_ip6 << 32 | buffer_index;

  if (pfplane_lane_hold (batch->thread->lane, slot, handle) != PFPLANE_OK)
    return next_of_arc (b);
  pfp_count (batch, PFPLANE_LOOKUP_ERROR_HELD);
  return PFP_CONSUMED;
}

/* What a call of the library says about a packet that it has a state for. */
static u16
act_on_state (pfp_batch_t *batch, vlib_buffer_t *b, u32 buffer_index, const struct pfplane_verdict *verdict)
{
  u16 next;

  switch (verdict->action)
    {
    case PFPLANE_PASS:
      return pfp_pass (batch, b, verdict);
    case PFPLANE_HELD:
      if (verdict->data_shift != 0 && (next = pfp_pass (batch, b, verdict)) != PFP_NEXT_OTHER_FAMILY)
	return next;
      if (pfp_changes_vrf (batch, verdict) && !pfp_vrf_select (batch, b, verdict))
	return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_VRF);
      return pfp_hold (batch, b, buffer_index, verdict->slot);
    case PFPLANE_HANDOFF:
      return pfp_handoff_add (batch, b, buffer_index, verdict->lane);
    case PFPLANE_DROP:
      return pfp_drop (batch, b, error_of_reason (verdict->reason));
    case PFPLANE_NOT_WRITABLE:
      return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_NO_HEADROOM);
    default:
      return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_ENGINE);
    }
}

/* A server on the inside answers a client on the inside, whose connection a forwarded port translated: the packet belongs to a
 * state, in the direction from the outside. Returns 0 if there is none. */
static int
answer_from_inside (pfp_batch_t *batch, vlib_buffer_t *b, u32 buffer_index, struct pfplane_packet *packet,
		    struct pfplane_verdict *verdict, u16 *next)
{
  struct pfplane_burst burst = batch->burst;

  burst.direction = PFPLANE_OUT;
  if (pfplane_lane_lookup (batch->thread->lane, &burst, packet, 1, verdict) != PFPLANE_OK ||
      verdict->action == PFPLANE_NEW)
    return 0;
  if (verdict->action == PFPLANE_HANDOFF)
    b->flags |= PFP_BUFFER_AS_REPLY;
  *next = act_on_state (batch, b, buffer_index, verdict);
  return 1;
}

/* A packet without a state: the policy decides. */
static u16
first_packet (pfp_batch_t *batch, vlib_buffer_t *b, u32 buffer_index, struct pfplane_packet *packet,
	      struct pfplane_verdict *verdict)
{
  int is_local = pfp_is_local (b, batch->is_ip6), from_inside = batch->burst.direction == PFPLANE_IN;
  pfp_nat_destination_t destination = PFP_NAT_NONE;
  struct pfplane_facts facts = { .size = sizeof (facts) };
  struct pfplane_state_options options;
  pfp_decision_t decision;
  u32 rule = UINT32_MAX;
  u16 next;

  pfplane_state_options_init (&options, sizeof (options));
  if (pfp_nat_main.is_used && verdict->action == PFPLANE_NEW)
    {
      pfplane_packet_facts (&batch->burst, packet, &facts, 0);
      destination = pfp_nat_destination (&facts, is_local, from_inside, &options);
      if ((destination == PFP_NAT_POOL || destination == PFP_NAT_OWN) && from_inside &&
	  answer_from_inside (batch, b, buffer_index, packet, verdict, &next))
	return next;
      if (destination == PFP_NAT_POOL)
	return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_POOL);
      /* A forwarded port of this router's own address leads to the inside. */
      is_local = is_local && destination != PFP_NAT_FORWARD;
    }
  decision = pfp_policy_decide (b, batch->is_ip6, is_local, &rule);
  if (decision == PFP_DECISION_DROP)
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_POLICY);
  if (decision == PFP_DECISION_DROP_LOCAL)
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_POLICY_LOCAL);
  /* pfsync that is not for this node has no state. */
  if (decision != PFP_DECISION_STATE || verdict->action == PFPLANE_SYNC)
    return pfp_pass_without_state (batch, b, decision);

  options.rule = rule;
  if (facts.family != 0 && from_inside &&
      !pfp_nat_source (vnet_buffer (b)->sw_if_index[VLIB_RX], &facts, destination, &options))
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_POOL);
  pfp_vrf_of_replies (batch, b, &options);
  if (pfplane_lane_state_create (batch->thread->lane, &batch->burst, packet, &options, verdict) != PFPLANE_OK)
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_ENGINE);
  if (verdict->action == PFPLANE_PASS || verdict->action == PFPLANE_HELD)
    pfp_count (batch, PFPLANE_LOOKUP_ERROR_FIRST);
  return act_on_state (batch, b, buffer_index, verdict);
}

/* Makes a chain contiguous, on a private copy if its head is shared. */
static vlib_buffer_t *
make_contiguous (pfp_batch_t *batch, vlib_buffer_t *b, u32 *buffer_index)
{
  if (b->ref_count != 1)
    {
      vlib_buffer_t *copy = vlib_buffer_copy (batch->vm, b);

      if (copy == 0)
	return 0;
      vlib_buffer_free_one (batch->vm, *buffer_index);
      *buffer_index = vlib_get_buffer_index (batch->vm, copy);
      b = copy;
    }
  return vlib_buffer_chain_linearize (batch->vm, b) ? b : 0;
}

static u16
lookup_again (pfp_batch_t *batch, vlib_buffer_t *b, u32 *buffer_index, struct pfplane_packet *packet,
	      struct pfplane_verdict *verdict)
{
  vlib_buffer_t *contiguous = make_contiguous (batch, b, buffer_index);

  /* A copy has replaced `b` even where it could not be made contiguous. */
  b = vlib_get_buffer (batch->vm, *buffer_index);
  if (contiguous == 0)
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_NOT_CONTIGUOUS);
  pfp_count (batch, PFPLANE_LOOKUP_ERROR_LINEARIZED);
  pfp_packet_init (packet, b);
  if (pfplane_lane_lookup (batch->thread->lane, &batch->burst, packet, 1, verdict) != PFPLANE_OK)
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_ENGINE);
  if (verdict->action == PFPLANE_PASS)
    return pfp_pass (batch, b, verdict);
  if (verdict->action == PFPLANE_DROP)
    return pfp_verdict_drop (batch, b, packet, verdict);
  if (verdict->action == PFPLANE_NOT_CONTIGUOUS)
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_NOT_CONTIGUOUS);
  return pfp_verdict_slow (batch, b, buffer_index, packet, verdict);
}

u16
pfp_verdict_slow (pfp_batch_t *batch, vlib_buffer_t *b, u32 *buffer_index, struct pfplane_packet *packet,
		  struct pfplane_verdict *verdict)
{
  switch (verdict->action)
    {
    case PFPLANE_NEW:
      return first_packet (batch, b, *buffer_index, packet, verdict);
    case PFPLANE_SYNC:
      /* From the sync interface it reaches the sync node by its protocol. */
      if (vnet_buffer (b)->sw_if_index[VLIB_RX] == pfp_main.sync_sw_if_index)
	return next_of_arc (b);
      return first_packet (batch, b, *buffer_index, packet, verdict);
    case PFPLANE_FRAGMENT:
      return pfp_fragment (batch, b, *buffer_index, packet);
    case PFPLANE_NOT_CONTIGUOUS:
      return lookup_again (batch, b, buffer_index, packet, verdict);
    default: /* PFPLANE_NOT_IP cannot happen here */
      return act_on_state (batch, b, *buffer_index, verdict);
    }
}
