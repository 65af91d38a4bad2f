//! The file of losses: what was given up, until the second that reports it is in the spool.
//!
//! It is replaced as a whole. If the agent is killed after that second was spooled and before the
//! file was replaced, the next run reports the same loss again.
//!
//! ```text
//! file = record        as in the other files, of lines
//! line = REASON SECONDS [CONTAINER]
//!      | damaged NUMBER SEGMENTS
//! ```
//!
//! A line of the second form says that the damage of a file of the spool is noted, and still in the file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use bubble_common::segment::ContainerId;
use bubble_common::segment::loss::Reason;

use super::disk::{Disk, Opening};
use super::file::PART;
use super::record::{self, MAGIC};
use crate::undelivered::Undelivered;

/// Segments in damaged records whose loss is noted, by number of the file.
pub(super) type NotedDamage = BTreeMap<u64, u64>;

/// First word of a line about damage.
const DAMAGED: &str = "damaged";

fn path(spool: &Path) -> PathBuf {
    spool.join("losses")
}

/// Reads what an earlier run of the spool has not reported. Returns false if the file is damaged.
///
/// # Errors
/// When the file exists and cannot be read.
pub(super) fn read(
    disk: &dyn Disk,
    spool: &Path,
    into: &Undelivered,
    noted: &mut NotedDamage,
) -> io::Result<bool> {
    let file = match disk.open(&path(spool), Opening::Existing) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        opened => opened?,
    };
    let bytes = file.read_all()?;
    let (records, damage) = record::scan(&bytes);
    let mut is_valid = damage.bytes == 0 && records.len() == 1;
    for record in records {
        let payload = bytes.get(record.offset as usize..).unwrap_or_default();
        let payload = payload.get(..record.length as usize).unwrap_or_default();
        for line in String::from_utf8_lossy(payload).lines() {
            if let Some((number, segments)) = parse_damage(line) {
                noted.insert(number, segments);
            } else if let Some((container, reason, seconds)) = parse(line) {
                into.add(container.as_ref(), reason, seconds);
            } else {
                is_valid = false;
            }
        }
    }
    into.set_changed(false);
    Ok(is_valid)
}

fn parse(line: &str) -> Option<(Option<ContainerId>, Reason, u64)> {
    let mut words = line.splitn(3, ' ');
    let reason = Reason(words.next()?.parse().ok()?);
    let seconds = words.next()?.parse().ok()?;
    let container = words.next().map(ContainerId::new).transpose().ok()?;
    Some((container, reason, seconds))
}

fn parse_damage(line: &str) -> Option<(u64, u64)> {
    let (number, segments) = line.strip_prefix(DAMAGED)?.trim_start().split_once(' ')?;
    Some((number.parse().ok()?, segments.parse().ok()?))
}

/// Replaces the file.
///
/// # Errors
/// When that may not be on the disk.
pub(super) fn write(
    disk: &dyn Disk,
    spool: &Path,
    losses: &Undelivered,
    damage: &NotedDamage,
) -> io::Result<()> {
    let mut text = String::new();
    for ((container, reason), seconds) in losses.all() {
        let _ = write!(text, "{} {seconds}", reason.0);
        if let Some(container) = container {
            let _ = write!(text, " {}", container.as_str());
        }
        text.push('\n');
    }
    for (number, segments) in damage {
        let _ = writeln!(text, "{DAMAGED} {number} {segments}");
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend(record::encode(text.as_bytes(), 0)?);
    let path = path(spool);
    let part = path.with_extension(PART);
    let file = disk.open(&part, Opening::Empty)?;
    file.write_at(&bytes, 0)?;
    file.sync()?;
    disk.rename(&part, &path)?;
    disk.sync_folder(spool)
}

/// Removes the file if nothing is left to report, and no damage to remember that is still in the spool.
pub(super) fn close(disk: &dyn Disk, spool: &Path, losses: &Undelivered, damage: &NotedDamage) {
    if losses.all().is_empty() && damage.is_empty() {
        // An absent file has no losses either.
        let _ = disk.remove(&path(spool));
    }
}
