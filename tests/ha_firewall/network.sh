# shellcheck shell=bash
# Part `network`: two lanes between a client and a server, both families.

# An echo server on port 5000, and a client with 40 connections that checks every byte.
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
# Prints the ARP announcements and unsolicited advertisements that arrive on `end` within some seconds.
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
    create_network || { fail "no network namespaces" && return; }
    echo "$network_rules" >"$work/rules"
    # Two lanes share one queue, so packets of the second lane pass the rings in both directions.
    start_in_namespace framecnt=4096 --role backup || return
    ip netns exec "$prefix-server" python3 -c "$echo_server" &
    helper=$!

    [ "$(value status . role)" = backup ] && pass || fail "the role: $(request status)"
    fails "a backup answers for 10.1.0.1" pings 10.1.0.1
    fails "a backup answers for fd01::1" pings fd01::1
    fails "a backup forwards" pings 10.2.0.20

    inside client python3 -c "$listener" 3 >"$work/client.seen" & listeners=$!
    inside server python3 -c "$listener" 3 >"$work/server.seen" & listeners="$listeners $!"
    for _ in $(seq 50); do grep -q listening "$work/client.seen" && grep -q listening "$work/server.seen" && break; sleep 0.1; done
    [ "$(request takeover | grep -c '"ok":true')" -eq 1 ] && pass || fail "takeover: $(request status)"
    for pid in $listeners; do wait "$pid"; done
    grep -qx 'arp 10.1.0.1 3' "$work/client.seen" && grep -qx 'na fd01::1 3' "$work/client.seen" && pass ||
        fail "announcements inside: $(xargs <"$work/client.seen")"
    grep -qx 'arp 10.2.0.1 3' "$work/server.seen" && grep -qx 'na fd02::1 3' "$work/server.seen" && pass ||
        fail "announcements outside: $(xargs <"$work/server.seen")"
    [ "$(value status . role)" = master ] && pass || fail "the role: $(request status)"

    succeeds "ping of 10.1.0.1" pings 10.1.0.1
    succeeds "ping of fd01::1" pings fd01::1
    succeeds "ping of the server" pings 10.2.0.20
    succeeds "ping of the server, IPv6" pings fd02::20
    succeeds "ping of the server, 1400 bytes" pings -s 1400 10.2.0.20
    fails "a ping from outside passes" inside server ping -q -c 2 -i 0.1 -W 1 10.1.0.10
    succeeds "40 connections" inside client timeout 30 python3 -c "$echo_client" 5000 5
    fails "a blocked port is open" inside client timeout 5 python3 -c "$echo_client" 5002 1
    [ "$(value stats firewall handed_off)" -gt 100 ] && pass || fail "no packet was handed off: $(request stats)"
    [ "$(value stats firewall blocked)" -gt 0 ] && pass || fail "no packet was blocked: $(request stats)"
    before=$(value stats firewall expired_ttl)
    fails "a TTL of 1 passes" pings -t 1 10.2.0.20
    fails "a hop limit of 1 passes" pings -t 1 fd02::20
    [ "$(value stats firewall expired_ttl)" -ge $((before + 6)) ] && pass || fail "expired TTLs: $(request stats)"
    before=$(value stats firewall unresolved)
    fails "an address without a host answers" pings 10.2.0.99
    sleep 1.5
    [ "$(value stats firewall unresolved)" -gt "$before" ] && pass || fail "unresolved: $(request stats)"
    [ "$(value stats firewall sync_sent)" -gt 0 ] && pass || fail "no pfsync was sent: $(request stats)"

    ip -n "$prefix-firewall" link set far down
    sleep 0.5
    before=$(value stats firewall sync_sent)
    succeeds "40 connections without the sync link" inside client timeout 30 python3 -c "$echo_client" 5000 5
    [ "$(value stats firewall sync_sent)" -eq "$before" ] && pass || fail "frames on a link that is down: $(request stats)"
    ip -n "$prefix-firewall" link set far up
    sleep 1.5
    [ "$(value stats firewall sync_sent)" -gt "$before" ] && pass || fail "no frames after the sync link is up again: $(request stats)"

    [ "$(request demote | grep -c '"ok":true')" -eq 1 ] && [ "$(value status . role)" = backup ] && pass || fail "demote: $(request status)"
    fails "a demoted master answers for 10.1.0.1" pings 10.1.0.1
    fails "a demoted master forwards" pings fd02::20
    [ "$(request takeover | grep -c '"ok":true')" -eq 1 ] && pass || fail "takeover after demote: $(request status)"
    succeeds "ping after the second takeover" pings fd02::20

    stop_helper
    exits_cleanly "in the network"
    delete_network
}
