"""One VPP process with the plugin, in a namespace and a folder of its own."""
import os
import signal
import subprocess
import time

PLUGINS = ["acl", "pfplane"]

CONFIG = """unix {{ nodaemon nosyslog log {run}/vpp.log cli-listen {run}/cli.sock runtime-dir {run} poll-sleep-usec 100
  exec {run}/init.cli }}
memory {{ main-heap-size 256M main-heap-page-size 4k }}
buffers {{ buffers-per-numa 8192 page-size 4k default data-size 2048 }}
statseg {{ socket-name {run}/stats.sock size 32M page-size 4k }}
socksvr {{ socket-name {run}/api.sock }}
api-segment {{ prefix {name} }}
cpu {{ {cpu} }}
plugins {{ plugin default {{ disable }}
  {plugins}
  path {paths} }}
"""


class Failure(Exception):
    """A check that does not hold."""


class Vpp:
    kind = "VPP"

    def __init__(self, place, name, namespace=None, plugins=None, workers=0):
        self.place, self.name, self.namespace, self.workers = place, name, namespace, workers
        self.run = os.path.join(place.folder, name)
        self.plugins = PLUGINS if plugins is None else plugins
        self.process, self.config = None, CONFIG

    def start(self, commands, ready):
        """Starts it with these commands, and waits until the command `ready` works.

        The CLI answers before the commands have run, so a name that the last one makes is waited for.
        """
        os.makedirs(self.run, exist_ok=True)
        for old in ("cli.sock", "api.sock", "stats.sock"):
            if os.path.exists(os.path.join(self.run, old)):
                os.remove(os.path.join(self.run, old))
        with open(os.path.join(self.run, "init.cli"), "w") as file:
            file.write("\n".join(commands + ["create loopback interface instance 99"]) + "\n")
        enabled = "\n  ".join(f"plugin {name}_plugin.so {{ enable }}" for name in self.plugins)
        cpu = f"main-core 0 corelist-workers 1-{self.workers}" if self.workers else "main-core 0"
        config = os.path.join(self.run, "startup.conf")
        with open(config, "w") as file:
            file.write(self.config.format(run=self.run, name=f"{self.place.prefix}{self.name}", cpu=cpu, plugins=enabled,
                                     paths=f"{self.place.plugin_folder}:{self.place.vpp_plugin_folder}"))
        self.output = open(os.path.join(self.run, "output"), "ab")
        command = [self.place.program("vpp"), "-c", config]
        if self.workers:
            command = self.with_more_cores(command)
        if self.namespace:
            command = ["ip", "netns", "exec", self.namespace] + command
        self.process = subprocess.Popen(command, stdout=self.output, stderr=self.output, stdin=subprocess.DEVNULL,
                                        env=self.place.environment)
        self.place.processes.append(self)
        self.wait(lambda: "loop99" in self.cli("show interface", check=False), 30, "the start of VPP")
        if ready:
            self.cli(ready)

    def with_more_cores(self, command):
        """VPP wants a core for each thread: shows it eight, and maps them to those that there are."""
        library, online = os.path.join(self.run, "cores.so"), os.path.join(self.run, "online")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cores.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        with open(online, "w") as file:
            file.write("0-7\n")
        script = f'mount --bind {online} /sys/devices/system/cpu/online && LD_PRELOAD={library} exec "$@"'
        return ["unshare", "-m", "sh", "-c", script, "sh"] + command

    def cli(self, command, check=True):
        """Runs a command and returns its output."""
        if self.process.poll() is not None:
            raise Failure(f"VPP {self.name} ended with {self.process.returncode}: see {self.run}/output")
        result = subprocess.run([self.place.program("vppctl"), "-s", os.path.join(self.run, "cli.sock"), command],
                                capture_output=True, text=True, timeout=30, env=self.place.environment)
        if check and result.returncode != 0:
            raise Failure(f"vppctl {command}: {result.stdout} {result.stderr}")
        return result.stdout.replace("\r", "")

    def succeed(self, command):
        """Runs a command that prints nothing unless it fails."""
        output = self.cli(command).strip()
        if output:
            raise Failure(f"{command}: {output}")

    def counter(self, node, text):
        """Returns a counter of `show errors` by a part of its description."""
        total = 0
        for line in self.cli("show errors").splitlines():
            fields = line.split(None, 2)
            if len(fields) == 3 and fields[1] == node and text in fields[2]:
                total += int(fields[0])
        return total

    def states(self):
        """Returns the number of states."""
        last = self.cli("show pfplane states max 100000").strip().splitlines()[-1]
        return int(last.split()[0])

    def is_ready(self):
        return "ready yes: synced" in self.cli("show pfplane sync")

    def is_master(self):
        return "  master since" in self.cli("show pfplane election")

    def describe(self):
        """Returns what tells most about a failure."""
        return self.cli("show pfplane") + self.cli("show pfplane sync") + self.cli("show errors")

    def wait(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return
            if self.process.poll() is not None:
                raise Failure(f"VPP {self.name} ended with {self.process.returncode}: see {self.run}/output")
            time.sleep(0.1)
        raise Failure(f"{self.name}: no {what} after {seconds} s")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Ends it as an operator does, and checks that it ends well."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
                raise Failure(f"VPP {self.name} does not end") from None
        if self.process.returncode not in (0, -signal.SIGTERM):
            raise Failure(f"VPP {self.name} ended with {self.process.returncode}: see {self.run}/output")
