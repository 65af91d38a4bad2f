-- The chisel for containers: posts the activity of each container each second to a bubble-server.
-- The code that it shares with sysdigslurm is in bubble/. docs/chisel.md describes its use.

description = "Each second, posts the CPU time, files and connections of each container to a bubble-server, by process. It uses sysdig's names of containers."
short_description = "Post the activity of containers to a bubble-server"
category = "Containers"

args = {
	{
		name = "url",
		description = "URL to post to: http://HOST:PORT/event/api/KEY",
		argtype = "string",
		optional = false,
	},
}

local settings = require "bubble.settings"

local dropped = settings.dropped_containers()
-- Most events of a host are outside of containers, and sysdig's own filter is much faster than Lua.
local filter = dropped.host and "container.id!=host" or nil

require("bubble.recorder").install {
	name = "sysdigdocker",
	field = "container.id",
	filter = filter,
	second_field = "container.name",
	--- The container of a row, or nil to leave the row out.
	container = function(id, name)
		return not dropped[name] and id or nil
	end,
}
