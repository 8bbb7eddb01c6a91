/* What the files of the binary API have in common. */
#ifndef included_pfplane_control_api_h
#define included_pfplane_control_api_h

#include <pfplane/plugin.h>
#include <vnet/ip/ip_types_api.h>

#include <pfplane/control/pfplane.api_types.h>
#include <vlibapi/api.h>
#include <vlibmemory/api.h>

extern u16 pfp_message_base;

#define REPLY_MSG_ID_BASE pfp_message_base
#include <vlibapi/api_helper_macros.h>

/* Logs the cause of a failure, which a message has no space for. */
int pfp_api_result (const char *message, clib_error_t *error);
void pfp_address_from_api (struct pfplane_address *to, const vl_api_address_t *from);
void pfp_address_to_api (vl_api_address_t *to, u8 family, const void *bytes);
u8 *pfp_string_from_api (const u8 *text, u32 size);

#define foreach_pfp_handler                                                                                            \
  _ (pfplane_seal_keys_reload)                                                                                         \
  _ (pfplane_peers_get)                                                                                                \
  _ (pfplane_states_get)                                                                                               \
  _ (pfplane_group_set)                                                                                                \
  _ (pfplane_group_member_add)                                                                                         \
  _ (pfplane_groups_clear)                                                                                             \
  _ (pfplane_step_down)                                                                                                \
  _ (pfplane_demote)                                                                                                   \
  _ (pfplane_group_get)                                                                                                \
  _ (want_pfplane_events)

#define _(message) void vl_api_##message##_t_handler (vl_api_##message##_t *mp);
foreach_pfp_handler
#undef _

#endif
