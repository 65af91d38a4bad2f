//! The report of a container: what a run, a life or a range of it was.
//!
//! A [`tally::Tally`] adds up segments, [`Report::new`] makes the report of the sums of one container
//! with its [`advice`], and [`render`] writes it as text, Markdown, HTML, JSON, or the fields of another tool. The agent reports a run, the
//! server what it has stored, from the same sums.
//!
//! Sums are of everything, whatever a list shows: each list has the number of all its entries, and the
//! sums of those that it leaves out.

pub mod advice;
pub mod asked;
mod build;
mod context;
mod document;
mod fields;
pub mod form;
mod html;
mod print;
pub mod render;
pub mod tally;
pub mod words;

pub use self::context::Context;
pub use self::form::Report;
use crate::segment::ContainerId;

/// Entries of each list by default.
pub const DEFAULT_ROWS: usize = 10;

impl Report {
    /// The report of a container with these sums.
    pub fn new(id: &ContainerId, sums: &tally::Container, context: &Context) -> Self {
        let mut report = build::report(id, sums, context);
        // Advice does not depend on how much of the lists is shown.
        report.advice = advice::advice(&report);
        build::cut(&mut report, context.rows);
        report
    }
}
