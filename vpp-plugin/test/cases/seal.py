"""Sealed peers: two VPPs that prove themselves to each other, wrong keys, rotation, and frames of a stranger on the link."""
import os

from api_client import Client
from pair import FIREWALL_MAC, Connections, Pair, takeover
from cases.takeover import FIREWALL
from router import Router
from vpp import Failure

UNICAST = "10.9.0.{other} seal require key-file "


def key_file(place, name, *keys, mode=0o600):
    path = os.path.join(place.folder, name)
    with open(path, "w") as file:
        file.write("# of the sync link\n" + "".join(f"{number} {secret * 32}\n" for number, secret in keys))
    os.chmod(path, mode)
    return path


def is_proven(node):
    shown = node.cli("show pfplane sync")
    return ": proven, it accepts this node" in shown


def statistic(node, *names):
    """Returns the sum of the library's statistics by name."""
    fields = (line.split() for line in node.cli("show pfplane errors").splitlines())
    return sum(int(line[1]) for line in fields if line and line[0] in names)


def refused(node):
    """Returns how many frames were refused because of their seal."""
    return statistic(node, "badauth", "seal_missing", "seal_stripped", "seal_format", "seal_key", "seal_replayed")


def test_takeover(place):
    pair, alive = takeover(place, UNICAST + key_file(place, "keys", (1, "a1")))
    b = pair.nodes["b"]
    if alive != 40 or "keys 1, the peer's 1, sent with 1, received with 1" not in b.cli("show pfplane sync"):
        raise Failure(f"{alive} of 40 connections go on: " + b.describe())
    b.stop()


def test_firewall(place):
    """ha-firewall and a VPP prove themselves to each other, and the one that is left continues."""
    for first in ("a", "b"):
        peer = UNICAST + key_file(place, "keys", (1, "a1"))
        more = [f"set ip neighbor host-sync 10.9.0.2 {FIREWALL_MAC}"]
        pair, alive = takeover(place, peer, firewall=FIREWALL, first=first, more=more)
        vpp = pair.nodes["a"]
        if alive != 40 or (first == "b" and "keys 1, the peer's 1, sent with 1, received with 1" not in vpp.cli("show pfplane sync")):
            raise Failure(f"{alive} of 40 connections go on after the death of {first}: " + pair.nodes["b"].describe())
        place.clean()


def test_stranger(place):
    """Every frame that a sends is also sent again, and changed in one bit, as if by a stranger on the link."""
    pair = Pair(place, UNICAST + key_file(place, "keys", (1, "a1")))
    for name in ("a", "b"):
        pair.start(name)
    a, b = pair.nodes["a"], pair.nodes["b"]
    for node in (a, b):
        node.wait(lambda: is_proven(node) and node.is_ready(), 20, "proof: " + node.cli("show pfplane sync"))
    pair.route("a")
    pair.warm_up()
    connections, before = Connections(pair, 4, 20, 6), refused(b)
    stranger = pair.processes("stranger", "sync", a.namespace, 4, where=b.namespace)
    frames = int(stranger.stdout.read().split()[1])
    alive, gained = connections.alive(), refused(b) - before
    if frames < 20 or alive != 20:
        raise Failure(f"{frames} frames, {alive} of 20 connections go on")
    # A bit of the version or of a length makes a frame damaged: that is another cause.
    if gained < 1.8 * frames:
        raise Failure(f"{frames} frames again and changed, {gained} refused: " + b.cli("show pfplane peers") + b.cli("show pfplane errors"))
    if not is_proven(b) or not b.is_ready():
        raise Failure("the stranger ended the replication: " + b.cli("show pfplane sync"))
    a.stop()
    b.stop()


def test_wrong_key(place):
    files = {name: key_file(place, f"{name}.keys", (1, secret)) for name, secret in (("a", "a1"), ("b", "b2"))}
    pair = Pair(place, None)
    for name in ("a", "b"):
        pair.peer = UNICAST + files[name]
        pair.start(name)
    pair.route("a")
    pair.warm_up()
    connections = Connections(pair, 4, 10, 2)
    a, b = pair.nodes["a"], pair.nodes["b"]
    if connections.alive() != 10 or b.states() != 0 or is_proven(a) or is_proven(b) or refused(b) == 0:
        raise Failure(f"{b.states()} states by another key: " + b.cli("show pfplane sync") + b.cli("show pfplane errors"))

    # The right key comes second on both, and replaces the other one without an interruption.
    for name in ("a", "b"):
        key_file(place, f"{name}.keys", (1, {"a": "a1", "b": "b2"}[name]), (2, "cc"))
        pair.nodes[name].succeed("pfplane reload-seal-keys")
    for node in (a, b):
        node.wait(lambda: is_proven(node) and "received with 2" in node.cli("show pfplane sync"), 20,
                  "key 2: " + node.cli("show pfplane sync"))
    for name in ("a", "b"):
        key_file(place, f"{name}.keys", (2, "cc"))
        pair.nodes[name].succeed("pfplane reload-seal-keys")
    if "keys 2, the peer's" not in a.cli("show pfplane sync"):
        raise Failure(a.cli("show pfplane sync"))
    connections = Connections(pair, 4, 10, 2)
    b.wait(lambda: b.states() >= 10, 3, "states by key 2")
    connections.alive()
    a.stop()
    b.stop()


def test_configuration(place):
    good, open_file = key_file(place, "good", (1, "a1")), key_file(place, "open", (1, "a1"), mode=0o644)
    router = Router(place, ports=((1, "pg0"), (2, "pg1"), (9, "pg2")), before=["set pfplane sync pg2"])
    if "no peer is sealed" not in router.cli("pfplane reload-seal-keys"):
        raise Failure(router.cli("pfplane reload-seal-keys"))
    router.succeed("pfplane disable")
    if "not enabled" not in router.cli("pfplane reload-seal-keys"):
        raise Failure(router.cli("pfplane reload-seal-keys"))
    for command, wanted in ((f"set pfplane peer 10.9.0.2 key-file {good}", "a key file a seal"),
                            ("set pfplane peer 10.9.0.2 seal require", "a seal has a key file"),
                            (f"set pfplane peer multicast seal require key-file {good}", "one node"),
                            (f"set pfplane peer 10.9.0.2 seal always key-file {good}", "unknown input")):
        if wanted not in router.cli(command):
            raise Failure(f"{command}: {router.cli(command)}")
    wrong = {"empty": "", "short": "1 " + "a1" * 31, "number": "256 " + "a1" * 32, "hex": "1 " + "g1" * 32,
             "twice": f"1 {'a1' * 32}\n1 {'b2' * 32}", "five": "\n".join(f"{number} {'a1' * 32}" for number in range(1, 6)), "long": "#" * 2000}
    files = {open_file: "chmod 600", "/nonexistent": "No such file"}
    for name, text in wanted_text(place, wrong):
        files[name] = text
    for path, wanted_error in files.items():
        router.succeed(f"set pfplane peer 10.9.0.2 seal require key-file {path}")
        answer = router.cli("pfplane enable")
        if wanted_error not in answer or "disabled" not in router.cli("show pfplane").splitlines()[0]:
            raise Failure(f"{path}: {answer}")
        router.succeed("set pfplane peer clear")
    router.succeed(f"set pfplane peer 10.9.0.2 seal sign key-file {good}")
    router.succeed("pfplane enable")
    if "peer 0 sealed (sign): not proven yet" not in router.cli("show pfplane sync"):
        raise Failure(router.cli("show pfplane sync"))
    build = os.path.dirname(os.path.dirname(os.path.abspath(place.plugin_folder)))
    client = Client(os.path.join(router.run, "api.sock"), build)
    details, reply = client.stream("pfplane_peers")
    if reply["retval"] != 0 or [(peer["address"], peer["seal"], peer["proven"]) for peer in details] != [("10.9.0.2", 1, 0)]:
        raise Failure(f"{details} {reply}")
    client.succeed("pfplane_seal_keys_reload")
    client.succeed("pfplane_enable_disable", enable=0)
    client.refuse("pfplane_seal_keys_reload")
    client.refuse("pfplane_peer_add", profile=1, address="10.9.0.3", seal=2)
    client.refuse("pfplane_peer_add", profile=1, address="10.9.0.3", seal=9, key_file=good)
    client.succeed("pfplane_peers_clear")
    client.succeed("pfplane_peer_add", profile=1, address="10.9.0.2", seal=1, key_file=good)
    client.succeed("pfplane_enable_disable", enable=1)
    again = client.stream("pfplane_peers")[0][0]
    if any(again[name] != details[0][name] for name in ("peer", "profile", "address", "extensions", "seal")):
        raise Failure("by messages: " + router.cli("show pfplane sync"))
    router.stop()


def wanted_text(place, files):
    causes = {"empty": "no key is in it", "short": "64 hex digits", "number": "not a number", "hex": "64 hex digits",
              "twice": "another key has this number", "five": "more than 4 keys", "long": "at most 1024 bytes"}
    for name, text in files.items():
        path = os.path.join(place.folder, f"{name}.wrong")
        with open(path, "w") as file:
            file.write(text + "\n")
        os.chmod(path, 0o600)
        yield path, causes[name]


# ha-firewall needs DPDK, which a machine with VPP need not have.
TESTS = ([("seal: ha-firewall as the sealed peer, either one killed", test_firewall)] if os.path.exists(FIREWALL) else []) + [
    ("seal: configuration, key files, wrong commands", test_configuration),
    ("seal: a killed VPP with a sealed peer", test_takeover),
    ("seal: another key, and rotation of keys", test_wrong_key),
    ("seal: a stranger repeats and changes every frame", test_stranger),
]
