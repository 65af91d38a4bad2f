-- What happened in one second, summed up by row. All rows are kept: the sums of a second are exact.

local Second = {}
Second.__index = Second

--- An empty one, which begins at `start`, in seconds since the epoch.
function Second.new(start)
	return setmetatable({ start = start, cpu = {}, fd = {}, named = {} }, Second)
end

-- No field holds a byte 1 but by malice, and then two rows of one process become one.
local function add(rows, value, ...)
	local key = table.concat({ ... }, "\1")
	local row = rows[key]
	if row then
		row.value = row.value + value
	else
		rows[key] = { value = value, ... }
	end
end

--- CPU that a process used, in ns; the further arguments are the fields of the row. The wire has no
--- other place for what a process is called, so each process needs such a row, if of 0 ns.
function Second:add_cpu(ns, ...)
	add(self.cpu, ns, ...)
end

--- Bytes that a process moved, likewise.
function Second:add_fd(bytes, ...)
	add(self.fd, bytes, ...)
end

--- Remembers that the process has a row of CPU by this name; false when it had one already.
function Second:note_name(pid, name)
	local is_new = self.named[pid] ~= name
	self.named[pid] = name
	return is_new
end

return Second
