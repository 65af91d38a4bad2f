//! The debug messages of the kernel side: what a program could not do, or did only in part.
//!
//! They are passed on to `tracing` at level debug. If that level is not shown, the programs are loaded
//! with messages turned off, and the verifier removes them.

use std::os::fd::BorrowedFd;

use ::log::{Log, Metadata, Record};
use aya::Ebpf;
use aya_log::{EbpfLogger, Level};

use super::bpf;

/// Name of the ring buffer of messages.
pub const MAP: &str = "AYA_LOGS";
/// Size of that ring buffer if no message is written: the smallest that the kernel accepts.
const UNUSED_BYTES: u32 = 4096;
/// Size otherwise. The kernel side writes each message at most once a second.
const BYTES: u32 = 16 * 1024;

/// The global of the kernel side that holds the most detailed level it writes.
pub const LEVEL_GLOBAL: &str = aya_log::LEVEL;

/// Whether messages are shown.
fn is_shown() -> bool {
    tracing::enabled!(tracing::Level::DEBUG)
}

/// The most detailed level that the kernel side writes; 0 for none.
pub fn level() -> u8 {
    if is_shown() { Level::Debug as u8 } else { 0 }
}

/// Size of the ring buffer, in bytes.
pub fn ring_bytes() -> u32 {
    if is_shown() { BYTES } else { UNUSED_BYTES }
}

/// The reader of the messages.
pub struct Messages {
    logger: Option<EbpfLogger<Forward>>,
}

impl Messages {
    /// Takes the ring buffer. Counting does not depend on it, so a missing one is only reported.
    /// Without a loader's object, an earlier run has loaded the programs, and this is one of them.
    pub fn open(ebpf: Option<&mut Ebpf>, program: BorrowedFd<'_>) -> Self {
        let logger = match ebpf {
            Some(ebpf) => EbpfLogger::init_with_logger(ebpf, Forward),
            // No program has this number.
            None => EbpfLogger::init_from_id_with_logger(
                bpf::program_id(program).unwrap_or(u32::MAX),
                Forward,
            ),
        };
        let logger = logger
            .inspect_err(|error| {
                tracing::debug!(%error, "cannot read the kernel side's debug messages");
            })
            .ok();
        Self { logger }
    }

    /// Passes on the messages that have arrived.
    pub fn forward(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }
}

/// Passes records of the crate `log` on to `tracing`.
struct Forward;

impl Log for Forward {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        is_shown()
    }

    fn log(&self, record: &Record<'_>) {
        let text = without_padding(&record.args().to_string());
        tracing::debug!("kernel side: {text}");
    }

    fn flush(&self) {}
}

/// Joins the words of a message: the kernel side pads its texts to one length.
fn without_padding(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::without_padding;

    #[test]
    fn padding_between_text_and_amount_is_removed() {
        let padded = format!("{:64} {}", "path too long; bytes sent:", 1021);
        assert_eq!(without_padding(&padded), "path too long; bytes sent: 1021");
    }
}
