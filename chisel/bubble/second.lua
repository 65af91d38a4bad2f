-- The rows of one second, summed up. No row is dropped, so the sums of a second are exact.

local Second = {}
Second.__index = Second

--- An empty second that begins at `start`, in seconds since the epoch.
function Second.new(start)
	return setmetatable({ start = start, cpu = {}, fd = {}, named = {} }, Second)
end

-- Only a malicious name contains the byte 1, and then two rows of one process become one.
local function add(rows, value, ...)
	local key = table.concat({ ... }, "\1")
	local row = rows[key]
	if row then
		row.value = row.value + value
	else
		rows[key] = { value = value, ... }
	end
end

--- Adds CPU time of a process, in ns. The other arguments are the fields of the row. Only these rows
--- carry the names of processes, so each process needs one, even with 0 ns.
function Second:add_cpu(ns, ...)
	add(self.cpu, ns, ...)
end

--- Adds bytes that a process read or wrote. The other arguments are the fields of the row.
function Second:add_fd(bytes, ...)
	add(self.fd, bytes, ...)
end

--- Records that the process has a row of CPU time with this name. Returns false if it had one already.
function Second:add_name(pid, name)
	local is_new = self.named[pid] ~= name
	self.named[pid] = name
	return is_new
end

return Second
