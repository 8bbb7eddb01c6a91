"""The fuzz corpus as packets: frames of pfsync, adverts, and any other packet, to nodes that run on."""
import glob
import os
import random
import subprocess

import packets as p
from cases.recorded import SYSTEMS, recorded
from cases.seal import key_file
from router import INSIDE, OUTSIDE, Router
from vpp import Failure

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "fuzz", "corpus")
PEER, OWN = {4: "10.9.0.22", 6: "fd09::22"}, {4: "10.9.0.1", 6: "fd09::1"}
ADVERTS = {4: ("10.1.0.10", "224.0.0.18"), 6: ("fe80::10", "ff02::12")}
ADVERT, HOPS = 112, 255
MAX_PAYLOAD, BATCH, FLIPS = 1400, 200, 400


def inputs(*targets):
    """Returns the inputs of fuzz targets."""
    data = []
    for target in targets:
        for path in sorted(glob.glob(os.path.join(CORPUS, target, "*"))):
            with open(path, "rb") as file:
                data.append(file.read()[:MAX_PAYLOAD])
    if not data:
        raise Failure(f"no corpus in {CORPUS}")
    return data


def flipped():
    """Returns recorded frames' pfsync parts with changed bytes and cut ends, the same ones each time."""
    numbers, frames = random.Random(17), []
    for system in SYSTEMS:
        frames += [frame[20:] for frame in recorded(system, "ins")[0]]
    for _ in range(FLIPS):
        frame = bytearray(numbers.choice(frames))
        for _ in range(numbers.randint(1, 8)):
            frame[numbers.randrange(len(frame))] = numbers.choice([0, 1, 0x7F, 0x80, 0xFF, numbers.randrange(256)])
        yield bytes(frame[:numbers.randint(1, len(frame))])


def send(router, port, family, packets, node=None):
    packets = [packet for packet in packets if len(packet) >= (20 if family == 4 else 40)]
    for at in range(0, len(packets), BATCH):
        router.send(port, packets[at:at + BATCH], family=family, node=node, any_source=True)
    return len(packets)


def describe(place):
    """Says whether the VPP at hand finds wrong accesses to memory by itself."""
    libraries = subprocess.run(["ldd", place.program("vpp")], capture_output=True, text=True, env=place.environment).stdout
    print("        this VPP has " + ("AddressSanitizer" if "asan" in libraries else "no AddressSanitizer: only a crash shows here"), flush=True)


def test_corpus(place, workers=0, seal=""):
    describe(place)
    router = Router(place, ports=((1, "pg0"), (2, "pg1"), (9, "pg2")), workers=workers, before=[
        "set pfplane sync pg2", f"set pfplane peer {PEER[4]} {seal}", *([] if seal else [f"set pfplane peer {PEER[6]} extensions"]),
        "set ip neighbor pg2 10.9.0.22 02:00:00:00:00:09", "set ip neighbor pg2 fd09::22 02:00:00:00:00:09",
        "set pfplane group 0 priority 200 interval-ms 100", "set pfplane group 0 member pg0 id 7 address 10.1.0.99",
        "set pfplane group 0 member pg0 id 7 address fd01::99"])
    router.wait(router.is_master, 10, "master: " + router.cli("show pfplane election"))
    bodies = inputs("reader", "openbsd6", "freebsd1301", "freebsd1400", "freebsd1500", "legacy", "trailer", "seal", "dump") + list(flipped())
    for family in (4, 6):
        node = f"pfplane-sync-ip{family}"
        count = send(router, "pg2", family, [p.ip(PEER[family], OWN[family], p.PFSYNC, body, HOPS) for body in bodies])
        received = router.counter(node, "pfsync packets received")
        if received != count:
            raise Failure(f"{count} frames over IPv{family}, {received} received: " + router.cli("show errors"))
        # Adverts: their bytes behind an IP header of ours, and as they are.
        adverts = inputs("vrrp", "carp", "election")
        send(router, "pg0", family, [p.ip(*ADVERTS[family], ADVERT, body, HOPS) for body in adverts if body])
        any_packet = [p.ip(INSIDE[family], OUTSIDE[family], protocol, body) for body in inputs("packet", "lane")
                      for protocol in (p.TCP, p.UDP, p.ICMP if family == 4 else p.ICMP6, p.FRAGMENT_HEADER)]
        send(router, "pg0", family, any_packet)
        send(router, "pg1", family, any_packet[:BATCH])
    send(router, "pg0", None, [body[1:] for body in inputs("vrrp", "carp")], node="ethernet-input")
    router.wait(router.is_master, 10, "master after all: " + router.cli("show pfplane election"))
    router.succeed("clear pfplane states")
    for family in (4, 6):
        router.expect("pg0", [p.udp(INSIDE[family], OUTSIDE[family], 777, 53)], 1)
        router.expect("pg1", [p.udp(OUTSIDE[family], INSIDE[family], 53, 777)], 1)
    router.stop()


def test_sealed(place):
    test_corpus(place, seal="seal require key-file " + key_file(place, "keys", (1, "a1")))


TESTS = [
    ("hostile: the fuzz corpus as packets", test_corpus),
    ("hostile: the fuzz corpus as packets, two workers", lambda place: test_corpus(place, workers=2)),
    ("hostile: the fuzz corpus as packets, a sealed peer", test_sealed),
]
