-- A queue of bodies for the server, oldest first, bounded by their bytes.

local Queue = {}
Queue.__index = Queue

--- An empty queue of at most `limit` bytes.
function Queue.new(limit)
	return setmetatable({ limit = limit, bytes = 0, first = 1, last = 0 }, Queue)
end

--- Whether another body of this many bytes fits.
function Queue:has_room(bytes)
	return self.bytes + bytes <= self.limit
end

--- Removes and returns the oldest body, or nil if the queue is empty.
function Queue:pop()
	local item = self[self.first]
	if item then
		self[self.first] = nil
		self.first = self.first + 1
		self.bytes = self.bytes - #item.text
	end
	return item
end

--- Adds a body, and drops the oldest ones if there is no room, as an open page needs the newest rows
--- most. A body larger than the queue is dropped itself. Returns the number of dropped rows.
function Queue:push(item)
	local lost = 0
	while not self:has_room(#item.text) do
		local oldest = self:pop()
		if not oldest then
			return lost + item.rows
		end
		lost = lost + oldest.rows
	end
	self.last = self.last + 1
	self[self.last] = item
	self.bytes = self.bytes + #item.text
	return lost
end

return Queue
