# shellcheck shell=bash
# Part `election`: two firewalls elect the master. Options, kill, freeze, hand-over, links, CARP.

# Two firewalls on two LANs (bridges in the namespace `lans`), a client and a server; the firewalls share the sync link.
create_lans() {
    local name lan
    for name in client server lans node1 node2; do
        ip netns add "$prefix-$name" || return 1
        inside "$name" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
    done
    for name in lans node1 node2; do inside "$name" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1; done
    for lan in inside outside; do
        ip -n "$prefix-lans" link add "$lan" type bridge mcast_snooping 0
        ip -n "$prefix-lans" link set "$lan" up
        for name in node1 node2; do attach "$name" "$lan" "$lan"; done
    done
    attach client end inside
    attach server end outside
    ip -n "$prefix-node1" link add sync type veth peer name sync netns "$prefix-node2"
    for name in node1 node2; do ip -n "$prefix-$name" link set sync up; done
    for name in client server; do inside "$name" ethtool -K end tx off tso off gso off >/dev/null; done
    ip -n "$prefix-client" address add 10.1.0.10/24 dev end
    ip -n "$prefix-client" address add fd01::10/64 dev end nodad
    ip -n "$prefix-server" address add 10.2.0.20/24 dev end
    ip -n "$prefix-server" address add fd02::20/64 dev end nodad
    for name in "client 1" "server 2"; do
        ip -n "$prefix-${name% *}" route add default via "10.${name#* }.0.1"
        ip -n "$prefix-${name% *}" route add default via "fd0${name#* }::1"
    done
}

# attach NAME INTERFACE LAN: connects an interface of a namespace to a bridge.
attach() {
    ip -n "$prefix-lans" link add "$1-$3" type veth peer name "$2" netns "$prefix-$1"
    ip -n "$prefix-lans" link set "$1-$3" master "$3" up
    ip -n "$prefix-$1" link set "$2" up
}

delete_lans() { for name in client server lans node1 node2; do ip netns del "$prefix-$name"; done; }

# start_node N OPTIONS...: starts firewall N of 1 and 2; node 1 has the higher priority. Its process is in node_process[N].
start_node() {
    local n=$1
    ip netns exec "$prefix-node$n" "$firewall" "--lcores=0@($(allowed_processors))" --no-huge -m 128 --no-pci --no-shconf \
        --no-telemetry --log-level=error --vdev=net_af_packet0,iface=inside,framecnt=4096 \
        --vdev=net_af_packet1,iface=outside,framecnt=4096 --vdev=net_af_packet2,iface=sync,framecnt=4096 -- \
        --inside 0 --outside 1 --sync 2 --inside-address 10.1.0.1/24 --outside-address 10.2.0.1/24 \
        --inside-address fd01::1/64 --outside-address fd02::1/64 --sync-address "10.3.0.$n" --rules "$work/rules" \
        --control "$work/node$n" --states 1024 --event-log "$work/events$n" --election-id 7 \
        --inside-own "10.1.0.$((n + 1))" --outside-own "10.2.0.$((n + 1))" --priority $((300 - n * 100)) "${@:2}" \
        >>"$work/log$n" 2>&1 &
    node_process[n]=$!
    peer="${node_process[*]}"
}

# role N: the role of firewall N.
role() { value status . role "$work/node$1" 2>/dev/null; }

# wait_for_role N ROLE SECONDS WHAT
wait_for_role() {
    for _ in $(seq $(($3 * 20))); do [ "$(role "$1")" = "$2" ] && pass && return; sleep 0.05; done
    fail "$4: firewall $1 is $(role "$1"), not $2: $(tail -3 "$work/log$1")"
}

end_node() { kill "-$2" "${node_process[$1]}"; wait "${node_process[$1]}" 2>/dev/null; status=$?; unset "node_process[$1]"; peer="${node_process[*]}"; }

# last_role N: the time in nanoseconds of the last role change of firewall N to master.
last_master() { grep '"event":"role"' "$work/events$1" | grep '"role":"master"' | tail -1 | sed 's/.*"now_ns":\([0-9]*\).*/\1/'; }

# election_value N MEMBER: a member of the election's status.
election_value() { value status election "$2" "$work/node$1"; }

# Writes the time in nanoseconds of each frame with a virtual source address that a bridge receives on an interface.
sender_log='
import socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind((sys.argv[1], 0))
print("ready", flush=True)
while True:
    frame, address = s.recvfrom(2048)
    if address[2] != 4 and frame[6:10] == bytes.fromhex("00005e00"): print(time.monotonic_ns(), flush=True)
'

# later_than FILE NS: counts the times in a file after NS.
later_than() { awk -v limit="$2" '$1 ~ /^[0-9]+$/ && $1 > limit { n++ } END { print n + 0 }' "$1"; }

# link_local_of NAME: the link-local address that belongs to the Ethernet address of a firewall's inside interface.
link_local_of() {
    inside "$1" cat /sys/class/net/inside/address | python3 -c '
b = bytes.fromhex(input().replace(":", ""))
print("fe80::%02x%02x:%02xff:fe%02x:%02x%02x" % (b[0] ^ 2, b[1], b[2], b[3], b[4], b[5]))'
}

# ping_while SECONDS: pings the server about every millisecond in the background, both families.
ping_while() {
    inside client ping -q -i 0.001 -c "$(($1 * 1000))" -W 1 10.2.0.20 >"$work/ping4" 2>&1 &
    ping4=$!
    inside client ping -q -i 0.001 -c "$(($1 * 1000))" -W 1 fd02::20 >"$work/ping6" 2>&1 &
    ping6=$!
}
# lost FAMILY: the number of pings without a reply.
lost() { sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' "$work/ping$1" | awk '{ print $1 - $2 }'; }

test_election_options() {
    local option
    mapfile -t rest < <(without --inside-mac | grep -v -e --outside-mac -e 00:00:5e:00:01:02)
    local elects=("${rest[@]}" --election vrrp --inside-own 10.1.0.2 --outside-own 10.2.0.2)
    exits_with 0 "--election DIALECT" --help
    exits_with 2 "--election vrrp2: not vrrp, carp, openbsd or freebsd" -- --election vrrp2
    exits_with 2 "--election-id 0: not a number from 1 to 255" -- --election-id 0
    exits_with 2 "--election-id 256: not a number from 1 to 255" -- --election-id 256
    exits_with 2 "--priority 0: not a number from 1 to 254" -- --priority 0
    exits_with 2 "--priority 255: not a number from 1 to 254" -- --priority 255
    exits_with 2 "--priority needs --election" -- "${own[@]}" --priority 200
    exits_with 2 "--inside-own needs --election" -- "${own[@]}" --inside-own 10.1.0.2
    exits_with 2 "--role and --election exclude each other" -- "${elects[@]}" --role backup
    exits_with 2 "--inside-mac and --election exclude each other" -- "${elects[@]}" --inside-mac 00:00:5e:00:01:01
    exits_with 2 "--interval-ms 15: with vrrp from 10 to 40950, in tens" -- "${elects[@]}" --interval-ms 15
    exits_with 2 "--interval-ms 41000: with vrrp from 10 to 40950" -- "${elects[@]}" --interval-ms 41000
    exits_with 2 "--interval-ms 1500: with CARP whole seconds, or less than one" -- "${elects[@]}" --election carp --interval-ms 1500
    exits_with 2 "--interval-ms 500: with CARP whole seconds" -- "${elects[@]}" --election freebsd --interval-ms 500
    exits_with 2 "--election-mac mine: not virtual, own-adverts or own" -- --election-mac mine
    exits_with 2 "--inside-own is missing" -- "${rest[@]}" --election vrrp
    exits_with 2 "--outside-own is missing" -- "${rest[@]}" --election vrrp --inside-own 10.1.0.2
    for option in own peer; do
        exits_with 2 "--inside-$option fe80::2: --inside-address has no IPv6 address" -- "${elects[@]}" "--inside-$option" fe80::2
        exits_with 2 "--inside-$option fd01::2: not a link-local address" -- "${elects[@]}" --inside-address fd01::1/64 "--inside-$option" fd01::2
    done
    exits_with 2 "--inside-peer 10.9.0.2: on no subnet of --inside-address" -- "${elects[@]}" --inside-peer 10.9.0.2
    exits_with 2 "--inside-peer 10.1.0.1: this is a shared address (--inside-address)" -- "${elects[@]}" --inside-peer 10.1.0.1
    exits_with 2 "--inside-peer 10.1.0.2: this is our own address" -- "${elects[@]}" --inside-peer 10.1.0.2
    exits_with 2 "--witness needs --election" -- "${own[@]}" --witness 10.1.0.9
    exits_with 2 "--hellos needs --election" -- "${own[@]}" --hellos
    exits_with 2 "--hellos and --no-sync exclude each other" -- "${elects[@]}" --hellos --no-sync
    exits_with 2 "--witness 10.9.0.9: on no subnet of --inside-address and --outside-address" -- "${elects[@]}" --witness 10.9.0.9
    exits_with 2 "--witness 10.1.0.1: this is a shared address" -- "${elects[@]}" --witness 10.1.0.1
    exits_with 2 "--witness 10.2.0.2: this is our own address" -- "${elects[@]}" --witness 10.2.0.2
    exits_with 2 "--inside-own 10.1.0.3: a second address of the same family" -- "${elects[@]}" --inside-own 10.1.0.3
    exits_with 2 "10.1.0.7: more than 4 addresses" -- "${elects[@]}" --inside-peer 10.1.0.3 --inside-peer 10.1.0.4 \
        --inside-peer 10.1.0.5 --inside-peer 10.1.0.6 --inside-peer 10.1.0.7
    printf '12345678901234567890\n' >"$work/long"
    printf '\n' >"$work/blank"
    : >"$work/empty"
    printf 'secret\n' >"$work/secret"
    exits_with 2 "--passphrase-file $work/nothing: No such file" -- "${elects[@]}" --election carp --passphrase-file "$work/nothing"
    exits_with 2 "--passphrase-file $work: Is a directory" -- "${elects[@]}" --election carp --passphrase-file "$work"
    exits_with 2 "--passphrase-file $work/empty: is empty" -- "${elects[@]}" --election carp --passphrase-file "$work/empty"
    exits_with 2 "--passphrase-file $work/blank: the first line is empty" -- "${elects[@]}" --election carp --passphrase-file "$work/blank"
    exits_with 2 "--passphrase-file $work/long: the pass-phrase has more than 19 bytes" -- "${elects[@]}" --election carp --passphrase-file "$work/long"
    exits_with 2 "--passphrase-file $work/secret: VRRP version 3 has no authentication" -- "${elects[@]}" --passphrase-file "$work/secret"
}

# isolate_inside STATE: on or off; while on, the firewalls' ports of the inside pass no frames to each other.
isolate_inside() {
    local name
    for name in node1 node2; do ip netns exec "$prefix-lans" bridge link set dev "$name-inside" isolated "$1"; done
}

# stays ROLE SECONDS N: firewall N has a role all the time.
stays() {
    for _ in $(seq $(($2 * 5))); do
        [ "$(role "$3")" = "$1" ] || { fail "firewall $3 is $(role "$3"), not $1: $(tail -3 "$work/log$3")" && return; }
        sleep 0.2
    done
    pass
}

# With hellos a backup that is deaf on one LAN reports it and stays backup; without, it takes over.
test_hellos() {
    local options=(--election vrrp --interval-ms 100)
    start_node 1 "${options[@]}" --hellos
    wait_for_role 1 master 5 "hellos"
    start_node 2 "${options[@]}" --hellos
    wait_for_role 2 backup 5 "hellos"
    sleep 0.5
    [ "$(election_value 1 hello_age_ms)" -lt 1000 ] && [ "$(election_value 2 hello_age_ms)" -lt 1000 ] && pass || fail "hellos: $(request status "$work/node1")"
    isolate_inside on
    stays backup 2 2
    [ "$(role 1)" = master ] && grep -q 'member-deaf on the inside' "$work/log2" && pass || fail "no deaf member: $(tail -5 "$work/log2")"
    isolate_inside off
    # It dies: silence on all paths.
    end_node 1 KILL
    wait_for_role 2 master 2 "the other one was killed, hellos"
    [ "$(election_value 2 why)" = silence ] && pass || fail "why: $(request status "$work/node2")"
    end_node 2 TERM
    start_node 1 "${options[@]}"
    wait_for_role 1 master 5 "no hellos"
    start_node 2 "${options[@]}"
    wait_for_role 2 backup 5 "no hellos"
    # It takes over again and again, and yields to the adverts that it receives on the outside.
    isolate_inside on
    sleep 2
    isolate_inside off
    [ "$(election_value 2 role_changes)" -gt 2 ] && pass || fail "deaf on the inside, without hellos: $(request status "$work/node2")"
    wait_for_role 2 backup 2 "no longer deaf"
    end_node 2 TERM
    end_node 1 TERM
}

# Another interval is logged and shown with both values, also to the master if hellos tell it.
test_intervals() {
    start_node 1 --election vrrp --interval-ms 100 --hellos
    wait_for_role 1 master 5 "intervals"
    start_node 2 --election vrrp --interval-ms 200 --hellos
    wait_for_role 2 backup 5 "intervals"
    sleep 1
    grep -q 'interval-differs on the inside, IPv4, source 10.1.0.2: its interval is 100.0 ms, --interval-ms is 200.0' "$work/log2" && pass ||
        fail "no other interval: $(tail -5 "$work/log2")"
    grep -q 'interval-differs: its interval is 200.0 ms, --interval-ms is 100.0' "$work/log1" && pass || fail "no other interval in a hello: $(tail -5 "$work/log1")"
    [ "$(election_value 1 other_interval_ms) $(election_value 2 other_interval_ms)" = "200.0 100.0" ] && pass || fail "other intervals: $(request status "$work/node1") $(request status "$work/node2")"
    end_node 2 TERM
    # Another pair on the same network with the same id.
    # Its adverts over IPv6 still match, so it takes over and yields in turn.
    start_node 2 --election vrrp --interval-ms 100 --inside-address 10.1.0.77/24
    wait_for_role 2 backup 5 "another group"
    sleep 1
    grep -q 'addresses-differ on the inside, IPv4, source 10.1.0.2: it shares other addresses, or is another group with --election-id 7' "$work/log2" &&
        pass || fail "another group: $(tail -5 "$work/log2")"
    end_node 2 TERM
    end_node 1 TERM
}

# A node that reaches neither the witness nor the other one is no master.
test_witness() {
    local options=(--election vrrp --interval-ms 100 --witness 10.2.0.20) name
    start_node 1 "${options[@]}"
    wait_for_role 1 master 5 "witness"
    start_node 2 "${options[@]}"
    wait_for_role 2 backup 5 "witness"
    [ "$(election_value 2 witness)" = 10.2.0.20 ] && [ "$(election_value 2 witness_answers)" = True ] && pass || fail "witness: $(request status "$work/node2")"
    # Firewall 2 is cut off: its cables lead nowhere.
    for name in inside outside; do ip -n "$prefix-lans" link set "node2-$name" nomaster; done
    wait_for_role 2 init 3 "cut off"
    stays init 2 2
    [ "$(role 1)" = master ] && [ "$(election_value 2 why)" = isolated ] && [ "$(election_value 2 witness_answers)" = False ] && pass ||
        fail "cut off: $(request status "$work/node2")"
    for name in inside outside; do ip -n "$prefix-lans" link set "node2-$name" master "$name"; done
    wait_for_role 2 backup 3 "reachable again"
    [ "$(role 1)" = master ] && grep -q 'the witness does not answer' "$work/log2" && pass || fail "reachable again: $(tail -5 "$work/log2")"
    # The master is cut off: it steps down, and the other one takes over.
    for name in inside outside; do ip -n "$prefix-lans" link set "node1-$name" nomaster; done
    wait_for_role 2 master 3 "the master is cut off"
    wait_for_role 1 init 3 "cut off as master"
    for name in inside outside; do ip -n "$prefix-lans" link set "node1-$name" master "$name"; done
    wait_for_role 1 backup 3 "reachable again, as backup"
    end_node 1 TERM
    end_node 2 TERM
    # Over IPv6.
    start_node 1 --election vrrp --interval-ms 100 --witness fd02::20
    wait_for_role 1 master 5 "witness over IPv6"
    [ "$(election_value 1 witness_answers)" = True ] && pass || fail "witness over IPv6: $(request status "$work/node1")"
    end_node 1 TERM
    start_node 1 --election vrrp --interval-ms 100 --witness 10.2.0.77
    wait_for_role 1 init 3 "a witness that does not answer"
    stays init 2 1
    end_node 1 TERM
}

test_election() {
    test_election_options
    [ "$(id -u)" -eq 0 ] || { echo "SKIPPED: two firewalls that elect: needs root" && return; }
    local ping4 ping6 since status node_process=()
    create_lans || { fail "no network namespaces" && return; }
    echo "$network_rules" >"$work/rules"
    start_node 1 --election vrrp --interval-ms 200
    wait_for_role 1 master 5 "the first firewall"
    start_node 2 --election vrrp --interval-ms 200
    wait_for_role 2 backup 5 "the second firewall"
    succeeds "ping of 10.1.0.1" pings 10.1.0.1
    succeeds "ping of fd01::1" pings fd01::1
    succeeds "ping of the server" pings 10.2.0.20
    succeeds "ping of the server, IPv6" pings fd02::20
    election_value 2 masters_seen | grep -q 10.1.0.2 && [ "$(election_value 2 master_age_ms)" -lt 1000 ] && pass || fail "the master that 2 sees: $(request status "$work/node2")"
    request takeover "$work/node2" | grep -q 'the firewalls elect the master' && pass || fail "takeover: $(request takeover "$work/node2")"

    succeeds "ping of the backup's own address" pings 10.1.0.3
    succeeds "ping of the master's own address" pings 10.1.0.2
    succeeds "ping of the backup's own address, IPv6" pings "$(link_local_of node2)%end"

    # A planned switch loses at most the ping that is in flight.
    ping_while 3
    sleep 1
    [ "$(request step-down "$work/node1" | grep -c '"ok":true')" -eq 1 ] && pass || fail "step-down: $(request step-down "$work/node1")"
    wait $ping4 $ping6
    wait_for_role 2 master 1 "after step-down"
    wait_for_role 1 backup 1 "after step-down"
    [ "$(lost 4)" -le 1 ] && [ "$(lost 6)" -le 1 ] && pass || fail "step-down lost pings: $(lost 4) and $(lost 6)"
    [ "$(election_value 2 why)" = farewell ] && pass || fail "why: $(request status "$work/node2")"

    # SIGTERM hands over as well.
    ping_while 3
    sleep 1
    end_node 2 TERM
    [ "$status" -eq 0 ] && grep -q 'no frame is missing' "$work/log2" && pass || fail "exit $status after SIGTERM: $(tail -3 "$work/log2")"
    wait $ping4 $ping6
    [ "$(lost 4)" -le 1 ] && [ "$(lost 6)" -le 1 ] && pass || fail "SIGTERM lost pings: $(lost 4) and $(lost 6)"
    wait_for_role 1 master 1 "after SIGTERM"

    # A frozen master: after another one has taken over it sends nothing from the shared address.
    start_node 2 --election vrrp --interval-ms 200
    wait_for_role 2 backup 5 "after its restart"
    ip netns exec "$prefix-lans" python3 -c "$sender_log" node1-inside >"$work/sent.inside" & helper=$!
    ip netns exec "$prefix-lans" python3 -c "$sender_log" node1-outside >"$work/sent.outside" & helper="$helper $!"
    sleep 0.5
    ping_while 4
    sleep 1
    kill -STOP "${node_process[1]}"
    wait_for_role 2 master 2 "the other one is frozen"
    kill -CONT "${node_process[1]}"
    wait_for_role 1 backup 2 "after a freeze"
    wait $ping4 $ping6
    since=$(last_master 2)
    [ "$(role 2)" = master ] && [ "$(later_than "$work/sent.inside" "$since") $(later_than "$work/sent.outside" "$since")" = "0 0" ] && pass ||
        fail "after the freeze it sent $(later_than "$work/sent.inside" "$since") and $(later_than "$work/sent.outside" "$since") frames: $(tail -5 "$work/log1")"
    [ "$(later_than "$work/sent.inside" 0)" -gt 500 ] && pass || fail "no frame from the shared address was seen"
    for pid in $helper; do kill "$pid" && wait "$pid" 2>/dev/null; done
    helper=

    # Killed: the backup takes over; and a demotion is shown.
    end_node 2 KILL
    wait_for_role 1 master 2 "the other one was killed"
    succeeds "ping after the kill" pings 10.2.0.20
    [ "$(election_value 1 why)" = silence ] && pass || fail "why: $(request status "$work/node1")"
    [ "$(request 'demote upstream 10' "$work/node1" | grep -c '"ok":true')" -eq 1 ] && [ "$(election_value 1 demotion)" = 10 ] &&
        election_value 1 demotions | grep -q upstream && pass || fail "demote: $(request status "$work/node1")"
    request 'demote up"stream 10' "$work/node1" | grep -q 'a name of 1 to 31' && pass || fail "a wrong reason: $(request 'demote up"stream 10' "$work/node1")"
    succeeds "demote 0" test "$(value 'demote upstream 0' . ok "$work/node1")" = True
    end_node 1 TERM

    # Unicast adverts from the ports' own addresses.
    start_node 1 --election vrrp --interval-ms 200 --election-mac own --inside-peer 10.1.0.3 --outside-peer 10.2.0.3
    wait_for_role 1 master 5 "own addresses"
    start_node 2 --election vrrp --interval-ms 200 --election-mac own --inside-peer 10.1.0.2 --outside-peer 10.2.0.2
    wait_for_role 2 backup 5 "own addresses"
    succeeds "ping with own Ethernet addresses" pings 10.2.0.20
    succeeds "ping with own Ethernet addresses, IPv6" pings fd02::20
    [ "$(role 1)" = master ] && pass || fail "own addresses: $(request status "$work/node1")"
    end_node 1 KILL
    wait_for_role 2 master 2 "the other one was killed, own addresses"
    succeeds "ping after the kill, own Ethernet addresses" pings 10.2.0.20
    succeeds "ping after the kill, own Ethernet addresses, IPv6" pings fd02::20
    end_node 2 TERM

    test_hellos
    test_intervals
    test_witness

    # CARP with pass-phrases: another pass-phrase is counted, and both are masters.
    printf 'other\n' >"$work/other"
    start_node 1 --election carp --interval-ms 200 --passphrase-file "$work/secret"
    wait_for_role 1 master 5 "CARP"
    start_node 2 --election carp --interval-ms 200 --passphrase-file "$work/other"
    wait_for_role 2 master 5 "CARP with another pass-phrase"
    request stats "$work/node2" | grep -q '"badauth":[1-9]' && pass || fail "badauth: $(request stats "$work/node2")"
    grep -q 'bad-digest on the inside' "$work/log2" && pass || fail "no bad digest: $(tail -5 "$work/log2")"
    end_node 2 TERM
    start_node 2 --election carp --interval-ms 200 --passphrase-file "$work/secret"
    wait_for_role 2 backup 5 "CARP with the same pass-phrase"
    succeeds "ping by CARP" pings 10.2.0.20
    # The master's inside link fails: it is demoted, and the backup takes over.
    ip -n "$prefix-lans" link set node1-inside down
    wait_for_role 2 master 5 "the master's link is down"
    wait_for_role 1 backup 5 "its link is down"
    end_node 2 TERM
    end_node 1 TERM
    [ "$status" -eq 0 ] && pass || fail "exit $status: $(tail -3 "$work/log1")"
    delete_lans
}
