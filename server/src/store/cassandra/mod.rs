//! Cassandra, for sites that have outgrown one machine: any number of servers on one cluster.
//!
//! Nothing is locked. Only packed rows, the lease and a few small tables use lightweight
//! transactions. Every other write is idempotent: it stores a value and never adds to one.
//! `mark.rs`, `life_row.rs` and `repack.rs` explain why that is enough.
//!
//! Two things are required. A read sees every write that was acknowledged before it, which
//! quorums or a single node guarantee. The nodes' clocks are in step, as Cassandra requires
//! anyway. The servers' clocks do not matter.
//!
//! The files import in this order: traits (`segments`, `packing`, `index`, `recording`, …) →
//! work on several tables (`put`, `repack`, `read`, `life`) → `cluster` → one file a table
//! (`piece`, `life_row`, `mark`, `listing`, `table`, `horizon`) → `session`, `value`.

pub mod address;
mod attention;
mod bindings;
mod cluster;
mod horizon;
mod hosts;
mod index;
mod keys;
mod lease;
mod life;
mod life_row;
mod listing;
mod mark;
mod packing;
mod piece;
mod put;
mod read;
mod recording;
mod repack;
mod restore;
mod schema;
mod segments;
mod session;
mod swept;
mod table;
mod tokens;
mod value;
mod write_cache;

pub use self::cluster::Cassandra;
pub use self::schema::Replication;
pub use self::session::Consistency;
