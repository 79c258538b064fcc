-- JSON (RFC 8259), strictly, with the place of every value in the text. Put into the dissector by lab/dissector.py.
-- How deep values may be nested and how many there may be is bounded: the text may be hostile.

local DEPTH, VALUES = 8, 4096

local UTF8 = {
    "^[\194-\223][\128-\191]", "^\224[\160-\191][\128-\191]", "^[\225-\236\238\239][\128-\191][\128-\191]",
    "^\237[\128-\159][\128-\191]", "^\240[\144-\191][\128-\191][\128-\191]",
    "^[\241-\243][\128-\191][\128-\191][\128-\191]", "^\244[\128-\143][\128-\191][\128-\191]",
}

local function is_utf8(text)
    local at = text:find("[\128-\255]")
    while at do
        local stop
        for _, form in ipairs(UTF8) do
            stop = stop or select(2, text:find(form, at))
        end
        if not stop then return false end
        at = text:find("[\128-\255]", stop + 1)
    end
    return true
end

local function encoded(code)  -- one character as UTF-8
    local function tail(shift) return string.char(128 + math.floor(code / shift) % 64) end
    if code < 0x80 then return string.char(code) end
    if code < 0x800 then return string.char(192 + math.floor(code / 64)) .. tail(1) end
    if code < 0x10000 then return string.char(224 + math.floor(code / 4096)) .. tail(64) .. tail(1) end
    return string.char(240 + math.floor(code / 262144)) .. tail(4096) .. tail(64) .. tail(1)
end

local ESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- The value in a text: {kind, value, start, stop}; an object's value is a list of {name, value}. Or nil.
local function parsed(text)
    local at, values = 1, 0
    local any

    local function fail() error("no JSON", 0) end
    local function skip() at = text:find("[^ \t\r\n]", at) or #text + 1 end
    local function take(form)  -- what matches at this place, and go on behind it
        local start, stop = text:find(form, at)
        if not start then return nil end
        at = stop + 1
        return text:sub(start, stop)
    end

    local function hexadecimal() return tonumber((take("^u%x%x%x%x") or fail()):sub(2), 16) end

    local function escape()
        at = at + 1
        if text:sub(at, at) ~= "u" then
            return ESCAPES[take("^.") or ""] or fail()
        end
        local code = hexadecimal()
        if code >= 0xDC00 and code <= 0xDFFF then fail() end
        if code >= 0xD800 and code <= 0xDBFF then  -- the first half of a pair
            if not take("^\\") then fail() end
            local low = hexadecimal()
            if low < 0xDC00 or low > 0xDFFF then fail() end
            code = 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00)
        end
        return encoded(code)
    end

    local function words()
        local parts = {}
        if not take('^"') then fail() end
        while true do
            local stop = text:find('["\\%c]', at) or fail()
            parts[#parts + 1] = text:sub(at, stop - 1)
            at = stop
            local found = text:sub(stop, stop)
            if found == '"' then
                at = stop + 1
                return table.concat(parts)
            elseif found == "\\" then
                parts[#parts + 1] = escape()
            elseif found == "\127" then  -- the only control character that JSON lets stand
                parts[#parts + 1] = take("^.")
            else
                fail()
            end
        end
    end

    local function number()
        local start = at
        if not (take("^%-?0") or take("^%-?[1-9]%d*")) then fail() end
        take("^%.%d+")
        take("^[eE][+-]?%d+")
        return tonumber(text:sub(start, at - 1))
    end

    local function items(close, one)  -- what stands between two brackets, with commas
        local found = {}
        at = at + 1
        skip()
        if take("^" .. close) then return found end
        repeat
            skip()
            found[#found + 1] = one()
            skip()
        until not take("^,")
        if not take("^" .. close) then fail() end
        return found
    end

    function any(depth)
        values = values + 1
        if depth > DEPTH or values > VALUES then fail() end
        local start, first = at, text:sub(at, at)
        local kind, value
        if first == '"' then
            kind, value = "string", words()
        elseif first == "{" then
            kind, value = "object", items("}", function()
                local name = words()
                skip()
                if not take("^:") then fail() end
                skip()
                return { name = name, node = any(depth + 1) }
            end)
        elseif first == "[" then
            kind, value = "array", items("%]", function() return any(depth + 1) end)
        elseif take("^true") then
            kind, value = "boolean", true
        elseif take("^false") then
            kind, value = "boolean", false
        elseif take("^null") then
            kind = "null"
        else
            kind, value = "number", number()
        end
        return { kind = kind, value = value, start = start, stop = at - 1 }
    end

    local good, node = pcall(function()
        skip()
        local whole = any(1)
        skip()
        if at <= #text then fail() end
        return whole
    end)
    return good and node or nil
end
