//! placeholder while it is written
