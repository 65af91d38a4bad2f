//! The fixtures of the privileged suite: a real server, a real agent, containers by Docker or plain
//! cgroups, a client of the HTTP API, and the comparison of its answers with the workload's truth.
//!
//! The tests are in `tests/suite`. Environment variables configure them, so that the compiled suite
//! also runs in a virtual machine:
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `BUBBLE_SERVER_BIN` | program of the server | the newest static build of this workspace |
//! | `BUBBLE_AGENT_BIN` | program of the agent | the same |
//! | `BUBBLE_WORKLOAD_BIN` | program of the workload | the same |
//! | `BUBBLE_RUNNER` | `docker` or `cgroup` | `docker` if a Docker daemon answers |
//! | `BUBBLE_HOOKS` | `auto`, `vfs` or `syscall`: the agent's `--hooks` | `auto` |
//! | `BUBBLE_PATIENCE` | factor on all timeouts, for slow (emulated) machines; on pauses at most 5 | `1` |
//! | `BUBBLE_AWAY_SECONDS` | length of the outage of the server in the test `away`, seconds | `120` |
//! | `BUBBLE_RESTARTS` | number of restarts of a container in the test `lives` | `100` |
//! | `BUBBLE_FOLDERS` | number of files in the tests `mounts` | `10000` |
//! | `BUBBLE_KILLS` | number of kills of agent and server in the test `kill` | `20` |
//! | `BUBBLE_PIN_KILLS` | number of kills of an agent with pins in the tests `pins` | `6` |
//! | `BUBBLE_MIXED_SECONDS` | length of the load in the test `mixed::programs`, seconds | `20` |
//!
//! The suite needs root, as the agent does. The tests in `tests/chisel` do not: they run sysdig with
//! our chisels over the captures in the folder `BUBBLE_CAPTURES`.

pub mod agent;
pub mod api;
pub mod bench;
pub mod compare;
pub mod container;
pub mod keeper;
pub mod pulse;
pub mod reconcile;
pub mod server;
pub mod settings;
pub mod spool;
pub mod witness;
