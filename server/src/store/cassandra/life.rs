//! A container's entry in the index, made from its rows of `life` and its facts.

use bubble_common::segment::{ContainerId, Facts, SourceId};

use super::life_row::{self, Counted, LifeRow};
use super::session::Cql;
use super::value::corrupt;
use crate::span::activity::{Activity, Sums};
use crate::store::column::unsigned;
use crate::store::container::Container;
use crate::store::error::StoreError;

/// Facts that a source reported of a container, and the end of the segment that carried them.
#[derive(Debug, Clone)]
pub(super) struct ReportedFacts {
    pub(super) at: u64,
    pub(super) recorded: bool,
    pub(super) facts: Facts,
}

/// All that is stored of a container except its segments.
#[derive(Debug, Clone, Default)]
pub(super) struct Life {
    pub(super) rows: Vec<LifeRow>,
    pub(super) facts: Vec<ReportedFacts>,
}

/// Reads a container's rows and facts.
pub(super) async fn read(cql: &Cql, container: &ContainerId) -> Result<Life, StoreError> {
    let facts = cql.rows::<(i64, bool, String)>(
        "read a container",
        "SELECT at, recorded, facts FROM fact WHERE container = ?",
        (container.as_str(),),
    );
    let (rows, facts) = futures_util::try_join!(life_row::all(cql, container), facts)?;
    let facts = facts.into_iter().map(|(at, recorded, facts)| {
        let facts = serde_json::from_str(&facts)
            .map_err(|error| corrupt(format!("facts of a container ({error})")))?;
        Ok(ReportedFacts {
            at: unsigned(at),
            recorded,
            facts,
        })
    });
    Ok(Life {
        rows,
        facts: facts.collect::<Result<_, StoreError>>()?,
    })
}

impl Life {
    /// The entry of the index; `None` if nothing is stored. `recordings` holds the names of those
    /// that are not deleted, oldest first.
    pub(super) fn container(
        &self,
        id: &ContainerId,
        recordings: &[(SourceId, String)],
    ) -> Option<Container> {
        if self.rows.is_empty() && self.facts.is_empty() {
            return None;
        }
        let counted = Counted::new(&self.rows);
        let mut activities: Vec<(Activity, bool)> = Vec::new();
        let mut withdrawn = Sums::default();
        for row in &self.rows {
            let mut activity = row.activity.clone();
            if !counted.holds(row) {
                (activity.cpu_ns, activity.bytes_in, activity.bytes_out) = (0, 0, 0);
                activity.cpu.clear();
            }
            withdrawn = withdrawn.plus(row.withdrawn);
            activities.push((activity, row.recording.is_some()));
        }
        for reported in &self.facts {
            let activity = Activity {
                first: reported.at,
                last: reported.at,
                facts: reported.facts.clone(),
                ..Activity::default()
            };
            activities.push((activity, reported.recorded));
        }
        activities.sort_by_key(|(activity, _)| activity.last);
        let mut container = Container::new(id.clone());
        for (activity, recorded) in &activities {
            container.absorb(activity, *recorded);
        }
        container.withdraw(withdrawn);
        let has_part = |id: &SourceId| self.rows.iter().any(|e| e.recording == Some(*id));
        let names = recordings.iter().filter(|(id, _)| has_part(id));
        container.recordings = names.map(|(_, name)| name.clone()).collect();
        Some(container)
    }
}

#[cfg(test)]
mod tests {
    use bubble_common::segment::{ContainerId, Key, Resolution, SourceId};
    use scylla::value::CqlValue;

    use super::{Life, LifeRow};
    use crate::span::activity::{Activity, Sums};
    use crate::store::packing::Contribution;
    use crate::store::segments::Post;

    /// Start of an hour.
    const START: u64 = 1_200_000;
    const SOURCE: SourceId = SourceId([1; 16]);

    fn activity(cpu_ns: u64) -> Activity {
        Activity {
            first: START,
            last: START + 60,
            cpu_ns,
            ..Activity::default()
        }
    }

    fn id() -> ContainerId {
        ContainerId::new("a").expect("an id")
    }

    fn cpu_ns(rows: &[LifeRow]) -> u64 {
        let life = Life {
            rows: rows.to_vec(),
            ..Life::default()
        };
        life.container(&id(), &[]).expect("it has rows").cpu_ns
    }

    #[test]
    fn a_posted_minute_changes_the_sums_beside_its_packed_slot() {
        let contribution = Contribution {
            source: SOURCE,
            slots: 1,
            activity: activity(1_000),
        };
        let packed = LifeRow::of_span(Resolution::Minute, START, &contribution, &[]);
        let minute = |added, withdrawn| {
            LifeRow::of_post(&Post {
                key: Key {
                    container: id(),
                    resolution: Resolution::Minute,
                    start: START,
                    source: SOURCE,
                },
                slots: 1,
                bytes: Vec::new(),
                activity: activity(added),
                recording: None,
                repeated: false,
                replaces: None,
                withdrawn: Sums {
                    cpu_ns: withdrawn,
                    ..Sums::default()
                },
            })
        };
        assert_eq!(cpu_ns(&[packed.clone(), minute(7, 0)]), 1_007);
        let taking = minute(0, 300);
        assert_eq!(cpu_ns(&[packed, taking.clone()]), 700);
        // The columns have one number for both.
        let (_, values) = taking.insert(&id());
        assert!(values.contains(&Some(CqlValue::BigInt(-300))), "{values:?}");
    }
}
