/* Which VRFs there are, and connections whose two ends are in two of them. */
#include <pfplane/vrf/vrf.h>
#include <vnet/adj/adj.h>
#include <vnet/dpo/load_balance.h>
#include <vnet/fib/ip4_fib.h>
#include <vnet/fib/ip6_fib.h>

enum
{
  MAX_RECURSIONS = 4,
};

static void
add (u32 id)
{
  pfp_main_t *pm = &pfp_main;

  if (id != 0 && id <= PFP_MAX_VRF && vec_len (pm->vrfs) < PFP_MAX_VRFS && vec_search (pm->vrfs, id) == ~0)
    vec_add1 (pm->vrfs, id);
}

/* Notes the VRFs that exist: peers' states in others are refused. */
void
pfp_vrfs_collect (void)
{
  fib_table_t *table;

  vec_reset_length (pfp_main.vrfs);
  pool_foreach (table, ip4_main.fibs)
    add (table->ft_table_id);
  pool_foreach (table, ip6_main.fibs)
    add (table->ft_table_id);
}

/* Checks the VRFs of an interface that gets a side. */
clib_error_t *
pfp_vrf_check (u32 sw_if_index)
{
  for (int is_ip6 = 0; is_ip6 < 2; is_ip6++)
    {
      u32 id = pfp_vrf (sw_if_index, is_ip6);

      if (id > PFP_MAX_VRF)
	return clib_error_return (0, "%U is in VRF %u, but pfsync's numbers of VRFs end at %u", format_vnet_sw_if_index_name,
				  vnet_get_main (), sw_if_index, id, (u32) PFP_MAX_VRF);
      if (pfp_main.engine && id != 0 && vec_search (pfp_main.vrfs, id) == ~0)
	pfp_log_warn ("VRF %u did not exist when pfplane was enabled: peers' states in it are refused until it is enabled again", id);
    }
  return 0;
}

/* Returns the interface by which VPP would send to an address, ~0 if there is none. Of several paths it is the first one's. */
u32
pfp_egress (u32 sw_if_index, int is_ip6, const void *address)
{
  u32 fib_index = pfp_fib_index (sw_if_index, is_ip6);
  const load_balance_t *lb =
    load_balance_get (is_ip6 ? ip6_fib_table_fwding_lookup (fib_index, address) : ip4_fib_forwarding_lookup (fib_index, address));

  for (u32 i = 0; i < MAX_RECURSIONS; i++)
    {
      const dpo_id_t *dpo = load_balance_get_bucket_i (lb, 0);

      switch (dpo->dpoi_type)
	{
	case DPO_LOAD_BALANCE:
	  lb = load_balance_get (dpo->dpoi_index);
	  break;
	case DPO_ADJACENCY:
	case DPO_ADJACENCY_INCOMPLETE:
	case DPO_ADJACENCY_GLEAN:
	case DPO_ADJACENCY_MIDCHAIN:
	  return adj_get (dpo->dpoi_index)->rewrite_header.sw_if_index;
	default:
	  return ~0;
	}
    }
  return ~0;
}

/* Selects the VRF in which an answer between two VRFs is forwarded. Returns 0 if it does not exist. */
int
pfp_vrf_select (pfp_batch_t *batch, vlib_buffer_t *b, const struct pfplane_verdict *verdict)
{
  int is_ip6 = verdict->data_shift ? !batch->is_ip6 : batch->is_ip6;
  u32 fib_index = fib_table_find (is_ip6 ? FIB_PROTOCOL_IP6 : FIB_PROTOCOL_IP4, verdict->rdomain);

  if (fib_index == ~0)
    return 0;
  vnet_buffer (b)->sw_if_index[VLIB_TX] = fib_index;
  return 1;
}

/* A first packet that leaves by an interface of another VRF: its answers arrive there. */
void
pfp_vrf_of_replies (pfp_batch_t *batch, vlib_buffer_t *b, struct pfplane_state_options *options)
{
  const ip4_header_t *ip4 = vlib_buffer_get_current (b);
  const ip6_header_t *ip6 = vlib_buffer_get_current (b);
  const void *destination = batch->is_ip6 ? (const void *) &ip6->dst_address : &ip4->dst_address;
  int is_ip6 = batch->is_ip6;
  u32 leaves_by, vrf;

  if (pool_elts (ip4_main.fibs) == 1 && pool_elts (ip6_main.fibs) == 1)
    return;
  if (options->nat & PFPLANE_NAT_DESTINATION)
    destination = options->nat_destination;
  if (options->nat & PFPLANE_NAT_FAMILY)
    is_ip6 = options->nat_family == 6;
  leaves_by = pfp_egress (vnet_buffer (b)->sw_if_index[VLIB_RX], is_ip6, destination);
  if (leaves_by == ~0)
    return;
  vrf = pfp_vrf (leaves_by, is_ip6);
  if (vrf == batch->burst.rdomain || vrf > PFP_MAX_VRF)
    return;
  options->nat |= PFPLANE_NAT_RDOMAIN;
  options->nat_rdomain = (u16) vrf;
}
