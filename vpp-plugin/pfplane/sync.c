/* pfsync packets: received as IP protocol 240, sent by unicast or to pfsync's multicast group. */
#include <pfplane/seal/seal.h>
#include <vnet/adj/adj.h>
#include <vnet/fib/fib_table.h>
#include <vnet/mfib/mfib_table.h>

/* VPP exports it and does not install its header. Returns the adjacency that sends to the group of each packet. */
extern adj_index_t adj_mcast_add_or_lock (fib_protocol_t proto, vnet_link_t link, u32 sw_if_index);

enum
{
  FRAMES_PER_POLL = 32,
};

static const mfib_prefix_t groups[2] = {
  { .fp_proto = FIB_PROTOCOL_IP4, .fp_len = 32, .fp_grp_addr = { .ip4 = { .as_u8 = { 224, 0, 0, 240 } } } },
  { .fp_proto = FIB_PROTOCOL_IP6,
    .fp_len = 128,
    .fp_grp_addr = { .ip6 = { .as_u8 = { 0xff, 0x12, [15] = 0xf0 } } } },
};

/* Joins or leaves a group on the sync interface. */
static void
set_group (u8 is_ip6, int join)
{
  pfp_main_t *pm = &pfp_main;
  fib_protocol_t proto = is_ip6 ? FIB_PROTOCOL_IP6 : FIB_PROTOCOL_IP4;
  u32 fib_index = mfib_table_get_index_for_sw_if_index (proto, pm->sync_sw_if_index);
  const fib_route_path_t to_us = { .frp_proto = fib_proto_to_dpo (proto),
				   .frp_sw_if_index = ~0,
				   .frp_weight = 1,
				   .frp_flags = FIB_ROUTE_PATH_LOCAL,
				   .frp_mitf_flags = MFIB_ITF_FLAG_FORWARD };
  const fib_route_path_t from_link = { .frp_proto = fib_proto_to_dpo (proto),
				       .frp_sw_if_index = pm->sync_sw_if_index,
				       .frp_weight = 1,
				       .frp_mitf_flags = MFIB_ITF_FLAG_ACCEPT };

  if (join == pm->sync_groups[is_ip6])
    return;
  pm->sync_groups[is_ip6] = (u8) join;
  if (join)
    {
      mfib_table_entry_path_update (fib_index, &groups[is_ip6], MFIB_SOURCE_API, MFIB_ENTRY_FLAG_NONE, &to_us);
      mfib_table_entry_path_update (fib_index, &groups[is_ip6], MFIB_SOURCE_API, MFIB_ENTRY_FLAG_NONE, &from_link);
      pm->sync_adjacency[is_ip6] =
	adj_mcast_add_or_lock (proto, is_ip6 ? VNET_LINK_IP6 : VNET_LINK_IP4, pm->sync_sw_if_index);
      return;
    }
  mfib_table_entry_path_remove (fib_index, &groups[is_ip6], MFIB_SOURCE_API, &to_us);
  mfib_table_entry_path_remove (fib_index, &groups[is_ip6], MFIB_SOURCE_API, &from_link);
  adj_unlock (pm->sync_adjacency[is_ip6]);
  pm->sync_adjacency[is_ip6] = ~0;
}

/* Connects protocol 240 and the groups of the peers with the sync interface. */
clib_error_t *
pfp_sync_attach (void)
{
  pfp_main_t *pm = &pfp_main;
  pfp_peer_t *peer;

  if (vec_len (pm->peers) == 0)
    return 0;
  pm->sync_fib_index[0] = fib_table_get_index_for_sw_if_index (FIB_PROTOCOL_IP4, pm->sync_sw_if_index);
  pm->sync_fib_index[1] = fib_table_get_index_for_sw_if_index (FIB_PROTOCOL_IP6, pm->sync_sw_if_index);
  ip4_register_protocol (PFP_PROTOCOL, pfp_sync_ip4_node.index);
  ip6_register_protocol (PFP_PROTOCOL, pfp_sync_ip6_node.index);
  vec_foreach (peer, pm->peers)
    if (peer->destination.family == 0)
      set_group (peer->is_ip6, 1);
  return 0;
}

void
pfp_sync_detach (void)
{
  if (vec_len (pfp_main.peers) == 0 || pfp_main.sync_sw_if_index == ~0)
    return;
  set_group (0, 0);
  set_group (1, 0);
  ip4_unregister_protocol (PFP_PROTOCOL);
  ip6_unregister_protocol (PFP_PROTOCOL);
}

/* Fills the library's peers from the configured ones. The caller wipes `keys`, also after an error. */
clib_error_t *
pfp_sync_fill_peers (struct pfplane_peer *peers, pfp_seal_keys_t *keys, u32 *mtu)
{
  pfp_main_t *pm = &pfp_main;

  pm->has_extensions = 0;
  if (vec_len (pm->peers) == 0)
    return 0;
  if (pm->sync_sw_if_index == ~0)
    return clib_error_return (0, "peers are configured, but no sync interface: set pfplane sync <interface>");
  for (u32 i = 0; i < vec_len (pm->peers); i++)
    {
      const pfp_peer_t *from = &pm->peers[i];
      struct pfplane_peer *to = &peers[i];
      const void *first;

      pfplane_peer_init (to, sizeof (*to));
      to->profile = from->profile;
      to->extensions = from->extensions;
      pm->has_extensions |= from->extensions || from->seal != PFPLANE_SEAL_OFF;
      if (from->seal != PFPLANE_SEAL_OFF)
	{
	  clib_error_t *error = pfp_seal_keys_read ((char *) from->key_file, &keys[i]);

	  if (error)
	    return error;
	  to->seal = from->seal;
	  to->seal_keys = keys[i].keys;
	  to->seal_key_count = (u8) keys[i].count;
	}
      to->destination = from->destination;
      to->source = from->source;
      if (to->source.family != 0)
	continue;
      first = from->is_ip6 ? (const void *) ip6_interface_first_address (&ip6_main, pm->sync_sw_if_index) :
			     (const void *) ip4_interface_first_address (&ip4_main, pm->sync_sw_if_index, 0);
      if (first == 0)
	return clib_error_return (0, "%U has no IPv%u address for the pfsync peer", format_vnet_sw_if_index_name,
				  vnet_get_main (), pm->sync_sw_if_index, from->is_ip6 ? 6 : 4);
      to->source.family = from->is_ip6 ? 6 : 4;
      clib_memcpy (to->source.bytes, first, from->is_ip6 ? 16 : 4);
    }
  *mtu = vnet_sw_interface_get_mtu (vnet_get_main (), pm->sync_sw_if_index, VNET_MTU_IP4);
  return 0;
}

/* Tells the library whether frames can be sent. VPP calls an interface's callbacks before it sets the flags, so this is called at
 * intervals instead. */
void
pfp_sync_link_update (void)
{
  pfp_main_t *pm = &pfp_main;

  if (pm->engine == 0 || vec_len (pm->peers) == 0)
    return;
  pfplane_engine_sync_link (pm->engine, pm->sync_sw_if_index != ~0 &&
					  vnet_sw_interface_is_up (vnet_get_main (), pm->sync_sw_if_index));
}

/* Passes a frame that the lane wrote to the node that sends it. */
static void
send_frame (vlib_main_t *vm, u32 index, vlib_buffer_t *b, u32 length)
{
  pfp_main_t *pm = &pfp_main;
  const u8 *ip = vlib_buffer_get_current (b);
  u8 is_ip6 = ip[0] >> 4 == 6;
  int is_group = is_ip6 ? ip[24] == 0xff : (ip[16] & 0xf0) == 0xe0;
  u32 node = is_ip6 ? ip6_lookup_node.index : ip4_lookup_node.index;
  vlib_frame_t *frame;
  u32 *to;

  b->current_length = (u16) length;
  b->total_length_not_including_first_buffer = 0;
  b->flags |= VNET_BUFFER_F_LOCALLY_ORIGINATED | VLIB_BUFFER_TOTAL_LENGTH_VALID;
  b->flags |= is_ip6 ? VNET_BUFFER_F_IS_IP6 : VNET_BUFFER_F_IS_IP4;
  vnet_buffer (b)->sw_if_index[VLIB_RX] = 0;
  vnet_buffer (b)->sw_if_index[VLIB_TX] = pm->sync_fib_index[is_ip6];
  if (is_group)
    {
      /* ip4-lookup has no route for a group. */
      vnet_buffer (b)->ip.adj_index[VLIB_TX] = pm->sync_adjacency[is_ip6];
      node = is_ip6 ? ip6_rewrite_mcast_node.index : ip4_rewrite_mcast_node.index;
    }
  frame = vlib_get_frame_to_node (vm, node);
  to = vlib_frame_vector_args (frame);
  to[0] = index;
  frame->n_vectors = 1;
  vlib_put_frame_to_node (vm, node, frame);
}

/* Sends the frames that are due, a bounded number. Returns how many. */
u32
pfp_sync_flush (vlib_main_t *vm, pfp_thread_t *thread, u64 now_ns)
{
  pfp_main_t *pm = &pfp_main;
  u32 capacity = vlib_buffer_get_default_data_size (vm), sent, length, index;

  if (vec_len (pm->peers) == 0 || pm->sync_sw_if_index == ~0)
    return 0;
  for (sent = 0; sent < FRAMES_PER_POLL; sent++)
    {
      vlib_buffer_t *b;

      if (vlib_buffer_alloc (vm, &index, 1) != 1)
	{
	  vlib_node_increment_counter (vm, pfp_poll_node.index, PFPLANE_POLL_ERROR_NO_BUFFER, 1);
	  break;
	}
      b = vlib_get_buffer (vm, index);
      if (pfplane_lane_flush (thread->lane, now_ns, vlib_buffer_get_current (b), capacity, &length) != PFPLANE_OK ||
	  length == 0)
	{
	  vlib_buffer_free_one (vm, index);
	  break;
	}
      send_frame (vm, index, b, length);
    }
  return sent;
}

/* Receives on the thread of lane 0; other threads hand over. */
static uword
receive (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame, int is_ip6)
{
  pfp_main_t *pm = &pfp_main;
  u32 *from = vlib_frame_vector_args (frame), n = frame->n_vectors;
  u64 now_ns = pfp_now_ns (vm);
  u32 counts[PFPLANE_SYNC_N_ERROR] = { 0 };
  pfp_thread_t *thread;

  if (pm->engine && vm->thread_index != pm->first_thread)
    {
      u16 threads[VLIB_FRAME_SIZE];
      u32 sent;

      for (u32 i = 0; i < n; i++)
	threads[i] = (u16) pm->first_thread;
      sent = pfp_handoff (vm, node, pm->sync_queue[is_ip6], from, threads, n);
      vlib_node_increment_counter (vm, node->node_index, PFPLANE_SYNC_ERROR_HANDED_OFF, sent);
      vlib_node_increment_counter (vm, node->node_index, PFPLANE_SYNC_ERROR_CONGESTION, n - sent);
      /* Main thread and workers: the library's call is safe from any of them. */
      pfplane_engine_frames_missed (pm->engine, n - sent);
      return n;
    }
  thread = vec_elt_at_index (pm->threads, vm->thread_index);
  for (u32 i = 0; i < n; i++)
    {
      vlib_buffer_t *b = vlib_get_buffer (vm, from[i]);
      i32 status;

      if (pm->engine == 0)
	counts[PFPLANE_SYNC_ERROR_NOT_ENABLED]++;
      else if (vnet_buffer (b)->ip.rx_sw_if_index != pm->sync_sw_if_index)
	counts[PFPLANE_SYNC_ERROR_WRONG_INTERFACE]++;
      else if ((b->flags & VLIB_BUFFER_NEXT_PRESENT) &&
	       (b->ref_count != 1 || !vlib_buffer_chain_linearize (vm, b) || (b->flags & VLIB_BUFFER_NEXT_PRESENT)))
	counts[PFPLANE_SYNC_ERROR_NOT_CONTIGUOUS]++;
      else
	{
	  counts[PFPLANE_SYNC_ERROR_RECEIVED]++;
	  status = pfplane_lane_receive (thread->lane, vlib_buffer_get_current (b), b->current_length, now_ns);
	  if (status == PFPLANE_ERROR_FULL)
	    counts[PFPLANE_SYNC_ERROR_MESSAGES_LOST]++;
	  else if (status != PFPLANE_OK)
	    counts[PFPLANE_SYNC_ERROR_REFUSED_CALL]++;
	}
    }
  for (u32 i = 0; i < PFPLANE_SYNC_N_ERROR; i++)
    if (counts[i])
      vlib_node_increment_counter (vm, node->node_index, i, counts[i]);
  vlib_buffer_free (vm, from, n);
  if (pm->engine)
    pfp_release (vm, thread, now_ns);
  return n;
}

VLIB_NODE_FN (pfp_sync_ip4_node) (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  return receive (vm, node, frame, 0);
}

VLIB_NODE_FN (pfp_sync_ip6_node) (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  return receive (vm, node, frame, 1);
}

VLIB_REGISTER_NODE (pfp_sync_ip4_node) = {
  .name = "pfplane-sync-ip4",
  .vector_size = sizeof (u32),
  .type = VLIB_NODE_TYPE_INTERNAL,
  .n_errors = PFPLANE_SYNC_N_ERROR,
  .error_counters = pfplane_sync_error_counters,
};

VLIB_REGISTER_NODE (pfp_sync_ip6_node) = {
  .name = "pfplane-sync-ip6",
  .vector_size = sizeof (u32),
  .type = VLIB_NODE_TYPE_INTERNAL,
  .n_errors = PFPLANE_SYNC_N_ERROR,
  .error_counters = pfplane_sync_error_counters,
};
