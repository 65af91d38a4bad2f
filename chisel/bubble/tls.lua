-- TLS for https:// by LuaSec (package lua-sec), as LuaSocket has none. LuaSec verifies the chain of
-- certificates. This file verifies that the certificate is for the host.

local present, ssl = pcall(require, "ssl")
if not present then
	error("https:// needs lua-sec: apt-get install lua-sec, or use http://", 0)
end

local tls = {}

local SUBJECT_ALT_NAME = "2.5.29.17"

local function parameters()
	local file = os.getenv("SSL_CERT_FILE")
	return {
		mode = "client",
		protocol = "any",
		options = { "all", "no_sslv2", "no_sslv3", "no_tlsv1", "no_tlsv1_1" },
		verify = "peer",
		cafile = file,
		capath = not file and "/etc/ssl/certs" or nil,
	}
end

-- Whether a name of a certificate matches the host. `*` stands for one label (RFC 6125, 6.4.3).
local function is_match(pattern, host)
	pattern, host = pattern:lower(), host:lower()
	return pattern == host
		or (pattern:sub(1, 2) == "*." and host:match("^[^.]+(%..+)$") == pattern:sub(2))
end

local function is_for(certificate, host)
	local names = certificate:extensions()[SUBJECT_ALT_NAME] or {}
	for _, kind in ipairs { "dNSName", "iPAddress" } do
		for _, name in ipairs(names[kind] or {}) do
			if is_match(name, host) then
				return true
			end
		end
	end
	return false
end

--- Returns the connection with TLS, or nil and an error. Yields as in bubble/post.lua.
function tls.secure(connection, host)
	local secured, problem = ssl.wrap(connection, parameters())
	if not secured then
		return nil, problem
	end
	secured:settimeout(0)
	if not host:find("^[%d.]+$") and not host:find(":") then
		secured:sni(host)
	end
	local done
	done, problem = secured:dohandshake()
	while not done do
		if problem ~= "wantread" and problem ~= "wantwrite" and problem ~= "timeout" then
			return nil, "TLS: " .. problem
		end
		coroutine.yield(secured, problem == "wantwrite" and "write" or "read")
		done, problem = secured:dohandshake()
	end
	local certificate = secured:getpeercertificate()
	if not certificate or not is_for(certificate, host) then
		return nil, "TLS: the certificate is not for " .. host
	end
	return secured
end

return tls
