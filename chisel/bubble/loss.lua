-- Says on stderr which rows did not get to the server, and why: at once, then at most each ten
-- seconds, so that a long outage does not fill a log. stdout belongs to sysdig.

local socket = require "socket"

local Loss = {}
Loss.__index = Loss

local PAUSE = 10

--- With the chisel's name, which begins each line.
function Loss.new(name)
	return setmetatable({ name = name, total = 0, unsaid = {}, said = -math.huge }, Loss)
end

--- One line for the user.
function Loss:say(text)
	io.stderr:write(self.name, ": ", text, "\n")
	io.stderr:flush()
end

--- Says what is not said yet.
function Loss:flush()
	for reason, rows in pairs(self.unsaid) do
		self:say(string.format("%d rows lost: %s", rows, reason))
	end
	self.unsaid = {}
	self.said = socket.gettime()
end

--- Counts rows that are lost.
function Loss:add(rows, reason)
	if rows == 0 then
		return
	end
	self.total = self.total + rows
	self.unsaid[reason] = (self.unsaid[reason] or 0) + rows
	if math.abs(socket.gettime() - self.said) >= PAUSE then
		self:flush()
	end
end

return Loss
