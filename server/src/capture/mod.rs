//! Captures that somebody uploads. A process of its own reads each, so that none can harm the server.
//!
//! ```text
//! upload ──► file without a name ──► read (another process, bounded) ──► file without a name ──► ingest
//! ```
//!
//! [`start`] starts the process: this program again, with the command `read-capture`. [`read`] is what it
//! does. Its memory, CPU time and output are bounded by the kernel, and it has no environment. Nothing is
//! stored before it has ended, so a capture that exceeds a bound leaves nothing behind.

pub mod output;
pub mod read;
pub mod start;
