#!/bin/bash
# The example firewall by itself: its rule file, every wrong argument, its buffers under load, and (as root) two lanes
# between two network namespaces of its own. Build it first: cargo build --release && make -C c-examples ha-firewall
# tests/ha_firewall.sh [rules] [arguments] [load] [steering] [network] [family] [peer]; none: all.
set -u
cd "$(dirname "$0")/.." || exit 1
firewall=${FIREWALL:-c-examples/build/ha-firewall}
work=$(mktemp -d)
prefix=pfphf$$
passed=0 failed=0 process='' helper='' peer=''

finish() {
    local pid
    for pid in $process $helper $peer; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    for name in client firewall server; do ip netns del "$prefix-$name" 2>/dev/null; done
    rm -rf "$work"
}
trap finish EXIT

good() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)) && echo "FAILED: $*" >&2; }

# says STATUS SENTENCE ARGUMENTS...: the firewall ends with this status and says this.
says() {
    local status=$1 sentence=$2 seen
    shift 2
    timeout 20 "$firewall" "$@" >"$work/says" 2>&1
    seen=$?
    if [ "$seen" -ne "$status" ]; then
        bad "$*: status $seen, not $status: $(tail -3 "$work/says")"
    elif ! grep -qF -- "$sentence" "$work/says"; then
        bad "$*: does not say '$sentence': $(tail -3 "$work/says")"
    else
        good
    fi
}

eal=(-l 0 --no-huge -m 128 --no-pci --no-shconf --no-telemetry --log-level=error)
null_ports=(--vdev=net_null0 --vdev=net_null1 --vdev=net_null2)
own=(--inside 0 --outside 1 --sync 2 --inside-address 10.1.0.1/24 --outside-address 10.2.0.1/24
    --inside-mac 00:00:5e:00:01:01 --outside-mac 00:00:5e:00:01:02 --sync-address 10.3.0.1
    --rules "$work/rules" --control "$work/control" --states 1024)

# without OPTION: the arguments without this option and its value.
without() {
    local word skip=
    for word in "${own[@]}"; do
        if [ -n "$skip" ]; then skip=; elif [ "$word" = "$1" ]; then skip=1; else printf '%s\n' "$word"; fi
    done
}

test_rules() {
    local program=$work/rules-test
    mkdir -p "$work/rules.d"
    gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -g -fsanitize=address,undefined -Iinclude -Ic-examples/ha-firewall \
        tests/ha_firewall_rules.c c-examples/ha-firewall/{rules,words,translation,address}.c -o "$program" &&
        "$program" "$work/rules.d" && good || bad "the rule file"
}

test_arguments() {
    local option mac rest
    says 0 "usage: ha-firewall" --help
    says 2 "--inside is missing"
    says 2 "--nonsense: not an option" -- --nonsense
    says 2 "-x: not an option" -- -x
    says 2 "--rules: its value is missing" -- --rules
    says 2 "--rules: its value is missing" -- --rules --control
    says 2 "stray: not an option" -- "${own[@]}" stray
    for option in --inside --outside --sync --inside-address --outside-address --inside-mac --outside-mac \
        --sync-address --rules --control; do
        mapfile -t rest < <(without "$option")
        says 2 "$option is missing" -- "${rest[@]}"
    done
    for option in --inside --outside --sync; do
        says 2 "$option 65535: not a number from 0 to 65534" -- "$option" 65535
        says 2 "$option inside: not a number" -- "$option" inside
        says 2 "$option -1: not a number" -- "$option" -1
    done
    says 2 "--inside and --outside are the same port 0" -- "${own[@]}" --outside 0
    says 2 "--sync 1: the port is the inside or the outside" -- "${own[@]}" --sync 1
    for option in --inside-address --outside-address; do
        says 2 "$option 10.1.0.1/33: not an address" -- "$option" 10.1.0.1/33
        says 2 "$option fd00::1/129: not an address" -- "$option" fd00::1/129
        says 2 "$option fd00::g/64: not an address" -- "$option" fd00::g/64
        mapfile -t rest < <(for n in 1 2 3 4 5 6 7 8 9; do printf '%s\n' "$option" "fd00::$n/64"; done)
        says 2 "fd00::9/64: more than 8 addresses" -- "${rest[@]}"
    done
    for option in --inside-mac --outside-mac; do
        for mac in 00:00:5e:00:01 00:00:5e:00:01:01:01 00:00:5e:00:01:xx -1:00:5e:00:01:01 "00: 0:5e:00:01:01" 000:0:5e:0:1:1; do
            says 2 "$option $mac: not an Ethernet address" -- "$option" "$mac"
        done
        says 2 "$option 01:00:5e:00:01:01: a group address" -- "$option" 01:00:5e:00:01:01
        says 2 "$option 00:00:00:00:00:00: no host has" -- "$option" 00:00:00:00:00:00
    done
    for option in --inside-gateway --outside-gateway --sync-address --sync-peer; do
        says 2 "$option 10.3.0.256: not an IP address" -- "$option" 10.3.0.256
    done
    for option in --inside --outside; do
        says 2 "$option-address 224.0.0.1/24: not an address that a host can have" -- "$option-address" 224.0.0.1/24
        says 2 "$option-address ::/64: not an address that a host can have" -- "$option-address" ::/64
        says 2 "$option-gateway 10.9.0.1: on no subnet of $option-address" -- "${own[@]}" "$option-gateway" 10.9.0.1
        says 2 "a second gateway of the same family" -- "$option-gateway" 10.1.0.2 "$option-gateway" 10.1.0.3
    done
    says 2 "--inside-gateway 10.1.0.1: that is our own address" -- "${own[@]}" --inside-gateway 10.1.0.1
    says 2 "10.1.0.1: given twice as a shared address" -- "${own[@]}" --outside-address 10.1.0.1/16
    says 2 "--sync-address: not an address that a host can have" -- "${own[@]}" --sync-address 224.0.0.240
    says 2 "--sync-peer is our own --sync-address" -- "${own[@]}" --sync-peer 10.3.0.1
    says 2 "--sync-peer is of another family" -- "${own[@]}" --sync-peer fd00::1
    says 2 "--lanes 0: not a number from 1 to 128" -- --lanes 0
    says 2 "--lanes 129: not a number from 1 to 128" -- --lanes 129
    says 2 "--states 0: not a number from 1" -- --states 0
    says 2 "--mtu 65536: not a number from 1 to 65535" -- --mtu 65536
    says 2 "--insert-age 10001: not a number from 0 to 10000" -- --insert-age 10001
    says 2 "--update-age 1s: not a number from 0 to 60000" -- --update-age 1s
    says 2 "--defer-ms 1001: not a number from 0 to 1000" -- --defer-ms 1001
    says 2 "--defer-most 0: not a number from 1 to 4096" -- --defer-most 0
    says 2 "--defer-ms 5: with --no-sync there is nobody to wait for" -- "${own[@]}" --no-sync --defer-ms 5
    says 2 "--role slave: neither master nor backup" -- --role slave

    says 2 "--rules $work/nothing: No such file" -- "${own[@]}" --rules "$work/nothing"
    says 2 "--rules $work: Is a directory" -- "${own[@]}" --rules "$work"
    echo "pass in proto tpc all" >"$work/wrong"
    says 2 "--rules $work/wrong:1: 'tpc'" -- "${own[@]}" --rules "$work/wrong"
    echo "pass in inet6 from any to 64:ff9b::/80 af-to inet from 10.2.0.1" >"$work/wrong"
    says 2 "--rules $work/wrong:1: 'to': af-to takes IPv6 prefixes of 32, 40, 48, 56, 64, or 96 to 128 bits" -- \
        "${own[@]}" --rules "$work/wrong"

    echo "block all" >"$work/rules"
    says 1 "--lanes 2: EAL has only 1 lcores" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --lanes 2
    says 1 "--inside 7: there is no such port; DPDK found 3" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --inside 7
    says 1 "--outside 7: there is no such port" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --outside 7
    says 1 "--sync 7: there is no such port" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --sync 7
    says 2 "mtu is 100, it must be from" -- "${own[@]}" --mtu 100
    says 1 "--journal $work/nowhere/journal: cannot be written" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --journal "$work/nowhere/journal"
    says 1 "longer than 107 characters" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --control "$work/$(printf '%0120d' 0)"
    says 1 "No such file" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --control "$work/nowhere/control"
    says 1 "--exposure $work/nowhere/x: No such file" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --exposure "$work/nowhere/x"
    echo precious >"$work/file"
    says 1 "there is a file that is not a socket" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --control "$work/file"
    [ "$(cat "$work/file")" = precious ] && good || bad "--control took a file away that was no socket"
}

# ask WORDS [SOCKET]: what the firewall answers.
ask() {
    python3 - "${2:-$work/control}" "$1" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(5)
s.connect(sys.argv[1])
for piece in sys.argv[2] + "\n":
    s.sendall(piece.encode())
print(s.makefile().readline().strip())
PY
}

# value WORDS PART KEY [SOCKET]: a number or text of an answer; PART . for the answer itself.
value() { ask "$1" "${4:-}" | python3 -c 'import json, sys; a = json.load(sys.stdin); p = a if sys.argv[1] == "." else a[sys.argv[1]]; print(p[sys.argv[2]])' "$2" "$3"; }

wait_for_control() {
    for _ in $(seq 100); do
        ask status >/dev/null 2>&1 && return 0
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    bad "the firewall does not answer: $(tail -5 "$work/log")"
    return 1
}

# ends: after SIGTERM it ends by itself, with every buffer back in its pool.
ends() {
    kill -TERM "$process"
    wait "$process"
    local status=$?
    process=
    [ "$status" -eq 0 ] && grep -q 'no frame is missing' "$work/log" && good || bad "$1: status $status: $(tail -3 "$work/log")"
}

# Frames as fast as they can be made, on every port: nothing of ours, so all are freed, and none is lost.
test_load() {
    echo "block all" >"$work/rules"
    "$firewall" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --role master >"$work/log" 2>&1 &
    process=$!
    wait_for_control || return
    says 1 "another process listens there" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}"
    sleep 1
    [ "$(value stats firewall received)" -gt 1000 ] && good || bad "no load: $(ask stats)"
    [ "$(ask nonsense | grep -c '"ok":false')" -eq 1 ] && good || bad "an unknown word: $(ask nonsense)"
    ends "the load"
}

# Two lanes on ports with two queues that take a hash key and a table: the port is given the engine's.
test_steering() {
    echo "block all" >"$work/rules"
    "$firewall" --lcores=0@0,1@0 "${eal[@]:2}" "${null_ports[@]}" -- "${own[@]}" --lanes 2 --role master >"$work/log" 2>&1 &
    process=$!
    wait_for_control || return
    for side in "inside 0" "outside 1"; do
        grep -qxF "ha-firewall: --$side: 2 lanes, 2 queue(s), the port finds the lane of a packet" "$work/log" && good ||
            bad "$side is not steered: $(cat "$work/log")"
    done
    sleep 0.5
    ends "the steering"
}

remove_network() { for name in client firewall server; do ip netns del "$prefix-$name"; done; }
inside() { ip netns exec "$prefix-$1" "${@:2}"; }

make_network() {
    local name
    for name in client firewall server; do
        ip netns add "$prefix-$name" || return 1
        inside "$name" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
    done
    inside firewall sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
    ip -n "$prefix-firewall" link add inside type veth peer name end netns "$prefix-client"
    ip -n "$prefix-firewall" link add outside type veth peer name end netns "$prefix-server"
    ip -n "$prefix-firewall" link add sync type veth peer name far
    for name in inside outside sync far; do ip -n "$prefix-firewall" link set "$name" up; done
    for name in client server; do
        inside "$name" ethtool -K end tx off tso off gso off >/dev/null
        ip -n "$prefix-$name" link set lo up
        ip -n "$prefix-$name" link set end up
    done
    ip -n "$prefix-client" address add 10.1.0.10/24 dev end
    ip -n "$prefix-client" address add fd01::10/64 dev end nodad
    ip -n "$prefix-server" address add 10.2.0.20/24 dev end
    ip -n "$prefix-server" address add fd02::20/64 dev end nodad
    ip -n "$prefix-client" route add default via 10.1.0.1
    ip -n "$prefix-client" route add default via fd01::1
    ip -n "$prefix-server" route add default via 10.2.0.1
    ip -n "$prefix-server" route add default via fd02::1
}

succeeds() { local what=$1; shift; "$@" >"$work/out" 2>&1 && good || bad "$what: $(tail -3 "$work/out")"; }
fails() { local what=$1; shift; "$@" >"$work/out" 2>&1 && bad "$what" || good; }

pings() { inside client ping -q -c 3 -i 0.1 -W 1 "$@"; }

# One port answers with what it is sent; each connection asks for `bytes` and checks them.
echo_server='
import socket, threading
def serve(family, address):
    s = socket.socket(family); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, 5000)); s.listen(64)
    def answer(c):
        with c:
            while data := c.recv(65536): c.sendall(data)
    while True: threading.Thread(target=answer, args=(s.accept()[0],), daemon=True).start()
threading.Thread(target=serve, args=(socket.AF_INET, "0.0.0.0"), daemon=True).start()
serve(socket.AF_INET6, "fd02::20")
'
echo_client='
import os, socket, sys
open_ = []
for address in ["10.2.0.20", "fd02::20"] * 20:
    open_.append(socket.create_connection((address, int(sys.argv[1])), timeout=float(sys.argv[2])))
for _ in range(3):
    for s in open_:
        data = os.urandom(20000); s.sendall(data); got = b""
        while len(got) < len(data):
            more = s.recv(65536); assert more, "closed"; got += more
        assert got == data, "wrong bytes"
'
# Prints what arrives on `end` of ARP announcements and unsolicited advertisements within some seconds.
listener='
import socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind(("end", 0)); s.settimeout(0.2)
stop = time.monotonic() + float(sys.argv[1]); seen = {}
print("listening", flush=True)
while time.monotonic() < stop:
    try: f = s.recv(2048)
    except TimeoutError: continue
    if f[6:12].hex(":") not in ("00:00:5e:00:01:01", "00:00:5e:00:01:02"): continue
    key = None
    if f[12:14] == b"\x08\x06" and f[20:22] == b"\0\1" and f[28:32] == f[38:42] and f[:6] == b"\xff" * 6:
        key = "arp " + socket.inet_ntoa(f[28:32])
    elif f[12:14] == b"\x86\xdd" and f[20] == 58 and f[54] == 136 and f[:6] == bytes.fromhex("333300000001") and f[58] & 0x60 == 0x20:
        key = "na " + socket.inet_ntop(socket.AF_INET6, f[62:78])
    seen[key or "other"] = seen.get(key or "other", 0) + 1
for key in sorted(seen): print(key, seen[key], flush=True)
'

network_rules='
block all
pass in proto tcp from 10.1.0.0/24 to any port 5000 keep state
pass in inet6 proto tcp from fd01::/64 to any port 5000:5001 keep state
pass in inet proto icmp from any to any keep state
pass in inet6 proto icmp6 from any to any keep state
'

test_network() {
    [ "$(id -u)" -eq 0 ] || { echo "SKIPPED: the firewall between two network namespaces: needs root" && return; }
    local listeners before
    make_network || { bad "no network namespaces" && return; }
    echo "$network_rules" >"$work/rules"
    # Two lanes, one queue: every packet of the second lane goes by the rings, in and out.
    between_namespaces framecnt=4096 --role backup || return
    ip netns exec "$prefix-server" python3 -c "$echo_server" &
    helper=$!

    [ "$(value status . role)" = backup ] && good || bad "the role: $(ask status)"
    fails "a backup answers for 10.1.0.1" pings 10.1.0.1
    fails "a backup answers for fd01::1" pings fd01::1
    fails "a backup forwards" pings 10.2.0.20

    inside client python3 -c "$listener" 3 >"$work/client.seen" & listeners=$!
    inside server python3 -c "$listener" 3 >"$work/server.seen" & listeners="$listeners $!"
    for _ in $(seq 50); do grep -q listening "$work/client.seen" && grep -q listening "$work/server.seen" && break; sleep 0.1; done
    [ "$(ask takeover | grep -c '"ok":true')" -eq 1 ] && good || bad "takeover: $(ask status)"
    for pid in $listeners; do wait "$pid"; done
    grep -qx 'arp 10.1.0.1 3' "$work/client.seen" && grep -qx 'na fd01::1 3' "$work/client.seen" && good ||
        bad "announced inside: $(xargs <"$work/client.seen")"
    grep -qx 'arp 10.2.0.1 3' "$work/server.seen" && grep -qx 'na fd02::1 3' "$work/server.seen" && good ||
        bad "announced outside: $(xargs <"$work/server.seen")"
    [ "$(value status . role)" = master ] && good || bad "the role: $(ask status)"

    succeeds "ping of 10.1.0.1" pings 10.1.0.1
    succeeds "ping of fd01::1" pings fd01::1
    succeeds "ping of the server" pings 10.2.0.20
    succeeds "ping of the server, IPv6" pings fd02::20
    succeeds "ping of the server, 1400 bytes" pings -s 1400 10.2.0.20
    fails "a ping from outside passes" inside server ping -q -c 2 -i 0.1 -W 1 10.1.0.10
    succeeds "40 connections" inside client timeout 30 python3 -c "$echo_client" 5000 5
    fails "a blocked port is open" inside client timeout 5 python3 -c "$echo_client" 5002 1
    [ "$(value stats firewall handed_off)" -gt 100 ] && good || bad "nothing was handed off: $(ask stats)"
    [ "$(value stats firewall blocked)" -gt 0 ] && good || bad "nothing was blocked: $(ask stats)"
    before=$(value stats firewall expired_ttl)
    fails "a TTL of 1 passes" pings -t 1 10.2.0.20
    fails "a hop limit of 1 passes" pings -t 1 fd02::20
    [ "$(value stats firewall expired_ttl)" -ge $((before + 6)) ] && good || bad "expired TTLs: $(ask stats)"
    before=$(value stats firewall unresolved)
    fails "an address without a host answers" pings 10.2.0.99
    sleep 1.5
    [ "$(value stats firewall unresolved)" -gt "$before" ] && good || bad "unresolved: $(ask stats)"
    [ "$(value stats firewall sync_sent)" -gt 0 ] && good || bad "no pfsync was sent: $(ask stats)"

    ip -n "$prefix-firewall" link set far down
    sleep 0.5
    before=$(value stats firewall sync_sent)
    succeeds "40 connections without the sync link" inside client timeout 30 python3 -c "$echo_client" 5000 5
    [ "$(value stats firewall sync_sent)" -eq "$before" ] && good || bad "sent on a link that is down: $(ask stats)"
    ip -n "$prefix-firewall" link set far up
    sleep 1.5
    [ "$(value stats firewall sync_sent)" -gt "$before" ] && good || bad "the sync link is back and silent: $(ask stats)"

    [ "$(ask demote | grep -c '"ok":true')" -eq 1 ] && [ "$(value status . role)" = backup ] && good || bad "demote: $(ask status)"
    fails "a demoted master answers for 10.1.0.1" pings 10.1.0.1
    fails "a demoted master forwards" pings fd02::20
    [ "$(ask takeover | grep -c '"ok":true')" -eq 1 ] && good || bad "takeover after demote: $(ask status)"
    succeeds "ping after the second takeover" pings fd02::20

    kill "$helper"
    wait "$helper" 2>/dev/null
    helper=
    ends "the network"
    remove_network
}

# everywhere: the processors that we may use.
everywhere() { taskset -cp $$ | sed 's/.*: //'; }

# between_namespaces SYNC OPTIONS...: the firewall as master with two lanes; SYNC are arguments of the sync port.
between_namespaces() {
    ip netns exec "$prefix-firewall" "$firewall" "--lcores=0@($(everywhere)),1@($(everywhere))" \
        --no-huge -m 256 --no-pci --no-shconf --no-telemetry --log-level=error \
        --vdev=net_af_packet0,iface=inside,framecnt=4096 --vdev=net_af_packet1,iface=outside,framecnt=4096 \
        "--vdev=net_af_packet2,iface=sync,$1" -- "${own[@]}" --inside-address fd01::1/64 \
        --outside-address fd02::1/64 --lanes 2 --role master "${@:2}" >"$work/log" 2>&1 &
    process=$!
    wait_for_control
}

# The other firewall, on the far end of the sync link, with nothing but its states.
start_peer() {
    ip netns exec "$prefix-firewall" "$firewall" -l 0 --no-huge -m 128 --no-pci --no-shconf --no-telemetry \
        --log-level=error --vdev=net_null0 --vdev=net_null1 --vdev=net_af_packet2,iface=far,framecnt=4096 \
        -- "${own[@]}" --sync-address 10.3.0.2 --control "$work/peer" --role backup >"$work/peer.log" 2>&1 &
    peer=$!
    for _ in $(seq 100); do [ "$(value status . ready "$work/peer" 2>/dev/null)" = True ] && return 0; sleep 0.1; done
    bad "the peer does not get ready: $(tail -3 "$work/peer.log")"
}

# until_equal WHAT A B: both print the same within some seconds.
until_equal() {
    for _ in $(seq 60); do [ "$($2)" = "$($3)" ] && good && return; sleep 0.1; done
    bad "$1: $($2), not $($3)"
}
states_here() { value status . states; }
states_there() { value status . states "$work/peer"; }
nothing() { echo 0; }
exposed() { value status . unsent_inserts; }

# A sync port that takes frames at a crawl, then a peer that is not there to answer for first packets.
test_peer() {
    [ "$(id -u)" -eq 0 ] || { echo "SKIPPED: two firewalls and their sync link: needs root" && return; }
    local before
    make_network || { bad "no network namespaces" && return; }
    echo "$network_rules" >"$work/rules"
    ip netns exec "$prefix-server" python3 -c "$echo_server" &
    helper=$!

    # Eight frames are on their way at most, at 40 kbyte/s; the port refuses the others.
    between_namespaces framecnt=8,qdisc_bypass=0 --insert-age 0 --update-age 5 || return
    start_peer
    ip netns exec "$prefix-firewall" tc qdisc add dev sync root tbf rate 320kbit burst 3000 limit 100000 ||
        bad "no token bucket"
    succeeds "40 connections over a slow sync port" inside client timeout 30 python3 -c "$echo_client" 5000 5
    [ "$(value stats firewall sync_unsent)" -gt 0 ] && good || bad "the port took all: $(ask stats)"
    [ "$(value stats engine oerrors)" -eq "$(value stats firewall sync_unsent)" ] && good || bad "not all was taken back: $(ask stats)"
    ip netns exec "$prefix-firewall" tc qdisc del dev sync root
    until_equal "connections that nobody was told of" exposed nothing
    until_equal "states here and at the peer" states_here states_there
    [ "$(states_there)" -ge 40 ] && good || bad "the peer has $(states_there) states"
    ends "the slow sync port"

    # Each first packet waits for the peer's word, not for the time.
    between_namespaces framecnt=4096 --defer-ms 1000 || return
    succeeds "40 connections with first packets held" inside client timeout 30 python3 -c "$echo_client" 5000 5
    before=$(value stats engine defer_timeouts)
    [ "$(value stats firewall held)" -ge 40 ] && good || bad "nothing was held: $(ask stats)"
    [ "$(value stats engine released)" -ge 40 ] && [ "$before" -eq 0 ] && good || bad "the peer's word did not let them go: $(ask stats)"
    [ "$(value stats engine held_now)" -eq 0 ] && good || bad "still held: $(ask stats)"

    # The operator's words: what the peer was sent, and all states once more in either direction.
    [ "$(value peer peer inserts_sent)" -ge 40 ] && good || bad "no inserts to the peer: $(ask peer)"
    before=$(value stats engine bulk_walks_finished)
    succeeds "push-bulk" test "$(value push-bulk . ok)" = True
    walks() { value stats engine bulk_walks_finished; }
    one_more() { echo $((before + 1)); }
    until_equal "walks after push-bulk" walks one_more
    succeeds "request-bulk" test "$(value request-bulk . ok)" = True
    loaded() { value status . bulk; }
    done_loading() { echo done; }
    until_equal "request-bulk" loaded done_loading
    says_words() { ask frob | grep -q 'the words are status, stats, peer, request-bulk'; }
    succeeds "a word that is none" says_words
    before=$(value stats engine defer_timeouts)

    # Without the peer they wait for their time, and those that wait at the end come back.
    kill "$peer" && wait "$peer"
    peer=
    succeeds "a connection without a peer" inside client timeout 30 python3 -c '
import socket; socket.create_connection(("10.2.0.20", 5000), timeout=10).close()'
    [ "$(value stats engine defer_timeouts)" -gt "$before" ] && good || bad "no time ran out: $(ask stats)"
    inside client python3 -c '
import socket
sockets = [socket.socket() for _ in range(600)]
for s in sockets:
    s.setblocking(False); s.connect_ex(("10.2.0.20", 5000))'
    [ "$(value stats engine held_now)" -gt 50 ] && good || bad "not held at the end: $(ask stats)"
    # Each of two lanes holds 128; whoever is beyond lets the oldest go.
    [ "$(value stats engine defer_overflows)" -gt 0 ] && good || bad "no bound: $(ask stats)"

    kill "$helper"
    wait "$helper" 2>/dev/null
    helper=
    ends "held packets"
    remove_network
}

source tests/ha_firewall_family.sh

[ -x "$firewall" ] || { echo "build $firewall first" >&2 && exit 2; }
echo "block all" >"$work/rules"
for part in "${@:-rules arguments load steering network family peer}"; do
    for name in $part; do "test_$name"; done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
