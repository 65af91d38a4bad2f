-- The chisel for hosts that stay on sysdig: posts what each container does, second by second, to a
-- bubble-server. What it shares with sysdigslurm is in bubble/; docs/chisel.md says how to use it.

description = "Posts the CPU, files and connections of each container to a bubble-server, each second, by process. It takes the names sysdig has for containers."
short_description = "Post what containers do to a bubble-server"
category = "Containers"

args = {
	{
		name = "url",
		description = "where to post: http://HOST:PORT/event/api/KEY",
		argtype = "string",
		optional = false,
	},
}

local settings = require "bubble.settings"

local dropped = settings.dropped()
-- Most of what a host does is not in containers: sysdig's own filter is much quicker than Lua.
local filter = dropped.host and "container.id!=host" or nil

require("bubble.recorder").install {
	name = "sysdigdocker",
	field = "container.id",
	filter = filter,
	also = "container.name",
	--- The container that a row is of, or nil for none.
	container = function(id, name)
		return not dropped[name] and id or nil
	end,
}
