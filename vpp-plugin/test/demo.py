#!/usr/bin/env python3
"""Two VPPs replicate their states to each other. One is killed under real TCP connections; the other continues them.

Usage: ./x demo --vpp [OPTIONS]        (as root: it creates network namespaces and deletes them at the end)

  --without-sync     no replication: all connections must be lost, which shows that the demonstration can fail
  --with FIREWALL    the second node is ha-firewall: FIREWALL is its path, such as c-examples/build/ha-firewall
  --kill-firewall    with --with: ha-firewall has the traffic and is killed, and VPP continues the connections
  --multicast        frames are sent to pfsync's group, not to the other node's address; always with --with
  --nat              translate the IPv4 connections (not with --with)
  --connections N    TCP connections, half IPv4 and half IPv6 (default 40)
  --seconds N        how long the connections exchange data (default 12)
  --help             this text

The two VPPs elect which of them has the shared addresses, so nobody tells the second one to take over. With ha-firewall, and with
--without-sync, the demonstration itself routes the traffic to the other node.

Exit status: 0 when all connections go on (--without-sync: when none does), 1 otherwise, 2 when it could not run.
"""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from pair import takeover
from place import Place
from vpp import Failure


NAT = ["set pfplane nat host-out pool 192.0.2.50 - 192.0.2.53"]


def parse(arguments):
    parser = argparse.ArgumentParser(add_help=False, usage="./x demo --vpp [OPTIONS]; --help lists them")
    parser.add_argument("prefix")
    parser.add_argument("plugins")
    parser.add_argument("--without-sync", action="store_true")
    parser.add_argument("--with", dest="firewall")
    parser.add_argument("--kill-firewall", action="store_true")
    parser.add_argument("--multicast", action="store_true")
    parser.add_argument("--nat", action="store_true")
    parser.add_argument("--connections", type=int, default=40)
    parser.add_argument("--seconds", type=int, default=12)
    options = parser.parse_args(arguments)
    if options.kill_firewall and not options.firewall:
        parser.error("--kill-firewall needs --with")
    if options.nat and options.firewall:
        parser.error("--nat and --with exclude each other")
    if options.firewall and not os.access(options.firewall, os.X_OK):
        parser.error(f"{options.firewall} is no program: make -C c-examples ha-firewall")
    if not 2 <= options.connections <= 1000 or not 2 <= options.seconds <= 600:
        parser.error("--connections: 2 to 1000, --seconds: 2 to 600")
    return options


def main():
    if "--help" in sys.argv:
        print(__doc__, end="")
        return 0
    options = parse(sys.argv[1:])
    place, begin = Place(options.prefix, options.plugins), time.monotonic()

    def report(line):
        print(f"{time.monotonic() - begin:6.1f} s  {line}", flush=True)

    count = options.connections // 2
    peer = None if options.without_sync else "multicast" if options.multicast or options.firewall else "10.9.0.{other}"
    routed = options.without_sync or options.firewall
    if not routed and not options.multicast:
        peer += " extensions"
    try:
        _, alive = takeover(place, peer, with_sync=not options.without_sync, count=count, firewall=options.firewall,
                            first="b" if options.kill_firewall else "a", seconds=options.seconds,
                            more=NAT if options.nat else (), report=report, election=None if routed else "preempt")
    except (Failure, RuntimeError) as failure:
        print(f"demo: {failure}\nlogs: {place.folder}", file=sys.stderr)
        return 2
    finally:
        place.clean()
    place.remove()
    report(f"{alive} of {2 * count} connections go on")
    wanted = 0 if options.without_sync else 2 * count
    print("PASSED" if alive == wanted else f"FAILED: {wanted} must go on", flush=True)
    return alive != wanted


if __name__ == "__main__":
    sys.exit(main())
