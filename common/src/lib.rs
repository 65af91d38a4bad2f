//! What every part of bubble-chamber agrees on.
//!
//! With the default feature `std`: the [`segment`], the one type that the agent
//! builds, spools and posts, that the server stores, that roll-up merges and
//! that a query reads; and the [`batch`], the envelope in which segments travel.
//! Without it: only [`kernel`], the plain structs that the eBPF programs and the
//! agent share, for a target that has no standard library.
//!
//! Nothing here, but for what helps tests, does I/O, knows a clock or a database.

#![cfg_attr(not(feature = "std"), no_std)]

pub mod kernel;

#[cfg(feature = "std")]
pub mod batch;
#[cfg(feature = "std")]
pub mod segment;
#[cfg(feature = "testing")]
pub mod testing;
