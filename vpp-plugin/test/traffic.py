#!/usr/bin/env python3
"""Ends of TCP connections that live for long, and a stranger on a link. Run inside a namespace:

    traffic.py server ADDRESS PORT                  echoes
    traffic.py client ADDRESS PORT COUNT SECONDS    opens COUNT connections and sends on all of them ten times a second
    traffic.py stranger INTERFACE NAMESPACE SECONDS sends each pfsync frame that arrives again from the link's other end in NAMESPACE,
                                                    as it was and with a changed bit

The client prints "open N" when all are open, then "round N" after each round in which every connection that is left got its
echo, at the end "alive N". A connection without an echo for SILENCE_S is lost.
"""
import ctypes
import selectors
import socket
import sys
import time

SILENCE_S = 5.0
ROUND_S = 0.1
ETH_P_ALL, PFSYNC, IP_END = 3, 240, 34


def serve(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(512)
    listener.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    print("listening", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                selector.register(connection, selectors.EVENT_READ)
                continue
            try:
                data = key.fileobj.recv(4096)
                if data:
                    key.fileobj.sendall(data)
                    continue
            except OSError:
                pass
            selector.unregister(key.fileobj)
            key.fileobj.close()


def exchange(connection, number):
    """Sends a number and waits for its echo."""
    try:
        wanted = b"%08d" % number
        connection.sendall(wanted)
        received = b""
        while len(received) < len(wanted):
            data = connection.recv(len(wanted) - len(received))
            if not data:
                return False
            received += data
        return received == wanted
    except OSError:
        return False


def client(address, port, count, seconds):
    connections = []
    for _ in range(count):
        try:
            connection = socket.create_connection((address, port), timeout=SILENCE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.append(connection)
        except OSError as error:
            print(f"connect: {error}", flush=True)
    print(f"open {len(connections)}", flush=True)
    number, end = 0, time.monotonic() + seconds
    while time.monotonic() < end and connections:
        started = time.monotonic()
        deadline = started + SILENCE_S
        number += 1
        left = []
        for connection in connections:
            connection.settimeout(max(0.2, deadline - time.monotonic()))
            if exchange(connection, number):
                left.append(connection)
            else:
                connection.close()
        connections = left
        print(f"round {number}", flush=True)
        time.sleep(max(0.0, ROUND_S - (time.monotonic() - started)))
    print(f"alive {len(connections)}", flush=True)


def packet_socket(interface):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.bind((interface, ETH_P_ALL))
    wire.settimeout(0.2)
    return wire


def stranger(interface, namespace, seconds):
    arriving = packet_socket(interface)
    with open(f"/run/netns/{namespace}") as other:
        if ctypes.CDLL(None, use_errno=True).setns(other.fileno(), 0) != 0:
            raise SystemExit("setns")
    leaving = packet_socket(interface)
    frames, end, ours = 0, time.monotonic() + seconds, []
    while time.monotonic() < end:
        try:
            frame, address = arriving.recvfrom(4096)
        except socket.timeout:
            continue
        if address[2] == socket.PACKET_OUTGOING or frame[12:14] != b"\x08\x00" or frame[23] != PFSYNC:
            continue
        if frame in ours:
            ours.remove(frame)
            continue
        frames += 1
        changed, bit = bytearray(frame), 8 * IP_END + frames * 37 % (8 * (len(frame) - IP_END))
        changed[bit // 8] ^= 1 << bit % 8
        for again in (frame, bytes(changed)):
            leaving.send(again)
            ours.append(again)
    print(f"frames {frames}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "stranger":
        stranger(sys.argv[2], sys.argv[3], float(sys.argv[4]))
    elif sys.argv[1] == "server":
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        client(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
