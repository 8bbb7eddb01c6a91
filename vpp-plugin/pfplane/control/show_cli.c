/* The commands that show something. */
#include <pfplane/election/election.h>
#include <pfplane/nat/nat.h>
#include <pfplane/seal/seal.h>
#include <pfplane/vrf/vrf.h>

enum
{
  DEFAULT_MAX_STATES = 100,
  TCP_STATES = 11,
  OTHER_STATES = 3,
};

static const char *const tcp_state_names[TCP_STATES] = {
  "CLOSED",	"LISTEN",     "SYN_SENT", "SYN_RCVD", "ESTABLISHED", "CLOSE_WAIT",
  "FIN_WAIT_1", "CLOSING",    "LAST_ACK", "FIN_WAIT_2", "TIME_WAIT",
};
static const char *const other_state_names[OTHER_STATES] = { "NO_TRAFFIC", "SINGLE", "MULTIPLE" };

static const char *const profile_names[] = {
  [PFPLANE_PROFILE_OPENBSD6] = "openbsd6",
  [PFPLANE_PROFILE_FREEBSD1301] = "freebsd1301",
  [PFPLANE_PROFILE_FREEBSD1400] = "freebsd1400",
  [PFPLANE_PROFILE_FREEBSD1500] = "freebsd1500",
};

static const char *const class_names[] = {
  [PFPLANE_READY_CLASS_LOADING] = "loading: it lacks states of its peers and must not take over",
  [PFPLANE_READY_CLASS_GAVE_UP] = "gave up: states may be missing, and no peer sends them",
  [PFPLANE_READY_CLASS_SYNCED] = "synced",
};

static const char *const phase_names[] = {
  [PFPLANE_BULK_IDLE] = "none requested",	[PFPLANE_BULK_WAITING] = "requested, the peer has not started",
  [PFPLANE_BULK_RECEIVING] = "states are arriving", [PFPLANE_BULK_DONE] = "complete",
  [PFPLANE_BULK_GIVEN_UP] = "given up",
};

static u8 *
format_name (u8 *s, va_list *args)
{
  const char *const *names = va_arg (*args, const char *const *);
  u32 count = va_arg (*args, u32), number = va_arg (*args, u32);

  return number < count && names[number] ? format (s, "%s", names[number]) : format (s, "%u", number);
}

#define NAME(names, number) format_name, names, (u32) ARRAY_LEN (names), (u32) (number)

static u8 *
format_bytes_address (u8 *s, va_list *args)
{
  u32 family = va_arg (*args, u32);
  const u8 *bytes = va_arg (*args, const u8 *);

  return family == 6 ? format (s, "%U", format_ip6_address, bytes) : format (s, "%U", format_ip4_address, bytes);
}

u8 *
format_pfp_address (u8 *s, va_list *args)
{
  const struct pfplane_address *address = va_arg (*args, const struct pfplane_address *);

  if (address->family == 0)
    return format (s, "none");
  return format (s, "%U", format_bytes_address, (u32) address->family, address->bytes);
}

/* Writes one end of a key: 10.0.0.1:80, or [2001:db8::1]:80. */
static u8 *
format_end (u8 *s, va_list *args)
{
  const struct pfplane_key *key = va_arg (*args, const struct pfplane_key *);
  u32 end = va_arg (*args, u32);

  return format (s, key->family == 6 ? "[%U]:%u" : "%U:%u", format_bytes_address, (u32) key->family, key->addr[end],
		 key->port[end]);
}

static u8 *
format_side_state (u8 *s, va_list *args)
{
  u32 proto = va_arg (*args, u32), state = va_arg (*args, u32);

  return proto == IP_PROTOCOL_TCP ? format (s, "%U", NAME (tcp_state_names, state)) :
				    format (s, "%U", NAME (other_state_names, state));
}

static void
show_state (vlib_main_t *vm, const struct pfplane_state_view *view)
{
  const struct pfplane_state *state = &view->state;
  const struct pfplane_key *stack = &state->key[1];
  /* Index 0 is the end beyond the interface, which sent the first packet of an inbound state. */
  u32 from = state->direction == PFPLANE_IN ? 0 : 1;

  vlib_cli_output (vm, "%U %U %U -> %U  %U:%U%s", format_ip_protocol, (u32) stack->proto,
		   format_name, (const char *const[]){ 0, "in", "out" }, 3u, (u32) state->direction, format_end, stack, from,
		   format_end, stack, 1 - from, format_side_state, (u32) stack->proto, (u32) state->src.state,
		   format_side_state, (u32) stack->proto, (u32) state->dst.state, view->translated ? "  translated" : "");
  vlib_cli_output (vm, "   age %u s, expires in %u s, %llu:%llu packets, %llu:%llu bytes, id %016llx creator %08x, %s%s", state->age_s,
		   state->expire_s, state->packets[0], state->packets[1], state->bytes[0], state->bytes[1], view->id,
		   view->creator, view->imported ? "from a peer" : "from this node",
		   view->local_traffic ? ", traffic here" : "");
  if (state->key[0].rdomain | stack->rdomain)
    vlib_cli_output (vm, "   vrf %u inside, %u outside", (u32) state->key[0].rdomain, (u32) stack->rdomain);
  if (state->rule != UINT32_MAX)
    vlib_cli_output (vm, "   acl %u rule %u", state->rule >> 12, state->rule & 0xfff);
}

static void
show_states (vlib_main_t *vm, u32 max)
{
  struct pfplane_state_view view = { .size = sizeof (view) };
  u32 shown = 0, has_more = 0;
  u64 now_ns = pfp_now_ns (vm);
  pfp_thread_t *thread;

  vec_foreach (thread, pfp_main.threads)
    {
      u32 cursor = 0;

      if (thread->lane == 0)
	continue;
      while (pfplane_lane_state_next (thread->lane, now_ns, &cursor, &view) == PFPLANE_OK)
	{
	  if (shown == max)
	    {
	      has_more = 1;
	      break;
	    }
	  show_state (vm, &view);
	  shown++;
	}
    }
  vlib_cli_output (vm, "%u states shown%s", shown, has_more ? ", there are more: show pfplane states max <n>" : "");
}

static void
show_peers (vlib_main_t *vm, u32 max)
{
  pfp_main_t *pm = &pfp_main;

  for (u32 i = 0; i < vec_len (pm->peers); i++)
    {
      const pfp_peer_t *peer = &pm->peers[i];
      struct pfplane_stat stat = { .size = sizeof (stat) };

      if (peer->destination.family != 0)
	vlib_cli_output (vm, "peer %u: %U, %U", i, format_pfp_address, &peer->destination,
			 NAME (profile_names, peer->profile));
      else
	vlib_cli_output (vm, "peer %u: pfsync's IPv%u group, %U", i, peer->is_ip6 ? 6 : 4,
			 NAME (profile_names, peer->profile));
      if (pm->engine == 0)
	continue;
      for (u32 number = 0; pfplane_engine_peer_stat (pm->engine, i, PFPLANE_ALL_LANES, number, &stat) == PFPLANE_OK;
	   number++)
	vlib_cli_output (vm, "  %-32s %llu", stat.name, stat.value);
    }
}

static void
show_sync (vlib_main_t *vm, u32 max)
{
  pfp_main_t *pm = &pfp_main;
  struct pfplane_readiness readiness = { .size = sizeof (readiness) };
  struct pfplane_bulk bulk = { .size = sizeof (bulk) };

  if (vec_len (pm->peers) == 0)
    {
      vlib_cli_output (vm, "no peer: states are not replicated");
      return;
    }
  pfplane_engine_readiness (pm->engine, pfp_now_ns (vm), &readiness);
  pfplane_engine_bulk (pm->engine, &bulk);
  vlib_cli_output (vm, "interface %U, mtu %u, host id %08x", format_vnet_sw_if_index_name, vnet_get_main (),
		   pm->sync_sw_if_index, pfplane_engine_mtu (pm->engine), pfplane_engine_host_id (pm->engine));
  vlib_cli_output (vm, "ready %s: %U", readiness.ready ? "yes" : "no", NAME (class_names, readiness.ready_class));
  if (readiness.reasons & PFPLANE_READY_REASON_LINK_DOWN)
    vlib_cli_output (vm, "  the link is down");
  if (readiness.reasons & PFPLANE_READY_REASON_DUPLICATE_HOST_ID)
    vlib_cli_output (vm, "  another node uses this node's host id");
  if (readiness.peer_age_ms == PFPLANE_NEVER)
    vlib_cli_output (vm, "  no frame of a peer was received yet");
  else
    vlib_cli_output (vm, "  last frame of the most silent peer %llu ms ago", readiness.peer_age_ms);
  vlib_cli_output (vm, "bulk transfer: %U, %llu states received, %u requests", NAME (phase_names, bulk.phase), bulk.states,
		   bulk.attempts);
  if (bulk.last_ending != PFPLANE_BULK_ENDED_NONE)
    vlib_cli_output (vm, "  the last one: %llu states in %llu ms", bulk.last_states, bulk.last_took_ns / 1000000);
  pfp_seal_show (vm);
}

static void
show_errors (vlib_main_t *vm, u32 max)
{
  struct pfplane_stat stat = { .size = sizeof (stat) };

  for (u32 number = 0; pfplane_engine_stat (pfp_main.engine, PFPLANE_ALL_LANES, number, &stat) == PFPLANE_OK; number++)
    if (stat.value != 0)
      vlib_cli_output (vm, "%-32s %-14llu %s", stat.name, stat.value, stat.help);
}

static void
show_memory (vlib_main_t *vm, u32 max)
{
  vlib_cli_output (vm, "%llu bytes, allocated at pfplane enable outside of VPP's heap; nothing is allocated later",
		   pfp_main.memory_bytes);
  vlib_cli_output (vm, "%u lanes of %u states", pfp_main.lane_count, pfp_main.settings.states_per_lane);
}

static void
show_nat (vlib_main_t *vm, u32 max)
{
  const pfp_nat_main_t *nm = &pfp_nat_main;
  const pfp_forward_t *forward;
  const pfp_pool_t *pool;

  vec_foreach (pool, nm->pools)
    vlib_cli_output (vm, "pool of %U: %U, %u addresses, ports %u-%u%s", format_vnet_sw_if_index_name, vnet_get_main (),
		     pool->sw_if_index, format_ip4_address, &pool->first, pool->count, (u32) pool->ports[0],
		     (u32) pool->ports[1], pool->is_claimed ? ", claimed" : "");
  vec_foreach (forward, nm->forwards)
    vlib_cli_output (vm, "forward %U %U %u to %U %u", format_ip_protocol, (u32) forward->proto, format_ip4_address,
		     &forward->address, (u32) forward->port, format_ip4_address, &forward->to, (u32) forward->to_port);
  if (nm->has_prefix)
    vlib_cli_output (vm, "prefix %U/96", format_ip6_address, &nm->prefix);
}

static void
show_election (vlib_main_t *vm, u32 max)
{
  pfp_election_show (vm);
}

static u8 *
format_policy (u8 *s, va_list *args)
{
  const pfp_policy_t *policy = va_arg (*args, const pfp_policy_t *);
  u32 *acl;

  switch (policy->kind)
    {
    case PFP_POLICY_PASS:
      return format (s, "pass");
    case PFP_POLICY_DENY:
      return format (s, "deny");
    case PFP_POLICY_ACLS:
      break;
    }
  vec_foreach (acl, policy->acls)
    s = format (s, "acl %u ", *acl);
  return s;
}

/* Writes the VRFs of an interface for IPv4 and IPv6, unless both are the default one. */
static u8 *
format_vrfs (u8 *s, va_list *args)
{
  u32 first = va_arg (*args, u32), second = va_arg (*args, u32);

  if (first == second)
    return first ? format (s, ", vrf %u", first) : s;
  return format (s, ", vrf %u and %u", first, second);
}

static void
show_configuration (vlib_main_t *vm, u32 max)
{
  pfp_main_t *pm = &pfp_main;

  vlib_cli_output (vm, "pfplane %s (library %s): %s", PFP_VERSION, pfplane_version_string (),
		   pm->engine ? "enabled" : "disabled");
  for (u32 i = 0; i < vec_len (pm->interfaces); i++)
    if (pm->interfaces[i].side != PFP_SIDE_NONE)
      vlib_cli_output (vm, "  %U %s, policy %U%U", format_vnet_sw_if_index_name, vnet_get_main (), i,
		       pm->interfaces[i].side == PFP_SIDE_INSIDE ? "inside" : "outside", format_policy,
		       &pm->interfaces[i].policy, format_vrfs, pfp_vrf (i, 0), pfp_vrf (i, 1));
  vlib_cli_output (vm, "  to this router, policy %U", format_policy, &pm->local_policy);
  if (pm->sync_sw_if_index != ~0)
    vlib_cli_output (vm, "  sync interface %U, %u peers", format_vnet_sw_if_index_name, vnet_get_main (),
		     pm->sync_sw_if_index, vec_len (pm->peers));
  for (u32 i = 0; i < vec_len (pm->threads); i++)
    if (pm->threads[i].lane)
      vlib_cli_output (vm, "  thread %u: %llu polls, %u restarts of the poll", i, pm->threads[i].polls,
		       pm->threads[i].restarts);
}

static const struct
{
  const char *name;
  void (*show) (vlib_main_t *vm, u32 max);
  u8 needs_engine;
} subjects[] = {
  { "states", show_states, 1 }, { "peers", show_peers, 0 },   { "sync", show_sync, 1 },
  { "memory", show_memory, 1 }, { "errors", show_errors, 1 }, { "nat", show_nat, 0 },
  { "election", show_election, 0 },
};

/* One command and not one for each subject: when a command fails, VPP drops its error and runs the command whose name it continues. */
static clib_error_t *
show_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *command)
{
  unformat_input_t _line, *line = &_line;
  u32 subject = ARRAY_LEN (subjects), max = DEFAULT_MAX_STATES;
  clib_error_t *error = 0;

  if (unformat_user (input, unformat_line_input, line))
    {
      for (u32 i = 0; subject == ARRAY_LEN (subjects) && i < ARRAY_LEN (subjects); i++)
	if (unformat (line, subjects[i].name))
	  subject = i;
      if (subject < ARRAY_LEN (subjects) && subjects[subject].show == show_states)
	unformat (line, "max %u", &max);
      if (unformat_check_input (line) != UNFORMAT_END_OF_INPUT)
	error = clib_error_return (0, "unknown input `%U'", format_unformat_error, line);
      unformat_free (line);
    }
  if (error)
    return error;
  if (subject == ARRAY_LEN (subjects))
    show_configuration (vm, max);
  else if (subjects[subject].needs_engine && pfp_main.engine == 0)
    return clib_error_return (0, "pfplane is not enabled");
  else
    subjects[subject].show (vm, max);
  return 0;
}

VLIB_CLI_COMMAND (pfp_show_command, static) = {
  .path = "show pfplane",
  .short_help = "show pfplane [states [max <n>]|peers|sync|election|nat|memory|errors]; errors: the library's statistics that are not 0",
  .function = show_command,
};
