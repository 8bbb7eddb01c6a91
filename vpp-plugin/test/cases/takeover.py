"""Death of a node under real TCP."""
import os

from pair import Connections, takeover
from vpp import Failure

COUNT = 20
UNICAST = "10.9.0.{other}"
FIREWALL = os.environ.get("FIREWALL", "c-examples/build/ha-firewall")


def connections_continue_on_the_peer(place, peer, **arguments):
    pair, alive = takeover(place, peer, count=COUNT, **arguments)
    if alive != 2 * COUNT:
        raise Failure(f"{alive} of {2 * COUNT} connections go on")
    return pair


def test_unicast(place):
    pair = connections_continue_on_the_peer(place, UNICAST)
    # The survivor opens new connections too, and the returning node gets all states.
    b = pair.nodes["b"]
    connections = Connections(pair, 4, COUNT, 14)
    pair.start("a")
    a = pair.nodes["a"]
    a.wait(lambda: "ready yes: synced" in a.cli("show pfplane sync"), 15, "readiness of a")
    a.wait(lambda: a.states() >= COUNT, 10, "bulk transfer")
    connections.until("round 30")
    pair.route("a")
    alive = connections.alive()
    if alive != COUNT:
        raise Failure(f"{alive} of {COUNT} connections go on after the way back")
    a.stop()
    b.stop()


def test_without_sync(place):
    _, alive = takeover(place, None, with_sync=False, count=COUNT)
    if alive != 0:
        raise Failure(f"{alive} connections go on without replication: the test proves nothing")


def test_firewall_takes_over(place):
    connections_continue_on_the_peer(place, "multicast", firewall=FIREWALL)


def test_firewall_is_killed(place):
    connections_continue_on_the_peer(place, "multicast", firewall=FIREWALL, first="b")


def test_multicast(place):
    connections_continue_on_the_peer(place, "multicast")


def test_ipv6_sync(place):
    connections_continue_on_the_peer(place, "fd09::{other}")


def test_ipv6_multicast(place):
    connections_continue_on_the_peer(place, "multicast6")


def test_translated(place):
    pair = connections_continue_on_the_peer(place, UNICAST, more=["set pfplane nat host-out pool 192.0.2.50 - 192.0.2.53"])
    translated = pair.nodes["b"].cli("show pfplane states max 1000").count("translated")
    if translated < COUNT:
        raise Failure(f"{translated} translated states")


def test_deferred(place):
    pair = connections_continue_on_the_peer(place, UNICAST, options="defer-ms 20")
    b = pair.nodes["b"]
    connections = Connections(pair, 4, COUNT, 2)
    if connections.alive() != COUNT:
        raise Failure("new connections without a peer")
    held, released = (b.counter("pfplane-lookup-ip4", text) for text in ("first packets held", "held packets released"))
    if held < COUNT or released != held:
        raise Failure(f"{held} packets held, {released} released")


MIXED = [
    ("a killed VPP: ha-firewall takes over", test_firewall_takes_over),
    ("a killed ha-firewall: VPP takes over", test_firewall_is_killed),
]
# ha-firewall needs DPDK, which a machine with VPP need not have.
TESTS = (MIXED if os.path.exists(FIREWALL) else []) + [
    ("a killed VPP: all connections go on, and go back when it returns", test_unicast),
    ("without replication all connections die", test_without_sync),
    ("a killed VPP, frames to pfsync's group", test_multicast),
    ("a killed VPP, frames over IPv6", test_ipv6_sync),
    ("a killed VPP, frames to pfsync's IPv6 group", test_ipv6_multicast),
    ("a killed VPP: translated connections go on", test_translated),
    ("a killed VPP, first packets held", test_deferred),
]
