/* Translation: pools of source addresses, forwarded ports, and the prefix of NAT64. */
#ifndef included_pfplane_nat_h
#define included_pfplane_nat_h

#include <pfplane/plugin.h>
#include <vnet/fib/fib_source.h>

enum
{
  PFP_MAX_POOLS = 64,
  PFP_MAX_POOL_ADDRESSES = 256,
  PFP_MAX_FORWARDS = 1024,
  PFP_NAT_FIRST_PORT = 50001, /* pf's range */
  PFP_NAT_LAST_PORT = 65535,
};

/* Addresses that replace the sources of connections from the inside which leave by an interface. */
typedef struct
{
  u32 sw_if_index;
  ip4_address_t first;
  u32 count;
  u16 ports[2];
  u8 is_claimed; /* this router answers ARP for the addresses */
} pfp_pool_t;

/* A port of a pool's address that leads to a host on the inside. */
typedef struct
{
  ip4_address_t address, to;
  u16 port, to_port;
  u8 proto;
} pfp_forward_t;

typedef struct
{
  pfp_pool_t *pools;
  pfp_forward_t *forwards;
  ip6_address_t prefix; /* 96 bits, before the IPv4 address */
  u8 has_prefix;
  u8 is_used; /* there is a pool */
  u8 has_fib_source;
  fib_source_t fib_source;
} pfp_nat_main_t;

extern pfp_nat_main_t pfp_nat_main;

/* What a first packet's destination is to the translation. */
typedef enum
{
  PFP_NAT_NONE,
  PFP_NAT_POOL,	   /* a pool's address, without a forwarded port */
  PFP_NAT_OWN,	   /* the same, and the address is one of this router */
  PFP_NAT_FORWARD, /* a forwarded port; the options have the new destination */
  PFP_NAT_PREFIX,  /* an IPv4 address behind the prefix of NAT64 */
} pfp_nat_destination_t;

/* pools.c: the configuration. NULL is success. */
clib_error_t *pfp_nat_pool_set (const pfp_pool_t *pool, int is_add);
clib_error_t *pfp_nat_forward_set (const pfp_forward_t *forward, int is_add);
clib_error_t *pfp_nat_prefix_set (const ip6_address_t *prefix);
void pfp_nat_interface_deleted (u32 sw_if_index);
const pfp_pool_t *pfp_nat_pool_of (ip4_address_t address);

/* Returns the number of addresses from one to another, 0 if the second is less. */
static_always_inline u32
pfp_nat_count (ip4_address_t first, ip4_address_t last)
{
  u64 a = clib_net_to_host_u32 (first.as_u32), b = clib_net_to_host_u32 (last.as_u32);

  return b >= a ? (u32) clib_min (b - a + 1, (u64) CLIB_U32_MAX) : 0;
}

/* Returns an address of a pool by its index, in network order. */
static_always_inline u32
pfp_nat_address_at (const pfp_pool_t *pool, u32 index)
{
  return clib_host_to_net_u32 (clib_net_to_host_u32 (pool->first.as_u32) + index);
}

/* first_packet.c */
pfp_nat_destination_t pfp_nat_destination (const struct pfplane_facts *facts, int is_local, int from_inside,
					   struct pfplane_state_options *options);
int pfp_nat_source (u32 sw_if_index, const struct pfplane_facts *facts, pfp_nat_destination_t destination,
		    struct pfplane_state_options *options);

#endif
