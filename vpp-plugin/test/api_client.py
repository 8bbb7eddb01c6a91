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
        self.formats, self.messages, self.context = dict(BASE), {}, 0
        for file in glob.glob(os.path.join(folder, "**", "pfplane.api.json"), recursive=True):
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
                address = ipaddress.ip_address(value or "0.0.0.0")
                message += struct.pack("!B16s", address.version == 6, address.packed)
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

    def call_bytes(self, name, message):
        self.write(message)
        reply, values, at = self.receive(), {}, 0
        for kind, field, *_ in self.messages[f"{name}_reply"][0]:
            values[field], = struct.unpack_from(f"!{self.formats[kind]}", reply, at)
            at += struct.calcsize(f"!{self.formats[kind]}")
        if (values["_vl_msg_id"], values["context"]) != (self.number(f"{name}_reply"), self.context):
            raise Failure(f"{name}: another message is the reply: {values}")
        return values

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
