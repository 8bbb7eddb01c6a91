/* Binary API: lists of states and peers, by cursor. */
#include <pfplane/control/api.h>
#include <pfplane/control/pfplane_lists.api_enum.h>
#include <pfplane/control/pfplane_lists.api_types.h>

static u16 message_base;

#define REPLY_MSG_ID_BASE message_base
#include <vlibapi/api_helper_macros.h>

enum
{
  MAX_STATES = 256, /* of one message: the workers stand still meanwhile */
  RULE_BITS = 12,
};

static void
send_peer (vl_api_registration_t *client, u32 context, u32 number)
{
  const pfp_peer_t *peer = vec_elt_at_index (pfp_main.peers, number);
  struct pfplane_seal_status seal = { .size = sizeof (seal) };
  static const u8 none[16];
  vl_api_pfplane_peers_details_t *rmp;

  if (pfp_main.engine)
    pfplane_engine_seal_status (pfp_main.engine, number, &seal);
  REPLY_MACRO_DETAILS4_END (VL_API_PFPLANE_PEERS_DETAILS, client, context, ({
			      rmp->peer = number;
			      rmp->profile = peer->profile;
			      rmp->is_multicast = peer->destination.family == 0;
			      pfp_address_to_api (&rmp->address, peer->is_ip6 ? 6 : 4,
						  peer->destination.family ? peer->destination.bytes : none);
			      rmp->extensions = peer->extensions;
			      rmp->seal = peer->seal;
			      rmp->proven = seal.proven;
			      rmp->accepted = seal.accepted;
			      rmp->key_sent = seal.key_sent;
			      rmp->key_received = seal.key_received;
			    }));
}

static void
vl_api_pfplane_peers_get_t_handler (vl_api_pfplane_peers_get_t *mp)
{
  vl_api_registration_t *client = vl_api_client_index_to_registration (mp->client_index);
  vl_api_pfplane_peers_get_reply_t *rmp;
  int rv = 0;

  if (client == 0)
    return;
  for (u32 i = mp->cursor; i < vec_len (pfp_main.peers); i++)
    send_peer (client, mp->context, i);
  REPLY_MACRO2_END (VL_API_PFPLANE_PEERS_GET_REPLY, ({ rmp->cursor = ~0; }));
}

static void
send_state (vl_api_registration_t *client, u32 context, u32 lane, const struct pfplane_state_view *view)
{
  const struct pfplane_state *state = &view->state;
  const struct pfplane_key *key = &state->key[1];
  /* Index 0 is the end beyond the interface, which sent the first packet of an inbound state. */
  u32 from = state->direction == PFPLANE_IN ? 0 : 1;
  vl_api_pfplane_states_details_t *rmp;

  REPLY_MACRO_DETAILS4_END (VL_API_PFPLANE_STATES_DETAILS, client, context, ({
			      rmp->id = view->id;
			      rmp->creator = view->creator;
			      rmp->lane = lane;
			      rmp->proto = key->proto;
			      rmp->direction = state->direction;
			      pfp_address_to_api (&rmp->client, key->family, key->addr[from]);
			      rmp->client_port = key->port[from];
			      pfp_address_to_api (&rmp->server, key->family, key->addr[1 - from]);
			      rmp->server_port = key->port[1 - from];
			      rmp->vrf = state->key[0].rdomain;
			      rmp->outside_vrf = key->rdomain;
			      rmp->client_state = state->src.state;
			      rmp->server_state = state->dst.state;
			      rmp->age = state->age_s;
			      rmp->expires = state->expire_s;
			      for (u32 i = 0; i < 2; i++)
				{
				  rmp->packets[i] = state->packets[i];
				  rmp->bytes[i] = state->bytes[i];
				}
			      rmp->acl = state->rule == UINT32_MAX ? ~0u : state->rule >> RULE_BITS;
			      rmp->acl_rule = state->rule == UINT32_MAX ? ~0u : state->rule & ((1 << RULE_BITS) - 1);
			      rmp->imported = view->imported;
			      rmp->local_traffic = view->local_traffic;
			      rmp->translated = view->translated;
			    }));
}

/* The cursor is the thread in its upper half, and the library's cursor of that thread's lane in the lower one. */
static void
vl_api_pfplane_states_get_t_handler (vl_api_pfplane_states_get_t *mp)
{
  vl_api_registration_t *client = vl_api_client_index_to_registration (mp->client_index);
  u32 thread = (u32) (mp->cursor >> 32), cursor = (u32) mp->cursor, sent = 0;
  u32 max = mp->max == 0 || mp->max > MAX_STATES ? MAX_STATES : mp->max;
  struct pfplane_state_view view = { .size = sizeof (view) };
  u64 now_ns = pfp_now_ns (vlib_get_main ());
  vl_api_pfplane_states_get_reply_t *rmp;
  int rv = pfp_main.engine ? 0 : VNET_API_ERROR_FEATURE_DISABLED;

  if (client == 0)
    return;
  for (; rv == 0 && thread < vec_len (pfp_main.threads); thread++, cursor = 0)
    {
      pfplane_lane *lane = pfp_main.threads[thread].lane;

      while (rv == 0 && lane)
	{
	  u32 before = cursor;

	  if (pfplane_lane_state_next (lane, now_ns, &cursor, &view) != PFPLANE_OK)
	    break;
	  if (sent == max)
	    {
	      cursor = before;
	      rv = VNET_API_ERROR_EAGAIN;
	    }
	  else
	    {
	      send_state (client, mp->context, thread - pfp_main.first_thread, &view);
	      sent++;
	    }
	}
      if (rv)
	break;
    }
  REPLY_MACRO2_END (VL_API_PFPLANE_STATES_GET_REPLY, ({ rmp->cursor = (u64) thread << 32 | cursor; }));
}

#include <vnet/format_fns.h>
#include <pfplane/control/pfplane_lists.api.c>

static clib_error_t *
pfp_list_messages (vlib_main_t *vm)
{
  message_base = setup_message_id_table ();
  return 0;
}

VLIB_API_INIT_FUNCTION (pfp_list_messages);
