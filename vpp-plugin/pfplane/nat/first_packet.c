/* How the first packet of a connection is translated. Later packets are translated by their state, in the library. */
#include <pfplane/vrf/vrf.h>

enum
{
  PREFIX_BYTES = 12,
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
  leaves_by = pfp_egress (sw_if_index, 0, &address);
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
