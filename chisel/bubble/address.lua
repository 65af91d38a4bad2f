-- The URL that the user gave, taken apart, and the server's addresses.

local socket = require "socket"
local url = require "socket.url"

local Address = {}
Address.__index = Address

local PORTS = { http = 80, https = 443 }

-- Looking a name up can block for as long as the resolver likes, and nothing else runs meanwhile.
local LOOK_UP_AGAIN = 60

--- Takes the URL, or raises an error that tells the user what is wrong with it. The path has the
--- key in it, therefore neither path nor URL is ever in a message.
function Address.parse(text)
	local parts = url.parse(text) or {}
	local port = parts.port or PORTS[parts.scheme]
	if not parts.host or parts.host == "" or not tonumber(port) then
		error("the argument must be a URL as in http://HOST:PORT/event/api/KEY", 0)
	end
	local path = parts.path or "/"
	if parts.query then
		path = path .. "?" .. parts.query
	end
	if path:find("[%s%c]") then
		error("the URL has a space or a control character in its path", 0)
	end
	return setmetatable({
		secure = parts.scheme == "https",
		host = parts.host:match("^%[(.*)%]$") or parts.host,
		port = tonumber(port),
		path = path,
		-- As it is in the header `Host`, and in messages.
		name = parts.host .. ":" .. port,
		looked_up = -math.huge,
	}, Address)
end

--- Its IP addresses as `{family, addr}`, at least one, or nil and an error. They are looked up once,
--- and `again` when they may have changed.
function Address:resolve(again)
	local now = socket.gettime()
	if not self.ips or (again and math.abs(now - self.looked_up) > LOOK_UP_AGAIN) then
		self.looked_up = now
		local found, problem = socket.dns.getaddrinfo(self.host)
		if found and #found > 0 then
			self.ips = found
		elseif not self.ips then
			return nil, problem or "no address"
		end
	end
	return self.ips
end

return Address
