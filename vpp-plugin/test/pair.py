"""Two nodes beside each other between a client and a server: replication, and what a death costs. A node is a VPP, or
ha-firewall."""
import os
import subprocess
import sys
import time

from firewall import Firewall
from place import run
from vpp import PLUGINS, Failure, Vpp

TRAFFIC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "traffic.py")
PORT = 5001
FIREWALL_MAC = "02:fe:00:00:09:02"  # on the sync link
SHARED = {4: "10.{}.0.254", 6: "fd0{}::fe"}
CLIENT, SERVER = {4: "10.1.0.10", 6: "fd01::10"}, {4: "10.2.0.10", 6: "fd02::10"}


class Pair:
    """Client - bridge - nodes a and b - bridge - server, and a cable between the two nodes. `peer` is the other node's address for
    the pfsync peer, with {other} for its number, or multicast; `firewall` names the program of a node b that is ha-firewall; `more`: commands
    for every VPP; `election`: the nodes share addresses, and node a is the better one, with these settings."""

    def __init__(self, place, peer, firewall=None, more=(), election=None):
        self.place, self.peer, self.more, self.election = place, peer, more, election
        self.client, self.server, self.lan = (place.namespace(name) for name in ("c", "s", "lan"))
        self.nodes = {}
        for bridge in ("inside", "outside"):
            run("ip", "-n", self.lan, "link", "add", bridge, "type", "bridge", "mcast_snooping", "0")
            run("ip", "-n", self.lan, "link", "set", bridge, "up")
        self.attach(self.client, "eth0", "inside", "c")
        self.attach(self.server, "eth0", "outside", "s")
        for name in ("a", "b"):
            namespace = place.namespace(name)
            if firewall and name == "b":
                self.nodes[name] = Firewall(place, name, namespace, firewall)
            else:
                self.nodes[name] = Vpp(place, name, namespace, plugins=PLUGINS + ["af_packet"])
            self.attach(self.nodes[name].namespace, "in", "inside", f"{name}in")
            self.attach(self.nodes[name].namespace, "out", "outside", f"{name}out")
        place.link(self.nodes["a"].namespace, "sync", self.nodes["b"].namespace, "sync")
        if firewall:
            run("ip", "-n", self.nodes["b"].namespace, "link", "set", "sync", "address", FIREWALL_MAC)
        for namespace, net in ((self.client, 1), (self.server, 2)):
            run("ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0",
                "net.ipv6.conf.eth0.disable_ipv6=0")
            run("ip", "-n", namespace, "addr", "add", f"10.{net}.0.10/24", "dev", "eth0")
            run("ip", "-n", namespace, "addr", "add", f"fd0{net}::10/64", "dev", "eth0", "nodad")

    def attach(self, namespace, name, bridge, port):
        self.place.link(namespace, name, self.lan, port)
        run("ip", "-n", self.lan, "link", "set", port, "master", bridge)

    def start(self, name, options=""):
        number, node = 1 if name == "a" else 2, self.nodes[name]
        peer = self.peer.format(other=3 - number) if self.peer else None
        if isinstance(node, Firewall):
            node.start(number, peer)
            return
        commands = []
        for index, (interface, net) in enumerate((("in", "1"), ("out", "2"), ("sync", "9"))):
            host = f"host-{interface}"
            commands += [f"create host-interface name {interface} hw-addr 02:fe:00:00:0{number}:0{index}",
                         f"set interface state {host} up",
                         f"set interface ip address {host} 10.{net}.0.{number}/24",
                         f"set interface ip address {host} fd0{net}::{number}/64"]
        if peer:
            commands += ["set pfplane sync host-sync", f"set pfplane peer {peer}"]
        if self.election is not None:
            settings = f"priority 200 {self.election}" if name == "a" else "priority 100"
            commands.append(f"set pfplane group 0 interval-ms 100 {settings}")
            commands += [f"set pfplane group 0 member host-{interface} id 7 address {SHARED[family].format(net)}"
                         for interface, net in (("in", 1), ("out", 2)) for family in (4, 6)]
        commands += [*self.more, f"pfplane enable states 10000 {options}",
                     "set pfplane interface host-in inside", "set pfplane policy host-in pass",
                     "set pfplane interface host-out outside"]
        node.start(commands, None)
        shown = node.cli("show pfplane")
        if "enabled" not in shown or "host-out outside, policy deny" not in shown:
            raise Failure(f"{name} is not configured: {shown}")

    def route(self, name):
        """Sends the traffic of both ends through one VPP."""
        number = 1 if name == "a" else 2
        for namespace, net in ((self.client, 1), (self.server, 2)):
            run("ip", "-n", namespace, "route", "replace", "default", "via", f"10.{net}.0.{number}")
            run("ip", "-n", namespace, "-6", "route", "replace", "default", "via", f"fd0{net}::{number}")

    def route_shared(self):
        """Sends the traffic of both ends to the shared addresses, whichever node has them."""
        for namespace, net in ((self.client, 1), (self.server, 2)):
            run("ip", "-n", namespace, "route", "replace", "default", "via", SHARED[4].format(net))
            run("ip", "-n", namespace, "-6", "route", "replace", "default", "via", SHARED[6].format(net))

    def warm_up(self):
        """Resolves the neighbours: VPP drops the first packet to one that it does not know."""
        for _ in range(20):
            if all(subprocess.run(["ip", "netns", "exec", self.client, "ping", "-c", "1", "-W", "1", SERVER[family]],
                                  capture_output=True).returncode == 0 for family in (4, 6)):
                return
        raise Failure("no ping through the pair: " + "".join(node.describe() for node in self.nodes.values()))

    def processes(self, *arguments, where):
        process = subprocess.Popen(["ip", "netns", "exec", where, sys.executable, TRAFFIC, *map(str, arguments)],
                                   stdout=subprocess.PIPE, text=True)
        self.place.processes.append(type("Helper", (), {"process": process})())
        return process


class Connections:
    """Connections of one family through the pair."""

    def __init__(self, pair, family, count, seconds):
        self.server = pair.processes("server", SERVER[family], PORT, where=pair.server)
        self.server.stdout.readline()
        self.client = pair.processes("client", SERVER[family], PORT, count, seconds, where=pair.client)
        self.until(f"open {count}")

    def until(self, wanted):
        for line in self.client.stdout:
            if line.strip() == wanted:
                return
            if line.startswith("open") or line.startswith("alive"):
                raise Failure(f"wanted {wanted}, got {line.strip()}")
        raise Failure(f"the client ended before {wanted}")

    def alive(self):
        last = self.client.stdout.read().strip().splitlines()[-1]
        self.client.wait()
        self.server.kill()
        return int(last.split()[1])


def takeover(place, peer, with_sync=True, options="", count=20, firewall=None, first="a", seconds=9, more=(),
             report=lambda line: None, election=None, die=None, meanwhile=lambda node: None):
    """Kills node `first` under 2 * count connections; returns the pair and how many of them go on through the other node. With
    `election` nobody tells the other node. `die` is what to do in place of killing, `meanwhile` what to do after it."""
    pair = Pair(place, peer, firewall, more, election)
    second = "b" if first == "a" else "a"
    dying, survivor = pair.nodes[first], pair.nodes[second]
    for name in ("a", "b"):
        pair.start(name, options)
        report(f"node {name}: {pair.nodes[name].kind}, process {pair.nodes[name].process.pid}")
    if with_sync:
        for node in (dying, survivor):
            node.wait(node.is_ready, 15, "readiness")
        report("both nodes hold each other's states")
    if election is not None:
        dying.wait(dying.is_master, 15, f"master: {dying.cli('show pfplane election')}")
        pair.route_shared()
        pair.warm_up()
        report(f"node {first} is master; the traffic is sent to the shared addresses")
    else:
        for name in (second, first):
            pair.route(name)
            pair.warm_up()
    connections = [Connections(pair, family, count, seconds) for family in (4, 6)]
    report(f"{2 * count} TCP connections are open through node {first}, half IPv4 and half IPv6")
    if with_sync:
        survivor.wait(lambda: survivor.states() >= 2 * count, 5, f"{2 * count} states of the other node")
        report(f"node {second} has {survivor.states()} states")
    for connection in connections:
        connection.until("round 5")
    begin = time.monotonic()
    if die:
        die(dying)
    else:
        dying.kill()
    if election is not None:
        survivor.wait(survivor.is_master, 10, "takeover: " + survivor.cli("show pfplane election"))
        report(f"node {first} is killed (SIGKILL); {1000 * (time.monotonic() - begin):.0f} ms later node {second} is seen as master")
    else:
        pair.route(second)
        report(f"node {first} is killed (SIGKILL); the traffic is routed through node {second}")
    meanwhile(dying)
    alive = sum(connection.alive() for connection in connections)
    return pair, alive
