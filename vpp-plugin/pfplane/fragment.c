/* Fragments. Shallow virtual reassembly runs before the lookup node: it keeps fragments until the first one is there, and
 * tells the ports of each. So every fragment is looked up by its connection's key, and passes or not by itself. */
#include <pfplane/verdict.h>

enum
{
  TCP_ACK = 0x10,
  ICMP_ECHO_REPLY = 0,
  ICMP_ECHO_REQUEST = 8,
  ICMP6_ECHO_REQUEST_TYPE = 128,
  ICMP6_ECHO_REPLY_TYPE = 129,
};

/* Sets the ports of a fragment. Returns 0 if they are not known. */
static int
set_ports (struct pfplane_facts *facts, vlib_buffer_t *b, int is_ip6)
{
  u16 source = clib_net_to_host_u16 (vnet_buffer (b)->ip.reass.l4_src_port);
  u16 destination = clib_net_to_host_u16 (vnet_buffer (b)->ip.reass.l4_dst_port);
  u8 type = vnet_buffer (b)->ip.reass.icmp_type_or_tcp_flags;
  u8 request = is_ip6 ? ICMP6_ECHO_REQUEST_TYPE : ICMP_ECHO_REQUEST;

  if (vnet_buffer (b)->ip.reass.l4_hdr_truncated)
    return 0;
  facts->proto = vnet_buffer (b)->ip.reass.ip_proto;
  facts->source_port = source;
  facts->destination_port = destination;
  switch (facts->proto)
    {
    case IP_PROTOCOL_TCP:
      /* No window and no data, so that the tracker learns nothing that it would have to take back. */
      facts->kind = PFPLANE_KIND_TCP;
      facts->tcp_flags = TCP_ACK;
      facts->tcp_seq = clib_net_to_host_u32 (vnet_buffer (b)->ip.reass.tcp_seq_number);
      facts->tcp_ack = clib_net_to_host_u32 (vnet_buffer (b)->ip.reass.tcp_ack_number);
      facts->tcp_payload = 0;
      facts->tcp_window = 0;
      return 1;
    case IP_PROTOCOL_UDP:
      facts->kind = PFPLANE_KIND_UDP;
      return 1;
    case IP_PROTOCOL_ICMP:
    case IP_PROTOCOL_ICMP6:
      if (type == request)
	{
	  facts->kind = PFPLANE_KIND_ICMP_QUERY;
	  facts->destination_port = request;
	  return 1;
	}
      if (type == (is_ip6 ? ICMP6_ECHO_REPLY_TYPE : ICMP_ECHO_REPLY))
	{
	  facts->kind = PFPLANE_KIND_ICMP_REPLY;
	  facts->source_port = request;
	  return 1;
	}
      return 0;
    default:
      facts->kind = PFPLANE_KIND_OTHER;
      facts->source_port = facts->destination_port = 0;
      return 1;
    }
}

static u16
act (pfp_batch_t *batch, vlib_buffer_t *b, u32 buffer_index, const struct pfplane_verdict *verdict)
{
  u16 next;

  switch (verdict->action)
    {
    case PFPLANE_PASS:
      /* Only whole packets are translated. */
      if (verdict->translated)
	return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_FRAGMENT);
      vnet_feature_next_u16 (&next, b);
      return next;
    case PFPLANE_HANDOFF:
      return pfp_handoff_add (batch, b, buffer_index, verdict->lane);
    case PFPLANE_HELD:
      return pfp_hold (batch, b, buffer_index, verdict->slot);
    case PFPLANE_DROP:
      if (verdict->reason >= PFPLANE_REASON_TRUNCATED && verdict->reason <= PFPLANE_REASON_IP_OPTIONS)
	return pfp_drop (batch, b, (u16) (PFPLANE_LOOKUP_ERROR_DROP_TRUNCATED + verdict->reason - 1));
      /* fall through */
    default:
      return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_ENGINE);
    }
}

static int
is_translated (pfp_batch_t *batch, vlib_buffer_t *b, const struct pfplane_facts *facts, int is_local,
	       struct pfplane_state_options *options)
{
  int from_inside = batch->burst.direction == PFPLANE_IN;
  pfp_nat_destination_t destination = pfp_nat_destination (facts, is_local, from_inside, options);

  return destination != PFP_NAT_NONE ||
	 (from_inside &&
	  (!pfp_nat_source (vnet_buffer (b)->sw_if_index[VLIB_RX], facts, destination, options) || options->nat != 0));
}

u16
pfp_fragment (pfp_batch_t *batch, vlib_buffer_t *b, u32 buffer_index, const struct pfplane_packet *packet)
{
  struct pfplane_facts facts = { .size = sizeof (facts) };
  struct pfplane_verdict verdict;
  pfp_decision_t decision;
  u32 rule = UINT32_MAX;
  int is_local = pfp_is_local (b, batch->is_ip6);

  pfplane_packet_facts (&batch->burst, packet, &facts, 0);
  if (facts.family == 0 || !set_ports (&facts, b, batch->is_ip6))
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_FRAGMENT);
  facts.fragment = 0;
  pfp_count (batch, PFPLANE_LOOKUP_ERROR_FRAGMENTS);
  if (pfplane_lane_lookup_facts (batch->thread->lane, &batch->burst, &facts, 1, &verdict) != PFPLANE_OK)
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_FRAGMENT);
  if (verdict.action != PFPLANE_NEW)
    return act (batch, b, buffer_index, &verdict);

  decision = pfp_policy_decide (b, batch->is_ip6, is_local, &rule);
  if (decision == PFP_DECISION_STATE)
    {
      struct pfplane_state_options options;

      pfplane_state_options_init (&options, sizeof (options));
      options.rule = rule;
      /* Only whole packets are translated, and none leaves untranslated. */
      if (pfp_nat_main.is_used && is_translated (batch, b, &facts, is_local, &options))
	return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_FRAGMENT);
      if (pfplane_lane_state_create_facts (batch->thread->lane, &batch->burst, &facts, &options, &verdict) !=
	  PFPLANE_OK)
	return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_FRAGMENT);
      if (verdict.action == PFPLANE_PASS || verdict.action == PFPLANE_HELD)
	pfp_count (batch, PFPLANE_LOOKUP_ERROR_FIRST);
      return act (batch, b, buffer_index, &verdict);
    }
  if (decision == PFP_DECISION_DROP)
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_POLICY);
  if (decision == PFP_DECISION_DROP_LOCAL)
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_POLICY_LOCAL);
  return pfp_pass_without_state (batch, b, decision);
}
