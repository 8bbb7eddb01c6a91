/* Reads key files: a key a line, its number from 1 to 255 and 64 hex digits. ha-firewall reads the same files. */
#include <pfplane/seal/seal.h>
#include <fcntl.h>
#include <sys/stat.h>

enum
{
  MAX_FILE_BYTES = 1024, /* four keys, and comments */
};

static int
hex_digit (u8 c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
is_space (u8 c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

/* Parses a line. Returns a message, NULL if it is fine. */
static const char *
parse_line (const u8 *line, const u8 *end, pfp_seal_keys_t *keys)
{
  u8 *secret;
  u32 id = 0;

  while (end > line && is_space (end[-1]))
    end--;
  if (line == end || *line == '#')
    return 0;
  while (line < end && *line >= '0' && *line <= '9' && id < 256)
    id = id * 10 + (*line++ - '0');
  if (id < 1 || id > 255 || line == end || !is_space (*line))
    return "not a number from 1 to 255 and a key";
  while (line < end && is_space (*line))
    line++;
  if (keys->count == PFPLANE_MAX_SEAL_KEYS)
    return "more than 4 keys";
  if (end - line != 2 * PFP_SEAL_KEY_BYTES)
    return "the key must have 64 hex digits, that is 32 bytes";
  secret = keys->secrets[keys->count];
  for (u32 i = 0; i < PFP_SEAL_KEY_BYTES; i++)
    {
      int high = hex_digit (line[2 * i]), low = hex_digit (line[2 * i + 1]);

      if (high < 0 || low < 0)
	return "the key must have 64 hex digits, that is 32 bytes";
      secret[i] = (u8) (high << 4 | low);
    }
  for (u32 i = 0; i < keys->count; i++)
    if (keys->keys[i].id == id)
      return "another key has this number";
  keys->keys[keys->count++] = (struct pfplane_seal_key){ .key = secret, .key_bytes = PFP_SEAL_KEY_BYTES, .id = id };
  return 0;
}

static clib_error_t *
parse_file (const u8 *bytes, u32 length, const char *path, pfp_seal_keys_t *keys)
{
  const u8 *at = bytes, *end = bytes + length;

  for (u32 number = 1; at < end; number++)
    {
      const u8 *line_end = at;
      const char *why;

      while (line_end < end && *line_end != '\n')
	line_end++;
      if ((why = parse_line (at, line_end, keys)))
	return clib_error_return (0, "%s:%u: %s", path, number, why);
      at = line_end + 1;
    }
  return keys->count == 0 ? clib_error_return (0, "%s: no key is in it", path) : 0;
}

/* Reads a file. The caller wipes the keys, also after an error. */
clib_error_t *
pfp_seal_keys_read (const char *path, pfp_seal_keys_t *keys)
{
  int file = open (path, O_RDONLY | O_CLOEXEC);
  u8 bytes[MAX_FILE_BYTES + 1];
  clib_error_t *error = 0;
  struct stat status;
  ssize_t length;

  clib_memset (keys, 0, sizeof (*keys));
  if (file < 0 || fstat (file, &status) != 0)
    error = clib_error_return_unix (0, "%s", path);
  else if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    error = clib_error_return (0, "%s: others than its owner may use this file: chmod 600", path);
  else if ((length = read (file, bytes, sizeof (bytes))) < 0)
    error = clib_error_return_unix (0, "%s", path);
  else if (length > MAX_FILE_BYTES)
    error = clib_error_return (0, "%s: a key file has at most %u bytes", path, MAX_FILE_BYTES);
  else
    error = parse_file (bytes, (u32) length, path, keys);
  if (file >= 0)
    close (file);
  explicit_bzero (bytes, sizeof (bytes));
  return error;
}

static int
has_id (const u8 ids[PFPLANE_MAX_SEAL_KEYS], u32 id)
{
  for (u32 i = 0; i < PFPLANE_MAX_SEAL_KEYS; i++)
    if (ids[i] == id)
      return 1;
  return 0;
}

static int
file_has_id (const pfp_seal_keys_t *keys, u32 id)
{
  for (u32 i = 0; i < keys->count; i++)
    if (keys->keys[i].id == id)
      return 1;
  return 0;
}

/* Adds the keys that are new in the file, then removes those that are not in it any more. */
static clib_error_t *
reload_peer (u32 peer, const pfp_seal_keys_t *keys)
{
  struct pfplane_seal_status status = { .size = sizeof (status) };

  pfplane_engine_seal_status (pfp_main.engine, peer, &status);
  for (u32 i = keys->count; i-- > 0;)
    if (!has_id (status.keys, keys->keys[i].id) &&
	pfplane_engine_seal_key_add (pfp_main.engine, peer, &keys->keys[i]) != PFPLANE_OK)
      return clib_error_return (0, "peer %u, key %u: %s", peer, keys->keys[i].id, pfplane_last_error ());
  for (u32 i = 0; i < PFPLANE_MAX_SEAL_KEYS; i++)
    if (status.keys[i] != 0 && !file_has_id (keys, status.keys[i]) &&
	pfplane_engine_seal_key_remove (pfp_main.engine, peer, status.keys[i]) != PFPLANE_OK)
      return clib_error_return (0, "peer %u, key %u: %s", peer, (u32) status.keys[i], pfplane_last_error ());
  return 0;
}

/* Reads the key files of all sealed peers again. */
clib_error_t *
pfp_seal_keys_reload (void)
{
  pfp_main_t *pm = &pfp_main;
  clib_error_t *error = 0;
  pfp_seal_keys_t keys;
  u32 sealed = 0;

  if (pm->engine == 0)
    return clib_error_return (0, "pfplane is not enabled");
  for (u32 i = 0; error == 0 && i < vec_len (pm->peers); i++)
    {
      if (pm->peers[i].seal == PFPLANE_SEAL_OFF)
	continue;
      sealed++;
      error = pfp_seal_keys_read ((char *) pm->peers[i].key_file, &keys);
      if (error == 0)
	error = reload_peer (i, &keys);
      explicit_bzero (&keys, sizeof (keys));
    }
  if (error == 0 && sealed == 0)
    error = clib_error_return (0, "no peer is sealed");
  return error;
}

static u8 *
format_ids (u8 *s, va_list *args)
{
  const u8 *ids = va_arg (*args, const u8 *);
  u32 shown = 0;

  for (; shown < PFPLANE_MAX_SEAL_KEYS && ids[shown] != 0; shown++)
    s = format (s, "%s%u", shown ? " " : "", (u32) ids[shown]);
  return shown ? s : format (s, "none");
}

void
pfp_seal_show (vlib_main_t *vm)
{
  static const char *const modes[] = { "off", "sign", "require" };
  pfp_main_t *pm = &pfp_main;

  for (u32 i = 0; i < vec_len (pm->peers); i++)
    {
      struct pfplane_seal_status status = { .size = sizeof (status) };

      if (pm->peers[i].seal == PFPLANE_SEAL_OFF ||
	  pfplane_engine_seal_status (pm->engine, i, &status) != PFPLANE_OK)
	continue;
      vlib_cli_output (vm, "peer %u sealed (%s): %s, %s", i, modes[pm->peers[i].seal],
		       status.proven ? "proven" : "not proven yet",
		       status.accepted ? "it accepts this node" : "it does not accept this node yet");
      vlib_cli_output (vm, "  keys %U, the peer's %U, sent with %u, received with %u", format_ids, status.keys, format_ids,
		       status.peer_keys, (u32) status.key_sent, (u32) status.key_received);
      if (status.last_accepted_ns)
	vlib_cli_output (vm, "  last sealed frame accepted %llu ms ago",
			 (pfp_now_ns (vm) - status.last_accepted_ns) / 1000000);
    }
}
