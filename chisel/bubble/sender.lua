-- Sends the bodies of the queue, one after the other, in small steps: a chisel runs in sysdig's own
-- thread, and what the kernel's buffer cannot hold while we wait for a server is lost.

local socket = require "socket"
local post = require "bubble.post"

local Sender = {}
Sender.__index = Sender

-- Seconds until an exchange that does not end is given up.
local EXCHANGE = 20
-- Seconds between attempts: doubled from the first to the last.
local FIRST_PAUSE, LAST_PAUSE = 0.5, 30

local HINT = ": is the URL right, and the key in it?"
local HINTS = { [401] = HINT, [403] = HINT, [404] = HINT }

--- For the server at `address`, from `queue`.
function Sender.new(address, queue, loss)
	return setmetatable({
		address = address, queue = queue, loss = loss,
		-- Why it is away, if it is.
		away = nil,
		pause = 0, retry_at = 0, progress = 0, turn = 0,
	}, Sender)
end

--- Whether nothing waits.
function Sender:is_done()
	return not self.current and self.queue.bytes == 0
end

-- A status that may be another one when the rows are posted again.
local function is_passing(status)
	return status == 408 or status == 429 or status >= 500
end

function Sender:succeed()
	if self.away then
		self.loss:say(self.address.name .. " is back")
		self.away = nil
	end
	self.current, self.pause, self.progress = nil, 0, self.progress + 1
end

-- Keeps what is being sent, for another attempt.
function Sender:postpone(problem)
	if self.away ~= problem then
		self.loss:say(string.format("%s is away (%s): rows are kept, up to %.1f MiB",
			self.address.name, problem, self.queue.limit / (1024 * 1024)))
		self.away = problem
	end
	self.turn = self.turn + 1
	self.pause = math.min(math.max(self.pause * 2, FIRST_PAUSE), LAST_PAUSE)
	-- Not all hosts of a cluster at once.
	self.retry_at = socket.gettime() + self.pause * (0.75 + math.random() / 4)
end

function Sender:give_up(problem)
	self.loss:add(self.current.rows, problem)
	self.current = nil
end

-- What was sent and not answered is posted again: bubble-server knows a body that it has.
function Sender:finish_exchange(status, problem)
	self.exchange = nil
	if not status then
		self:postpone(problem)
	elseif status >= 200 and status < 300 then
		self:succeed()
	elseif is_passing(status) then
		self:postpone("status " .. status)
	else
		local hint = HINTS[status] or ""
		self:give_up(string.format("%s refuses them with status %d%s", self.address.name, status, hint))
	end
end

-- Begins an exchange; false when there is nothing to send, or not yet.
function Sender:begin(now)
	-- The second comparison is for a clock that was set back.
	if now < self.retry_at and self.retry_at - now <= LAST_PAUSE then
		return false
	end
	self.current = self.current or self.queue:pop()
	if not self.current then
		return false
	end
	local ips, problem = self.address:resolve(self.away)
	if not ips then
		self:postpone(problem)
		return false
	end
	self.started = now
	self.exchange = coroutine.create(function()
		return post.run(self.address, ips, self.turn, self.current.text)
	end)
	return true
end

-- Goes on with the exchange; returns the socket and direction it waits for, or nil at its end.
function Sender:resume(now)
	local ok, result, detail = coroutine.resume(self.exchange)
	if not ok then
		self:finish_exchange(nil, tostring(result))
	elseif coroutine.status(self.exchange) == "dead" then
		self:finish_exchange(result, detail)
	elseif math.abs(now - self.started) > EXCHANGE then
		result:close()
		self:finish_exchange(nil, "no answer within " .. EXCHANGE .. " s")
	else
		return result, detail
	end
end

--- Does what can be done, waiting no longer than `seconds` in all.
function Sender:step(seconds)
	local now = socket.gettime()
	local deadline = now + seconds
	repeat
		if not self.exchange and not self:begin(now) then
			return
		end
		local connection, direction = self:resume(now)
		if connection then
			local left = math.min(deadline - socket.gettime(), seconds)
			if left <= 0 then
				return
			end
			local set = { connection }
			socket.select(direction == "read" and set or nil, direction == "write" and set or nil, left)
		end
		now = socket.gettime()
	until now >= deadline
end

--- Gives up what waits.
function Sender:abandon(problem)
	while not self:is_done() do
		self.current = self.current or self.queue:pop()
		self:give_up(problem)
	end
end

--- Sends until `enough()` says so, or for `patience` seconds nothing arrived.
function Sender:drain(enough, patience)
	local progress, since = self.progress, socket.gettime()
	while not enough() do
		self:step(0.1)
		if not self.exchange and not enough() then
			socket.sleep(0.02)
		end
		local now = socket.gettime()
		if self.progress ~= progress then
			progress, since = self.progress, now
		elseif now - since > patience then
			return
		end
	end
end

return Sender
