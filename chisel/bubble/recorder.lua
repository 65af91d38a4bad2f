-- The common part of both chisels: sums up each second by row, and passes it to the sender when the
-- second is over. A `variant` defines what a container is.
--
-- The time of the events decides where a second ends, and not sysdig's timer. So neither an event at
-- the edge of a second nor a time without events moves a row to another second.

local settings = require "bubble.settings"
local Second = require "bubble.second"

local recorder = {}

-- Bytes are known at the exit of a call. CPU time comes with procinfo events.
local EVENTS = "(evt.type=procinfo or (evt.is_io=true and evt.dir=<))"
-- sysdig's `thread.cpu` is in percent of a second.
local NS_PER_PERCENT = 10000000

-- Maximum time that the sender may block in each second of a live capture, in seconds.
local MAX_LIVE_WAIT = 0.05
-- The sender also runs, without blocking, after this many events.
local EVENTS_PER_STEP = 64
-- Maximum time without progress, in seconds: at the end of a live capture, and for a file, which can
-- wait.
local LIVE_DRAIN_TIMEOUT, FILE_DRAIN_TIMEOUT = 5, 60

-- The columns of both kinds of rows, as in the original. `%s` stands for the variant's field.
local CPU_COLUMNS = {
	{ name = "evt.cpu", description = "CPU nb" },
	{ name = "proc.name", description = "Process" },
	{ name = "proc.pid", description = "Host_pid" },
	{ name = "proc.vpid", description = "Container_pid" },
	{ name = "proc.vmsize_kb", description = "VM size" },
	{ name = "%s", description = "container.id" },
	{ name = "proc.exe", description = "exe" },
	{ name = "proc.args", description = "args" },
	{ name = "proc.ppid", description = " Process parent id" },
}
local FD_COLUMNS = {
	{ name = "proc.pid", description = "Host_pid" },
	{ name = "proc.vpid", description = "Container_pid" },
	{ name = "%s", description = "Container_id" },
	{ name = "fd.name", description = "File name" },
}

local function columns_of(template, field)
	local columns = {}
	for i, column in ipairs(template) do
		local name = column.name:gsub("%%s", field)
		columns[i] = { name = name, description = column.description }
	end
	return columns
end

--- Defines the callbacks that sysdig calls. A variant has:
--- - `name`: the name of the chisel;
--- - `field`: sysdig's field that identifies the container, and optionally a `second_field`;
--- - `filter`: optionally a further filter;
--- - `container(field, second_field)`: returns the id to post, or nil to leave the event out.
function recorder.install(variant)
	local url, body, loss, queue, sender
	local field = {}
	local second
	local events = 0
	local live
	local cpu_columns = columns_of(CPU_COLUMNS, variant.field)
	local fd_columns = columns_of(FD_COLUMNS, variant.field)

	local function enqueue(kind, columns, rows)
		for _, item in ipairs(body.encode(kind, columns, second.start, rows)) do
			if not live then
				local function has_room()
					return queue:has_room(#item.text)
				end
				sender:drain(has_room, FILE_DRAIN_TIMEOUT)
			end
			loss:add(queue:push(item), "the queue is full")
		end
	end

	local function close_second()
		if second then
			enqueue("cpu", cpu_columns, second.cpu)
			enqueue("fd", fd_columns, second.fd)
			second = nil
		end
	end

	local function record_process(container, ns)
		local get = evt.field
		local pid, vpid = get(field.pid), get(field.vpid)
		local name = get(field.name)
		if not pid or not vpid or not name then
			return
		end
		second:add_name(pid, name)
		second:add_cpu(ns, get(field.core) or 0, name, pid, vpid, get(field.vm_size) or 0, container,
			get(field.exe) or "", get(field.args) or "", get(field.parent) or 0)
	end

	local function record_bytes(container, bytes)
		local get = evt.field
		local target = get(field.fd_name) or ""
		if bytes == 0 and target == "" then
			return
		end
		local pid, vpid = get(field.pid), get(field.vpid)
		if not pid or not vpid then
			return
		end
		if second:add_name(pid, get(field.name)) then
			record_process(container, 0)
		end
		local direction = get(field.is_read) and "in" or "out"
		second:add_fd(bytes, pid, vpid, container, target, direction)
	end

	function on_set_arg(name, value)
		url = name == "url" and value or url
		return true
	end

	function on_init()
		-- Not at the top of the file: `sysdig -cl` must list the chisel without lua-socket too.
		if not pcall(require, "socket") then
			error("lua-socket is missing: apt-get install lua-socket", 0)
		end
		body = require "bubble.body"
		loss = require("bubble.loss").new(variant.name)
		queue = require("bubble.queue").new(settings.queue_limit())
		local address = require("bubble.address").parse(url)
		if address.secure then
			require("bubble.tls")
		end
		sender = require("bubble.sender").new(address, queue, loss)
		math.randomseed(os.time())

		for key, name in pairs {
			container = variant.field, second_field = variant.second_field, core = "evt.cpu", name = "proc.name",
			pid = "proc.pid", vpid = "proc.vpid", vm_size = "proc.vmsize", exe = "proc.exe",
			args = "proc.args", parent = "proc.ppid", cpu = "thread.cpu", bytes = "evt.buflen",
			is_read = "evt.is_io_read", fd_name = "fd.name",
		} do
			field[key] = chisel.request_field(name)
		end
		chisel.set_filter(EVENTS .. (variant.filter and " and " .. variant.filter or ""))
		return true
	end

	function on_capture_start()
		live = sysdig.is_live()
		chisel.set_interval_s(1)
		return true
	end

	function on_event()
		events = events + 1
		if events % EVENTS_PER_STEP == 0 then
			sender:step(0)
		end
		local value = evt.field(field.container)
		local container = value and variant.container(value, field.second_field and evt.field(field.second_field))
		if not container then
			return true
		end
		local now = evt.get_ts()
		if not second or second.start ~= now then
			close_second()
			second = Second.new(now)
		end
		local bytes = evt.field(field.bytes)
		if bytes then
			record_bytes(container, bytes)
		elseif evt.get_type() == "procinfo" then
			record_process(container, (evt.field(field.cpu) or 0) * NS_PER_PERCENT)
		end
		return true
	end

	function on_interval(now)
		if second and second.start ~= now then
			close_second()
		end
		sender:step(live and MAX_LIVE_WAIT or 0)
		return true
	end

	function on_capture_end()
		close_second()
		local function is_done()
			return sender:is_done()
		end
		sender:drain(is_done, live and LIVE_DRAIN_TIMEOUT or FILE_DRAIN_TIMEOUT)
		sender:abandon("the server was unavailable until the end")
		loss:flush()
		if loss.total > 0 and not live then
			-- sysdig ignores errors raised in this callback.
			os.exit(1)
		end
	end
end

return recorder
