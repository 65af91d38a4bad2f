//! Which cgroups are containers, and what their paths tell about them.

mod describe;
pub mod glob;
pub mod rule;

pub use self::describe::{HostFacts, describe};
