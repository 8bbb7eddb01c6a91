# shellcheck shell=bash
# Part `family`: af-to between a client of one address family and a server of the other.

# One rule per direction: from the inside to IPv4 and to IPv6, and to an IPv6 server on the inside.
family_rules='
block all
pass in inet6 from fd01::/64 to 64:ff9b::/96 af-to inet from 10.2.0.1 keep state
pass in inet from 10.1.0.0/24 to 10.99.0.0/16 af-to inet6 from fd02::1 keep state
pass out proto tcp from any to 10.2.0.1 port 5080 af-to inet6 from fd01::1 to fd01::10 keep state
'

# An echo server on TCP and UDP port 5000 and TCP port 5080; UDP port 5001 answers without checksums.
family_server='
import socket, sys, threading
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
def answer(c):
    with c:
        while data := c.recv(65536): c.sendall(data)
def tcp(port):
    s = socket.socket(family); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((sys.argv[1], port)); s.listen(64)
    while True: threading.Thread(target=answer, args=(s.accept()[0],), daemon=True).start()
def udp(port, unsummed):
    s = socket.socket(family, socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET, 11, unsummed)
    s.bind((sys.argv[1], port))
    while True: s.sendto(*s.recvfrom(65536))
for port in 5000, 5080: threading.Thread(target=tcp, args=(port,), daemon=True).start()
threading.Thread(target=udp, args=(5001, 1), daemon=True).start()
udp(5000, 0)
'
tcp_client='
import os, socket, sys
open_ = [socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) for _ in range(20)]
for _ in range(3):
    for s in open_:
        data = os.urandom(20000); s.sendall(data); got = b""
        while len(got) < len(data):
            more = s.recv(65536); assert more, "closed"; got += more
        assert got == data, "wrong bytes"
'
# udp_client ADDRESS PORT [OPTIONS]: datagrams of several lengths; OPTIONS: with an IPv6 options header.
udp_client='
import os, socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2)
if sys.argv[3:]: s.setsockopt(socket.IPPROTO_IPV6, 59, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
s.connect((sys.argv[1], int(sys.argv[2])))
for length in 1, 2, 3, 100, 1001, 1400:
    data = os.urandom(length); s.send(data)
    assert s.recv(65536) == data, "wrong bytes"
'

# increments WHAT COUNTER COMMAND...: the command fails and the counter increases.
increments() {
    local before
    before=$(value stats firewall "$2")
    fails "$1" "${@:3}"
    [ "$(value stats firewall "$2")" -gt "$before" ] && pass || fail "$1: $2: $(request stats)"
}

prints() { local what=$1 sentence=$2; shift 2; "$@" >"$work/out" 2>&1; grep -qF -- "$sentence" "$work/out" && pass || fail "$what: $(tail -3 "$work/out")"; }

# serve_family NAME ADDRESS: starts the server in a namespace and waits until it listens.
serve_family() {
    ip netns exec "$prefix-$1" python3 -c "$family_server" "$2" &
    helper=$!
    for _ in $(seq 50); do [ -n "$(inside "$1" ss -Hlnt sport = 5080)" ] && return; sleep 0.1; done
    fail "no server at $2"
}

test_family() {
    [ "$(id -u)" -eq 0 ] || { echo "SKIPPED: af-to between two network namespaces: needs root" && return; }
    create_network || { fail "no network namespaces" && return; }
    echo "$family_rules" >"$work/rules"
    start_in_namespace framecnt=4096 --outside-gateway 10.2.0.20 || return

    # IPv4 inside, IPv6 outside.
    ip -n "$prefix-client" -6 address flush dev end scope global
    ip -n "$prefix-server" -4 address flush dev end
    ip -n "$prefix-server" address add fd02::10.99.0.20/64 dev end nodad
    serve_family server fd02::10.99.0.20
    succeeds "20 connections from IPv4 to IPv6" inside client timeout 30 python3 -c "$tcp_client" 10.99.0.20 5000
    succeeds "datagrams from IPv4 to IPv6" inside client timeout 30 python3 -c "$udp_client" 10.99.0.20 5000
    succeeds "ping from IPv4 to IPv6" pings 10.99.0.20
    prints "an IPv6 port unreachable" "Connection refused" inside client python3 -c "$udp_client" 10.99.0.20 9
    stop_helper

    # IPv6 inside, IPv4 outside.
    ip -n "$prefix-client" -4 address flush dev end
    ip -n "$prefix-server" -6 address flush dev end scope global
    ip -n "$prefix-client" address add fd01::10/64 dev end nodad
    ip -n "$prefix-client" route replace default via fd01::1
    ip -n "$prefix-server" address add 10.2.0.20/24 dev end
    ip -n "$prefix-server" route replace default via 10.2.0.1
    serve_family server 10.2.0.20
    succeeds "20 connections from IPv6 to IPv4" inside client timeout 30 python3 -c "$tcp_client" 64:ff9b::10.2.0.20 5000
    succeeds "datagrams from IPv6 to IPv4" inside client timeout 30 python3 -c "$udp_client" 64:ff9b::10.2.0.20 5000
    succeeds "ping6 of IPv4" pings 64:ff9b::10.2.0.20
    succeeds "ping6 of IPv4, 1400 bytes" pings -s 1400 64:ff9b::10.2.0.20
    [ "$(value stats firewall family_changed)" -gt 500 ] && pass || fail "family_changed: $(request stats)"

    # ICMP errors of IPv4 arrive in the client's family, from the server and from a link behind it.
    prints "an IPv4 port unreachable" "Connection refused" inside client python3 -c "$udp_client" 64:ff9b::10.2.0.20 9
    inside server sysctl -qw net.ipv4.ip_forward=1
    ip -n "$prefix-server" link add narrow mtu 1300 type veth peer name nobody
    ip -n "$prefix-server" address add 10.9.0.1/24 dev narrow
    for name in narrow nobody; do ip -n "$prefix-server" link set "$name" up; done
    prints "an IPv4 hop limit" "Time exceeded: Hop limit" inside client ping -c 1 -W 1 -t 2 64:ff9b::10.9.0.9
    prints "an IPv4 packet too big" "Packet too big: mtu=1320" inside client ping -c 1 -W 1 -M do -s 1400 64:ff9b::10.9.0.9
    prints "the path's MTU" "mtu 1320" ip -n "$prefix-client" route get 64:ff9b::10.9.0.9

    increments "a packet to the firewall itself" not_routable pings 64:ff9b::127.0.0.1
    succeeds "datagrams whose answers have no checksum" inside client timeout 30 python3 -c "$udp_client" 64:ff9b::10.2.0.20 5001
    increments "a header with options" blocked inside client python3 -c "$udp_client" 64:ff9b::10.2.0.20 5000 options
    increments "from the outside to no published port" blocked inside server timeout 5 python3 -c "$tcp_client" 10.2.0.1 5000
    stop_helper

    serve_family client fd01::10
    succeeds "20 connections from outside to an IPv6 server" inside server timeout 30 python3 -c "$tcp_client" 10.2.0.1 5080
    stop_helper
    exits_cleanly "with two families"
    delete_network
}
