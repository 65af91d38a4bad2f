//! The cases, one file a subject. Each returns a [`Truth`](bubble_workload::truth::Truth).

pub(crate) mod aio;
pub(crate) mod append;
pub(crate) mod blocks;
pub(crate) mod budget;
pub(crate) mod burn;
pub(crate) mod datagram;
pub(crate) mod fault;
pub(crate) mod file;
pub(crate) mod folders;
pub(crate) mod identity;
pub(crate) mod mapped;
pub(crate) mod memory;
pub(crate) mod multipath;
pub(crate) mod names;
pub(crate) mod narrow;
pub(crate) mod opens;
pub(crate) mod passed;
pub(crate) mod process;
pub(crate) mod pulse;
pub(crate) mod replaced;
pub(crate) mod shop;
pub(crate) mod tcp;
pub(crate) mod unix;
pub(crate) mod uring;
