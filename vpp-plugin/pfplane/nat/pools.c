/* The configuration of the translation. Runs under the workers' barrier. */
#include <pfplane/nat/nat.h>
#include <vnet/fib/fib_table.h>

pfp_nat_main_t pfp_nat_main;

static int
overlap (const pfp_pool_t *one, const pfp_pool_t *two)
{
  u64 first = clib_net_to_host_u32 (one->first.as_u32), second = clib_net_to_host_u32 (two->first.as_u32);

  return first < second + two->count && second < first + one->count;
}

/* Returns the pool that holds an address, or NULL. */
const pfp_pool_t *
pfp_nat_pool_of (ip4_address_t address)
{
  const pfp_pool_t one = { .first = address, .count = 1 };
  const pfp_pool_t *pool;

  vec_foreach (pool, pfp_nat_main.pools)
    if (overlap (pool, &one))
      return pool;
  return 0;
}

/* VPP answers ARP for an address that is local and connected on the interface that was asked. */
static void
claim (const pfp_pool_t *pool, int is_add)
{
  pfp_nat_main_t *nm = &pfp_nat_main;
  u32 fib_index = fib_table_get_index_for_sw_if_index (FIB_PROTOCOL_IP4, pool->sw_if_index);

  if (!pool->is_claimed)
    return;
  if (!nm->has_fib_source)
    {
      nm->fib_source = fib_source_allocate ("pfplane-nat", FIB_SOURCE_PRIORITY_LOW, FIB_SOURCE_BH_SIMPLE);
      nm->has_fib_source = 1;
    }
  for (u32 i = 0; i < pool->count; i++)
    {
      const fib_prefix_t prefix = { .fp_len = 32,
				    .fp_proto = FIB_PROTOCOL_IP4,
				    .fp_addr = { .ip4 = { .as_u32 = pfp_nat_address_at (pool, i) } } };
      if (is_add)
	fib_table_entry_update_one_path (fib_index, &prefix, nm->fib_source,
					 FIB_ENTRY_FLAG_CONNECTED | FIB_ENTRY_FLAG_LOCAL | FIB_ENTRY_FLAG_EXCLUSIVE,
					 DPO_PROTO_IP4, NULL, pool->sw_if_index, ~0, 1, NULL, FIB_ROUTE_PATH_FLAG_NONE);
      else
	fib_table_entry_delete (fib_index, &prefix, nm->fib_source);
    }
}

static int
has_forwards (const pfp_pool_t *pool)
{
  const pfp_forward_t *forward;

  vec_foreach (forward, pfp_nat_main.forwards)
    if (pfp_nat_pool_of (forward->address) == pool)
      return 1;
  return 0;
}

static clib_error_t *
pool_delete (const pfp_pool_t *wanted)
{
  pfp_nat_main_t *nm = &pfp_nat_main;

  for (u32 i = 0; i < vec_len (nm->pools); i++)
    {
      pfp_pool_t *pool = vec_elt_at_index (nm->pools, i);

      if (pool->sw_if_index != wanted->sw_if_index || pool->first.as_u32 != wanted->first.as_u32 ||
	  pool->count != wanted->count)
	continue;
      if (has_forwards (pool))
	return clib_error_return (0, "ports of this pool are forwarded: delete them first");
      claim (pool, 0);
      vec_del1 (nm->pools, i);
      nm->is_used = vec_len (nm->pools) > 0;
      return 0;
    }
  return clib_error_return (0, "there is no such pool");
}

clib_error_t *
pfp_nat_pool_set (const pfp_pool_t *pool, int is_add)
{
  pfp_nat_main_t *nm = &pfp_nat_main;
  const pfp_pool_t *other;

  if (!is_add)
    return pool_delete (pool);
  if (pool->count == 0 || pool->count > PFP_MAX_POOL_ADDRESSES)
    return clib_error_return (0, "a pool has 1 to %u addresses, in ascending order", PFP_MAX_POOL_ADDRESSES);
  if (ip4_address_is_multicast (&pool->first) || pool->first.as_u32 == 0)
    return clib_error_return (0, "%U is no host's address", format_ip4_address, &pool->first);
  if (pool->ports[0] == 0 || pool->ports[0] > pool->ports[1])
    return clib_error_return (0, "ports are a range in ascending order, without 0");
  if (vec_len (nm->pools) == PFP_MAX_POOLS)
    return clib_error_return (0, "at most %u pools", PFP_MAX_POOLS);
  vec_foreach (other, nm->pools)
    {
      if (overlap (pool, other))
	return clib_error_return (0, "another pool has some of these addresses");
      if (pool->sw_if_index == other->sw_if_index)
	return clib_error_return (0, "the interface has a pool already");
    }
  vec_add1 (nm->pools, *pool);
  nm->is_used = 1;
  claim (pool, 1);
  return 0;
}

clib_error_t *
pfp_nat_forward_set (const pfp_forward_t *forward, int is_add)
{
  pfp_nat_main_t *nm = &pfp_nat_main;

  if (forward->proto != IP_PROTOCOL_TCP && forward->proto != IP_PROTOCOL_UDP)
    return clib_error_return (0, "only ports of TCP and UDP are forwarded");
  if (forward->port == 0 || forward->to_port == 0)
    return clib_error_return (0, "0 is no port");
  for (u32 i = 0; i < vec_len (nm->forwards); i++)
    {
      const pfp_forward_t *other = vec_elt_at_index (nm->forwards, i);

      if (other->proto != forward->proto || other->port != forward->port || other->address.as_u32 != forward->address.as_u32)
	continue;
      if (is_add)
	return clib_error_return (0, "this port is forwarded already");
      vec_del1 (nm->forwards, i);
      return 0;
    }
  if (!is_add)
    return clib_error_return (0, "this port is not forwarded");
  if (pfp_nat_pool_of (forward->address) == 0)
    return clib_error_return (0, "no pool has %U", format_ip4_address, &forward->address);
  if (pfp_nat_pool_of (forward->to) != 0 || ip4_address_is_multicast (&forward->to) || forward->to.as_u32 == 0)
    return clib_error_return (0, "%U is no host on the inside", format_ip4_address, &forward->to);
  if (vec_len (nm->forwards) == PFP_MAX_FORWARDS)
    return clib_error_return (0, "at most %u ports are forwarded", PFP_MAX_FORWARDS);
  vec_add1 (nm->forwards, *forward);
  return 0;
}

/* NULL: no NAT64. */
clib_error_t *
pfp_nat_prefix_set (const ip6_address_t *prefix)
{
  pfp_nat_main_t *nm = &pfp_nat_main;

  if (prefix == 0)
    {
      nm->has_prefix = 0;
      return 0;
    }
  if (prefix->as_u32[3] != 0 || ip6_address_is_zero (prefix) || ip6_address_is_multicast (prefix) ||
      ip6_address_is_link_local_unicast (prefix))
    return clib_error_return (0, "the prefix of NAT64 has 96 bits, such as 64:ff9b::/96");
  nm->prefix = *prefix;
  nm->has_prefix = 1;
  return 0;
}

void
pfp_nat_interface_deleted (u32 sw_if_index)
{
  pfp_nat_main_t *nm = &pfp_nat_main;

  for (u32 i = vec_len (nm->pools); i-- > 0;)
    {
      pfp_pool_t pool = nm->pools[i];

      if (pool.sw_if_index != sw_if_index)
	continue;
      for (u32 k = vec_len (nm->forwards); k-- > 0;)
	if (pfp_nat_pool_of (nm->forwards[k].address) == &nm->pools[i])
	  vec_del1 (nm->forwards, k);
      claim (&pool, 0);
      vec_del1 (nm->pools, i);
    }
  nm->is_used = vec_len (nm->pools) > 0;
}
