//! The cases, one file a subject. Each makes a [`Truth`](bubble_workload::truth::Truth).

pub(crate) mod burn;
pub(crate) mod datagram;
pub(crate) mod file;
pub(crate) mod memory;
pub(crate) mod opens;
pub(crate) mod process;
pub(crate) mod pulse;
pub(crate) mod tcp;
pub(crate) mod unix;
pub(crate) mod uring;
