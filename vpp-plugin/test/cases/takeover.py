"""Death of a node under real TCP, and the interface that shows VPP's vrrp whether this node may take over."""
import os

from pair import Connections, takeover
from router import Router
from vpp import PLUGINS, Failure

COUNT = 20
UNICAST = "10.9.0.{other}"
PORTS = ((1, "pg0"), (2, "pg1"), (9, "pg2"))
LOOPBACK = ["create loopback interface instance 7", "set interface ip address loop7 10.99.0.1/32", "set pfplane ready loop7"]
VRRP = ["vrrp vr add pg0 vr_id 5 priority 200 10.1.0.99", "vrrp vr track-if add pg0 vr_id 5 track-index 5 priority 150"]
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


def is_up(router):
    line = next(line for line in router.cli("show interface").splitlines() if line.startswith("loop7"))
    return line.split()[2] == "up"


def adjusted(router):
    """Returns the priority that vrrp advertises."""
    words = router.cli("show vrrp vr").split()
    return int(words[words.index("adjusted") + 1])


def test_tracking(place):
    plugins = PLUGINS + ["vrrp"]
    # The peer never answers, so that this node lacks its states for as long as the test takes.
    router = Router(place, plugins=plugins, ports=PORTS, before=LOOPBACK + ["set pfplane sync pg2", "set pfplane peer 10.9.0.10"])
    index = next(line.split()[1] for line in router.cli("show interface").splitlines() if line.startswith("loop7"))
    router.succeed(VRRP[0])
    router.succeed(VRRP[1].replace("track-index 5", f"track-index {index}"))
    if is_up(router) or adjusted(router) != 50:
        raise Failure("not ready: " + router.cli("show pfplane sync") + router.cli("show interface") + router.cli("show vrrp vr"))
    router.succeed("pfplane disable")
    router.succeed("set pfplane peer clear")
    router.succeed("pfplane enable states 1000")
    router.wait(lambda: is_up(router) and adjusted(router) == 200, 5, "readiness without a peer: " + router.cli("show vrrp vr"))
    router.succeed("pfplane disable")
    router.wait(lambda: not is_up(router) and adjusted(router) == 50, 5, "loopback that is down")
    if "deleted" in router.cli("delete loopback interface intfc loop7") or router.cli("pfplane enable").strip():
        raise Failure("the loopback was deleted: " + router.cli("show pfplane"))
    router.stop()


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
    ("readiness switches a loopback, which vrrp tracks", test_tracking),
]
