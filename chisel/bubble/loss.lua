-- Reports on stderr how many rows were lost, and why: the first loss at once, later ones at most every
-- ten seconds, so that a long outage does not fill a log. stdout belongs to sysdig.

local socket = require "socket"

local Loss = {}
Loss.__index = Loss

-- Shortest interval between two reports, in seconds.
local REPORT_INTERVAL = 10

--- `name` is the chisel's name, which begins each line.
function Loss.new(name)
	return setmetatable({ name = name, total = 0, unreported = {}, reported_at = -math.huge }, Loss)
end

--- Prints one line for the user.
function Loss:print(text)
	io.stderr:write(self.name, ": ", text, "\n")
	io.stderr:flush()
end

--- Reports all losses that are not reported yet.
function Loss:flush()
	for reason, rows in pairs(self.unreported) do
		self:print(string.format("%d rows lost: %s", rows, reason))
	end
	self.unreported = {}
	self.reported_at = socket.gettime()
end

--- Counts lost rows.
function Loss:add(rows, reason)
	if rows == 0 then
		return
	end
	self.total = self.total + rows
	self.unreported[reason] = (self.unreported[reason] or 0) + rows
	if math.abs(socket.gettime() - self.reported_at) >= REPORT_INTERVAL then
		self:flush()
	end
end

return Loss
