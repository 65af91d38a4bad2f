//! What was counted, and the check that all of it is stored or told as lost, once.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use bubble_common::segment::loss::Reason;
use bubble_common::segment::{Resolution, Segment, SourceId};
use bubble_server::span::row::{Piece, Row};
use bubble_server::span::unite::unite;
use bubble_server::store::Store;
use bubble_server::store::container::Container;

/// A second of a container: its name, source and time.
pub(crate) type Second = (String, SourceId, u64);

/// Reasons by which whole seconds are told as lost.
const TOLD: [Reason; 3] = [Reason::SPOOL_FULL, Reason::SPOOL_DAMAGED, Reason::REFUSED];

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// CPU time of each second.
    pub(crate) seconds: BTreeMap<Second, u64>,
    /// Seconds that were not on disk when the agent was killed. They may be missing.
    pub(crate) unspooled: BTreeSet<Second>,
    /// Losses that the agent knew when it was killed, while the disk had refused to hold them.
    pub(crate) unnoted: u64,
}

/// What a store has of the containers.
#[derive(Debug, Default)]
struct Stored {
    /// Seconds, by the coverage of minutes.
    seconds: BTreeSet<Second>,
    /// Seconds that are told as lost.
    told: u64,
}

impl Truth {
    /// Checks the rows of a store.
    pub(crate) async fn check(&self, store: &dyn Store, containers: &[Container]) -> Result<()> {
        let mut stored = Stored::default();
        for container in containers {
            let mut sums = Vec::new();
            for resolution in [Resolution::Second, Resolution::Minute, Resolution::Hour] {
                let rows = store.range(&container.id, resolution, 0..1 << 40).await?;
                sums.push(self.check_rows(container.id.as_str(), &rows, &mut stored)?);
            }
            ensure!(
                sums[1] == sums[2] && sums[1] == container.cpu_ns,
                "{} has {} ns of CPU time in minutes, {} in hours, and {} in its life",
                container.id,
                sums[1],
                sums[2],
                container.cpu_ns
            );
        }
        let missing: Vec<&Second> = self
            .seconds
            .keys()
            .filter(|second| !stored.seconds.contains(*second))
            .collect();
        let spooled = missing
            .iter()
            .filter(|second| !self.unspooled.contains(**second));
        let (lost, told) = (spooled.count() as u64, stored.told + self.unnoted);
        ensure!(
            lost <= told,
            "{lost} spooled seconds are missing, and {told} are told as lost ({} of them were \
             refused by the disk before the agent was killed); missing: {:?}",
            self.unnoted,
            &missing[..missing.len().min(20)]
        );
        Ok(())
    }

    /// Checks the rows of a container and resolution. Returns the sum of their CPU time.
    fn check_rows(&self, container: &str, rows: &[Row], stored: &mut Stored) -> Result<u64> {
        let mut spans: BTreeMap<(SourceId, u64), Vec<Piece>> = BTreeMap::new();
        for row in rows {
            let span = row.key.resolution.packed_start(row.key.start);
            let pieces = spans.entry((row.key.source, span)).or_default();
            pieces.push(row.decode()?);
        }
        let mut sum = 0;
        for pieces in spans.values() {
            sum += self.check_segment(container, &unite(pieces)?, stored)?;
        }
        Ok(sum)
    }

    /// Checks each slot. Returns the sum of its CPU time.
    fn check_segment(
        &self,
        container: &str,
        segment: &Segment,
        stored: &mut Stored,
    ) -> Result<u64> {
        let resolution = segment.key.resolution;
        let mut sum = 0;
        for (slot, coverage) in (0_u32..).zip(&segment.coverage) {
            let start = segment.key.start + u64::from(slot) * resolution.seconds();
            let cells = segment.cpu.iter().filter(|cell| cell.slot == slot);
            let found: u64 = cells.map(|cell| cell.value.ns).sum();
            sum += found;
            let key = |second| (container.to_owned(), segment.key.source, second);
            let seconds: Vec<Second> = match resolution {
                Resolution::Second if coverage.is_gap() => Vec::new(),
                Resolution::Second => vec![key(start)],
                Resolution::Minute => (0..60)
                    .filter(|second| coverage.0 & (1 << second) != 0)
                    .map(|second| key(start + second))
                    .collect(),
                // The minutes of an hour have its seconds.
                _ => continue,
            };
            let mut counted = 0;
            for second in seconds {
                let ns = self.seconds.get(&second);
                ensure!(ns.is_some(), "{second:?} was never counted, and is stored");
                counted += ns.copied().unwrap_or_default();
                stored.seconds.insert(second);
            }
            ensure!(
                found == counted,
                "{container} at {start} ({resolution:?}, {coverage:?}) has {found} ns of CPU time \
                 instead of {counted}"
            );
        }
        if resolution == Resolution::Minute {
            let told = segment.losses.iter();
            let told = told.filter(|cell| TOLD.iter().any(|reason| reason.0 == cell.row.0));
            stored.told += told.map(|cell| cell.value.count).sum::<u64>();
        }
        Ok(sum)
    }
}
