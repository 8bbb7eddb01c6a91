"""VRFs: equal addresses in two of them are two connections, and a connection between two of them."""
import packets as p
from cases.nat import addresses, one, ports
from router import INSIDE, OUTSIDE, Router
from vpp import Failure

VRF = 5
TWICE = ((1, "pg0"), (2, "pg1"), (1, "pg2", VRF), (2, "pg3", VRF))
SECOND = ["set pfplane interface pg2 inside", "set pfplane policy pg2 pass", "set pfplane interface pg3 outside"]
SHARED = ((1, "pg0", VRF), (2, "pg1"))


def counted(router, family, text):
    return router.counter(f"pfplane-lookup-ip{family}", text)


def leaving(router, port, packets, by, **arguments):
    """Sends packets and checks that all of them leave by one port, and none by another one."""
    left = router.send(port, packets, **arguments)
    counts = {name: len(left[name]) for name in left if left[name]}
    if counts != ({by: len(packets)} if by else {}):
        raise Failure(f"{len(packets)} packets into {port}: left {counts}, wanted {by}: {router.cli('show errors')}")
    return left[by] if by else []


def frames(router, family):
    """Returns how often the lookup node was called since the last `clear runtime`, and with how many packets."""
    for line in router.cli("show runtime").splitlines():
        if line.startswith(f"pfplane-lookup-ip{family} "):
            return tuple(int(word) for word in line.split()[2:4])
    return 0, 0


def start(place, **arguments):
    router = Router(place, ports=TWICE, **arguments)
    for command in SECOND:
        router.succeed(command)
    return router


def test_equal_addresses(place):
    router = start(place)
    for family in (4, 6):
        inside, outside = INSIDE[family], OUTSIDE[family]
        first, answer = p.udp(inside, outside, 1000, 53), p.udp(outside, inside, 53, 1000)
        leaving(router, "pg0", [first], "pg1")
        # The other VRF knows nothing of it.
        leaving(router, "pg3", [answer], None)
        if counted(router, family, "policy drops a first packet") != 1:
            raise Failure("no state, no policy: " + router.cli("show errors"))
        leaving(router, "pg2", [first], "pg3")
        leaving(router, "pg3", [answer], "pg2")
        leaving(router, "pg1", [answer], "pg0")
        # Each connection has its own numbers.
        for number, (near, far) in enumerate((("pg0", "pg1"), ("pg2", "pg3"))):
            begin = 1000 + number * (1 << 30)
            leaving(router, near, [p.tcp(inside, outside, 2000, 80, p.SYN, begin)], far)
            leaving(router, far, [p.tcp(outside, inside, 80, 2000, p.SYN | p.ACK, 7, begin + 1)], near)
            leaving(router, near, [p.tcp(inside, outside, 2000, 80, p.ACK, begin + 1, 8)], far)
        segment = p.udp_segment(inside, outside, 1000, 53, b"x" * 1000)
        leaving(router, "pg2", p.fragments(inside, outside, p.UDP, segment, 504), "pg3")
    if router.states() != 8:
        raise Failure(f"{router.states()} states, not 8: " + router.cli("show pfplane states"))
    shown = router.cli("show pfplane states")
    if shown.count("vrf 5 inside, 5 outside") != 4:
        raise Failure("states of VRF 5: " + shown)
    if "pg2 inside, policy pass, vrf 5" not in router.cli("show pfplane"):
        raise Failure(router.cli("show pfplane"))
    router.cli("trace add pg-input 10")
    leaving(router, "pg2", [p.udp(INSIDE[4], OUTSIDE[4], 1000, 53)], "pg3")
    if "inside, vrf 5, UDP" not in router.cli("show trace"):
        raise Failure(router.cli("show trace"))
    router.stop()


def test_one_frame(place):
    """Packets of both VRFs in one frame, alternately and in blocks."""
    router = start(place)
    for family in (4, 6):
        inside, outside = INSIDE[family], OUTSIDE[family]
        for count in (1, 7, 100):
            packets = [p.udp(inside, outside, 4000 + number, 53) for number in range(count)]
            router.cli("clear runtime")
            left = router.send_together({"pg0": packets, "pg2": packets})
            if frames(router, family) != (1, 2 * count):
                raise Failure(f"frames and packets: {frames(router, family)}, wanted one of {2 * count}")
            if (len(left["pg1"]), len(left["pg3"])) != (count, count):
                raise Failure(f"{len(left['pg1'])} and {len(left['pg3'])} of {count} left: {router.cli('show errors')}")
            answers = [p.udp(outside, inside, 53, 4000 + number) for number in range(count)]
            left = router.send_together({"pg1": answers, "pg3": answers})
            if (len(left["pg0"]), len(left["pg2"])) != (count, count):
                raise Failure(f"{len(left['pg0'])} and {len(left['pg2'])} of {count} answers left")
    if router.states() != 400:
        raise Failure(f"{router.states()} states, not 400")
    router.stop()


def test_between_two(place):
    """Tenants in VRFs of their own share the way out, which is in the default VRF."""
    for pool in (None, "192.0.2.50"):
        routes = [f"ip route add {address} table {VRF} via {hop} pg1" for address, hop in
                  (("10.2.0.0/24", OUTSIDE[4]), ("fd02::/64", OUTSIDE[6]))]
        router = Router(place, ports=SHARED, name="pool" if pool else "shared",
                        before=routes + ([f"set pfplane nat pg1 pool {pool}"] if pool else []))
        for family in (4, 6):
            inside, outside = INSIDE[family], OUTSIDE[family]
            sent = one(router.send("pg0", [p.udp(inside, outside, 1000, 53)], any_source=True)["pg1"], "out")
            source, port = addresses(sent)[0], ports(sent)[0]
            if source != (pool if pool and family == 4 else inside):
                raise Failure(f"source {source}")
            back = one(router.send("pg1", [p.udp(outside, source, 53, port)])["pg0"], "back")
            if addresses(back) != (outside, inside) or ports(back) != (53, 1000):
                raise Failure(f"back: {addresses(back)} {ports(back)}")
        if router.cli("show pfplane states").count("vrf 5 inside, 0 outside") != 2:
            raise Failure(router.cli("show pfplane states"))
        # Without a state there is no way into the VRF.
        router.expect("pg1", [p.udp(OUTSIDE[4], INSIDE[4], 5, 6)], 0, ("policy drops a first packet", 1))
        router.stop()


def test_numbers(place):
    """Numbers that pfsync cannot send, and VRFs that are made too late."""
    router = Router(place, before=["create packet-generator interface pg2", "ip table add 70000",
                                   "set interface ip table pg2 70000"])
    if "is in VRF 70000" not in router.cli("set pfplane interface pg2 inside"):
        raise Failure("VRF 70000 is accepted")
    router.succeed("ip table add 7")
    router.succeed("set interface ip table pg2 7")
    router.succeed("set pfplane interface pg2 inside")
    if "VRF 7 did not exist" not in router.cli("show logging"):
        raise Failure("no hint at VRF 7: " + router.cli("show logging"))
    # An interface that gets such a number later passes nothing.
    router.cli("set interface ip table pg2 70000")
    router.cli("set interface state pg2 up")
    router.cli("set interface ip address pg2 10.7.0.1/24")
    router.send("pg2", [p.udp("10.7.0.10", OUTSIDE[4], 1, 2)])
    if counted(router, 4, "its id above 65535") != 1:
        raise Failure("a packet in VRF 70000: " + router.cli("show errors"))
    router.stop()


def replicating(place, name, number):
    sync = [f"set interface ip address pg4 10.9.0.{number}/24", "set pfplane sync pg4",
            f"set pfplane peer 10.9.0.{43 - number} source 10.9.0.{number}",
            f"set ip neighbor pg4 10.9.0.{43 - number} 02:00:00:00:00:09"]
    router = Router(place, name=name, ports=TWICE + ((9, "pg4"),), before=sync)
    for command in SECOND:
        router.succeed(command)
    return router


def test_replication(place):
    """The peer keeps the connections of two VRFs apart, and refuses those of a VRF that it does not have."""
    a, b = replicating(place, "a", 21), replicating(place, "b", 22)
    for family in (4, 6):
        inside, outside = INSIDE[family], OUTSIDE[family]
        frames = []
        for number, (near, far) in enumerate((("pg0", "pg1"), ("pg2", "pg3"))):
            begin = 1000 + number * (1 << 30)
            for port, packet in ((near, p.tcp(inside, outside, 2000, 80, p.SYN, begin)),
                                 (far, p.tcp(outside, inside, 80, 2000, p.SYN | p.ACK, 7, begin + 1)),
                                 (near, p.tcp(inside, outside, 2000, 80, p.ACK, begin + 1, 8))):
                frames += a.send(port, [packet], any_source=True)["pg4"]
        frames = [frame for frame in frames if frame[0] >> 4 == 4 and frame[9] == p.PFSYNC]
        b.send("pg4", frames)
    a.kill()
    b.wait(lambda: b.states() == 4, 5, f"4 states, not {b.states()}")
    for family in (4, 6):
        inside, outside = INSIDE[family], OUTSIDE[family]
        for number, (near, far) in enumerate((("pg0", "pg1"), ("pg2", "pg3"))):
            begin = 1000 + number * (1 << 30)
            leaving(b, far, [p.tcp(outside, inside, 80, 2000, p.ACK, 8, begin + 1, data=b"x" * 100)], near)
            leaving(b, near, [p.tcp(inside, outside, 2000, 80, p.ACK, begin + 1, 108)], far)
            wrong = 1000 + (1 - number) * (1 << 30)
            leaving(b, near, [p.tcp(inside, outside, 2000, 80, p.ACK, wrong + 1, 108, data=b"y")], None)
    b.stop()
    # The same frames at a node without VRF 5.
    without = ["set interface ip address pg2 10.9.0.22/24", "set pfplane sync pg2",
               "set pfplane peer 10.9.0.21 source 10.9.0.22"]
    c = Router(place, name="c", ports=((1, "pg0"), (2, "pg1"), (9, "pg2")), before=without)
    c.send("pg2", frames)
    c.wait(lambda: "imports_refused_routing_table" in c.cli("show pfplane errors"), 5, "refusal")
    if c.states() != 1:
        raise Failure(f"{c.states()} states, not 1: {c.cli('show pfplane errors')}")
    c.stop()


TESTS = [
    ("VRFs: equal addresses in two of them, both families", test_equal_addresses),
    ("VRFs: packets of two in one frame", test_one_frame),
    ("VRFs: connections between two, with and without a pool", test_between_two),
    ("VRFs: numbers that cannot be replicated", test_numbers),
    ("VRFs: replication keeps them apart, and refuses unknown ones", test_replication),
]
