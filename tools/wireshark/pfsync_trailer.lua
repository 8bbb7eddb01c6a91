-- The trailer of pfplane nodes, behind the length of a pfsync frame. Takes the dissector's fields and faults, and returns the
-- function that adds a trailer to a tree.

local MAGIC = 0xd5706673
local TRAILER_BYTES, TAG_BYTES = 32, 16
local OPTION_OPAQUE, OPTION_FIELDS = 16, 17

return function(f, e)
    local function trailer_option(range, tree)
        local kind, length = range(0, 1):uint(), range(2, 2):uint()
        local whole = 4 + length + (-length) % 4
        local item = tree:add(f["trailer.option"], range(0, math.min(whole, range:len())))
        item:add(f["trailer.option.kind"], range(0, 1))
        item:add(f["trailer.option.length"], range(2, 2))
        if whole > range:len() then
            item:add_proto_expert_info(e.badoption)
            return nil
        end
        local at = 0
        if (kind == OPTION_OPAQUE or kind == OPTION_FIELDS) and length >= 12 then
            item:add(f["state.id"], range(4, 8))
            item:add(f.creatorid, range(12, 4))
            at = 12
        end
        if length > at then
            item:add(f["trailer.option.value"], range(4 + at, length - at))
        end
        return whole
    end

    -- The trailer of a pfplane node. Other bytes stay as they are.
    local function add_trailer(range, tree)
        if range:len() < 4 or range(0, 4):uint() ~= MAGIC then
            return
        end
        if range:len() < TRAILER_BYTES then
            tree:add_proto_expert_info(e.trailer_short)
            return
        end
        local format, options = range(4, 1):uint(), range(28, 2):uint()
        if format < 0x10 or format > 0x12 then
            tree:add_proto_expert_info(e.trailer_format)
            return
        end
        tree:add(f["trailer.protection"], range(4, 1))
        for at, part in pairs({
            [5] = { "key", 1 }, [6] = { "flow", 1 }, [7] = { "lane", 1 }, [8] = { "epoch", 8 }, [16] = { "sequence", 8 },
            [24] = { "clock", 4 }, [28] = { "options", 2 }, [30] = { "flags", 2 },
        }) do
            tree:add(f["trailer." .. part[1]], range(at, part[2]))
        end
        local tag = format == 0x10 and 0 or TAG_BYTES
        -- The records and options of an encrypted frame.
        local encrypted = format == 0x12 and range:len() - TRAILER_BYTES - tag or 0
        if encrypted > 0 and encrypted >= options then
            tree:add(f["trailer.encrypted"], range(TRAILER_BYTES, encrypted))
            tree:add(f["trailer.tag"], range(TRAILER_BYTES + encrypted, tag))
            return
        end
        if TRAILER_BYTES + options + tag ~= range:len() then
            tree:add_proto_expert_info(e.trailer_length)
            return
        end
        local at, stop = TRAILER_BYTES, TRAILER_BYTES + options
        while stop - at >= 4 do
            local used = trailer_option(range(at, stop - at), tree)
            if not used then
                break
            end
            at = at + used
        end
        if tag > 0 then
            tree:add(f["trailer.tag"], range(stop, tag))
        end
    end

    return add_trailer
end
