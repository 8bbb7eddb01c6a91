// pfplane: stateful firewall lookup and pfsync replication for DPDK and VPP dataplanes.
//
// A connection that passes one firewall lives on when that firewall dies: pfplane tracks connections ("states", as pf
// means them), sends them to a peer node with pfsync, and takes over the peer's. The peer can be another pfplane, or
// OpenBSD's or FreeBSD's pf.
//
// Objects
//   pfplane_engine        one firewall: its configuration and its lanes
//   pfplane_lane          what one core owns: its states, its sync queues, its counters
//   pfplane_frame_reader  parses pfsync frames (the codec alone, no engine needed)
//   pfplane_frame_writer  builds pfsync frames
//   pfplane_replica       replicates a state table that the host owns
//   pfplane_election      decides which node is master, by CARP or VRRPv3
//
// Names. A call is pfplane_OBJECT_VERB in lower case, a constant PFPLANE_FAMILY_NAME. The packet calls of a lane exist in three
// forms: for packets in plain memory (no suffix), for headers that the host parsed itself (_facts), and for DPDK's mbufs
// (_mbuf or _mbufs, in libraries built with DPDK).
//
// Input and output. The library opens no sockets and files, starts no threads and reads no clock. The host passes packets and
// the time in, and gets verdicts and frames out. `now_ns` is in nanoseconds of any monotonic clock; every call on one engine
// or replica takes the same clock. If it steps back by more than 100 ms, or ahead by more than 30 days, time stands still for that
// call and then follows the clock from its new value (statistic clock_steps).
//
// Errors. A call returns PFPLANE_OK (0), PFPLANE_END (1) or a negative PFPLANE_ERROR_*. pfplane_last_error describes the last
// failure of the calling thread. Outputs come last, are named `_out`, and are written on success only.
//
// Pointers. Every pointer is valid and aligned for its type, or `NULL`. `NULL` gives PFPLANE_ERROR_NULL unless the
// call says that it may be `NULL`. `const` means that the call only reads. An array has as many elements as the argument or
// field after it says (`count`, `length`, `capacity`, x_count). During a call, nobody else writes what it reads or uses what it
// writes.
//
// Ownership. What pfplane_x_new returns belongs to the caller until pfplane_x_free. Lanes belong to their engine. Packets,
// mbufs, buffers and structs stay the caller's, and the library keeps no pointer to them after the call unless "Ownership" states it.
//
// Memory and stack. An engine, a replica and an election allocate and touch all their memory when they are created, and nothing later.
// On x86-64 a call needs at most 16 KB of stack, besides what the host's own functions (allocator, store) need.
//
// Structs. A struct that starts with `size` must have it set to its own sizeof, which the init calls do, so that a library
// can recognise structs of another header. Reserved fields are zero.
//
// Threads. One thread at a time uses a lane, a replica, an election, a reader or a writer ("Thread: the lane's"). Calls on an
// engine are safe from any thread at any time, also while lanes run ("Thread: any"), except for pfplane_engine_free.
//
// Numbers. Addresses are in network byte order, an IPv4 address in the first 4 of 16 bytes and the others zero. Ports and all
// other integers are in host byte order. UINT32_MAX stands for "none" where 0 is a value. Booleans in structs are 0 or 1.
//
// Example: one lane, plain memory. c-examples/dpdk-pair shows DPDK, several lanes, and all verdicts.
//
//     struct pfplane_config config;
//     struct pfplane_verdict verdict;
//     pfplane_engine *engine;
//     pfplane_lane *lane;
//
//     if (pfplane_config_init(&config, sizeof(config)) != PFPLANE_OK ||
//         pfplane_engine_new(&config, &engine) != PFPLANE_OK ||
//         pfplane_engine_lane(engine, 0, &lane) != PFPLANE_OK)
//         return fail(pfplane_last_error());
//
//     while (next_packet(&packet)) { // struct pfplane_packet
//         const struct pfplane_burst burst = {.size = sizeof(burst), .direction = PFPLANE_IN,
//                                             .link = PFPLANE_LINK_IP, .now_ns = now_ns()};
//         int32_t status = pfplane_lane_lookup(lane, &burst, &packet, 1, &verdict);
//         if (status == PFPLANE_OK && verdict.action == PFPLANE_NEW && rules_pass(&packet))
//             status = pfplane_lane_state_create(lane, &burst, &packet, NULL, &verdict);
//         if (status == PFPLANE_OK && verdict.action == PFPLANE_PASS)
//             forward(&packet);
//         if (status == PFPLANE_OK)
//             status = pfplane_lane_poll(lane, burst.now_ns);
//         if (status != PFPLANE_OK)
//             return fail(pfplane_last_error());
//     }
//     pfplane_engine_free(engine);
//
// Generated from src/ffi by ./x header; do not edit.

#ifndef PFPLANE_H
#define PFPLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// DPDK's structs are only named: a program that passes no mbufs needs no DPDK header.
struct rte_mbuf;
struct rte_mempool;

// -------------------------------------------------------------------------------------------------
// Objects
// -------------------------------------------------------------------------------------------------
//
// Opaque: C sees pointers to them only.

// One firewall: its configuration and its lanes.
typedef struct pfplane_engine pfplane_engine;

// What one core owns: its states, its sync queues, its counters. It belongs to its engine.
typedef struct pfplane_lane pfplane_lane;

// Parses pfsync frames, one after another.
typedef struct pfplane_frame_reader pfplane_frame_reader;

// Builds pfsync frames, one after another.
typedef struct pfplane_frame_writer pfplane_frame_writer;

// Replication of a table that the host owns.
typedef struct pfplane_replica pfplane_replica;

// Decides which node is master: one group of shared addresses, by CARP or VRRPv3.
typedef struct pfplane_election pfplane_election;

// -------------------------------------------------------------------------------------------------
// Status and errors
// -------------------------------------------------------------------------------------------------
//
// Numbers are never reused. A later version may add some: treat an unknown negative number as a failure.

// What a call returns, as int32_t.
enum pfplane_status {
    // Success.
    PFPLANE_OK = 0,
    // Nothing more: an iteration is complete, or what was requested does not exist.
    PFPLANE_END = 1,
    // A pointer that must not be `NULL` is `NULL`.
    PFPLANE_ERROR_NULL = -1,
    // A struct's `size` is not the one that this library expects.
    PFPLANE_ERROR_SIZE = -2,
    // A setting is out of range. The last error names it and its limits.
    PFPLANE_ERROR_SETTING = -3,
    // Out of memory. The last error says for what, and how many bytes.
    PFPLANE_ERROR_MEMORY = -4,
    // There is no such lane, or the call is for lane 0 only.
    PFPLANE_ERROR_LANE = -5,
    // The caller's buffer is too small.
    PFPLANE_ERROR_BUFFER = -6,
    // An argument or a field has an unknown value.
    PFPLANE_ERROR_ARGUMENT = -7,
    // There is no statistic of that name.
    PFPLANE_ERROR_UNKNOWN = -8,
    // There is no space left.
    PFPLANE_ERROR_FULL = -9,
    // There already is a state with this key.
    PFPLANE_ERROR_EXISTS = -10,
    // A defect in the library was contained. Do not use the lane or replica any more; its later calls fail in the same
    // way.
    PFPLANE_ERROR_PANIC = -99,
};

// Describes a status in a few words.
//
// Returns: a text that lives as long as the program, never `NULL`; "unknown status" for an unknown number.
// Thread: any.
const char *pfplane_status_text(int32_t status);

// Describes the last failure of the calling thread in one sentence, which names the argument or setting and its limits.
//
// Returns: a text, empty when no call has failed yet, never `NULL`. It is valid until the thread's next failing call.
// Thread: any; each thread has its own.
const char *pfplane_last_error(void);

// -------------------------------------------------------------------------------------------------
// Version
// -------------------------------------------------------------------------------------------------
//
// Compare PFPLANE_ABI_VERSION with pfplane_abi_version() at start, and stop when they differ.

// The version of this binary interface. It changes when callers must be compiled again.
#define PFPLANE_ABI_VERSION 2

// Returns the binary interface of the loaded library, to compare with `PFPLANE_ABI_VERSION` of the caller's header.
//
// Thread: any.
uint32_t pfplane_abi_version(void);

// Returns the library's version as text, for instance "0.1.0".
//
// Returns: a text that lives as long as the program.
// Thread: any.
const char *pfplane_version_string(void);

// -------------------------------------------------------------------------------------------------
// Memory
// -------------------------------------------------------------------------------------------------
//
// An engine allocates all its memory in pfplane_engine_new and touches it there, by default as anonymous mappings with huge
// pages where the system has any, and small blocks from malloc. A host with memory of its own passes these functions in
// `pfplane_config.allocator`, which a replica uses too, and in `pfplane_election_config.allocator`. Three things come from
// malloc in any case, and fail with PFPLANE_ERROR_MEMORY like the rest: the peers and the lists of a configuration, frame
// readers and frame writers.

// The host's allocator, for all memory of an engine, a replica or an election.
//
// Both functions may be called from any thread between pfplane_engine_new and the end of pfplane_engine_free (of a replica
// or an election: its own two calls), but never on the packet path.
typedef struct pfplane_allocator {
    // sizeof(struct pfplane_allocator).
    uint32_t size;
    // Returns `bytes` bytes aligned to `align` on NUMA node `socket` (-1: any), or `NULL`.
    void *(*alloc)(void *context, size_t bytes, size_t align, int32_t socket);
    // Frees what `alloc` returned. `bytes` is the size that was requested.
    void (*free)(void *context, void *memory, size_t bytes);
    // Passed to both functions.
    void *context;
} pfplane_allocator;

// -------------------------------------------------------------------------------------------------
// Seal
// -------------------------------------------------------------------------------------------------
//
// Two pfplane nodes can seal their frames: each is authenticated with AES-256-GMAC or encrypted with AES-256-GCM, and forged,
// changed, replayed and old ones are refused and counted. Both nodes set `pfplane_peer.seal` and have a key in common. The
// statistics `badauth`, `seal_*` and `frames_refused` say what was refused; doc/seal.md is for operators.

// How frames from and to a peer are sealed.
enum pfplane_seal_mode {
    // Not at all. A seal of the peer is not verified.
    PFPLANE_SEAL_OFF = 0,
    // Frames to the peer are sealed. Its frames may lack a seal until the first valid one, and again an hour after the
    // last. For the time in which one node has the seal and the other not yet.
    PFPLANE_SEAL_SIGN = 1,
    // Frames to the peer are sealed, and of its frames only sealed ones are accepted.
    PFPLANE_SEAL_REQUIRE = 2,
    // Frames to and from the peer are encrypted too (AES-256-GCM). A peer in mode sign or require encrypts as soon as
    // it knows that this node does; its frames of before are refused.
    PFPLANE_SEAL_ENCRYPT = 3,
};

// What messages of frames without a seal may do to states of this node and of sealed peers, once a sealed peer has proven itself. Bits of `pfplane_peer.unsealed_may`.
enum pfplane_unsealed_right {
    PFPLANE_UNSEALED_INSERT = 1, // Insert states.
    PFPLANE_UNSEALED_UPDATE = 2, // Update states. Each side of a connection can only advance.
    PFPLANE_UNSEALED_DELETE = 4, // Delete states.
    PFPLANE_UNSEALED_CLEAR = 8,  // Delete all states of a node.
};

// Keys that a peer can have at a time.
#define PFPLANE_MAX_SEAL_KEYS 4

// A pre-shared key. It is copied, and wiped when it is not needed any more; the caller wipes its own copy.
typedef struct pfplane_seal_key {
    // 32 random bytes.
    const uint8_t *key;
    // 32: a shorter key is refused.
    uint32_t key_bytes;
    // The key's number on both nodes, 1 to 255.
    uint32_t id;
} pfplane_seal_key;

// The state of a peer's seal.
typedef struct pfplane_seal_status {
    // sizeof(struct pfplane_seal_status).
    uint32_t size;
    // PFPLANE_SEAL_*.
    uint32_t mode;
    // 1: this node accepts the peer's frames, because the peer has answered a challenge.
    uint8_t proven;
    // 1: the peer accepts this node's frames.
    uint8_t accepted;
    // The id of the key of the last frame sent; 0 for none.
    uint8_t key_sent;
    // The id of the key of the last frame accepted; 0 for none.
    uint8_t key_received;
    // The ids of this node's keys, the preferred one first; 0 behind the last.
    uint8_t keys[4];
    // The ids of the peer's keys, as it said last; 0 behind the last.
    uint8_t peer_keys[4];
    // 1: frames to the peer are encrypted.
    uint8_t encrypts;
    // Zero.
    uint8_t reserved[3];
    // Time of the last sealed frame that was accepted, 0 for never.
    uint64_t last_accepted_ns;
} pfplane_seal_status;

// Adds a key for a sealed peer. It is preferred to the others: frames are sealed with it as soon as the peer says that it has it
// too. To rotate keys, add the new key on both nodes, wait until `key_received` of pfplane_engine_seal_status is the new one on both,
// then remove the old key. No frame is lost.
//
// Parameters: `peer`, its index in `pfplane_config.peers`; `key`, copied.
// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING when the key has not 32 bytes, has an id that another key has, is the fifth one, or
// the peer is not sealed (the last error says which); PFPLANE_ERROR_NULL.
// Thread: any.
int32_t pfplane_engine_seal_key_add(struct pfplane_engine *engine,
                                    uint32_t peer,
                                    const struct pfplane_seal_key *key);

// Removes a key of a sealed peer.
//
// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING when there is no such key, it is the last one, or the peer still sends with it or has no
// other one of this node's keys (the last error says which); PFPLANE_ERROR_NULL.
// Thread: any.
int32_t pfplane_engine_seal_key_remove(struct pfplane_engine *engine,
                                       uint32_t peer,
                                       uint32_t id);

// Begins another run of the seals of all peers, with another epoch: for a process that was forked, or a machine that continues from a
// snapshot, before its lanes send frames. Otherwise both copies seal different frames with one number, which can reveal what
// encrypted frames hold and lets an attacker forge frames. All peers are proven again, and all states are sent to them again.
//
// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING when no peer is sealed or the system has no random bits; PFPLANE_ERROR_NULL.
// Thread: any.
int32_t pfplane_engine_seal_renew(struct pfplane_engine *engine);

// Reports the state of a peer's seal, as of the last frame.
//
// Parameters: the caller sets `status_out->size`.
// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when there is no such peer; PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
// Thread: any.
int32_t pfplane_engine_seal_status(const struct pfplane_engine *engine,
                                   uint32_t peer,
                                   struct pfplane_seal_status *status_out);

// -------------------------------------------------------------------------------------------------
// Peers
// -------------------------------------------------------------------------------------------------
//
// A peer is another node that holds the same states. Fill one struct per peer and pass them in `pfplane_config.peers`.

// The dialect of pfsync that a peer speaks.
enum pfplane_profile {
    PFPLANE_PROFILE_OPENBSD6 = 1,    // OpenBSD, and pfplane nodes among each other: pfsync version 6.
    PFPLANE_PROFILE_FREEBSD1301 = 2, // FreeBSD 13 and older: pfsync version 5, states of 242 bytes.
    PFPLANE_PROFILE_FREEBSD1400 = 3, // FreeBSD 14: pfsync version 5, states of 277 bytes.
    PFPLANE_PROFILE_FREEBSD1500 = 4, // FreeBSD 15: pfsync version 5, states of 360 bytes.
};

// `pfplane_peer.tos`: the default of the address family, 0x10 (low delay) for IPv4 and 0 for IPv6.
#define PFPLANE_TOS_DEFAULT 256

// An IP address.
typedef struct pfplane_address {
    // 4, 6, or 0 for no address.
    uint8_t family;
    // Zero.
    uint8_t reserved[3];
    // Network order; IPv4 in the first 4 bytes.
    uint8_t bytes[16];
} pfplane_address;

// One network that two nodes know under different interface names.
typedef struct pfplane_interface_names {
    // Our name, NUL-terminated.
    char ours[16];
    // The peer's name, NUL-terminated.
    char theirs[16];
} pfplane_interface_names;

// One peer: its dialect, and the addresses of the frames that are sent to it.
typedef struct pfplane_peer {
    // sizeof(struct pfplane_peer).
    uint32_t size;
    // PFPLANE_PROFILE_*. Default PFPLANE_PROFILE_OPENBSD6.
    uint32_t profile;
    // Our address on the sync link. Required.
    struct pfplane_address source;
    // The peer's address, or a multicast group. Default: none, which means pfsync's group of the source's family.
    struct pfplane_address destination;
    // Accepts frames as this peer's only from these addresses and from `destination`. Default `NULL`: only from
    // `destination`; if that is a multicast group, from any address. List the nodes of a group that others can reach.
    const struct pfplane_address *sources;
    // Interfaces that the peer knows by another name. Default `NULL`.
    const struct pfplane_interface_names *interface_names;
    // Elements of `sources`: 0 to 8. Default 0.
    uint32_t source_count;
    // Elements of `interface_names`: 0 to 256. Default 0.
    uint32_t interface_name_count;
    // Longest IP packet to this peer, in bytes. Default 0: `pfplane_config.mtu`.
    uint32_t mtu;
    // IPv4 TOS or IPv6 traffic class: 0 to 255, or PFPLANE_TOS_DEFAULT. Default PFPLANE_TOS_DEFAULT.
    uint32_t tos;
    // VLAN of the sync port, 1 to 4094, used with `ethernet` only. Frames of another VLAN are not received (`badvlan`).
    // Default 0: untagged.
    uint16_t vlan;
    // 1: frames start with an Ethernet header made of the two addresses below. 0: with the IP header. Default 0.
    uint8_t ethernet;
    // How the peer keys ICMP states. 0: by identifier and type, as all current systems. 1: by identifier only, as FreeBSD
    // before 13.3-p5 and 14.1-p3 (FreeBSD-SA-24:05); PFPLANE_PROFILE_FREEBSD1301 and _FREEBSD1400 only. Received states
    // may have either form. Default 0.
    uint8_t icmp_id_twice;
    // Our Ethernet address. Frames to another one, except to the multicast group's or to all, are not received (`badmac`).
    // Required with `ethernet` unless `destination` is a group.
    uint8_t ethernet_source[6];
    // The peer's Ethernet address. Default all zero: that of the multicast group in `destination`.
    uint8_t ethernet_destination[6];
    // 1: the peer is a pfplane node with this setting. The host's own bytes of states (`pfplane_state_options.opaque`), and
    // fields of FreeBSD's states that `profile` lacks, and hellos of elections (pfplane_election_greet) are sent to it behind the
    // frame's length, where pf ignores them, and accepted from it. Frames to it are numbered: it finds lost ones and requests their
    // contents, and doubled ones are dropped. A silent lane sends it an empty frame each second. Default 0.
    uint8_t extensions;
    // PFPLANE_SEAL_*. A sealed peer is one pfplane node: `destination` or the only element of `sources` is its address, and it has
    // `extensions` whatever that says. PFPLANE_SEAL_ENCRYPT needs `extensions` to be set: a stock pf system would see empty frames.
    // Default PFPLANE_SEAL_OFF.
    uint8_t seal;
    // PFPLANE_UNSEALED_*, a sum of bits. What it may do without a seal once another peer is sealed: anybody on the link can send in
    // the name of a peer without a seal. Default PFPLANE_UNSEALED_INSERT | PFPLANE_UNSEALED_UPDATE.
    uint8_t unsealed_may;
    // Elements of `seal_keys`: 0 to 4; at least 1 for a sealed peer. Default 0.
    uint8_t seal_key_count;
    // Zero.
    uint8_t reserved[4];
    // The keys that this node and the peer share, the preferred one first. Default `NULL`.
    const struct pfplane_seal_key *seal_keys;
} pfplane_peer;

// Fills `peer_out` with the defaults. The caller then sets at least `source`.
//
// Parameters: `size`, sizeof(struct pfplane_peer).
// Returns: PFPLANE_OK; PFPLANE_ERROR_SIZE when the caller was compiled with another header; PFPLANE_ERROR_NULL.
// Thread: any.
int32_t pfplane_peer_init(struct pfplane_peer *peer_out,
                          uint32_t size);

// -------------------------------------------------------------------------------------------------
// Limits per source
// -------------------------------------------------------------------------------------------------
//
// A source is the sender of a connection's first packet. Its states and connections are counted over all lanes, and a
// peer's states count too, though they are never refused. The limits are pf.conf's max-src-* options.

// What one source may have. 0 means no limit. Used in `pfplane_config` (over all rules) and in `pfplane_state_options` (per
// rule).
typedef struct pfplane_source_limits {
    // Sources that have a state at the same time (max-src-nodes): 0 to 16777215. Beyond it: PFPLANE_REASON_SOURCES.
    uint32_t max_src_nodes;
    // States of one source (max-src-states): 0 to 16777215. Beyond it: PFPLANE_REASON_SOURCE_STATES.
    uint32_t max_src_states;
    // Established TCP connections of one source (max-src-conn): 0 to 16777215. The packet that establishes one more is
    // dropped with PFPLANE_REASON_SOURCE_CONNECTIONS, and its state is deleted.
    uint32_t max_src_conn;
    // TCP connections that one source may establish in `max_src_conn_seconds` (max-src-conn-rate): 0 to 1000000. The packet
    // that establishes one more is dropped with PFPLANE_REASON_SOURCE_CONNECTION_RATE, and its state is deleted. As
    // with pf's "overload", the host may block the source and delete its other states with pfplane_lane_state_kill.
    uint32_t max_src_conn_rate;
    // The seconds of `max_src_conn_rate`: 1 to 86400.
    uint32_t max_src_conn_seconds;
    // States that one source may create in `max_src_new_seconds`, answered or not: 0 to 1000000. Beyond it:
    // PFPLANE_REASON_SOURCE_NEW_RATE.
    uint32_t max_src_new_rate;
    // The seconds of `max_src_new_rate`: 1 to 86400.
    uint32_t max_src_new_seconds;
} pfplane_source_limits;

// Returns how many states a source has, and how many of them are established TCP connections.
//
// Parameters: `rule`, a rule with limits, or UINT32_MAX for the limits over all rules; `states_out` and
// `connections_out` may be `NULL`.
// Returns: PFPLANE_OK, with 0 and 0 for a source that is not counted; PFPLANE_END when `pfplane_config.max_sources` is 0;
// PFPLANE_ERROR_ARGUMENT for an address without a family; PFPLANE_ERROR_NULL.
// Thread: any. Cost: one hash and two cache lines.
int32_t pfplane_engine_source(const struct pfplane_engine *engine,
                              const struct pfplane_address *address,
                              uint32_t rule,
                              uint32_t *states_out,
                              uint32_t *connections_out);

// -------------------------------------------------------------------------------------------------
// Configuration
// -------------------------------------------------------------------------------------------------
//
// Fill `pfplane_config` with pfplane_config_init, then change what differs. pfplane_engine_new copies it, with
// everything that it points to. A range that is stated here is checked, and the last error names the setting that breaks it.

// pf's timeout classes, the index into `pfplane_config.timeouts_s`. In seconds, with pf's defaults.
enum pfplane_timeout {
    // TCP, the first packet was seen. Default 120.
    PFPLANE_TIMEOUT_TCP_FIRST = 0,
    // TCP, one side is not established. Default 30.
    PFPLANE_TIMEOUT_TCP_OPENING = 1,
    // TCP, both sides are established. Default 86400.
    PFPLANE_TIMEOUT_TCP_ESTABLISHED = 2,
    // TCP, one side sent a FIN. Default 900.
    PFPLANE_TIMEOUT_TCP_CLOSING = 3,
    // TCP, both sides sent a FIN. Default 45.
    PFPLANE_TIMEOUT_TCP_FINWAIT = 4,
    // TCP, both FINs are acknowledged, or an RST was seen. Default 90.
    PFPLANE_TIMEOUT_TCP_CLOSED = 5,
    // UDP, the first packet was seen. Default 60.
    PFPLANE_TIMEOUT_UDP_FIRST = 6,
    // UDP, only one side sends. Default 30.
    PFPLANE_TIMEOUT_UDP_SINGLE = 7,
    // UDP, both sides send. Default 60.
    PFPLANE_TIMEOUT_UDP_MULTIPLE = 8,
    // ICMP, a query was seen. Default 20.
    PFPLANE_TIMEOUT_ICMP_FIRST = 9,
    // ICMP, after a reply (pf's icmp.error). Default 10.
    PFPLANE_TIMEOUT_ICMP_ERROR = 10,
    // Other protocols, the first packet was seen. Default 60.
    PFPLANE_TIMEOUT_OTHER_FIRST = 11,
    // Other protocols, only one side sends. Default 30.
    PFPLANE_TIMEOUT_OTHER_SINGLE = 12,
    // Other protocols, both sides send. Default 60.
    PFPLANE_TIMEOUT_OTHER_MULTIPLE = 13,
    // Not used: the host reassembles fragments.
    PFPLANE_TIMEOUT_FRAG = 14,
    // Each state is checked for expiry once in this time. Default 10.
    PFPLANE_TIMEOUT_INTERVAL = 15,
    // Number of states at which timeouts begin to shrink. Default 0: 60 % of the capacity if ADAPTIVE_END is 0 as well.
    PFPLANE_TIMEOUT_ADAPTIVE_START = 16,
    // Number of states at which timeouts reach 0. Default 0: 120 % of the capacity if ADAPTIVE_START is 0 as well.
    // States whose traffic a peer has keep their full timeouts until `pfplane_config.grace_s` is over: their peer
    // expires them.
    PFPLANE_TIMEOUT_ADAPTIVE_END = 17,
    // Not used.
    PFPLANE_TIMEOUT_SRC_TRACK = 18,
    // Not used.
    PFPLANE_TIMEOUT_TCP_TSDIFF = 19,
    // SCTP, the first packet was seen. Default 120. SCTP classes are FreeBSD 14's.
    PFPLANE_TIMEOUT_SCTP_FIRST = 20,
    // SCTP, one side is not established. Default 30.
    PFPLANE_TIMEOUT_SCTP_OPENING = 21,
    // SCTP, both sides are established. Default 86400.
    PFPLANE_TIMEOUT_SCTP_ESTABLISHED = 22,
    // SCTP, one side shuts down. Default 900.
    PFPLANE_TIMEOUT_SCTP_CLOSING = 23,
    // SCTP, shut down. Default 90.
    PFPLANE_TIMEOUT_SCTP_CLOSED = 24,
};

// Number of timeout classes.
#define PFPLANE_TIMEOUTS 25

// The settings of an engine.
typedef struct pfplane_config {
    // sizeof(struct pfplane_config).
    uint32_t size;
    // Lanes, one for each core that carries packets: 1 to 128. Default 1.
    uint32_t lanes;
    // Capacity of each lane in states: 1 to 2^30. Default 65536.
    uint32_t states_per_lane;
    // Maximum translated states per lane; more than states_per_lane means all. Each costs 11 bytes more. Default UINT32_MAX.
    uint32_t max_translated_per_lane;
    // Entries per lane for what only few states have: fields that only FreeBSD uses (interface of the next hop, tag, queues),
    // which this node keeps for its peers, and the host's own bytes (`pfplane_state_options.opaque`). 0 to states_per_lane,
    // 196 bytes each; more counts as states_per_lane. Without a free entry, peers' states lose these fields and are not sent
    // to peers with freebsd1400 and freebsd1500 (statistic `imports_incomplete`). Default UINT32_MAX: one for each state
    // that may be imported if a peer has one of these profiles or `pfplane_peer.extensions`, otherwise 0.
    uint32_t max_extra_per_lane;
    // Our host id (pf: creatorid), unique among the peers. Default 0: a random one.
    uint32_t host_id;
    // Seconds since 1970, added to the random number from which state ids are counted. Default 0: the wall clock is read once.
    uint64_t start_unix_s;
    // 32 random bytes from which state ids, a random host id, hash secrets and port numbers are derived; copied. They must be
    // secret and differ in each run: state ids must not repeat. Default `NULL`: the operating system's (getrandom).
    const uint8_t *random_seed;
    // Longest IP packet on the sync link, in bytes. Default 1500.
    uint32_t mtu;
    // MTU of the sync port, in bytes. Default 0: unknown.
    uint32_t device_mtu;
    // Capacity of one frame buffer, in bytes: for a mempool, its data room less the headroom. Default 0: unknown.
    uint32_t buffer_size;
    // Maximum delay in milliseconds before a new or deleted state is sent, to share a frame: 0 to 10000. Default 10.
    uint32_t max_insert_age_ms;
    // Maximum delay in milliseconds before an update is sent: 0 to 60000. Default 1000. An update of a TCP state is sent earlier
    // when its connection moves (max_drift_percent), changes its TCP state, or has max_updates changes.
    uint32_t max_update_age_ms;
    // Changes of a TCP state that are folded into one update before it is sent at once (pf's maxupd): 0 to 255. Default 128.
    uint32_t max_updates;
    // Maximum distance in percent of the receiver's window by which a TCP connection moves before its update is sent at once
    // (within a millisecond): 0 to 100. Default 25. A pf survivor loses a connection that has moved by a whole window since
    // its last update. 0: updates are sent by age and number only.
    uint32_t max_drift_percent;
    // Maximum rate of one connection through this node in megabits per second, both directions together: 1 to 1000000.
    // Default 10000. After a takeover a connection may be as far ahead of its last update as this rate allows; a lower value
    // makes it harder to inject forged segments until both directions were seen.
    uint32_t max_rate_mbit;
    // Maximum frames of bulk transfers that a lane sends per millisecond: 1 to 4096. Answers to requests for single states may
    // take half as many in addition. A pfplane peer (`pfplane_peer.extensions`) reports what it has received and gets lost states
    // again: to it a lane sends as fast as its reports allow, at most eight times this number, and repairs at most as many
    // again. Default 8.
    uint32_t max_bulk_frames_per_ms;
    // Maximum states that a lane checks for expiry in one pfplane_lane_poll: 1 to 1048576. Default 256.
    uint32_t max_sweep_per_poll;
    // Maximum states of peers per lane, so that no peer takes the capacity of this node's own connections; more than
    // states_per_lane means all. Default 0: all but one in 64, and all of fewer than 64. The statistic `imports_refused_quota`
    // counts what is refused.
    uint32_t max_imported_per_lane;
    // Maximum ended states per lane that are remembered: a peer that sends one again gets a delete, and it is not inserted. 0
    // remembers none; more than states_per_lane means as many. At the maximum the oldest are forgotten. Each costs 32 to 64
    // bytes. Default UINT32_MAX.
    uint32_t max_ended_per_lane;
    // Seconds for which an ended state is remembered: 1 to 1000000. Default 86400, the longest default timeout.
    uint32_t ended_s;
    // Minimum age in milliseconds at which a state is sent to peers; shorter flows are never sent: 0 to 3600000. Default 0.
    uint32_t min_age_ms;
    // Age in seconds up to which the last message about a state is repeated once, max_update_age_ms later, so that one lost
    // frame costs no connection. It costs one compressed update for each connection: 0 to 3600. 0: nothing is repeated, as in
    // pf. Default 10.
    uint32_t repeat_age_s;
    // Maximum milliseconds for which the first packet of a new state is held until a peer has the state (pf's defer, there
    // 20): 0 to 1000. Default 0: packets are not held.
    uint32_t max_defer_ms;
    // Maximum states per lane whose packets are held; the oldest are released first: 1 to 4096. Default 128.
    uint32_t max_deferred;
    // Seconds for which states of a silent peer are kept beyond their timeout, counted from its last frame: 0 to 86400. Until
    // then they are also not subject to adaptive timeouts. Only states without traffic on this node. Default 60.
    uint32_t grace_s;
    // Milliseconds without an answer after which a bulk request is repeated: 1 to 60000. Default 2000.
    uint32_t bulk_retry_ms;
    // Maximum bulk requests before the node gives up: 1 to 1000. Default 12.
    uint32_t max_bulk_attempts;
    // Milliseconds without a state after which a bulk transfer that has started is requested again: 1 to 60000. Default 5000.
    uint32_t bulk_stall_ms;
    // Maximum seconds of a bulk transfer: 1 to 86400. Default 600.
    uint32_t max_bulk_s;
    // Minimum milliseconds between two bulk transfers to one peer; requests in between are merged: 0 to 60000. Default 1000.
    uint32_t min_bulk_interval_ms;
    // Maximum milliseconds between two polls of a lane. After a longer gap frames may have been lost: the node is not ready
    // until it has received all states again: 0 to 60000, 0 for no maximum. Default 500.
    uint32_t max_poll_gap_ms;
    // IP protocol numbers whose states are not sent to peers. Default `NULL`.
    const uint8_t *excluded_protocols;
    // Elements of `excluded_protocols`: 0 to 256. Default 0.
    uint32_t excluded_protocol_count;
    // Elements of `interfaces`: 0 to 4096. Default 0.
    uint32_t interface_count;
    // The interfaces of this node, NUL-terminated: peers' states on other interfaces are refused, as FreeBSD does. Default
    // `NULL`: accepted, as OpenBSD does.
    const char (*interfaces)[16];
    // The routing tables of this node besides the default one, and its routing domains (`pfplane_burst.rdomain`), which have the
    // number of their first table: peers' states with another table or in another domain are refused, because their packets
    // would take the wrong route (statistic `imports_refused_routing_table`). Default `NULL`: none.
    const uint32_t *routing_tables;
    // Elements of `routing_tables`: 0 to 4096. Default 0.
    uint32_t routing_table_count;
    // Elements of `peers`: 0 to 8. Default 0: no replication.
    uint32_t peer_count;
    // The peers. The distance from one to the next is `peers[0].size`.
    const struct pfplane_peer *peers;
    // The host's allocator. Default `NULL`: anonymous mappings, with huge pages where available.
    const struct pfplane_allocator *allocator;
    // NUMA node of each lane, `lanes` elements, -1 for any. Default `NULL`: any.
    const int32_t *lane_sockets;
    // RSS key, 40 bytes that repeat every two. Default `NULL`: 6d 5a repeated.
    const uint8_t *rss_key;
    // The lane of each of the 128 hash values (RSS redirection table). Default `NULL`: round robin.
    const uint8_t *redirection;
    // Maximum half-open TCP connections of all lanes together. Exact with one lane; with several, other lanes count as of
    // their last pfplane_lane_poll. Default 0: no limit.
    uint32_t max_half_open;
    // If a lane's table is full and at least this percentage of it is half-open TCP connections, a new state replaces the
    // oldest of these, and the peers get a delete (statistic states_evicted_half_open). A peer's state replaces only half-open
    // connections of peers. Open connections, and those taken over from a peer, stay: 0 to 100. 0: a full table refuses new
    // states. Default 10: fewer are left alone, so that a table full of open connections still opens some.
    uint32_t evict_half_open_percent;
    // Which checksums the library verifies in software where the NIC did not (PFPLANE_PACKET_CHECKSUM_GOOD, or an mbuf's RX flags).
    // 0: none. 1: of packets that end a connection (TCP RST, SCTP ABORT and SHUTDOWN COMPLETE), so that no damaged one does. 2: of
    // all packets, which reads their data. Data in other segments is not verified, nor are packets given as facts. Default 1.
    uint32_t verify_checksums;
    // 1: packets with a source route (IPv4 LSRR or SSRR, IPv6 routing header type 0) may pass, if their state allows IP options.
    // 0: they are dropped with PFPLANE_REASON_IP_OPTIONS. Default 0.
    uint32_t pass_source_routes;
    // Nodes that translate to the same addresses at the same time (active/active): 1 to 64. Each draws source ports from its
    // own share of every range, so that no two draw the same one; a single port is not divided, and a range of fewer ports
    // leaves some nodes none (PFPLANE_REASON_NO_PORT). For a pf peer, give its rules another range than `nat_source_ports`.
    // Default 1.
    uint32_t nat_nodes;
    // This node's number among them: 0 to nat_nodes - 1. Default 0.
    uint32_t nat_node;
    // Maximum sources that are counted, over all lanes: 0 to 16777215. A source counts once for each rule with limits, and
    // each such rule counts once. Default 10000, as pf. Each costs about 115 bytes.
    uint32_t max_sources;
    // Prefix length that identifies an IPv4 source: 1 to 32. Default 32.
    uint8_t source_prefix_v4;
    // Prefix length that identifies an IPv6 source: 1 to 128. Default 128, as pf; use 64 where an end site is one source.
    uint8_t source_prefix_v6;
    // 1: a source that cannot be counted because max_sources is reached has no limits. 0: it gets no state, as in pf.
    // Default 0.
    uint8_t pass_when_sources_full;
    // Zero.
    uint8_t reserved;
    // Limits over all rules. If any is set, every state is counted. Limits of one rule are in pfplane_state_options. Default:
    // none.
    struct pfplane_source_limits source_limits;
    // Timeouts by class, see enum pfplane_timeout.
    uint32_t timeouts_s[PFPLANE_TIMEOUTS];
} pfplane_config;

// Fills `config_out` with the defaults.
//
// Parameters: `size`, sizeof(struct pfplane_config).
// Returns: PFPLANE_OK; PFPLANE_ERROR_SIZE when the caller was compiled with another header; PFPLANE_ERROR_NULL.
// Thread: any.
int32_t pfplane_config_init(struct pfplane_config *config_out,
                            uint32_t size);

// Returns how many bytes pfplane_engine_new would request from `pfplane_config.allocator`. Without an allocator, each block
// is rounded up to pages. Peers, and lists of names and numbers, come from the process's allocator and are not counted.
//
// Returns: PFPLANE_OK; otherwise as pfplane_engine_new.
// Thread: any. Cost: a calculation, no allocation.
int32_t pfplane_config_memory(const struct pfplane_config *config,
                              uint64_t *bytes_out);

// -------------------------------------------------------------------------------------------------
// Engine
// -------------------------------------------------------------------------------------------------
//
// The control side of a firewall. Requests (bulk transfers, clear, tune) are carried out by the lanes in their next
// pfplane_lane_poll.

// Creates an engine and allocates all its memory; nothing is allocated later.
//
// Returns: PFPLANE_OK and the engine in `engine_out`; PFPLANE_ERROR_SETTING (the last error names the setting and its
// limits), PFPLANE_ERROR_MEMORY, PFPLANE_ERROR_SIZE or PFPLANE_ERROR_NULL.
// Ownership: the caller's, until pfplane_engine_free.
// Thread: any. Cost: touches all memory once; milliseconds per 100 MiB.
int32_t pfplane_engine_new(const struct pfplane_config *config,
                           struct pfplane_engine **engine_out);

// Frees an engine with its lanes and all its memory.
//
// Parameters: `engine`; `NULL` is fine.
// Thread: any; no other thread may be in a call on the engine or on one of its lanes, or make one later.
void pfplane_engine_free(struct pfplane_engine *engine);

// Returns lane `index` of an engine, 0 to `lanes` - 1. Lane 0 is the sync lane: it alone receives pfsync frames.
//
// Returns: PFPLANE_OK; PFPLANE_ERROR_LANE when there is no such lane; PFPLANE_ERROR_NULL.
// Ownership: the engine's; the pointer is valid until pfplane_engine_free, and the same in every call.
// Thread: any. Each lane is then used by one thread at a time; a host that moves a lane to another thread synchronises them.
int32_t pfplane_engine_lane(const struct pfplane_engine *engine,
                            uint32_t index,
                            pfplane_lane **lane_out);

// How far a bulk transfer to this node is.
enum pfplane_bulk_phase {
    PFPLANE_BULK_IDLE = 0,      // None was requested.
    PFPLANE_BULK_WAITING = 1,   // Requested; the peer has not started.
    PFPLANE_BULK_RECEIVING = 2, // The peer's states are arriving.
    PFPLANE_BULK_DONE = 3,      // All states of the peer are here.
    PFPLANE_BULK_GIVEN_UP = 4,  // The peer did not answer, or stopped answering.
};

// How the last bulk transfer ended.
enum pfplane_bulk_ending {
    PFPLANE_BULK_ENDED_NONE = 0,       // None has ended yet.
    PFPLANE_BULK_ENDED_COMPLETE = 1,   // The peer reported that it sent all states.
    PFPLANE_BULK_ENDED_NO_ANSWER = 2,  // No peer answered.
    PFPLANE_BULK_ENDED_BROKEN_OFF = 3, // States arrived, then no more, in spite of repeated requests.
    PFPLANE_BULK_ENDED_TOO_LONG = 4,   // `pfplane_config.max_bulk_s` was over while states were still arriving.
};

// The progress of the bulk transfer from the peers.
typedef struct pfplane_bulk {
    // sizeof(struct pfplane_bulk).
    uint32_t size;
    // PFPLANE_BULK_*.
    uint32_t phase;
    // Requests sent for this transfer.
    uint32_t attempts;
    // Zero.
    uint32_t reserved;
    // States received since the request.
    uint64_t states;
    // PFPLANE_BULK_ENDED_*: how the last transfer ended.
    uint32_t last_ending;
    // Zero.
    uint32_t reserved2;
    // States received in the last transfer that ended.
    uint64_t last_states;
    // Nanoseconds from its first request to its end.
    uint64_t last_took_ns;
} pfplane_bulk;

// Reports the progress of the bulk transfer from the peers.
//
// Parameters: the caller sets `bulk_out->size`.
// Returns: PFPLANE_OK, PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
// Thread: any.
int32_t pfplane_engine_bulk(const struct pfplane_engine *engine, struct pfplane_bulk *bulk_out);

// Requests all states of the peers. Without a peer nothing happens.
//
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: any.
int32_t pfplane_engine_bulk_request(struct pfplane_engine *engine);

// Sends all states of this node to all peers, unasked. Without a peer nothing happens, nor within
// `pfplane_config.min_bulk_interval_ms` of a transfer to the same peer.
//
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: any.
int32_t pfplane_engine_bulk_push(struct pfplane_engine *engine);

// Deletes all states (pfctl -F states), a bounded number in each pfplane_lane_poll. States that are created meanwhile stay.
// Peers get a delete message for each state.
//
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: any.
int32_t pfplane_engine_clear(struct pfplane_engine *engine);

// Changes the pace of replication at run time. A bulk transfer that is in progress continues at the new pace.
//
// Parameters: as the settings of these names in `pfplane_config`, with the same ranges.
// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING (the last error names the setting and its limits), and nothing has changed;
// PFPLANE_ERROR_NULL. Each lane applies the change within a millisecond of polling.
// Thread: any.
int32_t pfplane_engine_tune(struct pfplane_engine *engine,
                            uint32_t max_insert_age_ms,
                            uint32_t max_update_age_ms,
                            uint32_t max_updates,
                            uint32_t max_bulk_frames_per_ms);

// Reports the link state of the sync port. While it is down nothing is sent, and the queues stay bounded. When it comes
// back, this node requests a bulk transfer and offers its own states again. Reporting the same state twice does nothing.
//
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: any.
int32_t pfplane_engine_sync_link(struct pfplane_engine *engine,
                                 bool up);

// Returns the longest IP packet that this engine sends on the sync link: the minimum of the configured MTU, the device's MTU
// and the buffer size.
//
// Returns: bytes; 0 for `NULL`.
// Thread: any.
uint32_t pfplane_engine_mtu(const struct pfplane_engine *engine);

// Returns the host id (pf: creatorid) of this engine: as configured, or the random one that was chosen.
//
// Returns: the number as pf prints it; 0 for `NULL`.
// Thread: any.
uint32_t pfplane_engine_host_id(const struct pfplane_engine *engine);

// Returns the RSS key and redirection table with which a NIC chooses the same lane as this engine.
//
// The hash is Toeplitz over source and destination address and, for TCP, UDP and SCTP, the ports. Its low seven bits select
// one of the 128 entries.
//
// Parameters: `key_out`, 40 bytes; `redirection_out`, 128 lane numbers. Either may be `NULL`.
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: any.
int32_t pfplane_engine_steering(const struct pfplane_engine *engine,
                                uint8_t key_out[40],
                                uint8_t redirection_out[128]);

// -------------------------------------------------------------------------------------------------
// Readiness
// -------------------------------------------------------------------------------------------------
//
// Whether this node may take over from its peers, and why not.

// How a node's states compare with those of its peers.
enum pfplane_ready_class {
    PFPLANE_READY_CLASS_LOADING = 0, // States are missing or may be, and the node is about to receive them.
    PFPLANE_READY_CLASS_GAVE_UP = 1, // States may be missing, and no peer sends them.
    PFPLANE_READY_CLASS_SYNCED = 2,  // The node holds what its peers have sent it, or has no peer.
};

// What speaks against a takeover. Bits of `pfplane_readiness.reasons`.
enum pfplane_ready_reason {
    // All states were requested and are not all here yet.
    PFPLANE_READY_REASON_BULK_RUNNING = 1,
    // The last bulk transfer was given up. It is requested again when a frame of a peer arrives.
    PFPLANE_READY_REASON_BULK_FAILED = 2,
    // Peers' states were refused because the table is full or holds its maximum of peers' states. They are requested
    // again when there is space.
    PFPLANE_READY_REASON_STATES_MISSING = 4,
    // Messages to a lane were lost because it was polled too late. They are requested again.
    PFPLANE_READY_REASON_MESSAGES_LOST = 8,
    // The host reported frames that its port missed. All states are requested again.
    PFPLANE_READY_REASON_FRAMES_MISSED = 16,
    // A lane was not polled for longer than `pfplane_config.max_poll_gap_ms`. All states are requested again. Until
    // they are here nothing expires: a peer may have taken over meanwhile.
    PFPLANE_READY_REASON_PAUSED = 32,
    // Another node uses this node's host id, or did before the states that were received last.
    PFPLANE_READY_REASON_DUPLICATE_HOST_ID = 64,
    // The link of the sync port is down. Alone it does not change the class.
    PFPLANE_READY_REASON_LINK_DOWN = 128,
    // A peer has sent nothing for more than 3 seconds, or ever. Alone it does not change the class: a peer without
    // traffic is silent, and a dead one is what this node is for.
    PFPLANE_READY_REASON_PEER_SILENT = 256,
    // Frames of a pfplane peer were lost, and it has not sent again what they carried for more than a second.
    PFPLANE_READY_REASON_FRAMES_LOST = 512,
};

// This node was compared with a pfplane peer that lives and does not hold what it sent, or the first comparison is not complete.
// pfplane_engine_compare says more. After ten seconds it does not change the class any more.
#define PFPLANE_READY_REASON_NOT_EQUAL 1024

// `pfplane_readiness.peer_age_ms` before the first frame of any peer.
#define PFPLANE_NEVER UINT64_MAX

// Whether a node may take over, and why not.
typedef struct pfplane_readiness {
    // sizeof(struct pfplane_readiness).
    uint32_t size;
    // PFPLANE_READY_CLASS_*.
    uint32_t ready_class;
    // PFPLANE_READY_REASON_*, a sum of bits.
    uint32_t reasons;
    // 1 if the node may take over: its class is not PFPLANE_READY_CLASS_LOADING.
    uint8_t ready;
    // Zero.
    uint8_t reserved[3];
    // States of peers refused for lack of space since the last bulk transfer began. Some may have ended since.
    uint64_t missing;
    // Milliseconds since the last frame of the peer that has been silent for longest, or PFPLANE_NEVER.
    uint64_t peer_age_ms;
} pfplane_readiness;

// Returns whether this node may take over: it holds its peers' states, has given up on them, or has no peer. A node that
// takes over earlier breaks the connections that it does not know yet. pfplane_engine_readiness says why it is false. It can
// become false again: when states were refused, frames or polls missed, or a transfer is requested.
//
// Returns: true or false; false for `NULL`.
// Thread: any. Cost: one load.
bool pfplane_engine_ready(const struct pfplane_engine *engine);

// Reports whether this node may take over, and why not. As of lane 0's last pfplane_lane_poll; silence and link as of `now_ns`.
//
// Parameters: the caller sets `readiness_out->size`.
// Returns: PFPLANE_OK, PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
// Thread: any.
int32_t pfplane_engine_readiness(const struct pfplane_engine *engine,
                                 uint64_t now_ns,
                                 struct pfplane_readiness *readiness_out);

// How this node's states compare with those that a peer sent.
typedef struct pfplane_comparison {
    // sizeof(struct pfplane_comparison).
    uint32_t size;
    // Streams of the peer that are compared, one for each of its lanes. 0: it is not a pfplane node (`pfplane_peer.extensions`), of
    // an older version, or silent.
    uint32_t streams;
    // States that differ, and still did after most of a second. They are requested, or ended.
    uint32_t differing;
    // 1: the last comparisons found that this node holds what the peer sent. 1 if there are no streams.
    uint8_t equal;
    // Zero.
    uint8_t reserved[3];
    // This node held all that the peer had sent by then: milliseconds ago, or PFPLANE_NEVER. Messages in flight do not count.
    uint64_t equal_age_ms;
} pfplane_comparison;

// Compares this node's states with those that a peer sent. Two pfplane nodes do so twice a second: the peer sends the sum of
// the states that each of its lanes has sent and still has, and this node adds up those that it received, as of the same
// frame. If the sums differ, a sketch names the states. A state that only one of them has, and that is not just in flight, is
// sent again or ended. States are compared by their ids. Frames that were lost are repaired apart from that
// (`frames_unrepaired`).
//
// Parameters: `peer`, its index in `pfplane_config.peers`; the caller sets `comparison_out->size`.
// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when there is no such peer; PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
// Thread: any. As of lane 0's last pfplane_lane_poll; the age as of `now_ns`.
int32_t pfplane_engine_compare(const struct pfplane_engine *engine,
                               uint32_t peer,
                               uint64_t now_ns,
                               struct pfplane_comparison *comparison_out);

// Reports frames for lane 0 that the sync port missed (DPDK: `imissed`, `rx_nombuf`) or that the host dropped. The node is
// not ready until it has requested and received all states again. Repeated reports lead to few transfers: at first a second
// apart, later up to four minutes.
//
// Parameters: `frames`, those since the last report; 0 does nothing.
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: any.
int32_t pfplane_engine_frames_missed(struct pfplane_engine *engine,
                                     uint64_t frames);

// -------------------------------------------------------------------------------------------------
// Statistics
// -------------------------------------------------------------------------------------------------
//
// Statistics are numbered from 0 and have the same numbers in every engine of one library. Names are lower case with
// underscores. Where a name is one of OpenBSD's or FreeBSD's own counters, its help names the system. A value is the one of the
// lane's last pfplane_lane_poll. Telemetry and logs are the host's.

// How a statistic behaves.
enum pfplane_stat_kind {
    PFPLANE_STAT_COUNTER = 1, // It only grows.
    PFPLANE_STAT_GAUGE = 2,   // It goes up and down.
};

// In place of a lane's number: all lanes together. Values are added; of an age, it is the maximum.
#define PFPLANE_ALL_LANES UINT32_MAX

// One statistic.
typedef struct pfplane_stat {
    // sizeof(struct pfplane_stat).
    uint32_t size;
    // PFPLANE_STAT_COUNTER or PFPLANE_STAT_GAUGE.
    uint32_t kind;
    // The name. Lives as long as the program.
    const char *name;
    // One sentence about it. Lives as long as the program.
    const char *help;
    // The value.
    uint64_t value;
} pfplane_stat;

// Returns statistic number `index` of a lane or of all lanes.
//
// Parameters: `lane`, a lane's number or PFPLANE_ALL_LANES; the caller sets `stat_out->size`.
// Returns: PFPLANE_OK; PFPLANE_END when `index` is past the last; PFPLANE_ERROR_LANE when there is no such lane.
// Ownership: the texts are the library's.
// Thread: any.
int32_t pfplane_engine_stat(const struct pfplane_engine *engine,
                            uint32_t lane,
                            uint32_t index,
                            struct pfplane_stat *stat_out);

// Returns the value of the statistic called `name`, of a lane or of all lanes.
//
// Parameters: `lane`, a lane's number or PFPLANE_ALL_LANES; `name`, NUL-terminated.
// Returns: PFPLANE_OK; PFPLANE_ERROR_UNKNOWN when there is none of that name; PFPLANE_ERROR_LANE.
// Thread: any. Cost: a walk over the names; keep the number of pfplane_engine_stat for frequent use.
int32_t pfplane_engine_stat_find(const struct pfplane_engine *engine,
                                 uint32_t lane,
                                 const char *name,
                                 uint64_t *value_out);

// Returns statistic number `index` of one peer: what was sent to it and received from it, what it lacks, its states. Received
// frames are counted by lane 0.
//
// Parameters: `peer`, its index in `pfplane_config.peers`; otherwise as pfplane_engine_stat, with numbers of its own.
// Returns: PFPLANE_OK; PFPLANE_END when `index` is past the last; PFPLANE_ERROR_LANE; PFPLANE_ERROR_ARGUMENT when there
// is no such peer.
// Ownership: the texts are the library's.
// Thread: any.
int32_t pfplane_engine_peer_stat(const struct pfplane_engine *engine,
                                 uint32_t peer,
                                 uint32_t lane,
                                 uint32_t index,
                                 struct pfplane_stat *stat_out);

// -------------------------------------------------------------------------------------------------
// Packets and verdicts
// -------------------------------------------------------------------------------------------------
//
// Pass a burst of packets to a lookup, and get a verdict for each packet. Directions are pf's: PFPLANE_IN packets arrive from
// the network beyond the interface, PFPLANE_OUT packets leave towards it. A host that looks up each packet once uses
// PFPLANE_IN for packets from its inside port, and PFPLANE_OUT for those from its outside port.
//
// Hairpin NAT, where an inside client reaches an inside server through an outside address, needs a state that translates source and
// destination. The server's replies come in at the inside port, to the new source: such packets are looked up with PFPLANE_OUT.

// The direction of a burst's packets, as seen from this host.
enum pfplane_direction {
    PFPLANE_IN = 1,  // Into the host: the packet's source is beyond the interface.
    PFPLANE_OUT = 2, // Out of the host: the packet's destination is beyond the interface.
};

// How packets start.
enum pfplane_link {
    PFPLANE_LINK_ETHERNET = 0, // With an Ethernet header; VLAN tags are skipped.
    PFPLANE_LINK_IP = 1,       // With an IPv4 or IPv6 header.
};

// Maximum packets in one burst.
#define PFPLANE_MAX_BURST 256

// What the host does with a packet.
enum pfplane_verdict_action {
    // Forward it: a state allows it.
    PFPLANE_PASS = 1,
    // It has no state: the host's rules decide. If they pass it, call pfplane_lane_state_create.
    PFPLANE_NEW = 2,
    // Drop it, for the verdict's `reason`.
    PFPLANE_DROP = 3,
    // Hand it to the lane in the verdict's `lane`, which owns its key.
    PFPLANE_HANDOFF = 4,
    // Keep it with pfplane_lane_hold until a peer has its state. Only if `pfplane_config.max_defer_ms` is set.
    PFPLANE_HELD = 5,
    // A pfsync packet (IP protocol 240), which is never tracked. From the sync port, it goes to pfplane_lane_receive.
    PFPLANE_SYNC = 6,
    // Neither IPv4 nor IPv6, for instance ARP.
    PFPLANE_NOT_IP = 7,
    // A fragment: the host reassembles it or applies its rules. pfplane_packet_facts describes it. For a first
    // fragment, the verdict's `slot` is that of its state, if there is one.
    PFPLANE_FRAGMENT = 8,
    // Its headers are not all in the first segment: make it contiguous and repeat the call.
    PFPLANE_NOT_CONTIGUOUS = 9,
    // It has to be translated, but its memory is shared with another packet: copy it and repeat the call.
    PFPLANE_NOT_WRITABLE = 10,
};

// Why a packet is dropped.
enum pfplane_reason {
    // The packet is not dropped.
    PFPLANE_REASON_NONE = 0,
    // It ends before its headers do.
    PFPLANE_REASON_TRUNCATED = 1,
    // Its headers contradict each other.
    PFPLANE_REASON_MALFORMED = 2,
    // A TCP segment outside the window of its state.
    PFPLANE_REASON_WINDOW = 3,
    // A SYN on an established connection, which pf answers with a challenge ACK, see pfplane_lane_answer.
    PFPLANE_REASON_CHALLENGE_ACK = 4,
    // A TCP segment outside the window while both sides are opening, which pf answers with an RST, see
    // pfplane_lane_answer.
    PFPLANE_REASON_RESET = 5,
    // The lane is full.
    PFPLANE_REASON_TABLE_FULL = 6,
    // The key belongs to another state.
    PFPLANE_REASON_KEY_COLLISION = 7,
    // Its state refuses it for another cause, for instance an ICMP reply in the direction of the query, or an SCTP
    // packet with a wrong verification tag.
    PFPLANE_REASON_STATE = 8,
    // It has no state and cannot create one, for instance an ICMP error.
    PFPLANE_REASON_NO_STATE = 9,
    // It cannot be translated as its state or the options require.
    PFPLANE_REASON_TRANSLATION = 10,
    // All source ports of the options' range that this node (`pfplane_config.nat_nodes`) and this lane draw are in use.
    // A lane draws those whose replies steer to it.
    PFPLANE_REASON_NO_PORT = 11,
    // The rule's or engine's maximum number of sources is reached.
    PFPLANE_REASON_SOURCES = 12,
    // Its source has reached its maximum number of states.
    PFPLANE_REASON_SOURCE_STATES = 13,
    // Its source has reached its maximum number of connections; this one is deleted.
    PFPLANE_REASON_SOURCE_CONNECTIONS = 14,
    // Its source has reached its maximum rate of connections; this one is deleted.
    PFPLANE_REASON_SOURCE_CONNECTION_RATE = 15,
    // Its source has reached its maximum rate of new states.
    PFPLANE_REASON_SOURCE_NEW_RATE = 16,
    // Its source cannot be counted: `pfplane_config.max_sources` is reached.
    PFPLANE_REASON_SOURCES_FULL = 17,
    // `pfplane_config.max_half_open` is reached.
    PFPLANE_REASON_HALF_OPEN = 18,
    // pfplane_lane_state_create: other states have the ids that the state could get.
    PFPLANE_REASON_ID_COLLISION = 19,
    // A checksum is wrong: the NIC marked the packet, or the library verified it (`pfplane_config.verify_checksums`).
    PFPLANE_REASON_CHECKSUM = 20,
    // It has IP options, or extension headers with options, which its state or rule does not allow
    // (PFPLANE_STATE_ALLOW_OPTIONS), or a source route (`pfplane_config.pass_source_routes`).
    PFPLANE_REASON_IP_OPTIONS = 21,
};

// What the NIC does with checksums, or said of them, in `pfplane_packet.flags`.
enum pfplane_packet_flag {
    // The TCP or UDP checksum field holds the sum of the pseudo header only.
    PFPLANE_PACKET_L4_CHECKSUM_OFFLOAD = 0x0001,
    // The IPv4 header checksum is not computed.
    PFPLANE_PACKET_IP_CHECKSUM_OFFLOAD = 0x0002,
    // The NIC found the IPv4 header's or the TCP, UDP or SCTP checksum wrong: the packet is dropped with
    // PFPLANE_REASON_CHECKSUM. A host that parses packets itself drops such packets itself.
    PFPLANE_PACKET_CHECKSUM_BAD = 0x0004,
    // The NIC found all checksums right: the library does not verify them again.
    PFPLANE_PACKET_CHECKSUM_GOOD = 0x0008,
};

// One packet in plain memory. The library reads it during the call. It writes to it only where a translated or modulated
// state passes it and `pfplane_burst.host_rewrites` is 0.
typedef struct pfplane_packet {
    // The first byte, of the Ethernet or IP header as `pfplane_burst.link` says.
    uint8_t *data;
    // Bytes at `data`.
    uint32_t length;
    // Bytes of the whole packet if it is in several segments. 0: the same as `length`.
    uint32_t packet_length;
    // The NIC's RSS hash, used only if `pfplane_burst.trust_hash` is 1.
    uint32_t hash;
    // Free bytes before `data`, for packets that grow when they are translated to IPv6: 40 are always enough.
    uint16_t headroom;
    // PFPLANE_PACKET_*.
    uint16_t flags;
} pfplane_packet;

// What the packets of one burst have in common.
typedef struct pfplane_burst {
    // sizeof(struct pfplane_burst).
    uint32_t size;
    // PFPLANE_IN or PFPLANE_OUT.
    uint8_t direction;
    // PFPLANE_LINK_ETHERNET or PFPLANE_LINK_IP.
    uint8_t link;
    // 1: the packets' hashes are the NIC's, made with the key of pfplane_engine_steering over addresses and ports of TCP and
    // UDP. 0: the library computes them. If the NIC hashes other fields (UDP or packets behind IPv6 extension headers by
    // addresses only), such packets reach their lane by one PFPLANE_HANDOFF and the statistic `hash_mismatch` counts them.
    uint8_t trust_hash;
    // 1: the host rewrites packets whose verdict says `translated`, to the keys of pfplane_lane_state_at. 0: the library
    // rewrites them.
    uint8_t host_rewrites;
    // The time, in nanoseconds.
    uint64_t now_ns;
    // Routing domain (VRF) that the packets are routed in, 0 for the default one. Only states in it match them, so equal addresses
    // in two routing domains are two connections. Peers get the number: all nodes number their routing domains alike.
    uint16_t rdomain;
    // Zero.
    uint8_t reserved[6];
} pfplane_burst;

// What to do with one packet: 16 bytes.
typedef struct pfplane_verdict {
    // The state's slot in this lane; UINT32_MAX if there is none.
    uint32_t slot;
    // PFPLANE_HANDOFF: the lane that owns the packet's key.
    uint16_t lane;
    // How many bytes later the packet now starts; negative if it has grown at the front. An mbuf is adjusted already; for
    // other packets the host adds this to `data` and subtracts it from the lengths.
    int16_t data_shift;
    // PFPLANE_PASS, PFPLANE_NEW, ...
    uint8_t action;
    // PFPLANE_DROP: PFPLANE_REASON_*.
    uint8_t reason;
    // 1: the packet travels against the direction of the state's first packet.
    uint8_t reverse;
    // 1: the packet was rewritten, or with `pfplane_burst.host_rewrites` the host has to.
    uint8_t translated;
    // If `translated` is 1: the routing domain in which to forward the packet, see `pfplane_state_options.nat_rdomain`. Otherwise 0.
    uint16_t rdomain;
    // Zero.
    uint8_t reserved[2];
} pfplane_verdict;

// -------------------------------------------------------------------------------------------------
// Packet facts and steering
// -------------------------------------------------------------------------------------------------
//
// What the headers of a packet say: for the host's rules, or passed to the library by a host that parsed the packet itself.

// What a packet is.
enum pfplane_kind {
    // A TCP segment.
    PFPLANE_KIND_TCP = 1,
    // A UDP datagram.
    PFPLANE_KIND_UDP = 2,
    // An ICMP or ICMPv6 query.
    PFPLANE_KIND_ICMP_QUERY = 3,
    // An ICMP or ICMPv6 reply.
    PFPLANE_KIND_ICMP_REPLY = 4,
    // An ICMP or ICMPv6 error.
    PFPLANE_KIND_ICMP_ERROR = 5,
    // pfsync, IP protocol 240.
    PFPLANE_KIND_SYNC = 6,
    // Any other protocol. SCTP has ports; states of the others are identified by addresses alone.
    PFPLANE_KIND_OTHER = 7,
};

// What `pfplane_facts.fragment` says. 0 is a whole packet.
enum pfplane_fragment_flag {
    PFPLANE_FRAGMENT_PART = 0x01,  // A fragment.
    PFPLANE_FRAGMENT_FIRST = 0x02, // The first fragment of its packet.
    PFPLANE_FRAGMENT_MORE = 0x04,  // More fragments follow.
    PFPLANE_FRAGMENT_PORTS = 0x08, // The ports are known; they never are for later fragments.
};

// What the IP header carries, in `pfplane_facts.ip_options`.
enum pfplane_ip_options {
    // IPv4 options; IPv6 hop-by-hop options, destination options or a routing header.
    PFPLANE_IP_OPTIONS = 0x01,
    // A source route: IPv4 LSRR or SSRR, an IPv6 routing header of type 0.
    PFPLANE_IP_SOURCE_ROUTE = 0x02,
    // An authentication header. It covers the addresses, so such packets are never translated.
    PFPLANE_IP_AUTHENTICATION = 0x04,
};

// What the headers of one packet say.
typedef struct pfplane_facts {
    // sizeof(struct pfplane_facts).
    uint32_t size;
    // 4 or 6.
    uint8_t family;
    // IP protocol number, after any IPv6 extension headers. For an ICMP error, that of the packet inside it.
    uint8_t proto;
    // TCP flags: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32. SCTP, by the first chunk: INIT 2, INIT ACK 18, SHUTDOWN and SHUTDOWN ACK
    // 1, ABORT and SHUTDOWN COMPLETE 4, HEARTBEAT ACK, COOKIE ECHO and COOKIE ACK 24, others 16. 0 for other protocols.
    uint8_t tcp_flags;
    // 1 for an ICMP or ICMPv6 error. Addresses and ports are then those of the packet inside it, which travelled the other
    // way.
    uint8_t icmp_error;
    // Source address, network order; IPv4 in the first 4 bytes.
    uint8_t source[16];
    // Destination address, network order; IPv4 in the first 4 bytes.
    uint8_t destination[16];
    // Source port, host order. For an ICMP query the identifier, for a reply the type of its query.
    uint16_t source_port;
    // Destination port, host order. For an ICMP query the type, for a reply the identifier.
    uint16_t destination_port;
    // Offset of the IP header, in bytes.
    uint16_t l3_offset;
    // Offset of the header after the IP header and its extensions, in bytes.
    uint16_t l4_offset;
    // Length of the IP packet according to its header, in bytes.
    uint32_t ip_length;
    // TTL or hop limit.
    uint8_t ttl;
    // TOS or traffic class.
    uint8_t tos;
    // PFPLANE_KIND_*.
    uint8_t kind;
    // PFPLANE_FRAGMENT_*, 0 for a whole packet.
    uint8_t fragment;
    // TCP: sequence number. For an ICMP error about TCP, that of the segment inside it. SCTP: verification tag.
    uint32_t tcp_seq;
    // TCP: acknowledgement number. SCTP: the tag that an INIT or INIT ACK offers.
    uint32_t tcp_ack;
    // TCP: bytes of data.
    uint32_t tcp_payload;
    // TCP: window field, not scaled. SCTP: 1 if the first chunk has bit 0 of its flags set (the T bit of an ABORT).
    uint16_t tcp_window;
    // TCP: MSS option of a SYN, 0 without.
    uint16_t tcp_mss;
    // TCP: window scale option of a SYN, 0x80 + shift, 0 without.
    uint8_t tcp_wscale;
    // PFPLANE_IP_*: options and extension headers.
    uint8_t ip_options;
    // Fragment: offset of its payload in the payload of the whole packet, in bytes.
    uint16_t fragment_offset;
    // Fragment: identification, the same for all fragments of one packet.
    uint32_t fragment_id;
    // The NIC's RSS hash, used by pfplane_lane_lookup_facts if `pfplane_burst.trust_hash` is 1. Not filled by
    // pfplane_packet_facts.
    uint32_t hash;
} pfplane_facts;

// Parses a packet's headers for the host's rules. Rules are applied once per connection, so this takes one packet.
//
// Parameters: `verdict_out` may be `NULL`.
// Returns: PFPLANE_OK with `facts_out` filled; PFPLANE_END for a packet without facts, and `verdict_out` says why:
// PFPLANE_NOT_IP, PFPLANE_FRAGMENT, PFPLANE_NOT_CONTIGUOUS, or PFPLANE_DROP with a reason. For a fragment, `facts_out` still
// holds what is known: addresses, protocol, which fragment of which packet it is, and the ports if it is the first.
// Thread: any.
// Cost: one pass over the headers, no allocation.
int32_t pfplane_packet_facts(const struct pfplane_burst *burst,
                             const struct pfplane_packet *packet,
                             struct pfplane_facts *facts_out,
                             struct pfplane_verdict *verdict_out);

// Returns the lane that owns a packet's key, for a host that steers packets in software.
//
// Returns: PFPLANE_OK; PFPLANE_END when the packet has no key (not IP, a fragment, malformed): any lane may have it.
// Thread: any.
// Cost: one pass over the headers and one table-driven hash.
int32_t pfplane_engine_lane_of(const struct pfplane_engine *engine,
                               const struct pfplane_burst *burst,
                               const struct pfplane_packet *packet,
                               uint32_t *lane_out);

// -------------------------------------------------------------------------------------------------
// Options of a new state: rule, interface, translation, limits
// -------------------------------------------------------------------------------------------------
//
// Fill `pfplane_state_options` with pfplane_state_options_init, and pass it to pfplane_lane_state_create.
//
// Translation (NAT) is part of the state: the library chooses the port, rewrites both directions, and updates the checksums. For
// instance, source NAT to 192.0.2.1 with a port from 50000 on:
//
//     options.nat = PFPLANE_NAT_SOURCE | PFPLANE_NAT_SOURCE_PORT;
//     memcpy(options.nat_source, (const uint8_t[]){192, 0, 2, 1}, 4);
//     options.nat_source_ports[0] = 50000;
//     options.nat_source_ports[1] = 65535;

// Flags that a host can give a state. The values are pf's.
enum pfplane_state_flag {
    // Packets with IP options or IPv6 extension headers with options pass, as with pf's `allow-opts`. Without it they
    // are dropped with PFPLANE_REASON_IP_OPTIONS, the first packet too.
    PFPLANE_STATE_ALLOW_OPTIONS = 0x0001,
    // Sloppy TCP tracking: sequence numbers are not checked.
    PFPLANE_STATE_SLOPPY = 0x0002,
    // The state is never sent to peers.
    PFPLANE_STATE_NOSYNC = 0x0008,
};

// Maximum number of the host's own bytes of a state, see `pfplane_state_options.opaque`.
#define PFPLANE_MAX_OPAQUE 64

// Which translations of `pfplane_state_options` apply.
enum pfplane_nat {
    PFPLANE_NAT_SOURCE = 0x0001,           // `nat_source` applies.
    PFPLANE_NAT_DESTINATION = 0x0002,      // `nat_destination` applies.
    PFPLANE_NAT_SOURCE_PORT = 0x0004,      // `nat_source_ports` applies.
    PFPLANE_NAT_DESTINATION_PORT = 0x0008, // `nat_destination_port` applies.
    PFPLANE_NAT_FAMILY = 0x0010,           // `nat_family` applies.
    PFPLANE_NAT_RDOMAIN = 0x0020,          // `nat_rdomain` applies.
};

// What a new state gets besides what its first packet says.
typedef struct pfplane_state_options {
    // sizeof(struct pfplane_state_options).
    uint32_t size;
    // The rule's number, shown by peers. Default UINT32_MAX: none.
    uint32_t rule;
    // The interface that the state is bound to, NUL-terminated. Default "all": floating.
    char ifname[16];
    // PFPLANE_STATE_*. Default 0.
    uint16_t state_flags;
    // PFPLANE_NAT_*: which of the translations below apply. Default 0: no translation.
    uint16_t nat;
    // Seconds without traffic after which the state expires. Default 0: by its timeout class.
    uint32_t timeout_s;
    // The first packet's new source address, network order; IPv4 in the first 4 bytes.
    uint8_t nat_source[16];
    // The first packet's new destination address, network order; IPv4 in the first 4 bytes.
    uint8_t nat_destination[16];
    // First and last port of the range from which the new source port is chosen, host order; for an ICMP query, of identifiers.
    // Two equal numbers mean this port. Protocols without ports are not affected.
    uint16_t nat_source_ports[2];
    // The new destination port, host order. TCP, UDP and SCTP only.
    uint16_t nat_destination_port;
    // 4 or 6: the family of the new addresses (NAT64 and NAT46). Both addresses are required then.
    uint8_t nat_family;
    // 1: a TCP connection may start with a packet that is not a SYN (pf's `flags any`); its windows count as unscaled.
    // Default 0: such a packet is dropped with PFPLANE_REASON_NO_STATE.
    uint8_t pickup;
    // Limits for the sources of this rule's states; states with the same `rule` count together. Default: none.
    struct pfplane_source_limits source_limits;
    // The host's own bytes, for instance a tenant and a policy. They are shown in pfplane_state_view and sent to peers with
    // `pfplane_peer.extensions`. They need an entry of `pfplane_config.max_extra_per_lane`; without a free one, no state is
    // created (PFPLANE_REASON_TABLE_FULL).
    uint8_t opaque[64];
    // Bytes in `opaque`: 0 to PFPLANE_MAX_OPAQUE. Default 0.
    uint32_t opaque_length;
    // The routing domain in which the host forwards the first packet, if it is another than `pfplane_burst.rdomain`. Replies are
    // looked up in it. The state counts as translated; the host forwards its packets in `pfplane_verdict.rdomain`.
    uint16_t nat_rdomain;
    // Zero.
    uint8_t reserved[2];
} pfplane_state_options;

// Fills `options_out` with the defaults.
//
// Parameters: `size`, sizeof(struct pfplane_state_options).
// Returns: PFPLANE_OK, PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
// Thread: any.
int32_t pfplane_state_options_init(struct pfplane_state_options *options_out, uint32_t size);

// -------------------------------------------------------------------------------------------------
// Lane: the packet path
// -------------------------------------------------------------------------------------------------
//
// Look up a burst; create states for the PFPLANE_NEW packets that the host's rules pass; poll between bursts. See
// c-examples/dpdk-pair for the loop with all verdicts.

// Looks up a burst of packets, tracks their connections, and says what to do with each.
//
// Parameters: `count`, 0 to PFPLANE_MAX_BURST, the elements of `packets` and `verdicts_out`.
// Returns: PFPLANE_OK with every verdict written; on an error none is.
// Ownership: the packets stay the caller's. Packets that pass by a translated or modulated state are rewritten in place
// (`pfplane_verdict.translated`); others are only read.
// Thread: the lane's.
// Cost: no allocation, lock or system call. About two cache lines of memory per packet, three for TCP, one more if translated.
// The cache misses of up to 32 packets overlap, and longer bursts prefetch for the next 32: under load, bursts of 64 to 256 cost
// less per packet than bursts of 32.
int32_t pfplane_lane_lookup(pfplane_lane *lane,
                            const struct pfplane_burst *burst,
                            const struct pfplane_packet *packets,
                            uint32_t count,
                            struct pfplane_verdict *verdicts_out);

// Creates the state for a packet whose verdict was PFPLANE_NEW and which the host's rules pass.
//
// Parameters: `burst` and `packet` as in the lookup; `options`, `NULL` for the defaults.
// Returns: PFPLANE_OK with a verdict: PFPLANE_PASS (created now, or by an earlier packet of the burst); PFPLANE_HELD when the
// packet waits until a peer has the state; PFPLANE_HANDOFF when another lane owns the key; PFPLANE_NOT_WRITABLE;
// PFPLANE_DROP with PFPLANE_REASON_TABLE_FULL, _KEY_COLLISION, _ID_COLLISION, _NO_STATE, _TRANSLATION, _NO_PORT, _HALF_OPEN,
// _SOURCES, _SOURCE_STATES, _SOURCE_NEW_RATE or _SOURCES_FULL; otherwise what a lookup would say.
// Ownership: the packet stays the caller's. If it passes, it is rewritten as `options` say.
// Thread: the lane's.
// Cost: no allocation.
int32_t pfplane_lane_state_create(pfplane_lane *lane,
                                  const struct pfplane_burst *burst,
                                  const struct pfplane_packet *packet,
                                  const struct pfplane_state_options *options,
                                  struct pfplane_verdict *verdict_out);

// Housekeeping: applies other lanes' messages, deletes expired states, continues bulk transfers, carries out requests of the
// control thread, and publishes the statistics. Call it between bursts, at least once per millisecond.
//
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: the lane's. Cost: a bounded amount of work per call; no allocation.
int32_t pfplane_lane_poll(pfplane_lane *lane,
                          uint64_t now_ns);

// -------------------------------------------------------------------------------------------------
// Lane: pfsync frames
// -------------------------------------------------------------------------------------------------
//
// Every lane builds frames about its own states; flush them after each burst and send them on the sync port. Lane 0
// receives all frames from the sync port and passes states to the lanes that own them.

// Receives one pfsync packet (IP protocol 240) from the sync port, starting at its IP header. The host has checked the
// Ethernet header; pfplane_lane_receive_frame checks it against the peers' settings.
//
// Returns: PFPLANE_OK, also for a packet that is refused (a statistic counts why); PFPLANE_ERROR_FULL when messages in it were
// lost, because the other lanes do not keep up (`messages_lost`); PFPLANE_ERROR_LANE when this is not lane 0;
// PFPLANE_ERROR_NULL.
// Thread: the lane's.
int32_t pfplane_lane_receive(pfplane_lane *lane,
                             const uint8_t *ip_packet,
                             uint32_t length,
                             uint64_t now_ns);

// `stripped_tag` of pfplane_lane_receive_frame: the NIC has removed no VLAN tag.
#define PFPLANE_NO_TAG UINT32_MAX

// Receives one Ethernet frame from the sync port. A frame is refused unless it is in the VLAN of a peer and addressed to us or to
// the multicast group, as `pfplane_peer.vlan`, `ethernet_source` and `destination` say; peers without `ethernet` accept any
// header. A frame that is neither IPv4 nor IPv6 is ignored.
//
// Parameters: `frame` with `length` bytes; `stripped_tag`, the VLAN tag that the NIC has removed from it, or PFPLANE_NO_TAG.
// Returns: PFPLANE_OK, also for a frame that is refused (a statistic counts why: `badvlan`, `badmac`, ...); PFPLANE_ERROR_FULL,
// PFPLANE_ERROR_LANE and PFPLANE_ERROR_NULL as pfplane_lane_receive; PFPLANE_ERROR_ARGUMENT for a tag above 65535.
// Thread: the lane's.
int32_t pfplane_lane_receive_frame(pfplane_lane *lane,
                                   const uint8_t *frame,
                                   uint32_t length,
                                   uint32_t stripped_tag,
                                   uint64_t now_ns);

// Writes the next frame that is due, starting at its Ethernet header if `pfplane_peer.ethernet` is 1, otherwise at its IP header.
// Call it until `length_out` is 0.
//
// Parameters: `capacity`, the bytes of `buffer`: at least pfplane_engine_mtu, plus 18 if a peer has an Ethernet header.
// Returns: PFPLANE_OK with the frame's length, 0 when none is due; PFPLANE_ERROR_BUFFER when `capacity` is too small;
// PFPLANE_ERROR_NULL.
// Thread: the lane's. Cost: no allocation.
int32_t pfplane_lane_flush(pfplane_lane *lane,
                           uint64_t now_ns,
                           uint8_t *buffer,
                           uint32_t capacity,
                           uint32_t *length_out);

// Requeues the contents of a frame that could not be sent. Nothing more is due for a millisecond then. Without this call, the
// peers miss what was in the frame until its states change again.
//
// Parameters: `frame` with `length` bytes, as pfplane_lane_flush wrote it.
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL. The statistic `oerrors` counts the frames.
// Thread: the lane's. Cost: as receiving the frame.
int32_t pfplane_lane_requeue(pfplane_lane *lane,
                             const uint8_t *frame,
                             uint32_t length,
                             uint64_t now_ns);

// -------------------------------------------------------------------------------------------------
// Lane: held packets (pf's defer)
// -------------------------------------------------------------------------------------------------
//
// With `pfplane_config.max_defer_ms`, the first packet of a connection leaves only when a peer has its state, so that no
// established connection is unknown to the peer. The host keeps the packets; the lane keeps a number for each.

// Holds a packet whose verdict was PFPLANE_HELD. The lane keeps only its number, for instance an mbuf's address, and returns
// it once through pfplane_lane_release: when a peer has the state, after `max_defer_ms`, when the state ends, or when more than
// `pfplane_config.max_deferred` states have held packets. Packets of one state are released in the order in which they were
// held.
//
// Parameters: `slot`, the verdict's; `handle`, any number.
// Returns: PFPLANE_OK; PFPLANE_ERROR_FULL when the packet cannot be held: the host sends it now; PFPLANE_ERROR_NULL.
// Ownership: the packet stays the host's.
// Thread: the lane's. Cost: no allocation.
int32_t pfplane_lane_hold(pfplane_lane *lane,
                          uint32_t slot,
                          uint64_t handle);

// Returns the numbers of held packets that are released; the host sends these packets, in this order. Call it after every
// pfplane_lane_poll and pfplane_lane_receive, until `count_out` is less than `capacity`. It also works on a lane that is out
// of use after PFPLANE_ERROR_PANIC.
//
// Parameters: `all`, true to release all held packets now, as before pfplane_engine_free or when the peer is lost;
// `handles_out` has `capacity` elements.
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: the lane's. Cost: no allocation; negligible when nothing is held.
int32_t pfplane_lane_release(pfplane_lane *lane,
                             uint64_t now_ns,
                             bool all,
                             uint64_t *handles_out,
                             uint32_t capacity,
                             uint32_t *count_out);

// -------------------------------------------------------------------------------------------------
// Lane: answers to dropped packets
// -------------------------------------------------------------------------------------------------
//
// pf answers some TCP packets that it drops. Without these answers, a client that uses its ports again waits until the old
// connection has expired.

// Maximum length of an answer in bytes.
#define PFPLANE_MAX_ANSWER 96

// Builds pf's answer to a TCP packet that a lookup just dropped with PFPLANE_REASON_CHALLENGE_ACK or PFPLANE_REASON_RESET: a
// whole packet from the link header on, to send back through the port of the dropped one. It is never longer than that one.
//
// Parameters: `burst`, `packet` and `verdict` as in the lookup, without another call that changes states in between;
// `capacity`, the bytes of `buffer`, at least PFPLANE_MAX_ANSWER.
// Returns: PFPLANE_OK with the length, 0 when the verdict calls for no answer; PFPLANE_ERROR_BUFFER; PFPLANE_ERROR_NULL.
// Thread: the lane's.
// Cost: no allocation.
int32_t pfplane_lane_answer(const pfplane_lane *lane,
                            const struct pfplane_burst *burst,
                            const struct pfplane_packet *packet,
                            const struct pfplane_verdict *verdict,
                            uint8_t *buffer,
                            uint32_t capacity,
                            uint32_t *length_out);

// Maximum length of an answer of pfplane_packet_refuse in bytes.
#define PFPLANE_MAX_REFUSAL 1302

// How pfplane_packet_refuse answers.
enum pfplane_refusal {
    // As pf's `return`: TCP gets an RST, other packets the ICMP error "port unreachable".
    PFPLANE_REFUSE_RETURN = 0,
    // Every packet gets the ICMP error "communication administratively prohibited".
    PFPLANE_REFUSE_PROHIBITED = 1,
};

// Builds the answer to a packet that the host refuses: of an unknown connection (PFPLANE_NEW that the rules do not pass, or
// PFPLANE_REASON_NO_STATE after a restart), so that its sender need not wait. A whole packet from the link header on, to send
// back through the port of the refused one. Limit the rate: an attacker may spoof the sender.
//
// Parameters: `burst` and `packet` as in a lookup; `refusal`, PFPLANE_REFUSE_*; `router`, the sender of an ICMP error, `NULL` for
// the packet's destination; `capacity`, the bytes of `buffer`, at least PFPLANE_MAX_REFUSAL.
// Returns: PFPLANE_OK with the length, 0 for packets that nobody may answer: RST, ICMP errors and replies, neighbour discovery,
// fragments, wrong checksums, multicast and broadcast; PFPLANE_ERROR_ARGUMENT; PFPLANE_ERROR_BUFFER; PFPLANE_ERROR_NULL.
// Thread: any.
// Cost: one pass over the packet, no allocation.
int32_t pfplane_packet_refuse(const struct pfplane_burst *burst,
                              const struct pfplane_packet *packet,
                              uint32_t refusal,
                              const struct pfplane_address *router,
                              uint8_t *buffer,
                              uint32_t capacity,
                              uint32_t *length_out);

// -------------------------------------------------------------------------------------------------
// Lane: exposure
// -------------------------------------------------------------------------------------------------
//
// For monitoring, and for deciding when a planned takeover costs nothing.

// What would be lost if this node died now.
typedef struct pfplane_exposure {
    // sizeof(struct pfplane_exposure).
    uint32_t size;
    // States created here that no peer has yet: their connections would break.
    uint32_t creations;
    // Other changes of states that no peer has yet. A state that was sent and changed since may count twice.
    uint32_t changes;
    // Zero.
    uint32_t reserved;
    // Approximate nanoseconds for which the oldest of them has waited.
    uint64_t oldest_ns;
} pfplane_exposure;

// Reports what would be lost of this lane if the node died now. It is the statistics `exposed_creations`, `exposed_changes`
// and `oldest_unsent_ns` without their delay of up to a millisecond.
//
// A pfplane node (`pfplane_peer.extensions`) has what it has reported to have received. Until the report arrives, also if the link
// has lost the frame or the report, the change is exposed. After the node has started again, all states are exposed to it until it has
// received them.
//
// A node that reports nothing, such as a pf system, has what it was sent. There a state whose first packet is held counts until a
// peer has acknowledged it, also after the packet was released. Of several peers, the one that has most counts.
//
// Frames that pfplane_lane_flush has written count as sent; a host that has not sent them yet adds them.
//
// Parameters: the caller sets `exposure_out->size`.
// Returns: PFPLANE_OK, PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
// Thread: the lane's. Cost: a few loads for each peer.
int32_t pfplane_lane_exposure(const pfplane_lane *lane,
                              uint64_t now_ns,
                              struct pfplane_exposure *exposure_out);

// -------------------------------------------------------------------------------------------------
// Lane: packets that the host has parsed
// -------------------------------------------------------------------------------------------------
//
// For VPP, and for hosts that reassemble fragments: the same states, verdicts and statistics as pfplane_lane_lookup. No packet
// is read or written, so the host rewrites translated packets, to the keys that pfplane_lane_state_at shows.
//
// A host that knows the ports of later fragments, from the first one, can forward fragments without reassembly. It sets kind, protocol and
// ports of the whole packet in what pfplane_packet_facts says about each. The first fragment is tracked as a packet. Later ones pass
// whatever the TCP state is, and create no state. pfplane_lane_rewrite_fragment translates both.

// As pfplane_lane_lookup, for packets that the host has parsed.
//
// Parameters: `count`, 0 to PFPLANE_MAX_BURST, the elements of `facts` and `verdicts_out`. The call reads the fields
// that pfplane_packet_facts fills for a whole packet, except the offsets, `fragment`, and `hash`. `burst->link` is ignored.
// Returns: PFPLANE_OK with every verdict written; PFPLANE_ERROR_ARGUMENT for facts that contradict each other, which the last
// error names. On an error no verdict is written and no packet is tracked.
// Thread: the lane's.
// Cost: as pfplane_lane_lookup without the parsing.
int32_t pfplane_lane_lookup_facts(pfplane_lane *lane,
                                  const struct pfplane_burst *burst,
                                  const struct pfplane_facts *facts,
                                  uint32_t count,
                                  struct pfplane_verdict *verdicts_out);

// As pfplane_lane_state_create, for a packet that the host has parsed.
//
// Returns: as pfplane_lane_state_create; PFPLANE_ERROR_ARGUMENT for facts that contradict each other.
// Thread: the lane's.
// Cost: no allocation.
int32_t pfplane_lane_state_create_facts(pfplane_lane *lane,
                                        const struct pfplane_burst *burst,
                                        const struct pfplane_facts *facts,
                                        const struct pfplane_state_options *options,
                                        struct pfplane_verdict *verdict_out);

// Rewrites a fragment that passes by a translated state: the addresses, and in the first fragment ports and checksum too.
//
// Parameters: `burst` and `packet`, the fragment from its link or IP header on; `verdict`, what pfplane_lane_lookup_facts or
// pfplane_lane_state_create_facts said of it.
// Returns: PFPLANE_OK. `*verdict` is unchanged if the fragment was rewritten or its state does not translate. Otherwise it is
// PFPLANE_NOT_CONTIGUOUS, or PFPLANE_DROP with PFPLANE_REASON_TRANSLATION: the packet is no fragment of this state, the state
// translates between families, or the protocol is not TCP, UDP or ICMP.
// Ownership: the packet stays the caller's.
// Thread: the lane's.
// Cost: one pass over the headers, no allocation.
int32_t pfplane_lane_rewrite_fragment(pfplane_lane *lane,
                                      const struct pfplane_burst *burst,
                                      const struct pfplane_packet *packet,
                                      struct pfplane_verdict *verdict);

// -------------------------------------------------------------------------------------------------
// Lane: DPDK's mbufs
// -------------------------------------------------------------------------------------------------
//
// The calls above for mbufs, in libraries built with DPDK. Headers are read from the first segment only.

// As pfplane_lane_lookup, for mbufs. With `burst->trust_hash`, the RSS hash of each mbuf that has one is used.
//
// Parameters: `count`, 0 to PFPLANE_MAX_BURST, the elements of `mbufs` (none of them `NULL`) and `verdicts_out`.
// Returns: as pfplane_lane_lookup. Mbufs marked RX_L4_CKSUM_BAD or RX_IP_CKSUM_BAD are dropped with PFPLANE_REASON_CHECKSUM.
// Ownership: the mbufs stay the caller's. Those that pass by a translated or modulated state are rewritten in place; checksums
// that their offload flags leave to the NIC stay left to it. One whose buffer is shared gets PFPLANE_NOT_WRITABLE.
// Thread: the lane's.
// Cost: as pfplane_lane_lookup; no call into DPDK.
int32_t pfplane_lane_lookup_mbufs(pfplane_lane *lane,
                                  const struct pfplane_burst *burst,
                                  struct rte_mbuf *const *mbufs,
                                  uint32_t count,
                                  struct pfplane_verdict *verdicts_out);

// As pfplane_lane_state_create, for an mbuf.
//
// Returns: as pfplane_lane_state_create.
// Ownership: the mbuf stays the caller's. If it passes, it is rewritten as `options` say.
// Thread: the lane's.
// Cost: no allocation.
int32_t pfplane_lane_state_create_mbuf(pfplane_lane *lane,
                                       const struct pfplane_burst *burst,
                                       struct rte_mbuf *mbuf,
                                       const struct pfplane_state_options *options,
                                       struct pfplane_verdict *verdict_out);

// As pfplane_lane_receive_frame, for mbufs, each of one segment. VLAN tags that the NIC removed are read from the mbuf.
//
// Parameters: `count`, the elements of `mbufs`, none of them `NULL`.
// Returns: PFPLANE_OK, also for frames that are refused (a statistic counts why); PFPLANE_ERROR_FULL and PFPLANE_ERROR_LANE as
// pfplane_lane_receive. All frames are received also with PFPLANE_ERROR_FULL.
// Ownership: the mbufs stay the caller's and are only read.
// Thread: the lane's.
int32_t pfplane_lane_receive_mbufs(pfplane_lane *lane,
                                   struct rte_mbuf *const *mbufs,
                                   uint32_t count,
                                   uint64_t now_ns);

// As pfplane_lane_flush, into mbufs of the host's pool: up to `capacity` frames that are due. Call it until `count_out` is
// less than `capacity`. When the pool is empty nothing is lost: the frames stay due, and the statistic `onomem` counts it.
//
// Parameters: `pool`, a pktmbuf pool whose data room holds pfplane_engine_mtu and an Ethernet header; `mbufs_out` has
// `capacity` elements.
// Returns: PFPLANE_OK with the number of frames; PFPLANE_ERROR_BUFFER when the pool's data room is too small;
// PFPLANE_ERROR_NULL.
// Ownership: the mbufs become the caller's, to send or to free.
// Thread: the lane's, which must be allowed to allocate from the pool.
// Cost: one allocation from the pool for up to 64 frames.
int32_t pfplane_lane_flush_mbufs(pfplane_lane *lane,
                                 uint64_t now_ns,
                                 struct rte_mempool *pool,
                                 struct rte_mbuf **mbufs_out,
                                 uint32_t capacity,
                                 uint32_t *count_out);

// As pfplane_lane_requeue, for the mbufs that a port did not take.
//
// Parameters: `count`, the elements of `mbufs`, none of them `NULL`, as pfplane_lane_flush_mbufs returned them.
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Ownership: the mbufs stay the caller's, to be freed; they are only read.
// Thread: the lane's.
int32_t pfplane_lane_requeue_mbufs(pfplane_lane *lane,
                                   struct rte_mbuf *const *mbufs,
                                   uint32_t count,
                                   uint64_t now_ns);

// -------------------------------------------------------------------------------------------------
// States: contents
// -------------------------------------------------------------------------------------------------
//
// One layout serves states of the engine (pfplane_state_view), of pfsync frames (pfplane_frame_record) and of replicated
// tables (pfplane_store). Names follow pf. A state has two keys: the wire key, as packets look beyond the interface, and the
// stack key, as they look inside. They differ for translated states. It has two sides: `src` sent the first packet, `dst`
// is the other.

// One key of a state.
typedef struct pfplane_key {
    // Addresses, network order; IPv4 in the first 4 bytes, the others zero. Index 0 is the host beyond the interface.
    uint8_t addr[2][16];
    // Ports, host order. For ICMP queries, identifier and type.
    uint16_t port[2];
    // Routing domain (VRF), 0 for the default one. FreeBSD has none.
    uint16_t rdomain;
    // 4, 6, or 0 for any other family.
    uint8_t family;
    // IP protocol number.
    uint8_t proto;
} pfplane_key;

// One side of a connection. Numbers are in host order.
typedef struct pfplane_side {
    // TCP: highest sequence number that this side has sent.
    uint32_t seqlo;
    // TCP: highest sequence number that this side may send.
    uint32_t seqhi;
    // TCP: modulator that is added to this side's sequence numbers, 0 for none.
    uint32_t seqdiff;
    // Scrub: timestamp modulator. FreeBSD 14 and later: SCTP verification tag. Valid if `scrub_valid` is 1.
    uint32_t scrub_ts_mod;
    // Scrub: flags, of which only 0x0001 is sent to peers. Valid if `scrub_valid` is 1.
    uint16_t scrub_flags;
    // TCP: maximum window advertised, not scaled.
    uint16_t max_win;
    // TCP: maximum segment size, where pf's synproxy keeps it; 0 for none.
    uint16_t mss;
    // Scrub: maximum TTL or hop limit seen. Valid if `scrub_valid` is 1.
    uint8_t scrub_ttl;
    // 1: this side is scrubbed.
    uint8_t scrub_valid;
    // pf's state number of this side.
    uint8_t state;
    // TCP: window scale, 0x80 + shift, 0 without.
    uint8_t wscale;
    // Zero.
    uint8_t reserved[6];
} pfplane_side;

// The contents of a state: every field that any dialect of pfsync carries. Numbers are in host order; names end with a NUL.
typedef struct pfplane_state {
    // Wire key and stack key. If their families differ, pf has the stack key in the opposite order, and so have frames; a
    // view has both in the same order.
    struct pfplane_key key[2];
    // The side that sent the first packet.
    struct pfplane_side src;
    // The other side.
    struct pfplane_side dst;
    // Packets in the first packet's direction, and in the other.
    uint64_t packets[2];
    // Bytes in the first packet's direction, and in the other.
    uint64_t bytes[2];
    // The interface that the state is bound to; "all" for a floating state.
    char ifname[16];
    // Next hop of route-to and reply-to.
    uint8_t rt_addr[16];
    // FreeBSD 14 and later: interface of the next hop; empty for none.
    char rt_ifname[16];
    // FreeBSD 15: interface on which a floating state was created; empty if it is unknown.
    char orig_ifname[16];
    // FreeBSD 15: tag; empty for none.
    char tagname[64];
    // Rule, UINT32_MAX for none.
    uint32_t rule;
    // Anchor, UINT32_MAX for none.
    uint32_t anchor;
    // Translation rule, UINT32_MAX for none.
    uint32_t nat_rule;
    // Seconds since the state was created.
    uint32_t age_s;
    // Seconds until the state expires without traffic; 0 for expired or unknown. In frames, this library sends the time
    // without adaptive scaling, pf with it.
    uint32_t expire_s;
    // Routing tables of the wire and the stack side, -1 for none.
    int32_t rtableid[2];
    // pf's state flags, see enum pfplane_state_flag for some.
    uint16_t state_flags;
    // Scrub: maximum MSS, 0 for none.
    uint16_t max_mss;
    // FreeBSD: ALTQ queue, 0 for none.
    uint16_t qid;
    // FreeBSD: ALTQ priority queue, 0 for none.
    uint16_t pqid;
    // FreeBSD: dummynet pipe or queue, 0 for none.
    uint16_t dnpipe;
    // FreeBSD: the same for the reverse direction.
    uint16_t dnrpipe;
    // PFPLANE_IN or PFPLANE_OUT: the first packet's direction.
    uint8_t direction;
    // pf's log flags.
    uint8_t log;
    // 0 none, 1 route-to, 2 dup-to, 3 reply-to, 4 fastroute (FreeBSD), in every dialect.
    uint8_t rt;
    // FreeBSD 15: family of `rt_addr`: 4, 6, or 0.
    uint8_t rt_family;
    // PFPLANE_TIMEOUT_*: the timeout class.
    uint8_t timeout;
    // 0x04: counted to its source (pfctl: source-track). 0x08: so is its translation (sticky-address).
    uint8_t sync_flags;
    // Unused by all systems. Frames only.
    uint8_t updates;
    // Scrub: minimum TTL, 0 for none.
    uint8_t min_ttl;
    // Scrub: TOS, 0 for none.
    uint8_t set_tos;
    // Scrub: priorities.
    uint8_t set_prio[2];
    // The family that a message states besides the keys': 4, 6 or 0. Read from frames only, never written.
    uint8_t family;
} pfplane_state;

// -------------------------------------------------------------------------------------------------
// States: listing
// -------------------------------------------------------------------------------------------------
//
// pfctl -ss, for one lane:
//
//     struct pfplane_state_view view = {.size = sizeof(view)};
//     uint32_t cursor = 0;
//     while (pfplane_lane_state_next(lane, now_ns, &cursor, &view) == PFPLANE_OK)
//         print(&view);

// One state of a lane.
typedef struct pfplane_state_view {
    // sizeof(struct pfplane_state_view).
    uint32_t size;
    // The state's slot in this lane.
    uint32_t slot;
    // Identity: unique among the states of one creator.
    uint64_t id;
    // Identity: the host id of the node that created the state.
    uint32_t creator;
    // Number of changes made on this node.
    uint32_t version;
    // Seconds without traffic after which the state expires, whatever its timeout class; 0: by its class.
    uint32_t timeout_s;
    // The peer that sent it: its index in `pfplane_config.peers` + 1; 0 if this node created the state.
    uint8_t origin_peer;
    // 1: a peer sent this state.
    uint8_t imported;
    // 1: this node passed a packet of it.
    uint8_t local_traffic;
    // 1: its keys differ, so packets are translated.
    uint8_t translated;
    // 1: it counts as an established connection of its source.
    uint8_t connected;
    // Bytes in `opaque`.
    uint8_t opaque_length;
    // 1: a peer sent fields that found no space (`pfplane_config.max_extra_per_lane`).
    uint8_t incomplete;
    // Zero.
    uint8_t reserved[5];
    // Its contents.
    struct pfplane_state state;
    // The host's own bytes, see `pfplane_state_options.opaque`; zero beyond their length.
    uint8_t opaque[64];
} pfplane_state_view;

// Returns the lane's next state, in the order of slots. States that are created or deleted meanwhile may be missed; none is
// returned twice.
//
// Parameters: set `*cursor` to 0 before the first call and leave it alone between calls; the caller sets
// `view_out->size`.
// Returns: PFPLANE_OK; PFPLANE_END after the last; PFPLANE_ERROR_NULL, PFPLANE_ERROR_SIZE.
// Thread: the lane's. Cost: reads three records of one state, and skips free slots.
int32_t pfplane_lane_state_next(const pfplane_lane *lane,
                                uint64_t now_ns,
                                uint32_t *cursor,
                                struct pfplane_state_view *view_out);

// Returns the state in a slot of the lane, for instance a verdict's.
//
// Parameters: the caller sets `view_out->size`.
// Returns: PFPLANE_OK; PFPLANE_END when the slot is free; PFPLANE_ERROR_NULL, PFPLANE_ERROR_SIZE.
// Thread: the lane's. Cost: reads three records of one state.
int32_t pfplane_lane_state_at(const pfplane_lane *lane,
                              uint64_t now_ns,
                              uint32_t slot,
                              struct pfplane_state_view *view_out);

// -------------------------------------------------------------------------------------------------
// States: deletion by an operator
// -------------------------------------------------------------------------------------------------
//
// pfctl -k and -F. Peers get a delete message for each state. pfplane_engine_clear deletes all states of all lanes.

// Which fields of `pfplane_state_filter` apply.
enum pfplane_filter_field {
    PFPLANE_FILTER_FAMILY = 0x0001,           // `family` applies.
    PFPLANE_FILTER_PROTO = 0x0002,            // `proto` applies.
    PFPLANE_FILTER_SOURCE = 0x0004,           // `source` and `source_prefix` apply.
    PFPLANE_FILTER_DESTINATION = 0x0008,      // `destination` and `destination_prefix` apply.
    PFPLANE_FILTER_SOURCE_PORT = 0x0010,      // `source_port` applies.
    PFPLANE_FILTER_DESTINATION_PORT = 0x0020, // `destination_port` applies.
    PFPLANE_FILTER_RULE = 0x0040,             // `rule` applies.
    PFPLANE_FILTER_IFNAME = 0x0080,           // `ifname` applies.
    PFPLANE_FILTER_CREATOR = 0x0100,          // `creator` applies.
};

// `rdomain` applies.
#define PFPLANE_FILTER_RDOMAIN 512

// Selects the states that match every field that applies. Addresses and ports are compared with both keys of a translated
// state; one match is enough.
typedef struct pfplane_state_filter {
    // sizeof(struct pfplane_state_filter).
    uint32_t size;
    // PFPLANE_FILTER_*: the fields that apply. 0 selects all states.
    uint32_t fields;
    // Address of the side that sent the first packet, network order; IPv4 in the first 4 bytes.
    uint8_t source[16];
    // Address of the other side, network order; IPv4 in the first 4 bytes.
    uint8_t destination[16];
    // The interface that the state is bound to, padded with NUL.
    char ifname[16];
    // The rule's number.
    uint32_t rule;
    // The host id of the node that created the state.
    uint32_t creator;
    // Port of the side that sent the first packet, host order.
    uint16_t source_port;
    // Port of the other side, host order.
    uint16_t destination_port;
    // 4 or 6. Give it with an address.
    uint8_t family;
    // IP protocol number.
    uint8_t proto;
    // Prefix length of `source`: 0 to 128.
    uint8_t source_prefix;
    // Prefix length of `destination`: 0 to 128.
    uint8_t destination_prefix;
    // Routing domain (VRF), compared with both keys of a translated state.
    uint16_t rdomain;
    // Zero.
    uint8_t reserved[2];
} pfplane_state_filter;

// Deletes one state by its identity (pfctl -k id).
//
// Parameters: `id` and `creator` as in `pfplane_state_view`.
// Returns: PFPLANE_OK; PFPLANE_END when this lane has no such state; PFPLANE_ERROR_NULL.
// Thread: the lane's. Cost: one lookup.
int32_t pfplane_lane_state_kill_id(pfplane_lane *lane,
                                   uint64_t now_ns,
                                   uint64_t id,
                                   uint32_t creator);

// Deletes the state that packets with these addresses and ports belong to (pfctl -k key).
//
// Parameters: `burst` gives the direction, the routing domain and the time; of `facts`, the fields of the key are read: family, proto, kind,
// addresses and ports. Either direction of the connection matches, and either side of a translated one, each with its
// direction.
// Returns: PFPLANE_OK; PFPLANE_END when this lane has no such state; PFPLANE_ERROR_ARGUMENT for facts that contradict each
// other.
// Thread: the lane's. Cost: one lookup.
int32_t pfplane_lane_state_kill_key(pfplane_lane *lane,
                                    const struct pfplane_burst *burst,
                                    const struct pfplane_facts *facts);

// Deletes the lane's states that a filter selects (pfctl -k), a bounded number of slots per call. Between the calls the lane
// continues with packets and frames. When no more delete messages can be queued, a call ends early, and the next one continues
// once frames were flushed.
//
// Parameters: set `*cursor` to 0 before the first call and leave it alone between calls; `max_slots`, the slots that this call
// examines.
// Returns: PFPLANE_OK, call again; PFPLANE_END, all slots were examined. Both write how many states this call deleted.
// Thread: the lane's. Cost: one cache line per slot.
int32_t pfplane_lane_state_kill(pfplane_lane *lane,
                                uint64_t now_ns,
                                const struct pfplane_state_filter *filter,
                                uint32_t max_slots,
                                uint32_t *cursor,
                                uint32_t *killed_out);

// -------------------------------------------------------------------------------------------------
// Frames: records
// -------------------------------------------------------------------------------------------------
//
// The pfsync codec alone, without an engine, a table or a clock. A frame is a list of records, and one struct holds a record
// of any action in any dialect. c-examples/frame-convert turns OpenBSD's frames into FreeBSD's.

// What a record says, and which fields of `pfplane_frame_record` it has.
enum pfplane_frame_action {
    // All states of a creator are deleted: `creator`, `state.ifname` (empty: on all interfaces).
    PFPLANE_ACTION_CLEAR = 1,
    // A new state: `id`, `creator`, `state`.
    PFPLANE_ACTION_INSERT = 2,
    // Acknowledges an insert that asked for it: `id`, `creator`.
    PFPLANE_ACTION_INSERT_ACK = 3,
    // A changed state: `id`, `creator`, `state`.
    PFPLANE_ACTION_UPDATE = 4,
    // What has changed in a state: `id`, `creator`, `state.src`, `.dst`, `.timeout` and `.expire_s`.
    PFPLANE_ACTION_UPDATE_COMPRESSED = 5,
    // Requests a whole state: `id`, `creator`; both 0 request all states (bulk transfer).
    PFPLANE_ACTION_UPDATE_REQUEST = 6,
    // A deleted state, in full; no system sends it today: `id`, `creator`, `state`.
    PFPLANE_ACTION_DELETE = 7,
    // A deleted state: `id`, `creator`.
    PFPLANE_ACTION_DELETE_COMPRESSED = 8,
    // Start or end of a bulk transfer: `creator`, `bulk_endtime_s`, `bulk_status`.
    PFPLANE_ACTION_BULK_STATUS = 9,
    // Counters of an IPsec association: `tdb`.
    PFPLANE_ACTION_TDB = 10,
    // The end mark of version 5, which the writer adds itself.
    PFPLANE_ACTION_EOF = 11,
};

// Counters of an IPsec association.
typedef struct pfplane_frame_tdb {
    // Replay counter.
    uint64_t replay;
    // Byte counter.
    uint64_t bytes;
    // Security parameter index, host order.
    uint32_t spi;
    // Routing domain; OpenBSD only.
    uint16_t rdomain;
    // IPsec protocol.
    uint8_t proto;
    // Zero.
    uint8_t reserved;
    // A BSD socket address: length, family as the sending system numbers it, port, address.
    uint8_t destination[28];
    // Zero.
    uint32_t reserved2;
} pfplane_frame_tdb;

// One record of a frame. PFPLANE_ACTION_* say which fields it has; the others are zero.
typedef struct pfplane_frame_record {
    // sizeof(struct pfplane_frame_record).
    uint32_t size;
    // PFPLANE_ACTION_*.
    uint32_t action;
    // PFPLANE_PROFILE_* of a whole state's layout, otherwise 0. Ignored by the writer.
    uint32_t profile;
    // PFPLANE_FAULT_*. Ignored by the writer.
    uint32_t fault;
    // Identity: unique among the states of one creator.
    uint64_t id;
    // Identity: the host id of the node that created the state.
    uint32_t creator;
    // Seconds since the bulk request; OpenBSD sends 0.
    uint32_t bulk_endtime_s;
    // 1 start, 2 end.
    uint32_t bulk_status;
    // Zero.
    uint32_t reserved;
    // The state.
    struct pfplane_state state;
    // The IPsec association.
    struct pfplane_frame_tdb tdb;
} pfplane_frame_record;

// Fills `record_out` with a record in which every field has its "none".
//
// Parameters: `size`, sizeof(struct pfplane_frame_record); `action`, PFPLANE_ACTION_*.
// Returns: PFPLANE_OK, PFPLANE_ERROR_SIZE, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_NULL.
// Thread: any.
int32_t pfplane_frame_record_init(struct pfplane_frame_record *record_out,
                                  uint32_t size,
                                  uint32_t action);

// Converts a whole state from one dialect to another, in place: clears what the other cannot express, and maps what it
// expresses differently. Records without a whole state stay as they are.
//
// Parameters: `from` and `to`, PFPLANE_PROFILE_*. `dropped_out` and `mapped_out` get a bit for each field that lost or changed
// its value; the name of bit n is pfplane_frame_field_name(n).
// Returns: PFPLANE_OK, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_SIZE, PFPLANE_ERROR_NULL.
// Thread: any.
int32_t pfplane_frame_record_convert(struct pfplane_frame_record *record,
                                     uint32_t from,
                                     uint32_t to,
                                     uint32_t *dropped_out,
                                     uint32_t *mapped_out);

// Returns the name of bit `number` in what pfplane_frame_record_convert reports.
//
// Returns: a text that lives as long as the program; `NULL` past the last.
// Thread: any.
const char *pfplane_frame_field_name(uint32_t number);

// -------------------------------------------------------------------------------------------------
// Frames: reading
// -------------------------------------------------------------------------------------------------
//
// Parses pfsync frames of any dialect, record by record:
//
//     pfplane_frame_reader_begin_packet(reader, ip_packet, length, &fault);
//     while (pfplane_frame_reader_next(reader, &record) == PFPLANE_OK)
//         use(&record); // after a look at record.fault

// What is wrong with a frame, a region of it (records of one action), or a record.
enum pfplane_fault {
    // Nothing.
    PFPLANE_FAULT_NONE = 0,
    // Frame: the IP header is malformed, or belongs to another protocol.
    PFPLANE_FAULT_IP = 1,
    // Frame: the TTL or hop limit is not 255 (pf's badttl).
    PFPLANE_FAULT_TTL = 2,
    // Frame: too short for its header (pf's hdrops).
    PFPLANE_FAULT_HEADER = 3,
    // Frame: neither version 5 nor 6 (pf's badver).
    PFPLANE_FAULT_VERSION = 4,
    // Frame or region: wrong length (pf's badlen).
    PFPLANE_FAULT_LENGTH = 5,
    // Region: unknown action; the rest of the frame is lost (pf's badact).
    PFPLANE_FAULT_ACTION = 6,
    // Region: unknown action with a length (version 6); the frame continues behind it.
    PFPLANE_FAULT_SKIPPED = 7,
    // Region: bytes after the end mark (version 5; FreeBSD counts badlen).
    PFPLANE_FAULT_AFTER_END = 8,
    // Record: a timeout class at or above the dialect's limit (pf's badval, as all below).
    PFPLANE_FAULT_TIMEOUT = 9,
    // Record: a side's state number above 12.
    PFPLANE_FAULT_PEER_STATE = 10,
    // Record: direction neither in nor out.
    PFPLANE_FAULT_DIRECTION = 11,
    // Record: neither IPv4 nor IPv6.
    PFPLANE_FAULT_FAMILY = 12,
    // Record: no creator.
    PFPLANE_FAULT_CREATOR = 13,
    // Record: a name without a NUL.
    PFPLANE_FAULT_NAME = 14,
};

// Creates a reader.
//
// Returns: PFPLANE_OK and the reader in `reader_out`; PFPLANE_ERROR_MEMORY, PFPLANE_ERROR_NULL.
// Ownership: the caller's, until pfplane_frame_reader_free.
// Thread: any; one thread at a time uses a reader. Cost: the only allocation.
int32_t pfplane_frame_reader_new(struct pfplane_frame_reader **reader_out);

// Frees a reader.
//
// Parameters: `reader`; `NULL` is fine.
// Thread: any.
void pfplane_frame_reader_free(struct pfplane_frame_reader *reader);

// Begins to read a frame that starts after its IP header.
//
// Parameters: `payload` with `length` bytes, as many as the IP header says; `fault_out` gets PFPLANE_FAULT_NONE, or why the
// whole frame must be dropped.
// Returns: PFPLANE_OK, also for a frame with a fault; PFPLANE_ERROR_NULL.
// Ownership: `payload` stays the caller's and must not change until the next begin or pfplane_frame_reader_free.
// Thread: the reader's.
int32_t pfplane_frame_reader_begin(struct pfplane_frame_reader *reader,
                                   const uint8_t *payload,
                                   uint32_t length,
                                   uint32_t *fault_out);

// As pfplane_frame_reader_begin, for a whole IPv4 or IPv6 packet, whose header, TTL and checksum are checked first.
//
// Parameters: `ip_packet` with `length` bytes; `fault_out` as in pfplane_frame_reader_begin.
// Returns: as pfplane_frame_reader_begin.
// Ownership: `ip_packet` stays the caller's and must not change until the next begin or pfplane_frame_reader_free.
// Thread: the reader's.
int32_t pfplane_frame_reader_begin_packet(struct pfplane_frame_reader *reader,
                                          const uint8_t *ip_packet,
                                          uint32_t length,
                                          uint32_t *fault_out);

// Returns the frame's next record, in the order of the frame. A region with a fault gives one record, with `action` 0 and
// that fault. Regions before it are returned, and after PFPLANE_FAULT_SKIPPED also those behind it.
//
// Parameters: the caller sets `record_out->size`.
// Returns: PFPLANE_OK; PFPLANE_END at the end of the frame; PFPLANE_ERROR_SIZE, PFPLANE_ERROR_NULL.
// Thread: the reader's. Cost: writes the whole struct.
int32_t pfplane_frame_reader_next(struct pfplane_frame_reader *reader,
                                  struct pfplane_frame_record *record_out);

// Returns the pfsync version of the frame that is being read.
//
// Returns: 5 or 6; 0 when no frame is being read.
// Thread: the reader's.
uint32_t pfplane_frame_reader_version(const struct pfplane_frame_reader *reader);

// Returns the trailer of the frame that is being read: the bytes behind the length that the frame states, which receivers
// ignore. See `pfplane_frame_options.trailer`.
//
// Parameters: `trailer_out` gets the first byte, `length_out` the number of bytes, 0 for none.
// Returns: PFPLANE_OK; PFPLANE_END when no frame is being read; PFPLANE_ERROR_NULL.
// Ownership: the bytes are part of the frame, which is the caller's.
// Thread: the reader's.
int32_t pfplane_frame_reader_trailer(const struct pfplane_frame_reader *reader,
                                     const uint8_t **trailer_out,
                                     uint32_t *length_out);

// Returns the name of a fault: that of pf's counter, where pf counts it.
//
// Returns: a text that lives as long as the program, never `NULL`; "unknown" for an unknown number.
// Thread: any.
const char *pfplane_frame_fault_name(uint32_t fault);

// -------------------------------------------------------------------------------------------------
// Frames: writing
// -------------------------------------------------------------------------------------------------
//
// Builds pfsync frames of one dialect into the caller's memory: begin, push records, finish; then the IP header with
// pfplane_frame_envelope_write.

// What a frame has besides its records.
typedef struct pfplane_frame_options {
    // sizeof(struct pfplane_frame_options).
    uint32_t size;
    // Bytes reserved, as zeros, behind the length that the frame states, where receivers ignore them. Default 0.
    uint32_t trailer;
    // Ruleset checksum. Default zeros; set it only if a FreeBSD peer should use our rule numbers.
    uint8_t checksum[16];
    // 1: key ICMP states by identifier only, as FreeBSD before 13.3-p5 and 14.1-p3; PFPLANE_PROFILE_FREEBSD1301 and
    // _FREEBSD1400 only, otherwise ignored. Default 0: by identifier and type.
    uint8_t icmp_id_twice;
    // Zero.
    uint8_t reserved[7];
} pfplane_frame_options;

// Creates a writer for a dialect.
//
// Parameters: `profile`, PFPLANE_PROFILE_*; `options`, `NULL` for the defaults, copied.
// Returns: PFPLANE_OK and the writer in `writer_out`; PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_SIZE,
// PFPLANE_ERROR_MEMORY, PFPLANE_ERROR_NULL.
// Ownership: the caller's, until pfplane_frame_writer_free.
// Thread: any; one thread at a time uses a writer. Cost: the only allocation.
int32_t pfplane_frame_writer_new(uint32_t profile,
                                 const struct pfplane_frame_options *options,
                                 struct pfplane_frame_writer **writer_out);

// Frees a writer.
//
// Parameters: `writer`; `NULL` is fine.
// Thread: any.
void pfplane_frame_writer_free(struct pfplane_frame_writer *writer);

// Begins a frame. A frame that was begun and not finished is discarded.
//
// Parameters: `buffer` with `capacity` bytes for what follows the IP header, usually the MTU less that header. It must be
// initialised, for instance zeroed.
// Returns: PFPLANE_OK; PFPLANE_ERROR_BUFFER when not even an empty frame fits; PFPLANE_ERROR_NULL.
// Ownership: the buffer is the writer's until pfplane_frame_writer_finish, then the caller's again.
// Thread: the writer's.
int32_t pfplane_frame_writer_begin(struct pfplane_frame_writer *writer,
                                   uint8_t *buffer,
                                   uint32_t capacity);

// Appends a record. Consecutive records of one action share a region.
//
// Parameters: `record`; flags and timeout classes are written as they are, see pfplane_frame_record_convert.
// Returns: PFPLANE_OK; PFPLANE_ERROR_BUFFER when the frame is full: finish it and begin the next; PFPLANE_ERROR_ARGUMENT
// for an action that the dialect does not have, or when no frame was begun; PFPLANE_ERROR_SIZE, PFPLANE_ERROR_NULL.
// Thread: the writer's.
int32_t pfplane_frame_writer_push(struct pfplane_frame_writer *writer,
                                  const struct pfplane_frame_record *record);

// Finishes the frame.
//
// Parameters: `length_out` gets the frame's bytes, trailer included; 0 when no record was pushed.
// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when no frame was begun; PFPLANE_ERROR_NULL.
// Thread: the writer's.
int32_t pfplane_frame_writer_finish(struct pfplane_frame_writer *writer, uint32_t *length_out);

// Writes the IP header of a frame, 20 or 40 bytes: protocol 240, TTL 255; for IPv4 with don't-fragment and checksum.
//
// Parameters: `source` and `destination`, of the same family; `tos`, the systems send 0x10 (IPv4) and 0 (IPv6);
// `identification`, IPv4's, any number; `payload_length`, the frame's bytes; `buffer` with `capacity` bytes; `length_out`
// gets the header's bytes.
// Returns: PFPLANE_OK, PFPLANE_ERROR_BUFFER, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_NULL.
// Thread: any.
int32_t pfplane_frame_envelope_write(const struct pfplane_address *source,
                                     const struct pfplane_address *destination,
                                     uint8_t tos,
                                     uint16_t identification,
                                     uint32_t payload_length,
                                     uint8_t *buffer,
                                     uint32_t capacity,
                                     uint32_t *length_out);

// -------------------------------------------------------------------------------------------------
// Frames: in DPDK's mbufs
// -------------------------------------------------------------------------------------------------

// As pfplane_frame_reader_begin_packet, for an mbuf whose data starts with the IP header. The packet must be in the first
// segment; otherwise the fault is PFPLANE_FAULT_IP.
//
// Returns: as pfplane_frame_reader_begin_packet.
// Ownership: the mbuf stays the caller's and must not change until the next begin or pfplane_frame_reader_free.
// Thread: the reader's.
int32_t pfplane_frame_reader_begin_mbuf(struct pfplane_frame_reader *reader,
                                        const struct rte_mbuf *mbuf,
                                        uint32_t *fault_out);

// As pfplane_frame_writer_begin, into an mbuf. The frame starts `offset` bytes after the start of the mbuf's data, where the
// caller puts the headers, and has at most `capacity` bytes, or as many as the mbuf's buffer holds.
//
// Returns: as pfplane_frame_writer_begin.
// Ownership: the mbuf stays the caller's, who sets its lengths when the frame is finished. Nobody else may use it until then.
// Thread: the writer's.
int32_t pfplane_frame_writer_begin_mbuf(struct pfplane_frame_writer *writer,
                                        struct rte_mbuf *mbuf,
                                        uint32_t offset,
                                        uint32_t capacity);

// -------------------------------------------------------------------------------------------------
// Replica: the host's table
// -------------------------------------------------------------------------------------------------
//
// For a host that has its own state table and only wants it replicated: it describes the table with five functions.
// c-examples/store is a complete example.

// A state table of the host's: states in slots below `capacity`, which the host chooses.
//
// Records are in OpenBSD's conventions (PFPLANE_PROFILE_OPENBSD6). The functions are called during calls on the replica, on the
// same thread. They must not call the replica themselves.
typedef struct pfplane_store {
    // sizeof(struct pfplane_store).
    uint32_t size;
    // Number of slots: 1 to 2^24.
    uint32_t capacity;
    // Reads the state in `slot` into `record_out->state`, whose fields have their "none" before. `state.expire_s` is the time
    // left of the full timeout, even where the host shortens timeouts while its table fills; 0 if it is over. Returns
    // PFPLANE_OK, or PFPLANE_END if the slot is free.
    int32_t (*get)(void *context, uint32_t slot, struct pfplane_frame_record *record_out);
    // Inserts a peer's state and reports its slot. Returns PFPLANE_OK; PFPLANE_ERROR_FULL; or PFPLANE_ERROR_EXISTS, with the
    // slot of the state that has the key.
    int32_t (*insert)(void *context, const struct pfplane_frame_record *record, uint32_t *slot_out);
    // Updates the state in `slot` with what a peer knows better: `src`, `dst`, `timeout` and `expire_s`.
    void (*update)(void *context, uint32_t slot, const struct pfplane_frame_record *record);
    // Removes the state in `slot`: a peer deleted it, or another state replaces it.
    void (*remove)(void *context, uint32_t slot);
    // Finds the first state at or after slot `from`, to read the table when the replica is created. Returns PFPLANE_OK, or
    // PFPLANE_END if there is none.
    int32_t (*walk)(void *context, uint32_t from, uint32_t *slot_out);
    // Passed to all functions.
    void *context;
} pfplane_store;

// -------------------------------------------------------------------------------------------------
// Replica
// -------------------------------------------------------------------------------------------------
//
// Keeps a host's table equal to its peers'. The host reports what happens in its table, polls, sends the frames that are due,
// and passes received frames; the replica calls the table's functions.

// Creates a replica of a table. States that are in the table already count as this node's own and are sent to the peers.
//
// Parameters: `config`, for one lane, of which the host id, the peers (without Ethernet headers) and the settings of
// replication apply; `store`, copied.
// Returns: PFPLANE_OK and the replica in `replica_out`; PFPLANE_ERROR_SETTING (the last error names the setting and its
// limits), PFPLANE_ERROR_MEMORY, PFPLANE_ERROR_SIZE or PFPLANE_ERROR_NULL.
// Ownership: the caller's, until pfplane_replica_free. The store's context must live as long.
// Thread: any; one thread at a time uses a replica. Cost: allocates all memory, about 100 bytes per slot.
int32_t pfplane_replica_new(const struct pfplane_config *config,
                            const struct pfplane_store *store,
                            struct pfplane_replica **replica_out);

// Frees a replica. The table is not touched.
//
// Parameters: `replica`; `NULL` is fine.
// Thread: any.
void pfplane_replica_free(struct pfplane_replica *replica);

// Reports that the host has inserted a state in `slot` of its table.
//
// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when the replica knows a state in this slot already, the slot is beyond the
// capacity, or the table has no state there; PFPLANE_ERROR_NULL.
// Thread: the replica's. Cost: no allocation; reads the state from the table.
int32_t pfplane_replica_inserted(struct pfplane_replica *replica,
                                 uint32_t slot,
                                 uint64_t now_ns);

// Reports that the host has passed a packet of the state in `slot`. Many such changes become one message.
//
// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when there is no state in this slot; PFPLANE_ERROR_NULL.
// Thread: the replica's. Cost: a few instructions on one cache line; the table is not read.
int32_t pfplane_replica_updated(struct pfplane_replica *replica,
                                uint32_t slot,
                                uint64_t now_ns);

// Reports that the host has removed the state in `slot`, or is about to. Not for states that the replica removes itself
// through `pfplane_store.remove`.
//
// Parameters: `expired`, true if its timeout was over: peers then get a delete message only if this node had traffic of it.
// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when there is no state in this slot; PFPLANE_ERROR_NULL.
// Thread: the replica's. Cost: no allocation.
int32_t pfplane_replica_removed(struct pfplane_replica *replica,
                                uint32_t slot,
                                bool expired,
                                uint64_t now_ns);

// Returns whether the host should keep the state in `slot` although its timeout is over: only a peer has traffic of it, and
// the peer is silent (`pfplane_config.grace_s`), or a bulk transfer is in progress. A host that shortens timeouts while its
// table fills should not shorten those of states that only a peer has traffic of.
//
// Returns: true or false; false for `NULL`.
// Thread: the replica's.
bool pfplane_replica_keeps(const struct pfplane_replica *replica,
                           uint32_t slot);

// Housekeeping. Call it at least once per millisecond.
//
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: the replica's. Cost: a bounded amount of work per call.
int32_t pfplane_replica_poll(struct pfplane_replica *replica, uint64_t now_ns);

// Receives one pfsync packet (IP protocol 240) from the sync port, starting at its IP header.
//
// Returns: PFPLANE_OK, also for a packet that is refused (a statistic counts why); PFPLANE_ERROR_NULL.
// Thread: the replica's.
int32_t pfplane_replica_receive(struct pfplane_replica *replica,
                                const uint8_t *ip_packet,
                                uint32_t length,
                                uint64_t now_ns);

// Writes the next pfsync packet that is due, starting at its IP header. Call it until `length_out` is 0.
//
// Parameters: `capacity`, the bytes of `buffer`, at least `pfplane_config.mtu`.
// Returns: PFPLANE_OK with the packet's length, 0 when none is due; PFPLANE_ERROR_BUFFER when `capacity` is too small;
// PFPLANE_ERROR_NULL.
// Thread: the replica's. Cost: reads every state in the packet from the table.
int32_t pfplane_replica_flush(struct pfplane_replica *replica,
                              uint64_t now_ns,
                              uint8_t *buffer,
                              uint32_t capacity,
                              uint32_t *length_out);

// Requeues the contents of a packet that could not be sent.
//
// Parameters: `ip_packet` with `length` bytes, as pfplane_replica_flush wrote it.
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: the replica's.
int32_t pfplane_replica_requeue(struct pfplane_replica *replica,
                                const uint8_t *ip_packet,
                                uint32_t length,
                                uint64_t now_ns);

// Returns whether this node may take over, as pfplane_engine_ready.
//
// Returns: true or false; false for `NULL`.
// Thread: the replica's.
bool pfplane_replica_ready(const struct pfplane_replica *replica);

// Reports whether this node may take over, and why not, as pfplane_engine_readiness.
//
// Parameters: the caller sets `readiness_out->size`.
// Returns: PFPLANE_OK, PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
// Thread: the replica's.
int32_t pfplane_replica_readiness(const struct pfplane_replica *replica,
                                  uint64_t now_ns,
                                  struct pfplane_readiness *readiness_out);

// Reports frames that the sync port missed or that the host dropped, as pfplane_engine_frames_missed.
//
// Parameters: `frames`, those since the last report; 0 does nothing.
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: the replica's.
int32_t pfplane_replica_frames_missed(struct pfplane_replica *replica,
                                      uint64_t frames);

// Requests all states of the peers.
//
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: the replica's.
int32_t pfplane_replica_bulk_request(struct pfplane_replica *replica, uint64_t now_ns);

// Sends all states of this node to the peers, unasked.
//
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: the replica's.
int32_t pfplane_replica_bulk_push(struct pfplane_replica *replica, uint64_t now_ns);

// Returns one statistic. Those of replication have the same names as in pfplane_engine_stat, and numbers of their own.
//
// Parameters: `index` from 0 on; the caller sets `stat_out->size`.
// Returns: PFPLANE_OK; PFPLANE_END when `index` is past the last; PFPLANE_ERROR_NULL, PFPLANE_ERROR_SIZE.
// Ownership: the texts are the library's.
// Thread: the replica's.
int32_t pfplane_replica_stat(const struct pfplane_replica *replica,
                             uint64_t now_ns,
                             uint32_t index,
                             struct pfplane_stat *stat_out);

// -------------------------------------------------------------------------------------------------
// The seal of a replica's peers
// -------------------------------------------------------------------------------------------------
//
// As for an engine, whose calls explain more.

// Adds a key for a sealed peer, as pfplane_engine_seal_key_add does.
//
// Parameters: `peer`, its index in `pfplane_config.peers`; `key`, copied.
// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING when the key cannot be added (the last error says why); PFPLANE_ERROR_NULL.
// Thread: the replica's.
int32_t pfplane_replica_seal_key_add(struct pfplane_replica *replica,
                                     uint32_t peer,
                                     const struct pfplane_seal_key *key);

// Removes a key of a sealed peer, as pfplane_engine_seal_key_remove does.
//
// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING when the key cannot be removed (the last error says why); PFPLANE_ERROR_NULL.
// Thread: the replica's.
int32_t pfplane_replica_seal_key_remove(struct pfplane_replica *replica,
                                        uint32_t peer,
                                        uint32_t id);

// Begins another run of the seals, as pfplane_engine_seal_renew does.
//
// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING when no peer is sealed or the system has no random bits; PFPLANE_ERROR_NULL.
// Thread: the replica's.
int32_t pfplane_replica_seal_renew(struct pfplane_replica *replica);

// Reports the state of a peer's seal, as of the last frame.
//
// Parameters: the caller sets `status_out->size`.
// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when there is no such peer; PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
// Thread: the replica's.
int32_t pfplane_replica_seal_status(struct pfplane_replica *replica,
                                    uint32_t peer,
                                    struct pfplane_seal_status *status_out);

// -------------------------------------------------------------------------------------------------
// Election: configuration
// -------------------------------------------------------------------------------------------------
//
// An election decides which node forwards. A group is a set of shared addresses on several interfaces, of both families, that
// change master together. It speaks CARP, by the rules of OpenBSD or FreeBSD, or VRRPv3, and does no I/O: the host passes in
// frames of IP protocol 112 and the time, sends the frames that come out, and asks pfplane_election_may_forward before each
// burst.
//
// Which one to choose: PFPLANE_ELECTION_VRRP3 for two pfplane nodes (from 10 ms) and beside keepalived or FRR;
// PFPLANE_ELECTION_OPENBSD or _FREEBSD if the other node is a pf box or runs ucarp (about 3 s).

// Protocol and rules.
enum pfplane_election_dialect {
    PFPLANE_ELECTION_OPENBSD = 1, // CARP with OpenBSD's rules: a demotion counts before the timing.
    PFPLANE_ELECTION_FREEBSD = 2, // CARP with FreeBSD's rules: a demotion is part of advskew.
    PFPLANE_ELECTION_VRRP3 = 3,   // VRRP version 3 (RFC 9568).
};

// When a backup takes a master for dead.
enum pfplane_election_silence {
    // Silence on all members and of hellos if the peer says hello; otherwise silence on any member, as BSD has it.
    PFPLANE_ELECTION_SILENCE_AUTOMATIC = 0,
    // Silence on all members and of hellos.
    PFPLANE_ELECTION_SILENCE_ALL = 1,
    // Silence on any member.
    PFPLANE_ELECTION_SILENCE_ANY = 2,
};

// Which MAC address the shared addresses have.
enum pfplane_election_mac {
    // The virtual one, which moves with the role: 00:00:5e:00:01:ID, of VRRP over IPv6 00:00:5e:00:02:ID.
    PFPLANE_ELECTION_MAC_VIRTUAL = 0,
    // The virtual one, but adverts come from the port's own: for ports that drop frames whose source is an address of
    // theirs.
    PFPLANE_ELECTION_MAC_VIRTUAL_ADVERTS_OWN = 1,
    // The port's own: for clouds, hypervisors that forbid other addresses, and ucarp.
    PFPLANE_ELECTION_MAC_OWN = 2,
};

// One interface and one family of a group. All of it is copied.
typedef struct pfplane_election_member {
    // sizeof(struct pfplane_election_member).
    uint32_t size;
    // The host's number of the port.
    uint16_t port;
    // The VLAN, 1 to 4094. 0: untagged.
    uint16_t vlan;
    // The group's id on this network (CARP: vhid, VRRP: VRID), 1 to 255. No other group on the VLAN may have it.
    uint8_t id;
    // Zero.
    uint8_t reserved;
    // The port's own MAC address.
    uint8_t own_mac[6];
    // This node's own address, where adverts come from. IPv6: link-local. Its family is the member's.
    struct pfplane_address own_address;
    // Elements of `addresses`: 1 to 255.
    uint32_t address_count;
    // Elements of `peers`: 0 to 16.
    uint32_t peer_count;
    // The addresses that the group shares here, in any order, of the member's family. All nodes have the same ones.
    const struct pfplane_address *addresses;
    // The own addresses of the other nodes, for unicast. None: multicast, from anybody.
    const struct pfplane_address *peers;
    // CARP's pass-phrase, NUL-terminated, at most 19 bytes; all members with one id on one network have the same. `NULL` for none.
    const char *passphrase;
} pfplane_election_member;

// A group.
typedef struct pfplane_election_config {
    // sizeof(struct pfplane_election_config).
    uint32_t size;
    // PFPLANE_ELECTION_OPENBSD, _FREEBSD or _VRRP3. Default PFPLANE_ELECTION_VRRP3.
    uint32_t dialect;
    // PFPLANE_ELECTION_SILENCE_*. Default PFPLANE_ELECTION_SILENCE_AUTOMATIC.
    uint32_t silence;
    // PFPLANE_ELECTION_MAC_*. Default PFPLANE_ELECTION_MAC_VIRTUAL.
    uint32_t mac;
    // 1 to 254, higher is better; CARP's advskew is 254 less it. Give each node another one. With VRRP, 1 and 2 also stand for
    // nodes without all states. Default 100.
    uint8_t priority;
    // 1: takes over from a worse master that is alive, once this node has had all states for `preempt_delay_ms`. It is the
    // better node's setting. A master that says it has not all states is replaced in any case, and one that is more demoted by
    // OpenBSD's rules or if hellos tell it. Default 0.
    uint8_t preempt;
    // 1: VRRP's checksum over IPv4 without pseudo header, as RFC 9568 has it. 0: with it, as RFC 5798 has it and most routers
    // do. Default 0.
    uint8_t checksum_rfc9568;
    // 1: accepts VRRP adverts that list other addresses. Default 0.
    uint8_t ignore_addresses;
    // Time between adverts in microseconds. VRRP: 10000 to 40950000, whole hundredths of a second. CARP: whole seconds to
    // 254000000; OpenBSD also below one second, in 1/256. A backup waits three of them and up to one more. Default 1000000.
    uint32_t interval_us;
    // Adverts that announce a shorter interval are refused. Default 5000.
    uint32_t min_interval_us;
    // How long to listen at least, after the start and after the first link came up, in milliseconds. Default 0.
    uint32_t start_hold_ms;
    // See `preempt`. Default 0.
    uint32_t preempt_delay_ms;
    // How often a master announces its addresses again, in milliseconds. 0: never. Default 60000.
    uint32_t announce_every_ms;
    // VRRP: what a member whose link is down takes from the priority. Default 20.
    uint32_t link_weight;
    // The number of the group in hellos, the same on all nodes. Default 0.
    uint32_t group;
    // Elements of `members`: 1 to 32.
    uint32_t member_count;
    // The members.
    const struct pfplane_election_member *members;
    // The host's allocator, for all memory of the election: at most 400 KB. Default `NULL`: malloc.
    const struct pfplane_allocator *allocator;
} pfplane_election_config;

// Fills `config_out` with the defaults. The caller then sets at least `members` and `member_count`.
//
// Parameters: `size`, sizeof(struct pfplane_election_config).
// Returns: PFPLANE_OK; PFPLANE_ERROR_SIZE when the caller was compiled with another header; PFPLANE_ERROR_NULL.
// Thread: any.
int32_t pfplane_election_config_init(struct pfplane_election_config *config_out,
                                     uint32_t size);

// Creates an election. All links are down at first, and the node is loading: tell it otherwise with pfplane_election_link and
// pfplane_election_readiness.
//
// Returns: PFPLANE_OK and the election in `election_out`; PFPLANE_ERROR_SETTING or PFPLANE_ERROR_ARGUMENT (the last error
// names the setting and its limits); PFPLANE_ERROR_MEMORY; PFPLANE_ERROR_SIZE; PFPLANE_ERROR_NULL.
// Ownership: the caller's, until pfplane_election_free. `config` is copied; of a pass-phrase only its digest is kept.
// Thread: any. Cost: allocates all memory.
int32_t pfplane_election_new(const struct pfplane_election_config *config,
                             struct pfplane_election **election_out);

// Frees an election. Nothing is sent: step down before.
//
// Parameters: `election`; `NULL` is fine.
// Thread: any, when no other uses it.
void pfplane_election_free(struct pfplane_election *election);

// -------------------------------------------------------------------------------------------------
// Election: calls
// -------------------------------------------------------------------------------------------------
//
// One control thread, or the thread of lane 0, owns an election: it passes in all frames that have come, then polls, then
// flushes, in this order, so that a node that was stopped reads before it speaks. A second thread at the same time gets
// PFPLANE_ERROR_PANIC. All threads may make the calls of the section "Election: lanes".
//
// A node that becomes master sends adverts, then gratuitous ARP requests and unsolicited neighbour advertisements for all
// shared addresses. All of them come from pfplane_election_flush.

// Size of a buffer that every frame of an election fits into.
#define PFPLANE_MAX_ELECTION_FRAME 4160

// Length of a hello.
#define PFPLANE_ELECTION_HELLO_BYTES 48

// `weight` of pfplane_election_demote: this node must not be master at all.
#define PFPLANE_ELECTION_FORBID UINT32_MAX

// Whether a node knows what its peers know.
enum pfplane_election_class {
    PFPLANE_ELECTION_SYNCED = 0,  // It has all states.
    PFPLANE_ELECTION_GAVE_UP = 1, // It asked for all states and got none: it takes over only if nobody else is there.
    PFPLANE_ELECTION_LOADING = 2, // It is receiving all states.
};

// A frame to be sent.
typedef struct pfplane_election_frame {
    // sizeof(struct pfplane_election_frame).
    uint32_t size;
    // Length in bytes, with the Ethernet header.
    uint32_t length;
    // The port to send it on.
    uint16_t port;
    // Its VLAN, 0 for none. The frame has the tag already.
    uint16_t vlan;
    // 1 if it comes from the virtual MAC address.
    uint8_t from_virtual_mac;
    // Zero.
    uint8_t reserved[3];
    // The unicast peer whose MAC address the host writes into the first six bytes. Without a family for multicast.
    struct pfplane_address receiver;
} pfplane_election_frame;

// Passes in a frame, from its Ethernet header on.
//
// Parameters: `port`; `vlan`, the VLAN that it was received in, 0 for none: its tag may have been removed.
// Returns: PFPLANE_OK if it was a frame of IP protocol 112, also if it was refused (a counter says why); PFPLANE_END if it was
// another one; PFPLANE_ERROR_NULL.
// Thread: the election's. Cost: up to two digests of CARP, about 1 us each; 1000 adverts a second and member at most.
int32_t pfplane_election_receive(struct pfplane_election *election,
                                 uint16_t port,
                                 uint16_t vlan,
                                 const uint8_t *frame,
                                 uint32_t length,
                                 uint64_t now_ns);

// Does what is due: judges silence, queues adverts, renews the lease.
//
// Parameters: `next_due_ns_out`, when to call again at the latest; may be `NULL` for a host that calls it in every turn of its
// loop. A master that is called more than two intervals late listens for 1.25 intervals before it forwards again.
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: the election's. Cost: no allocation, one pass over the members.
int32_t pfplane_election_poll(struct pfplane_election *election,
                              uint64_t now_ns,
                              uint64_t *next_due_ns_out);

// Writes the next frame to be sent. Call it until it returns PFPLANE_END. A process that may have been stopped since the poll asks
// pfplane_election_may_forward before it sends what a master says, and drops the frame if that is false.
//
// Parameters: `capacity`, the bytes of `buffer`, at least PFPLANE_MAX_ELECTION_FRAME; the caller sets `frame_out->size`.
// Returns: PFPLANE_OK; PFPLANE_END when nothing is left; PFPLANE_ERROR_BUFFER; PFPLANE_ERROR_SIZE; PFPLANE_ERROR_NULL.
// Thread: the election's. Cost: no allocation; with CARP one digest.
int32_t pfplane_election_flush(struct pfplane_election *election,
                               uint8_t *buffer,
                               uint32_t capacity,
                               struct pfplane_election_frame *frame_out);

// Tells that `frames` frames to `port` could not be sent. Adverts of which none was sent do not renew the lease; three rounds in
// a row demote this node until adverts are sent again.
//
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: the election's.
int32_t pfplane_election_send_failed(struct pfplane_election *election,
                                     uint16_t port,
                                     uint32_t frames,
                                     uint64_t now_ns);

// Tells whether the link of `port` is up. A node without links is no master.
//
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: the election's.
int32_t pfplane_election_link(struct pfplane_election *election,
                              uint16_t port,
                              bool is_up,
                              uint64_t now_ns);

// Tells whether this node knows what its peers know. Tell it again whenever it may have changed, for instance in every turn.
//
// Parameters: `readiness`, PFPLANE_ELECTION_SYNCED, _GAVE_UP or _LOADING.
// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT; PFPLANE_ERROR_NULL.
// Thread: the election's.
int32_t pfplane_election_readiness(struct pfplane_election *election,
                                   uint32_t readiness);

// Demotes this node for a reason of the host's, such as a router that it cannot reach.
//
// Parameters: `reason`, its name, NUL-terminated, 1 to 31 bytes; `weight`, in the dialect's measure (OpenBSD: demotion, FreeBSD:
// advskew, VRRP: priority). It replaces the weight that the reason had; 0 takes it back; PFPLANE_ELECTION_FORBID forbids to be
// master.
// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING for a wrong name or more than 16 reasons; PFPLANE_ERROR_ARGUMENT when the name is not
// UTF-8; PFPLANE_ERROR_NULL.
// Thread: the election's.
int32_t pfplane_election_demote(struct pfplane_election *election,
                                const char *reason,
                                uint32_t weight);

// Steps down in order: the next flush says farewell. So that no packet is lost, this node may forward until a millisecond after it
// receives the next master on all members that are up, 10 ms after it does on the first: at most until its lease ends, and for VRRP an interval, for CARP 250 ms, and
// 50 ms more. See pfplane_election_may_use_virtual_mac. Flush the states to the peers before. A master that was stopped says no
// farewell: another one may have replaced it.
//
// Parameters: `hold_ms`, for how long it takes over from nobody.
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: the election's.
int32_t pfplane_election_step_down(struct pfplane_election *election,
                                   uint32_t hold_ms,
                                   uint64_t now_ns);

// Exchanges hellos with the other pfplane nodes over the sync link of an engine: passes in those that the engine has received,
// and gives it the one that is due. Call it in every turn, before pfplane_election_poll.
//
// With hellos, a deaf interface is reported apart from a dead peer, and a silent interface alone makes no second master. They
// are sent to peers with `pfplane_peer.extensions`, behind the length of a pfsync frame, where other systems ignore them.
//
// Returns: PFPLANE_OK; PFPLANE_ERROR_FULL when hellos of more than 8 groups wait to be sent, so that the oldest was dropped;
// PFPLANE_ERROR_NULL.
// Thread: the election's; the engine may run on other threads, with the same clock. A hello is sent after the next
// pfplane_lane_poll of lane 0. Cost: no allocation, no waiting; at most 8 hellos.
int32_t pfplane_election_greet(struct pfplane_election *election,
                               const struct pfplane_engine *engine,
                               uint64_t now_ns);

// Writes a hello for the other pfplane nodes, for a host that sends it on a path of its own: one each interval, from all nodes.
// pfplane_election_greet sends them over the sync link.
//
// Parameters: `capacity`, the bytes of `buffer`, at least PFPLANE_ELECTION_HELLO_BYTES, which a hello has.
// Returns: PFPLANE_OK; PFPLANE_END when none is due; PFPLANE_ERROR_BUFFER; PFPLANE_ERROR_NULL.
// Thread: the election's.
int32_t pfplane_election_hello(struct pfplane_election *election,
                               uint64_t now_ns,
                               uint8_t *buffer,
                               uint32_t capacity);

// Passes in a hello of another node. The path must be one that no stranger can send on.
//
// Parameters: `taken_out`, whether it counted: not if it is none, of another group, our own, or not newer than the last; may be
// `NULL`.
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: the election's.
int32_t pfplane_election_hello_receive(struct pfplane_election *election,
                                       const uint8_t *hello,
                                       uint32_t length,
                                       uint64_t now_ns,
                                       bool *taken_out);

// -------------------------------------------------------------------------------------------------
// Election: lanes
// -------------------------------------------------------------------------------------------------
//
// What each lane asks, while another thread runs the election.

// Size of a buffer that every answer of pfplane_election_answer fits into.
#define PFPLANE_MAX_ELECTION_ANSWER 96

// Whether this node may forward packets to the shared addresses and through them: ask once a burst, before the lookup, and drop
// the burst otherwise. It ends by itself if the control thread is stopped.
//
// Returns: true or false; false for `NULL`.
// Thread: any. Cost: a call and one comparison; pfplane_election_lease saves the call.
bool pfplane_election_may_forward(const struct pfplane_election *election,
                                  uint64_t now_ns);

// Returns where the end of the lease stands, so that a lane can compare it without a call. It may forward while its clock is less
// than `__atomic_load_n(end, __ATOMIC_RELAXED)`; pfplane_election_may_forward says the same.
//
// Returns: a pointer to nanoseconds, which only the library writes, valid until pfplane_election_free; `NULL` for `NULL`.
// Thread: any.
const uint64_t *pfplane_election_lease(const struct pfplane_election *election);

// Whether frames may be sent from the virtual MAC address. While a node hands over (pfplane_election_step_down, or a better master
// was received) it may forward, but not from that address: switches would send the traffic of the next master back to it. Ask
// right before a burst is sent; if this is false and pfplane_election_may_forward is true, write the port's own MAC address into
// the frames as their source.
//
// Returns: true or false; false for `NULL`. Without meaning if the group uses the ports' own addresses.
// Thread: any. Cost: two loads and one comparison.
bool pfplane_election_may_use_virtual_mac(const struct pfplane_election *election,
                                          uint64_t now_ns);

// Writes the answer to an ARP request or a neighbour solicitation for an address of a member: for a shared one if this node may
// forward, for its own always.
//
// Parameters: `port` and `vlan` where `frame` was received; `capacity`, the bytes of `buffer`, at least
// PFPLANE_MAX_ELECTION_ANSWER.
// Returns: PFPLANE_OK with the length, to be sent on the same port; PFPLANE_END if there is nothing to answer;
// PFPLANE_ERROR_BUFFER; PFPLANE_ERROR_NULL.
// Thread: any. Cost: no allocation.
int32_t pfplane_election_answer(const struct pfplane_election *election,
                                uint16_t port,
                                uint16_t vlan,
                                const uint8_t *frame,
                                uint32_t length,
                                uint64_t now_ns,
                                uint8_t *buffer,
                                uint32_t capacity,
                                uint32_t *length_out);

// -------------------------------------------------------------------------------------------------
// Election: what the host knows of others
// -------------------------------------------------------------------------------------------------

// Tells whether a witness answers: a third party that a node reaches unless it is cut off itself. While this node receives no
// peer and the witness does not answer, it is no master. With hellos a dead witness changes nothing; without them a master does
// not receive its silent backup, and steps down. A host that never calls this has no witness.
//
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: the election's.
int32_t pfplane_election_witness(struct pfplane_election *election,
                                 bool answers);

// Tells that the peer is dead, as a host knows that runs BFD. A backup takes over without waiting.
//
// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
// Thread: the election's.
int32_t pfplane_election_peer_down(struct pfplane_election *election, uint64_t now_ns);

// Checks that two groups of this host have no id in common on a network (port and VLAN), where their frames could not be
// distinguished. A host with several groups calls it for each pair before the first poll.
//
// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING when they have one (the last error names the id and both members);
// PFPLANE_ERROR_ARGUMENT when both are the same election; PFPLANE_ERROR_NULL.
// Thread: the election's.
int32_t pfplane_election_check_beside(const struct pfplane_election *election,
                                      const struct pfplane_election *other);

// -------------------------------------------------------------------------------------------------
// Election: status, events and counters
// -------------------------------------------------------------------------------------------------

// The role of a group.
enum pfplane_election_role {
    // No link is up, or the host forbids to be master: silent, owns nothing.
    PFPLANE_ELECTION_INIT = 0,
    // Another node is master, or none yet.
    PFPLANE_ELECTION_BACKUP = 1,
    // This node forwards while its lease lasts.
    PFPLANE_ELECTION_MASTER = 2,
    // It was master before it was stopped, and listens whether another node has taken over.
    PFPLANE_ELECTION_LISTEN = 3,
};

// Why a group has its role.
enum pfplane_election_why {
    PFPLANE_ELECTION_WHY_STARTED = 0,        // The election has just begun.
    PFPLANE_ELECTION_WHY_LINK_UP = 1,        // A link came up.
    PFPLANE_ELECTION_WHY_LINKS_DOWN = 2,     // All links are down.
    PFPLANE_ELECTION_WHY_FAULT = 3,          // The host forbids to be master.
    PFPLANE_ELECTION_WHY_SILENCE = 4,        // The master was silent.
    PFPLANE_ELECTION_WHY_FAREWELL = 5,       // The master said farewell.
    PFPLANE_ELECTION_WHY_PEER_DOWN = 6,      // The host says that the peer is dead.
    PFPLANE_ELECTION_WHY_PREEMPTION = 7,     // This node is better, and preempts.
    PFPLANE_ELECTION_WHY_MASTER_DEMOTED = 8, // The master is demoted more than this node.
    PFPLANE_ELECTION_WHY_BETTER_MASTER = 9,  // Another master is better.
    PFPLANE_ELECTION_WHY_STEPPED_DOWN = 10,  // The host asked to step down.
    PFPLANE_ELECTION_WHY_LATE_POLL = 11,     // The host called too late.
    PFPLANE_ELECTION_WHY_NOBODY_ELSE = 12,   // After a late call, nobody had taken over.
    PFPLANE_ELECTION_WHY_ISOLATED = 13,      // Neither a peer nor the witness is reachable.
    PFPLANE_ELECTION_WHY_REACHABLE = 14,     // A peer or the witness is reachable again.
};

// What happened. A change of the role and PFPLANE_ELECTION_EVENT_LOST always come, every other kind once a second and member at most, PFPLANE_ELECTION_EVENT_REFUSED once a second, member and counter.
enum pfplane_election_event_kind {
    // The role changed.
    PFPLANE_ELECTION_EVENT_ROLE = 1,
    // Another node is master too, and worse.
    PFPLANE_ELECTION_EVENT_CONFLICT = 2,
    // Another node advertises exactly what this one does: give them different priorities.
    PFPLANE_ELECTION_EVENT_EQUAL = 3,
    // The master is received elsewhere, but not on this member.
    PFPLANE_ELECTION_EVENT_MEMBER_DEAF = 4,
    // The peer is well, but does not receive this node on this member.
    PFPLANE_ELECTION_EVENT_MEMBER_MUTE = 5,
    // An advert lists other addresses.
    PFPLANE_ELECTION_EVENT_ADDRESSES_DIFFER = 6,
    // A node advertises at another interval: `interval_us` and `own_interval_us`.
    PFPLANE_ELECTION_EVENT_INTERVAL_DIFFERS = 7,
    // A digest is wrong: another pass-phrase, or other addresses.
    PFPLANE_ELECTION_EVENT_BAD_DIGEST = 8,
    // A checksum is right in the manner of the other RFC: see checksum_rfc9568.
    PFPLANE_ELECTION_EVENT_CHECKSUM_OTHER_MANNER = 9,
    // Multicast where peers are configured, or unicast where none are.
    PFPLANE_ELECTION_EVENT_WRONG_MODE = 10,
    // The host called too late.
    PFPLANE_ELECTION_EVENT_LATE_POLL = 11,
    // A counter came twice with different values: somebody replays adverts.
    PFPLANE_ELECTION_EVENT_CONTRADICTED = 12,
    // `lost` events were lost, because they were not read.
    PFPLANE_ELECTION_EVENT_LOST = 13,
    // An advert was refused; `counter` says why.
    PFPLANE_ELECTION_EVENT_REFUSED = 14,
};

// An event.
typedef struct pfplane_election_event {
    // sizeof(struct pfplane_election_event).
    uint32_t size;
    // PFPLANE_ELECTION_EVENT_*.
    uint32_t kind;
    // When.
    uint64_t at_ns;
    // The member that it concerns, UINT32_MAX for none.
    uint32_t member;
    // PFPLANE_ELECTION_EVENT_ROLE: the role before, PFPLANE_ELECTION_*.
    uint32_t role_before;
    // PFPLANE_ELECTION_EVENT_ROLE: the role now.
    uint32_t role;
    // PFPLANE_ELECTION_EVENT_ROLE: PFPLANE_ELECTION_WHY_*.
    uint32_t why;
    // PFPLANE_ELECTION_EVENT_LOST: how many.
    uint32_t lost;
    // Who sent what caused it, without a family for nobody.
    struct pfplane_address source;
    // PFPLANE_ELECTION_EVENT_REFUSED: the number of the member's counter that counts it, for pfplane_election_stat. UINT32_MAX
    // for none.
    uint32_t counter;
    // PFPLANE_ELECTION_EVENT_INTERVAL_DIFFERS: the other node's interval in microseconds. CARP: its advbase, if that is not 0.
    uint32_t interval_us;
    // PFPLANE_ELECTION_EVENT_INTERVAL_DIFFERS: this node's.
    uint32_t own_interval_us;
    // Zero.
    uint32_t reserved;
} pfplane_election_event;

// What a group is doing.
typedef struct pfplane_election_status {
    // sizeof(struct pfplane_election_status).
    uint32_t size;
    // PFPLANE_ELECTION_INIT, _BACKUP, _MASTER or _LISTEN.
    uint32_t role;
    // Why it has the role: PFPLANE_ELECTION_WHY_*.
    uint32_t why;
    // PFPLANE_ELECTION_SYNCED, _GAVE_UP or _LOADING, as it counts: a master that had all states once counts as synced.
    uint32_t readiness;
    // Its demotion, in the dialect's measure.
    uint32_t demotion;
    // What it advertises: OpenBSD's demotion in the upper half, in the lower one CARP's advbase and advskew, or 255 less VRRP's
    // priority. The smaller is the better master.
    uint32_t rank;
    // Since when it has the role.
    uint64_t since_ns;
    // The end of its lease, 0 for none.
    uint64_t forward_until_ns;
    // The master that it received last, without a family while it is master itself.
    struct pfplane_address master;
    // The interval of a node whose interval is another one, in microseconds; 0 for none.
    uint32_t other_interval_us;
    // When it received this master last, 0 for never.
    uint64_t master_at_ns;
    // When the peer last said hello, 0 for never.
    uint64_t hello_at_ns;
    // Changes of the role since the start.
    uint64_t role_changes;
    // Calls that came too late while it was master.
    uint64_t late_polls;
} pfplane_election_status;

// Takes the oldest event. Call it until it returns PFPLANE_END; 64 are kept.
//
// Parameters: the caller sets `event_out->size`.
// Returns: PFPLANE_OK; PFPLANE_END when there is none; PFPLANE_ERROR_SIZE; PFPLANE_ERROR_NULL.
// Thread: the election's.
int32_t pfplane_election_event_next(struct pfplane_election *election,
                                    uint64_t now_ns,
                                    struct pfplane_election_event *event_out);

// Returns what the group is doing.
//
// Parameters: the caller sets `status_out->size`.
// Returns: PFPLANE_OK; PFPLANE_ERROR_SIZE; PFPLANE_ERROR_NULL.
// Thread: the election's.
int32_t pfplane_election_status_read(const struct pfplane_election *election,
                                     struct pfplane_election_status *status_out);

// A reason of the host's for a demotion.
typedef struct pfplane_election_reason {
    // sizeof(struct pfplane_election_reason).
    uint32_t size;
    // Its weight.
    uint32_t weight;
    // Its name, NUL-terminated.
    char name[32];
} pfplane_election_reason;

// Returns the host's reason number `index`, counted from 0.
//
// Parameters: the caller sets `reason_out->size`.
// Returns: PFPLANE_OK; PFPLANE_END when `index` is past the last; PFPLANE_ERROR_SIZE; PFPLANE_ERROR_NULL.
// Thread: the election's.
int32_t pfplane_election_reason_at(const struct pfplane_election *election,
                                   uint32_t index,
                                   struct pfplane_election_reason *reason_out);

// Returns counter number `index` of a member. Names that the systems' CARP has are kept.
//
// Parameters: `member`, its index in `pfplane_election_config.members`; the caller sets `stat_out->size`.
// Returns: PFPLANE_OK; PFPLANE_END when `index` is past the last; PFPLANE_ERROR_ARGUMENT when there is no such member;
// PFPLANE_ERROR_SIZE; PFPLANE_ERROR_NULL.
// Ownership: the texts are the library's.
// Thread: the election's.
int32_t pfplane_election_stat(const struct pfplane_election *election,
                              uint32_t member,
                              uint32_t index,
                              struct pfplane_stat *stat_out);

#ifdef __cplusplus
} // extern "C"
#endif

#endif // PFPLANE_H
