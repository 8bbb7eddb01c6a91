# shellcheck shell=bash
# Part `peer`: two firewalls with a slow sync port, held first packets, bulk transfers.

# Starts the other firewall at the far end of the sync link, without traffic ports.
start_peer() {
    ip netns exec "$prefix-firewall" "$firewall" -l 0 --no-huge -m 128 --no-pci --no-shconf --no-telemetry \
        --log-level=error --vdev=net_null0 --vdev=net_null1 --vdev=net_af_packet2,iface=far,framecnt=4096 \
        -- "${own[@]}" --sync-address 10.3.0.2 --control "$work/peer" --role backup >"$work/peer.log" 2>&1 &
    peer=$!
    for _ in $(seq 100); do [ "$(value status . ready "$work/peer" 2>/dev/null)" = True ] && return 0; sleep 0.1; done
    fail "the peer does not become ready: $(tail -3 "$work/peer.log")"
}

# wait_until_equal WHAT A B: both functions print the same within six seconds.
wait_until_equal() {
    for _ in $(seq 60); do [ "$($2)" = "$($3)" ] && pass && return; sleep 0.1; done
    fail "$1: $($2), not $($3)"
}
states_here() { value status . states; }
states_at_peer() { value status . states "$work/peer"; }
zero() { echo 0; }
exposed() { value status . unsent_inserts; }

# First a slow sync port, then held first packets with and without a peer.
test_peer() {
    [ "$(id -u)" -eq 0 ] || { echo "SKIPPED: two firewalls and their sync link: needs root" && return; }
    local before
    create_network || { fail "no network namespaces" && return; }
    echo "$network_rules" >"$work/rules"
    ip netns exec "$prefix-server" python3 -c "$echo_server" &
    helper=$!

    # The port queues at most eight frames, at 40 kbyte/s, and refuses the others.
    start_in_namespace framecnt=8,qdisc_bypass=0 --insert-age 0 --update-age 5 || return
    start_peer
    ip netns exec "$prefix-firewall" tc qdisc add dev sync root tbf rate 320kbit burst 3000 limit 100000 ||
        fail "no token bucket"
    succeeds "40 connections over a slow sync port" inside client timeout 30 python3 -c "$echo_client" 5000 5
    [ "$(value stats firewall sync_requeued)" -gt 0 ] && pass || fail "the port accepted all frames: $(request stats)"
    oerrors() { value stats engine oerrors; }
    requeued() { value stats firewall sync_requeued; }
    wait_until_equal "refused frames and requeued ones" oerrors requeued
    ip netns exec "$prefix-firewall" tc qdisc del dev sync root
    wait_until_equal "exposed connections" exposed zero
    wait_until_equal "states here and at the peer" states_here states_at_peer
    [ "$(states_at_peer)" -ge 40 ] && pass || fail "the peer has $(states_at_peer) states"
    exits_cleanly "with a slow sync port"

    # The peer's acknowledgement releases each first packet, not the timeout.
    start_in_namespace framecnt=4096 --defer-ms 1000 || return
    succeeds "40 connections with first packets held" inside client timeout 30 python3 -c "$echo_client" 5000 5
    before=$(value stats engine states_released_timeout)
    [ "$(value stats firewall held)" -ge 40 ] && pass || fail "no packet was held: $(request stats)"
    [ "$(value stats engine states_released)" -ge 40 ] && [ "$before" -eq 0 ] && pass || fail "not released by acknowledgements: $(request stats)"
    [ "$(value stats engine packets_held)" -eq 0 ] && pass || fail "still held: $(request stats)"

    # Commands about the peer: its statistics, and bulk transfers in both directions.
    [ "$(value peer peer inserts_sent)" -ge 40 ] && pass || fail "no inserts to the peer: $(request peer)"
    before=$(value stats engine bulk_walks_finished)
    succeeds "push-bulk" test "$(value push-bulk . ok)" = True
    walks() { value stats engine bulk_walks_finished; }
    one_more() { echo $((before + 1)); }
    wait_until_equal "walks after push-bulk" walks one_more
    succeeds "request-bulk" test "$(value request-bulk . ok)" = True
    loaded() { value status . bulk; }
    done_loading() { echo done; }
    wait_until_equal "request-bulk" loaded done_loading
    lists_commands() { request frob | grep -q 'the commands are status, stats, peer, request-bulk'; }
    succeeds "an unknown command" lists_commands
    before=$(value stats engine states_released_timeout)

    # Without the peer the timeout releases packets, and those held at exit are freed.
    kill "$peer" && wait "$peer"
    peer=
    succeeds "a connection without a peer" inside client timeout 30 python3 -c '
import socket; socket.create_connection(("10.2.0.20", 5000), timeout=10).close()'
    [ "$(value stats engine states_released_timeout)" -gt "$before" ] && pass || fail "no timeout: $(request stats)"
    inside client python3 -c '
import socket
sockets = [socket.socket() for _ in range(600)]
for s in sockets:
    s.setblocking(False); s.connect_ex(("10.2.0.20", 5000))'
    [ "$(value stats engine packets_held)" -gt 50 ] && pass || fail "no packets held at the end: $(request stats)"
    # Each of two lanes holds 128 packets; beyond that the oldest is released.
    [ "$(value stats engine states_released_early)" -gt 0 ] && pass || fail "no overflow: $(request stats)"

    stop_helper
    exits_cleanly "with held packets"
    delete_network
}
