/* Interfaces: their side, and the features that follow from it. */
#include <pfplane/election/election.h>
#include <pfplane/nat/nat.h>
#include <pfplane/vrf/vrf.h>
#include <vnet/ip/reass/ip4_sv_reass.h>
#include <vnet/ip/reass/ip6_sv_reass.h>

/* Returns the settings of an interface that exists. */
pfp_interface_t *
pfp_interface (u32 sw_if_index)
{
  pfp_main_t *pm = &pfp_main;
  const pfp_interface_t none = { .policy = { .context = ~0 } };

  vec_validate_init_empty (pm->interfaces, sw_if_index, none);
  vec_validate (pm->sides, sw_if_index);
  return vec_elt_at_index (pm->interfaces, sw_if_index);
}

static clib_error_t *
set_features (u32 sw_if_index, int enable)
{
  int failed;

  failed = ip4_sv_reass_enable_disable_with_refcnt (sw_if_index, enable);
  failed |= ip6_sv_reass_enable_disable_with_refcnt (sw_if_index, enable);
  failed |= vnet_feature_enable_disable ("ip4-unicast", "pfplane-lookup-ip4", sw_if_index, enable, 0, 0);
  failed |= vnet_feature_enable_disable ("ip6-unicast", "pfplane-lookup-ip6", sw_if_index, enable, 0, 0);
  return failed ? clib_error_return (0, "VPP cannot %s the features of %U", enable ? "enable" : "disable",
				     format_vnet_sw_if_index_name, vnet_get_main (), sw_if_index) :
		  0;
}

/* Frees held packets: what they need to leave is about to change. */
void
pfp_held_drop (vlib_main_t *vm)
{
  pfp_main_t *pm = &pfp_main;
  u64 handles[VLIB_FRAME_SIZE];
  u64 now_ns = pfp_now_ns (vm);
  pfp_thread_t *thread;
  u32 count;

  vec_foreach (thread, pm->threads)
    if (thread->lane)
      do
	{
	  if (pfplane_lane_release (thread->lane, now_ns, true, handles, VLIB_FRAME_SIZE, &count) != PFPLANE_OK)
	    break;
	  for (u32 i = 0; i < count; i++)
	    vlib_buffer_free_one (vm, (u32) handles[i]);
	  vlib_node_increment_counter (vm, pfp_lookup_ip4_node.index, PFPLANE_LOOKUP_ERROR_DISABLED, count);
	}
      while (count == VLIB_FRAME_SIZE);
}

static clib_error_t *
apply (u32 sw_if_index)
{
  pfp_main_t *pm = &pfp_main;
  pfp_interface_t *interface = vec_elt_at_index (pm->interfaces, sw_if_index);
  int wanted = pm->engine != 0 && interface->side != PFP_SIDE_NONE;
  clib_error_t *error = 0;

  pm->sides[sw_if_index] = wanted ? interface->side : PFP_SIDE_NONE;
  if (wanted != interface->has_feature)
    {
      error = set_features (sw_if_index, wanted);
      interface->has_feature = wanted;
    }
  return error;
}

/* Brings the features of all interfaces in line with what is enabled. */
void
pfp_interfaces_apply (void)
{
  clib_error_t *error;

  for (u32 i = 0; i < vec_len (pfp_main.interfaces); i++)
    if ((error = apply (i)))
      clib_error_report (error);
}

/* Runs under the workers' barrier, as everything that changes what the nodes read. */
clib_error_t *
pfp_interface_set (vlib_main_t *vm, u32 sw_if_index, pfp_side_t side)
{
  pfp_interface_t *interface = pfp_interface (sw_if_index);
  clib_error_t *error = side == PFP_SIDE_NONE ? 0 : pfp_vrf_check (sw_if_index);

  if (error)
    return error;
  if (side != PFP_SIDE_NONE && interface->side == side)
    return clib_error_return (0, "%U is on that side already", format_vnet_sw_if_index_name, vnet_get_main (),
			      sw_if_index);
  if (interface->has_feature)
    pfp_held_drop (vm);
  interface->side = side;
  if (side == PFP_SIDE_NONE)
    pfp_policy_clear (&interface->policy);
  return apply (sw_if_index);
}

static clib_error_t *
interface_add_del (vnet_main_t *vnm, u32 sw_if_index, u32 is_add)
{
  pfp_main_t *pm = &pfp_main;

  if (is_add)
    return 0;
  pfp_nat_interface_deleted (sw_if_index);
  pfp_election_interface_deleted (sw_if_index);
  if (sw_if_index < vec_len (pm->interfaces))
    {
      pfp_interface_t *interface = vec_elt_at_index (pm->interfaces, sw_if_index);

      if (interface->has_feature)
	{
	  clib_error_t *error;

	  pfp_held_drop (vlib_get_main ());
	  if ((error = set_features (sw_if_index, 0)))
	    clib_error_report (error);
	}
      pfp_policy_clear (&interface->policy);
      interface->side = PFP_SIDE_NONE;
      interface->has_feature = 0;
      pm->sides[sw_if_index] = PFP_SIDE_NONE;
    }
  if (sw_if_index == pm->ready_sw_if_index)
    pm->ready_sw_if_index = ~0;
  if (sw_if_index == pm->sync_sw_if_index)
    {
      pfp_log_warn ("the sync interface was deleted: states are not replicated any more");
      pfp_sync_detach ();
      pm->sync_sw_if_index = ~0;
      pfp_sync_link_update ();
    }
  return 0;
}

VNET_SW_INTERFACE_ADD_DEL_FUNCTION (interface_add_del);
