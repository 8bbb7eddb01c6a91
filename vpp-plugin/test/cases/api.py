"""The binary API: every message does what its command does, and wrong ones are refused."""
import os
import struct

import packets as p
from api_client import Client
from router import INSIDE, OUTSIDE, Router
from vpp import Failure

NOBODY = 0xFFFFFFFF
DENY, PASS, ACLS = 0, 1, 2
INSIDE_SIDE, OUTSIDE_SIDE, NO_SIDE = 1, 2, 0
OPENBSD6, VRRP3 = 1, 3
EAGAIN, SYN_SENT = -165, 2
INIT, BACKUP, MASTER, SILENCE = 0, 1, 2, 4
LOADING, SYNCED = 0, 2


def configured(router):
    """Returns the lines of `show pfplane` that the configuration determines."""
    return [line for line in router.cli("show pfplane").splitlines() if "thread" not in line]


def indexes(router):
    """Returns the sw_if_index of each interface."""
    words = (line.split() for line in router.cli("show interface").splitlines() if line and not line[0].isspace())
    return {fields[0]: int(fields[1]) for fields in words if len(fields) > 2 and fields[1].isdigit()}


def connect(place, router):
    # The build writes the .api.json files beside the folder of the plugin.
    build = os.path.dirname(os.path.dirname(os.path.abspath(place.plugin_folder)))
    return Client(os.path.join(router.run, "api.sock"), build)


def test_messages(place):
    router = Router(place, ports=((1, "pg0"), (2, "pg1"), (9, "pg2")),
                    before=["set acl-plugin acl permit+reflect src 0.0.0.0/0 dst 0.0.0.0/0"])
    by_commands = configured(router)
    router.succeed("pfplane disable")
    router.succeed("set pfplane interface pg0 disable")
    router.succeed("set pfplane interface pg1 disable")
    client, index = connect(place, router), indexes(router)

    client.succeed("pfplane_enable_disable", enable=1, states_per_worker=10000, host_id=0x1234)
    client.refuse("pfplane_enable_disable", enable=1)
    client.succeed("pfplane_interface_set", sw_if_index=index["pg0"], side=INSIDE_SIDE)
    client.succeed("pfplane_interface_set", sw_if_index=index["pg1"], side=OUTSIDE_SIDE)
    client.succeed("pfplane_policy_set", sw_if_index=index["pg0"], policy=PASS)
    if configured(router) != by_commands:
        raise Failure(f"by messages {configured(router)}, by commands {by_commands}")
    router.expect("pg0", [p.udp(INSIDE[4], OUTSIDE[4], 1000, 53)], 1, ("policy passes with a state", 1))
    router.wait(lambda: client.succeed("pfplane_get")["states"] == 1, 3, "state in pfplane_get")
    shown = client.succeed("pfplane_get")
    wanted = {"enabled": 1, "ready": 1, "host_id": 0x1234, "lanes": 1, "states_per_lane": 10000}
    if {name: shown[name] for name in wanted} != wanted or shown["memory_bytes"] == 0:
        raise Failure(f"pfplane_get: {shown}")

    client.succeed("pfplane_policy_set", sw_if_index=index["pg0"], policy=ACLS, count=1, acls=[0])
    client.succeed("pfplane_policy_set", sw_if_index=NOBODY, policy=DENY)
    if "pg0 inside, policy acl 0" not in router.cli("show pfplane") or "to this router, policy deny" not in router.cli("show pfplane"):
        raise Failure("policies: " + router.cli("show pfplane"))
    client.succeed("pfplane_states_clear")
    router.wait(lambda: client.succeed("pfplane_get")["states"] == 0, 3, "end of the states")

    client.refuse("pfplane_sync_set", sw_if_index=index["pg2"])
    client.succeed("pfplane_enable_disable", enable=0)
    client.refuse("pfplane_enable_disable", enable=0)
    client.refuse("pfplane_states_clear")
    client.refuse("pfplane_bulk_request")
    client.succeed("pfplane_sync_set", sw_if_index=index["pg2"])
    client.succeed("pfplane_peer_add", profile=OPENBSD6, address="10.9.0.2", has_source=1, source="10.9.0.1")
    client.succeed("pfplane_peer_add", profile=OPENBSD6, address="::", is_multicast=1)
    client.succeed("pfplane_ready_set", sw_if_index=index["loop99"])
    client.succeed("pfplane_enable_disable", enable=1)
    client.succeed("pfplane_bulk_request")
    if "10.9.0.2" not in router.cli("show pfplane peers") or "IPv6 group" not in router.cli("show pfplane peers"):
        raise Failure("peers: " + router.cli("show pfplane peers"))
    client.succeed("pfplane_enable_disable", enable=0)
    client.succeed("pfplane_peers_clear")
    router.stop()


def test_wrong_messages(place):
    router = Router(place)
    client, index = connect(place, router), indexes(router)
    for wrong in ({"sw_if_index": 999, "side": 1}, {"sw_if_index": index["pg0"], "side": 9}):
        client.refuse("pfplane_interface_set", **wrong)
    for wrong in ({"sw_if_index": 999, "policy": PASS}, {"sw_if_index": index["pg0"], "policy": 9},
                  {"sw_if_index": index["pg0"], "policy": ACLS}, {"sw_if_index": index["pg0"], "policy": ACLS, "count": 1, "acls": [7]}):
        client.refuse("pfplane_policy_set", **wrong)
    # More ACLs than the message holds, up to as many as 32 bits express: VPP drops the message, which gets no reply.
    for count in (1, 64, 65, 0x40000001, NOBODY):
        client.write(client.encode("pfplane_policy_set", {"sw_if_index": index["pg0"], "policy": ACLS, "count": count}))
        client.succeed("pfplane_get")
    client.refuse("pfplane_ready_set", sw_if_index=999)
    client.succeed("pfplane_enable_disable", enable=0)
    client.refuse("pfplane_peer_add", profile=9, address="10.9.0.2")
    client.refuse("pfplane_peer_add", profile=OPENBSD6, address="10.9.0.2", has_source=1, source="::1")
    client.refuse("pfplane_enable_disable", enable=1, states_per_worker=4000000000)
    # Cut short: VPP itself checks the length. A client that leaves in the middle of a message.
    whole = client.encode("pfplane_peer_add", {"profile": OPENBSD6, "address": "10.9.0.2"})
    client.write(whole[:12])
    client.socket.sendall(struct.pack("!QII", 0, len(whole), 0) + whole[:5])
    client.socket.close()
    client = connect(place, router)
    client.succeed("pfplane_enable_disable", enable=1, states_per_worker=1000)
    router.expect("pg0", [p.udp(INSIDE[4], OUTSIDE[4], 1000, 53)], 1)
    router.stop()


def test_states(place):
    """States in parts, by cursor: every one once."""
    router = Router(place)
    client = connect(place, router)
    count = 600
    for start in range(0, count, 200):
        router.expect("pg0", [p.udp(INSIDE[4], OUTSIDE[4], 1000 + start + number, 53) for number in range(200)], 200)
    router.expect("pg0", [p.tcp(INSIDE[6], OUTSIDE[6], 1000, 80, p.SYN, 1)], 1)
    for wanted in (0, 100):
        ports, cursor, parts = [], 0, 0
        while True:
            details, reply = client.stream("pfplane_states", cursor=cursor, max=wanted)
            ports += [state["client_port"] for state in details if state["proto"] == p.UDP]
            parts, cursor = parts + 1, reply["cursor"]
            if len(details) > (wanted or 256):
                raise Failure(f"{len(details)} states in a part")
            if reply["retval"] != EAGAIN:
                break
        if reply["retval"] != 0 or sorted(ports) != list(range(1000, 1000 + count)) or parts != (7 if wanted else 3):
            raise Failure(f"{len(ports)} states in {parts} parts: {reply}")
    last = [state for state in client.stream("pfplane_states", cursor=cursor - 1)[0] if state["proto"] == p.TCP] or \
        [state for state in details if state["proto"] == p.TCP]
    fields = {name: last[0][name] for name in ("client", "client_port", "server", "server_port", "direction", "acl", "imported",
                                               "local_traffic", "translated", "client_state")}
    if fields != {"client": INSIDE[6], "client_port": 1000, "server": OUTSIDE[6], "server_port": 80, "direction": 1, "acl": NOBODY,
                  "imported": 0, "local_traffic": 1, "translated": 0, "client_state": SYN_SENT}:
        raise Failure(f"state {last}")
    for cursor in (1 << 32, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF00000000):
        details, reply = client.stream("pfplane_states", cursor=cursor)
        if details or reply["retval"] != 0:
            raise Failure(f"cursor {cursor:x}: {len(details)} states, {reply}")
    client.succeed("pfplane_enable_disable", enable=0)
    if client.stream("pfplane_states")[1]["retval"] >= 0:
        raise Failure("states while disabled")
    router.stop()


def test_election(place):
    """Groups by messages, and the events of readiness and roles."""
    router = Router(place, before=["set pfplane group 0 priority 200 interval-ms 100", "set pfplane group 0 member pg0 id 7 address 10.1.0.99"])
    shown = router.cli("show pfplane election").splitlines()[0]
    client, index = connect(place, router), indexes(router)
    client.succeed("pfplane_enable_disable", enable=0)
    client.succeed("pfplane_groups_clear")
    if client.call("pfplane_group_get", group=0)["retval"] >= 0:
        raise Failure("there is no group")
    client.refuse("pfplane_group_set", group=8, dialect=VRRP3, priority=100, interval_ms=100)
    client.refuse("pfplane_group_set", group=0, dialect=9, priority=100, interval_ms=100)
    client.refuse("pfplane_group_set", group=0, dialect=VRRP3, priority=0, interval_ms=100)
    client.refuse("pfplane_group_set", group=0, dialect=1, priority=1, interval_ms=1000, passphrase_file="/nonexistent")
    client.succeed("pfplane_group_set", group=0, dialect=VRRP3, priority=200, interval_ms=100)
    member = {"group": 0, "sw_if_index": index["pg0"], "id": 7}
    client.refuse("pfplane_group_member_add", **member)
    client.refuse("pfplane_group_member_add", **member, shared=2, count=1, addresses=["10.1.0.99"])
    client.refuse("pfplane_group_member_add", **{**member, "sw_if_index": 999}, shared=1, count=1, addresses=["10.1.0.99"])
    client.refuse("pfplane_group_member_add", **member, shared=2, count=2, addresses=["10.1.0.99", "fd01::1"])
    for count in (1, 80, 81, NOBODY):
        client.write(client.encode("pfplane_group_member_add", {**member, "shared": 1, "count": count}))
        client.succeed("pfplane_get")
    client.succeed("pfplane_group_member_add", **member, shared=1, count=1, addresses=["10.1.0.99"])
    if router.cli("show pfplane election").splitlines()[0] != shown:
        raise Failure(f"by messages {router.cli('show pfplane election')}, by commands {shown}")

    client.succeed("want_pfplane_events", enable_disable=1, pid=77)
    client.refuse("want_pfplane_events", enable_disable=1, pid=77)
    client.succeed("pfplane_enable_disable", enable=1)
    wanted = [{"kind": 0, "before": LOADING, "now": SYNCED, "may_take_over": 1}, {"kind": 1, "before": INIT, "now": BACKUP},
              {"kind": 1, "before": BACKUP, "now": MASTER, "why": SILENCE}]
    for fields in wanted:
        event = client.event()
        if {name: event[name] for name in fields} != fields or event["pid"] != 77:
            raise Failure(f"event {event}, wanted {fields}")
    if {name: client.succeed("pfplane_group_get")[name] for name in ("role", "forwards", "readiness")} != \
            {"role": MASTER, "forwards": 1, "readiness": 0}:
        raise Failure(f"{client.succeed('pfplane_group_get')}")
    client.succeed("pfplane_demote", weight=NOBODY, reason="upstream")
    if (client.event()["now"], client.refuse("pfplane_demote", weight=1)["retval"] < 0) != (INIT, True):
        raise Failure("no end of the role")
    client.succeed("pfplane_demote", weight=0, reason="upstream")
    router.wait(lambda: client.succeed("pfplane_group_get")["role"] == MASTER, 5, "master")
    client.succeed("pfplane_step_down", hold_ms=1000)
    router.wait(lambda: client.succeed("pfplane_group_get")["role"] == BACKUP, 2, "step down")
    client.succeed("want_pfplane_events", enable_disable=0, pid=77)
    # A client that leaves without a word.
    second = connect(place, router)
    second.succeed("want_pfplane_events", enable_disable=1, pid=78)
    second.socket.close()
    client.succeed("pfplane_enable_disable", enable=0)
    client.refuse("pfplane_step_down", hold_ms=1)
    client.succeed("pfplane_enable_disable", enable=1)
    client.events.clear()
    client.succeed("pfplane_get")
    if client.events:
        raise Failure(f"events after the end: {client.events}")
    router.stop()


TESTS = [
    ("binary API: states by cursor", test_states),
    ("binary API: groups of the election, and events", test_election),
    ("binary API: every message, as its command", test_messages),
    ("binary API: wrong messages are refused", test_wrong_messages),
]
