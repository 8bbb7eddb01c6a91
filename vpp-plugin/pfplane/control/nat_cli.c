/* The commands of the translation. */
#include <pfplane/nat/nat.h>

static uword
unformat_tcp_or_udp (unformat_input_t *input, va_list *args)
{
  u8 *proto = va_arg (*args, u8 *);

  if (unformat (input, "tcp"))
    *proto = IP_PROTOCOL_TCP;
  else if (unformat (input, "udp"))
    *proto = IP_PROTOCOL_UDP;
  else
    return 0;
  return 1;
}

static clib_error_t *
parse_forward (unformat_input_t *line, int is_add)
{
  pfp_forward_t forward = { 0 };
  u32 port, to_port;

  if (!unformat (line, "%U %U %u to %U %u", unformat_tcp_or_udp, &forward.proto, unformat_ip4_address, &forward.address, &port,
		 unformat_ip4_address, &forward.to, &to_port) ||
      port > CLIB_U16_MAX || to_port > CLIB_U16_MAX)
    return clib_error_return (0, "give tcp or udp, an address and a port of a pool, to, an address and a port");
  if (unformat_check_input (line) != UNFORMAT_END_OF_INPUT)
    return clib_error_return (0, "unknown input `%U'", format_unformat_error, line);
  forward.port = (u16) port;
  forward.to_port = (u16) to_port;
  return pfp_nat_forward_set (&forward, is_add);
}

static clib_error_t *
parse_pool (unformat_input_t *line, int is_add)
{
  u32 ports[2] = { PFP_NAT_FIRST_PORT, PFP_NAT_LAST_PORT };
  pfp_pool_t pool = { .sw_if_index = ~0 };
  ip4_address_t last;

  if (!unformat (line, "%U pool %U", unformat_vnet_sw_interface, vnet_get_main (), &pool.sw_if_index, unformat_ip4_address,
		 &pool.first))
    return clib_error_return (0, "give an interface and its pool, forward, or prefix");
  last = pool.first;
  while (unformat_check_input (line) != UNFORMAT_END_OF_INPUT)
    if (unformat (line, "- %U", unformat_ip4_address, &last) || unformat (line, "ports %u - %u", &ports[0], &ports[1]))
      continue;
    else if (unformat (line, "claim"))
      pool.is_claimed = 1;
    else
      return clib_error_return (0, "unknown input `%U'", format_unformat_error, line);
  if (ports[0] > CLIB_U16_MAX || ports[1] > CLIB_U16_MAX)
    return clib_error_return (0, "ports are 1 to 65535");
  pool.ports[0] = (u16) ports[0];
  pool.ports[1] = (u16) ports[1];
  pool.count = pfp_nat_count (pool.first, last);
  return pfp_nat_pool_set (&pool, is_add);
}

static clib_error_t *
parse_prefix (unformat_input_t *line)
{
  ip6_address_t prefix;
  u32 length = 0, is_disable = unformat (line, "disable");

  if (!is_disable && (!unformat (line, "%U/%u", unformat_ip6_address, &prefix, &length) || length != 96))
    return clib_error_return (0, "give a prefix of 96 bits such as 64:ff9b::/96, or disable");
  if (unformat_check_input (line) != UNFORMAT_END_OF_INPUT)
    return clib_error_return (0, "unknown input `%U'", format_unformat_error, line);
  return pfp_nat_prefix_set (is_disable ? 0 : &prefix);
}

static clib_error_t *
nat_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *command)
{
  unformat_input_t _line, *line = &_line;
  clib_error_t *error;
  int is_add;

  if (!unformat_user (input, unformat_line_input, line))
    return clib_error_return (0, "which translation?");
  is_add = !unformat (line, "del");
  if (unformat (line, "forward"))
    error = parse_forward (line, is_add);
  else if (is_add && unformat (line, "prefix"))
    error = parse_prefix (line);
  else
    error = parse_pool (line, is_add);
  unformat_free (line);
  return error;
}

VLIB_CLI_COMMAND (pfp_nat_command, static) = {
  .path = "set pfplane nat",
  .short_help = "set pfplane nat [del] <outside interface> pool <address> [- <address>] [ports <n> - <n>] [claim], or: set pfplane nat "
		"[del] forward tcp|udp <pool address> <port> to <address> <port>, or: set pfplane nat prefix <prefix>/96|disable",
  .function = nat_command,
};
