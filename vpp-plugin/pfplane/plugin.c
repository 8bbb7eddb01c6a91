/* Registration of the plugin, and what `pfplane enable` and `pfplane disable` do. Before the first of them nothing exists but the
 * nodes' names: no table, no timer, no packet is looked at. */
#include <pfplane/election/election.h>
#include <pfplane/seal/seal.h>
#include <pfplane/vrf/vrf.h>
#include <vlib/stats/stats.h>
#include <vnet/plugin/plugin.h>

pfp_main_t pfp_main = {
  .sync_sw_if_index = ~0,
  .ready_sw_if_index = ~0,
  .sync_adjacency = { ~0, ~0 },
  .queue = { ~0, ~0 },
  .local_policy = { .kind = PFP_POLICY_PASS, .context = ~0 },
  .settings = { .states_per_lane = PFP_DEFAULT_STATES },
};

VLIB_PLUGIN_REGISTER () = {
  .version = PFP_VERSION,
  .version_required = PFP_VPP_RELEASE,
  .default_disabled = 1,
  .description = "pfplane: stateful firewall with pfsync replication",
};

/* The hand-off queues and the threads' records stay until VPP ends: packets may be in flight when pfplane is disabled. */
static clib_error_t *
first_enable (void)
{
  pfp_main_t *pm = &pfp_main;

  if (pm->threads)
    return 0;
  if (pfplane_abi_version () != PFPLANE_ABI_VERSION)
    return clib_error_return (0, "the plugin was compiled for pfplane ABI %u, but its library has ABI %u",
			      PFPLANE_ABI_VERSION, pfplane_abi_version ());
  vec_validate_aligned (pm->threads, vlib_num_workers (), CLIB_CACHE_LINE_BYTES);
  if (vlib_num_workers () > 0)
    {
      pm->queue[0] = pfp_handoff_queue_new (pfp_lookup_ip4_node.index);
      pm->queue[1] = pfp_handoff_queue_new (pfp_lookup_ip6_node.index);
      pm->sync_queue[0] = pfp_handoff_queue_new (pfp_sync_ip4_node.index);
      pm->sync_queue[1] = pfp_handoff_queue_new (pfp_sync_ip6_node.index);
      pfp_election_main.queue[0] = pfp_handoff_queue_new (pfp_advert_ip4_node.index);
      pfp_election_main.queue[1] = pfp_handoff_queue_new (pfp_advert_ip6_node.index);
    }
  pm->ready_gauge = vlib_stats_add_gauge ("/pfplane/ready");
  pm->states_gauge = vlib_stats_add_gauge ("/pfplane/states");
  return 0;
}

static clib_error_t *
enable_with_keys (vlib_main_t *vm, const pfp_settings_t *settings, pfp_seal_keys_t *keys)
{
  pfp_main_t *pm = &pfp_main;
  struct pfplane_peer peers[PFP_MAX_PEERS];
  struct pfplane_config config;
  clib_error_t *error;
  u32 mtu = 0;
  i32 status;

  if (pm->engine)
    return clib_error_return (0, "pfplane is enabled already");
  if ((error = first_enable ()))
    return error;
  if ((error = pfp_sync_fill_peers (peers, keys, &mtu)))
    return error;

  pfplane_config_init (&config, sizeof (config));
  /* One lane per worker; without workers the main thread has the only one. */
  pm->lane_count = clib_max (vlib_num_workers (), 1);
  pm->first_thread = vlib_num_workers () > 0;
  config.lanes = pm->lane_count;
  config.states_per_lane = settings->states_per_lane;
  config.host_id = settings->host_id;
  config.max_half_open = settings->max_half_open;
  config.peer_count = vec_len (pm->peers);
  config.peers = peers;
  pfp_vrfs_collect ();
  config.routing_tables = pm->vrfs;
  config.routing_table_count = vec_len (pm->vrfs);
  config.device_mtu = mtu;
  config.buffer_size = vlib_buffer_get_default_data_size (vm);
  if (config.peer_count > 0)
    config.max_defer_ms = settings->max_defer_ms;

  status = pfplane_config_memory (&config, &pm->memory_bytes);
  if (status == PFPLANE_OK)
    status = pfplane_engine_new (&config, &pm->engine);
  if (status != PFPLANE_OK)
    {
      pm->engine = 0;
      return clib_error_return (0, "%s: %s", pfplane_status_text (status), pfplane_last_error ());
    }
  if ((error = pfp_election_new ()))
    {
      pfplane_engine_free (pm->engine);
      pm->engine = 0;
      return error;
    }
  pm->settings = *settings;
  for (u32 i = 0; i < pm->lane_count; i++)
    pfplane_engine_lane (pm->engine, i, &pm->threads[pm->first_thread + i].lane);

  pfp_sync_attach ();
  pfp_sync_link_update ();
  pfp_election_attach ();
  pfp_interfaces_apply ();
  pfp_poll_start ();
  pfp_log_notice ("enabled: %u lanes of %u states, %llu bytes, host id %08x", pm->lane_count, config.states_per_lane,
		  pm->memory_bytes, pfplane_engine_host_id (pm->engine));
  return 0;
}

clib_error_t *
pfp_enable (vlib_main_t *vm, const pfp_settings_t *settings)
{
  pfp_seal_keys_t keys[PFP_MAX_PEERS];
  clib_error_t *error = enable_with_keys (vm, settings, keys);

  explicit_bzero (keys, sizeof (keys));
  return error;
}

/* Runs under the workers' barrier: no thread is in a call of the library. */
clib_error_t *
pfp_disable (vlib_main_t *vm)
{
  pfp_main_t *pm = &pfp_main;
  pfplane_engine *engine = pm->engine;
  pfp_thread_t *thread;

  if (engine == 0)
    return clib_error_return (0, "pfplane is not enabled");
  pfp_held_drop (vm);
  pfp_poll_stop ();
  pfp_election_detach (vm);
  pfp_sync_detach ();
  pm->engine = 0;
  vec_foreach (thread, pm->threads)
    thread->lane = 0;
  pfp_interfaces_apply ();
  pfplane_engine_free (engine);
  pm->memory_bytes = 0;
  pfp_readiness_show ();
  pfp_log_notice ("disabled");
  return 0;
}

static clib_error_t *
require_disabled (void)
{
  return pfp_main.engine ? clib_error_return (0, "first: pfplane disable") : 0;
}

static clib_error_t *
require_enabled (void)
{
  return pfp_main.engine ? 0 : clib_error_return (0, "pfplane is not enabled");
}

/* `sw_if_index` exists, or is ~0 for none. */
clib_error_t *
pfp_sync_set (u32 sw_if_index)
{
  clib_error_t *error = require_disabled ();

  if (error == 0)
    pfp_main.sync_sw_if_index = sw_if_index;
  return error;
}

/* Names the interface whose state shows whether this node may take over, for VRRP's interface tracking. */
clib_error_t *
pfp_ready_set (u32 sw_if_index)
{
  pfp_main.ready_sw_if_index = sw_if_index;
  pfp_readiness_show ();
  return 0;
}

static clib_error_t *
check_peer (const pfp_peer_t *peer)
{
  if (peer->profile < PFPLANE_PROFILE_OPENBSD6 || peer->profile > PFPLANE_PROFILE_FREEBSD1500)
    return clib_error_return (0, "unknown profile %u", peer->profile);
  if (peer->source.family != 0 && (peer->source.family == 6) != peer->is_ip6)
    return clib_error_return (0, "source and peer are of different families");
  if (vec_len (pfp_main.peers) == PFP_MAX_PEERS)
    return clib_error_return (0, "at most %u peers", PFP_MAX_PEERS);
  if (peer->seal > PFPLANE_SEAL_REQUIRE)
    return clib_error_return (0, "unknown seal %u", (u32) peer->seal);
  if ((peer->seal != PFPLANE_SEAL_OFF) != (peer->key_file != 0))
    return clib_error_return (0, "a seal has a key file, and a key file a seal");
  if (peer->seal != PFPLANE_SEAL_OFF && peer->destination.family == 0)
    return clib_error_return (0, "a sealed peer is one node: give its address");
  return 0;
}

/* Takes over `key_file`, also if it fails. */
clib_error_t *
pfp_peer_add (const pfp_peer_t *peer)
{
  clib_error_t *error = require_disabled ();
  pfp_peer_t added = *peer;

  if (error == 0)
    error = check_peer (peer);
  if (error)
    vec_free (added.key_file);
  else
    vec_add1 (pfp_main.peers, added);
  return error;
}

clib_error_t *
pfp_peers_clear (void)
{
  clib_error_t *error = require_disabled ();

  pfp_peer_t *peer;

  if (error)
    return error;
  vec_foreach (peer, pfp_main.peers)
    vec_free (peer->key_file);
  vec_free (pfp_main.peers);
  return 0;
}

clib_error_t *
pfp_states_clear (void)
{
  clib_error_t *error = require_enabled ();

  if (error == 0)
    pfplane_engine_clear (pfp_main.engine);
  return error;
}

clib_error_t *
pfp_bulk_request (void)
{
  clib_error_t *error = require_enabled ();

  if (error == 0)
    pfplane_engine_bulk_request (pfp_main.engine);
  return error;
}

static clib_error_t *
pfp_init (vlib_main_t *vm)
{
  pfp_main.log_class = vlib_log_register_class ("pfplane", 0);
  return 0;
}

VLIB_INIT_FUNCTION (pfp_init);
