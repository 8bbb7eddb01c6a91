"""What the lookup nodes do with exact packets."""
import os
import struct

import packets as p
from router import INSIDE, OUTSIDE, ROUTER, Router
from vpp import PLUGINS, Failure

FAMILIES = (4, 6)


def test_policy_pass(place):
    router = Router(place)
    for family in FAMILIES:
        inside, outside = INSIDE[family], OUTSIDE[family]
        router.expect("pg0", [p.udp(inside, outside, 1000, 53)] * 3, 3, ("policy passes with a state", 3))
        router.expect("pg1", [p.udp(outside, inside, 53, 1000)], 1, ("packets passed by a state", 1))
        router.expect("pg1", [p.udp(outside, inside, 53, 1001)], 0, ("policy drops a first packet", 1))
    if router.states() != 2:
        raise Failure(f"{router.states()} states, not 2")
    if "10.1.0.10:1000 -> 10.2.0.10:53" not in router.cli("show pfplane states"):
        raise Failure("the list of states: " + router.cli("show pfplane states"))
    router.cli("clear pfplane states")
    router.wait(lambda: router.states() == 0, 5, "end of the states")
    router.stop()


def test_acls(place):
    rules = ["set acl-plugin acl permit+reflect src 10.1.0.0/24 dst 10.2.0.0/24 proto 17 dport 53, "
             "permit src 10.1.0.0/24 dst 10.2.0.0/24 proto 17 dport 123",
             "set acl-plugin acl permit src 0.0.0.0/0 dst 0.0.0.0/0 proto 17 dport 7"]
    router = Router(place, policy="acl 0", before=rules)
    inside, outside = INSIDE[4], OUTSIDE[4]
    router.expect("pg0", [p.udp(inside, outside, 1000, 53)] * 3, 3, ("policy passes with a state", 3))
    router.expect("pg1", [p.udp(outside, inside, 53, 1000)], 1)
    router.expect("pg0", [p.udp(inside, outside, 1000, 123)], 1, ("passed by a rule without a state", 1))
    router.expect("pg1", [p.udp(outside, inside, 123, 1000)], 0)
    router.expect("pg0", [p.udp(inside, outside, 1000, 80)], 0, ("policy drops a first packet", 1))
    if "acl 0 rule 0" not in router.cli("show pfplane states"):
        raise Failure("no rule number: " + router.cli("show pfplane states"))
    # To this router: its own policy.
    router.expect("pg0", [p.udp(inside, ROUTER[4], 1000, 53)], 0, ("passed to this router", 1))
    router.succeed("set pfplane policy local acl 1")
    router.expect("pg0", [p.udp(inside, ROUTER[4], 1000, 53)], 0, ("policy drops to this router", 1))
    router.expect("pg0", [p.udp(inside, ROUTER[4], 1000, 7)], 0, ("passed to this router", 1))
    if "there is no ACL 9" not in router.cli("set pfplane policy pg0 acl 9"):
        raise Failure("an ACL that does not exist is accepted")
    router.stop()


def test_without_acl_plugin(place):
    router = Router(place, plugins=[name for name in PLUGINS if name != "acl"])
    if "acl_plugin.so" not in router.cli("set pfplane policy pg0 acl 0"):
        raise Failure("no hint at acl_plugin.so")
    router.expect("pg0", [p.udp(INSIDE[4], OUTSIDE[4], 1, 2)], 1)
    router.stop()


def handshake(router, family, port):
    inside, outside = INSIDE[family], OUTSIDE[family]
    router.expect("pg0", [p.tcp(inside, outside, port, 80, p.SYN, 100)], 1, ("policy passes with a state", 1))
    router.expect("pg1", [p.tcp(outside, inside, 80, port, p.SYN | p.ACK, 500, 101)], 1)
    router.expect("pg0", [p.tcp(inside, outside, port, 80, p.ACK, 101, 501)], 1)


def test_tcp(place):
    router = Router(place)
    for family in FAMILIES:
        inside, outside = INSIDE[family], OUTSIDE[family]
        handshake(router, family, 2000)
        router.expect("pg1", [p.tcp(outside, inside, 80, 2000, p.ACK, 501, 101, data=b"x" * 100)], 1)
        router.expect("pg1", [p.tcp(outside, inside, 80, 2000, p.ACK, 501 + (1 << 30), 101, data=b"x")], 0,
                      ("TCP outside its window", 1))
        # A SYN on the connection: the sender is asked whether the old one is over.
        left = router.expect("pg0", [p.tcp(inside, outside, 2000, 80, p.SYN, 9000)], 0, ("TCP packets answered", 1))
        if len(left["pg0"]) != 1 or router.counter(f"pfplane-lookup-ip{family}", "SYN on an established") != 1:
            raise Failure(f"{len(left['pg0'])} answers to a SYN")
        answer = left["pg0"][0]
        offset = 20 if family == 4 else 40
        if answer[offset:offset + 4] != struct.pack("!HH", 80, 2000) or answer[offset + 13] != p.ACK:
            raise Failure(f"the answer is no ACK of the connection: {answer.hex()}")
        # No SYN, no state.
        router.expect("pg0", [p.tcp(inside, outside, 3000, 80, p.ACK, 1, 1)], 0, ("cannot create a state", 1))
    router.stop()


def test_fragments(place):
    router = Router(place)
    for family in FAMILIES:
        inside, outside = INSIDE[family], OUTSIDE[family]
        segment = p.udp_segment(inside, outside, 4000, 53, b"x" * 2000)
        pieces = p.fragments(inside, outside, p.UDP, segment, 800)
        router.expect("pg0", pieces, 3, ("policy passes with a state", 1))
        router.expect("pg0", p.fragments(inside, outside, p.UDP, segment, 800, 8)[::-1], 3, ("fragments looked up", 3))
        reply = p.udp_segment(outside, inside, 53, 4000, b"y" * 2000)
        router.expect("pg1", p.fragments(outside, inside, p.UDP, reply, 800), 3)
        other = p.udp_segment(outside, inside, 53, 4001, b"y" * 2000)
        router.expect("pg1", p.fragments(outside, inside, p.UDP, other, 800, 9), 0,
                      ("policy drops a first packet", 3))
        # TCP: the first fragment is checked and tracked, later ones are not.
        handshake(router, family, 2000)
        header = 20 if family == 4 else 40
        data = p.tcp(outside, inside, 80, 2000, p.ACK, 501, 101, data=b"z" * 2000)[header:]
        router.expect("pg1", p.fragments(outside, inside, p.TCP, data, 800, 10), 3, ("fragments looked up", 3))
        far = p.tcp(outside, inside, 80, 2000, p.ACK, 501 + (1 << 30), 101, data=b"z" * 2000)[header:]
        router.expect("pg1", p.fragments(outside, inside, p.TCP, far, 800, 11), 2, ("TCP outside its window", 1))
        other = p.tcp(outside, inside, 80, 2001, p.ACK, 501, 101, data=b"z" * 2000)[header:]
        router.expect("pg1", p.fragments(outside, inside, p.TCP, other, 800, 12), 0,
                      ("policy drops a first packet", 3))
    router.stop()


def test_neighbours(place):
    router = Router(place, policy="deny")
    router.succeed("set pfplane policy local deny")
    # Unicast solicitation, as in the probe of a neighbour that is known.
    target = p.packed(ROUTER[6])
    solicitation = p.icmp6(INSIDE[6], ROUTER[6], 135, b"\0\0\0\0" + target + b"\x01\x01\x02\0\0\0\0\x01")
    router.expect("pg0", [solicitation], 0, ("neighbour discovery passed", 1))
    # Echo to the router is not neighbour discovery.
    echo = p.icmp6(INSIDE[6], ROUTER[6], 128, b"\0\x01\0\x01", 64)
    router.expect("pg0", [echo], 0, ("policy drops to this router", 1))
    router.stop()


def test_malformed(place):
    router = Router(place)
    good = p.tcp(INSIDE[4], OUTSIDE[4], 1, 80, p.SYN, 1)
    short = p.ip(INSIDE[4], OUTSIDE[4], p.TCP, good[20:30])
    bad_offset = p.ip(INSIDE[4], OUTSIDE[4], p.TCP, good[20:32] + b"\xf0" + good[33:])
    router.expect("pg0", [short], 0, ("packet ends before its headers do", 1))
    router.expect("pg0", [bad_offset], 0)
    for length in range(40, 60):
        router.send("pg0", [p.ip(INSIDE[6], OUTSIDE[6], 0, os.urandom(length - 40)) if length > 40 else
                            p.ip(INSIDE[6], OUTSIDE[6], p.TCP, b"")])
    router.expect("pg0", [good], 1)
    router.stop()


def test_disable(place):
    router = Router(place)
    out = [p.udp(INSIDE[4], OUTSIDE[4], 1000, 53)]
    unwanted = [p.udp(OUTSIDE[4], INSIDE[4], 5, 6)]
    router.expect("pg0", out, 1)
    router.expect("pg1", unwanted, 0)
    router.succeed("pfplane disable")
    # Nothing is filtered, as before pfplane was enabled.
    router.expect("pg1", unwanted, 1)
    router.succeed("pfplane enable states 1000")
    router.expect("pg1", unwanted, 0, ("policy drops a first packet", 1))
    router.expect("pg0", out, 1, ("policy passes with a state", 1))
    router.succeed("set pfplane interface pg1 disable")
    router.expect("pg1", unwanted, 1)
    for command, hint in (("pfplane enable", "enabled already"), ("pfplane enable states x", "unknown input"),
                          ("set pfplane peer 10.0.0.1", "pfplane disable"), ("set pfplane interface pg9 inside", "unknown"),
                          ("set pfplane interface pg0 inside", "already"), ("set pfplane policy pg0", "give an interface"),
                          ("set pfplane policy pg0 acl", "unknown input")):
        if hint not in router.cli(command):
            raise Failure(f"{command}: {router.cli(command)}")
    router.succeed("pfplane disable")
    if "out of range" not in router.cli("pfplane enable states 4000000000") and \
            "states_per_lane" not in router.cli("pfplane enable states 4000000000"):
        raise Failure("4000000000 states: " + router.cli("pfplane enable states 4000000000"))
    for wrong in ("states max x", "states 5", "sync now", "x"):
        output = router.cli(f"show pfplane {wrong}")
        if "unknown input" not in output or wrong.split()[-1] not in output or "policy" in output:
            raise Failure(f"show pfplane {wrong}: {output}")
    router.succeed("set pfplane peer 10.0.0.1")
    if "sync interface" not in router.cli("pfplane enable"):
        raise Failure("a peer without a sync interface")
    router.stop()


def test_trace(place):
    router = Router(place)
    router.cli("trace add pg-input 10")
    router.expect("pg0", [p.udp(INSIDE[4], OUTSIDE[4], 1000, 53)], 1)
    trace = router.cli("show trace")
    if "UDP 10.1.0.10.1000 -> 10.2.0.10.53" not in trace or "pass, state 0" not in trace:
        raise Failure("trace: " + trace)
    router.stop()


TESTS = [
    ("policy pass: states, replies, unwanted packets, both families", test_policy_pass),
    ("policy by ACLs, and to this router", test_acls),
    ("without acl-plugin", test_without_acl_plugin),
    ("TCP: handshake, windows, challenge ACK, both families", test_tcp),
    ("fragments, both families, in both orders", test_fragments),
    ("neighbour discovery passes a deny policy", test_neighbours),
    ("malformed packets", test_malformed),
    ("disabled, enabled again, wrong commands", test_disable),
    ("packet trace", test_trace),
]
