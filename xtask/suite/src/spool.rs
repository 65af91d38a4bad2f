//! What a dead agent has left in its spool.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use bubble_common::batch::Batch;
use bubble_common::segment::Segment;

/// Container and path of every file that the spooled segments say was written.
///
/// # Errors
/// When the folder cannot be read.
pub fn written(folder: &Path) -> Result<HashSet<(String, String)>> {
    let mut written = HashSet::new();
    let mut take = |segment: &Segment| {
        for cell in segment
            .file_io
            .iter()
            .filter(|cell| cell.value.bytes_out > 0)
        {
            let file = &segment.files[cell.row.1 as usize];
            written.insert((segment.key.container.to_string(), file.path.clone()));
        }
    };
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path)?;
        // A file that the agent had not finished is not in the spool yet.
        if let Ok(batch) = Batch::decode(&bytes) {
            batch.segments.iter().for_each(&mut take);
        } else if let Ok(segment) = Segment::decode(&bytes) {
            take(&segment);
        }
    }
    Ok(written)
}
