-- Parses the URL of the server, and resolves its name.

local socket = require "socket"
local url = require "socket.url"

local Address = {}
Address.__index = Address

local PORTS = { http = 80, https = 443 }

-- Shortest interval between two attempts to resolve the name, in seconds. The resolver can block for
-- long, and sysdig with it.
local RESOLVE_INTERVAL = 60

--- Parses the URL. Raises an error for the user if it is invalid. The path contains the key, so no
--- message contains the path or the URL.
function Address.parse(text)
	local parts = url.parse(text) or {}
	local port = parts.port or PORTS[parts.scheme]
	if not parts.host or parts.host == "" or not tonumber(port) then
		error("invalid URL, expected http://HOST:PORT/event/api/KEY", 0)
	end
	local path = parts.path or "/"
	if parts.query then
		path = path .. "?" .. parts.query
	end
	if path:find("[%s%c]") then
		error("invalid URL: its path has a space or a control character", 0)
	end
	return setmetatable({
		secure = parts.scheme == "https",
		host = parts.host:match("^%[(.*)%]$") or parts.host,
		port = tonumber(port),
		path = path,
		-- For the header `Host`, and for messages.
		name = parts.host .. ":" .. port,
		resolved_at = -math.huge,
	}, Address)
end

--- The IP addresses as `{family, addr}`, at least one, or nil and an error. They are resolved once;
--- `refresh` resolves them again, at most once in RESOLVE_INTERVAL.
function Address:resolve(refresh)
	local now = socket.gettime()
	if not self.ips or (refresh and math.abs(now - self.resolved_at) > RESOLVE_INTERVAL) then
		self.resolved_at = now
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
