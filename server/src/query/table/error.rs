//! Errors of tables.

use crate::query::filter::FilterError;

/// Why a table cannot be arranged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArrangeError {
    /// The filter is not valid.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// No such column to sort by.
    #[error("cannot sort by {name:?}: the columns are {known}")]
    Sort {
        /// What was asked for.
        name: String,
        /// The columns.
        known: String,
    },
    /// No such column to group by.
    #[error("cannot group by {name:?}: the columns are {known}")]
    Group {
        /// What was asked for.
        name: String,
        /// The columns that rows can be grouped by.
        known: String,
    },
}
