-- Settings from environment variables, as the chisel's arguments are those of the original.

local settings = {}

local MEBIBYTE = 1024 * 1024

--- The names of containers to leave out, as keys of a table. `BUBBLE_CHISEL_DROP` has them,
--- separated by commas; an empty value drops none.
function settings.dropped_containers()
	local names = {}
	local text = os.getenv("BUBBLE_CHISEL_DROP") or "sysdig,host,cassandra"
	for name in text:gmatch("[^,%s]+") do
		names[name] = true
	end
	return names
end

--- Maximum size of the queue, in bytes. `BUBBLE_CHISEL_QUEUE` has it in MiB.
function settings.queue_limit()
	local text = os.getenv("BUBBLE_CHISEL_QUEUE") or "32"
	local size = tonumber(text)
	if not size or not (size > 0 and size <= 4096) then
		error("BUBBLE_CHISEL_QUEUE=" .. text .. ": expected MiB, more than 0 and at most 4096", 0)
	end
	return size * MEBIBYTE
end

return settings
