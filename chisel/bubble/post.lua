-- Sends one POST over HTTP/1.1 without blocking: it runs in a coroutine that yields the socket and the
-- direction ("read", "write") for which it waits. Each post has its own connection, as in the
-- original. If the server closed an idle connection just as a post reused it, it would be unknown
-- whether the rows arrived.

local socket = require "socket"

local post = {}

-- Maximum length of a status line, in bytes.
local MAX_LINE = 1024

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

-- LuaSocket returns "timeout" if it would block. LuaSec returns the direction for which it waits.
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
		if not WAITS[problem] or #partial > MAX_LINE then
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
	-- A server that refuses may answer and close before it reads everything.
	local line, problem = receive_line(connection)
	local status = line and tonumber(line:match("^HTTP/1%.%d (%d%d%d)"))
	return status, unsent or problem or "the answer is not HTTP"
end

-- Connects to the first reachable address, starting with the one at index `first`.
local function connect_any(ips, port, first)
	local connection, problem
	for i = 0, #ips - 1 do
		connection, problem = connect(ips[(first + i) % #ips + 1], port)
		if connection then
			return connection
		end
	end
	return nil, problem
end

--- Posts the text. Returns the status of the answer, or nil and an error.
function post.run(address, ips, first, text)
	local connection, problem = connect_any(ips, address.port, first)
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
