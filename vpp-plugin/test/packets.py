"""Packets as bytes, from the IP header on, and files of them."""
import ipaddress
import struct

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
TCP, UDP, ICMP, ICMP6, FRAGMENT_HEADER, PFSYNC = 6, 17, 1, 58, 44, 240


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(address):
    return ipaddress.ip_address(address).packed


def pseudo_header(source, destination, protocol, length):
    source, destination = packed(source), packed(destination)
    if len(source) == 4:
        return source + destination + struct.pack("!BBH", 0, protocol, length)
    return source + destination + struct.pack("!IHBB", length, 0, 0, protocol)


def ip(source, destination, protocol, payload, ttl=64, fragment=None):
    """A packet of the addresses' family. `fragment`: identification, offset in bytes, more follow."""
    if len(packed(source)) == 4:
        identification, offset, more = fragment or (0, 0, False)
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), identification, offset // 8 | more << 13, ttl,
                             protocol, 0) + packed(source) + packed(destination)
        return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload
    if fragment:
        identification, offset, more = fragment
        payload = struct.pack("!BBHI", protocol, 0, offset | more, identification) + payload
        protocol = FRAGMENT_HEADER
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, ttl) + packed(source) + packed(destination) + payload


def with_checksum(source, destination, protocol, segment, position):
    value = checksum(pseudo_header(source, destination, protocol, len(segment)) + segment)
    return segment[:position] + struct.pack("!H", value or 0xFFFF) + segment[position + 2:]


def udp_segment(source, destination, source_port, destination_port, data=b"data"):
    segment = struct.pack("!HHHH", source_port, destination_port, 8 + len(data), 0) + data
    return with_checksum(source, destination, UDP, segment, 6)


def udp(source, destination, source_port, destination_port, data=b"data"):
    return ip(source, destination, UDP, udp_segment(source, destination, source_port, destination_port, data))


def tcp(source, destination, source_port, destination_port, flags, seq, ack=0, window=8192, data=b""):
    segment = struct.pack("!HHIIBBHHH", source_port, destination_port, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 5 << 4, flags,
                          window, 0, 0) + data
    return ip(source, destination, TCP, with_checksum(source, destination, TCP, segment, 16))


def icmp6(source, destination, kind, body, hop_limit=255):
    segment = struct.pack("!BBH", kind, 0, 0) + body
    return ip(source, destination, ICMP6, with_checksum(source, destination, ICMP6, segment, 2), hop_limit)


def fragments(source, destination, protocol, segment, size, identification=7):
    """Cuts a segment into fragments of `size` bytes, a multiple of 8."""
    pieces = [segment[at:at + size] for at in range(0, len(segment), size)]
    return [ip(source, destination, protocol, piece, fragment=(identification, number * size, number + 1 < len(pieces)))
            for number, piece in enumerate(pieces)]


def write_pcap(path, packets):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
        for packet in packets:
            file.write(struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet)


def read_pcap(path, skip=14):
    """Returns the packets of a file without their first bytes; VPP writes an Ethernet header."""
    with open(path, "rb") as file:
        data = file.read()
    order = "<" if data[:4] == b"\xd4\xc3\xb2\xa1" else ">"
    packets, at = [], 24
    while at + 16 <= len(data):
        length, = struct.unpack_from(order + "I", data, at + 8)
        packets.append(data[at + 16 + skip:at + 16 + length])
        at += 16 + length
    return packets
