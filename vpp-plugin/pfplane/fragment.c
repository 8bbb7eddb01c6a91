/* Fragments. Shallow virtual reassembly runs before the lookup node: it keeps fragments until the first one is there, and
 * tells the ports of each. So every fragment is looked up by its connection's key. The first one is tracked as a packet, later ones
 * pass whatever the TCP state is. Both are translated in place. */
#include <pfplane/vrf/vrf.h>

enum
{
  TCP_ACK = 0x10,
  ICMP_ECHO_REPLY = 0,
  ICMP_ECHO_REQUEST = 8,
  ICMP6_ECHO_REQUEST_TYPE = 128,
  ICMP6_ECHO_REPLY_TYPE = 129,
};

/* Sets what the tracker checks, from the TCP header in the first fragment. Returns 0 if it is not there. */
static int
set_tcp (struct pfplane_facts *facts, const struct pfplane_packet *packet)
{
  tcp_header_t *tcp = (tcp_header_t *) (packet->data + facts->l4_offset);
  u32 header_end;

  if (packet->length < facts->l4_offset + sizeof (*tcp))
    return 0;
  header_end = facts->l4_offset + tcp_header_bytes (tcp);
  facts->tcp_flags = tcp->flags & 0x3f;
  facts->tcp_seq = clib_net_to_host_u32 (tcp->seq_number);
  facts->tcp_ack = clib_net_to_host_u32 (tcp->ack_number);
  facts->tcp_window = clib_net_to_host_u16 (tcp->window);
  facts->tcp_payload = facts->ip_length > header_end ? facts->ip_length - header_end : 0;
  return 1;
}

/* Sets kind and ports of a fragment. Returns 0 if they are not known. */
static int
set_ports (struct pfplane_facts *facts, vlib_buffer_t *b, const struct pfplane_packet *packet, int is_ip6)
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
      facts->kind = PFPLANE_KIND_TCP;
      if (facts->fragment & PFPLANE_FRAGMENT_FIRST)
	return set_tcp (facts, packet);
      /* It makes no state, as no segment without SYN does. */
      facts->tcp_flags = TCP_ACK;
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
act (pfp_batch_t *batch, vlib_buffer_t *b, u32 buffer_index, const struct pfplane_packet *packet, struct pfplane_verdict *verdict)
{
  u16 next;

  if (verdict->action == PFPLANE_PASS || verdict->action == PFPLANE_HELD)
    {
      if (pfplane_lane_rewrite_fragment (batch->thread->lane, &batch->burst, packet, verdict) != PFPLANE_OK)
	return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_ENGINE);
      if (pfp_changes_vrf (batch, verdict) && !pfp_vrf_select (batch, b, verdict))
	return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_VRF);
    }
  switch (verdict->action)
    {
    case PFPLANE_PASS:
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
    case PFPLANE_NOT_CONTIGUOUS:
      return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_NOT_CONTIGUOUS);
    default:
      return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_ENGINE);
    }
}

u16
pfp_fragment (pfp_batch_t *batch, vlib_buffer_t *b, u32 buffer_index, const struct pfplane_packet *packet)
{
  int is_local = pfp_is_local (b, batch->is_ip6), from_inside = batch->burst.direction == PFPLANE_IN;
  pfp_nat_destination_t destination = PFP_NAT_NONE;
  struct pfplane_facts facts = { .size = sizeof (facts) };
  struct pfplane_state_options options;
  struct pfplane_verdict verdict;
  pfp_decision_t decision;
  u32 rule = UINT32_MAX;

  pfplane_packet_facts (&batch->burst, packet, &facts, 0);
  if (facts.family == 0 || !set_ports (&facts, b, packet, batch->is_ip6))
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_FRAGMENT);
  pfp_count (batch, PFPLANE_LOOKUP_ERROR_FRAGMENTS);
  if (pfplane_lane_lookup_facts (batch->thread->lane, &batch->burst, &facts, 1, &verdict) != PFPLANE_OK)
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_FRAGMENT);
  if (verdict.action != PFPLANE_NEW)
    return act (batch, b, buffer_index, packet, &verdict);

  pfplane_state_options_init (&options, sizeof (options));
  if (pfp_nat_main.is_used)
    {
      destination = pfp_nat_destination (&facts, is_local, from_inside, &options);
      if (destination == PFP_NAT_POOL)
	return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_POOL);
      is_local = is_local && destination != PFP_NAT_FORWARD;
    }
  decision = pfp_policy_decide (b, batch->is_ip6, is_local, &rule);
  if (decision == PFP_DECISION_DROP)
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_POLICY);
  if (decision == PFP_DECISION_DROP_LOCAL)
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_POLICY_LOCAL);
  if (decision != PFP_DECISION_STATE)
    return pfp_pass_without_state (batch, b, decision);

  options.rule = rule;
  if (pfp_nat_main.is_used && from_inside &&
      !pfp_nat_source (vnet_buffer (b)->sw_if_index[VLIB_RX], &facts, destination, &options))
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_POOL);
  pfp_vrf_of_replies (batch, b, &options);
  /* Fragments may arrive in any order: the first of them to arrive makes the state, of what the reassembly knows. */
  facts.fragment = 0;
  if (pfplane_lane_state_create_facts (batch->thread->lane, &batch->burst, &facts, &options, &verdict) != PFPLANE_OK)
    return pfp_drop (batch, b, PFPLANE_LOOKUP_ERROR_FRAGMENT);
  if (verdict.action == PFPLANE_PASS || verdict.action == PFPLANE_HELD)
    pfp_count (batch, PFPLANE_LOOKUP_ERROR_FIRST);
  return act (batch, b, buffer_index, packet, &verdict);
}
