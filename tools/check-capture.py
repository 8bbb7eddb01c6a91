#!/usr/bin/env python3
"""Checks every pfsync frame of a capture, and counts the messages.

usage: check-capture.py FILE.pcap [--json]

Checks frames of OpenBSD's version 6 over IPv4, in classic pcap files of Ethernet or raw IP, and the trailers of pfplane nodes
behind them. Uses only Python's standard library and shares no code with the library that it checks, so it has no keys.

Exit status: 0 if every pfsync frame is well formed, 1 if one is malformed (each is listed), 2 if the file cannot be read
or has no pfsync frame.
"""

import collections
import ipaddress
import json
import struct
import sys

PROTOCOL = 240
GROUP = ipaddress.IPv4Address("224.0.0.240")
GROUP_MAC = bytes.fromhex("01005e0000f0")
LINK_ETHERNET, LINK_RAW = 1, 101
VERSION = 6
HEADER, SUBHEADER = 20, 4
TRAILER, TAG, TRAILER_MAGIC = 32, 16, b"\xd5pfs"

# action: name, bytes of one message
ACTIONS = {
    0: ("CLR", 20),
    2: ("INS_ACK", 12),
    4: ("UPD_C", 84),
    5: ("UPD_REQ", 12),
    6: ("DEL", 264),
    7: ("DEL_C", 12),
    10: ("BUS", 12),
    13: ("INS", 264),
    14: ("UPD", 264),
    15: ("TDB", 52),
}
FAMILIES = (2, 24)  # IPv4, and IPv6 as OpenBSD numbers it
MAX_TIMEOUT = 19
MAX_PEER_STATE = 12


class Malformed(Exception):
    """What is wrong with a frame."""


def require(condition, text):
    if not condition:
        raise Malformed(text)


def frames(path):
    """Yields (number, link type, bytes) of each packet of a classic pcap file; numbers start at 1, as in Wireshark."""
    with open(path, "rb") as file:
        head = file.read(24)
        if len(head) < 24:
            raise ValueError("too short for a pcap file")
        magic = head[:4]
        orders = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}
        if magic not in orders:
            raise ValueError("not a classic pcap file")
        order = orders[magic]
        link = struct.unpack(order + "I", head[20:24])[0] & 0xFFFF
        if link not in (LINK_ETHERNET, LINK_RAW):
            raise ValueError(f"link type {link} is neither Ethernet nor raw IP")
        number = 0
        while record := file.read(16):
            if len(record) < 16:
                raise ValueError("the file ends inside a record header")
            kept, length = struct.unpack(order + "II", record[8:])
            data = file.read(kept)
            if len(data) < kept:
                raise ValueError("the file ends inside a packet")
            if kept != length:
                raise ValueError("packets were cut while recording; record with -s 0")
            number += 1
            yield number, link, data


def ip_packet(link, frame):
    """Returns the IP packet of a frame, or None. Checks the destination MAC of packets to the group."""
    if link == LINK_RAW:
        return frame
    require(len(frame) >= 14, "shorter than an Ethernet header")
    if frame[12:14] != b"\x08\x00":
        return None
    packet = frame[14:]
    if len(packet) >= 20 and packet[9] == PROTOCOL and packet[16:20] == GROUP.packed:
        require(frame[:6] == GROUP_MAC, f"sent to the group, but to the MAC {frame[:6].hex(':')}")
    return packet


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def payload(packet):
    """Checks the IPv4 header and returns the payload, or None for another protocol."""
    require(len(packet) >= 20, "shorter than an IPv4 header")
    if packet[0] >> 4 != 4 or packet[9] != PROTOCOL:
        return None
    head = (packet[0] & 15) * 4
    total, = struct.unpack(">H", packet[2:4])
    require(head >= 20 and head <= total <= len(packet), f"IP lengths {head}, {total} do not fit {len(packet)} bytes")
    fragment, = struct.unpack(">H", packet[6:8])
    require(packet[8] == 255, f"TTL is {packet[8]}, not 255")
    require(fragment == 0x4000, f"flags and fragment offset are {fragment:#06x}, not don't-fragment alone")
    require(checksum(packet[:head]) == 0xFFFF, "wrong IP header checksum")
    source = ipaddress.IPv4Address(packet[12:16])
    require(not source.is_multicast and int(source) != 0, f"the source address is {source}")
    return packet[head:total]


def check_identity(raw_id, creator, zero_means_all=False):
    if zero_means_all and raw_id == bytes(8) and creator == bytes(4):
        return
    require(creator != bytes(4), "the creator id is zero")


def check_name(name, field):
    text, _, _ = name.partition(b"\0")
    require(len(text) < len(name), f"{field} has no NUL")
    require(all(32 < byte < 127 for byte in text), f"{field} is not printable")


def check_peer(peer):
    require(peer[3] in (0, 1), f"scrub flag {peer[3]}")
    require(peer[24] <= MAX_PEER_STATE, f"peer state {peer[24]}")
    require(peer[26:32] == bytes(6), "the padding of a peer is not zero")


def check_key(key, state_family):
    family = key[38]
    require(family in FAMILIES, f"the address family of a key is {family}")
    require(state_family is None or family == state_family, "the wire key's family differs from the state's")
    if family == 2:
        require(key[4:16] == bytes(12) and key[20:32] == bytes(12), "bytes after an IPv4 address are not zero")


def check_state(message):
    check_identity(message[0:8], message[236:240])
    check_name(message[8:24], "the interface name")
    check_key(message[24:64], message[250])
    check_key(message[64:104], None)
    check_peer(message[104:136])
    check_peer(message[136:168])
    require(message[252] in (1, 2), f"direction {message[252]}")
    require(message[255] <= MAX_TIMEOUT, f"timeout class {message[255]}")


def check_update(message):
    check_identity(message[0:8], message[72:76])
    check_peer(message[8:40])
    check_peer(message[40:72])
    require(message[80] <= MAX_TIMEOUT, f"timeout class {message[80]}")


def check_bulk_status(message):
    require(message[8] in (1, 2), f"bulk status {message[8]}")
    check_identity(bytes(8), message[0:4])


CHECKS = {
    "CLR": lambda message: check_name(message[0:16], "the interface name"),
    "INS_ACK": lambda message: check_identity(message[0:8], message[8:12]),
    "UPD_C": check_update,
    "UPD_REQ": lambda message: check_identity(message[0:8], message[8:12], zero_means_all=True),
    "DEL": check_state,
    "DEL_C": lambda message: check_identity(message[0:8], message[8:12]),
    "BUS": check_bulk_status,
    "INS": check_state,
    "UPD": check_state,
    "TDB": lambda message: require(message[:4] != bytes(4), "the SPI is zero"),
}


def check_trailer(data):
    """Checks the trailer behind a frame, and returns how the frame is protected: 0 not, 1 sealed, 2 encrypted."""
    require(len(data) >= TRAILER and data[:4] == TRAILER_MAGIC, f"{len(data)} bytes behind the length are no trailer")
    protection, options = data[4] & 15, struct.unpack(">H", data[28:30])[0]
    require(data[4] >> 4 == 1 and protection <= 2, f"trailer format {data[4]:#04x}")
    tag = TAG if protection else 0
    require(len(data) == TRAILER + options + tag, "the trailer does not end with the packet")
    require(protection == 0 or any(data[-TAG:]), "the tag is zero")
    require(protection == 0 or data[5] != 0 and any(data[16:24]), "a sealed frame has no key or no number")
    at = TRAILER
    while at < TRAILER + options:
        kind, zero, length = struct.unpack(">BBH", data[at : at + 4])
        require(kind != 0 and zero == 0, f"option {kind}, {zero}")
        at += 4 + (length + 3) // 4 * 4
    require(at == TRAILER + options, "an option does not fit into the trailer")
    return protection


def regions(data):
    """Yields (name, messages) of each region of a pfsync payload. Checks every byte of the framing."""
    require(len(data) >= HEADER, "shorter than the pfsync header")
    version, pad, length = struct.unpack(">BBH", data[:4])
    require(version == VERSION, f"version {version}")
    require(pad == 0, f"the header's padding is {pad}")
    require(HEADER <= length <= len(data), f"the length is {length}, but the payload has {len(data)} bytes")
    at = HEADER
    require(at < length or length < len(data), "the frame has neither a region nor a trailer")
    if length < len(data):
        yield "sealed" if check_trailer(data[length:]) else "trailer", []
    while at < length:
        require(length - at >= SUBHEADER, f"{length - at} bytes after the last region")
        action, words, count = struct.unpack(">BBH", data[at : at + SUBHEADER])
        require(action in ACTIONS, f"action {action}")
        name, size = ACTIONS[action]
        require(words * 4 == size, f"{name} has {words * 4} bytes, not {size}")
        require(count > 0, f"a region of {name} is empty")
        at += SUBHEADER
        require(at + size * count <= length, f"{count} {name} do not fit")
        yield name, [data[at + n * size : at + (n + 1) * size] for n in range(count)]
        at += size * count


def read(path):
    """Returns the numbers of frames and of other packets, the messages by name, and the faults."""
    frame_count, other_count = 0, 0
    messages, faults = collections.Counter(), []
    for number, link, frame in frames(path):
        try:
            packet = ip_packet(link, frame)
            data = None if packet is None else payload(packet)
            if data is None:
                other_count += 1
                continue
            frame_count += 1
            for name, region in regions(data):
                messages[name] += len(region) or 1
                for message in region:
                    CHECKS[name](message)
        except Malformed as error:
            faults.append(f"frame {number}: {error}")
    return frame_count, other_count, messages, faults


def main():
    as_json = "--json" in sys.argv
    paths = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    if len(paths) != 1 or "--help" in sys.argv:
        print(__doc__.strip())
        return 0 if "--help" in sys.argv else 2
    try:
        frame_count, other_count, messages, faults = read(paths[0])
    except (OSError, ValueError) as error:
        print(f"cannot read {paths[0]}: {error}")
        return 2
    if as_json:
        print(json.dumps({"frames": frame_count, "others": other_count, "messages": messages, "malformed": faults}))
    else:
        counted = ", ".join(f"{name} {count}" for name, count in messages.most_common())
        print(f"{frame_count} pfsync frames, {len(faults)} malformed; {counted or 'no messages'}")
        print("\n".join(faults[:20]))
    if frame_count == 0 and not faults:
        return 2
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
