//! The privileged suite: runs each workload in a real container, with a real agent and server, and
//! compares the stored data with the workload's truth to the last byte. It needs root. The head of the
//! crate lists the environment variables.

mod common;
mod writers;

mod away;
mod calls;
mod container;
mod cpu;
mod doctor;
mod file;
mod fresh;
mod kill;
mod lives;
mod log;
mod memory;
mod mixed;
mod mounts;
mod network;
mod newer;
mod pins;
mod process;
mod refused;
mod reuse;
mod run;
mod soak;
mod sockets;
mod time;
