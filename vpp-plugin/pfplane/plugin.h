/* Objects of the plugin. They are called pfp_x; pfplane_x belongs to the library. */
#ifndef included_pfplane_plugin_h
#define included_pfplane_plugin_h

#include <vlib/vlib.h>
#include <vlib/log.h>
#include <vnet/vnet.h>
#include <vnet/feature/feature.h>
#include <vnet/ip/ip.h>
#include <vnet/ip/ip4_packet.h>
#include <vnet/ip/ip6_packet.h>

#include <pfplane.h>
#include <pfplane/compat.h>
#include <pfplane/control/pfplane.api_enum.h>

enum
{
  PFP_DEFAULT_STATES = 65536,
  PFP_MAX_PEERS = 8,
  PFP_MAX_ACLS = 64,
  PFP_PROTOCOL = 240, /* pfsync */
};

/* Which side of the firewall an interface is on: the direction of its packets for the library. */
typedef enum
{
  PFP_SIDE_NONE,
  PFP_SIDE_INSIDE,
  PFP_SIDE_OUTSIDE,
} pfp_side_t;

typedef enum
{
  PFP_POLICY_DENY,
  PFP_POLICY_PASS,
  PFP_POLICY_ACLS,
} pfp_policy_kind_t;

/* What happens to the first packet of a connection. */
typedef struct
{
  pfp_policy_kind_t kind;
  u32 context; /* acl-plugin's lookup context, ~0 for none */
  u32 *acls;   /* numbers of ACLs, the first match wins */
} pfp_policy_t;

typedef struct
{
  pfp_side_t side;
  u8 has_feature;
  pfp_policy_t policy;
} pfp_interface_t;

/* A peer as the user configured it. */
typedef struct
{
  u32 profile;
  struct pfplane_address source;      /* no family: the first address of the sync interface */
  struct pfplane_address destination; /* no family: pfsync's multicast group */
  u8 is_ip6;
  u8 extensions; /* it is a pfplane node */
  u8 seal;	 /* PFPLANE_SEAL_* */
  u8 *key_file;	 /* of a sealed peer: a C string, and a vector */
} pfp_peer_t;

typedef struct
{
  u32 states_per_lane;
  u32 max_defer_ms;
  u32 host_id;
  u32 max_half_open;
} pfp_settings_t;

/* A packet that was handed to another thread, and is to be looked up as one from the outside: an answer to a pool's address that
 * came from the inside. Only this plugin's own hand-off sets it, on buffers that no other node sees until it is cleared. */
#define PFP_BUFFER_AS_REPLY VNET_BUFFER_F_AVAIL9

/* What one thread owns. Arrays are here and not on the stack because a frame has up to 256 packets. */
typedef struct
{
  CLIB_CACHE_LINE_ALIGN_MARK (cacheline0);
  pfplane_lane *lane; /* NULL: this thread has none, and hands all packets off */
  u64 polls;
  u64 watched_polls; /* `polls` when the watchdog looked last */
  u32 restarts;	     /* polls that the watchdog had to start again */
  u32 handoff_count;
  u32 answer_count;
  u16 handoff_threads[VLIB_FRAME_SIZE];
  u32 handoffs[VLIB_FRAME_SIZE];
  u32 answers[VLIB_FRAME_SIZE];
  u16 slow[VLIB_FRAME_SIZE];
  u16 index[2][VLIB_FRAME_SIZE];
  u32 fibs[2][VLIB_FRAME_SIZE];
  struct pfplane_packet packets[2][VLIB_FRAME_SIZE];
  /* Those of one VRF, where a frame has several. */
  u16 index_of_vrf[VLIB_FRAME_SIZE];
  struct pfplane_packet packets_of_vrf[VLIB_FRAME_SIZE];
  struct pfplane_verdict verdicts[VLIB_FRAME_SIZE];
} pfp_thread_t;

typedef struct
{
  pfplane_engine *engine; /* NULL while pfplane is disabled */
  pfp_thread_t *threads;  /* by thread index */
  u8 *sides;		  /* pfp_side_t by interface, PFP_SIDE_NONE while pfplane is disabled */
  u32 lane_count;
  u32 first_thread; /* the thread of lane 0 */
  u32 queue[2];	    /* hand-off to the lookup nodes, IPv4 and IPv6 */
  u32 sync_queue[2];

  pfp_interface_t *interfaces;
  pfp_policy_t local_policy;
  pfp_settings_t settings;
  pfp_peer_t *peers;
  u32 *vrfs; /* those that existed when pfplane was enabled, but the default one */

  u32 sync_sw_if_index;	 /* ~0: none */
  u32 sync_fib_index[2]; /* for unicast */
  u32 sync_adjacency[2]; /* for multicast, ~0: none */
  u8 sync_groups[2];	 /* 1: the group is joined */
  u64 memory_bytes;
  u32 ready_sw_if_index; /* up while this node may take over; ~0: none */
  u32 ready_gauge, states_gauge;
  u32 readiness;	     /* PFPLANE_READY_CLASS_* that was published last */
  u8 has_groups;     /* an election runs */
  u8 has_extensions; /* a peer is a pfplane node, to which hellos are sent */

  vlib_log_class_t log_class;
} pfp_main_t;

extern pfp_main_t pfp_main;
extern vlib_node_registration_t pfp_lookup_ip4_node, pfp_lookup_ip6_node;
extern vlib_node_registration_t pfp_release_ip4_node, pfp_release_ip6_node;
extern vlib_node_registration_t pfp_sync_ip4_node, pfp_sync_ip6_node;
extern vlib_node_registration_t pfp_poll_node, pfp_watchdog_node;

#define pfp_log_warn(...)   vlib_log_warn (pfp_main.log_class, __VA_ARGS__)
#define pfp_log_notice(...) vlib_log_notice (pfp_main.log_class, __VA_ARGS__)

/* The library's clock. All threads of VPP keep the same time. */
static_always_inline u64
pfp_now_ns (vlib_main_t *vm)
{
  return (u64) (vlib_time_now (vm) * 1e9);
}

static_always_inline pfp_side_t
pfp_side (u32 sw_if_index)
{
  return sw_if_index < vec_len (pfp_main.sides) ? pfp_main.sides[sw_if_index] : PFP_SIDE_NONE;
}

static_always_inline u8
pfp_direction (pfp_side_t side)
{
  return side == PFP_SIDE_INSIDE ? PFPLANE_IN : PFPLANE_OUT;
}

/* plugin.c: everything that the CLI and the binary API change. NULL is success. */
clib_error_t *pfp_enable (vlib_main_t *vm, const pfp_settings_t *settings);
clib_error_t *pfp_disable (vlib_main_t *vm);
clib_error_t *pfp_sync_set (u32 sw_if_index);
clib_error_t *pfp_ready_set (u32 sw_if_index);
clib_error_t *pfp_peer_add (const pfp_peer_t *peer);
clib_error_t *pfp_peers_clear (void);
clib_error_t *pfp_states_clear (void);
clib_error_t *pfp_bulk_request (void);

/* interfaces.c */
clib_error_t *pfp_interface_set (vlib_main_t *vm, u32 sw_if_index, pfp_side_t side);
pfp_interface_t *pfp_interface (u32 sw_if_index);
void pfp_interfaces_apply (void);
void pfp_held_drop (vlib_main_t *vm);

/* policy.c */
typedef enum
{
  PFP_DECISION_DROP,
  PFP_DECISION_DROP_LOCAL,
  PFP_DECISION_PASS,  /* without a state */
  PFP_DECISION_LOCAL, /* the same, to this router */
  PFP_DECISION_STATE,
} pfp_decision_t;

/* Stands for the policy of this router in place of an interface. */
#define PFP_LOCAL (~0u)

clib_error_t *pfp_policy_set (u32 sw_if_index, pfp_policy_kind_t kind, u32 *acls);
void pfp_policy_clear (pfp_policy_t *policy);
pfp_decision_t pfp_policy_decide (vlib_buffer_t *b, int is_ip6, int is_local, u32 *rule);
int pfp_is_local (vlib_buffer_t *b, int is_ip6);

/* sync.c */
clib_error_t *pfp_sync_attach (void);
void pfp_sync_detach (void);
void pfp_sync_link_update (void);
u32 pfp_sync_flush (vlib_main_t *vm, pfp_thread_t *thread, u64 now_ns);

/* poll.c */
void pfp_poll_start (void);
void pfp_poll_stop (void);
void pfp_readiness_show (void);
void pfp_release (vlib_main_t *vm, pfp_thread_t *thread, u64 now_ns);

/* show_cli.c */
format_function_t format_pfp_address;

/* config_cli.c */
unformat_function_t unformat_pfp_address;
clib_error_t *pfp_unknown_input (unformat_input_t *input);

#endif
