//! Indices of the parameters that describe a process: `clone` and `exec` share most of them.

pub(super) const EXE: u8 = 1;
pub(super) const ARGS: u8 = 2;
pub(super) const TID: u8 = 3;
pub(super) const PID: u8 = 4;
pub(super) const PARENT: u8 = 5;
pub(super) const CWD: u8 = 6;
pub(super) const VM: u8 = 10;
pub(super) const COMM: u8 = 13;
pub(super) const CGROUPS: u8 = 14;
/// Of `clone` only.
pub(super) const FLAGS: u8 = 15;
pub(super) const UID: u8 = 16;
pub(super) const GID: u8 = 17;
pub(super) const VTID: u8 = 18;
pub(super) const VPID: u8 = 19;
/// Of `exec` only.
pub(super) const EXEC_UID: u8 = 26;
pub(super) const TRUSTED_PATH: u8 = 27;
pub(super) const EXEC_GID: u8 = 29;
pub(super) const FILE_NAME: u8 = 30;
