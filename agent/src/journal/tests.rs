use std::io::Seek as _;
use std::os::fd::AsFd as _;

use bubble_common::segment::SourceId;

use super::{Journal, RECORD_BYTES, TOTALS};

/// Memory that outlives a journal: a file stands for the pinned array.
struct Host {
    file: std::fs::File,
    /// Generation that the kernel writes.
    generation: u64,
}

impl Host {
    fn new() -> Self {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(Journal::BYTES as u64).unwrap();
        file.rewind().unwrap();
        Self {
            file,
            generation: 1,
        }
    }

    /// The journal of the next run, and the records that it has to take in again.
    fn journal(&self, first: bool) -> (Journal, Vec<Vec<u8>>) {
        let mut journal = Journal::open(Some(self.file.as_fd())).unwrap();
        let records = journal.resume(self.generation, first);
        let records = records.into_iter().map(|(_, record)| record).collect();
        (journal, records)
    }

    /// Drains a second as the agent does, up to a step.
    fn drain(&mut self, journal: &mut Journal, second: u64, steps: u32) {
        assert!(journal.is_ready());
        let old = self.generation;
        if steps >= 1 {
            journal.begin_drain(old, second);
        }
        if steps >= 2 {
            self.generation = old + 1;
        }
        if steps >= 3 {
            journal.keep_record(b"drained");
            journal.end_records(old);
        }
        if steps >= 4 {
            journal.receipt().give();
        }
    }
}

const SOURCE: SourceId = SourceId([7; 16]);

#[test]
fn a_kill_after_each_step_leaves_each_sum_to_one_second() {
    // Steps done, and the second under which the next run drains the sums again, if at all.
    for (steps, again) in [(0, None), (1, None), (2, Some(6)), (3, Some(6)), (4, None)] {
        let mut host = Host::new();
        let (mut journal, _) = host.journal(true);
        journal.set_source(SOURCE);
        host.drain(&mut journal, 5, 4);
        journal.keep_record(b"polled");
        host.drain(&mut journal, 6, steps);
        drop(journal);
        for run in ["next", "one after it, as that was killed too"] {
            let (journal, records) = host.journal(false);
            let unspooled = journal.unspooled();
            assert_eq!(unspooled.map(|it| it.second), again, "{steps} steps, {run}");
            assert!(unspooled.is_none_or(|it| it.source == SOURCE && it.generation == 2));
            let expected = match steps {
                0..=2 => vec![&b"polled"[..]],
                3 => vec![&b"polled"[..], b"drained"],
                _ => vec![],
            };
            assert_eq!(records, expected, "{steps} steps, {run}");
            assert_eq!(journal.last_second(), Some(if steps < 2 { 5 } else { 6 }));
        }
        let (mut journal, _) = host.journal(false);
        if journal.unspooled().is_some() {
            assert!(!journal.is_ready());
            journal.end_records(2);
            journal.receipt().give();
        }
        // The next second is drained as usual.
        host.drain(&mut journal, 9, 4);
        let (journal, records) = host.journal(false);
        assert_eq!(journal.unspooled(), None, "{steps} steps");
        assert!(records.is_empty() && journal.is_ready());
    }
}

#[test]
fn a_receipt_that_comes_late_is_not_for_the_next_second() {
    let mut host = Host::new();
    let (mut journal, _) = host.journal(true);
    host.drain(&mut journal, 5, 3);
    let late = journal.receipt();
    journal.give_up();
    host.drain(&mut journal, 6, 3);
    late.give();
    assert!(!journal.is_ready());
    assert_eq!(host.journal(false).0.unspooled().unwrap().second, 6);
}

#[test]
fn totals_are_of_their_generation() {
    let host = Host::new();
    let (journal, _) = host.journal(true);
    assert_eq!(journal.totals(1), None);
    journal.set_totals(1, &[4; TOTALS]);
    assert_eq!(journal.totals(1), Some([4; TOTALS]));
    assert_eq!(journal.totals(3), None);
}

#[test]
fn texts_are_kept_until_they_are_replaced() {
    let host = Host::new();
    let mut texts = host.journal(true).0.texts();
    assert!(texts.keep(7, 1, b"/a") && texts.keep(8, 2, b""));
    let mut texts = host.journal(false).0.texts();
    let all: Vec<_> = texts.all().collect();
    assert_eq!(all, [(7, 1, b"/a".to_vec()), (8, 2, Vec::new())]);
    assert!(texts.replace([(8, 2, &b"/b"[..])].into_iter()));
    let all: Vec<_> = host.journal(false).0.texts().all().collect();
    assert_eq!(all, [(8, 2, b"/b".to_vec())]);
}

#[test]
fn what_does_not_fit_is_counted_or_refused() {
    let host = Host::new();
    let (mut journal, _) = host.journal(true);
    let large = vec![1; RECORD_BYTES - 100];
    journal.keep_record(&large);
    assert!(!journal.has_room());
    journal.keep_record(&large);
    assert_eq!(
        (journal.dropped_records(0), journal.dropped_records(1)),
        (0, 1)
    );
    // They are of the second that is drained now, and the next one has none.
    journal.end_records(1);
    assert_eq!(
        (journal.dropped_records(1), journal.dropped_records(2)),
        (1, 0)
    );
    let journal = host.journal(false).0;
    assert_eq!(
        (journal.dropped_records(1), journal.dropped_records(3)),
        (1, 0)
    );
    let mut journal = journal;
    journal.end_records(2);
    assert_eq!(
        journal.dropped_records(1),
        0,
        "its place is that of another"
    );
    let text = vec![1; super::TEXT_BYTES];
    assert!(!journal.texts().keep(1, 1, &text));
}

#[test]
fn damaged_memory_does_not_panic() {
    use std::os::unix::fs::FileExt as _;

    for byte in [0xff, 0x01] {
        let host = Host::new();
        let (mut journal, _) = host.journal(true);
        journal.keep_record(b"record");
        // All but the layout.
        let noise = vec![byte; Journal::BYTES - 8];
        host.file.write_all_at(&noise, 8).unwrap();
        let mut journal = Journal::open(Some(host.file.as_fd())).unwrap();
        let _ = journal.resume(3, false);
        let _ = (journal.texts().all().count(), journal.totals(3));
        journal.keep_record(b"record");
    }
    let host = Host::new();
    host.file.write_all_at(&[0xff; 8], 0).unwrap();
    assert!(Journal::open(Some(host.file.as_fd())).is_err());
}
