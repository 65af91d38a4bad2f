//! A container, as the index has it.

use bubble_common::segment::{ContainerId, Facts, facts};
use serde::{Deserialize, Serialize};

use super::binding::Binding;
use super::recent::Recent;
use crate::span::activity::{Activity, Sums};
use crate::span::id::{includes, is_of_sortable_job, job_of, whole_job};

/// Prefix of labels.
const LABEL: &str = facts::LABEL;
/// Nanoseconds in a second.
const NANOSECONDS: u64 = 1_000_000_000;
/// Data that is younger than the end by more seconds belongs to another life. Agents report the
/// sums of a life for up to half a minute after its end.
const MAX_LATE_SECONDS: u64 = 60;
/// Facts about one life of a container.
const LIFE_FACTS: [&str; 3] = [facts::ENDED, facts::EXIT_CODE, facts::OOM_KILLED];

/// An entry of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The container.
    pub id: ContainerId,
    /// Its facts: the latest value of each name.
    pub facts: Facts,
    /// End of the latest segment that carried facts, seconds since the Unix epoch.
    pub facts_at: u64,
    /// Start of the first slot in which it was seen.
    pub first_seen: u64,
    /// End of the last slot in which it was seen, exclusive.
    pub last_seen: u64,
    /// When an agent first saw it live; [`Self::NEVER`] if it is only in recordings.
    /// Rows older than this cannot have expired.
    pub live_since: u64,
    /// Names of the recordings that contain it, oldest first.
    pub recordings: Vec<String>,
    /// CPU time over its life, ns.
    pub cpu_ns: u64,
    /// Memory in use when it was last seen, bytes.
    pub memory_now: u64,
    /// Highest memory in use, bytes.
    pub memory_peak: u64,
    /// Memory limit, bytes; 0 without a limit.
    pub memory_limit: u64,
    /// Bytes read from files and received, over its life.
    pub bytes_in: u64,
    /// Bytes written to files and sent, over its life.
    pub bytes_out: u64,
    /// CPU of the latest minutes.
    pub recent: Recent,
    /// The owner that it belongs to; `None` if nobody has posted it since owners are noted.
    pub binding: Option<Binding>,
}

impl Container {
    /// Facts beyond which no new label is taken.
    pub const MAX_FACTS: usize = 128;
    /// Addresses beyond which no new one is taken.
    pub const MAX_ADDRESSES: usize = 16;
    /// A time that never comes.
    pub const NEVER: u64 = u64::MAX;

    /// The number of the Slurm job that it is a step of. If its id has the sortable id of the job, the
    /// agent has the number from slurmstepd.
    pub fn job(&self) -> Option<&str> {
        job_of(&self.id).or_else(|| {
            let job = self.facts.get(facts::SLURM_JOB)?;
            is_of_sortable_job(&self.id).then_some(job.as_str())
        })
    }

    /// Whether whoever may read `own` may read this container: it is the same, or `own` is a whole Slurm
    /// job and this a step of it.
    pub fn is_part_of(&self, own: &ContainerId) -> bool {
        includes(own, &self.id) || whole_job(own).is_some_and(|job| self.job() == Some(job))
    }

    /// An empty entry.
    pub fn new(id: ContainerId) -> Self {
        Self {
            id,
            facts: Facts::new(),
            facts_at: 0,
            first_seen: u64::MAX,
            last_seen: 0,
            live_since: Self::NEVER,
            recordings: Vec::new(),
            cpu_ns: 0,
            memory_now: 0,
            memory_peak: 0,
            memory_limit: 0,
            bytes_in: 0,
            bytes_out: 0,
            recent: Recent::default(),
            binding: None,
        }
    }

    /// Adds the activity of a new segment, live or `recorded`. Returns whether the facts changed.
    pub fn absorb(&mut self, activity: &Activity, recorded: bool) -> bool {
        if !recorded {
            self.live_since = self.live_since.min(activity.first);
        }
        if activity.last >= self.last_seen {
            self.memory_now = activity.memory_now.unwrap_or(self.memory_now);
            self.memory_limit = activity.memory_limit.unwrap_or(self.memory_limit);
        }
        if activity.last > activity.first {
            self.first_seen = self.first_seen.min(activity.first);
            self.last_seen = self.last_seen.max(activity.last);
        }
        self.cpu_ns = self.cpu_ns.saturating_add(activity.cpu_ns);
        self.bytes_in = self.bytes_in.saturating_add(activity.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(activity.bytes_out);
        self.memory_peak = self.memory_peak.max(activity.memory_peak.unwrap_or(0));
        for (start, seconds, ns) in &activity.cpu {
            self.recent.add(*start, *seconds, *ns);
        }
        let changed = self.merge_facts(&activity.facts, activity.last);
        // It was started again while no agent ran that could report it.
        let over = self.ended().map(|ended| ended / NANOSECONDS);
        let runs_again = !recorded
            && over.is_some_and(|over| self.last_seen > over.saturating_add(MAX_LATE_SECONDS));
        changed | (runs_again && self.remove_facts(LIFE_FACTS))
    }

    /// Takes sums back that count no more.
    pub fn withdraw(&mut self, sums: Sums) {
        self.cpu_ns = self.cpu_ns.saturating_sub(sums.cpu_ns);
        self.bytes_in = self.bytes_in.saturating_sub(sums.bytes_in);
        self.bytes_out = self.bytes_out.saturating_sub(sums.bytes_out);
    }

    /// Merges facts: a later segment overwrites, an earlier one only fills gaps. Those about one
    /// life do not apply to the next: a source that knows its start reports all of them.
    fn merge_facts(&mut self, facts: &Facts, at: u64) -> bool {
        let newer = at >= self.facts_at;
        let start = facts.get(facts::STARTED).and_then(|at| at.parse().ok());
        let of_former = !newer && start.is_some() && start < self.started();
        let of_next = newer && self.started().is_some() && start > self.started();
        let mut changed = of_next && self.remove_facts(LIFE_FACTS);
        for (name, value) in facts {
            // Names of facts come from strangers, and each batch may bring others.
            let is_full = self.facts.len() >= Self::MAX_FACTS && !self.facts.contains_key(name);
            if is_full && name.starts_with(LABEL) {
                continue;
            }
            if name.starts_with(facts::ADDRESS)
                && !self.facts.contains_key(name)
                && self.addresses().count() >= Self::MAX_ADDRESSES
            {
                continue;
            }
            if of_former && LIFE_FACTS.contains(&name.as_str()) {
                continue;
            }
            let known = self.facts.get(name);
            if known.is_none() || (newer && known != Some(value)) {
                self.facts.insert(name.clone(), value.clone());
                changed = true;
            }
        }
        self.facts_at = self.facts_at.max(at);
        // A restarted container has not ended.
        if changed && self.started() > self.ended().map(|ended| ended.saturating_sub(1)) {
            self.remove_facts(LIFE_FACTS);
        }
        changed
    }

    /// Removes facts. Returns whether there were any.
    fn remove_facts(&mut self, names: [&str; 3]) -> bool {
        let removed = names.map(|name| self.facts.remove(name).is_some());
        removed.contains(&true)
    }

    /// When it was started: ns since the Unix epoch.
    pub fn started(&self) -> Option<u64> {
        self.number(facts::STARTED)
    }

    /// When it ended: ns since the Unix epoch; `None` while it runs.
    pub fn ended(&self) -> Option<u64> {
        self.number(facts::ENDED)
    }

    /// IP addresses that its sockets had, as text.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let from = self.facts.range(facts::ADDRESS.to_owned()..);
        from.map_while(|(name, _)| name.strip_prefix(facts::ADDRESS))
    }

    /// A fact, if it is a number.
    pub fn number(&self, fact: &str) -> Option<u64> {
        self.facts.get(fact)?.parse().ok()
    }

    /// Its state at `now` (seconds since the Unix epoch).
    pub fn state(&self, now: u64) -> State {
        if self.ended().is_some() {
            State::Ended
        } else if self.last_seen + State::SILENT_AFTER >= now {
            State::Running
        } else if self.live_since == Self::NEVER {
            State::Ended
        } else {
            State::Silent
        }
    }
}

/// State of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It runs.
    Running,
    /// It has ended, or its recording has.
    Ended,
    /// No end was reported, but no news came for a while: its host, its agent or
    /// the network is down.
    Silent,
}

impl State {
    /// Seconds without news after which a container counts as silent: more than an agent may take from
    /// one delivery to the next.
    pub const SILENT_AFTER: u64 = 90;
}

#[cfg(test)]
mod tests {
    use bubble_common::segment::{ContainerId, Facts};

    use super::{Container, State};
    use crate::span::activity::Activity;

    fn container() -> Container {
        Container::new(ContainerId::new("c").unwrap())
    }

    /// A second with facts. Times are in seconds.
    fn second(at: u64, facts: &[(&str, &str)]) -> Activity {
        let time = |(name, value): &(&str, &str)| {
            let zeros = if *name == "exit_code" {
                ""
            } else {
                "000000000"
            };
            ((*name).to_owned(), format!("{value}{zeros}"))
        };
        Activity {
            first: at,
            last: at + 1,
            facts: facts.iter().map(time).collect::<Facts>(),
            ..Activity::default()
        }
    }

    #[test]
    fn the_next_life_has_no_exit_code() {
        let mut container = container();
        let ended = [("started", "100"), ("ended", "150"), ("exit_code", "3")];
        container.absorb(&second(150, &ended), false);
        assert_eq!(container.state(151), State::Ended);
        assert!(container.absorb(&second(152, &[("started", "152")]), false));
        assert_eq!(container.state(153), State::Running);
        // Its own end is known, but not its exit code.
        container.absorb(&second(160, &[("started", "152"), ("ended", "160")]), false);
        // A second of the former life is late.
        container.absorb(&second(149, &ended), false);
        assert_eq!(container.state(161), State::Ended);
        assert_eq!(container.facts.get("exit_code"), None);
        assert_eq!(container.ended(), Some(160_000_000_000));
    }

    #[test]
    fn data_after_the_end_is_another_life() {
        let mut container = container();
        let ended = [("started", "100"), ("ended", "150"), ("exit_code", "3")];
        container.absorb(&second(150, &ended), false);
        container.absorb(&second(155, &[]), false);
        assert_eq!(container.state(156), State::Ended, "sums may be late");
        assert!(container.absorb(&second(250, &[]), false));
        assert_eq!(container.state(251), State::Running);
        assert_eq!(container.facts.get("exit_code"), None);
    }
}
