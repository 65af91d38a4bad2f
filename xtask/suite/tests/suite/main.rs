//! The privileged suite: every workload of known truth, in a real container, seen by a real agent,
//! stored by a real server, and compared to the last byte. See the head of the crate for what the
//! environment can say; it needs root.

mod common;

mod away;
mod container;
mod cpu;
mod doctor;
mod file;
mod fresh;
mod kill;
mod memory;
mod network;
mod process;
mod refused;
