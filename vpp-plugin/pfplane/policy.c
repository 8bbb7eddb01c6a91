/* What happens to the first packet of a connection: pass, deny, or the ACLs of VPP's acl-plugin, which is looked up when the
 * first ACL is named. VPP without acl-plugin therefore works with `pass` and `deny`. */
#include <pfplane/plugin.h>
#include <vnet/fib/ip4_fib.h>
#include <vnet/fib/ip6_fib.h>
#include <vnet/dpo/load_balance.h>

#include <acl/exports.h>

/* acl-plugin's actions of a rule. */
enum
{
  ACL_DENY = 0,
  ACL_PERMIT = 1,
  ACL_REFLECT = 2,
};

static acl_plugin_methods_t acl_methods;
static u32 acl_user = ~0;

/* A state's rule number: ACL and rule, so that lists of states and pf peers show which rule it was. */
enum
{
  RULE_BITS = 12,
};

static clib_error_t *
attach_acl_plugin (void)
{
  clib_error_t *error;

  if (acl_user != ~0)
    return 0;
  error = acl_plugin_exports_init (&acl_methods);
  if (error)
    {
      clib_error_free (error);
      return clib_error_return (0, "ACLs need VPP's acl plugin, which is not loaded: enable acl_plugin.so, or use `pass`");
    }
  acl_user = acl_methods.register_user_module ("pfplane", "sw_if_index", "direction");
  return 0;
}

void
pfp_policy_clear (pfp_policy_t *policy)
{
  if (policy->context != ~0)
    acl_methods.put_lookup_context_index (policy->context);
  vec_free (policy->acls);
  policy->context = ~0;
  policy->kind = PFP_POLICY_DENY;
}

/* Takes over the vector `acls`. */
clib_error_t *
pfp_policy_set (u32 sw_if_index, pfp_policy_kind_t kind, u32 *acls)
{
  pfp_policy_t *policy = sw_if_index == PFP_LOCAL ? &pfp_main.local_policy : &pfp_interface (sw_if_index)->policy;
  clib_error_t *error = 0;
  u32 *acl;
  int context;

  if (kind != PFP_POLICY_ACLS)
    {
      vec_free (acls);
      pfp_policy_clear (policy);
      policy->kind = kind;
      return 0;
    }
  if ((error = attach_acl_plugin ()))
    goto fail;
  /* acl-plugin reads past its tables if a list without rules is matched. */
  if (vec_len (acls) == 0)
    {
      error = clib_error_return (0, "name at least one ACL");
      goto fail;
    }
  vec_foreach (acl, acls)
    if (!acl_methods.acl_exists (*acl))
      {
	error = clib_error_return (0, "there is no ACL %u", *acl);
	goto fail;
      }
  if (policy->context == ~0)
    {
      context = acl_methods.get_lookup_context_index (acl_user, sw_if_index, 0);
      if (context < 0)
	{
	  error = clib_error_return (0, "acl-plugin gives no lookup context: error %d", context);
	  goto fail;
	}
      policy->context = (u32) context;
    }
  if (acl_methods.set_acl_vec_for_context (policy->context, acls) != 0)
    {
      pfp_policy_clear (policy);
      error = clib_error_return (0, "acl-plugin refuses the list of ACLs; the policy is now `deny`");
      goto fail;
    }
  vec_free (policy->acls);
  policy->acls = acls;
  policy->kind = PFP_POLICY_ACLS;
  return 0;

fail:
  vec_free (acls);
  return error;
}

/* Whether the packet's destination is an address of this router. */
int
pfp_is_local (vlib_buffer_t *b, int is_ip6)
{
  u32 rx = vnet_buffer (b)->sw_if_index[VLIB_RX], index;
  const load_balance_t *lb;

  if (is_ip6)
    {
      const ip6_header_t *ip = vlib_buffer_get_current (b);
      index = ip6_fib_table_fwding_lookup (vec_elt (ip6_main.fib_index_by_sw_if_index, rx), &ip->dst_address);
    }
  else
    {
      const ip4_header_t *ip = vlib_buffer_get_current (b);
      index = ip4_fib_forwarding_lookup (vec_elt (ip4_main.fib_index_by_sw_if_index, rx), &ip->dst_address);
    }
  lb = load_balance_get (index);
  return load_balance_get_bucket_i (lb, 0)->dpoi_type == DPO_RECEIVE;
}

pfp_decision_t
pfp_policy_decide (vlib_buffer_t *b, int is_ip6, int is_local, u32 *rule)
{
  u32 sw_if_index = vnet_buffer (b)->sw_if_index[VLIB_RX];
  const pfp_policy_t *policy;
  pfp_decision_t drop = is_local ? PFP_DECISION_DROP_LOCAL : PFP_DECISION_DROP;
  u32 position, acl, index, trace;
  fa_5tuple_opaque_t tuple;
  u8 action;

  *rule = UINT32_MAX;
  policy = is_local ? &pfp_main.local_policy : &vec_elt (pfp_main.interfaces, sw_if_index).policy;
  switch (policy->kind)
    {
    case PFP_POLICY_PASS:
      return is_local ? PFP_DECISION_LOCAL : PFP_DECISION_STATE;
    case PFP_POLICY_DENY:
      return drop;
    case PFP_POLICY_ACLS:
      break;
    }
  acl_plugin_fill_5tuple_inline (acl_methods.p_acl_main, policy->context, b, is_ip6, 1, 0, &tuple);
  if (!acl_plugin_match_5tuple_inline_and_count (acl_methods.p_acl_main, policy->context, &tuple, is_ip6, &action,
						 &position, &acl, &index, &trace,
						 vlib_buffer_length_in_chain (vlib_get_main (), b)) ||
      action == ACL_DENY)
    return drop;
  /* This router's own connections have no states: they end with it. */
  if (is_local)
    return PFP_DECISION_LOCAL;
  if (action != ACL_REFLECT)
    return PFP_DECISION_PASS;
  *rule = acl << RULE_BITS | (index & ((1 << RULE_BITS) - 1));
  return PFP_DECISION_STATE;
}
