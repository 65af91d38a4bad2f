-- One POST over HTTP/1.1 that never blocks: it runs in a coroutine, which gives back the socket and
-- the direction ("read", "write") that it waits for. One connection a post, as the original: an idle
-- connection that the server closes just as it is used leaves unknown whether the rows arrived.

local socket = require "socket"

local post = {}

-- Longer than any status line.
local LINE_LIMIT = 1024

local function connect(ip, port)
	local open = ip.family == "inet6" and socket.tcp6 or socket.tcp4
	local connection, problem = open()
	if not connection then
		return nil, problem
	end
	connection:settimeout(0)
	local done
	done, problem = connection:connect(ip.addr, port)
	while not done and problem ~= "already connected" do
		if problem ~= "timeout" and problem ~= "Operation already in progress" then
			connection:close()
			return nil, problem
		end
		coroutine.yield(connection, "write")
		done, problem = connection:connect(ip.addr, port)
	end
	return connection
end

-- LuaSocket says "timeout" when it would block, LuaSec which way it waits.
local WAITS = { timeout = true, wantread = "read", wantwrite = "write" }

local function send(connection, text)
	local sent = 0
	while sent < #text do
		local last, problem, partial = connection:send(text, sent + 1)
		sent = last or partial
		if not last then
			if not WAITS[problem] then
				return nil, problem
			end
			coroutine.yield(connection, WAITS[problem] == "read" and "read" or "write")
		end
	end
	return true
end

local function receive_line(connection)
	local line, problem, partial = connection:receive("*l")
	while not line do
		if not WAITS[problem] or #partial > LINE_LIMIT then
			return nil, problem
		end
		coroutine.yield(connection, WAITS[problem] == "write" and "write" or "read")
		line, problem, partial = connection:receive("*l", partial)
	end
	return line
end

local function exchange(connection, address, text)
	local head = table.concat({
		"POST " .. address.path .. " HTTP/1.1",
		"Host: " .. address.name,
		"User-Agent: bubble-chisel",
		"Content-Type: application/json",
		"Content-Length: " .. #text,
		"Connection: close",
		"", "",
	}, "\r\n")
	local _, unsent = send(connection, head .. text)
	-- A server that refuses may have answered, and closed, before it has read everything.
	local line, problem = receive_line(connection)
	local status = line and tonumber(line:match("^HTTP/1%.%d (%d%d%d)"))
	return status, unsent or problem or "the answer is not HTTP"
end

-- Connects to the first of the addresses that can be reached, beginning with the one at `turn`.
local function connect_any(ips, port, turn)
	local connection, problem
	for i = 0, #ips - 1 do
		connection, problem = connect(ips[(turn + i) % #ips + 1], port)
		if connection then
			return connection
		end
	end
	return nil, problem
end

--- Posts the text, and returns the status of the answer, or nil and what went wrong.
function post.run(address, ips, turn, text)
	local connection, problem = connect_any(ips, address.port, turn)
	if not connection then
		return nil, problem
	end
	if address.secure then
		local secured
		secured, problem = require("bubble.tls").secure(connection, address.host)
		if not secured then
			connection:close()
			return nil, problem
		end
		connection = secured
	end
	local status
	status, problem = exchange(connection, address, text)
	connection:close()
	return status, problem
end

return post
