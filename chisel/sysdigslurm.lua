-- The chisel for nodes of a Slurm cluster: as sysdigdocker, but the container is the job (`job_42`),
-- taken from the path of its cpuset cgroup. The original posts the whole path, from which the server
-- takes the same job.

description = "Each second, posts the CPU time, files and connections of each Slurm job to a bubble-server, by process. Slurm must put its jobs into cgroups."
short_description = "Post the activity of Slurm jobs to a bubble-server"
category = "Containers"

args = {
	{
		name = "url",
		description = "URL to post to: http://HOST:PORT/event/api/KEY",
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
