"""ha-firewall, the DPDK example, in the place of a VPP of a pair."""
import json
import os
import signal
import socket
import subprocess
import time

from vpp import Failure


class Firewall:
    """The same calls as a `Vpp` has, as far as a pair uses them."""

    kind = "ha-firewall"

    def __init__(self, place, name, namespace, program):
        self.place, self.name, self.namespace, self.program = place, name, namespace, program
        self.run = os.path.join(place.folder, name)
        self.process = None

    def start(self, number, sync):
        """Starts it as node `number` of a pair; `sync`: multicast, None for no replication, or how a VPP names it as a sealed peer.

        It answers no ARP on its sync port, so VPP reaches it by pfsync's group, or by an entry for its MAC address."""
        os.makedirs(self.run, exist_ok=True)
        rules, control = os.path.join(self.run, "rules"), os.path.join(self.run, "control")
        with open(rules, "w") as file:
            file.write("block all\npass in proto tcp from any to any\npass in proto icmp from any to any\n"
                       "pass in inet6 proto icmp6 from any to any\n")
        if os.path.exists(control):
            os.remove(control)
        ports = [f"--vdev=net_af_packet{index},iface={name},framecnt=4096" for index, name in enumerate(("in", "out", "sync"))]
        command = ["ip", "netns", "exec", self.namespace, self.program, "-l", "0", "--no-huge", "-m", "256", "--no-pci",
                   "--no-telemetry", "--log-level=error", "--file-prefix", f"{self.place.prefix}{self.name}", *ports, "--",
                   "--inside", "0", "--outside", "1", "--inside-mac", f"02:fe:00:00:0{number}:00",
                   "--outside-mac", f"02:fe:00:00:0{number}:01", "--rules", rules, "--control", control, "--states", "10000",
                   "--role", "master"]
        for side, net in (("inside", 1), ("outside", 2)):
            command += [f"--{side}-address", f"10.{net}.0.{number}/24", f"--{side}-address", f"fd0{net}::{number}/64"]
        if sync:
            command += ["--sync", "2", "--sync-address", f"10.9.0.{number}"]
            if "key-file" in sync:
                command += ["--sync-peer", sync.split()[0], "--seal-key", sync.split()[-1]]
        else:
            command += ["--no-sync"]
        self.output = open(os.path.join(self.run, "output"), "ab")
        self.process = subprocess.Popen(command, stdout=self.output, stderr=self.output, stdin=subprocess.DEVNULL)
        self.place.processes.append(self)
        self.wait(lambda: os.path.exists(control) and "states" in self.request("status"), 20, "control socket")

    def request(self, command):
        """Sends a command to the control socket and returns the answer's fields."""
        try:
            with socket.socket(socket.AF_UNIX) as control:
                control.settimeout(5)
                control.connect(os.path.join(self.run, "control"))
                control.sendall(f"{command}\n".encode())
                return json.loads(control.makefile().readline())
        except (OSError, ValueError):
            return {}

    def states(self):
        return self.request("status").get("states", 0)

    def is_ready(self):
        return self.request("status").get("ready") is True

    def describe(self):
        counters = self.request("stats")
        return json.dumps({part: {name: value for name, value in values.items() if value}
                           for part, values in counters.items() if isinstance(values, dict)})

    def wait(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failure(f"ha-firewall ended with {self.process.returncode}: see {self.run}/output")
            if condition():
                return
            time.sleep(0.1)
        raise Failure(f"{self.name}: no {what} after {seconds} s: {self.describe()}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
