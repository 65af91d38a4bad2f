-- Encodes rows as the JSON of the legacy wire: `{ts, data, evt_type, jinfo}`. In `data` each row is an
-- array of strings and one number. sysdig's own JSON library (dkjson) copies the bytes of a name
-- unchanged, so one name that is not UTF-8 would make the whole body invalid.

local body = {}

--- Maximum size of the rows of a body, in bytes. A larger second becomes several bodies.
body.MAX_BYTES = 1024 * 1024

local REPLACEMENT = "\239\191\189" -- U+FFFD

local function escape(char)
	return string.format("\\u%04x", char:byte())
end

-- Length of the UTF-8 character at `at` in bytes, or nil if it is invalid (RFC 3629, section 4).
local function character_length(text, at)
	local a, b, c, d = text:byte(at, at + 3)
	local function continues(byte, from, to)
		return byte and byte >= (from or 0x80) and byte <= (to or 0xBF)
	end
	if a < 0x80 then
		return 1
	elseif a >= 0xC2 and a <= 0xDF then
		return continues(b) and 2
	elseif a >= 0xE0 and a <= 0xEF then
		local from, to = a == 0xE0 and 0xA0, a == 0xED and 0x9F
		return continues(b, from, to) and continues(c) and 3
	elseif a >= 0xF0 and a <= 0xF4 then
		local from, to = a == 0xF0 and 0x90, a == 0xF4 and 0x8F
		return continues(b, from, to) and continues(c) and continues(d) and 4
	end
end

-- Replaces each invalid byte of the text.
local function utf8(text)
	if not text:find("[\128-\255]") then
		return text
	end
	local parts, at = {}, 1
	while at <= #text do
		local length = character_length(text, at)
		parts[#parts + 1] = length and text:sub(at, at + length - 1) or REPLACEMENT
		at = at + (length or 1)
	end
	return table.concat(parts)
end

--- Quotes a text as a JSON string.
function body.quote(text)
	return '"' .. utf8(tostring(text)):gsub('[%c"\\\127]', escape) .. '"'
end

local function encode_row(row)
	local fields = {}
	for i = 1, #row do
		fields[i] = body.quote(row[i])
	end
	fields[#fields + 1] = string.format("%.0f", row.value)
	return "[" .. table.concat(fields, ",") .. "]"
end

local function encode_columns(columns)
	local parts = {}
	for i, column in ipairs(columns) do
		local name, description = body.quote(column.name), body.quote(column.description)
		parts[i] = '{"name":' .. name .. ',"is_key":true,"desc":' .. description .. "}"
	end
	return "[" .. table.concat(parts, ",") .. "]"
end

--- Encodes the rows of one kind ("cpu" or "fd") as a list of bodies `{text, rows}`, where `rows` is
--- the number of rows. `start` is in seconds; the wire's `ts` is a text of nanoseconds.
function body.encode(kind, columns, start, rows)
	local tail = string.format(
		'],"jinfo":%s,"evt_type":"%s","ts":"%d000000000"}', encode_columns(columns), kind, start)
	local bodies, parts, size = {}, {}, 0
	local function close()
		if #parts > 0 then
			local text = '{"data":[' .. table.concat(parts, ",") .. tail
			bodies[#bodies + 1] = { text = text, rows = #parts }
			parts, size = {}, 0
		end
	end
	for _, row in pairs(rows) do
		local text = encode_row(row)
		if size + #text > body.MAX_BYTES then
			close()
		end
		parts[#parts + 1] = text
		size = size + #text + 1
	end
	close()
	return bodies
end

return body
