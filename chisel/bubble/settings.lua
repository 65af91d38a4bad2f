-- What can be set, by environment variables, as a chisel's arguments are those of the original.

local settings = {}

local MEBIBYTE = 1024 * 1024

--- Names of containers that are left out, as keys of a table. `BUBBLE_CHISEL_DROP`, separated by
--- commas; empty drops none.
function settings.dropped()
	local names = {}
	local text = os.getenv("BUBBLE_CHISEL_DROP") or "sysdig,host,cassandra"
	for name in text:gmatch("[^,%s]+") do
		names[name] = true
	end
	return names
end

--- Bytes of bodies that wait for the server at most. `BUBBLE_CHISEL_QUEUE`, in MiB.
function settings.queue()
	local text = os.getenv("BUBBLE_CHISEL_QUEUE") or "32"
	local size = tonumber(text)
	if not size or not (size > 0 and size <= 4096) then
		error("BUBBLE_CHISEL_QUEUE is " .. text .. ", and must be MiB, above 0 and up to 4096", 0)
	end
	return size * MEBIBYTE
end

return settings
