"""The interface that shows VPP's vrrp whether this node may take over."""
from router import Router
from vpp import PLUGINS, Failure

PORTS = ((1, "pg0"), (2, "pg1"), (9, "pg2"))
LOOPBACK = ["create loopback interface instance 7", "set interface ip address loop7 10.99.0.1/32", "set pfplane ready loop7"]
VRRP = ["vrrp vr add pg0 vr_id 5 priority 200 10.1.0.99", "vrrp vr track-if add pg0 vr_id 5 track-index 5 priority 150"]


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


TESTS = [("readiness switches a loopback, which vrrp tracks", test_tracking)]
