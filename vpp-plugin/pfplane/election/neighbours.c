/* ARP and neighbour discovery for the shared addresses, and ARP for the claimed addresses of pools on the interfaces of a group:
 * the master answers with the shared MAC address, a backup does not. */
#include <pfplane/election/election.h>
#include <pfplane/nat/nat.h>
#include <vnet/ethernet/ethernet.h>
#include <vnet/ethernet/arp_packet.h>
#include <vnet/ip/icmp46_packet.h>
#include <vnet/ip/ip6_packet.h>

enum
{
  NEXT_DROP = 0,
  FRAME_BYTES = 256, /* of a question: a longer one is none */
  ARP_BYTES = 28,
};

STATIC_ASSERT (sizeof (ethernet_arp_header_t) == ARP_BYTES, "an ARP packet over Ethernet and IPv4");

/* Writes an ARP packet with its Ethernet header and returns its length. Addresses are in network order. */
u32
pfp_write_arp (u8 *frame, const u8 *receiver, const u8 *mac, u32 address, const u8 *target_mac, u32 target, u16 opcode)
{
  ethernet_header_t *ethernet = (ethernet_header_t *) frame;
  ethernet_arp_header_t *arp = (ethernet_arp_header_t *) (ethernet + 1);

  clib_memcpy (ethernet->dst_address, receiver, PFP_MAC_BYTES);
  clib_memcpy (ethernet->src_address, mac, PFP_MAC_BYTES);
  ethernet->type = clib_host_to_net_u16 (ETHERNET_TYPE_ARP);
  arp->l2_type = clib_host_to_net_u16 (ETHERNET_ARP_HARDWARE_TYPE_ethernet);
  arp->l3_type = clib_host_to_net_u16 (ETHERNET_TYPE_IP4);
  arp->n_l2_address_bytes = PFP_MAC_BYTES;
  arp->n_l3_address_bytes = 4;
  arp->opcode = clib_host_to_net_u16 (opcode);
  clib_memcpy (arp->ip4_over_ethernet[0].mac.bytes, mac, PFP_MAC_BYTES);
  arp->ip4_over_ethernet[0].ip4.as_u32 = address;
  clib_memcpy (arp->ip4_over_ethernet[1].mac.bytes, target_mac, PFP_MAC_BYTES);
  arp->ip4_over_ethernet[1].ip4.as_u32 = target;
  return sizeof (*ethernet) + sizeof (*arp);
}

/* Copies a packet behind an untagged Ethernet header. Returns the length, 0 if the packet is too long. */
static u32
copy_frame (vlib_buffer_t *b, u16 type, u8 frame[FRAME_BYTES])
{
  ethernet_header_t *ethernet = (ethernet_header_t *) frame;

  if (b->current_length > FRAME_BYTES - sizeof (*ethernet))
    return 0;
  clib_memset (ethernet, 0, sizeof (*ethernet));
  if (b->flags & VNET_BUFFER_F_L2_HDR_OFFSET_VALID)
    clib_memcpy (ethernet, ethernet_buffer_get_header (b), 2 * PFP_MAC_BYTES);
  ethernet->type = clib_host_to_net_u16 (type);
  clib_memcpy (ethernet + 1, vlib_buffer_get_current (b), b->current_length);
  return sizeof (*ethernet) + b->current_length;
}

static int
is_shared (const pfp_member_t *member, const void *address)
{
  const struct pfplane_address *shared;

  vec_foreach (shared, member->shared)
    if (clib_memcmp (shared->bytes, address, member->is_ip6 ? 16 : 4) == 0)
      return 1;
  return 0;
}

typedef enum
{
  TARGET_OTHER,
  TARGET_SHARED,
  TARGET_POOL,
} target_t;

/* Says what is asked for. */
static target_t
target_of (vlib_buffer_t *b, const pfp_member_t *member)
{
  if (!member->is_ip6)
    {
      const ethernet_arp_header_t *arp = vlib_buffer_get_current (b);
      const pfp_pool_t *pool;

      if (b->current_length < sizeof (*arp) || arp->opcode != clib_host_to_net_u16 (ETHERNET_ARP_OPCODE_request))
	return TARGET_OTHER;
      if (is_shared (member, &arp->ip4_over_ethernet[1].ip4))
	return TARGET_SHARED;
      pool = pfp_nat_pool_of (arp->ip4_over_ethernet[1].ip4);
      return pool && pool->is_claimed && pool->sw_if_index == member->sw_if_index ? TARGET_POOL : TARGET_OTHER;
    }
  const ip6_header_t *ip = vlib_buffer_get_current (b);
  const icmp6_neighbor_solicitation_or_advertisement_header_t *question = (const void *) (ip + 1);

  if (b->current_length < sizeof (*ip) + sizeof (*question) || ip->protocol != IP_PROTOCOL_ICMP6 ||
      question->icmp.type != ICMP6_neighbor_solicitation)
    return TARGET_OTHER;
  return is_shared (member, &question->target_address) ? TARGET_SHARED : TARGET_OTHER;
}

/* Writes the answer and returns its length, 0 for none. */
static u32
answer (vlib_buffer_t *b, pfp_group_t *group, const pfp_member_t *member, target_t target, u64 now_ns, u8 out[FRAME_BYTES])
{
  u8 question[FRAME_BYTES];
  u32 length, answer_length = 0;

  if (target == TARGET_POOL)
    {
      const ethernet_arp_header_t *arp = vlib_buffer_get_current (b);
      const ethernet_arp_ip4_over_ethernet_address_t *from = &arp->ip4_over_ethernet[0];

      if (!pfplane_election_may_use_virtual_mac (group->handle, now_ns))
	return 0;
      return pfp_write_arp (out, from->mac.bytes, member->mac, arp->ip4_over_ethernet[1].ip4.as_u32, from->mac.bytes,
			    from->ip4.as_u32, ETHERNET_ARP_OPCODE_reply);
    }
  length = copy_frame (b, member->is_ip6 ? ETHERNET_TYPE_IP6 : ETHERNET_TYPE_ARP, question);
  if (length == 0 || pfplane_election_answer (group->handle, (u16) member->sw_if_index, 0, question, length, now_ns, out,
					      FRAME_BYTES, &answer_length) != PFPLANE_OK)
    return 0;
  return answer_length;
}

static uword
neighbour_node (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame, int is_ip6)
{
  u32 *from = vlib_frame_vector_args (frame), n = frame->n_vectors;
  vlib_buffer_t *buffers[VLIB_FRAME_SIZE];
  u16 nexts[VLIB_FRAME_SIZE];
  u64 now_ns = pfp_now_ns (vm);

  vlib_get_buffers (vm, from, buffers, n);
  for (u32 i = 0; i < n; i++)
    {
      vlib_buffer_t *b = buffers[i];
      u32 rx = vnet_buffer (b)->sw_if_index[VLIB_RX];
      pfp_group_t *group = pfp_group_of (rx, is_ip6);
      pfp_member_t *member = group ? pfp_member_of (group, rx, is_ip6) : 0;
      target_t target = member ? target_of (b, member) : TARGET_OTHER;
      u8 out[FRAME_BYTES];
      u32 length;

      vnet_feature_next_u16 (&nexts[i], b);
      if (target == TARGET_OTHER)
	continue;
      nexts[i] = NEXT_DROP;
      if ((length = answer (b, group, member, target, now_ns, out)) == 0)
	{
	  b->error = node->errors[PFPLANE_NEIGHBOUR_ERROR_NOT_MASTER];
	  continue;
	}
      b->error = node->errors[PFPLANE_NEIGHBOUR_ERROR_ANSWERED];
      pfp_election_send (vm, rx, out, length);
    }
  vlib_buffer_enqueue_to_next (vm, node, from, nexts, n);
  return n;
}

VLIB_NODE_FN (pfp_arp_node) (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  return neighbour_node (vm, node, frame, 0);
}

VLIB_NODE_FN (pfp_nd_node) (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  return neighbour_node (vm, node, frame, 1);
}

VLIB_REGISTER_NODE (pfp_arp_node) = {
  .name = "pfplane-arp",
  .vector_size = sizeof (u32),
  .type = VLIB_NODE_TYPE_INTERNAL,
  .n_errors = PFPLANE_NEIGHBOUR_N_ERROR,
  .error_counters = pfplane_neighbour_error_counters,
  .n_next_nodes = 1,
  .next_nodes = { [NEXT_DROP] = "error-drop" },
};

VLIB_REGISTER_NODE (pfp_nd_node) = {
  .name = "pfplane-nd",
  .vector_size = sizeof (u32),
  .type = VLIB_NODE_TYPE_INTERNAL,
  .n_errors = PFPLANE_NEIGHBOUR_N_ERROR,
  .error_counters = pfplane_neighbour_error_counters,
  .n_next_nodes = 1,
  .next_nodes = { [NEXT_DROP] = "error-drop" },
};

VNET_FEATURE_INIT (pfp_arp_feature, static) = {
  .arc_name = "arp",
  .node_name = "pfplane-arp",
  .runs_before = VNET_FEATURES ("arp-reply"),
};

VNET_FEATURE_INIT (pfp_nd_feature, static) = {
  .arc_name = "ip6-local",
  .node_name = "pfplane-nd",
  .runs_before = VNET_FEATURES ("ip6-local-end-of-arc"),
};
