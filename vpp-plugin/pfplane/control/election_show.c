/* Shows the election, and logs what happens in it. */
#include <pfplane/election/election.h>
#include <vnet/ethernet/ethernet.h>

static const char *const role_names[] = { "init", "backup", "master", "listen" };

static const char *const why_names[] = {
  "started", "link up", "links down", "this node must not be master", "the master was silent", "the master said farewell",
  "the peer is down", "preemption", "the master is demoted", "another master is better", "stepped down", "this thread was late",
  "nobody else took over", "isolated", "reachable again",
};

static const char *const event_names[] = {
  "", "role", "another node is master too", "another node has the same priority", "the master is not received here",
  "the peer does not receive this node", "an advert lists other addresses", "a node has another interval",
  "wrong digest: another pass-phrase, or other addresses", "the checksum is of the other RFC",
  "multicast and unicast are mixed", "this thread was late", "adverts are replayed", "events were lost",
  "an advert was refused",
};

static const char *const dialect_names[] = { "", "openbsd", "freebsd", "vrrp" };
static const char *const readiness_names[] = { "synced", "gave up", "loading" };

static u8 *
format_name (u8 *s, va_list *args)
{
  const char *const *names = va_arg (*args, const char *const *);
  u32 count = va_arg (*args, u32), number = va_arg (*args, u32);

  return number < count ? format (s, "%s", names[number]) : format (s, "%u", number);
}

#define NAME(names, number) format_name, names, (u32) ARRAY_LEN (names), (u32) (number)

void
pfp_event_log (const pfp_event_t *event)
{
  const struct pfplane_election_event *e = &event->election;

  if (e->kind == PFPLANE_ELECTION_EVENT_ROLE)
    pfp_log_notice ("group %u: %U -> %U: %U, by %U", event->group, NAME (role_names, e->role_before),
		    NAME (role_names, e->role), NAME (why_names, e->why), format_pfp_address, &e->source);
  else
    pfp_log_warn ("group %u, member %d: %U, by %U", event->group, (i32) e->member, NAME (event_names, e->kind),
		  format_pfp_address, &e->source);
}

static void
show_member (vlib_main_t *vm, const pfp_group_t *group, u32 index)
{
  const pfp_member_t *member = vec_elt_at_index (group->members, index);
  struct pfplane_stat stat = { .size = sizeof (stat) };
  const struct pfplane_address *address;
  u8 *line = 0;

  if (member->sw_if_index == ~0)
    {
      vlib_cli_output (vm, "  member %u: its interface was deleted", index);
      return;
    }
  vec_foreach (address, member->shared)
    line = format (line, " %U", format_pfp_address, address);
  if (vec_len (member->peers))
    line = format (line, ", peers");
  vec_foreach (address, member->peers)
    line = format (line, " %U", format_pfp_address, address);
  if (group->handle)
    line = format (line, ", own %U, mac %U, link %s", format_pfp_address, &member->own, format_ethernet_address, member->mac,
		   group->links >> index & 1 ? "up" : "down");
  if (pfp_side (member->sw_if_index) == PFP_SIDE_NONE && pfp_main.engine)
    line = format (line, ", on no side: a backup forwards here");
  vlib_cli_output (vm, "  member %u: %U, IPv%u, id %u, addresses%v", index, format_vnet_sw_if_index_name,
		   vnet_get_main (), member->sw_if_index, member->is_ip6 ? 6 : 4, (u32) member->id, line);
  vec_free (line);
  for (u32 number = 0;
       group->handle && pfplane_election_stat (group->handle, index, number, &stat) == PFPLANE_OK; number++)
    if (stat.value)
      vlib_cli_output (vm, "    %-28s %-12llu %s", stat.name, stat.value, stat.help);
}

static void
show_group (vlib_main_t *vm, u32 number, const pfp_group_t *group)
{
  struct pfplane_election_status status = { .size = sizeof (status) };
  struct pfplane_election_reason reason = { .size = sizeof (reason) };
  u64 now_ns = pfp_now_ns (vm);

  vlib_cli_output (vm, "group %u: %U, priority %u, every %u ms%s%s%s", number,
		   NAME (dialect_names, group->settings.dialect), (u32) group->settings.priority,
		   group->settings.interval_ms, group->settings.preempt ? ", preempts" : "",
		   group->settings.own_mac ? ", own MAC address" : "",
		   group->settings.passphrase[0] ? ", with a pass-phrase" : "");
  if (group->handle && pfplane_election_status_read (group->handle, &status) == PFPLANE_OK)
    {
      vlib_cli_output (vm, "  %U since %llu ms: %U; %s; states %U; demotion %u; %llu changes, %llu late calls",
		       NAME (role_names, status.role), (now_ns - status.since_ns) / 1000000, NAME (why_names, status.why),
		       pfplane_election_may_forward (group->handle, now_ns) ? "forwards" : "does not forward",
		       NAME (readiness_names, status.readiness), status.demotion, status.role_changes, status.late_polls);
      if (status.master.family)
	vlib_cli_output (vm, "  master %U, last received %llu ms ago", format_pfp_address, &status.master,
			 (now_ns - status.master_at_ns) / 1000000);
      if (status.hello_at_ns)
	vlib_cli_output (vm, "  last hello of the peer %llu ms ago", (now_ns - status.hello_at_ns) / 1000000);
      for (u32 i = 0; pfplane_election_reason_at (group->handle, i, &reason) == PFPLANE_OK; i++)
	if (reason.weight == PFPLANE_ELECTION_FORBID)
	  vlib_cli_output (vm, "  must not be master: %s", reason.name);
	else
	  vlib_cli_output (vm, "  demoted by %u: %s", reason.weight, reason.name);
    }
  for (u32 i = 0; i < vec_len (group->members); i++)
    show_member (vm, group, i);
}

void
pfp_election_show (vlib_main_t *vm)
{
  u32 shown = 0;

  for (u32 i = 0; i < PFP_MAX_GROUPS; i++)
    if (pfp_election_main.groups[i].settings.dialect)
      {
	show_group (vm, i, &pfp_election_main.groups[i]);
	shown++;
      }
  if (shown == 0)
    vlib_cli_output (vm, "no group: what makes this node take over is another program's affair");
  if (pfp_election_main.events_lost)
    vlib_cli_output (vm, "%u events were not logged", pfp_election_main.events_lost);
}
