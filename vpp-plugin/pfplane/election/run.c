/* Runs the elections on the thread of lane 0: links, readiness, adverts out, the announcement of the pools, events. */
#include <pfplane/election/election.h>
#include <pfplane/nat/nat.h>
#include <vnet/ethernet/ethernet.h>
#include <vnet/ethernet/arp_packet.h>

enum
{
  LINK_INTERVAL_NS = 10000000,
  ANNOUNCE_ROUNDS = 2,
  ANNOUNCE_EVERY_NS = 1000000000, /* between the rounds */
  ANNOUNCE_PER_POLL = 32,
  VLAN_TAG_BYTES = 4,
  MAC_HEADER_BYTES = 12,
};

static const u8 broadcast[PFP_MAC_BYTES] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

/* Passes a frame, from its Ethernet header on, to the output of an interface. The tag of a sub-interface is put in. */
void
pfp_election_send (vlib_main_t *vm, u32 sw_if_index, const u8 *bytes, u32 length)
{
  vnet_main_t *vnm = vnet_get_main ();
  vnet_sw_interface_t *interface = vnet_get_sw_interface (vnm, sw_if_index);
  vlib_frame_t *frame;
  vlib_buffer_t *b;
  u32 index;
  u8 *to;

  if (length + VLAN_TAG_BYTES > vlib_buffer_get_default_data_size (vm) || vlib_buffer_alloc (vm, &index, 1) != 1)
    {
      vlib_node_increment_counter (vm, pfp_poll_node.index, PFPLANE_POLL_ERROR_NO_BUFFER, 1);
      return;
    }
  b = vlib_get_buffer (vm, index);
  to = vlib_buffer_get_current (b);
  clib_memcpy (to, bytes, MAC_HEADER_BYTES);
  to += MAC_HEADER_BYTES;
  if (interface->type == VNET_SW_INTERFACE_TYPE_SUB)
    {
      u16 tag[2] = { clib_host_to_net_u16 (interface->sub.eth.flags.dot1ad ? ETHERNET_TYPE_DOT1AD : ETHERNET_TYPE_VLAN),
		     clib_host_to_net_u16 (interface->sub.eth.outer_vlan_id) };

      clib_memcpy (to, tag, sizeof (tag));
      to += sizeof (tag);
    }
  clib_memcpy (to, bytes + MAC_HEADER_BYTES, length - MAC_HEADER_BYTES);
  to += length - MAC_HEADER_BYTES;
  b->current_length = (u16) (to - (u8 *) vlib_buffer_get_current (b));
  b->total_length_not_including_first_buffer = 0;
  b->flags |= VNET_BUFFER_F_LOCALLY_ORIGINATED | VLIB_BUFFER_TOTAL_LENGTH_VALID;
  vnet_buffer (b)->sw_if_index[VLIB_RX] = vnet_buffer (b)->sw_if_index[VLIB_TX] = sw_if_index;
  frame = vlib_get_frame_to_node (vm, vnet_get_sup_hw_interface (vnm, sw_if_index)->output_node_index);
  ((u32 *) vlib_frame_vector_args (frame))[0] = index;
  frame->n_vectors = 1;
  vlib_put_frame_to_node (vm, vnet_get_sup_hw_interface (vnm, sw_if_index)->output_node_index, frame);
}

/* Sends a unicast advert as VPP sends any packet: the neighbour's MAC address is VPP's affair. */
static void
send_unicast (vlib_main_t *vm, u32 sw_if_index, const u8 *bytes, u32 length, int is_ip6)
{
  u32 node = is_ip6 ? ip6_lookup_node.index : ip4_lookup_node.index, index;
  vlib_frame_t *frame;
  vlib_buffer_t *b;

  bytes += sizeof (ethernet_header_t);
  length -= sizeof (ethernet_header_t);
  if (length > vlib_buffer_get_default_data_size (vm) || vlib_buffer_alloc (vm, &index, 1) != 1)
    {
      vlib_node_increment_counter (vm, pfp_poll_node.index, PFPLANE_POLL_ERROR_NO_BUFFER, 1);
      return;
    }
  b = vlib_get_buffer (vm, index);
  clib_memcpy (vlib_buffer_get_current (b), bytes, length);
  b->current_length = (u16) length;
  b->total_length_not_including_first_buffer = 0;
  b->flags |= VNET_BUFFER_F_LOCALLY_ORIGINATED | VLIB_BUFFER_TOTAL_LENGTH_VALID;
  b->flags |= is_ip6 ? VNET_BUFFER_F_IS_IP6 : VNET_BUFFER_F_IS_IP4;
  vnet_buffer (b)->sw_if_index[VLIB_RX] = sw_if_index;
  vnet_buffer (b)->sw_if_index[VLIB_TX] = ~0;
  frame = vlib_get_frame_to_node (vm, node);
  ((u32 *) vlib_frame_vector_args (frame))[0] = index;
  frame->n_vectors = 1;
  vlib_put_frame_to_node (vm, node, frame);
}

static int
is_up (u32 sw_if_index)
{
  return sw_if_index != ~0 && vnet_sw_interface_is_up (vnet_get_main (), sw_if_index) &&
	 (vnet_get_sup_hw_interface (vnet_get_main (), sw_if_index)->flags & VNET_HW_INTERFACE_FLAG_LINK_UP);
}

/* Sends the frames that the election has written. */
void
pfp_election_flush (vlib_main_t *vm, pfp_group_t *group)
{
  struct pfplane_election_status status = { .size = sizeof (status) };
  struct pfplane_election_frame frame = { .size = sizeof (frame) };
  u8 *bytes = pfp_election_main.scratch;
  u32 sent = 0;

  pfplane_election_status_read (group->handle, &status);
  while (pfplane_election_flush (group->handle, bytes, sizeof (pfp_election_main.scratch), &frame) == PFPLANE_OK)
    {
      /* A thread that was stopped since the poll may have lost its role. */
      if (status.role == PFPLANE_ELECTION_MASTER && !pfplane_election_may_forward (group->handle, pfp_now_ns (vm)))
	continue;
      if (!is_up (frame.port))
	pfplane_election_send_failed (group->handle, frame.port, 1, pfp_now_ns (vm));
      else if (frame.receiver.family != 0)
	send_unicast (vm, frame.port, bytes, frame.length, frame.receiver.family == 6);
      else
	pfp_election_send (vm, frame.port, bytes, frame.length);
      sent++;
    }
  if (sent)
    vlib_node_increment_counter (vm, pfp_poll_node.index, PFPLANE_POLL_ERROR_ELECTION_SENT, sent);
}

static void
watch_links (pfp_group_t *group, u64 now_ns)
{
  for (u32 i = 0; i < vec_len (group->members); i++)
    {
      u32 sw_if_index = group->members[i].sw_if_index, bit = 1u << i;
      u32 link = is_up (sw_if_index) ? bit : 0;

      if ((group->links & bit) == link)
	continue;
      group->links ^= bit;
      /* The port of a deleted interface is not known any more; its silence shows. */
      if (sw_if_index != ~0)
	pfplane_election_link (group->handle, (u16) sw_if_index, link != 0, now_ns);
      group->due_ns = 0;
    }
}

static void
set_readiness (pfp_group_t *group, u64 now_ns)
{
  struct pfplane_readiness readiness = { .size = sizeof (readiness) };
  u32 class;

  pfplane_engine_readiness (pfp_main.engine, now_ns, &readiness);
  class = readiness.ready_class == PFPLANE_READY_CLASS_SYNCED  ? PFPLANE_ELECTION_SYNCED :
	  readiness.ready_class == PFPLANE_READY_CLASS_GAVE_UP ? PFPLANE_ELECTION_GAVE_UP :
								  PFPLANE_ELECTION_LOADING;
  pfplane_election_readiness (group->handle, class);
}

/* Writes an event for the main thread. */
static void
event_put (const pfp_event_t *event)
{
  pfp_election_main_t *em = &pfp_election_main;
  u32 tail = em->event_tail;

  if (tail - clib_atomic_load_acq_n (&em->event_head) == PFP_MAX_EVENTS)
    {
      em->events_lost++;
      return;
    }
  em->events[tail % PFP_MAX_EVENTS] = *event;
  clib_atomic_store_rel_n (&em->event_tail, tail + 1);
}

/* Takes the oldest event on the main thread. Returns 0 if there is none. */
int
pfp_event_take (pfp_event_t *event)
{
  pfp_election_main_t *em = &pfp_election_main;
  u32 head = em->event_head;

  if (head == clib_atomic_load_acq_n (&em->event_tail))
    return 0;
  *event = em->events[head % PFP_MAX_EVENTS];
  clib_atomic_store_rel_n (&em->event_head, head + 1);
  return 1;
}

static void
take_events (vlib_main_t *vm, u32 number, pfp_group_t *group, u64 now_ns)
{
  pfp_event_t event = { .kind = PFP_EVENT_ELECTION, .group = number, .election = { .size = sizeof (event.election) } };
  u32 count = 0;

  while (pfplane_election_event_next (group->handle, now_ns, &event.election) == PFPLANE_OK)
    {
      if (event.election.kind == PFPLANE_ELECTION_EVENT_ROLE && event.election.role == PFPLANE_ELECTION_MASTER)
	{
	  group->announce_rounds = ANNOUNCE_ROUNDS;
	  group->announce_pool = group->announce_index = 0;
	  group->announce_due_ns = now_ns;
	}
      event_put (&event);
      count++;
    }
  if (count)
    vlib_process_signal_event_mt (vm, pfp_watchdog_node.index, 0, 0);
}

/* Announces the claimed addresses of the pools after a takeover, a bounded number a call. */
static void
announce_pools (vlib_main_t *vm, pfp_group_t *group, u64 now_ns)
{
  u8 frame[64];
  u32 sent = 0;

  if (PREDICT_TRUE (group->announce_rounds == 0) || now_ns < group->announce_due_ns)
    return;
  if (!pfplane_election_may_use_virtual_mac (group->handle, now_ns))
    {
      group->announce_rounds = 0;
      return;
    }
  while (group->announce_pool < vec_len (pfp_nat_main.pools) && sent < ANNOUNCE_PER_POLL)
    {
      const pfp_pool_t *pool = vec_elt_at_index (pfp_nat_main.pools, group->announce_pool);
      const pfp_member_t *member = pfp_member_of (group, pool->sw_if_index, 0);

      if (member == 0 || !pool->is_claimed || group->announce_index >= pool->count)
	{
	  group->announce_pool++;
	  group->announce_index = 0;
	  continue;
	}
      u32 address = pfp_nat_address_at (pool, group->announce_index++);
      u32 length =
	pfp_write_arp (frame, broadcast, member->mac, address, broadcast, address, ETHERNET_ARP_OPCODE_request);

      if (is_up (pool->sw_if_index))
	pfp_election_send (vm, pool->sw_if_index, frame, length);
      sent++;
    }
  if (sent)
    vlib_node_increment_counter (vm, pfp_poll_node.index, PFPLANE_POLL_ERROR_POOL_ANNOUNCED, sent);
  if (group->announce_pool < vec_len (pfp_nat_main.pools))
    return;
  group->announce_rounds--;
  group->announce_pool = group->announce_index = 0;
  group->announce_due_ns = now_ns + ANNOUNCE_EVERY_NS;
}

/* Called once a millisecond on the thread of lane 0, after the adverts that have arrived. */
void
pfp_election_poll (vlib_main_t *vm, u64 now_ns)
{
  pfp_election_main_t *em = &pfp_election_main;
  int watch = now_ns >= em->links_due_ns;

  if (watch)
    em->links_due_ns = now_ns + LINK_INTERVAL_NS;
  for (u32 i = 0; i < PFP_MAX_GROUPS; i++)
    {
      pfp_group_t *group = &em->groups[i];

      if (group->handle == 0)
	continue;
      if (watch)
	watch_links (group, now_ns);
      announce_pools (vm, group, now_ns);
      if (now_ns < group->due_ns)
	continue;
      if (pfp_main.has_extensions)
	pfplane_election_greet (group->handle, pfp_main.engine, now_ns);
      set_readiness (group, now_ns);
      pfplane_election_poll (group->handle, now_ns, &group->due_ns);
      pfp_election_flush (vm, group);
      take_events (vm, i, group, now_ns);
    }
}

/* Hands over in order. The states are sent before the farewell. */
clib_error_t *
pfp_election_step_down (vlib_main_t *vm, u32 hold_ms)
{
  u64 now_ns = pfp_now_ns (vm);

  if (!pfp_main.has_groups)
    return clib_error_return (0, "there is no election");
  for (u32 i = 0; i < PFP_MAX_GROUPS; i++)
    if (pfp_election_main.groups[i].handle)
      {
	pfplane_election_step_down (pfp_election_main.groups[i].handle, hold_ms, now_ns);
	pfp_election_main.groups[i].due_ns = 0;
      }
  return 0;
}

clib_error_t *
pfp_election_demote (const char *reason, u32 weight)
{
  if (!pfp_main.has_groups)
    return clib_error_return (0, "there is no election");
  for (u32 i = 0; i < PFP_MAX_GROUPS; i++)
    {
      pfp_group_t *group = &pfp_election_main.groups[i];

      if (group->handle && pfplane_election_demote (group->handle, reason, weight) != PFPLANE_OK)
	return clib_error_return (0, "%s", pfplane_last_error ());
      group->due_ns = 0;
    }
  return 0;
}
