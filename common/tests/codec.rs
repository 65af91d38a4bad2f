//! Properties of the codec: encoding round-trips, and damaged bytes do no harm.

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::codec::{DecodeError, Effort};
use bubble_common::segment::{ContainerId, Segment, SourceId};
use bubble_testing::arbitrary;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

fn batch() -> impl Strategy<Value = Batch> {
    let report = (
        vec("\\PC{0,12}", 4),
        vec("\\PC{0,40}", 0..4),
        vec(any::<u64>(), 7),
        any::<u32>(),
    );
    let report = report.prop_map(|(texts, missing, numbers, cores)| AgentReport {
        host: texts[0].clone(),
        version: texts[1].clone(),
        kernel: texts[2].clone(),
        hooks: texts[3].clone(),
        missing,
        sent_at: numbers[0],
        cores,
        memory: numbers[1],
        cpu_ns: numbers[2],
        rss: numbers[3],
        kernel_ns: numbers[4],
        spooled: numbers[5],
        dropped: numbers[6],
    });
    (any::<[u8; 16]>(), report, vec(arbitrary::segment(4), 0..4)).prop_map(
        |(source, agent, segments)| Batch {
            source: SourceId(source),
            agent,
            segments,
        },
    )
}

/// Overwrites some of the `bytes`.
fn damaged(bytes: &[u8], damage: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (offset, value) in damage {
        let offset = offset % bytes.len();
        bytes[offset] = *value;
    }
    bytes
}

proptest! {
    #[test]
    fn segments_round_trip(segment in arbitrary::segment(70)) {
        for effort in [Effort::Raw, Effort::Fast, Effort::Small] {
            let bytes = segment.encode(effort);
            prop_assert_eq!(Segment::decode(&bytes), Ok(segment.clone()));
            let head = Segment::decode_head(&bytes).expect("its own head");
            prop_assert_eq!(&head.key, &segment.key);
            prop_assert_eq!(&head.coverage, &segment.coverage);
            let mut other = segment.clone();
            other.key.container = ContainerId::new(&"x".repeat(200)).expect("an id");
            let renamed = Segment::with_container(&bytes, &other.key.container);
            prop_assert_eq!(renamed, Ok(other.encode(effort)));
        }
    }

    #[test]
    fn batches_return(batch in batch()) {
        prop_assert_eq!(Batch::decode(&batch.encode()), Ok(batch));
    }

    #[test]
    fn segments_of_a_batch_come_with_their_own_bytes(batch in batch()) {
        let folded = Batch::scan(
            &batch.encode(),
            usize::MAX,
            |source, count| (source, Vec::with_capacity(count)),
            |(_, all), segment, bytes| all.push((segment.clone(), bytes.to_vec())),
        );
        let (source, agent, (begun, all)) = folded.expect("its own bytes");
        prop_assert_eq!((source, begun, &agent), (batch.source, batch.source, &batch.agent));
        let expected = batch.segments.into_iter().map(|segment| {
            let bytes = segment.encode(Effort::Raw);
            (segment, bytes)
        });
        prop_assert_eq!(all, expected.collect::<Vec<_>>());
    }

    #[test]
    fn random_bytes_are_refused(bytes in vec(any::<u8>(), 0..400)) {
        let refused = DecodeError::Unrecognised { expected: "segment" };
        prop_assert_eq!(Segment::decode(&bytes), Err(refused));
    }

    #[test]
    fn truncated_bytes_are_refused(segment in arbitrary::segment(8), cut in any::<usize>()) {
        let bytes = segment.encode(Effort::Fast);
        prop_assert_eq!(Segment::decode(&bytes[..cut % bytes.len()]).is_err(), true);
    }

    #[test]
    fn damaged_bytes_are_refused_or_decode_to_another_segment(
        segment in arbitrary::segment(8),
        damage in vec((any::<usize>(), any::<u8>()), 1..8),
    ) {
        // Also compressed, although zstd detects most damage.
        for effort in [Effort::Raw, Effort::Small] {
            let bytes = segment.encode(effort);
            if let Ok(other) = Segment::decode(&damaged(&bytes, &damage)) {
                let decoded = Segment::decode(&other.encode(Effort::Fast));
                prop_assert_eq!(decoded, Ok(other));
            }
        }
    }
}
