/* The election: which node of a pair forwards. The library decides; this carries its frames, answers for the shared addresses, and
 * closes the interfaces of a node that is not master. */
#ifndef included_pfplane_election_h
#define included_pfplane_election_h

#include <pfplane/plugin.h>
#include <pfplane/control/pfplane_election.api_enum.h>
#include <vnet/fib/fib_source.h>

enum
{
  PFP_MAX_GROUPS = 8,
  PFP_MAX_MEMBERS = 32,	      /* of a group */
  PFP_MAX_SHARED = 64,	      /* addresses of a member; an advert fits into a buffer */
  PFP_MAX_ELECTION_PEERS = 16, /* of a member */
  PFP_MAX_EVENTS = 64,
  PFP_MAX_PASSPHRASE = 20,
  PFP_ADVERT_PROTOCOL = 112,
  PFP_MAC_BYTES = 6,
  PFP_NO_GROUP = 0xff,
};

/* An interface and family of a group. */
typedef struct
{
  u32 sw_if_index;
  u8 id; /* VRID or vhid */
  u8 is_ip6;
  u8 mac[PFP_MAC_BYTES]; /* of the shared addresses, while pfplane is enabled */
  struct pfplane_address own;
  struct pfplane_address *shared; /* vectors */
  struct pfplane_address *peers;
} pfp_member_t;

typedef struct
{
  u32 dialect; /* 0: the group does not exist */
  u32 interval_ms;
  u32 preempt_delay_ms;
  u8 priority;
  u8 preempt;
  u8 own_mac;
  char passphrase[PFP_MAX_PASSPHRASE];
} pfp_group_settings_t;

/* A group. From `handle` on, the thread of lane 0 owns it. */
typedef struct
{
  pfp_group_settings_t settings;
  pfp_member_t *members;
  u8 is_applied; /* main thread: the shared addresses are local */

  pfplane_election *handle; /* NULL while pfplane is disabled */
  u64 due_ns;
  u32 links;		/* bit n: the link of member n is up */
  u32 announce_rounds;	/* rounds of the pools' addresses that are left */
  u32 announce_pool, announce_index;
  u64 announce_due_ns;
} pfp_group_t;

typedef enum
{
  PFP_EVENT_READINESS,
  PFP_EVENT_ELECTION,
} pfp_event_kind_t;

/* What API clients and the log get. */
typedef struct
{
  pfp_event_kind_t kind;
  u32 group;
  u8 may_take_over; /* of readiness */
  struct pfplane_election_event election; /* of readiness: the classes in place of roles */
} pfp_event_t;

typedef struct
{
  pfp_group_t groups[PFP_MAX_GROUPS];
  u32 previous_next[2]; /* our next index to the node that had protocol 112 before, ~0 for none */
  u8 is_registered;
  u8 has_fib_source;
  fib_source_t fib_source;
  u8 *group_of[2]; /* by family and interface, PFP_NO_GROUP for none; empty while pfplane is disabled */
  u32 queue[2];	   /* hand-off of adverts to the thread of lane 0 */
  u64 links_due_ns;

  /* From the thread of lane 0 to the main thread. */
  pfp_event_t events[PFP_MAX_EVENTS];
  u32 event_head, event_tail;
  u32 events_lost;

  u8 scratch[PFPLANE_MAX_ELECTION_FRAME]; /* of the thread of lane 0 */
} pfp_election_main_t;

extern pfp_election_main_t pfp_election_main;
extern vlib_node_registration_t pfp_advert_ip4_node, pfp_advert_ip6_node;

/* groups.c: the configuration, changed only while pfplane is disabled. NULL is success. */
clib_error_t *pfp_group_set (u32 group, const pfp_group_settings_t *settings);
clib_error_t *pfp_group_member_add (u32 group, const pfp_member_t *member);
clib_error_t *pfp_groups_clear (void);
clib_error_t *pfp_passphrase_read (const char *path, char passphrase[PFP_MAX_PASSPHRASE]);
void pfp_group_settings_init (pfp_group_settings_t *settings);
void pfp_election_interface_deleted (u32 sw_if_index);

/* attach.c: with pfplane enable and disable. */
clib_error_t *pfp_election_new (void);
void pfp_election_attach (void);
void pfp_election_detach (vlib_main_t *vm);
void pfp_election_apply_roles (vlib_main_t *vm);

/* run.c */
void pfp_election_poll (vlib_main_t *vm, u64 now_ns);
void pfp_election_flush (vlib_main_t *vm, pfp_group_t *group);
clib_error_t *pfp_election_step_down (vlib_main_t *vm, u32 hold_ms);
clib_error_t *pfp_election_demote (const char *reason, u32 weight);
int pfp_event_take (pfp_event_t *event);
void pfp_election_send (vlib_main_t *vm, u32 sw_if_index, const u8 *frame, u32 length);

/* neighbours.c */
u32 pfp_write_arp (u8 *frame, const u8 *receiver, const u8 *mac, u32 address, const u8 *target_mac, u32 target, u16 opcode);

/* Returns the group that an interface belongs to in a family, or NULL. */
static_always_inline pfp_group_t *
pfp_group_of (u32 sw_if_index, int is_ip6)
{
  u8 *group_of = pfp_election_main.group_of[is_ip6];

  if (sw_if_index >= vec_len (group_of) || group_of[sw_if_index] == PFP_NO_GROUP)
    return 0;
  return &pfp_election_main.groups[group_of[sw_if_index]];
}

static_always_inline pfp_member_t *
pfp_member_of (pfp_group_t *group, u32 sw_if_index, int is_ip6)
{
  pfp_member_t *member;

  vec_foreach (member, group->members)
    if (member->sw_if_index == sw_if_index && member->is_ip6 == is_ip6)
      return member;
  return 0;
}

/* Returns the groups that forward nothing now: bit n for group n. */
static_always_inline u32
pfp_closed_groups (u64 now_ns)
{
  u32 closed = 0;

  for (u32 i = 0; i < PFP_MAX_GROUPS; i++)
    if (pfp_election_main.groups[i].handle && !pfplane_election_may_forward (pfp_election_main.groups[i].handle, now_ns))
      closed |= 1u << i;
  return closed;
}

static_always_inline int
pfp_is_closed (u32 closed, u32 sw_if_index, int is_ip6)
{
  const u8 *group_of = pfp_election_main.group_of[is_ip6];

  return sw_if_index < vec_len (group_of) && group_of[sw_if_index] != PFP_NO_GROUP &&
	 (closed >> group_of[sw_if_index] & 1);
}

/* election_show.c */
void pfp_election_show (vlib_main_t *vm);
void pfp_event_log (const pfp_event_t *event);

/* election_api.c */
void pfp_event_publish (const pfp_event_t *event);

#endif
