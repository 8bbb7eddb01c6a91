"""A client of VPP's binary API over its socket, with the messages of the .api.json files."""
import glob
import ipaddress
import json
import os
import socket
import struct

from vpp import Failure

CREATE_CLIENT, CREATED = 15, 16
BASE = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i32": "i", "bool": "B"}
TIMEOUT_S = 10


class Client:
    def __init__(self, path, folder):
        """`path`: VPP's api.sock; `folder`: where .api.json files are, or below."""
        self.formats, self.messages, self.context, self.events = dict(BASE), {}, 0, []
        for file in glob.glob(os.path.join(folder, "**", "pfplane*.api.json"), recursive=True):
            with open(file) as opened:
                self.read(json.load(opened))
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(path)
        self.write(struct.pack("!HI64s", CREATE_CLIENT, 1, b"pfplane-test"))
        reply = self.receive()
        number, _, _, response, self.index, count = struct.unpack_from("!HIIiIH", reply)
        if number != CREATED or response < 0:
            raise Failure(f"VPP accepts no API client: {number}, {response}")
        entries = (struct.unpack_from("!H64s", reply, 20 + 66 * entry) for entry in range(count))
        self.numbers = {name.split(b"\0")[0].decode(): number for number, name in entries}

    def read(self, file):
        for name, *_, options in file["enums"] + file["enumflags"]:
            self.formats[f"vl_api_{name}_t"] = BASE[options["enumtype"]]
        for name, alias in file["aliases"].items():
            if alias["type"] in BASE and "length" not in alias:
                self.formats[f"vl_api_{name}_t"] = BASE[alias["type"]]
        for name, *fields, options in file["messages"]:
            self.messages[name] = (fields, options["crc"])

    def write(self, message):
        self.socket.sendall(struct.pack("!QII", 0, len(message), 0) + message)

    def exactly(self, length):
        data = b""
        while len(data) < length:
            piece = self.socket.recv(length - len(data))
            if not piece:
                raise Failure("VPP closed the API socket")
            data += piece
        return data

    def receive(self):
        _, length, _ = struct.unpack("!QII", self.exactly(16))
        return self.exactly(length)

    def number(self, name):
        return self.numbers[f"{name}_{self.messages[name][1][2:]}"]

    def encode(self, name, values):
        message = b""
        for kind, field, *more in self.messages[name][0]:
            value = values.get(field, 0)
            if field == "_vl_msg_id":
                value = self.number(name)
            elif field == "client_index":
                value = self.index
            elif field == "context":
                value = self.context
            if kind == "vl_api_address_t":
                addresses = (value or ()) if more and isinstance(more[0], int) else [value or "0.0.0.0"]
                for address in map(ipaddress.ip_address, addresses):
                    message += struct.pack("!B16s", address.version == 6, address.packed)
            elif kind == "string":
                message += (value or "").encode().ljust(more[0], b"\0")
            elif kind in ("vl_api_ip4_address_t", "vl_api_ip6_address_t"):
                message += ipaddress.ip_address(value or ("0.0.0.0" if "ip4" in kind else "::")).packed
            elif more and isinstance(more[0], int):
                message += struct.pack(f"!{len(value or ())}{self.formats[kind]}", *(value or ()))
            else:
                message += struct.pack(f"!{self.formats[kind]}", value)
        return message

    def call(self, name, **values):
        """Sends a message and returns the reply's fields."""
        self.context += 1
        return self.call_bytes(name, self.encode(name, values))

    def decode(self, name, message):
        values, at = {}, 0
        for kind, field, *more in self.messages[name][0]:
            if kind == "vl_api_address_t":
                is_ip6, packed = struct.unpack_from("!B16s", message, at)
                values[field] = str(ipaddress.ip_address(packed if is_ip6 else packed[:4]))
                at += 17
                continue
            count = more[0] if more and isinstance(more[0], int) else 1
            fields = struct.unpack_from(f"!{count}{self.formats[kind]}", message, at)
            values[field] = fields[0] if count == 1 else list(fields)
            at += struct.calcsize(f"!{count}{self.formats[kind]}")
        return values

    def next_message(self, *names):
        """Returns the name and the fields of the next message, which has one of these names. Events that were not asked for are kept."""
        message = self.receive()
        number, = struct.unpack_from("!H", message)
        for name in names:
            if number == self.number(name):
                return name, self.decode(name, message)
        if number == self.number("pfplane_event"):
            self.events.append(self.decode("pfplane_event", message))
            return self.next_message(*names)
        raise Failure(f"message {number} in place of {names}")

    def call_bytes(self, name, message):
        self.write(message)
        _, values = self.next_message(f"{name}_reply")
        if values["context"] != self.context:
            raise Failure(f"{name}: the reply is of another message: {values}")
        return values

    def stream(self, name, **values):
        """Sends a message whose reply comes after details; returns both."""
        self.context += 1
        self.write(self.encode(f"{name}_get", values))
        details = []
        while True:
            kind, fields = self.next_message(f"{name}_details", f"{name}_get_reply")
            if kind == f"{name}_get_reply":
                return details, fields
            details.append(fields)

    def event(self):
        """Returns the next event."""
        return self.events.pop(0) if self.events else self.next_message("pfplane_event")[1]

    def succeed(self, name, **values):
        reply = self.call(name, **values)
        if reply["retval"] != 0:
            raise Failure(f"{name} {values}: {reply['retval']}")
        return reply

    def refuse(self, name, **values):
        reply = self.call(name, **values)
        if reply["retval"] >= 0:
            raise Failure(f"{name} {values} is accepted")
        return reply
