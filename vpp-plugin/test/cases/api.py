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
OPENBSD6 = 1


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


TESTS = [
    ("binary API: every message, as its command", test_messages),
    ("binary API: wrong messages are refused", test_wrong_messages),
]
