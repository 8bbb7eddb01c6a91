"""Two VPPs: the frames that one sends reach the other, which then knows the connection."""
import packets as p
from router import INSIDE, OUTSIDE, Router
from vpp import Failure

PORTS = ((1, "pg0"), (2, "pg1"), (9, "pg2"))


def node(place, name, peer, number):
    """A router whose third port is the sync link. The address that both share is the first one of each test port."""
    sync = ["set interface ip address pg2 10.9.0.%d/24" % (number + 20), "set pfplane sync pg2",
            f"set pfplane peer {peer} source 10.9.0.{number + 20}"]
    for other in (21, 22):
        sync.append(f"set ip neighbor pg2 10.9.0.{other} 02:00:00:00:00:09")
    return Router(place, name=name, ports=PORTS, before=sync)


def replicate(place, peers, with_frames):
    a, b = node(place, "a", peers[0], 1), node(place, "b", peers[1], 2)
    for family in (4, 6):
        inside, outside = INSIDE[family], OUTSIDE[family]
        frames = a.send("pg0", [p.tcp(inside, outside, 2000, 80, p.SYN, 100)])["pg2"]
        frames += a.send("pg1", [p.tcp(outside, inside, 80, 2000, p.SYN | p.ACK, 500, 101)])["pg2"]
        frames += a.send("pg0", [p.tcp(inside, outside, 2000, 80, p.ACK, 101, 501)])["pg2"]
        frames = [frame for frame in frames if frame[9] == p.PFSYNC]
        if not frames:
            raise Failure("no frames: " + a.cli("show pfplane sync"))
        if with_frames:
            b.send("pg2", frames)
    a.kill()
    for family in (4, 6):
        inside, outside = INSIDE[family], OUTSIDE[family]
        count = 1 if with_frames else 0
        b.expect("pg1", [p.tcp(outside, inside, 80, 2000, p.ACK, 501, 101, data=b"x" * 100)], count)
        b.expect("pg0", [p.tcp(inside, outside, 2000, 80, p.ACK, 101, 601)], count)
    b.stop()


def test_unicast(place):
    replicate(place, ("10.9.0.22", "10.9.0.21"), True)


def test_multicast(place):
    replicate(place, ("multicast", "multicast"), True)


def test_without_frames(place):
    replicate(place, ("10.9.0.22", "10.9.0.21"), False)


TESTS = [
    ("replication: connections of a killed VPP go on in its peer", test_unicast),
    ("replication by pfsync's group", test_multicast),
    ("without the frames they do not", test_without_frames),
]
