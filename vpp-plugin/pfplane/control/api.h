/* What the files of the binary API have in common. */
#ifndef included_pfplane_control_api_h
#define included_pfplane_control_api_h

#include <pfplane/plugin.h>
#include <vnet/ip/ip_types_api.h>

#include <vlibapi/api.h>
#include <vlibmemory/api.h>

/* Logs the cause of a failure, which a message has no space for. */
int pfp_api_result (const char *message, clib_error_t *error);
void pfp_address_from_api (struct pfplane_address *to, const vl_api_address_t *from);
void pfp_address_to_api (vl_api_address_t *to, u8 family, const void *bytes);
u8 *pfp_string_from_api (const u8 *text, u32 size);

#endif
