"""Where the tests run: VPP's folders, namespaces, and their removal."""
import glob
import os
import shutil
import subprocess
import tempfile


def run(*command, check=True):
    result = subprocess.run(command, capture_output=True, text=True)
    if check and result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {result.stdout}{result.stderr}")
    return result.stdout


class Place:
    def __init__(self, vpp_prefix, plugin_folder):
        self.vpp_prefix, self.plugin_folder = vpp_prefix, plugin_folder
        folders = glob.glob(os.path.join(vpp_prefix, "lib", "*", "vpp_plugins")) + \
            glob.glob(os.path.join(vpp_prefix, "lib", "vpp_plugins"))
        if not folders:
            raise SystemExit(f"{vpp_prefix} has no folder vpp_plugins")
        self.vpp_plugin_folder = folders[0]
        self.environment = dict(os.environ, LD_LIBRARY_PATH=os.path.dirname(folders[0]))
        self.prefix = f"pfpv{os.getpid()}"
        self.folder = tempfile.mkdtemp(prefix="pfplane-vpp-")
        self.namespaces, self.processes = [], []

    def program(self, name):
        return os.path.join(self.vpp_prefix, "bin", name)

    def namespace(self, name):
        """Makes a namespace without IPv6 autoconfiguration."""
        full = f"{self.prefix}{name}"
        run("ip", "netns", "add", full)
        self.namespaces.append(full)
        inside = ("ip", "netns", "exec", full)
        run(*inside, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        run(*inside, "ip", "link", "set", "lo", "up")
        return full

    def link(self, one, one_name, two, two_name):
        """Joins two namespaces. Checksum offload is off, because af_packet passes frames on as they are. GSO stays on: without it VPP
        26.06 sends nothing through af_packet."""
        run("ip", "link", "add", one_name, "netns", one, "type", "veth", "peer", "name", two_name, "netns", two)
        for namespace, name in ((one, one_name), (two, two_name)):
            inside = ("ip", "netns", "exec", namespace)
            run(*inside, "ethtool", "-K", name, "tx", "off", "rx", "off", "tso", "off", "gro", "off",
                check=False)
            run(*inside, "ip", "link", "set", name, "up")

    def clean(self):
        """Ends every process and removes every namespace of these tests."""
        for process in self.processes:
            if process.process.poll() is None:
                process.process.kill()
                process.process.wait()
        for name in self.namespaces:
            run("ip", "netns", "del", name, check=False)
        self.namespaces, self.processes = [], []

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
