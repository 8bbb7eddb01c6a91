-- The fields of pfsync.lua and the names of their values. Alone, this file does nothing.

local directions = { [1] = "in", [2] = "out" }
local bulk_status = { [1] = "start", [2] = "end" }
local families = { [2] = "IPv4", [24] = "IPv6 (OpenBSD)", [28] = "IPv6 (FreeBSD)" }
local routes_6 = { [0] = "none", "route-to", "dup-to", "reply-to" }
local routes_5 = { [0] = "none", "fastroute", "route-to", "dup-to", "reply-to" }
local timeouts = {
    [0] = "tcp.first", "tcp.opening", "tcp.established", "tcp.closing", "tcp.finwait", "tcp.closed", "udp.first",
    "udp.single", "udp.multiple", "icmp.first", "icmp.error", "other.first", "other.single", "other.multiple", "frag",
    "interval", "adaptive.start", "adaptive.end", "src.track", "tcp.tsdiff", "sctp.first", "sctp.opening",
    "sctp.established", "sctp.closing", "sctp.closed",
}
local tcp_states = {
    [0] = "CLOSED", "LISTEN", "SYN_SENT", "SYN_RCVD", "ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT_1", "CLOSING", "LAST_ACK",
    "FIN_WAIT_2", "TIME_WAIT", "PROXY_SRC", "PROXY_DST",
}
local other_states = { [0] = "NO_TRAFFIC", "SINGLE", "MULTIPLE" }

local f = {}
local function field(name, make, text, ...)
    f[name] = make("pfsync." .. name, text, ...)
end

field("version", ProtoField.uint8, "Version")
field("pad", ProtoField.uint8, "Pad")
field("len", ProtoField.uint16, "Length")
field("pfcksum", ProtoField.bytes, "Ruleset checksum")
field("trailer", ProtoField.bytes, "Bytes after the frame")
field("trailer.protection", ProtoField.uint8, "Protection", base.DEC, { [0] = "none", "sealed (AES-256-GMAC)", "encrypted (AES-256-GCM)" }, 0x0f)
field("trailer.key", ProtoField.uint8, "Key")
field("trailer.flow", ProtoField.uint8, "Flow")
field("trailer.lane", ProtoField.uint8, "Lane")
field("trailer.epoch", ProtoField.uint64, "Epoch (first half)", base.HEX)
field("trailer.sequence", ProtoField.uint64, "Sequence")
field("trailer.clock", ProtoField.uint32, "Clock (us)")
field("trailer.options", ProtoField.uint16, "Bytes of options")
field("trailer.flags", ProtoField.uint16, "Flags", base.HEX)
field("trailer.option", ProtoField.none, "Option")
field("trailer.option.kind", ProtoField.uint8, "Kind", base.DEC, {
    "HELLO", "ECHO", "TOOK", "LOST", "MENDED", "ROOT", "SKETCH", "CELLS", [10] = "WANT",
    [11] = "REFUSED", [12] = "ELECTION", [13] = "DOUBT", [14] = "GONE", [16] = "STATE_OPAQUE", [17] = "STATE_FIELDS",
})
field("trailer.option.length", ProtoField.uint16, "Length")
field("trailer.option.value", ProtoField.bytes, "Value")
field("trailer.encrypted", ProtoField.bytes, "Encrypted records and options")
field("trailer.tag", ProtoField.bytes, "Tag")
field("region", ProtoField.none, "Region")
field("action", ProtoField.string, "Action")
field("action.number", ProtoField.uint8, "Action number")
field("action.len", ProtoField.uint8, "Message length (words)")
field("count", ProtoField.uint16, "Count")
field("state", ProtoField.none, "State")
field("state.id", ProtoField.uint64, "Id", base.HEX)
field("creatorid", ProtoField.uint32, "Creator", base.HEX)
field("state.ifname", ProtoField.string, "Interface")
for _, key in ipairs({ "wire", "stack" }) do
    field("state." .. key, ProtoField.none, key == "wire" and "Wire key" or "Stack key")
    for slot = 0, 1 do
        field("state." .. key .. ".addr" .. slot, ProtoField.ipv4, "Address " .. slot)
        field("state." .. key .. ".addr6_" .. slot, ProtoField.ipv6, "Address " .. slot)
        field("state." .. key .. ".rawaddr" .. slot, ProtoField.bytes, "Address " .. slot)
        field("state." .. key .. ".port" .. slot, ProtoField.uint16, "Port " .. slot)
    end
    field("state." .. key .. ".rdomain", ProtoField.uint16, "Routing domain")
    field("state." .. key .. ".af", ProtoField.uint8, "Family", base.DEC, families)
    field("state." .. key .. ".proto", ProtoField.uint8, "Protocol")
end
for _, side in ipairs({ "src", "dst" }) do
    local name = "state." .. side
    field(name, ProtoField.none, side == "src" and "Source peer" or "Destination peer")
    field(name .. ".scrub.flags", ProtoField.uint16, "Scrub flags", base.HEX)
    field(name .. ".scrub.ttl", ProtoField.uint8, "Scrub TTL")
    field(name .. ".scrub.flag", ProtoField.uint8, "Scrubbed")
    field(name .. ".scrub.ts_mod", ProtoField.uint32, "Timestamp modulator")
    field(name .. ".seqlo", ProtoField.uint32, "Low sequence number")
    field(name .. ".seqhi", ProtoField.uint32, "High sequence number")
    field(name .. ".seqdiff", ProtoField.uint32, "Sequence modulator")
    field(name .. ".max_win", ProtoField.uint16, "Maximum window")
    field(name .. ".mss", ProtoField.uint16, "MSS")
    field(name .. ".state", ProtoField.uint8, "State")
    field(name .. ".wscale", ProtoField.uint8, "Window scale", base.HEX)
end
field("state.rt_addr", ProtoField.ipv4, "Next hop")
field("state.rt_addr6", ProtoField.ipv6, "Next hop")
field("state.rule", ProtoField.int32, "Rule")
field("state.anchor", ProtoField.int32, "Anchor")
field("state.nat_rule", ProtoField.int32, "Translation rule")
field("state.creation", ProtoField.uint32, "Age (s)")
field("state.expire", ProtoField.uint32, "Expires in (s)")
field("state.packets0", ProtoField.uint64, "Packets forward")
field("state.packets1", ProtoField.uint64, "Packets reverse")
field("state.bytes0", ProtoField.uint64, "Bytes forward")
field("state.bytes1", ProtoField.uint64, "Bytes reverse")
field("state.rtableid", ProtoField.int32, "Routing table")
field("state.max_mss", ProtoField.uint16, "Maximum MSS")
field("state.af", ProtoField.uint8, "Family", base.DEC, families)
field("state.rt_af", ProtoField.uint8, "Next hop family", base.DEC, families)
field("state.proto", ProtoField.uint8, "Protocol")
field("state.direction", ProtoField.uint8, "Direction", base.DEC, directions)
field("state.log", ProtoField.uint8, "Log", base.HEX)
field("state.rt", ProtoField.uint8, "Route option", base.DEC, routes_6)
field("state.rt5", ProtoField.uint8, "Route option", base.DEC, routes_5)
field("state.timeout", ProtoField.uint8, "Timeout class", base.DEC, timeouts)
field("state.sync_flags", ProtoField.uint8, "Sync flags", base.HEX)
field("state.updates", ProtoField.uint8, "Updates")
field("state.min_ttl", ProtoField.uint8, "Minimum TTL")
field("state.set_tos", ProtoField.uint8, "Set TOS", base.HEX)
field("state.state_flags", ProtoField.uint16, "Flags", base.HEX)
field("state.set_prio0", ProtoField.uint8, "Priority 0")
field("state.set_prio1", ProtoField.uint8, "Priority 1")
field("state.qid", ProtoField.uint16, "Queue")
field("state.pqid", ProtoField.uint16, "Queue for acknowledgements")
field("state.dnpipe", ProtoField.uint16, "Pipe")
field("state.dnrpipe", ProtoField.uint16, "Reverse pipe")
field("state.rt_ifname", ProtoField.string, "Next hop interface")
field("state.orig_ifname", ProtoField.string, "Original interface")
field("state.tagname", ProtoField.string, "Tag")
field("clr.ifname", ProtoField.string, "Interface (empty: all)")
field("bus.endtime", ProtoField.uint32, "Since the request (s)")
field("bus.status", ProtoField.uint8, "Status", base.DEC, bulk_status)
field("tdb.spi", ProtoField.uint32, "SPI", base.HEX)
field("tdb.dst", ProtoField.bytes, "Destination")
field("tdb.rpl", ProtoField.uint64, "Replay counter")
field("tdb.cur_bytes", ProtoField.uint64, "Bytes")
field("tdb.sproto", ProtoField.uint8, "Protocol")
field("tdb.rdomain", ProtoField.uint16, "Routing domain")

return {
    f = f, directions = directions, bulk_status = bulk_status, tcp_states = tcp_states, other_states = other_states,
}
