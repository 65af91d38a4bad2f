-- Sends the bodies of the queue one by one, in small steps. A chisel runs in sysdig's own thread: while
-- it blocks, the kernel's buffer can overflow and events are lost.

local socket = require "socket"
local post = require "bubble.post"

local Sender = {}
Sender.__index = Sender

-- Maximum duration of an exchange, in seconds.
local EXCHANGE_TIMEOUT = 20
-- Delay before a retry, in seconds. It doubles from the minimum to the maximum.
local MIN_RETRY_DELAY, MAX_RETRY_DELAY = 0.5, 30

-- Refusals that end when somebody mends the key or the URL, on this host or on the server.
local MENDABLE = { [401] = true, [403] = true, [404] = true }

--- A sender of the bodies in `queue` to the server at `address`. Reports to `loss`.
function Sender.new(address, queue, loss)
	return setmetatable({
		address = address, queue = queue, loss = loss,
		-- Why the server is unavailable, or nil.
		outage = nil,
		delay = 0, retry_at = 0, progress = 0, first_ip = 0,
	}, Sender)
end

--- Whether everything was sent or given up.
function Sender:is_done()
	return not self.current and self.queue.bytes == 0
end

-- Whether a retry may have another status.
local function is_retryable(status)
	return status == 408 or status == 429 or status >= 500
end

function Sender:succeed()
	if self.outage then
		self.loss:print(self.address.name .. " is available again")
		self.outage = nil
	end
	self.current, self.delay, self.progress = nil, 0, self.progress + 1
end

-- Keeps the current body for a retry. `what` says what the server does; by default that it is unavailable.
function Sender:postpone(problem, what)
	if self.outage ~= problem then
		self.loss:print(string.format("%s %s (%s): rows are queued, up to %.1f MiB",
			self.address.name, what or "is unavailable", problem, self.queue.limit / (1024 * 1024)))
		self.outage = problem
	end
	self.first_ip = self.first_ip + 1
	self.delay = math.min(math.max(self.delay * 2, MIN_RETRY_DELAY), MAX_RETRY_DELAY)
	-- Random, so that the hosts of a cluster do not retry at the same time.
	self.retry_at = socket.gettime() + self.delay * (0.75 + math.random() / 4)
end

function Sender:give_up(problem)
	self.loss:add(self.current.rows, problem)
	self.current = nil
end

-- A body without an answer is posted again: bubble-server recognises a body that it has already.
function Sender:finish_exchange(status, problem)
	self.exchange = nil
	if not status then
		self:postpone(problem)
	elseif status >= 200 and status < 300 then
		self:succeed()
	elseif is_retryable(status) then
		self:postpone("status " .. status)
	elseif MENDABLE[status] then
		self:postpone("status " .. status .. ": is the URL right, and the key in it?", "refuses the rows")
	else
		self:give_up(string.format("%s refuses them with status %d", self.address.name, status))
	end
end

-- Starts an exchange. Returns false if there is nothing to send yet.
function Sender:begin(now)
	-- The second comparison handles a clock that was set back.
	if now < self.retry_at and self.retry_at - now <= MAX_RETRY_DELAY then
		return false
	end
	self.current = self.current or self.queue:pop()
	if not self.current then
		return false
	end
	local ips, problem = self.address:resolve(self.outage)
	if not ips then
		self:postpone(problem)
		return false
	end
	self.started = now
	self.exchange = coroutine.create(function()
		return post.run(self.address, ips, self.first_ip, self.current.text)
	end)
	return true
end

-- Continues the exchange. Returns the socket and the direction for which it waits, or nil at its end.
function Sender:resume(now)
	local ok, result, detail = coroutine.resume(self.exchange)
	if not ok then
		self:finish_exchange(nil, tostring(result))
	elseif coroutine.status(self.exchange) == "dead" then
		self:finish_exchange(result, detail)
	elseif math.abs(now - self.started) > EXCHANGE_TIMEOUT then
		result:close()
		self:finish_exchange(nil, "no answer within " .. EXCHANGE_TIMEOUT .. " s")
	else
		return result, detail
	end
end

--- Sends as much as possible. Blocks for at most `seconds` in total.
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

--- Gives up all bodies that are not sent yet.
function Sender:abandon(problem)
	while not self:is_done() do
		self.current = self.current or self.queue:pop()
		self:give_up(problem)
	end
end

--- Sends until `is_enough()` is true, or until nothing has arrived for `timeout` seconds.
function Sender:drain(is_enough, timeout)
	local progress, since = self.progress, socket.gettime()
	while not is_enough() do
		self:step(0.1)
		if not self.exchange and not is_enough() then
			socket.sleep(0.02)
		end
		local now = socket.gettime()
		if self.progress ~= progress then
			progress, since = self.progress, now
		elseif now - since > timeout then
			return
		end
	end
end

return Sender
