//! SQLite, the embedded default: one file, nothing to set up.
//!
//! It uses a write-ahead log, one thread that writes, and separate connections for
//! readers. A post is answered after its commit, so it always survives the death of this
//! process. With [`Durability::Power`] each commit also waits for the disk, so a post
//! survives a power failure as well.
//!
//! The files import in this order: traits (`segments`, `packing`, `index`, …) → `database`
//! → `writer` → `cache` → tables (`entry`, `schema`).

mod attention;
mod bindings;
mod cache;
mod compact;
mod database;
mod deletion;
mod entry;
mod expire;
mod hosts;
mod index;
mod keys;
mod lease;
mod packing;
mod private;
mod read;
mod recording;
mod restore;
mod row_id;
mod rows;
mod schema;
mod segments;
mod space;
mod tokens;
mod verify;
mod versions;
mod writer;

pub use self::compact::{Compacted, compact};
pub use self::database::{Durability, FILE, Sqlite};
pub use self::writer::{Faults, Step};
