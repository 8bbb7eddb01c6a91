/* Adverts received: those of our groups are for the library, all others for VPP's vrrp, which had protocol 112 before. */
#include <pfplane/election/election.h>
#include <vnet/ethernet/ethernet.h>

enum
{
  NEXT_DROP,
  MIN_PAYLOAD = 2, /* version and type, and the id */
};

/* Returns the id of the group in an advert, 0 if it is too short to have one. */
static u8
advert_id (vlib_buffer_t *b, int is_ip6)
{
  const u8 *ip = vlib_buffer_get_current (b);
  u32 header = is_ip6 ? sizeof (ip6_header_t) : (u32) (ip[0] & 0xf) * 4;

  return b->current_length >= header + MIN_PAYLOAD ? ip[header + 1] : 0;
}

/* Passes an advert to the library, which counts it, on the thread of lane 0. */
static void
receive (vlib_main_t *vm, vlib_buffer_t *b, u32 index, pfp_group_t *group, u32 rx, int is_ip6, u64 now_ns)
{
  pfp_election_main_t *em = &pfp_election_main;
  ethernet_header_t *ethernet = (ethernet_header_t *) em->scratch;
  u32 length = (u32) vlib_buffer_length_in_chain (vm, b);

  clib_memset (ethernet, 0, sizeof (*ethernet));
  if (b->flags & VNET_BUFFER_F_L2_HDR_OFFSET_VALID)
    clib_memcpy (ethernet, ethernet_buffer_get_header (b), 2 * PFP_MAC_BYTES);
  ethernet->type = clib_host_to_net_u16 (is_ip6 ? ETHERNET_TYPE_IP6 : ETHERNET_TYPE_IP4);
  /* No advert is that long: the library counts it as one with a damaged header. */
  if (length <= sizeof (em->scratch) - sizeof (*ethernet))
    vlib_buffer_contents (vm, index, em->scratch + sizeof (*ethernet));
  else
    {
      length = b->current_length < sizeof (ip6_header_t) ? b->current_length : sizeof (ip6_header_t);
      clib_memcpy (em->scratch + sizeof (*ethernet), vlib_buffer_get_current (b), length);
    }
  pfplane_election_receive (group->handle, (u16) rx, 0, em->scratch, sizeof (*ethernet) + length, now_ns);
  group->due_ns = 0;
}

static uword
advert_node (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame, int is_ip6)
{
  pfp_main_t *pm = &pfp_main;
  pfp_election_main_t *em = &pfp_election_main;
  u32 *from = vlib_frame_vector_args (frame), n = frame->n_vectors, rest = 0, handed = 0;
  u32 handoffs[VLIB_FRAME_SIZE], others[VLIB_FRAME_SIZE];
  u16 threads[VLIB_FRAME_SIZE], nexts[VLIB_FRAME_SIZE];
  u64 now_ns = pfp_now_ns (vm);

  for (u32 i = 0; i < n; i++)
    {
      vlib_buffer_t *b = vlib_get_buffer (vm, from[i]);
      u32 rx = vnet_buffer (b)->ip.rx_sw_if_index;
      pfp_group_t *group = pm->has_groups ? pfp_group_of (rx, is_ip6) : 0;
      u8 id = advert_id (b, is_ip6);
      /* Adverts of other groups are the library's to count, unless vrrp may know them. */
      int is_ours = group && (em->previous_next[is_ip6] == ~0 || id == pfp_member_of (group, rx, is_ip6)->id);

      if (is_ours && vm->thread_index != pm->first_thread)
	{
	  threads[handed] = (u16) pm->first_thread;
	  handoffs[handed++] = from[i];
	  continue;
	}
      nexts[rest] = NEXT_DROP;
      if (is_ours)
	{
	  receive (vm, b, from[i], group, rx, is_ip6, now_ns);
	  b->error = node->errors[PFPLANE_ADVERT_ERROR_RECEIVED];
	}
      else if (em->previous_next[is_ip6] != ~0)
	{
	  nexts[rest] = (u16) em->previous_next[is_ip6];
	  vlib_node_increment_counter (vm, node->node_index, PFPLANE_ADVERT_ERROR_TO_VRRP, 1);
	}
      else
	b->error = node->errors[PFPLANE_ADVERT_ERROR_NO_GROUP];
      others[rest++] = from[i];
    }
  if (rest)
    vlib_buffer_enqueue_to_next (vm, node, others, nexts, rest);
  if (handed)
    {
      u32 sent = pfp_handoff (vm, node, em->queue[is_ip6], handoffs, threads, handed);

      vlib_node_increment_counter (vm, node->node_index, PFPLANE_ADVERT_ERROR_HANDED_OFF, sent);
      vlib_node_increment_counter (vm, node->node_index, PFPLANE_ADVERT_ERROR_CONGESTION, handed - sent);
    }
  return n;
}

VLIB_NODE_FN (pfp_advert_ip4_node) (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  return advert_node (vm, node, frame, 0);
}

VLIB_NODE_FN (pfp_advert_ip6_node) (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  return advert_node (vm, node, frame, 1);
}

VLIB_REGISTER_NODE (pfp_advert_ip4_node) = {
  .name = "pfplane-advert-ip4",
  .vector_size = sizeof (u32),
  .type = VLIB_NODE_TYPE_INTERNAL,
  .n_errors = PFPLANE_ADVERT_N_ERROR,
  .error_counters = pfplane_advert_error_counters,
  .n_next_nodes = 1,
  .next_nodes = { [NEXT_DROP] = "error-drop" },
};

VLIB_REGISTER_NODE (pfp_advert_ip6_node) = {
  .name = "pfplane-advert-ip6",
  .vector_size = sizeof (u32),
  .type = VLIB_NODE_TYPE_INTERNAL,
  .n_errors = PFPLANE_ADVERT_N_ERROR,
  .error_counters = pfplane_advert_error_counters,
  .n_next_nodes = 1,
  .next_nodes = { [NEXT_DROP] = "error-drop" },
};
