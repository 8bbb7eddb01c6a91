/* Begins and ends the elections with the engine: the library's objects, protocol 112, multicast groups, MAC addresses. */
#include <pfplane/election/election.h>
#include <vnet/ethernet/ethernet.h>
#include <vnet/fib/fib_table.h>
#include <vnet/mfib/mfib_table.h>

/* VPP exports these and does not install their headers: an interface's link-local address, and the table of such addresses. */
extern const ip6_address_t *ip6_get_link_local_address (u32 sw_if_index);

typedef struct
{
  u32 sw_if_index;
  ip6_address_t address;
} link_local_prefix_t;

extern fib_node_index_t ip6_ll_table_entry_update (const link_local_prefix_t *prefix, fib_route_path_flags_t flags);
extern void ip6_ll_table_entry_delete (const link_local_prefix_t *prefix);

/* A dead interface forwards nothing, so it takes the whole priority away. */
enum
{
  LINK_WEIGHT = 254,
};

static const mfib_prefix_t groups[2] = {
  { .fp_proto = FIB_PROTOCOL_IP4, .fp_len = 32, .fp_grp_addr = { .ip4 = { .as_u8 = { 224, 0, 0, 18 } } } },
  { .fp_proto = FIB_PROTOCOL_IP6,
    .fp_len = 128,
    .fp_grp_addr = { .ip6 = { .as_u8 = { 0xff, 0x02, [15] = 0x12 } } } },
};

/* Fills a member's own address and its MAC addresses. */
static clib_error_t *
fill_own (pfp_member_t *member, const pfp_group_settings_t *settings, u8 own_mac[PFP_MAC_BYTES])
{
  vnet_main_t *vnm = vnet_get_main ();
  vnet_hw_interface_t *hw = vnet_get_sup_hw_interface (vnm, member->sw_if_index);
  const u8 kind = member->is_ip6 && settings->dialect == PFPLANE_ELECTION_VRRP3 ? 2 : 1;
  const u8 shared_mac[PFP_MAC_BYTES] = { 0, 0, 0x5e, 0, kind, member->id };
  const void *own;

  if (vec_len (hw->hw_address) != PFP_MAC_BYTES)
    return clib_error_return (0, "%U is no Ethernet interface", format_vnet_sw_if_index_name, vnm, member->sw_if_index);
  if (member->is_ip6)
    own = ip6_get_link_local_address (member->sw_if_index);
  else
    own = ip4_interface_first_address (&ip4_main, member->sw_if_index, 0);
  if (own == 0)
    return clib_error_return (0, "%U has no %s for the election", format_vnet_sw_if_index_name, vnm,
			      member->sw_if_index, member->is_ip6 ? "IPv6 (enable ip6 interface)" : "IPv4 address");
  clib_memset (&member->own, 0, sizeof (member->own));
  member->own.family = member->is_ip6 ? 6 : 4;
  clib_memcpy (member->own.bytes, own, member->is_ip6 ? 16 : 4);
  clib_memcpy (own_mac, hw->hw_address, PFP_MAC_BYTES);
  clib_memcpy (member->mac, settings->own_mac ? own_mac : shared_mac, PFP_MAC_BYTES);
  return 0;
}

static clib_error_t *
create (u32 number)
{
  pfp_group_t *group = &pfp_election_main.groups[number];
  struct pfplane_election_member members[PFP_MAX_MEMBERS];
  struct pfplane_election_config config;
  clib_error_t *error;

  pfplane_election_config_init (&config, sizeof (config));
  config.dialect = group->settings.dialect;
  config.mac = group->settings.own_mac ? PFPLANE_ELECTION_MAC_OWN : PFPLANE_ELECTION_MAC_VIRTUAL;
  config.priority = group->settings.priority;
  config.preempt = group->settings.preempt;
  config.preempt_delay_ms = group->settings.preempt_delay_ms;
  config.interval_us = group->settings.interval_ms * 1000;
  config.link_weight = LINK_WEIGHT;
  config.group = number;
  config.members = members;
  config.member_count = vec_len (group->members);
  for (u32 i = 0; i < config.member_count; i++)
    {
      pfp_member_t *from = vec_elt_at_index (group->members, i);
      struct pfplane_election_member *to = &members[i];

      *to = (struct pfplane_election_member){ .size = sizeof (*to),
					      .port = (u16) from->sw_if_index,
					      .id = from->id,
					      .addresses = from->shared,
					      .address_count = vec_len (from->shared),
					      .peers = from->peers,
					      .peer_count = vec_len (from->peers),
					      .passphrase =
						group->settings.passphrase[0] ? group->settings.passphrase : 0 };
      if ((error = fill_own (from, &group->settings, to->own_mac)))
	return error;
      to->own_address = from->own;
    }
  if (pfplane_election_new (&config, &group->handle) != PFPLANE_OK)
    {
      group->handle = 0;
      return clib_error_return (0, "group %u: %s", number, pfplane_last_error ());
    }
  group->due_ns = 0;
  group->links = group->announce_rounds = 0;
  group->is_applied = 0;
  return 0;
}

static void
free_all (void)
{
  for (u32 i = 0; i < PFP_MAX_GROUPS; i++)
    {
      pfplane_election_free (pfp_election_main.groups[i].handle);
      pfp_election_main.groups[i].handle = 0;
    }
}

/* Removes members whose interface was deleted. */
static void
remove_deleted (pfp_group_t *group)
{
  for (u32 i = vec_len (group->members); i-- > 0;)
    if (group->members[i].sw_if_index == ~0)
      {
	vec_free (group->members[i].shared);
	vec_free (group->members[i].peers);
	vec_delete (group->members, 1, i);
      }
}

/* Creates the elections of all groups with members, or none. */
clib_error_t *
pfp_election_new (void)
{
  clib_error_t *error;

  for (u32 i = 0; i < PFP_MAX_GROUPS; i++)
    remove_deleted (&pfp_election_main.groups[i]);
  for (u32 i = 0; i < PFP_MAX_GROUPS; i++)
    if (vec_len (pfp_election_main.groups[i].members) > 0 && (error = create (i)))
      {
	free_all ();
	return error;
      }
  return 0;
}

/* Takes protocol 112, which VPP's vrrp has from its start on, and remembers the node that had it: it gets the adverts of other
 * groups. */
static void
register_protocol (vlib_main_t *vm)
{
  pfp_election_main_t *em = &pfp_election_main;
  ip_lookup_main_t *lookups[2] = { &ip4_main.lookup_main, &ip6_main.lookup_main };
  const u32 locals[2] = { ip4_local_node.index, vlib_get_node_by_name (vm, (u8 *) "ip6-local")->index };
  const u32 ours[2] = { pfp_advert_ip4_node.index, pfp_advert_ip6_node.index };

  if (em->is_registered)
    return;
  em->is_registered = 1;
  for (u32 is_ip6 = 0; is_ip6 < 2; is_ip6++)
    {
      u32 next = lookups[is_ip6]->local_next_by_ip_protocol[PFP_ADVERT_PROTOCOL];

      if (next != IP_LOCAL_NEXT_PUNT)
	em->previous_next[is_ip6] =
	  (u32) vlib_node_add_next (vm, ours[is_ip6], vlib_get_node (vm, locals[is_ip6])->next_nodes[next]);
    }
  ip4_register_protocol (PFP_ADVERT_PROTOCOL, pfp_advert_ip4_node.index);
  ip6_register_protocol (PFP_ADVERT_PROTOCOL, pfp_advert_ip6_node.index);
}

/* Whether an interface of a routing table still has a group. */
static int
has_member_in (u32 fib_index, int is_ip6)
{
  fib_protocol_t proto = is_ip6 ? FIB_PROTOCOL_IP6 : FIB_PROTOCOL_IP4;

  for (u32 i = 0; i < vec_len (pfp_election_main.group_of[is_ip6]); i++)
    if (pfp_group_of (i, is_ip6) && mfib_table_get_index_for_sw_if_index (proto, i) == fib_index)
      return 1;
  return 0;
}

/* Joins or leaves the group of the adverts on an interface. The source is another one than that of VPP's vrrp, which has the same
 * entry. */
static void
set_multicast (const pfp_member_t *member, int join)
{
  const mfib_prefix_t *prefix = &groups[member->is_ip6];
  u32 fib_index = mfib_table_get_index_for_sw_if_index (prefix->fp_proto, member->sw_if_index);
  const fib_route_path_t to_us = { .frp_proto = fib_proto_to_dpo (prefix->fp_proto),
				   .frp_sw_if_index = ~0,
				   .frp_weight = 1,
				   .frp_flags = FIB_ROUTE_PATH_LOCAL,
				   .frp_mitf_flags = MFIB_ITF_FLAG_FORWARD };
  const fib_route_path_t from_link = { .frp_proto = fib_proto_to_dpo (prefix->fp_proto),
				       .frp_sw_if_index = member->sw_if_index,
				       .frp_weight = 1,
				       .frp_mitf_flags = MFIB_ITF_FLAG_ACCEPT };

  if (join)
    {
      mfib_table_entry_path_update (fib_index, prefix, MFIB_SOURCE_PLUGIN_LOW, MFIB_ENTRY_FLAG_NONE, &to_us);
      mfib_table_entry_path_update (fib_index, prefix, MFIB_SOURCE_PLUGIN_LOW, MFIB_ENTRY_FLAG_NONE, &from_link);
      return;
    }
  mfib_table_entry_path_remove (fib_index, prefix, MFIB_SOURCE_PLUGIN_LOW, &from_link);
  if (!has_member_in (fib_index, member->is_ip6))
    mfib_table_entry_path_remove (fib_index, prefix, MFIB_SOURCE_PLUGIN_LOW, &to_us);
}

static void
attach_member (u32 number, pfp_member_t *member, int is_attach)
{
  pfp_election_main_t *em = &pfp_election_main;
  vnet_main_t *vnm = vnet_get_main ();
  const u8 none = PFP_NO_GROUP;
  clib_error_t *error;

  vec_validate_init_empty (em->group_of[member->is_ip6], member->sw_if_index, none);
  em->group_of[member->is_ip6][member->sw_if_index] = is_attach ? (u8) number : PFP_NO_GROUP;
  set_multicast (member, is_attach);
  if (member->is_ip6)
    vnet_feature_enable_disable ("ip6-local", "pfplane-nd", member->sw_if_index, is_attach, 0, 0);
  else
    vnet_feature_enable_disable ("arp", "pfplane-arp", member->sw_if_index, is_attach, 0, 0);
  if (!em->groups[number].settings.own_mac)
    {
      vnet_hw_interface_t *hw = vnet_get_sup_hw_interface (vnm, member->sw_if_index);

      if ((error = vnet_hw_interface_add_del_mac_address (vnm, hw->hw_if_index, member->mac, is_attach)))
	{
	  pfp_log_warn ("%U %s no second MAC address: %U", format_vnet_sw_if_index_name, vnm, member->sw_if_index,
			is_attach ? "accepts" : "loses", format_clib_error, error);
	  clib_error_free (error);
	}
    }
}

void
pfp_election_attach (void)
{
  vlib_main_t *vm = vlib_get_main ();

  for (u32 i = 0; i < PFP_MAX_GROUPS; i++)
    {
      pfp_group_t *group = &pfp_election_main.groups[i];
      pfp_member_t *member;

      if (group->handle == 0)
	continue;
      register_protocol (vm);
      vec_foreach (member, group->members)
	attach_member (i, member, 1);
      pfp_main.has_groups = 1;
    }
}

/* Makes the shared addresses of a master local, and those of a backup not. */
static void
set_local (const pfp_member_t *member, int is_add)
{
  pfp_election_main_t *em = &pfp_election_main;
  fib_protocol_t proto = member->is_ip6 ? FIB_PROTOCOL_IP6 : FIB_PROTOCOL_IP4;
  u32 fib_index = fib_table_get_index_for_sw_if_index (proto, member->sw_if_index);
  const struct pfplane_address *address;

  if (!em->has_fib_source)
    {
      em->fib_source = fib_source_allocate ("pfplane-shared", FIB_SOURCE_PRIORITY_HI, FIB_SOURCE_BH_SIMPLE);
      em->has_fib_source = 1;
    }
  vec_foreach (address, member->shared)
    {
      fib_prefix_t prefix = { .fp_len = member->is_ip6 ? 128 : 32, .fp_proto = proto };
      link_local_prefix_t link_local = { .sw_if_index = member->sw_if_index };

      if (member->is_ip6)
	clib_memcpy (&prefix.fp_addr.ip6, address->bytes, 16);
      else
	clib_memcpy (&prefix.fp_addr.ip4, address->bytes, 4);
      if (member->is_ip6 && ip6_address_is_link_local_unicast (&prefix.fp_addr.ip6))
	{
	  link_local.address = prefix.fp_addr.ip6;
	  if (is_add)
	    ip6_ll_table_entry_update (&link_local, FIB_ROUTE_PATH_LOCAL);
	  else
	    ip6_ll_table_entry_delete (&link_local);
	}
      else if (is_add)
	fib_table_entry_update_one_path (fib_index, &prefix, em->fib_source,
					 FIB_ENTRY_FLAG_CONNECTED | FIB_ENTRY_FLAG_LOCAL, fib_proto_to_dpo (proto),
					 &prefix.fp_addr, member->sw_if_index, ~0, 1, NULL, FIB_ROUTE_PATH_FLAG_NONE);
      else
	fib_table_entry_delete (fib_index, &prefix, em->fib_source);
    }
}

static void
apply (pfp_group_t *group, int is_master)
{
  pfp_member_t *member;

  if (group->is_applied == is_master)
    return;
  group->is_applied = (u8) is_master;
  vec_foreach (member, group->members)
    if (member->sw_if_index != ~0)
      set_local (member, is_master);
}

/* Follows the roles. The forwarding and the answers do not wait for it: they ask the election itself. */
void
pfp_election_apply_roles (vlib_main_t *vm)
{
  u64 now_ns = pfp_now_ns (vm);

  for (u32 i = 0; i < PFP_MAX_GROUPS; i++)
    {
      pfp_group_t *group = &pfp_election_main.groups[i];
      int is_master = pfplane_election_may_forward (group->handle, now_ns);

      if (group->handle == 0 || group->is_applied == is_master)
	continue;
      vlib_worker_thread_barrier_sync (vm);
      apply (group, is_master);
      vlib_worker_thread_barrier_release (vm);
    }
}

/* Says farewell and ends the elections. Runs under the workers' barrier. */
void
pfp_election_detach (vlib_main_t *vm)
{
  pfp_election_main_t *em = &pfp_election_main;
  pfp_event_t event;

  pfp_main.has_groups = 0;
  for (u32 i = 0; i < PFP_MAX_GROUPS; i++)
    {
      pfp_group_t *group = &em->groups[i];
      pfp_member_t *member;

      if (group->handle == 0)
	continue;
      pfplane_election_step_down (group->handle, 0, pfp_now_ns (vm));
      pfp_election_flush (vm, group);
      apply (group, 0);
      vec_foreach (member, group->members)
	if (member->sw_if_index != ~0)
	  attach_member (i, member, 0);
    }
  free_all ();
  while (pfp_event_take (&event))
    ;
}

/* A deleted interface leaves its groups. The election continues without it: its link is down. */
void
pfp_election_interface_deleted (u32 sw_if_index)
{
  for (u32 i = 0; i < PFP_MAX_GROUPS; i++)
    {
      pfp_group_t *group = &pfp_election_main.groups[i];
      pfp_member_t *member;

      vec_foreach (member, group->members)
	{
	  if (member->sw_if_index != sw_if_index)
	    continue;
	  if (group->handle)
	    {
	      if (group->is_applied)
		set_local (member, 0);
	      attach_member (i, member, 0);
	    }
	  member->sw_if_index = ~0;
	}
    }
}
