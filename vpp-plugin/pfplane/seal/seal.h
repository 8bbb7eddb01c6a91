/* The seal of peers: their keys are in files, which the user names. */
#ifndef included_pfplane_seal_h
#define included_pfplane_seal_h

#include <pfplane/plugin.h>

enum
{
  PFP_SEAL_KEY_BYTES = 32,
};

/* The keys of a file. */
typedef struct
{
  struct pfplane_seal_key keys[PFPLANE_MAX_SEAL_KEYS];
  u8 secrets[PFPLANE_MAX_SEAL_KEYS][PFP_SEAL_KEY_BYTES];
  u32 count;
} pfp_seal_keys_t;

clib_error_t *pfp_seal_keys_read (const char *path, pfp_seal_keys_t *keys);
clib_error_t *pfp_seal_keys_reload (void);
/* sync.c */
clib_error_t *pfp_sync_fill_peers (struct pfplane_peer *peers, pfp_seal_keys_t *keys, u32 *mtu);

void pfp_seal_show (vlib_main_t *vm);

#endif
