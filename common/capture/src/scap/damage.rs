//! Damage that costs some entries of lists or some blocks, and not the capture.

use super::block::{Kind, damaged};
use crate::recording::Error;

/// The first damage of a capture, and how much more there is.
#[derive(Debug)]
pub(super) struct Damage {
    at: u64,
    why: String,
    more: u64,
}

impl Damage {
    /// Notes that `count` entries of the block at `at`, or all of it, cannot be read.
    pub(super) fn note(known: &mut Option<Self>, at: u64, kind: Kind, count: u64) {
        if count == 0 {
            return;
        }
        if let Some(damage) = known {
            damage.more += count;
            return;
        }
        let why = match kind {
            Kind::Threads(_) => "an entry of the list of threads cannot be read".to_owned(),
            Kind::Descriptors { .. } => {
                "an entry of a list of descriptors cannot be read".to_owned()
            }
            Kind::Interfaces { .. } => "the list of interfaces cannot be read".to_owned(),
            Kind::Unknown(number) => {
                format!("a block of the type {number:#x}, which this version does not know")
            }
            _ => "the facts of the machine cannot be read".to_owned(),
        };
        *known = Some(Self {
            at,
            why,
            more: count - 1,
        });
    }

    /// The error with which reading ends.
    pub(super) fn error(&self) -> Error {
        let Self { at, why, more } = self;
        damaged(
            *at,
            match more {
                0 => why.clone(),
                more => format!("{why}; and {more} more"),
            },
        )
    }
}
