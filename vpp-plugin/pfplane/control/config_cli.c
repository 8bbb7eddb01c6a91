/* The commands that change something. All run under the workers' barrier. */
#include <pfplane/seal/seal.h>

/* A parsed line that must be used up. */
clib_error_t *
pfp_unknown_input (unformat_input_t *input)
{
  return clib_error_return (0, "unknown input `%U'", format_unformat_error, input);
}

static uword
unformat_profile (unformat_input_t *input, va_list *args)
{
  u32 *profile = va_arg (*args, u32 *);

  if (unformat (input, "openbsd6"))
    *profile = PFPLANE_PROFILE_OPENBSD6;
  else if (unformat (input, "freebsd1301"))
    *profile = PFPLANE_PROFILE_FREEBSD1301;
  else if (unformat (input, "freebsd1400"))
    *profile = PFPLANE_PROFILE_FREEBSD1400;
  else if (unformat (input, "freebsd1500"))
    *profile = PFPLANE_PROFILE_FREEBSD1500;
  else
    return 0;
  return 1;
}

uword
unformat_pfp_address (unformat_input_t *input, va_list *args)
{
  struct pfplane_address *address = va_arg (*args, struct pfplane_address *);
  ip46_address_t parsed;

  if (!unformat (input, "%U", unformat_ip46_address, &parsed, IP46_TYPE_ANY))
    return 0;
  clib_memset (address, 0, sizeof (*address));
  if (ip46_address_is_ip4 (&parsed))
    {
      address->family = 4;
      clib_memcpy (address->bytes, &parsed.ip4, sizeof (parsed.ip4));
    }
  else
    {
      address->family = 6;
      clib_memcpy (address->bytes, &parsed.ip6, sizeof (parsed.ip6));
    }
  return 1;
}

static clib_error_t *
enable_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *command)
{
  unformat_input_t _line, *line = &_line;
  pfp_settings_t settings = pfp_main.settings;
  clib_error_t *error = 0;

  if (unformat_user (input, unformat_line_input, line))
    {
      while (error == 0 && unformat_check_input (line) != UNFORMAT_END_OF_INPUT)
	{
	  if (unformat (line, "states %u", &settings.states_per_lane) ||
	      unformat (line, "defer-ms %u", &settings.max_defer_ms) ||
	      unformat (line, "max-half-open %u", &settings.max_half_open) ||
	      unformat (line, "host-id %x", &settings.host_id))
	    continue;
	  error = pfp_unknown_input (line);
	}
      unformat_free (line);
    }
  return error ? error : pfp_enable (vm, &settings);
}

VLIB_CLI_COMMAND (pfp_enable_command, static) = {
  .path = "pfplane enable",
  .short_help = "pfplane enable [states <per worker>] [defer-ms <n>] [max-half-open <n>] [host-id <hex>]",
  .function = enable_command,
};

static clib_error_t *
disable_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *command)
{
  return pfp_disable (vm);
}

VLIB_CLI_COMMAND (pfp_disable_command, static) = {
  .path = "pfplane disable",
  .short_help = "pfplane disable: forgets all states; interfaces, policies and peers stay configured",
  .function = disable_command,
};

static clib_error_t *
interface_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *command)
{
  unformat_input_t _line, *line = &_line;
  u32 sw_if_index = ~0, has_side = 0;
  pfp_side_t side = PFP_SIDE_NONE;
  clib_error_t *error = 0;

  if (!unformat_user (input, unformat_line_input, line))
    return clib_error_return (0, "which interface?");
  while (error == 0 && unformat_check_input (line) != UNFORMAT_END_OF_INPUT)
    {
      if (unformat (line, "inside") && ++has_side)
	side = PFP_SIDE_INSIDE;
      else if (unformat (line, "outside") && ++has_side)
	side = PFP_SIDE_OUTSIDE;
      else if (unformat (line, "disable") && ++has_side)
	side = PFP_SIDE_NONE;
      else if (sw_if_index != ~0 || !unformat (line, "%U", unformat_vnet_sw_interface, vnet_get_main (), &sw_if_index))
	error = pfp_unknown_input (line);
    }
  unformat_free (line);
  if (error)
    return error;
  if (sw_if_index == ~0 || has_side != 1)
    return clib_error_return (0, "give one interface, and inside, outside or disable");
  return pfp_interface_set (vm, sw_if_index, side);
}

VLIB_CLI_COMMAND (pfp_interface_command, static) = {
  .path = "set pfplane interface",
  .short_help = "set pfplane interface <interface> inside|outside|disable",
  .function = interface_command,
};

static clib_error_t *
policy_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *command)
{
  unformat_input_t _line, *line = &_line;
  u32 sw_if_index = ~0, is_local = 0, words = 0, acl, *acls = 0;
  pfp_policy_kind_t kind = PFP_POLICY_DENY;
  clib_error_t *error = 0;

  if (!unformat_user (input, unformat_line_input, line))
    return clib_error_return (0, "which policy?");
  while (error == 0 && unformat_check_input (line) != UNFORMAT_END_OF_INPUT)
    {
      if (unformat (line, "pass") && ++words)
	kind = PFP_POLICY_PASS;
      else if (unformat (line, "deny") && ++words)
	kind = PFP_POLICY_DENY;
      else if (unformat (line, "acl %u", &acl))
	{
	  words += vec_len (acls) == 0;
	  kind = PFP_POLICY_ACLS;
	  vec_add1 (acls, acl);
	}
      else if (sw_if_index == ~0 && unformat (line, "local"))
	is_local = 1;
      else if (is_local || sw_if_index != ~0 ||
	       !unformat (line, "%U", unformat_vnet_sw_interface, vnet_get_main (), &sw_if_index))
	error = pfp_unknown_input (line);
    }
  unformat_free (line);
  if (error == 0 && (words != 1 || (!is_local && sw_if_index == ~0)))
    error = clib_error_return (0, "give an interface or local, and pass, deny or a list of ACLs");
  if (error)
    {
      vec_free (acls);
      return error;
    }
  return pfp_policy_set (is_local ? PFP_LOCAL : sw_if_index, kind, acls);
}

VLIB_CLI_COMMAND (pfp_policy_command, static) = {
  .path = "set pfplane policy",
  .short_help = "set pfplane policy <interface>|local pass|deny|acl <n> [acl <n> ...]",
  .function = policy_command,
};

/* Parses an interface, or disable: ~0. */
static clib_error_t *
parse_interface_or_disable (unformat_input_t *input, u32 *sw_if_index)
{
  unformat_input_t _line, *line = &_line;
  clib_error_t *error = 0;
  u32 is_disable = 0;

  *sw_if_index = ~0;
  if (!unformat_user (input, unformat_line_input, line))
    return clib_error_return (0, "which interface?");
  while (error == 0 && unformat_check_input (line) != UNFORMAT_END_OF_INPUT)
    {
      if (unformat (line, "disable"))
	is_disable = 1;
      else if (*sw_if_index != ~0 || !unformat (line, "%U", unformat_vnet_sw_interface, vnet_get_main (), sw_if_index))
	error = pfp_unknown_input (line);
    }
  unformat_free (line);
  if (error == 0 && (*sw_if_index == ~0) != is_disable)
    error = clib_error_return (0, "give one interface, or disable");
  return error;
}

static clib_error_t *
sync_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *command)
{
  u32 sw_if_index;
  clib_error_t *error = parse_interface_or_disable (input, &sw_if_index);

  return error ? error : pfp_sync_set (sw_if_index);
}

VLIB_CLI_COMMAND (pfp_sync_command, static) = {
  .path = "set pfplane sync",
  .short_help = "set pfplane sync <interface>|disable",
  .function = sync_command,
};

static clib_error_t *
ready_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *command)
{
  u32 sw_if_index;
  clib_error_t *error = parse_interface_or_disable (input, &sw_if_index);

  return error ? error : pfp_ready_set (sw_if_index);
}

VLIB_CLI_COMMAND (pfp_ready_command, static) = {
  .path = "set pfplane ready",
  .short_help = "set pfplane ready <loopback>|disable: the interface is up while this node may take over",
  .function = ready_command,
};

static clib_error_t *
peer_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *command)
{
  unformat_input_t _line, *line = &_line;
  pfp_peer_t peer = { .profile = PFPLANE_PROFILE_OPENBSD6 };
  u32 is_group = 0, is_clear = 0;
  clib_error_t *error = 0;

  if (!unformat_user (input, unformat_line_input, line))
    return clib_error_return (0, "which peer?");
  while (error == 0 && unformat_check_input (line) != UNFORMAT_END_OF_INPUT)
    {
      if (unformat (line, "multicast6"))
	is_group = peer.is_ip6 = 1;
      else if (unformat (line, "multicast"))
	is_group = 1;
      else if (unformat (line, "clear"))
	is_clear = 1;
      else if (unformat (line, "extensions"))
	peer.extensions = 1;
      else if (unformat (line, "seal require"))
	peer.seal = PFPLANE_SEAL_REQUIRE;
      else if (unformat (line, "seal sign"))
	peer.seal = PFPLANE_SEAL_SIGN;
      else if (peer.key_file == 0 && unformat (line, "key-file %s", &peer.key_file))
	vec_terminate_c_string (peer.key_file);
      else if (unformat (line, "profile %U", unformat_profile, &peer.profile) ||
	       unformat (line, "source %U", unformat_pfp_address, &peer.source) ||
	       unformat (line, "%U", unformat_pfp_address, &peer.destination))
	continue;
      else
	error = pfp_unknown_input (line);
    }
  unformat_free (line);
  if (error == 0 && !is_clear && is_group == (peer.destination.family != 0))
    error = clib_error_return (0, "give the peer's address, multicast, multicast6 or clear");
  if (error || is_clear)
    {
      vec_free (peer.key_file);
      return error ? error : pfp_peers_clear ();
    }
  if (peer.destination.family == 6)
    peer.is_ip6 = 1;
  return pfp_peer_add (&peer);
}

VLIB_CLI_COMMAND (pfp_peer_command, static) = {
  .path = "set pfplane peer",
  .short_help = "set pfplane peer <address>|multicast|multicast6 [source <address>] "
		"[profile openbsd6|freebsd1301|freebsd1400|freebsd1500] [extensions] "
		"[seal require|sign key-file <path>], or: set pfplane peer clear",
  .function = peer_command,
};

static clib_error_t *
clear_states_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *command)
{
  return pfp_states_clear ();
}

VLIB_CLI_COMMAND (pfp_clear_states_command, static) = {
  .path = "clear pfplane states",
  .short_help = "clear pfplane states: deletes all states, on the peers too",
  .function = clear_states_command,
};

static clib_error_t *
bulk_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *command)
{
  return pfp_bulk_request ();
}

VLIB_CLI_COMMAND (pfp_bulk_command, static) = {
  .path = "pfplane bulk-request",
  .short_help = "pfplane bulk-request: requests all states of the peers again",
  .function = bulk_command,
};

static clib_error_t *
reload_keys_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *command)
{
  return pfp_seal_keys_reload ();
}

VLIB_CLI_COMMAND (pfp_reload_keys_command, static) = {
  .path = "pfplane reload-seal-keys",
  .short_help = "pfplane reload-seal-keys: reads the key files of sealed peers again",
  .function = reload_keys_command,
};
