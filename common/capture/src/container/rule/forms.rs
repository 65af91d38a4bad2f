//! The paths of containers, by runtime, as the runtimes have made them since 2020.
//!
//! docs/containers.md has the same table. `ID` and `INNER` stand for 64 hexadecimal digits, `UID`
//! for the uid of a pod, and `UID_` for the same with underscores.

/// A path, and the container that owns it.
pub(super) struct Form {
    /// The fact `runtime`.
    pub(super) runtime: &'static str,
    /// A path, with a bar after the container's own cgroup.
    pub(super) path: &'static str,
    /// Id of the container on the host `node7`. `SHORT`: the first 12 digits of `ID`.
    pub(super) id: &'static str,
    /// Who makes such a path, and where that is written.
    pub(super) source: &'static str,
}

/// Paths of containers.
#[rustfmt::skip]
pub(super) const FORMS: &[Form] = &[
    Form { runtime: "docker", path: "/docker/ID|/init.scope", id: "SHORT", source: "Docker, cgroupfs driver: moby daemon/oci_linux.go" },
    Form { runtime: "docker", path: "/system.slice/docker-ID.scope|", id: "SHORT", source: "Docker, systemd driver: runc, slice:prefix:name" },
    Form { runtime: "docker", path: "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope|", id: "SHORT", source: "rootless Docker: docs.docker.com/engine/security/rootless" },
    Form { runtime: "docker", path: "/batch/job/ID|", id: "SHORT", source: "docker run --cgroup-parent" },
    Form { runtime: "docker", path: "/system.slice/system.slice:docker:ID|", id: "SHORT", source: "Docker, systemd driver, without systemd in runc" },
    Form { runtime: "docker", path: "/kubepods.slice/kubepods-podUID_.slice/docker-ID.scope|", id: "SHORT", source: "cri-dockerd; guaranteed pod" },
    Form { runtime: "docker", path: "/docker/INNER/docker/ID|", id: "SHORT", source: "Docker in Docker: the inner container" },
    Form { runtime: "docker", path: "/ecs/1234/ID|", id: "SHORT", source: "Amazon ECS agent" },
    Form { runtime: "buildkit", path: "/docker/buildkit/0q1bzx2k1m3n4b5v6c7x8z9l0|", id: "buildkit:0q1bzx2k1m3n4b5v6c7x8z9l0@node7", source: "BuildKit in dockerd, cgroupfs driver: moby builder/builder-next" },
    Form { runtime: "buildkit", path: "/system.slice/system.slice:docker:jvifp9a6b1lxa1kuw8bwfcovf|", id: "buildkit:jvifp9a6b1lxa1kuw8bwfcovf@node7", source: "BuildKit in dockerd, systemd driver" },
    Form { runtime: "podman", path: "/machine.slice/libpod-ID.scope|/container", id: "SHORT", source: "Podman, systemd driver: libpod/container_internal_linux.go" },
    Form { runtime: "podman", path: "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope|/container", id: "SHORT", source: "rootless Podman" },
    Form { runtime: "podman", path: "/machine.slice/machine-libpod_pod_INNER.slice/libpod-ID.scope|/container", id: "SHORT", source: "container of a pod: github.com/containers/podman/issues/16589" },
    Form { runtime: "podman", path: "/libpod_parent/libpod-ID|", id: "SHORT", source: "Podman, cgroupfs driver" },
    Form { runtime: "podman", path: "/libpod_parent/INNER/libpod-ID|", id: "SHORT", source: "the same in a pod" },
    Form { runtime: "podman", path: "/system.slice/web.service/libpod-payload-ID|", id: "SHORT", source: "Quadlet, --cgroups=split: docs.podman.io, podman-systemd.unit" },
    Form { runtime: "podman", path: "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service/libpod-payload-ID|", id: "SHORT", source: "Quadlet of a user" },
    Form { runtime: "containerd", path: "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/cri-containerd-ID.scope|", id: "SHORT", source: "containerd, systemd driver: internal/cri/server/helpers.go" },
    Form { runtime: "containerd", path: "/system.slice/containerd.service/kubepods-burstable-podUID_.slice:cri-containerd:ID|", id: "SHORT", source: "containerd without SystemdCgroup, kubelet with systemd: github.com/kubernetes/kubernetes/issues/106514" },
    Form { runtime: "containerd", path: "/kubepods-besteffort-podUID_.slice:cri-containerd:ID|", id: "SHORT", source: "the same, at the root" },
    Form { runtime: "containerd", path: "/kubepods/besteffort/podUID/ID|", id: "SHORT", source: "containerd, cgroupfs driver" },
    Form { runtime: "containerd", path: "/kubepods/podUID/ID|", id: "SHORT", source: "the same, guaranteed pod" },
    Form { runtime: "containerd", path: "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podUID_.slice/cri-containerd-ID.scope|", id: "SHORT", source: "kind: kubelet with cgroupRoot /kubelet" },
    Form { runtime: "containerd", path: "/docker/INNER/kubelet/kubepods/burstable/podUID/ID|", id: "SHORT", source: "kind in Docker: the pod's container" },
    Form { runtime: "containerd", path: "/default/ID|", id: "SHORT", source: "nerdctl, cgroupfs driver" },
    Form { runtime: "containerd", path: "/system.slice/nerdctl-ID.scope|", id: "SHORT", source: "nerdctl, systemd driver" },
    Form { runtime: "containerd", path: "/user.slice/user-1000.slice/user@1000.service/user.slice/nerdctl-ID.scope|", id: "SHORT", source: "rootless nerdctl" },
    Form { runtime: "cri-o", path: "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podUID_.slice/crio-ID.scope|/container", id: "SHORT", source: "CRI-O, systemd driver: internal/config/cgmgr" },
    Form { runtime: "cri-o", path: "/kubepods/burstable/podUID/crio-ID|", id: "SHORT", source: "CRI-O, cgroupfs driver" },
    Form { runtime: "cri-o", path: "/docker/INNER/kubepods.slice/kubepods-podUID_.slice/crio-ID.scope|/container", id: "SHORT", source: "minikube in Docker: github.com/kubernetes/minikube/issues/11280" },
    Form { runtime: "slurm", path: "/slurm/uid_1000/job_77/step_0|/task_3", id: "slurm-77.0@node7", source: "Slurm, cgroup/v1: slurm.schedmd.com/cgroups.html" },
    Form { runtime: "slurm", path: "/system.slice/slurmstepd.scope/job_77/step_batch|/user/task_0", id: "slurm-77.batch@node7", source: "Slurm, cgroup/v2: slurm.schedmd.com/cgroup_v2.html" },
    Form { runtime: "slurm", path: "/system.slice/node1_slurmstepd.scope/job_77/step_extern|/user/task_special", id: "slurm-77.extern@node7", source: "the same with several slurmd on a host" },
    Form { runtime: "slurm", path: "/system.slice/slurmstepd.scope/sEKNKTV3WPV500/step_0|/user/task_0", id: "slurm-sEKNKTV3WPV500.0@node7", source: "Slurm 26.05, by SLUID: slurm.schedmd.com/cgroup.conf.html, CgroupJobIdPaths" },
    Form { runtime: "lxc", path: "/lxc.payload.web|/init.scope", id: "web@node7", source: "LXC 4: src/lxc/cgroups/cgroup.h" },
    Form { runtime: "lxc", path: "/lxc.payload/web|", id: "web@node7", source: "LXC 3.2" },
    Form { runtime: "lxc", path: "/lxc/web|/ns", id: "web@node7", source: "LXC 2 and 3, Proxmox" },
    Form { runtime: "lxc", path: "/user.slice/user-1000.slice/user@1000.service/app.slice/run-x.scope/lxc.payload.web|", id: "user-1000:web@node7", source: "unprivileged LXC" },
    Form { runtime: "lxc", path: "/lxc.payload.outer/lxc.payload.web|", id: "outer:web@node7", source: "LXC in LXC: the inner container" },
    Form { runtime: "lxc", path: "/machine.slice/machine-lxc\\x2d4711\\x2dweb.scope|", id: "web@node7", source: "libvirt: src/util/virsystemd.c" },
    Form { runtime: "systemd-nspawn", path: "/machine.slice/systemd-nspawn@m1.service|/payload/init.scope", id: "nspawn:m1@node7", source: "machinectl start: systemd src/nspawn/nspawn-cgroup.c" },
    Form { runtime: "systemd-nspawn", path: "/machine.slice/machine-my\\x2dbox.scope|/payload", id: "nspawn:my-box@node7", source: "systemd-nspawn from the command line" },
];

/// Paths that belong to no container, and what they are.
#[rustfmt::skip]
pub(super) const NO_CONTAINERS: &[(&str, &str)] = &[
    ("/machine.slice/libpod-conmon-ID.scope", "Podman's monitor"),
    ("/libpod_parent/INNER", "a pod of Podman"),
    ("/libpod_parent/conmon", "Podman's monitors"),
    ("/machine.slice/machine-libpod_pod_INNER.slice", "a pod of Podman"),
    ("/system.slice/web.service/runtime", "Podman's monitor, --cgroups=split"),
    ("/kubepods.slice/kubepods-podUID_.slice/crio-conmon-ID.scope", "CRI-O's monitor"),
    ("/kubepods/podUID/crio-conmon-ID", "the same, cgroupfs driver"),
    ("/kubepods.slice/kubepods-podUID_.slice", "a pod of Kubernetes"),
    ("/lxc.monitor.web", "LXC's monitor"),
    ("/lxc.monitor/web", "the same, LXC 3.2"),
    ("/lxc/lxc.monitor.web", "the same"),
    ("/lxc.pivot", "LXC's own"),
    ("/system.slice/slurmstepd.scope/system", "slurmstepd's own: slurm.schedmd.com/cgroup_v2.html"),
    ("/system.slice/slurmstepd.scope/job_77", "the job, whose steps are the containers"),
    ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", "a virtual machine"),
    ("/system.slice/docker.service", "the runtime itself"),
    ("/system.slice/containerd.service", "the runtime itself"),
];
