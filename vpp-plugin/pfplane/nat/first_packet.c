/* How the first packet of a connection is translated. Later packets are translated by their state, in the library. */
#include <pfplane/nat/nat.h>
#include <vnet/adj/adj.h>
#include <vnet/dpo/load_balance.h>
#include <vnet/fib/ip4_fib.h>

enum
{
  PREFIX_BYTES = 12,
  MAX_RECURSIONS = 4,
};

static const pfp_forward_t *
find_forward (const struct pfplane_facts *facts, ip4_address_t address)
{
  const pfp_forward_t *forward;

  if (facts->kind != PFPLANE_KIND_TCP && facts->kind != PFPLANE_KIND_UDP)
    return 0;
  vec_foreach (forward, pfp_nat_main.forwards)
    if (forward->proto == facts->proto && forward->port == facts->destination_port &&
	forward->address.as_u32 == address.as_u32)
      return forward;
  return 0;
}

static void
set_source (struct pfplane_state_options *options, const pfp_pool_t *pool, u32 address)
{
  options->nat |= PFPLANE_NAT_SOURCE | PFPLANE_NAT_SOURCE_PORT;
  clib_memcpy (options->nat_source, &address, sizeof (address));
  options->nat_source_ports[0] = pool->ports[0];
  options->nat_source_ports[1] = pool->ports[1];
}

/* Classifies the destination. A forwarded port gets its new destination in `options`; for a client on the inside also a new source,
 * because the server would otherwise answer the client directly. */
pfp_nat_destination_t
pfp_nat_destination (const struct pfplane_facts *facts, int is_local, int from_inside, struct pfplane_state_options *options)
{
  const pfp_forward_t *forward;
  ip4_address_t address;
  const pfp_pool_t *pool;

  if (facts->family == 6)
    return from_inside && pfp_nat_main.has_prefix &&
		 clib_memcmp (facts->destination, &pfp_nat_main.prefix, PREFIX_BYTES) == 0 ?
	     PFP_NAT_PREFIX :
	     PFP_NAT_NONE;
  clib_memcpy (&address, facts->destination, sizeof (address));
  if (facts->family != 4 || (pool = pfp_nat_pool_of (address)) == 0)
    return PFP_NAT_NONE;
  if ((forward = find_forward (facts, address)) == 0)
    return is_local && !pool->is_claimed ? PFP_NAT_OWN : PFP_NAT_POOL;
  options->nat = PFPLANE_NAT_DESTINATION | PFPLANE_NAT_DESTINATION_PORT;
  clib_memcpy (options->nat_destination, &forward->to, sizeof (forward->to));
  options->nat_destination_port = forward->to_port;
  if (from_inside)
    set_source (options, pool, address.as_u32);
  return PFP_NAT_FORWARD;
}

/* Returns the interface by which VPP would send to an address, ~0 if there is none. Of several paths it is the first one's. */
static u32
egress (u32 sw_if_index, const ip4_address_t *address)
{
  u32 fib_index = vec_elt (ip4_main.fib_index_by_sw_if_index, sw_if_index);
  const load_balance_t *lb = load_balance_get (ip4_fib_forwarding_lookup (fib_index, address));

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

/* Sets the new source of a connection from the inside, if it leaves by an interface with a pool. One client keeps one address.
 * Returns 0 if the packet cannot be forwarded. */
int
pfp_nat_source (u32 sw_if_index, const struct pfplane_facts *facts, pfp_nat_destination_t destination,
		struct pfplane_state_options *options)
{
  ip4_address_t address;
  const pfp_pool_t *pool;
  u32 leaves_by, index = 0;

  if (destination == PFP_NAT_FORWARD || (facts->family == 6 && destination != PFP_NAT_PREFIX))
    return 1;
  clib_memcpy (&address, facts->destination + (destination == PFP_NAT_PREFIX ? PREFIX_BYTES : 0), sizeof (address));
  leaves_by = egress (sw_if_index, &address);
  vec_foreach (pool, pfp_nat_main.pools)
    if (pool->sw_if_index == leaves_by)
      {
	for (u32 i = 0; i < (facts->family == 6 ? 16 : 4); i++)
	  index = index * 31 + facts->source[i];
	set_source (options, pool, pfp_nat_address_at (pool, index % pool->count));
	break;
      }
  if (destination != PFP_NAT_PREFIX)
    return 1;
  if (pool == vec_end (pfp_nat_main.pools))
    return 0;
  options->nat |= PFPLANE_NAT_DESTINATION | PFPLANE_NAT_FAMILY;
  options->nat_family = 4;
  clib_memcpy (options->nat_destination, &address, sizeof (address));
  return 1;
}
