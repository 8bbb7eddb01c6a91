/* The configuration of the election. */
#include <pfplane/election/election.h>
#include <fcntl.h>

pfp_election_main_t pfp_election_main = { .previous_next = { ~0, ~0 }, .queue = { ~0, ~0 } };

static clib_error_t *
check_change (u32 group)
{
  if (pfp_main.engine)
    return clib_error_return (0, "first: pfplane disable");
  if (group >= PFP_MAX_GROUPS)
    return clib_error_return (0, "groups have the numbers 0 to %u", PFP_MAX_GROUPS - 1);
  return 0;
}

void
pfp_group_settings_init (pfp_group_settings_t *settings)
{
  *settings = (pfp_group_settings_t){ .dialect = PFPLANE_ELECTION_VRRP3, .interval_ms = 1000, .priority = 100 };
}

/* Creates a group, or changes its settings. The library checks them at `pfplane enable`. */
clib_error_t *
pfp_group_set (u32 group, const pfp_group_settings_t *settings)
{
  clib_error_t *error = check_change (group);

  if (error)
    return error;
  if (settings->dialect < PFPLANE_ELECTION_OPENBSD || settings->dialect > PFPLANE_ELECTION_VRRP3)
    return clib_error_return (0, "unknown dialect %u", settings->dialect);
  if (settings->interval_ms == 0 || settings->interval_ms > 254000)
    return clib_error_return (0, "the interval is 1 to 254000 ms");
  if (settings->dialect == PFPLANE_ELECTION_VRRP3 && settings->passphrase[0])
    return clib_error_return (0, "VRRP has no pass-phrase; CARP has");
  pfp_election_main.groups[group].settings = *settings;
  return 0;
}

static clib_error_t *
check_addresses (const pfp_member_t *member, const struct pfplane_address *addresses, const char *what)
{
  const struct pfplane_address *address;

  vec_foreach (address, addresses)
    if (address->family != (member->is_ip6 ? 6 : 4))
      return clib_error_return (0, "%s %U is of another family than the first shared address", what, format_pfp_address,
				address);
  return 0;
}

/* Takes over the vectors of `member`, also if it fails. */
clib_error_t *
pfp_group_member_add (u32 number, const pfp_member_t *member)
{
  pfp_election_main_t *em = &pfp_election_main;
  vnet_sw_interface_t *interface;
  clib_error_t *error = check_change (number);

  if (error == 0 && em->groups[number].settings.dialect == 0)
    error = clib_error_return (0, "there is no group %u: set pfplane group %u", number, number);
  if (error == 0 && member->id == 0)
    error = clib_error_return (0, "a member has an id of 1 to 255");
  if (error == 0 && (vec_len (member->shared) == 0 || vec_len (member->shared) > PFP_MAX_SHARED))
    error = clib_error_return (0, "a member has 1 to %u shared addresses", PFP_MAX_SHARED);
  if (error == 0 && vec_len (member->peers) > PFP_MAX_ELECTION_PEERS)
    error = clib_error_return (0, "a member has at most %u peers", PFP_MAX_ELECTION_PEERS);
  if (error == 0)
    error = check_addresses (member, member->shared, "address");
  if (error == 0)
    error = check_addresses (member, member->peers, "peer");
  if (error == 0 && vec_len (em->groups[number].members) == PFP_MAX_MEMBERS)
    error = clib_error_return (0, "a group has at most %u members", PFP_MAX_MEMBERS);
  for (u32 i = 0; error == 0 && i < PFP_MAX_GROUPS; i++)
    if (pfp_member_of (&em->groups[i], member->sw_if_index, member->is_ip6))
      error = clib_error_return (0, "group %u has %U for IPv%u already", i, format_vnet_sw_if_index_name,
				 vnet_get_main (), member->sw_if_index, member->is_ip6 ? 6 : 4);
  interface = vnet_get_sw_interface (vnet_get_main (), member->sw_if_index);
  if (error == 0 && member->sw_if_index > 0xffff)
    error = clib_error_return (0, "interfaces of an election have an index below 65536");
  if (error == 0 && interface->type == VNET_SW_INTERFACE_TYPE_SUB && !interface->sub.eth.flags.one_tag)
    error = clib_error_return (0, "a sub-interface of an election has one VLAN tag");
  if (error == 0)
    {
      vec_add1 (em->groups[number].members, *member);
      return 0;
    }
  vec_free (((pfp_member_t *) member)->shared);
  vec_free (((pfp_member_t *) member)->peers);
  return error;
}

static void
clear_members (pfp_group_t *group)
{
  pfp_member_t *member;

  vec_foreach (member, group->members)
    {
      vec_free (member->shared);
      vec_free (member->peers);
    }
  vec_free (group->members);
}

clib_error_t *
pfp_groups_clear (void)
{
  clib_error_t *error = check_change (0);
  pfp_group_t *group;

  if (error)
    return error;
  for (u32 i = 0; i < PFP_MAX_GROUPS; i++)
    {
      group = &pfp_election_main.groups[i];
      clear_members (group);
      clib_memset (&group->settings, 0, sizeof (group->settings));
    }
  return 0;
}

/* Reads CARP's pass-phrase, the first line of a file, so that it is in no history of commands. */
clib_error_t *
pfp_passphrase_read (const char *path, char passphrase[PFP_MAX_PASSPHRASE])
{
  char line[PFP_MAX_PASSPHRASE + 1] = { 0 };
  int file = open (path, O_RDONLY | O_CLOEXEC);
  ssize_t length;

  if (file < 0)
    return clib_error_return_unix (0, "%s", path);
  length = read (file, line, sizeof (line));
  close (file);
  if (length < 0)
    return clib_error_return_unix (0, "%s", path);
  length = 0;
  while (length < (ssize_t) sizeof (line) && line[length] != 0 && line[length] != '\r' && line[length] != '\n')
    length++;
  if (length == 0)
    return clib_error_return (0, "%s: the first line is empty", path);
  if (length >= PFP_MAX_PASSPHRASE)
    return clib_error_return (0, "%s: the pass-phrase is longer than %u bytes", path, PFP_MAX_PASSPHRASE - 1);
  clib_memset (passphrase, 0, PFP_MAX_PASSPHRASE);
  clib_memcpy (passphrase, line, (size_t) length);
  explicit_bzero (line, sizeof (line));
  return 0;
}
