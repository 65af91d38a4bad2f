-- The chisel for nodes of a Slurm cluster: as sysdigdocker, with the job, `job_42`, as the container,
-- by the path of its cpuset cgroup. The server makes the same of what the original posts.

description = "Posts the CPU, files and connections of each Slurm job to a bubble-server, each second, by process. Slurm must put its jobs into cgroups."
short_description = "Post what Slurm jobs do to a bubble-server"
category = "Containers"

args = {
	{
		name = "url",
		description = "where to post: http://HOST:PORT/event/api/KEY",
		argtype = "string",
		optional = false,
	},
}

require("bubble.recorder").install {
	name = "sysdigslurm",
	field = "thread.cgroup.cpuset",
	filter = "thread.cgroup.cpuset contains slurm",
	--- /slurm/uid_1000/job_42/step_0/task_0 (cgroup v1),
	--- /system.slice/slurmstepd.scope/job_42/step_batch (v2)
	container = function(path)
		return path:match("slurm.*/(job_%d+)")
	end,
}
