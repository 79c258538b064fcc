-- The Progressive Security Lab's chat protocol, for Wireshark and tshark (4.0 and newer).
--
--     wireshark -X lua_script:lab.lua sniffer-room.pcapng
--     tshark    -X lua_script:lab.lua -r sniffer-room.pcapng -Y 'lab.type == "say"'
--
-- Written by `lab dissector`, from the messages that the stages declare; change those, and write it again.
-- One JSON object a line on TCP (also inside TLS, where the capture has its secrets), one a datagram on UDP.
-- A capture may be hostile: lines, depths and numbers of values are bounded, and nothing is looked up anywhere.

local LINE_BYTES = @LINE_BYTES@
local DATAGRAM_BYTES = @DATAGRAM_BYTES@
local QUOTED = 60

-- By stage: its port, whether it may speak TLS, and by the `type` of a message its fields. A field is {kind, must be there, may be null, fields
-- of a list's objects}.
local STAGES = {
@STAGES@
}

-- Every field, by its name in filters.
local KINDS = {
@KINDS@
}

local lab = Proto("lab", "Progressive Security Lab")
local door = Proto("lab_tcp", "Progressive Security Lab, with or without TLS")
local whispers = Proto("lab_udp", "Progressive Security Lab, whispers")

local line_field = ProtoField.bytes("lab.line", "Message")
local stage_field = ProtoField.uint8("lab.stage", "Stage")
local malformed_field = ProtoField.string("lab.malformed", "Malformed", "Why this is no message of the stage")
local fields = { line_field, stage_field, malformed_field }
local by_name = {}
local makers = { string = ProtoField.string, integer = ProtoField.uint64, boolean = ProtoField.bool }
makers.integers = makers.integer
for name, kind in pairs(KINDS) do
    if kind == "objects" then
        by_name[name] = ProtoField.none("lab." .. name, name)
    else
        by_name[name] = makers[kind]("lab." .. name, name)
    end
    fields[#fields + 1] = by_name[name]
end
lab.fields = fields
local complaint = ProtoExpert.new("lab.complaint", "This is no message of the stage", expert.group.MALFORMED,
    expert.severity.ERROR)
lab.experts = { complaint }

@JSON@
-- What a message may be ---------------------------------------------------------------------------------------------

local function is_whole(node)
    return node.kind == "number" and node.value == math.floor(node.value) and node.value >= 0 and node.value < 2 ^ 53
end

local function is_kind(node, field)
    local kind, null = field[1], field[3]
    if node.kind == "null" then return null end
    if kind == "integer" then return is_whole(node) end
    if kind == "string" or kind == "boolean" then return node.kind == kind end
    if node.kind ~= "array" then return false end
    for _, one in ipairs(node.value) do
        if kind == "integers" and not is_whole(one) then return false end
        if kind == "objects" and one.kind ~= "object" then return false end
    end
    return true
end

-- A peer's words, in a sentence of ours: names and fields are ASCII, and what else stands there could move a terminal
-- (U+009B begins an escape sequence as ESC does) or turn a line round (U+202E).
local function shown(text)
    return (text:gsub("[^\32-\126]", "."):sub(1, QUOTED))
end

-- What is wrong with an object's fields; nil where nothing is.
local function fault(object, declared)
    local there = {}
    for _, entry in ipairs(object.value) do
        local field = declared[entry.name]
        if not field then return "there is no field " .. shown(entry.name) end
        if not is_kind(entry.node, field) then return entry.name .. " is of another kind" end
        for _, one in ipairs(field[1] == "objects" and entry.node.value or {}) do
            local wrong = fault(one, field[4])
            if wrong then return entry.name .. ": " .. wrong end
        end
        there[entry.name] = true
    end
    for name, field in pairs(declared) do
        if field[2] and not there[name] then return "the field " .. name .. " is missing" end
    end
    return nil
end

local function named(object, name)  -- the last of this name, as a decoder would take it
    local found
    for _, entry in ipairs(object.value) do
        if entry.name == name then found = entry.node end
    end
    return found
end

local function type_of(object)
    local node = named(object, "type")
    return node and node.kind == "string" and node.value or nil
end

-- The first stage that has such a message: exactly, or at least of this type.
local function fitting(object)
    local tag, alike = type_of(object), nil
    for number, stage in ipairs(STAGES) do
        local declared = stage.messages[tag]
        if declared and not fault(object, declared) then return number end
        alike = alike or (declared and number)
    end
    return alike
end

-- What is known of the whole capture: which stage a host was seen at, and where its whispers go ---------------------

local stage_at, whispers_at, settled

function lab.init()
    stage_at, whispers_at, settled = {}, {}, {}
end

local function remember(object, stage, from)  -- an address for whispers is told in several messages
    local port, address = named(object, "udp_port"), named(object, "address")
    if port and is_whole(port) then
        local at = address and address.kind == "string" and address.value or from
        whispers_at[at .. ":" .. port.value] = stage
    end
    for _, entry in ipairs(object.value) do
        for _, one in ipairs(entry.node.kind == "array" and entry.node.value or {}) do
            if one.kind == "object" then remember(one, stage, from) end
        end
    end
end

-- Into the tree -----------------------------------------------------------------------------------------------------

local function complain(item, code, sentence)
    item:add(malformed_field, code):append_text(" (" .. sentence .. ")"):add_proto_expert_info(complaint, sentence)
end

local function add_object(item, range, object, prefix, declared)
    for _, entry in ipairs(object.value) do
        local node, field = entry.node, declared[entry.name]
        local at = range(node.start - 1, node.stop - node.start + 1)
        local made = field and by_name[prefix .. entry.name]
        if not made or not is_kind(node, field) then
            item:add(at, shown(entry.name) .. ": not as declared")
        elseif node.kind == "array" then
            for _, one in ipairs(node.value) do
                local part = range(one.start - 1, one.stop - one.start + 1)
                if one.kind == "object" then
                    add_object(item:add(made, part), range, one, prefix .. entry.name .. ".", field[4])
                else
                    item:add(made, part, UInt64(one.value % 2 ^ 32, math.floor(one.value / 2 ^ 32)))
                end
            end
        elseif node.kind == "number" then
            item:add(made, at, UInt64(node.value % 2 ^ 32, math.floor(node.value / 2 ^ 32)))
        elseif node.kind == "string" then
            item:add(made, at, (node.value:gsub("%z", "\226\144\128")))  -- a field ends at a zero byte: show its picture
        elseif node.kind ~= "null" then
            item:add(made, at, node.value)
        end
    end
end

local function summary(object)
    local said = { type_of(object) }
    for _, name in ipairs({ "name", "from", "to" }) do
        local node = named(object, name)
        if node and node.kind == "string" then said[#said + 1] = name .. "=" .. shown(node.value) end
    end
    return table.concat(said, " ")
end

local function add_message(range, object, stage, pinfo, tree)
    local item = tree:add(line_field, range)
    item:set_text("Message")
    if stage then item:add(stage_field, stage):set_generated() end
    local function wrong(code, sentence)
        pinfo.cols.info:append(" [" .. code .. "]")
        complain(item, code, sentence)
    end
    if not object then return wrong("not-json", "a message is one JSON object") end
    if object.kind ~= "object" then return wrong("not-an-object", "a message is a JSON object") end
    local tag = type_of(object)
    local declared = stage and tag and STAGES[stage].messages[tag]
    if not declared then return wrong("unknown-type", "no message of this stage has this type") end
    item:set_text(summary(object))
    pinfo.cols.info:append(" " .. summary(object))
    remember(object, stage, tostring(pinfo.src))
    add_object(item, range, object, "", declared)
    local found = fault(object, declared)
    if found then wrong("bad-field", found) end
end

local function mark(range, code, sentence, pinfo, tree)  -- what cannot be a message, whatever is in it
    local item = tree:add(line_field, range)
    item:set_text("Message")
    pinfo.cols.info:append(" [" .. code .. "]")
    complain(item, code, sentence)
end

local function add_line(range, stage, pinfo, tree)
    local text = range:raw()
    if #text >= LINE_BYTES then
        return mark(range, "too-long", "a line is at most " .. LINE_BYTES .. " bytes", pinfo, tree)
    elseif not is_utf8(text) then
        return mark(range, "not-utf-8", "a message is UTF-8", pinfo, tree)
    end
    local object = parsed(text)
    stage = stage or (object and object.kind == "object" and fitting(object))
    add_message(range, object, stage, pinfo, tree)
end

local function begin(tvb, pinfo, tree)
    pinfo.cols.protocol = "LAB"
    pinfo.cols.info = ""
    return tree:add(lab, tvb())
end

-- Where it is found -------------------------------------------------------------------------------------------------

local PORTS = {}
for number, stage in ipairs(STAGES) do PORTS[stage.port] = number end

local function stage_of(pinfo)  -- by the server's port; its two ends are of this stage
    local stage = PORTS[pinfo.dst_port] or PORTS[pinfo.src_port]
    if stage then
        stage_at[tostring(pinfo.src)], stage_at[tostring(pinfo.dst)] = stage, stage
    end
    return stage
end

-- A stretch of a stream: the lines that are complete in it; the rest comes again with what follows.
function lab.dissector(tvb, pinfo, tree)
    if tvb:len() == 0 then return 0 end
    local stage, item = stage_of(pinfo), nil
    local text, at = tvb:raw(), 1
    while at <= #text do
        local newline = text:find("\n", at, true)
        local rest = #text - at + 1
        if not newline and rest < LINE_BYTES then
            pinfo.desegment_offset = at - 1
            pinfo.desegment_len = DESEGMENT_ONE_MORE_SEGMENT
            return #text
        end
        item = item or begin(tvb, pinfo, tree)
        if newline == at then
            mark(tvb(at - 1, 1), "not-json", "an empty line is no message", pinfo, item)
        else
            add_line(tvb(at - 1, newline and newline - at or rest), stage, pinfo, item)
        end
        at = (newline or #text) + 1
    end
    return #text
end

-- On the port of a stage that has TLS it is there, or, under a lever, not: its records begin with their kind (20 to 23)
-- and a 3 (RFC 8446, section 5.1). At other stages such bytes are what somebody sent, and hide nothing.
function door.dissector(tvb, pinfo, tree)
    local stage = stage_of(pinfo)
    local may_be = (not stage or STAGES[stage].tls) and tvb:len() >= 2
    if may_be and tvb(0, 1):uint() >= 20 and tvb(0, 1):uint() <= 23 and tvb(1, 1):uint() == 3 then
        return Dissector.get("tls"):call(tvb, pinfo, tree)
    end
    return lab.dissector(tvb, pinfo, tree)
end

-- Whispers go from any port to any port: taken for ours is what goes to or from a port that somebody told, and what
-- is a message of some stage. A frame's stage is settled when it is first seen, in the order of the capture.
local function whispered(tvb, pinfo, tree, asked)
    local text = tvb:raw()
    local source, target = tostring(pinfo.src), tostring(pinfo.dst)
    local told = whispers_at[source .. ":" .. pinfo.src_port] or whispers_at[target .. ":" .. pinfo.dst_port]
    local object = #text <= DATAGRAM_BYTES and is_utf8(text) and parsed(text) or nil
    local guess = object and object.kind == "object" and fitting(object)
    if not (settled[pinfo.number] or told or guess or asked) then return false end
    settled[pinfo.number] = settled[pinfo.number] or told or stage_at[target] or stage_at[source] or guess or nil
    local item = begin(tvb, pinfo, tree)
    if #text > DATAGRAM_BYTES then
        mark(tvb(), "too-long", "a datagram is at most " .. DATAGRAM_BYTES .. " bytes", pinfo, item)
    elseif not is_utf8(text) then
        mark(tvb(), "not-utf-8", "a message is UTF-8", pinfo, item)
    else
        add_message(tvb(), object, settled[pinfo.number], pinfo, item)
    end
    return true
end

-- "Decode As": a person says that this is ours.
function whispers.dissector(tvb, pinfo, tree)
    whispered(tvb, pinfo, tree, true)
end

lab:register_heuristic("udp", whispered)

local tcp, tls, udp = DissectorTable.get("tcp.port"), DissectorTable.get("tls.port"), DissectorTable.get("udp.port")
for port in pairs(PORTS) do
    tcp:add(port, door)
    tls:add(port, lab)
end
tcp:add_for_decode_as(door)
tls:add_for_decode_as(lab)
udp:add_for_decode_as(whispers)
