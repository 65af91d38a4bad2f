-- The bodies that wait for the server, oldest first, with a bound on their bytes.

local Queue = {}
Queue.__index = Queue

--- An empty one, which takes up to `limit` bytes.
function Queue.new(limit)
	return setmetatable({ limit = limit, bytes = 0, first = 1, last = 0 }, Queue)
end

--- Whether `bytes` more fit.
function Queue:has_room(bytes)
	return self.bytes + bytes <= self.limit
end

--- Takes the oldest out, or gives nil.
function Queue:pop()
	local item = self[self.first]
	if item then
		self[self.first] = nil
		self.first = self.first + 1
		self.bytes = self.bytes - #item.text
	end
	return item
end

--- Adds one, and returns how many rows of the oldest bodies had to go for it: what happens now is
--- what a page that is looked at needs most. One that is larger than the whole queue goes itself.
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
