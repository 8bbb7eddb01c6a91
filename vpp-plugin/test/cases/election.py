"""The election: adverts out and in, answers for the shared addresses, and what a node does that is not master."""
import os
import signal
import struct
import time

import packets as p
from pair import Connections, takeover
from router import INSIDE, OUTSIDE, Router
from vpp import PLUGINS, Failure

ID, VRRP3, ADVERT = 7, 0x31, 112
SHARED = {4: {"pg0": "10.1.0.99", "pg1": "10.2.0.99"}, 6: {"pg0": "fd01::99", "pg1": "fd02::99"}}
OTHER = {4: "10.1.0.10", 6: "fe80::10"}
GROUP = {4: ("224.0.0.18", "01005e000012"), 6: ("ff02::12", "333300000012")}
VIRTUAL = {4: bytes.fromhex("00005e000107"), 6: bytes.fromhex("00005e000207")}
CLIENT_MAC = bytes.fromhex("020000000001")
PING = PLUGINS + ["ping"]
NOT_MASTER = "another node is master"
ECHO_REQUEST, ECHO_REPLY, SOLICITATION, ADVERTISEMENT = 8, 0, 135, 136


def members(ports=("pg0", "pg1"), families=(4, 6), number=ID):
    return [f"set pfplane group 0 member {port} id {number} address {SHARED[family][port]}" for port in ports for family in families]


def group(settings="priority 200 interval-ms 100", **arguments):
    return [f"set pfplane group 0 {settings}", *members(**arguments)]


def ethernet(destination, source, packet):
    kind = {4: 0x0800, 6: 0x86DD}[packet[0] >> 4]
    return destination + source + struct.pack("!H", kind) + packet


def vrrp(family, priority, interval_ms, shared, number=ID, ttl=255, source=None):
    """An advert of another node on pg0, with its Ethernet header."""
    source, (destination, mac) = source or OTHER[family], GROUP[family]
    advert = struct.pack("!BBBBHH", VRRP3, number, priority, len(shared), interval_ms // 10, 0)
    advert += b"".join(p.packed(address) for address in shared)
    advert = p.with_checksum(source, destination, ADVERT, advert, 6)
    return ethernet(bytes.fromhex(mac), CLIENT_MAC, p.ip(source, destination, ADVERT, advert, ttl))


def arp(target, source="10.1.0.10"):
    return b"\xff" * 6 + CLIENT_MAC + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + CLIENT_MAC + p.packed(source) + \
        bytes(6) + p.packed(target)


def solicitation(target, source="fd01::10"):
    group_address = p.packed("ff02::1:ff00:0")[:13] + p.packed(target)[13:]
    text = ":".join(group_address[at:at + 2].hex() for at in range(0, 16, 2))
    body = bytes(4) + p.packed(target) + b"\x01\x01" + CLIENT_MAC
    return ethernet(b"\x33\x33" + group_address[12:], CLIENT_MAC, p.icmp6(source, text, SOLICITATION, body))


def echo(destination, source="10.1.0.10"):
    body = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, 1, 1)
    body = body[:2] + struct.pack("!H", p.checksum(body)) + body[4:]
    return p.ip(source, destination, p.ICMP, body)


def shown(router):
    return router.cli("show pfplane election")


def has_role(router, role):
    return f"  {role} since" in shown(router)


def wait_for(router, role, seconds=5):
    router.wait(lambda: has_role(router, role), seconds, f"role {role}: " + shown(router))


class Capture:
    """Whole frames that leave by a port while it runs."""

    def __init__(self, router, port, name):
        self.router, self.port, self.path = router, port, os.path.join(router.run, f"{name}.pcap")
        router.cli(f"packet-generator capture {port} pcap {self.path}")

    def frames(self):
        self.router.cli(f"packet-generator capture {self.port} disable")
        return p.read_pcap(self.path, skip=0) if os.path.exists(self.path) else []


def exchange(router, frames, name, worker=0):
    """Sends whole frames into pg0 and returns the whole frames that leave by it."""
    capture = Capture(router, "pg0", name)
    source = os.path.join(router.run, f"{name}.in.pcap")
    p.write_pcap(source, frames)
    output = router.cli(f"packet-generator new {{ name {name} limit {len(frames)} interface pg0 worker {worker} node ethernet-input pcap {source} }}")
    if output.strip():
        raise Failure(output)
    router.cli(f"packet-generator enable-stream {name}")
    time.sleep(0.3)
    router.cli(f"packet-generator delete {name}")
    return capture.frames()


def adverts(frames, family):
    at = {4: 23, 6: 20}[family]
    return [frame for frame in frames if frame[12:14] == {4: b"\x08\x00", 6: b"\x86\xdd"}[family] and frame[at] == ADVERT]


def is_arp_reply(frame, address, mac):
    return frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\x02" and frame[22:28] == mac and frame[28:32] == p.packed(address)


def is_advertisement(frame, address, mac):
    return frame[12:14] == b"\x86\xdd" and frame[20] == p.ICMP6 and frame[54] == ADVERTISEMENT and \
        frame[62:78] == p.packed(address) and frame[-6:] == mac


def check_answers(router, are_wanted, name):
    """Asks for the shared addresses, and for the router's own, which are answered always."""
    frames = exchange(router, [arp("10.1.0.99"), solicitation("fd01::99"), arp("10.1.0.1"), arp("10.1.0.98")], name)
    frames = [frame for frame in frames if frame[:6] == CLIENT_MAC]
    found = [sum(is_arp_reply(frame, "10.1.0.99", VIRTUAL[4]) for frame in frames),
             sum(is_advertisement(frame, "fd01::99", VIRTUAL[6]) for frame in frames),
             sum(frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\x02" and frame[28:32] == p.packed("10.1.0.1") for frame in frames),
             sum(frame[12:14] == b"\x08\x06" and frame[28:32] == p.packed("10.1.0.99") for frame in frames)]
    wanted = [1, 1, 1, 1] if are_wanted else [0, 0, 1, 0]
    if found != wanted:
        raise Failure(f"answers {found}, wanted {wanted}: " + router.cli("show errors") + shown(router))


def check_pings(router, shared):
    replies = router.send("pg0", [echo("10.1.0.99"), echo("10.1.0.1")], any_source=True)["pg0"]
    sources = sorted(reply[12:16] for reply in replies if reply[0] == 0x45 and reply[9] == p.ICMP and reply[20] == ECHO_REPLY)
    wanted = [p.packed("10.1.0.1")] + ([p.packed("10.1.0.99")] if shared else [])
    if sources != wanted:
        raise Failure(f"echo replies of {sources}, wanted {wanted}: " + router.cli("show errors"))


def test_master(place):
    router = Router(place, plugins=PING, before=[*group(), f"packet-generator capture pg0 pcap {place.folder}/router.start.pcap"])
    wait_for(router, "master")
    time.sleep(0.5)
    router.cli("packet-generator capture pg0 disable")
    frames = p.read_pcap(f"{place.folder}/router.start.pcap", skip=0)
    for family in (4, 6):
        seen, start = adverts(frames, family), {4: 14, 6: 14}[family]
        if len(seen) < 3:
            raise Failure(f"{len(seen)} adverts over IPv{family}: " + shown(router))
        for frame in seen:
            header = {4: 20, 6: 40}[family]
            hops = frame[start + {4: 8, 6: 7}[family]]
            advert = frame[start + header:]
            wanted = bytes([VRRP3, ID, 200, 1]) + struct.pack("!H", 10)
            if frame[6:12] != VIRTUAL[family] or frame[:6].hex() != GROUP[family][1] or hops != 255 or advert[:6] != wanted or \
                    advert[8:] != p.packed(SHARED[family]["pg0"]):
                raise Failure(f"advert {frame.hex()}")
        own = seen[0][start + {4: 12, 6: 8}[family]:][:{4: 4, 6: 16}[family]]
        if own != p.packed("10.1.0.1") if family == 4 else own[:2] != b"\xfe\x80":
            raise Failure(f"an advert's source is {own.hex()}")
    requests = [frame for frame in frames if frame[12:14] == b"\x08\x06" and frame[28:32] == p.packed("10.1.0.99") == frame[38:42]]
    unsolicited = [frame for frame in frames if is_advertisement(frame, "fd01::99", VIRTUAL[6])]
    if not requests or any(frame[22:28] != VIRTUAL[4] for frame in requests) or not unsolicited:
        raise Failure(f"{len(requests)} gratuitous requests, {len(unsolicited)} unsolicited advertisements")
    check_answers(router, True, "asked")
    router.wait(lambda: "10.1.0.99" in router.cli("show ip fib 10.1.0.99/32"), 2, "local address")
    check_pings(router, True)
    for family in (4, 6):
        router.expect("pg0", [p.udp(INSIDE[family], OUTSIDE[family], 1000, 53)], 1, (NOT_MASTER, 0))
    router.stop()


def test_yields(place):
    router = Router(place, plugins=PING, before=group())
    wait_for(router, "master")
    # A better master with an interval of a second: this node waits for 3 to 4 s.
    exchange(router, [vrrp(4, 250, 1000, ["10.1.0.99"])], "better")
    if not has_role(router, "backup") or "master 10.1.0.10" not in shown(router):
        raise Failure("not backup: " + shown(router))
    time.sleep(0.1)
    check_answers(router, False, "asked")
    check_pings(router, False)
    for family in (4, 6):
        router.expect("pg0", [p.udp(INSIDE[family], OUTSIDE[family], 1000, 53)], 0, (NOT_MASTER, 1))
        router.expect("pg1", [p.udp(OUTSIDE[family], INSIDE[family], 1000, 53)], 0, (NOT_MASTER, 1))
    wait_for(router, "master", 6)
    if "the master was silent" not in shown(router):
        raise Failure("why: " + shown(router))
    check_answers(router, True, "asked2")
    router.expect("pg0", [p.udp(INSIDE[4], OUTSIDE[4], 1000, 53)], 1)
    # A worse one changes nothing.
    exchange(router, [vrrp(4, 100, 1000, ["10.1.0.99"]), vrrp(6, 100, 1000, ["fd01::99"])], "worse")
    if not has_role(router, "master"):
        raise Failure("yields to a worse one: " + shown(router))
    router.succeed("pfplane step-down hold-ms 3000")
    router.wait(lambda: has_role(router, "backup"), 2, "step down")
    wait_for(router, "master", 8)
    router.succeed("pfplane demote upstream forbid")
    wait_for(router, "init")
    if "must not be master: upstream" not in shown(router):
        raise Failure("reason: " + shown(router))
    router.succeed("pfplane demote upstream weight 0")
    wait_for(router, "master")
    router.succeed("set interface state pg1 down")
    wait_for(router, "master")
    # Two members of the dead interface, each of which takes 254.
    router.wait(lambda: "demotion 508" in shown(router), 3, "demotion by the link: " + shown(router))
    router.stop()


def statistics(router, member, name):
    part = shown(router).split(f"  member {member}:")[1].split("  member ")[0]
    return sum(int(line.split()[1]) for line in part.splitlines() if line.split()[:1] == [name])


def test_refused(place):
    router = Router(place, before=group())
    wait_for(router, "master")
    good = vrrp(4, 250, 1000, ["10.1.0.99"])
    exchange(router, [vrrp(4, 250, 1000, ["10.1.0.99"], number=9), vrrp(4, 250, 1000, ["10.1.0.99"], ttl=254),
                      vrrp(4, 250, 1000, ["10.1.0.98"]), good[:40] + b"\xff\xff" + good[42:], good[:36],
                      good[:14] + good[14:16] + b"\x00\x16" + good[18:], ethernet(good[:6], CLIENT_MAC, p.ip(
                          OTHER[4], GROUP[4][0], ADVERT, bytes(3000), 255))], "refused")
    found = {name: statistics(router, 0, name) for name in ("badvhid", "badttl", "badaddrs", "badsum")}
    if found != {"badvhid": 1, "badttl": 1, "badaddrs": 1, "badsum": 1} or not has_role(router, "master"):
        raise Failure(f"{found}: " + shown(router) + router.cli("show errors"))
    router.stop()


def test_beside_vrrp(place):
    router = Router(place, plugins=PLUGINS + ["vrrp"], before=["vrrp vr add pg0 vr_id 9 priority 100 10.1.0.97",
                                                               "vrrp proto start pg0 vr_id 9", *group()])
    wait_for(router, "master")
    before = router.counter("vrrp4-input", "")
    exchange(router, [vrrp(4, 250, 1000, ["10.1.0.97"], number=9), vrrp(4, 250, 1000, ["10.1.0.99"])], "both")
    if not has_role(router, "backup"):
        raise Failure("our group: " + shown(router))
    passed, taken = router.counter("pfplane-advert-ip4", "passed to vrrp"), router.counter("pfplane-advert-ip4", "passed to the election")
    if passed != 1 or taken != 1 or router.counter("vrrp4-input", "") - before != 1:
        raise Failure(f"{passed} to vrrp, {taken} to the election: " + router.cli("show errors"))
    if "state Backup" not in router.cli("show vrrp vr"):
        raise Failure("vrrp: " + router.cli("show vrrp vr"))
    # Without an election all adverts are vrrp's.
    router.succeed("pfplane disable")
    exchange(router, [vrrp(4, 250, 1000, ["10.1.0.97"], number=9)], "rest")
    if router.counter("vrrp4-input", "") - before != 2:
        raise Failure("after disable: " + router.cli("show errors"))
    router.stop()


def test_authentic(place):
    """CARP: the adverts of a node with the same pass-phrase count, those of another one do not."""
    files = {}
    for name in ("right", "wrong"):
        files[name] = os.path.join(place.folder, f"{name}.txt")
        with open(files[name], "w") as file:
            file.write(f"{name}\n")

    def carp(priority, name):
        return group(f"dialect freebsd priority {priority} interval-ms 1000 passphrase-file {files[name]}", families=(4,))

    better = {name: Router(place, name=name, before=["set interface ip address del pg0 10.1.0.1/24",
                                                     "set interface ip address pg0 10.1.0.2/24", *carp(250, name)])
              for name in ("right", "wrong")}
    router = Router(place, before=carp(100, "right"))
    for node in (router, *better.values()):
        wait_for(node, "master", 10)
    seen = {}
    for name, node in better.items():
        capture = Capture(node, "pg0", "adverts")
        time.sleep(2.5)
        seen[name] = adverts(capture.frames(), 4)
        if not seen[name] or seen[name][0][34] != 0x21:
            raise Failure(f"{name} sends no CARP adverts: " + shown(node))
    exchange(router, seen["wrong"], "forged")
    if not has_role(router, "master") or statistics(router, 0, "badauth") != len(seen["wrong"]):
        raise Failure("a wrong digest: " + shown(router))
    exchange(router, seen["right"], "authentic")
    if not has_role(router, "backup"):
        raise Failure("a right digest: " + shown(router))
    for node in (router, *better.values()):
        node.stop()


def test_workers(place):
    """Adverts reach the thread of lane 0 from any worker; each worker answers and drops by itself."""
    router = Router(place, before=group(), workers=2)
    wait_for(router, "master")
    for family in (4, 6):
        router.expect("pg0", [p.udp(INSIDE[family], OUTSIDE[family], port, 53) for port in range(1000, 1032)], 32)
    asked = [arp("10.1.0.99"), solicitation("fd01::99")]
    for worker in (0, 1):
        time.sleep(0.5)
        answers = exchange(router, asked, f"asked{worker}", worker=worker)
        if sum(is_arp_reply(frame, "10.1.0.99", VIRTUAL[4]) for frame in answers) != 1 or \
                not any(is_advertisement(frame, "fd01::99", VIRTUAL[6]) for frame in answers):
            raise Failure(f"worker {worker} does not answer: " + router.cli("show errors"))
    exchange(router, [vrrp(4, 250, 1000, ["10.1.0.99"])], "better", worker=1)
    if not has_role(router, "backup") or router.counter("pfplane-advert-ip4", "handed to the thread of lane 0") != 1:
        raise Failure("an advert on the other worker: " + router.cli("show errors") + shown(router))
    router.expect("pg0", [p.udp(INSIDE[4], OUTSIDE[4], port, 53) for port in range(2000, 2032)], 0, (NOT_MASTER, 32))
    wait_for(router, "master", 6)
    router.stop()


def test_pools(place):
    nat = ["set pfplane nat pg1 pool 10.2.0.50 - 10.2.0.52 claim"]
    router = Router(place, before=[*nat, *group(), f"packet-generator capture pg1 pcap {place.folder}/router.pools.pcap"])
    wait_for(router, "master")
    time.sleep(1.5)
    router.cli("packet-generator capture pg1 disable")
    frames = p.read_pcap(f"{place.folder}/router.pools.pcap", skip=0)
    for last in (50, 51, 52):
        address = p.packed(f"10.2.0.{last}")
        found = [frame for frame in frames if frame[12:14] == b"\x08\x06" and frame[28:32] == address == frame[38:42]]
        if len(found) < 2 or any(frame[22:28] != VIRTUAL[4] or frame[6:12] != VIRTUAL[4] for frame in found):
            raise Failure(f"{len(found)} announcements of 10.2.0.{last}")
    router.stop()


def test_configuration(place):
    router = Router(place, before=group())
    for command, wanted in (("set pfplane group 0 priority 9", "first: pfplane disable"), ("set pfplane group clear", "first: pfplane disable")):
        if wanted not in router.cli(command):
            raise Failure(f"{command}: {router.cli(command)}")
    router.succeed("pfplane disable")
    for command, wanted in (("set pfplane group 8", "numbers 0 to 7"), ("set pfplane group 0 priority 255", "1 to 254"),
                            ("set pfplane group 0 priority x", "unknown input `priority x"), ("set pfplane group 1 member pg0 id 1 address 10.1.0.5", "no group 1"),
                            ("set pfplane group 0 member pg0 id 0 address 10.1.0.5", "1 to 255"),
                            ("set pfplane group 0 member pg0 id 8 address 10.1.0.5", "already"),
                            ("set pfplane group 0 passphrase-file /nonexistent", "No such file"),
                            ("pfplane step-down", "no election"), ("pfplane demote x weight 1", "no election")):
        if wanted not in router.cli(command):
            raise Failure(f"{command}: {router.cli(command)}")
    router.succeed("set pfplane group clear")
    router.succeed("set pfplane group 3 interval-ms 5")
    router.succeed("set pfplane group 3 member pg0 id 3 address 10.1.0.99")
    if "interval" not in router.cli("pfplane enable") or "enabled" in router.cli("show pfplane").splitlines()[0]:
        raise Failure("an interval below the minimum: " + router.cli("show pfplane"))
    router.succeed("set pfplane group 3 interval-ms 100")
    router.succeed("pfplane enable")
    router.wait(lambda: "group 3" in shown(router) and has_role(router, "master"), 5, "master of group 3: " + shown(router))
    # An interface that is deleted takes its member along; VPP goes on.
    router.succeed("pfplane disable")
    router.succeed("set pfplane group clear")
    router.succeed("pfplane enable")
    if "no group" not in shown(router):
        raise Failure(shown(router))
    router.expect("pg0", [p.udp(INSIDE[4], OUTSIDE[4], 1000, 53)], 1)
    router.stop()


def test_killed(place):
    pair, alive = takeover(place, "10.9.0.{other} extensions", election="preempt")
    if alive != 40 or "the master was silent" not in shown(pair.nodes["b"]):
        raise Failure(f"{alive} of 40 connections go on: " + shown(pair.nodes["b"]))
    # The returning node takes over again when it has all states, and stops in order.
    connections = Connections(pair, 4, 20, 12)
    pair.start("a")
    a, b = pair.nodes["a"], pair.nodes["b"]
    wait_for(a, "master", 20)
    wait_for(b, "backup", 5)
    a.succeed("pfplane step-down")
    wait_for(b, "master", 2)
    if "the master said farewell" not in shown(b):
        raise Failure("why: " + shown(b))
    alive = connections.alive()
    if alive != 20:
        raise Failure(f"{alive} of 20 connections go on after the way back: " + shown(a) + shown(b))
    a.stop()
    b.stop()


def test_frozen(place):
    """A master that is stopped for 3 s yields, and forwards nothing of what has waited for it."""
    def freeze(node):
        freeze.passed = node.counter("pfplane-lookup-ip4", "packets passed by a state")
        node.process.send_signal(signal.SIGSTOP)
        freeze.end = time.monotonic() + 3

    pair, alive = takeover(place, "10.9.0.{other} extensions", election="", die=freeze, meanwhile=lambda node: (
        time.sleep(max(0, freeze.end - time.monotonic())), node.process.send_signal(signal.SIGCONT)))
    a, b = pair.nodes["a"], pair.nodes["b"]
    if alive != 40 or not has_role(b, "master"):
        raise Failure(f"{alive} of 40 connections go on: " + shown(b) + a.cli("show logging") + b.cli("show logging"))
    wait_for(a, "backup", 5)
    # 400 packets a second: those of the time between reading the counter and the stop are few.
    more = a.counter("pfplane-lookup-ip4", "packets passed by a state") - freeze.passed
    refused = a.counter("pfplane-lookup-ip4", NOT_MASTER)
    if more > 100 or refused == 0:
        raise Failure(f"the frozen node passed {more} packets and refused {refused}: " + shown(a))
    a.stop()
    b.stop()


TESTS = [
    ("election: becomes master, adverts, announcements, answers, both families", test_master),
    ("election: yields to a better master, and takes over from a silent one", test_yields),
    ("election: foreign and damaged adverts are counted", test_refused),
    ("election: beside VPP's vrrp on protocol 112", test_beside_vrrp),
    ("election: CARP's digests decide whose adverts count", test_authentic),
    ("election: two workers", test_workers),
    ("election: pools' addresses are announced after a takeover", test_pools),
    ("election: configuration, wrong commands", test_configuration),
    ("election: a killed VPP, nobody tells the backup", test_killed),
    ("election: a VPP that is frozen for 3 s", test_frozen),
]
