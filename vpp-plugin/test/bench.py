#!/usr/bin/env python3
"""Clocks a packet of the node that looks up connections, in one VPP process on one core: this plugin's, and those of VPP's own plugins
on the same packets.

Usage: ./x bench vpp [OPTIONS] [NAME...]     NAME: pfplane, pfplane-nat, acl, nat44-ed, sfdp; default: all that are installed

  --flows N     a number of flows, 1000 to 1500000; may be repeated (default: 10000 and 1000000)
  --rounds N    streams measured for each number (default 3); the fastest one counts
  --help        this text

The packets are UDP from a packet generator, of flows that all have a state, in random order and vectors of 256. The other plugins know no TCP
windows, so TCP would not compare more.
"""
import argparse
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from place import Place
from vpp import Failure, Vpp

NEXT_HOP, DESTINATION, PORTS = "172.16.1.2", "16.0.0.1", 257
PACKETS = 3000000
# ip4-lookup of a VPP that was compiled with optimization takes 10 to 20 clocks a packet.
MAX_OPTIMIZED_CLOCKS = 40
STARTUP = {
    "acl": "acl-plugin {{ connection count max SESSIONS connection hash buckets 1048576 }}",
    "sfdp_services": "sfdp {{ sessions-log2 21 }}",
}
SFDP = ["sfdp tenant add 1 context 1", "set sfdp services tenant 1 sfdp-l4-lifecycle ip4-lookup forward",
        "set sfdp services tenant 1 sfdp-l4-lifecycle ip4-lookup reverse", "set sfdp timeout tenant 1 embryonic 300",
        "set sfdp interface-input pg0 tenant 1"]
PFPLANE = ["pfplane enable states 1600000", "set pfplane interface pg0 inside", "set pfplane policy pg0 pass",
           "set pfplane interface pg1 outside"]
# Name: VPP's plugin, commands, and the nodes that are the price of the state.
CASES = {
    "none": (None, [], []),
    "pfplane": ("pfplane", PFPLANE, ["pfplane-lookup-ip4", "ip4-sv-reassembly-feature"]),
    "pfplane-nat": ("pfplane", ["set pfplane nat pg1 pool 172.16.1.3 - 172.16.1.130 ports 1024 - 65535"] + PFPLANE,
                    ["pfplane-lookup-ip4", "ip4-sv-reassembly-feature"]),
    "acl": ("acl", ["set acl-plugin acl permit+reflect src 0.0.0.0/0 dst 0.0.0.0/0", "set acl-plugin interface pg0 input acl 0"],
            ["acl-plugin-in-ip4-fa"]),
    "nat44-ed": ("nat", ["nat44 plugin enable sessions 1600000", "nat44 add address 172.16.1.3 - 172.16.1.60",
                         "set interface nat44 in pg0 out pg1"],
                 ["nat44-ed-in2out", "nat-pre-in2out", "ip4-sv-reassembly-feature"]),
    "sfdp": ("sfdp_services", SFDP, ["sfdp-lookup-ip4", "sfdp-interface-input-ip4", "sfdp-l4-lifecycle"]),
}


class Bench(Vpp):
    def __init__(self, place, name, flows):
        plugin, commands, self.nodes = CASES[name]
        super().__init__(place, f"bench-{name}-{flows}", plugins=[plugin] if plugin else ["pfplane"])
        self.config = self.config.replace(" poll-sleep-usec 100", "").replace("main-heap-size 256M", "main-heap-size 3G")
        self.config = self.config.replace("size 32M", "size 512M")
        self.config += STARTUP.get(plugin, "").replace("SESSIONS", str(max(2 * flows, 100000))) + "\n"
        self.hosts = flows // PORTS
        self.ports_made = [f"create packet-generator interface pg{number}" for number in range(2)]
        set_up = ["set interface state pg0 up", "set interface state pg1 up", "set interface ip address pg0 172.16.0.1/24",
                  "set interface ip address pg1 172.16.1.1/24", f"set ip neighbor static pg1 {NEXT_HOP} 02:00:00:00:00:02",
                  f"ip route add 16.0.0.0/8 via {NEXT_HOP} pg1"]
        shutil.rmtree(self.run, ignore_errors=True)
        self.start(self.ports_made + set_up + commands, None)

    def stream(self, name, limit, order):
        """Sends packets until the limit ends the stream. Order -: every flow once; +: random."""
        last = 0x0A010000 + self.hosts - 1
        last = ".".join(str(last >> shift & 255) for shift in (24, 16, 8, 0))
        output = self.cli(f"packet-generator new {{ name {name} limit {limit} size 64-64 interface pg0 node ip4-input data {{ "
                          f"UDP: 10.1.0.0 {order} {last} -> {DESTINATION} UDP: 1024 {order} {1023 + PORTS} -> 80 incrementing 36 }} }}")
        if output.strip():
            raise Failure(output)
        self.cli("clear runtime")
        self.cli(f"packet-generator enable-stream {name}")
        self.wait(lambda: re.search(rf"^{name}\s+No", self.cli("show packet-generator"), re.MULTILINE), 120, "end of the stream")
        shown = self.cli("show runtime")
        self.cli(f"packet-generator delete {name}")
        return shown

    def clocks(self, shown, node):
        """Returns clocks a packet and packets of a node."""
        for line in shown.splitlines():
            fields = line.split()
            if len(fields) >= 6 and fields[0] == node and float(fields[-4]) > 0:
                return float(fields[-2]), int(fields[-4])
        return 0.0, 0

    def measure(self, rounds):
        """Returns clocks a packet of all nodes of the case, and of ip4-lookup, in the fastest round."""
        everyone = self.hosts * PORTS
        self.stream("warm-up", 2 * everyone, "-")
        best = None
        for number in range(rounds):
            shown = self.stream(f"round{number}", PACKETS, "+")
            parts = {node: self.clocks(shown, node) for node in self.nodes}
            if self.nodes and parts[self.nodes[0]][1] < PACKETS * 9 // 10:
                raise Failure(f"{self.name}: {self.nodes[0]} saw {parts[self.nodes[0]][1]} of {PACKETS} packets: {shown}")
            lookup, left = self.clocks(shown, "ip4-lookup")
            if left < PACKETS * 9 // 10:
                raise Failure(f"{self.name}: {left} of {PACKETS} packets passed: {self.cli('show errors')}")
            total = sum(clocks * packets / PACKETS for clocks, packets in parts.values())
            best = min(best, (total, lookup)) if best else (total, lookup)
        return best


def parse(arguments):
    parser = argparse.ArgumentParser(add_help=False, usage="./x bench vpp [OPTIONS] [NAME...]; --help lists them")
    parser.add_argument("prefix")
    parser.add_argument("plugins")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--flows", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_intermixed_args(arguments)
    options.flows = options.flows or [10000, 1000000]
    if any(not 1000 <= flows <= 1500000 for flows in options.flows) or not 1 <= options.rounds <= 100:
        parser.error("--flows: 1000 to 1500000, --rounds: 1 to 100")
    for name in options.names:
        if name not in CASES:
            parser.error(f"unknown name {name}; known: {' '.join(list(CASES)[1:])}")
    return options


def main():
    if "--help" in sys.argv:
        print(__doc__, end="")
        return 0
    options = parse(sys.argv[1:])
    place = Place(options.prefix, options.plugins)
    wanted = ["none"] + (options.names or list(CASES)[1:])
    try:
        print(f"{'case':14}{'flows':>10}{'clocks a packet':>18}{'pfplane is':>14}")
        for flows in options.flows:
            ours = {}
            for name in dict.fromkeys(wanted):
                plugin = CASES[name][0]
                if plugin and plugin != "pfplane" and not os.path.exists(os.path.join(place.vpp_plugin_folder, f"{plugin}_plugin.so")):
                    print(f"{name:14}{'SKIPPED: this VPP has no ' + plugin + '_plugin.so'}")
                    continue
                bench = Bench(place, name, flows)
                total, lookup = bench.measure(options.rounds)
                bench.kill()
                if name == "none":
                    print(f"{'ip4-lookup':14}{bench.hosts * PORTS:10}{lookup:18.0f}")
                    if lookup > MAX_OPTIMIZED_CLOCKS:
                        print("  This VPP's vnet library was compiled without optimization: the nodes that live in it (sfdp), and what\n"
                              "  the plugins call in it, take longer than in a release of VPP.")
                    continue
                ours[name] = total
                beside = ours.get("pfplane-nat" if name == "nat44-ed" else "pfplane")
                compared = f"{beside / total:13.2f}x" if beside and not name.startswith("pfplane") else ""
                print(f"{name:14}{bench.hosts * PORTS:10}{total:18.0f}{compared}", flush=True)
    except Failure as failure:
        print(f"bench: {failure}\nlogs: {place.folder}", file=sys.stderr)
        return 1
    finally:
        place.clean()
    place.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
