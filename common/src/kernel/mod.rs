//! The plain structs that the eBPF programs and the agent share: keys and values
//! of the kernel's maps, records of its ring buffer, and the offsets that the
//! agent hands to the programs as globals.
//!
//! All are `repr(C)`, without padding that is not named, and their sizes are
//! asserted at compile time: both sides are built by different compilers.
