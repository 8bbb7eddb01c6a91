/* Binary API of the election, and its events. */
#include <pfplane/control/api.h>
#include <pfplane/election/election.h>

#include <pfplane/control/pfplane_election.api_enum.h>
#include <pfplane/control/pfplane_election.api_types.h>

static u16 message_base;

#define REPLY_MSG_ID_BASE message_base
#include <vlibapi/api_helper_macros.h>

typedef struct
{
  u32 client_index;
  u32 pid;
} subscriber_t;

static subscriber_t *subscribers;

static void
vl_api_pfplane_group_set_t_handler (vl_api_pfplane_group_set_t *mp)
{
  pfp_group_settings_t settings = { .dialect = mp->dialect,
				    .interval_ms = mp->interval_ms,
				    .preempt_delay_ms = mp->preempt_delay_ms,
				    .priority = mp->priority,
				    .preempt = mp->preempt,
				    .own_mac = mp->own_mac };
  u8 *path = pfp_string_from_api (mp->passphrase_file, sizeof (mp->passphrase_file));
  vl_api_pfplane_group_set_reply_t *rmp;
  clib_error_t *error = path ? pfp_passphrase_read ((char *) path, settings.passphrase) : 0;
  int rv;

  if (error == 0 && (settings.priority == 0 || settings.priority > 254))
    error = clib_error_return (0, "the priority is 1 to 254");
  if (error == 0)
    error = pfp_group_set (mp->group, &settings);
  explicit_bzero (settings.passphrase, sizeof (settings.passphrase));
  vec_free (path);
  rv = pfp_api_result ("pfplane_group_set", error);
  REPLY_MACRO_END (VL_API_PFPLANE_GROUP_SET_REPLY);
}

static void
vl_api_pfplane_group_member_add_t_handler (vl_api_pfplane_group_member_add_t *mp)
{
  pfp_member_t member = { .sw_if_index = mp->sw_if_index, .id = mp->id };
  vl_api_pfplane_group_member_add_reply_t *rmp;
  int rv;

  VALIDATE_SW_IF_INDEX_END (mp);
  /* A message may state more addresses than it holds. */
  if (mp->count > PFP_MAX_SHARED + PFP_MAX_ELECTION_PEERS || mp->shared > mp->count ||
      vl_msg_api_get_msg_length (mp) < sizeof (*mp) + mp->count * sizeof (mp->addresses[0]))
    rv = VNET_API_ERROR_INVALID_ARGUMENT;
  else
    {
      for (u32 i = 0; i < mp->count; i++)
	{
	  struct pfplane_address address;

	  pfp_address_from_api (&address, &mp->addresses[i]);
	  if (i < mp->shared)
	    vec_add1 (member.shared, address);
	  else
	    vec_add1 (member.peers, address);
	}
      member.is_ip6 = vec_len (member.shared) > 0 && member.shared[0].family == 6;
      rv = pfp_api_result ("pfplane_group_member_add", pfp_group_member_add (mp->group, &member));
    }
  BAD_SW_IF_INDEX_LABEL;
  REPLY_MACRO_END (VL_API_PFPLANE_GROUP_MEMBER_ADD_REPLY);
}

static void
vl_api_pfplane_groups_clear_t_handler (vl_api_pfplane_groups_clear_t *mp)
{
  vl_api_pfplane_groups_clear_reply_t *rmp;
  int rv = pfp_api_result ("pfplane_groups_clear", pfp_groups_clear ());

  REPLY_MACRO_END (VL_API_PFPLANE_GROUPS_CLEAR_REPLY);
}

static void
vl_api_pfplane_step_down_t_handler (vl_api_pfplane_step_down_t *mp)
{
  vl_api_pfplane_step_down_reply_t *rmp;
  int rv = pfp_api_result ("pfplane_step_down", pfp_election_step_down (vlib_get_main (), mp->hold_ms));

  REPLY_MACRO_END (VL_API_PFPLANE_STEP_DOWN_REPLY);
}

static void
vl_api_pfplane_demote_t_handler (vl_api_pfplane_demote_t *mp)
{
  u8 *reason = pfp_string_from_api (mp->reason, sizeof (mp->reason));
  vl_api_pfplane_demote_reply_t *rmp;
  int rv = pfp_api_result ("pfplane_demote", reason ? pfp_election_demote ((char *) reason, mp->weight) :
							clib_error_return (0, "a demotion has a reason"));

  vec_free (reason);
  REPLY_MACRO_END (VL_API_PFPLANE_DEMOTE_REPLY);
}

static void
vl_api_pfplane_group_get_t_handler (vl_api_pfplane_group_get_t *mp)
{
  struct pfplane_election_status status = { .size = sizeof (status) };
  vl_api_pfplane_group_get_reply_t *rmp;
  pfplane_election *handle = mp->group < PFP_MAX_GROUPS ? pfp_election_main.groups[mp->group].handle : 0;
  int rv = handle ? 0 : VNET_API_ERROR_NO_SUCH_ENTRY;

  if (handle)
    pfplane_election_status_read (handle, &status);
  REPLY_MACRO2_END (VL_API_PFPLANE_GROUP_GET_REPLY, ({
		      rmp->role = status.role;
		      rmp->why = status.why;
		      rmp->forwards = pfplane_election_may_forward (handle, pfp_now_ns (vlib_get_main ()));
		      rmp->readiness = status.readiness;
		      rmp->demotion = status.demotion;
		      rmp->role_changes = status.role_changes;
		    }));
}

static u32
find_subscriber (u32 client_index)
{
  u32 i;

  for (i = 0; i < vec_len (subscribers); i++)
    if (subscribers[i].client_index == client_index)
      break;
  return i;
}

static void
vl_api_want_pfplane_events_t_handler (vl_api_want_pfplane_events_t *mp)
{
  u32 index = find_subscriber (mp->client_index), is_known = index < vec_len (subscribers);
  const subscriber_t subscriber = { .client_index = mp->client_index, .pid = mp->pid };
  vl_api_want_pfplane_events_reply_t *rmp;
  int rv = 0;

  if ((mp->enable_disable != 0) == is_known)
    rv = VNET_API_ERROR_INVALID_REGISTRATION;
  else if (mp->enable_disable)
    vec_add1 (subscribers, subscriber);
  else
    vec_del1 (subscribers, index);
  REPLY_MACRO_END (VL_API_WANT_PFPLANE_EVENTS_REPLY);
}

/* Sends an event to all clients that want it. Runs on the main thread. */
void
pfp_event_publish (const pfp_event_t *event)
{
  const struct pfplane_election_event *e = &event->election;
  subscriber_t *subscriber;

  vec_foreach (subscriber, subscribers)
    {
      vl_api_registration_t *client = vl_api_client_index_to_registration (subscriber->client_index);
      vl_api_pfplane_event_t *mp;

      if (client == 0)
	continue;
      mp = vl_msg_api_alloc_zero (sizeof (*mp));
      mp->_vl_msg_id = clib_host_to_net_u16 (VL_API_PFPLANE_EVENT + message_base);
      mp->client_index = subscriber->client_index;
      mp->pid = clib_host_to_net_u32 (subscriber->pid);
      mp->kind = clib_host_to_net_u32 (event->kind == PFP_EVENT_READINESS ? 0 : e->kind);
      mp->group = clib_host_to_net_u32 (event->group);
      mp->before = clib_host_to_net_u32 (e->role_before);
      mp->now = clib_host_to_net_u32 (e->role);
      mp->why = clib_host_to_net_u32 (e->why);
      mp->may_take_over = event->may_take_over;
      vl_api_send_msg (client, (u8 *) mp);
    }
}

static clib_error_t *
forget_client (u32 client_index)
{
  u32 index = find_subscriber (client_index);

  if (index < vec_len (subscribers))
    vec_del1 (subscribers, index);
  return 0;
}

VL_MSG_API_REAPER_FUNCTION (forget_client);

#include <vnet/format_fns.h>
#include <pfplane/control/pfplane_election.api.c>

static clib_error_t *
pfp_election_messages (vlib_main_t *vm)
{
  message_base = setup_message_id_table ();
  return 0;
}

VLIB_API_INIT_FUNCTION (pfp_election_messages);
