# shellcheck shell=bash
# Shared by all parts: counting results, starting firewalls, requests to the control socket, the network.

finish() {
    local pid name
    for pid in $process $helper $peer; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    for name in client firewall server lans node1 node2; do ip netns del "$prefix-$name" 2>/dev/null; done
    rm -rf "$work"
}

pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)) && echo "FAILED: $*" >&2; }

# exits_with STATUS TEXT ARGUMENTS...: the firewall exits with this status and prints this text.
exits_with() {
    local status=$1 text=$2 actual
    shift 2
    timeout 20 "$firewall" "$@" >"$work/output" 2>&1
    actual=$?
    if [ "$actual" -ne "$status" ]; then
        fail "$*: status $actual, not $status: $(tail -3 "$work/output")"
    elif ! grep -qF -- "$text" "$work/output"; then
        fail "$*: does not print '$text': $(tail -3 "$work/output")"
    else
        pass
    fi
}

eal=(-l 0 --no-huge -m 128 --no-pci --no-shconf --no-telemetry --log-level=error)
null_ports=(--vdev=net_null0 --vdev=net_null1 --vdev=net_null2)
own=(--inside 0 --outside 1 --sync 2 --inside-address 10.1.0.1/24 --outside-address 10.2.0.1/24
    --inside-mac 00:00:5e:00:01:01 --outside-mac 00:00:5e:00:01:02 --sync-address 10.3.0.1
    --rules "$work/rules" --control "$work/control" --states 1024)

# request COMMAND [SOCKET]: prints the firewall's answer. The command is sent byte by byte.
request() {
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

# value COMMAND SECTION KEY [SOCKET]: prints one value of an answer; SECTION . is the answer itself.
value() { request "$1" "${4:-}" | python3 -c 'import json, sys; a = json.load(sys.stdin); p = a if sys.argv[1] == "." else a[sys.argv[1]]; print(p[sys.argv[2]])' "$2" "$3"; }

wait_for_control() {
    for _ in $(seq 100); do
        request status >/dev/null 2>&1 && return 0
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    fail "the firewall does not answer: $(tail -5 "$work/log")"
    return 1
}

# exits_cleanly WHEN: after SIGTERM the firewall exits with every buffer back in its pool.
exits_cleanly() {
    kill -TERM "$process"
    wait "$process"
    local status=$?
    process=
    [ "$status" -eq 0 ] && grep -q 'no frame is missing' "$work/log" && pass || fail "exit $1: status $status: $(tail -3 "$work/log")"
}

stop_helper() { kill "$helper" && wait "$helper" 2>/dev/null; helper=; }

delete_network() { for name in client firewall server; do ip netns del "$prefix-$name"; done; }
inside() { ip netns exec "$prefix-$1" "${@:2}"; }

# A client and a server, each on a link to the firewall's namespace; its sync port's peer is the interface `far`.
create_network() {
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

# Prints the processors on which this process may run.
allowed_processors() { taskset -cp $$ | sed 's/.*: //'; }

# start_in_namespace SYNC OPTIONS...: starts the firewall as master with two lanes; SYNC: arguments of the sync port.
start_in_namespace() {
    ip netns exec "$prefix-firewall" "$firewall" "--lcores=0@($(allowed_processors)),1@($(allowed_processors))" \
        --no-huge -m 256 --no-pci --no-shconf --no-telemetry --log-level=error \
        --vdev=net_af_packet0,iface=inside,framecnt=4096 --vdev=net_af_packet1,iface=outside,framecnt=4096 \
        "--vdev=net_af_packet2,iface=sync,$1" -- "${own[@]}" --inside-address fd01::1/64 \
        --outside-address fd02::1/64 --lanes 2 --role master "${@:2}" >"$work/log" 2>&1 &
    process=$!
    wait_for_control
}

succeeds() { local what=$1; shift; "$@" >"$work/out" 2>&1 && pass || fail "$what: $(tail -3 "$work/out")"; }
fails() { local what=$1; shift; "$@" >"$work/out" 2>&1 && fail "$what" || pass; }

pings() { inside client ping -q -c 3 -i 0.1 -W 1 "$@"; }
