/* The commands of the election. */
#include <pfplane/election/election.h>

static uword
unformat_dialect (unformat_input_t *input, va_list *args)
{
  u32 *dialect = va_arg (*args, u32 *);

  if (unformat (input, "vrrp"))
    *dialect = PFPLANE_ELECTION_VRRP3;
  else if (unformat (input, "openbsd"))
    *dialect = PFPLANE_ELECTION_OPENBSD;
  else if (unformat (input, "freebsd"))
    *dialect = PFPLANE_ELECTION_FREEBSD;
  else
    return 0;
  return 1;
}

/* The rest of `set pfplane group <n>`: settings. */
static clib_error_t *
group_settings (unformat_input_t *line, u32 group)
{
  pfp_group_settings_t settings;
  clib_error_t *error = 0;
  u8 *path = 0;
  u32 priority;

  pfp_group_settings_init (&settings);
  if (group < PFP_MAX_GROUPS && pfp_election_main.groups[group].settings.dialect != 0)
    settings = pfp_election_main.groups[group].settings;
  priority = settings.priority;
  while (error == 0 && unformat_check_input (line) != UNFORMAT_END_OF_INPUT)
    {
      if (unformat (line, "dialect %U", unformat_dialect, &settings.dialect) ||
	  unformat (line, "priority %u", &priority) || unformat (line, "interval-ms %u", &settings.interval_ms))
	continue;
      if (unformat (line, "preempt delay-ms %u", &settings.preempt_delay_ms) || unformat (line, "preempt"))
	settings.preempt = 1;
      else if (unformat (line, "own-mac"))
	settings.own_mac = 1;
      else if (path == 0 && unformat (line, "passphrase-file %s", &path))
	{
	  vec_terminate_c_string (path);
	  error = pfp_passphrase_read ((char *) path, settings.passphrase);
	}
      else
	error = pfp_unknown_input (line);
    }
  vec_free (path);
  if (error == 0 && (priority == 0 || priority > 254))
    error = clib_error_return (0, "the priority is 1 to 254");
  settings.priority = (u8) priority;
  if (error == 0)
    error = pfp_group_set (group, &settings);
  explicit_bzero (settings.passphrase, sizeof (settings.passphrase));
  return error;
}

/* The rest of `set pfplane group <n> member`. */
static clib_error_t *
group_member (unformat_input_t *line, u32 group)
{
  pfp_member_t member = { .sw_if_index = ~0 };
  struct pfplane_address address;
  clib_error_t *error = 0;
  u32 id = 0;

  while (error == 0 && unformat_check_input (line) != UNFORMAT_END_OF_INPUT)
    {
      if (unformat (line, "id %u", &id))
	continue;
      if (unformat (line, "address %U", unformat_pfp_address, &address))
	vec_add1 (member.shared, address);
      else if (unformat (line, "peer %U", unformat_pfp_address, &address))
	vec_add1 (member.peers, address);
      else if (member.sw_if_index != ~0 ||
	       !unformat (line, "%U", unformat_vnet_sw_interface, vnet_get_main (), &member.sw_if_index))
	error = pfp_unknown_input (line);
    }
  if (error == 0 && (member.sw_if_index == ~0 || id == 0 || id > 255 || vec_len (member.shared) == 0))
    error = clib_error_return (0, "give an interface, an id of 1 to 255, and at least one address");
  if (error)
    {
      vec_free (member.shared);
      vec_free (member.peers);
      return error;
    }
  member.id = (u8) id;
  member.is_ip6 = member.shared[0].family == 6;
  return pfp_group_member_add (group, &member);
}

static clib_error_t *
group_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *command)
{
  unformat_input_t _line, *line = &_line;
  clib_error_t *error = 0;
  u32 group;

  if (!unformat_user (input, unformat_line_input, line))
    return clib_error_return (0, "which group?");
  if (unformat (line, "clear"))
    error = unformat_check_input (line) == UNFORMAT_END_OF_INPUT ? pfp_groups_clear () : pfp_unknown_input (line);
  else if (!unformat (line, "%u", &group))
    error = pfp_unknown_input (line);
  else if (unformat (line, "member"))
    error = group_member (line, group);
  else
    error = group_settings (line, group);
  unformat_free (line);
  return error;
}

VLIB_CLI_COMMAND (pfp_group_command, static) = {
  .path = "set pfplane group",
  .short_help = "set pfplane group <0-7> [dialect vrrp|openbsd|freebsd] [priority <n>] [interval-ms <n>] "
		"[preempt [delay-ms <n>]] [own-mac] [passphrase-file <path>], or: "
		"set pfplane group <0-7> member <interface> id <n> address <a> [address <a> ...] [peer <a> ...], or: "
		"set pfplane group clear",
  .function = group_command,
};

static clib_error_t *
step_down_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *command)
{
  unformat_input_t _line, *line = &_line;
  clib_error_t *error = 0;
  u32 hold_ms = 10000;

  if (unformat_user (input, unformat_line_input, line))
    {
      if (!unformat (line, "hold-ms %u", &hold_ms) || unformat_check_input (line) != UNFORMAT_END_OF_INPUT)
	error = pfp_unknown_input (line);
      unformat_free (line);
    }
  return error ? error : pfp_election_step_down (vm, hold_ms);
}

VLIB_CLI_COMMAND (pfp_step_down_command, static) = {
  .path = "pfplane step-down",
  .short_help = "pfplane step-down [hold-ms <n>]: hands over to another node, and takes over from nobody for 10 s or <n> ms",
  .function = step_down_command,
};

static clib_error_t *
demote_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *command)
{
  unformat_input_t _line, *line = &_line;
  clib_error_t *error = 0;
  u32 weight = 0, has_weight = 0;
  u8 *reason = 0;

  if (!unformat_user (input, unformat_line_input, line))
    return clib_error_return (0, "for which reason?");
  while (error == 0 && unformat_check_input (line) != UNFORMAT_END_OF_INPUT)
    {
      if (unformat (line, "weight %u", &weight))
	has_weight = 1;
      else if (unformat (line, "forbid") && ++has_weight)
	weight = PFPLANE_ELECTION_FORBID;
      else if (reason || !unformat (line, "%s", &reason))
	error = pfp_unknown_input (line);
    }
  unformat_free (line);
  if (error == 0 && (reason == 0 || !has_weight))
    error = clib_error_return (0, "give a reason, and a weight or forbid");
  if (error == 0)
    {
      vec_terminate_c_string (reason);
      error = pfp_election_demote ((char *) reason, weight);
    }
  vec_free (reason);
  return error;
}

VLIB_CLI_COMMAND (pfp_demote_command, static) = {
  .path = "pfplane demote",
  .short_help = "pfplane demote <reason> weight <n>|forbid: makes this node a worse master, or none; weight 0 takes it back",
  .function = demote_command,
};
