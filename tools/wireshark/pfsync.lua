-- Dissects pfsync in Wireshark and tshark: every field of versions 5 (FreeBSD) and 6 (OpenBSD).
--
-- Run:     tshark -X lua_script:tools/wireshark/pfsync.lua -r sync.pcap -O pfsync
-- Install: copy the three files of this folder into the personal Lua plugins folder (Help > About Wireshark > Folders).
-- Filter:  pfsync.state.id == 0x069193c1d4c4da2f      pfsync.action == "DEL_C"
--          pfsync.creatorid == 0x9f49b47d             _ws.expert.group == "Malformed"
--
-- Fields have the names of the systems' headers.

local pfsync = Proto("pfsync", "Packet Filter State Synchronisation")

local folder = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
local fields = dofile(folder .. "pfsync_fields.lua")
local f, directions, bulk_status = fields.f, fields.directions, fields.bulk_status
local tcp_states, other_states = fields.tcp_states, fields.other_states
local IP_PROTOCOL, TTL = 240, 255
local PROTO_TCP, MAX_PEER_STATE = 6, 12
local HEADER_BYTES, SUBHEADER_BYTES = 20, 4

local all_fields = {}
for _, one in pairs(f) do
    all_fields[#all_fields + 1] = one
end
pfsync.fields = all_fields

local e = {}
for name, text in pairs({
    hdrops = "Shorter than the header", badver = "Unknown version", badlen = "Length does not fit",
    badact = "Unknown action, rest of the frame ignored", badval = "A receiver skips this message", badttl = "TTL is not 255",
    trailer_short = "The trailer ends within its fields", trailer_format = "Unknown format of the trailer",
    trailer_length = "The trailer does not end with the packet", badoption = "An option does not fit into the trailer",
}) do
    e[name] = ProtoExpert.new("pfsync." .. name, text, expert.group.MALFORMED, expert.severity.ERROR)
end
e.skipped =
    ProtoExpert.new("pfsync.skipped", "Unknown message, skipped", expert.group.UNDECODED, expert.severity.NOTE)
pfsync.experts = {
    e.hdrops, e.badver, e.badlen, e.badact, e.badval, e.badttl, e.skipped, e.trailer_short, e.trailer_format,
    e.trailer_length, e.badoption,
}

local add_trailer = dofile(folder .. "pfsync_trailer.lua")(f, e)
local ip_ttl, ip6_hlim = Field.new("ip.ttl"), Field.new("ipv6.hlim")

-- Reads a record from start to end and adds its fields to a tree.
local Cursor = {}
Cursor.__index = Cursor
local function cursor(range, tree)
    return setmetatable({ range = range, tree = tree, at = 0 }, Cursor)
end
function Cursor:take(bytes)
    local range = self.range(self.at, bytes)
    self.at = self.at + bytes
    return range
end
function Cursor:add(name, bytes, tree)
    local range = self:take(bytes)
    return range, (tree or self.tree):add(f[name], range)
end
function Cursor:skip(bytes)
    self.at = self.at + bytes
end
-- Adds a name and returns its text. A name without a NUL is malformed.
function Cursor:name(name, bytes)
    local range = self:take(bytes)
    local item = self.tree:add(f[name], range, range:stringz())
    if not range:raw():find("\0", 1, true) then
        item:add_proto_expert_info(e.badval, "Name without a NUL")
    end
    return range:stringz()
end

local function is_v6(af)
    return af == 24 or af == 28
end

local function add_key(c, index, bytes)
    local key = "state." .. (index == 0 and "wire" or "stack")
    local range = c:take(bytes)
    return { range = range, prefix = key, tree = c.tree:add(f[key], range), bytes = bytes }
end

-- Fills in the addresses of a key, once its family is known: FreeBSD has it at the end of the record.
local function fill_key(key, af)
    local function text(slot)
        local range = key.range(slot * 16, 16)
        local port = key.range(32 + slot * 2, 2)
        local shown
        if af == 2 then
            key.tree:add(f[key.prefix .. ".addr" .. slot], range(0, 4))
            shown = tostring(range(0, 4):ipv4())
        elseif is_v6(af) then
            key.tree:add(f[key.prefix .. ".addr6_" .. slot], range)
            shown = "[" .. tostring(range:ipv6()) .. "]"
        else
            key.tree:add(f[key.prefix .. ".rawaddr" .. slot], range)
            shown = tostring(range:bytes())
        end
        key.tree:add(f[key.prefix .. ".port" .. slot], port)
        return shown .. ":" .. port:uint()
    end
    local first, second = text(0), text(1)
    if key.bytes == 40 then
        key.tree:add(f[key.prefix .. ".rdomain"], key.range(36, 2))
        key.tree:add(f[key.prefix .. ".af"], key.range(38, 1))
    end
    key.tree:append_text(": " .. second .. " <-> " .. first)
end

local function add_peer(c, side)
    local prefix = "state." .. side
    local tree = c.tree:add(f[prefix], c.range(c.at, 32))
    for _, part in ipairs({
        { "scrub.flags", 2 }, { "scrub.ttl", 1 }, { "scrub.flag", 1 }, { "scrub.ts_mod", 4 }, { "seqlo", 4 },
        { "seqhi", 4 }, { "seqdiff", 4 }, { "max_win", 2 }, { "mss", 2 },
    }) do
        c:add(prefix .. "." .. part[1], part[2], tree)
    end
    local range, item = c:add(prefix .. ".state", 1, tree)
    c:add(prefix .. ".wscale", 1, tree)
    c:skip(6)
    local state = range:uint()
    if state > MAX_PEER_STATE then
        item:add_proto_expert_info(e.badval, "Unknown peer state")
    end
    return { tree = tree, item = item, state = state }
end

local function name_states(proto, ...)
    for _, peer in ipairs({ ... }) do
        local name = (proto == PROTO_TCP and tcp_states or other_states)[peer.state]
        if name then
            peer.item:append_text(" (" .. name .. ")")
            peer.tree:append_text(": " .. name)
        end
    end
end

local function add_timeout(c, limit)
    local range, item = c:add("state.timeout", 1)
    if range:uint() >= limit then
        item:add_proto_expert_info(e.badval, "Unknown timeout class")
    end
end

local function add_direction(c, what)
    local range, item = c:add("state.direction", 1)
    if what == "INS" and not directions[range:uint()] then
        item:add_proto_expert_info(e.badval, "Neither in nor out")
    end
end

local function add_creator(c, what)
    local range, item = c:add("creatorid", 4)
    if what == "INS" and range:uint() == 0 then
        item:add_proto_expert_info(e.badval, "No creator")
    end
    return range:uint()
end

local function add_family(c, name, what)
    local range, item = c:add(name, 1)
    local af = range:uint()
    if what == "INS" and af ~= 2 and not is_v6(af) then
        item:add_proto_expert_info(e.badval, "Neither IPv4 nor IPv6")
    end
    return af
end

-- Adds the fields that all whole states start with. OpenBSD's keys are four bytes longer.
local function add_prefix(c, what, key_bytes)
    local s = {}
    s.id = c:add("state.id", 8):uint64()
    s.ifname = c:name("state.ifname", 16)
    s.wire = add_key(c, 0, key_bytes)
    s.stack = add_key(c, 1, key_bytes)
    s.src, s.dst = add_peer(c, "src"), add_peer(c, "dst")
    s.rt_addr = c:take(16)
    for _, name in ipairs({ "rule", "anchor", "nat_rule", "creation", "expire" }) do
        c:add("state." .. name, 4)
    end
    for _, name in ipairs({ "packets0", "packets1", "bytes0", "bytes1" }) do
        c:add("state." .. name, 8)
    end
    s.creator = add_creator(c, what)
    return s
end

local function finish_state(c, s, wire_af, stack_af, rt_af, proto)
    fill_key(s.wire, wire_af)
    fill_key(s.stack, stack_af)
    if rt_af == 2 then
        c.tree:add(f["state.rt_addr"], s.rt_addr(0, 4))
    else
        c.tree:add(f["state.rt_addr6"], s.rt_addr)
    end
    name_states(proto, s.src, s.dst)
    return string.format("%s/%08x on %s", s.id:tohex():lower(), s.creator, s.ifname)
end

local function state_264(c, what)
    local s = add_prefix(c, what, 40)
    c:add("state.rtableid", 4)
    c:add("state.rtableid", 4)
    c:add("state.max_mss", 2)
    local af = add_family(c, "state.af", what)
    local proto = c:add("state.proto", 1):uint()
    add_direction(c, what)
    c:add("state.log", 1)
    c:add("state.rt", 1)
    add_timeout(c, 20)
    for _, part in ipairs({
        { "sync_flags", 1 }, { "updates", 1 }, { "min_ttl", 1 }, { "set_tos", 1 }, { "state_flags", 2 },
        { "set_prio0", 1 }, { "set_prio1", 1 },
    }) do
        c:add("state." .. part[1], part[2])
    end
    local wire_af, stack_af = s.wire.range(38, 1):uint(), s.stack.range(38, 1):uint()
    if wire_af == 0 and stack_af == 0 then
        wire_af, stack_af = af, af
    end
    return finish_state(c, s, wire_af, stack_af, wire_af, proto)
end

local function state_242(c, what)
    local s = add_prefix(c, what, 36)
    local af = add_family(c, "state.af", what)
    local proto = c:add("state.proto", 1):uint()
    add_direction(c, what)
    c:skip(2)
    c:add("state.log", 1)
    c:add("state.state_flags", 1)
    add_timeout(c, 25)
    c:add("state.sync_flags", 1)
    c:add("state.updates", 1)
    return finish_state(c, s, af, af, af, proto)
end

local function state_277(c, what)
    local s = add_prefix(c, what, 36)
    local af = add_family(c, "state.af", what)
    local proto = c:add("state.proto", 1):uint()
    add_direction(c, what)
    c:add("state.state_flags", 2)
    c:add("state.log", 1)
    c:skip(1)
    add_timeout(c, 25)
    for _, part in ipairs({
        { "sync_flags", 1 }, { "updates", 1 }, { "qid", 2 }, { "pqid", 2 }, { "dnpipe", 2 }, { "dnrpipe", 2 },
        { "rtableid", 4 }, { "min_ttl", 1 }, { "set_tos", 1 }, { "max_mss", 2 }, { "set_prio0", 1 }, { "set_prio1", 1 },
        { "rt5", 1 },
    }) do
        c:add("state." .. part[1], part[2])
    end
    c:name("state.rt_ifname", 16)
    return finish_state(c, s, af, af, af, proto)
end

local function state_360(c, what)
    local s = add_prefix(c, what, 36)
    c:name("state.tagname", 64)
    c:name("state.rt_ifname", 16)
    c:name("state.orig_ifname", 16)
    c:add("state.rtableid", 4)
    for _, name in ipairs({ "state_flags", "qid", "pqid", "dnpipe", "dnrpipe", "max_mss" }) do
        c:add("state." .. name, 2)
    end
    local wire_af = add_family(c, "state.wire.af", what)
    local stack_af = add_family(c, "state.stack.af", what)
    local rt_af = c:add("state.rt_af", 1):uint()
    local proto = c:add("state.wire.proto", 1):uint()
    c:add("state.stack.proto", 1)
    c:add("state.log", 1)
    add_timeout(c, 25)
    add_direction(c, what)
    for _, name in ipairs({ "rt5", "min_ttl", "set_tos", "set_prio0", "set_prio1" }) do
        c:add("state." .. name, 1)
    end
    return finish_state(c, s, wire_af, stack_af, rt_af, proto)
end

local function clear(c)
    local name = c:take(16)
    c.tree:add(f["clr.ifname"], name, name:stringz())
    local creator = c:add("creatorid", 4)
    return string.format("%08x %s", creator:uint(), name:stringz())
end

local function identity(c)
    local id, creator = c:add("state.id", 8), c:add("creatorid", 4)
    if id:uint64() == UInt64(0) and creator:uint() == 0 then
        return "bulk"
    end
    return string.format("%s/%08x", id:uint64():tohex():lower(), creator:uint())
end

local function compressed(c, _, limit)
    local id = c:add("state.id", 8)
    local src, dst = add_peer(c, "src"), add_peer(c, "dst")
    local creator = c:add("creatorid", 4)
    c:add("state.expire", 4)
    add_timeout(c, limit)
    -- The message has no protocol. Only TCP has states above 2.
    name_states((src.state > 2 or dst.state > 2) and PROTO_TCP or 0, src, dst)
    return string.format("%s/%08x", id:uint64():tohex():lower(), creator:uint())
end

local function bulk(c)
    local creator = c:add("creatorid", 4)
    c:add("bus.endtime", 4)
    local status = c:add("bus.status", 1):uint()
    return string.format("%08x %s", creator:uint(), bulk_status[status] or status)
end

local function tdb(c, _, limit)
    local spi = c:add("tdb.spi", 4)
    c:add("tdb.dst", 28)
    c:add("tdb.rpl", limit == 20 and 8 or 4)
    c:add("tdb.cur_bytes", 8)
    c:add("tdb.sproto", 1)
    c:skip(1)
    if limit == 20 then
        c:add("tdb.rdomain", 2)
    end
    return string.format("spi 0x%08x", spi:uint())
end

-- For each version and action number: the action's name, the record's length and its dissector.
local actions = {
    [6] = {
        [0] = { "CLR", 20, clear }, [2] = { "INS_ACK", 12, identity }, [4] = { "UPD_C", 84, compressed },
        [5] = { "UPD_REQ", 12, identity }, [6] = { "DEL", 264, state_264 }, [7] = { "DEL_C", 12, identity },
        [10] = { "BUS", 12, bulk }, [13] = { "INS", 264, state_264 }, [14] = { "UPD", 264, state_264 },
        [15] = { "TDB", 52, tdb },
    },
    [5] = {
        [0] = { "CLR", 20, clear }, [1] = { "INS", 242, state_242 }, [2] = { "INS_ACK", 12, identity },
        [3] = { "UPD", 242, state_242 }, [4] = { "UPD_C", 84, compressed }, [5] = { "UPD_REQ", 12, identity },
        [6] = { "DEL", 242, state_242 }, [7] = { "DEL_C", 12, identity }, [10] = { "BUS", 12, bulk },
        [11] = { "TDB", 48, tdb }, [12] = { "EOF", 0 }, [13] = { "INS", 277, state_277 }, [14] = { "UPD", 277, state_277 },
        [15] = { "INS", 360, state_360 }, [16] = { "UPD", 360, state_360 },
    },
}
-- Numbers that OpenBSD has no handler for and skips.
local without_handler_6 = { [1] = true, [3] = true, [8] = true, [9] = true, [11] = true, [12] = true }
local timeout_limits = { [5] = 25, [6] = 20 }

-- Returns the message and the distance of its records, or nil and the name of the fault.
local function find_message(version, number, words, count)
    local known = actions[version][number]
    if version == 5 then
        return known, known and known[2], "badact"
    end
    local stride = words * 4
    if known and stride >= known[2] then
        return known, stride
    end
    if without_handler_6[number] and not known or stride * count > 0 then
        return nil, stride, "skipped"
    end
    return nil, nil, "badact"
end

local function region(version, range, tree, summary)
    local number, words, count = range(0, 1):uint(), range(1, 1):uint(), range(2, 2):uint()
    local known, stride, fault = find_message(version, number, words, count)
    local name = known and known[1] or ("action " .. number)
    local total = SUBHEADER_BYTES + (stride or 0) * count
    local whole = math.min(total, range:len())
    local sub = tree:add(f.region, range(0, whole))
    sub:append_text(": " .. name .. ", " .. count)
    sub:add(f.action, range(0, 1), name)
    sub:add(f["action.number"], range(0, 1))
    sub:add(f["action.len"], range(1, 1))
    sub:add(f.count, range(2, 2))
    summary[#summary + 1] = name .. " " .. count
    if not known and fault ~= "skipped" then
        sub:add_proto_expert_info(e[fault])
        return nil
    end
    if total > range:len() then
        sub:add_proto_expert_info(e.badlen, "More records than bytes, rest of the frame ignored")
        return nil
    end
    if not known then
        sub:add_proto_expert_info(e.skipped)
        return total
    end
    for index = 0, stride > 0 and count - 1 or -1 do
        local record = range(SUBHEADER_BYTES + index * stride, stride)
        local item = sub:add(f.state, record)
        item:append_text(" " .. known[3](cursor(record, item), name, timeout_limits[version]))
    end
    return total, name == "EOF"
end

function pfsync.dissector(buffer, pinfo, tree)
    pinfo.cols.protocol = "PFSYNC"
    local root = tree:add(pfsync, buffer())
    local ttl = ip_ttl() or ip6_hlim()
    if ttl and ttl.value ~= TTL then
        root:add_proto_expert_info(e.badttl)
    end
    if buffer:len() < HEADER_BYTES then
        root:add_proto_expert_info(e.hdrops)
        return
    end
    local version, len = buffer(0, 1):uint(), buffer(2, 2):uint()
    root:append_text(", version " .. version)
    local version_item = root:add(f.version, buffer(0, 1))
    if not actions[version] then
        version_item:add_proto_expert_info(e.badver)
        return
    end
    root:add(f.pad, buffer(1, 1))
    local len_item = root:add(f.len, buffer(2, 2))
    root:add(f.pfcksum, buffer(4, 16))
    if len < HEADER_BYTES or len > buffer:len() then
        len_item:add_proto_expert_info(e.badlen)
        return
    end
    if len < buffer:len() then
        add_trailer(buffer(len), root:add(f.trailer, buffer(len)))
    end
    local at, summary = HEADER_BYTES, {}
    while len - at >= SUBHEADER_BYTES do
        local used, ended = region(version, buffer(at, len - at), root, summary)
        if not used then
            break
        end
        at = at + used
        if ended then
            if at < len then
                len_item:add_proto_expert_info(e.badlen, "Bytes after the end mark")
            end
            break
        end
    end
    pinfo.cols.info = "v" .. version .. " " .. table.concat(summary, ", ")
end

DissectorTable.get("ip.proto"):add(IP_PROTOCOL, pfsync)
