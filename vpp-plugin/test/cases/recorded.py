"""Frames that OpenBSD and FreeBSD made (tests/vectors), as a peer of the VPP would send them."""
import json
import os

import packets as p
from router import Router
from vpp import Failure

VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tests", "vectors")
SYSTEMS = {"openbsd": ("openbsd6", 6), "freebsd1301": ("freebsd1301", 5), "freebsd1400": ("freebsd1400", 5)}
PORTS = ((1, "pg0"), (2, "pg1"), (9, "pg2"))
BULK_MARK, UPDATES = 10, (3, 14)
# States with a field that is out of range.
OUT_OF_RANGE = {"freebsd1301": 2}
PFSYNC_HEADER = 20


def recorded(system, name):
    folder = os.path.join(VECTORS, system, "gen")
    with open(os.path.join(folder, f"{name}.json")) as file:
        described = json.load(file)
    return p.read_pcap(os.path.join(folder, f"{name}.pcap"), skip=0), described["packets"]


def messages(frame):
    """Returns version, and action and count of the first section of a frame."""
    header = frame[20:]
    return header[0], header[PFSYNC_HEADER], int.from_bytes(header[PFSYNC_HEADER + 2:PFSYNC_HEADER + 4], "big")


def uses_table(state):
    """Whether a state names another routing table or routing domain than the default one."""
    tables = state.get("rtableid", -1)
    keys = [key for key in (state["wire"], state["stack"]) if isinstance(key, dict)]
    return any(key.get("rdomain", 0) for key in keys) or \
        any(table not in (-1, 0) for table in (tables if isinstance(tables, list) else [tables]))


def test_system(place, system):
    profile, version = SYSTEMS[system]
    # The peers' address is 192.0.2.1: VPP takes no packets from a source to which it has no route.
    router = Router(place, name=system, ports=PORTS, before=["set interface ip address pg2 192.0.2.9/24", "set pfplane sync pg2",
                                                             f"set pfplane peer multicast profile {profile}"])
    frames, described = recorded(system, "ins")
    router.send("pg2", frames)
    states = [message["state"] for packet in described for section in packet["sections"]
              for message in section.get("messages", ()) if message.get("state")]
    statistics = router.cli("show pfplane errors")
    counters = {line.split()[0]: int(line.split()[1]) for line in statistics.splitlines()}
    found = {name: counters.get(name, 0) for name in ("states_imported", "imports_refused_routing_table", "badval")}
    # VPP has the default VRF only. FreeBSD 13.1's frames do not say the table.
    foreign = 0 if system == "freebsd1301" else sum(uses_table(state) for state in states)
    damaged = OUT_OF_RANGE.get(system, 0)
    wanted = {"states_imported": len(states) - foreign - damaged, "imports_refused_routing_table": foreign, "badval": damaged}
    if found != wanted:
        raise Failure(f"{system}: {found}, wanted {wanted}: {statistics}")

    # The peer requests all states: VPP answers with a mark, the states in the peer's dialect, and a mark.
    requests, _ = recorded(system, "bulk_request")
    answer = [frame for frame in router.send("pg2", requests)["pg2"] if frame[9] == p.PFSYNC]
    seen = [messages(frame) for frame in answer]
    if any(number != version for number, _, _ in seen):
        raise Failure(f"{system}: not all frames have version {version}: {seen}")
    marks = sum(count for _, action, count in seen if action == BULK_MARK)
    updates = sum(count for _, action, count in seen if action in UPDATES)
    if marks < 2 or updates == 0:
        raise Failure(f"{system}: the answer to a bulk request is {seen}")
    router.stop()


TESTS = [(f"recorded frames of {system}: states, and the answer to a bulk request", lambda place, system=system: test_system(place, system))
         for system in SYSTEMS]
