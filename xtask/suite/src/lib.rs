//! What the privileged suite stands on: a real server and a real agent, containers by Docker or by
//! plain cgroups, the HTTP API, and the comparison of what it says with the workload's truth.
//!
//! The tests themselves are in `tests/suite`. All of it is told where things are by the
//! environment, so that the compiled suite runs by itself in a virtual machine:
//!
//! | variable | what | default |
//! |---|---|---|
//! | `BUBBLE_SERVER_BIN` | the server's program | the newest static build of this workspace |
//! | `BUBBLE_AGENT_BIN` | the agent's program | the same |
//! | `BUBBLE_WORKLOAD_BIN` | the workload's program | the same |
//! | `BUBBLE_RUNNER` | `docker` or `cgroup` | `docker` where a Docker daemon answers |
//! | `BUBBLE_HOOKS` | `auto`, `vfs` or `syscall`: the agent's `--hooks` | `auto` |
//! | `BUBBLE_PATIENCE` | factor on all waiting, for slow (emulated) machines | `1` |
//! | `BUBBLE_AWAY_SECONDS` | how long the server is away in that test | `120` |
//! | `BUBBLE_KILLS` | how often agent and server are killed | `20` |
//!
//! It needs root, as the agent does. The tests in `tests/chisel` need neither: they run sysdig with
//! our chisels over captures, which are in the folder that `BUBBLE_CAPTURES` names.

pub mod agent;
pub mod api;
pub mod bench;
pub mod compare;
pub mod container;
pub mod keeper;
pub mod pulse;
pub mod server;
pub mod settings;
pub mod spool;
