"""A VPP whose two interfaces are packet generators: exact packets in, packets and counters out."""
import os
import shutil
import time

from packets import packed, read_pcap, write_pcap
from vpp import Failure, Vpp

INSIDE = {4: "10.1.0.10", 6: "fd01::10"}
OUTSIDE = {4: "10.2.0.10", 6: "fd02::10"}
ROUTER = {4: "10.1.0.1", 6: "fd01::1"}
# What VPP sends by itself, as router advertisements, has another source.
ENDS = {packed(address) for address in [*INSIDE.values(), *OUTSIDE.values()]}


def source_of(packet):
    return packet[12:16] if packet[0] >> 4 == 4 else packet[8:24]


class Router(Vpp):
    def __init__(self, place, policy="pass", enable="pfplane enable states 10000", plugins=None, workers=0, before=(), name="router",
                 ports=((1, "pg0"), (2, "pg1"))):
        super().__init__(place, name, plugins=plugins, workers=workers)
        commands = []
        for number, port, *vrf in ports:
            commands += [f"create packet-generator interface {port}", f"set interface state {port} up"]
            for table in vrf:
                commands += [f"ip table add {table}", f"ip6 table add {table}", f"set interface ip table {port} {table}",
                             f"set interface ip6 table {port} {table}"]
            commands += [f"set interface ip address {port} 10.{number}.0.1/24",
                         f"set interface ip address {port} fd0{number}::1/64",
                         f"set ip neighbor {port} 10.{number}.0.10 02:00:00:00:00:0{number}",
                         f"set ip neighbor {port} fd0{number}::10 02:00:00:00:00:0{number}"]
        commands += list(before)
        commands += [enable, "set pfplane interface pg0 inside", f"set pfplane policy pg0 {policy}",
                     "set pfplane interface pg1 outside"]
        self.streams, self.port_count = 0, len(ports)
        shutil.rmtree(self.run, ignore_errors=True)
        self.start(commands, None)

    def send(self, port, packets, family=None, worker=0, node=None, any_source=False):
        """Sends packets into a port as if they had arrived there, and returns what left by each port, from the two ends unless
        `any_source`."""
        return self.send_together({port: packets}, family, worker, node, any_source)

    def send_together(self, of_ports, family=None, worker=0, node=None, any_source=False):
        """As `send`, for packets of several ports in one frame of the node."""
        self.streams += 1
        name = f"stream{self.streams}"
        all_ports = [f"pg{number}" for number in range(self.port_count)]
        for direction in all_ports:
            path = self.path(name, direction)
            self.cli(f"packet-generator capture {direction} pcap {path}")
        for port, packets in of_ports.items():
            family = family or (packets[0][0] >> 4)
            source = os.path.join(self.run, f"{name}.{port}.in.pcap")
            write_pcap(source, packets)
            output = self.cli(f"packet-generator new {{ name {name}{port} limit {len(packets)} interface {port} "
                              f"worker {worker} node {node or f'ip{family}-input'} pcap {source} }}").strip()
            if output:
                raise Failure(f"{name}: {output}")
        self.cli("packet-generator enable-stream" if len(of_ports) > 1 else f"packet-generator enable-stream {name}{port}")
        self.wait(lambda: name not in self.cli("show packet-generator") or
                  f"{len(packets)}" in self.cli(f"show packet-generator"), 5, "end of the stream")
        time.sleep(0.1)
        for port in of_ports:
            self.cli(f"packet-generator delete {name}{port}")
        left = {}
        for direction in all_ports:
            self.cli(f"packet-generator capture {direction} disable")
            path = self.path(name, direction)
            captured = read_pcap(path) if os.path.exists(path) else []
            left[direction] = captured if any_source or direction == "pg2" else [p for p in captured if source_of(p) in ENDS]
        return left

    def path(self, stream, port):
        return os.path.join(self.run, f"{stream}.{port}.pcap")

    def expect(self, port, packets, out, counter=None, family=None):
        """Sends packets and checks how many leave by the other port, and what a counter of the lookup node gains."""
        family = family or (packets[0][0] >> 4)
        node = f"pfplane-lookup-ip{family}"
        before = self.counter(node, counter[0]) if counter else 0
        left = self.send(port, packets, family)
        other = "pg1" if port == "pg0" else "pg0"
        if len(left[other]) != out:
            raise Failure(f"{len(left[other])} packets left by {other}, not {out}: {self.cli('show errors')}")
        if counter:
            gained = self.counter(node, counter[0]) - before
            if gained != counter[1]:
                raise Failure(f"'{counter[0]}' gained {gained}, not {counter[1]}: {self.cli('show errors')}")
        return left
