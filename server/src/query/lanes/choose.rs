//! Which processes get a lane of their own, and how the others are folded.
//!
//! Half of the lanes are for the processes that used most CPU. Then come those that failed or have
//! children, then the others, again by CPU.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use bubble_common::segment::process::OTHER;

use super::columns::LaneColumns;
use super::lives::{Life, Lives};

/// Lanes that fold others, at most. Beyond, a parent's children share one lane, or all do.
const MAX_FOLDED: usize = 500;

/// What a lane stands for.
enum Lane<'l> {
    /// The process with this index.
    One(usize),
    /// Several processes below one parent, by name.
    Several { name: &'l str, members: Vec<usize> },
    /// Processes that were folded before; index into `Lives::before`.
    Before(usize),
}

/// The lanes of an answer.
pub(super) struct Chosen<'l> {
    lanes: Vec<Lane<'l>>,
    /// Index of the parent's lane, by lane.
    parents: Vec<Option<u32>>,
    /// Index of the lane, by process.
    pub(super) of: Vec<u32>,
    /// Index of the lane, by row of `Lives::before`.
    pub(super) of_before: Vec<u32>,
    /// Processes without a lane of their own.
    pub(super) folded: u64,
}

impl<'l> Chosen<'l> {
    pub(super) fn new(lives: &Lives<'l>, limit: usize) -> Self {
        let own = own_lanes(&lives.all, limit);
        let mut chosen = Self {
            lanes: Vec::new(),
            parents: Vec::new(),
            of: vec![0; lives.all.len()],
            of_before: Vec::new(),
            folded: own.iter().filter(|own| !**own).count() as u64,
        };
        // Of each process: the lane of itself, or of its nearest ancestor with a lane.
        let mut nearest: Vec<Option<u32>> = Vec::with_capacity(lives.all.len());
        let mut groups: BTreeMap<(Option<u32>, &str), Vec<usize>> = BTreeMap::new();
        for (index, life) in lives.all.iter().enumerate() {
            let above = life.parent.and_then(|parent| nearest[parent as usize]);
            if !own[index] {
                nearest.push(above);
                let name = life.names.last().copied().unwrap_or_default();
                groups.entry((above, name)).or_default().push(index);
                continue;
            }
            chosen.of[index] = chosen.lanes.len() as u32;
            nearest.push(Some(chosen.of[index]));
            chosen.push(Lane::One(index), above);
        }
        for ((above, name), members) in bounded(groups) {
            for member in &members {
                chosen.of[*member] = chosen.lanes.len() as u32;
            }
            chosen.push(Lane::Several { name, members }, above);
        }
        for index in 0..lives.before.len() {
            chosen.of_before.push(chosen.lanes.len() as u32);
            chosen.push(Lane::Before(index), None);
        }
        chosen
    }

    fn push(&mut self, lane: Lane<'l>, parent: Option<u32>) {
        self.lanes.push(lane);
        self.parents.push(parent);
    }

    /// Number of lanes.
    pub(super) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// The columns of all lanes; `cells` has the number of cells of each lane. Adds their names to `names`.
    pub(super) fn columns(
        &self,
        lives: &Lives<'l>,
        cells: Vec<u32>,
        names: &mut Vec<String>,
    ) -> LaneColumns {
        let mut index = HashMap::new();
        let mut name_of = |name: &str| {
            *index.entry(name.to_owned()).or_insert_with(|| {
                names.push(name.to_owned());
                names.len() as u32 - 1
            })
        };
        let mut columns = LaneColumns {
            cells,
            parent: self.parents.clone(),
            ..LaneColumns::default()
        };
        for lane in &self.lanes {
            match lane {
                Lane::One(index) => {
                    let life = &lives.all[*index];
                    columns.push_one(life);
                    columns
                        .names
                        .push(life.names.iter().map(|name| name_of(name)).collect());
                }
                Lane::Several { name, members } => {
                    let members = members.iter().map(|index| &lives.all[*index]);
                    columns.push_several(name, &members.collect::<Vec<_>>());
                    columns.names.push(vec![name_of(name)]);
                }
                Lane::Before(index) => {
                    let (_, row) = lives.before[*index];
                    columns.push_before(row);
                    columns.names.push(vec![name_of(&row.process.name)]);
                }
            }
        }
        columns
    }
}

/// By process: whether it gets a lane of its own.
fn own_lanes(all: &[Life<'_>], limit: usize) -> Vec<bool> {
    let mut own = vec![all.len() <= limit; all.len()];
    if all.len() <= limit {
        return own;
    }
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|index| (Reverse(all[*index].cpu_ns), *index));
    let half = limit.div_ceil(2);
    let (busiest, others) = order.split_at_mut(half);
    others.sort_by_key(|index| {
        let life = &all[*index];
        let matters = life.is_failed() || life.is_oom_killed || life.is_parent;
        (Reverse(matters), Reverse(life.cpu_ns), *index)
    });
    for index in busiest.iter().chain(others[..limit - half].iter()) {
        own[*index] = true;
    }
    own
}

type Groups<'l> = BTreeMap<(Option<u32>, &'l str), Vec<usize>>;

/// At most [`MAX_FOLDED`] groups: by parent and name, else by parent, else one.
fn bounded(groups: Groups<'_>) -> Groups<'_> {
    let mut groups = groups;
    let coarser: [fn(Option<u32>) -> Option<u32>; 2] = [|parent| parent, |_| None];
    for parent_of in coarser {
        if groups.len() <= MAX_FOLDED {
            break;
        }
        let mut fewer: Groups<'_> = BTreeMap::new();
        for ((parent, _), members) in groups {
            let group = fewer.entry((parent_of(parent), OTHER)).or_default();
            group.extend(members);
        }
        groups = fewer;
    }
    groups
}
