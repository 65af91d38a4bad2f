//! Reads the spool of a dead agent.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use bubble_common::batch::Batch;

/// Magic bytes of a spool file. Records follow: three numbers of 32 bits (the first is the length of
/// the payload) and the payload, a batch.
const MAGIC: &[u8] = b"BCSPOOL1";
/// Bytes of a record before its payload.
const HEADER: usize = 12;

/// The batches in a spool file, without an incomplete last record.
fn batches(bytes: &[u8]) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut rest = bytes.strip_prefix(MAGIC).unwrap_or_default();
    while let Some((header, behind)) = rest.split_at_checked(HEADER) {
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let Some((payload, behind)) = behind.split_at_checked(length as usize) else {
            break;
        };
        let Ok(batch) = Batch::decode(payload) else {
            break;
        };
        batches.push(batch);
        rest = behind;
    }
    batches
}

/// Container and path of every written file in the spooled segments.
///
/// # Errors
/// If the folder cannot be read.
pub fn written(folder: &Path) -> Result<HashSet<(String, String)>> {
    let mut written = HashSet::new();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()));
    for entry in entries? {
        let path = entry?.path();
        if !path.is_file() {
            continue;
        }
        for segment in batches(&fs::read(&path)?)
            .iter()
            .flat_map(|batch| &batch.segments)
        {
            for cell in segment
                .file_io
                .iter()
                .filter(|cell| cell.value.bytes_out > 0)
            {
                let file = &segment.files[cell.row.1 as usize];
                written.insert((segment.key.container.to_string(), file.path.clone()));
            }
        }
    }
    Ok(written)
}
