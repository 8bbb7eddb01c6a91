/* VRFs: a packet is in the VRF of its interface, that is of the interface's FIB table. The table's id is the routing domain of the
 * library's keys, and of pfsync. */
#ifndef included_pfplane_vrf_h
#define included_pfplane_vrf_h

#include <pfplane/verdict.h>
#include <vnet/fib/fib_table.h>

enum
{
  PFP_MAX_VRF = 0xffff,	 /* pfsync has 16 bits */
  PFP_MAX_VRFS = 4096, /* that the library knows as those of this node */
};

static_always_inline u32
pfp_fib_index (u32 sw_if_index, int is_ip6)
{
  return vec_elt (is_ip6 ? ip6_main.fib_index_by_sw_if_index : ip4_main.fib_index_by_sw_if_index, sw_if_index);
}

static_always_inline u32
pfp_vrf_of_fib (u32 fib_index, int is_ip6)
{
  return pool_elt_at_index (is_ip6 ? ip6_main.fibs : ip4_main.fibs, fib_index)->ft_table_id;
}

static_always_inline u32
pfp_vrf (u32 sw_if_index, int is_ip6)
{
  return pfp_vrf_of_fib (pfp_fib_index (sw_if_index, is_ip6), is_ip6);
}

/* Whether a packet that passes has to be forwarded in another VRF than its interface's: an answer between two VRFs. */
static_always_inline int
pfp_changes_vrf (const pfp_batch_t *batch, const struct pfplane_verdict *verdict)
{
  return verdict->translated && verdict->reverse && verdict->rdomain != batch->burst.rdomain;
}

void pfp_vrfs_collect (void);
clib_error_t *pfp_vrf_check (u32 sw_if_index);
int pfp_vrf_select (pfp_batch_t *batch, vlib_buffer_t *b, const struct pfplane_verdict *verdict);
void pfp_vrf_of_replies (pfp_batch_t *batch, vlib_buffer_t *b, struct pfplane_state_options *options);
u32 pfp_egress (u32 sw_if_index, int is_ip6, const void *address);

#endif
