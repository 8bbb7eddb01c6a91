"""What must not end a VPP: changes under traffic, a worker that stands still, a peer that floods."""
import ctypes
import os
import re
import resource
import time

import packets as p
from cases.recorded import PORTS, recorded
from pair import Connections, Pair
from router import INSIDE, OUTSIDE, Router
from vpp import Failure

WORKERS = 2
PTRACE_ATTACH, PTRACE_DETACH, WAIT_ALL = 16, 17, 0x40000000
STALL_S = 1.0


def begin_traffic(router, flows=2000, rate=40000):
    """Streams without end on both ports, which arrive at both workers: first packets and replies."""
    for number, (port, source, destination, ports) in enumerate((
            ("pg0", INSIDE[4], OUTSIDE[4], "1024 - {} -> 53"), ("pg1", OUTSIDE[4], INSIDE[4], "53 -> 1024 - {}"))):
        ports = ports.format(1024 + flows - 1)
        output = router.cli(f"packet-generator new {{ name endless{number} interface {port} rate {rate} worker {number % WORKERS} "
                            f"node ip4-input size 60-60 data {{ UDP: {source} -> {destination} UDP: {ports} "
                            "length 40 checksum 0 incrementing 32 } }").strip()
        if output:
            raise Failure(output)
    router.cli("packet-generator enable-stream")


def end_traffic(router):
    router.cli("packet-generator disable-stream")
    for number in range(2):
        router.cli(f"packet-generator delete endless{number}")


def works(router):
    """New connections pass in both families."""
    for family in (4, 6):
        router.expect("pg0", [p.udp(INSIDE[family], OUTSIDE[family], 700, 7)], 1)
        router.expect("pg1", [p.udp(OUTSIDE[family], INSIDE[family], 7, 700)], 1)


def passed(router):
    return router.counter("pfplane-lookup-ip4", "packets passed by a state")


def test_changes_under_traffic(place):
    router = Router(place, workers=WORKERS)
    begin_traffic(router)
    router.wait(lambda: passed(router) > 1000, 10, "traffic")
    for _ in range(5):
        for command in ("pfplane disable", "pfplane enable states 10000", "set pfplane interface pg0 disable",
                        "set pfplane interface pg0 inside", "set pfplane policy pg0 pass", "set pfplane interface pg1 disable",
                        "set pfplane interface pg1 outside", "clear pfplane states"):
            router.succeed(command)
        for command in ("set interface state pg1 down", "set interface state pg1 up"):
            router.cli(command)
    before = passed(router)
    router.wait(lambda: passed(router) > before + 1000, 10, "traffic after the changes")
    end_traffic(router)
    for port, number in (("pg0", 1), ("pg1", 2)):
        router.cli(f"set ip neighbor {port} 10.{number}.0.10 02:00:00:00:00:0{number}")
        router.cli(f"set ip neighbor {port} fd0{number}::10 02:00:00:00:00:0{number}")
    works(router)
    router.stop()


def thread_of(process, name):
    folder = f"/proc/{process.pid}/task"
    for task in os.listdir(folder):
        with open(f"{folder}/{task}/comm") as file:
            if file.read().strip() == name:
                return int(task)
    raise Failure(f"VPP has no thread {name}")


def stall(thread, seconds):
    """Stops one thread, as a host that gives its core to others does."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(PTRACE_ATTACH, thread, None, None) != 0:
        raise Failure(f"ptrace: {os.strerror(ctypes.get_errno())}")
    libc.waitpid(thread, None, WAIT_ALL)
    time.sleep(seconds)
    libc.ptrace(PTRACE_DETACH, thread, None, None)


def test_stalled_worker(place):
    router = Router(place, workers=WORKERS)
    begin_traffic(router)
    router.wait(lambda: passed(router) > 1000, 10, "traffic")
    # No command runs in that time: VPP ends itself when a command waits for a worker for longer than a second.
    stall(thread_of(router.process, "vpp_wk_1"), STALL_S)
    time.sleep(0.2)
    if router.counter("pfplane-lookup-ip4", "queue of another thread is full") == 0:
        raise Failure("no packet was for the worker that stood still: " + router.cli("show errors"))
    before, polls = passed(router), router.counter("pfplane-poll", "polls")
    router.wait(lambda: passed(router) > before + 1000 and router.counter("pfplane-poll", "polls") > polls + 100, 10,
                "traffic and polls after the stall")
    end_traffic(router)
    works(router)
    router.stop()


def test_flooding_peer(place):
    # The frames arrive at worker 1, which hands them to worker 0.
    router = Router(place, ports=PORTS, workers=WORKERS,
                    before=["set interface ip address pg2 192.0.2.9/24", "set pfplane sync pg2", "set pfplane peer multicast"])
    frames = [frame for name in ("ins", "del_c", "clr", "bulk_request") for frame in recorded("openbsd", name)[0]]
    damaged = [frame[:20] + bytes(byte ^ (number * 7 + at) % 256 if (number + at) % 5 == 0 else byte
                                  for at, byte in enumerate(frame[20:])) for number, frame in enumerate(frames)]
    path = os.path.join(router.run, "flood.pcap")
    p.write_pcap(path, frames + damaged)
    output = router.cli(f"packet-generator new {{ name flood limit 200000 interface pg2 worker 1 node ip4-input pcap {path} }}")
    if output.strip():
        raise Failure(output)
    router.cli("packet-generator enable-stream flood")

    def received():
        return router.counter("pfplane-sync-ip4", "pfsync packets received")

    router.wait(lambda: received() > 1000, 10, "flood")
    # The library counts what the full queue lost, and the rest is received.
    works(router)
    router.wait(lambda: received() + router.counter("pfplane-sync-ip4", "queue of that thread is full") >= 200000, 60, "end of the flood")
    if router.counter("pfplane-sync-ip4", "handed to the thread of lane 0") == 0:
        raise Failure("no frame arrived at another worker: " + router.cli("show errors"))
    works(router)
    router.stop()


def test_no_memory(place):
    router = Router(place)
    router.succeed("pfplane disable")
    pid = router.process.pid
    with open(f"/proc/{pid}/status") as file:
        mapped = int(re.search(r"VmSize:\s+(\d+) kB", file.read()).group(1)) * 1024
    resource.prlimit(pid, resource.RLIMIT_AS, (mapped + 64 * 1024 * 1024, resource.RLIM_INFINITY))
    output = router.cli("pfplane enable states 4000000")
    if "memory" not in output or "disabled" not in router.cli("show pfplane"):
        raise Failure("without memory: " + output + router.cli("show pfplane"))
    resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    router.succeed("pfplane enable states 10000")
    works(router)
    router.stop()


def test_deleted_interfaces(place):
    pair = Pair(place, "10.9.0.{other}", more=["set pfplane nat host-out pool 192.0.2.50 claim"])
    a, b = pair.nodes["a"], pair.nodes["b"]
    for name in ("a", "b"):
        pair.start(name)
    pair.route("a")
    pair.warm_up()
    connections = Connections(pair, 4, 20, 6)
    connections.until("round 5")
    for interface in ("sync", "in", "out"):
        a.succeed(f"delete host-interface name {interface}")
        time.sleep(0.3)
    shown = a.cli("show pfplane")
    if "inside" in shown or "outside" in shown or "sync interface" in shown or a.cli("show pfplane nat").strip():
        raise Failure("deleted interfaces are configured: " + shown + a.cli("show pfplane nat"))
    if "the sync interface was deleted" not in a.cli("show logging"):
        raise Failure("no warning: " + a.cli("show logging"))
    # The other node has the connections.
    pair.route("b")
    if connections.alive() != 20:
        raise Failure("connections were lost: " + b.describe())
    for node in (a, b):
        node.stop()


TESTS = [
    ("interfaces and the plugin disabled under traffic", test_changes_under_traffic),
    ("memory that cannot be allocated", test_no_memory),
    ("interfaces deleted under traffic", test_deleted_interfaces),
    ("a worker that stands still for a second", test_stalled_worker),
    ("a peer that floods, with damaged frames, at another worker", test_flooding_peer),
]
