"""Translation: pools, forwarded ports, NAT64, errors, and addresses that this router answers ARP for."""
import struct

import packets as p
from cases.api import connect, indexes
from router import INSIDE, OUTSIDE, Router
from vpp import Failure

POOL, SECOND = "192.0.2.50", "192.0.2.51"
SERVER, CLIENT = INSIDE[4], "10.1.0.20"
PREFIX = "64:ff9b::"
EMBEDDED = PREFIX + "10.2.0.10"
CONFIGURATION = [f"set pfplane nat pg1 pool {POOL} - {SECOND}", "set pfplane nat prefix 64:ff9b::/96",
                 f"set pfplane nat forward tcp {POOL} 443 to {SERVER} 8443", "set ip neighbor pg0 10.1.0.20 02:00:00:00:00:01"]
ICMP_UNREACHABLE, ICMP_EXCEEDED, ICMP6_TOO_BIG = 3, 11, 2


def start(place, **arguments):
    return Router(place, before=CONFIGURATION, **arguments)


def addresses(packet):
    """Returns source and destination as text."""
    width, at = (4, 12) if packet[0] >> 4 == 4 else (16, 8)
    return tuple(str(p.ipaddress.ip_address(packet[at + n * width:at + (n + 1) * width])) for n in range(2))


def ports(packet):
    return struct.unpack_from("!HH", packet, 20 if packet[0] >> 4 == 4 else 40)


def one(packets, where):
    if len(packets) != 1:
        raise Failure(f"{len(packets)} packets {where}")
    packet = packets[0]
    if packet[0] >> 4 == 4 and p.checksum(packet[:20]) != 0:
        raise Failure(f"wrong header checksum {where}")
    protocol, header = (packet[9], 20) if packet[0] >> 4 == 4 else (packet[6], 40)
    pseudo = b"" if protocol == p.ICMP else p.pseudo_header(*addresses(packet), protocol, len(packet) - header)
    if p.checksum(pseudo + packet[header:]) != 0:
        raise Failure(f"wrong checksum {where}")
    return packet


def joined(fragments, count, where):
    """Returns the packet of which these are all fragments."""
    if len(fragments) != count or any(p.checksum(fragment[:20]) != 0 for fragment in fragments):
        raise Failure(f"{len(fragments)} fragments {where}, not {count}, or a wrong header checksum")
    fragments = sorted(fragments, key=lambda fragment: int.from_bytes(fragment[6:8], "big") & 0x1fff)
    if len({addresses(fragment) for fragment in fragments}) != 1:
        raise Failure(f"{where}: {[addresses(fragment) for fragment in fragments]}")
    source, destination = addresses(fragments[0])
    payload = b"".join(fragment[20:] for fragment in fragments)
    return one([p.ip(source, destination, fragments[0][9], payload)], where)


def everything(router, port, packets):
    """Sends packets and returns what leaves by both ports, whatever its source."""
    return router.send(port, packets, any_source=True)


def test_source(place):
    router = start(place)
    inside, outside = INSIDE[4], OUTSIDE[4]
    for protocol, packet, answer in (
            ("UDP", p.udp(inside, outside, 1000, 53), lambda to, port: p.udp(outside, to, 53, port)),
            ("TCP", p.tcp(inside, outside, 1000, 80, p.SYN, 9), lambda to, port: p.tcp(outside, to, 80, port, p.SYN | p.ACK, 7, 10))):
        sent = one(everything(router, "pg0", [packet])["pg1"], f"{protocol}: out")
        (source, destination), (port, _) = addresses(sent), ports(sent)
        if source not in (POOL, SECOND) or destination != outside or not 50001 <= port <= 65535:
            raise Failure(f"{protocol}: {source}.{port} -> {destination}")
        back = one(everything(router, "pg1", [answer(source, port)])["pg0"], f"{protocol}: back")
        if addresses(back) != (outside, inside) or ports(back)[1] != 1000:
            raise Failure(f"{protocol}: back {addresses(back)} {ports(back)}")
        # The same pair of ports from another host gets another port.
        router.expect("pg1", [answer(source, port - 1 if port > 50001 else port + 1)], 0, ("nothing translates its addresses", 1))
    # An ICMP error that quotes the translated packet reaches the client with what it sent.
    sent = one(everything(router, "pg0", [p.udp(inside, outside, 1001, 53)])["pg1"], "out")
    message = struct.pack("!BBHI", ICMP_UNREACHABLE, 3, 0, 0) + sent[:28]
    error = p.ip(outside, addresses(sent)[0], p.ICMP, message[:2] + struct.pack("!H", p.checksum(message)) + message[4:])
    back = one(everything(router, "pg1", [error])["pg0"], "error")
    if addresses(back)[1] != inside or addresses(back[28:]) != (inside, outside) or ports(back[28:])[0] != 1001:
        raise Failure(f"the error quotes {addresses(back[28:])} {ports(back[28:])}")
    # VPP's own error about a packet whose TTL ends here quotes what the client sent.
    short = p.ip(inside, outside, p.UDP, p.udp_segment(inside, outside, 1002, 53), ttl=1)
    exceeded = one(everything(router, "pg0", [short])["pg0"], "TTL 1")
    if exceeded[20] != ICMP_EXCEEDED or addresses(exceeded[28:]) != (inside, outside):
        raise Failure(f"TTL 1: type {exceeded[20]}, quotes {addresses(exceeded[28:])}")
    router.stop()


def test_fragments(place):
    """Each fragment is translated by itself; together they have the checksum of the whole datagram."""
    router = start(place)
    inside, outside = INSIDE[4], OUTSIDE[4]
    for number, order in enumerate((1, -1)):
        client = 1003 + number
        segment = p.udp_segment(inside, outside, client, 53, b"x" * 1200)
        pieces = p.fragments(inside, outside, p.UDP, segment, 504, 20 + number)[::order]
        sent = joined(everything(router, "pg0", pieces)["pg1"], 3, "out")
        (source, destination), (port, _) = addresses(sent), ports(sent)
        if source not in (POOL, SECOND) or destination != outside or not 50001 <= port <= 65535:
            raise Failure(f"{source}.{port} -> {destination}")
        answer = p.udp_segment(outside, source, 53, port, b"y" * 1200)
        pieces = p.fragments(outside, source, p.UDP, answer, 504, 30 + number)[::order]
        back = joined(everything(router, "pg1", pieces)["pg0"], 3, "back")
        if addresses(back) != (outside, inside) or ports(back) != (53, client):
            raise Failure(f"back: {addresses(back)} {ports(back)}")
        # An unknown port of the pool's address.
        wrong = p.udp_segment(outside, source, 53, port - 1 if port > 50001 else port + 1, b"y" * 1200)
        router.expect("pg1", p.fragments(outside, source, p.UDP, wrong, 504, 40 + number), 0,
                      ("nothing translates its addresses", 3))
    # An established TCP connection.
    sent = one(everything(router, "pg0", [p.tcp(inside, outside, 2000, 80, p.SYN, 100)])["pg1"], "SYN")
    source, port = addresses(sent)[0], ports(sent)[0]
    one(everything(router, "pg1", [p.tcp(outside, source, 80, port, p.SYN | p.ACK, 500, 101)])["pg0"], "SYN ACK")
    one(everything(router, "pg0", [p.tcp(inside, outside, 2000, 80, p.ACK, 101, 501)])["pg1"], "ACK")
    segment = p.tcp(outside, source, 80, port, p.ACK, 501, 101, data=b"z" * 1200)[20:]
    back = joined(everything(router, "pg1", p.fragments(outside, source, p.TCP, segment, 504, 50))["pg0"], 3, "data")
    if addresses(back) != (outside, inside) or ports(back) != (80, 2000):
        raise Failure(f"data: {addresses(back)} {ports(back)}")
    # Between families only whole packets are translated.
    segment = p.udp_segment(INSIDE[6], EMBEDDED, 1005, 53, b"x" * 1200)
    left = everything(router, "pg0", p.fragments(INSIDE[6], EMBEDDED, p.UDP, segment, 504))
    if left["pg1"] or router.counter("pfplane-lookup-ip6", "cannot be translated") == 0:
        raise Failure(f"NAT64: {len(left['pg1'])} fragments left: {router.cli('show errors')}")
    router.stop()


def test_forward(place):
    router = Router(place, before=CONFIGURATION + ["set acl-plugin acl permit+reflect dst 192.0.2.50/32 proto 6 dport 443"])
    router.succeed("set pfplane policy pg1 acl 0")
    outside = OUTSIDE[4]
    sent = one(everything(router, "pg1", [p.tcp(outside, POOL, 2000, 443, p.SYN, 9)])["pg0"], "forwarded")
    if addresses(sent) != (outside, SERVER) or ports(sent) != (2000, 8443):
        raise Failure(f"forwarded: {addresses(sent)} {ports(sent)}")
    back = one(everything(router, "pg0", [p.tcp(SERVER, outside, 8443, 2000, p.SYN | p.ACK, 5, 10)])["pg1"], "answer")
    if addresses(back) != (POOL, outside) or ports(back) != (443, 2000):
        raise Failure(f"answer: {addresses(back)} {ports(back)}")
    router.expect("pg1", [p.tcp(outside, POOL, 2000, 444, p.SYN, 9)], 0, ("nothing translates its addresses", 1))
    # Hairpin: a client on the inside reaches the server by the outside address, and back.
    sent = one(everything(router, "pg0", [p.tcp(CLIENT, POOL, 3000, 443, p.SYN, 9)])["pg0"], "hairpin")
    (source, destination), (port, to) = addresses(sent), ports(sent)
    if (source, destination, to) != (POOL, SERVER, 8443):
        raise Failure(f"hairpin: {source}.{port} -> {destination}.{to}")
    back = one(everything(router, "pg0", [p.tcp(SERVER, POOL, 8443, port, p.SYN | p.ACK, 5, 10)])["pg0"], "hairpin's answer")
    if addresses(back) != (POOL, CLIENT) or ports(back) != (443, 3000):
        raise Failure(f"hairpin's answer: {addresses(back)} {ports(back)}")
    sent = one(everything(router, "pg0", [p.tcp(CLIENT, POOL, 3000, 443, p.ACK, 10, 6)])["pg0"], "hairpin's third packet")
    if ports(sent) != (port, 8443):
        raise Failure(f"hairpin's third packet: {ports(sent)}")
    router.stop()


def test_nat64(place):
    router = start(place)
    inside, outside = INSIDE[6], OUTSIDE[4]
    sent = one(everything(router, "pg0", [p.tcp(inside, EMBEDDED, 1000, 80, p.SYN, 9)])["pg1"], "out")
    (source, destination), (port, to) = addresses(sent), ports(sent)
    if source not in (POOL, SECOND) or destination != outside or to != 80:
        raise Failure(f"out: {source}.{port} -> {destination}.{to}")
    back = one(everything(router, "pg1", [p.tcp(outside, source, 80, port, p.SYN | p.ACK, 5, 10)])["pg0"], "back")
    if addresses(back) != (str(p.ipaddress.ip_address(EMBEDDED)), inside) or ports(back) != (80, 1000):
        raise Failure(f"back: {addresses(back)} {ports(back)}")
    sent = one(everything(router, "pg0", [p.tcp(inside, EMBEDDED, 1000, 80, p.ACK, 10, 6, data=b"GET")])["pg1"], "third packet")
    if router.counter("pfplane-lookup-ip6", "family NAT64 changed") != 2:
        raise Failure("counter: " + router.cli("show errors"))
    # An IPv4 error becomes an ICMPv6 error for the client.
    message = struct.pack("!BBHHH", ICMP_UNREACHABLE, 4, 0, 0, 1280) + sent[:28]
    error = p.ip(outside, source, p.ICMP, message[:2] + struct.pack("!H", p.checksum(message)) + message[4:])
    back = one(everything(router, "pg1", [error])["pg0"], "error")
    if back[40] != ICMP6_TOO_BIG or addresses(back[48:]) != (inside, str(p.ipaddress.ip_address(EMBEDDED))):
        raise Failure(f"error: type {back[40]}, quotes {addresses(back[48:])}")
    # Behind the prefix, but not beyond an interface with a pool.
    router.expect("pg0", [p.udp(inside, PREFIX + "10.1.0.20", 1000, 53)], 0, ("nothing translates its addresses", 1))
    router.stop()


def test_held(place):
    # The peer never answers: the time releases the packets.
    router = Router(place, ports=((1, "pg0"), (2, "pg1"), (9, "pg2")), enable="pfplane enable states 10000 defer-ms 50",
                    before=CONFIGURATION + ["set pfplane sync pg2", "set pfplane peer 10.9.0.10"])
    for packet in (p.tcp(INSIDE[6], EMBEDDED, 1000, 80, p.SYN, 9), p.udp(INSIDE[4], OUTSIDE[4], 1000, 53)):
        family = packet[0] >> 4
        sent = one(everything(router, "pg0", [packet])["pg1"], "held")
        if addresses(sent)[0] not in (POOL, SECOND) or addresses(sent)[1] != OUTSIDE[4]:
            raise Failure(f"held: {addresses(sent)}")
        held, released = (router.counter(f"pfplane-lookup-ip{family}", text) for text in ("first packets held", "held packets released"))
        if (held, released) != (1, 1):
            raise Failure(f"IPv{family}: {held} held, {released} released: {router.cli('show errors')}")
    router.stop()


def there_and_back(router, packets, back_port, answer, worker):
    """Sends packets from the inside at one worker and their answers at another one; returns the answers as they left."""
    sent = router.send("pg0", packets, worker=worker, any_source=True)[back_port]
    answers = [answer(*addresses(packet), *ports(packet)) for packet in sent]
    if len(answers) != len(packets):
        raise Failure(f"{len(answers)} of {len(packets)} left: {router.cli('show errors')}")
    back = router.send(back_port, answers, worker=(worker + 1) % 3, any_source=True)["pg0"]
    if len(back) != len(packets):
        raise Failure(f"{len(back)} of {len(packets)} answers left: {router.cli('show errors')}")
    return back


def test_workers(place):
    router = start(place, workers=3)
    for worker in range(3):
        numbers = range(2000 + 100 * worker, 2020 + 100 * worker)
        back = there_and_back(router, [p.udp(INSIDE[4], OUTSIDE[4], number, 53) for number in numbers], "pg1",
                              lambda source, destination, port, to: p.udp(destination, source, to, port), worker)
        if {(addresses(packet)[1], ports(packet)[1]) for packet in back} != {(INSIDE[4], number) for number in numbers}:
            raise Failure(f"back: {[(addresses(packet), ports(packet)) for packet in back]}")
        back = there_and_back(router, [p.tcp(CLIENT, POOL, number, 443, p.SYN, 9) for number in numbers], "pg0",
                              lambda source, destination, port, to: p.tcp(destination, source, to, port, p.SYN | p.ACK, 5, 10),
                              worker)
        if {(addresses(packet), ports(packet)) for packet in back} != {((POOL, CLIENT), (443, number)) for number in numbers}:
            raise Failure(f"hairpin: {[(addresses(packet), ports(packet)) for packet in back]}")
    router.stop()


def test_configuration(place):
    router = Router(place)
    for wrong, why in ((f"pg1 pool {SECOND} - {POOL}", "ascending order"), (f"pg1 pool {POOL} ports 9 - 8", "ascending order"),
                       (f"pg1 pool {POOL} ports 1 - 70000", "1 to 65535"), (f"pg1 pool {POOL} - 192.0.3.50", "1 to 256"),
                       (f"pg1 pool {POOL} x", "unknown input `x"), ("pg9 pool 1.2.3.4", "give an interface"),
                       ("prefix 64:ff9b::/64", "96 bits"), ("prefix ff02::/96", "96 bits"),
                       (f"forward tcp {POOL} 443 to {SERVER} 8443", "no pool has"), (f"del pg1 pool {POOL}", "no such pool"),
                       (f"forward sctp {POOL} 443 to {SERVER} 8443", "tcp or udp")):
        output = router.cli(f"set pfplane nat {wrong}")
        if why not in output:
            raise Failure(f"set pfplane nat {wrong}: {output}")
    router.succeed("set pfplane nat pg1 pool 10.2.0.50 claim ports 1024 - 2048")
    if "another pool" not in router.cli("set pfplane nat pg0 pool 10.2.0.50") or "a pool already" not in \
            router.cli("set pfplane nat pg1 pool 10.2.0.60"):
        raise Failure("two pools: " + router.cli("show pfplane nat"))
    router.succeed(f"set pfplane nat forward tcp 10.2.0.50 443 to {SERVER} 8443")
    if "delete them first" not in router.cli("set pfplane nat del pg1 pool 10.2.0.50"):
        raise Failure("a pool with forwarded ports is deleted")
    # The claimed address: VPP answers ARP for it, and keeps no packet to it for itself.
    request = b"\xff" * 6 + b"\x02\0\0\0\0\x02" + bytes.fromhex("08060001080006040001") + b"\x02\0\0\0\0\x02" + \
        p.packed("10.2.0.10") + b"\0" * 6 + p.packed("10.2.0.50")
    router.send("pg1", [request], node="ethernet-input", any_source=True, family=4)
    if router.counter("arp-reply", "ARP replies sent") != 1:
        raise Failure("no ARP reply: " + router.cli("show errors") + router.cli("show ip fib 10.2.0.50"))
    router.expect("pg1", [p.udp(OUTSIDE[4], "10.2.0.50", 1, 2)], 0, ("nothing translates its addresses", 1))
    router.succeed(f"set pfplane nat del forward tcp 10.2.0.50 443 to {SERVER} 8443")
    router.succeed("set pfplane nat del pg1 pool 10.2.0.50")
    if router.cli("show pfplane nat").strip() or "10.2.0.50/32" in router.cli("show ip fib 10.2.0.50"):
        raise Failure("not deleted: " + router.cli("show pfplane nat") + router.cli("show ip fib 10.2.0.50"))
    # The same by messages.
    client, index = connect(place, router), indexes(router)
    client.succeed("pfplane_nat_pool_set", is_add=1, sw_if_index=index["pg1"], first=POOL, last=SECOND)
    client.succeed("pfplane_nat_forward_set", is_add=1, proto=p.TCP, address=POOL, port=443, to=SERVER, to_port=8443)
    client.succeed("pfplane_nat_prefix_set", enable=1, prefix=PREFIX)
    client.refuse("pfplane_nat_pool_set", is_add=1, sw_if_index=999, first=POOL, last=SECOND)
    client.refuse("pfplane_nat_prefix_set", enable=1, prefix="64:ff9b::1")
    shown = router.cli("show pfplane nat")
    if not all(text in shown for text in (f"{POOL}, 2 addresses, ports 50001-65535", f"TCP {POOL} 443 to {SERVER} 8443", "64:ff9b::/96")):
        raise Failure(shown)
    router.stop()


TESTS = [
    ("NAT44: pools, errors", test_source),
    ("NAT44: fragments, NAT64 without them", test_fragments),
    ("NAT44: forwarded ports, hairpin", test_forward),
    ("NAT64", test_nat64),
    ("NAT44 and NAT64: first packets held", test_held),
    ("NAT44 and hairpin with three workers", test_workers),
    ("NAT: configuration, ARP, wrong commands", test_configuration),
]
