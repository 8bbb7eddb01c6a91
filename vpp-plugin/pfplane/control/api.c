/* Binary API: checks a message and calls what the command of its name calls. */
#include <pfplane/nat/nat.h>
#include <pfplane/control/api.h>
#include <pfplane/seal/seal.h>

#include <pfplane/control/pfplane.api_types.h>

static u16 message_base;

#define REPLY_MSG_ID_BASE message_base
#include <vlibapi/api_helper_macros.h>

int
pfp_api_result (const char *message, clib_error_t *error)
{
  if (error == 0)
    return 0;
  pfp_log_warn ("%s: %U", message, format_clib_error, error);
  clib_error_free (error);
  return VNET_API_ERROR_INVALID_VALUE;
}

void
pfp_address_from_api (struct pfplane_address *to, const vl_api_address_t *from)
{
  ip46_address_t address;

  clib_memset (to, 0, sizeof (*to));
  if (ip_address_decode (from, &address) == IP46_TYPE_IP6)
    {
      to->family = 6;
      clib_memcpy (to->bytes, &address.ip6, sizeof (address.ip6));
    }
  else
    {
      to->family = 4;
      clib_memcpy (to->bytes, &address.ip4, sizeof (address.ip4));
    }
}

void
pfp_address_to_api (vl_api_address_t *to, u8 family, const void *bytes)
{
  ip46_address_t address;

  ip46_address_reset (&address);
  if (family == 6)
    clib_memcpy (&address.ip6, bytes, sizeof (address.ip6));
  else
    clib_memcpy (&address.ip4, bytes, sizeof (address.ip4));
  ip_address_encode (&address, family == 6 ? IP46_TYPE_IP6 : IP46_TYPE_IP4, to);
}

/* Returns a text of a message as a vector that is a C string, NULL if it is empty. It may lack its end. */
u8 *
pfp_string_from_api (const u8 *text, u32 size)
{
  u8 *string = 0;

  for (u32 i = 0; i < size && text[i] != 0; i++)
    vec_add1 (string, text[i]);
  if (string)
    vec_add1 (string, 0);
  return string;
}

static void
vl_api_pfplane_enable_disable_t_handler (vl_api_pfplane_enable_disable_t *mp)
{
  vl_api_pfplane_enable_disable_reply_t *rmp;
  const pfp_settings_t settings = {
    .states_per_lane = mp->states_per_worker ? mp->states_per_worker : PFP_DEFAULT_STATES,
    .max_defer_ms = mp->defer_ms,
    .max_half_open = mp->max_half_open,
    .host_id = mp->host_id,
  };
  vlib_main_t *vm = vlib_get_main ();
  int rv = pfp_api_result ("pfplane_enable_disable", mp->enable ? pfp_enable (vm, &settings) : pfp_disable (vm));

  REPLY_MACRO_END (VL_API_PFPLANE_ENABLE_DISABLE_REPLY);
}

static void
vl_api_pfplane_interface_set_t_handler (vl_api_pfplane_interface_set_t *mp)
{
  vl_api_pfplane_interface_set_reply_t *rmp;
  int rv;

  VALIDATE_SW_IF_INDEX_END (mp);
  if (mp->side > PFPLANE_API_SIDE_OUTSIDE)
    rv = VNET_API_ERROR_INVALID_ARGUMENT;
  else
    rv = pfp_api_result ("pfplane_interface_set", pfp_interface_set (vlib_get_main (), mp->sw_if_index, (pfp_side_t) mp->side));
  BAD_SW_IF_INDEX_LABEL;
  REPLY_MACRO_END (VL_API_PFPLANE_INTERFACE_SET_REPLY);
}

static void
vl_api_pfplane_policy_set_t_handler (vl_api_pfplane_policy_set_t *mp)
{
  vl_api_pfplane_policy_set_reply_t *rmp;
  u32 *acls = 0;
  int rv;

  if (mp->sw_if_index != PFP_LOCAL)
    VALIDATE_SW_IF_INDEX_END (mp);
  /* A message may state more ACLs than it holds. */
  if (mp->policy > PFPLANE_API_POLICY_ACLS || mp->count > PFP_MAX_ACLS ||
      vl_msg_api_get_msg_length (mp) < sizeof (*mp) + mp->count * sizeof (mp->acls[0]))
    rv = VNET_API_ERROR_INVALID_ARGUMENT;
  else
    {
      for (u32 i = 0; i < mp->count; i++)
	vec_add1 (acls, mp->acls[i]);
      rv = pfp_api_result ("pfplane_policy_set", pfp_policy_set (mp->sw_if_index, (pfp_policy_kind_t) mp->policy, acls));
    }
  BAD_SW_IF_INDEX_LABEL;
  REPLY_MACRO_END (VL_API_PFPLANE_POLICY_SET_REPLY);
}

static void
vl_api_pfplane_nat_pool_set_t_handler (vl_api_pfplane_nat_pool_set_t *mp)
{
  vl_api_pfplane_nat_pool_set_reply_t *rmp;
  pfp_pool_t pool = { .sw_if_index = mp->sw_if_index,
		      .ports = { mp->first_port ? mp->first_port : PFP_NAT_FIRST_PORT,
				 mp->last_port ? mp->last_port : PFP_NAT_LAST_PORT },
		      .is_claimed = mp->claim };
  ip4_address_t last;
  int rv;

  VALIDATE_SW_IF_INDEX_END (mp);
  ip4_address_decode (mp->first, &pool.first);
  ip4_address_decode (mp->last, &last);
  pool.count = pfp_nat_count (pool.first, last);
  rv = pfp_api_result ("pfplane_nat_pool_set", pfp_nat_pool_set (&pool, mp->is_add));
  BAD_SW_IF_INDEX_LABEL;
  REPLY_MACRO_END (VL_API_PFPLANE_NAT_POOL_SET_REPLY);
}

static void
vl_api_pfplane_nat_forward_set_t_handler (vl_api_pfplane_nat_forward_set_t *mp)
{
  vl_api_pfplane_nat_forward_set_reply_t *rmp;
  pfp_forward_t forward = { .proto = mp->proto, .port = mp->port, .to_port = mp->to_port };
  int rv;

  ip4_address_decode (mp->address, &forward.address);
  ip4_address_decode (mp->to, &forward.to);
  rv = pfp_api_result ("pfplane_nat_forward_set", pfp_nat_forward_set (&forward, mp->is_add));
  REPLY_MACRO_END (VL_API_PFPLANE_NAT_FORWARD_SET_REPLY);
}

static void
vl_api_pfplane_nat_prefix_set_t_handler (vl_api_pfplane_nat_prefix_set_t *mp)
{
  vl_api_pfplane_nat_prefix_set_reply_t *rmp;
  ip6_address_t prefix;
  int rv;

  ip6_address_decode (mp->prefix, &prefix);
  rv = pfp_api_result ("pfplane_nat_prefix_set", pfp_nat_prefix_set (mp->enable ? &prefix : 0));
  REPLY_MACRO_END (VL_API_PFPLANE_NAT_PREFIX_SET_REPLY);
}

static void
vl_api_pfplane_sync_set_t_handler (vl_api_pfplane_sync_set_t *mp)
{
  vl_api_pfplane_sync_set_reply_t *rmp;
  int rv;

  if (mp->sw_if_index != ~0)
    VALIDATE_SW_IF_INDEX_END (mp);
  rv = pfp_api_result ("pfplane_sync_set", pfp_sync_set (mp->sw_if_index));
  BAD_SW_IF_INDEX_LABEL;
  REPLY_MACRO_END (VL_API_PFPLANE_SYNC_SET_REPLY);
}

static void
vl_api_pfplane_ready_set_t_handler (vl_api_pfplane_ready_set_t *mp)
{
  vl_api_pfplane_ready_set_reply_t *rmp;
  int rv;

  if (mp->sw_if_index != ~0)
    VALIDATE_SW_IF_INDEX_END (mp);
  rv = pfp_api_result ("pfplane_ready_set", pfp_ready_set (mp->sw_if_index));
  BAD_SW_IF_INDEX_LABEL;
  REPLY_MACRO_END (VL_API_PFPLANE_READY_SET_REPLY);
}

static void
vl_api_pfplane_peer_add_t_handler (vl_api_pfplane_peer_add_t *mp)
{
  vl_api_pfplane_peer_add_reply_t *rmp;
  pfp_peer_t peer = { .profile = mp->profile,
		      .is_ip6 = mp->address.af == ADDRESS_IP6,
		      .extensions = mp->extensions,
		      .seal = mp->seal,
		      .key_file = pfp_string_from_api (mp->key_file, sizeof (mp->key_file)) };
  int rv;

  if (!mp->is_multicast)
    pfp_address_from_api (&peer.destination, &mp->address);
  if (mp->has_source)
    pfp_address_from_api (&peer.source, &mp->source);
  rv = pfp_api_result ("pfplane_peer_add", pfp_peer_add (&peer));
  REPLY_MACRO_END (VL_API_PFPLANE_PEER_ADD_REPLY);
}

static void
vl_api_pfplane_seal_keys_reload_t_handler (vl_api_pfplane_seal_keys_reload_t *mp)
{
  vl_api_pfplane_seal_keys_reload_reply_t *rmp;
  int rv = pfp_api_result ("pfplane_seal_keys_reload", pfp_seal_keys_reload ());

  REPLY_MACRO_END (VL_API_PFPLANE_SEAL_KEYS_RELOAD_REPLY);
}

static void
vl_api_pfplane_peers_clear_t_handler (vl_api_pfplane_peers_clear_t *mp)
{
  vl_api_pfplane_peers_clear_reply_t *rmp;
  int rv = pfp_api_result ("pfplane_peers_clear", pfp_peers_clear ());

  REPLY_MACRO_END (VL_API_PFPLANE_PEERS_CLEAR_REPLY);
}

static void
vl_api_pfplane_states_clear_t_handler (vl_api_pfplane_states_clear_t *mp)
{
  vl_api_pfplane_states_clear_reply_t *rmp;
  int rv = pfp_api_result ("pfplane_states_clear", pfp_states_clear ());

  REPLY_MACRO_END (VL_API_PFPLANE_STATES_CLEAR_REPLY);
}

static void
vl_api_pfplane_bulk_request_t_handler (vl_api_pfplane_bulk_request_t *mp)
{
  vl_api_pfplane_bulk_request_reply_t *rmp;
  int rv = pfp_api_result ("pfplane_bulk_request", pfp_bulk_request ());

  REPLY_MACRO_END (VL_API_PFPLANE_BULK_REQUEST_REPLY);
}

static void
vl_api_pfplane_get_t_handler (vl_api_pfplane_get_t *mp)
{
  pfp_main_t *pm = &pfp_main;
  struct pfplane_readiness readiness = { .size = sizeof (readiness) };
  struct pfplane_bulk bulk = { .size = sizeof (bulk) };
  vl_api_pfplane_get_reply_t *rmp;
  u64 states = 0;
  int rv = 0;

  if (pm->engine)
    {
      pfplane_engine_readiness (pm->engine, pfp_now_ns (vlib_get_main ()), &readiness);
      pfplane_engine_bulk (pm->engine, &bulk);
      pfplane_engine_stat_find (pm->engine, PFPLANE_ALL_LANES, "states", &states);
    }
  REPLY_MACRO2_END (VL_API_PFPLANE_GET_REPLY, ({
		      rmp->enabled = pm->engine != 0;
		      rmp->ready = readiness.ready;
		      rmp->ready_reasons = readiness.reasons;
		      rmp->host_id = pm->engine ? pfplane_engine_host_id (pm->engine) : 0;
		      rmp->lanes = pm->engine ? pm->lane_count : 0;
		      rmp->states_per_lane = pm->settings.states_per_lane;
		      rmp->states = states;
		      rmp->memory_bytes = pm->memory_bytes;
		      rmp->bulk_phase = bulk.phase;
		    }));
}

#include <vnet/format_fns.h>
#include <pfplane/control/pfplane.api.c>

static clib_error_t *
set_up_messages (vlib_main_t *vm)
{
  message_base = setup_message_id_table ();
  return 0;
}

VLIB_API_INIT_FUNCTION (set_up_messages);
