//! The data types that all parts of bubble-chamber share.
//!
//! - [`segment`]: the one type that the agent builds, spools and posts, that the server
//!   stores, that roll-up merges and that a query reads.
//! - [`batch`]: the envelope in which an agent posts segments.
//! - [`legacy`]: what the chisels post.
//! - [`report`]: what a container did, in figures, lists and advice, made from segments.
//! - [`kernel`]: plain structs that the eBPF programs and the agent share. Without the default
//!   feature `std` it is the only module, as the kernel has no standard library.
//!
//! This crate does no I/O, reads no clock and knows no database.

#![cfg_attr(not(feature = "std"), no_std)]

pub mod kernel;

#[cfg(feature = "std")]
pub mod batch;
#[cfg(feature = "std")]
pub mod legacy;
#[cfg(feature = "std")]
pub mod report;
#[cfg(feature = "std")]
pub mod segment;
#[cfg(feature = "std")]
pub mod short_id;
