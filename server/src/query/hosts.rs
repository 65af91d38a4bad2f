//! The state of all hosts: those that need somebody come first.

use serde::Serialize;

use crate::store::host::Host;

/// Silence in seconds after which a host counts as silent: more than between two deliveries.
const SILENT_AFTER: f64 = 90.0;
/// Time in seconds after which slots that were dropped are history.
const DROPPING_FOR: f64 = 300.0;
/// Difference of two clocks that matters, in seconds: slots are one second long.
const CLOCK_TOLERANCE: f64 = 2.0;
/// Hosts that must agree about the server's clock, at least.
const MIN_WITNESSES: usize = 3;

/// State of a host, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// Nothing came from it for half a minute.
    Silent,
    /// Its agent dropped slots lately, because its spool is full.
    Dropping,
    /// Several agents count on it, so what they see counts twice.
    CountedTwice,
    /// Its clock differs from the server's by more than two seconds.
    ClockOff,
    /// Nothing is wrong.
    Sending,
}

/// A host and its state.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct HostItem {
    /// Its latest report.
    #[serde(flatten)]
    pub host: Host,
    /// Its state: the worst that holds.
    pub state: HostState,
    /// Seconds since something came from it, by the server's clock.
    pub silent_for: f64,
}

/// All hosts.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct HostsOverview {
    /// The state of all in one sentence, such as `2 of 14 silent, 1 dropping`; empty without hosts.
    pub sentence: String,
    /// What the hosts say about the server's own clock; null if nothing is wrong.
    pub server_clock: Option<String>,
    /// Those that need somebody first, then by name.
    pub hosts: Vec<HostItem>,
}

impl HostItem {
    fn new(host: Host, now: f64) -> Self {
        // An older version noted the time of the host alone.
        let heard = if host.received > 0.0 {
            host.received
        } else {
            host.last_seen
        };
        let silent_for = (now - heard).max(0.0);
        let is_dropping = host.dropped_at > 0.0 && now - host.dropped_at < DROPPING_FOR;
        let state = match &host {
            _ if silent_for > SILENT_AFTER => HostState::Silent,
            _ if is_dropping => HostState::Dropping,
            host if host.agents > 1 => HostState::CountedTwice,
            host if is_off(host.clock_offset) => HostState::ClockOff,
            _ => HostState::Sending,
        };
        Self {
            host,
            state,
            silent_for,
        }
    }
}

fn is_off(offset: Option<f64>) -> bool {
    offset.is_some_and(|offset| offset.abs() > CLOCK_TOLERANCE)
}

impl HostsOverview {
    /// The state at `now`, in seconds since the Unix epoch. `is_suspect`: this server knows that its clock
    /// has jumped ahead.
    pub fn new(hosts: Vec<Host>, now: f64, is_suspect: bool) -> Self {
        let items = hosts.into_iter().map(|host| HostItem::new(host, now));
        let mut hosts: Vec<HostItem> = items.collect();
        hosts.sort_by_cached_key(|item| (item.state, item.host.id()));
        Self {
            sentence: sentence(&hosts),
            server_clock: server_clock(&hosts, is_suspect),
            hosts,
        }
    }
}

fn sentence(hosts: &[HostItem]) -> String {
    let count = |state| hosts.iter().filter(|item| item.state == state).count();
    let parts = [
        (HostState::Silent, "silent"),
        (HostState::Dropping, "dropping"),
        (HostState::CountedTwice, "with several agents"),
        (HostState::ClockOff, "with a wrong clock"),
    ];
    let mut sentence = String::new();
    for (state, what) in parts {
        let (count, of) = (count(state), hosts.len());
        match count {
            0 => {}
            _ if sentence.is_empty() => sentence = format!("{count} of {of} {what}"),
            _ => sentence += &format!(", {count} {what}"),
        }
    }
    match (hosts.len(), sentence.is_empty()) {
        (0, _) | (_, false) => sentence,
        (1, true) => "the host is sending".to_owned(),
        (all, true) => format!("all {all} hosts are sending"),
    }
}

/// If most clocks differ from the server's by the same time, the server's is wrong.
fn server_clock(hosts: &[HostItem], is_suspect: bool) -> Option<String> {
    if is_suspect {
        return Some(
            "the server's clock has jumped ahead: data expires by the former time until the clock has \
             run evenly for a day"
                .to_owned(),
        );
    }
    let offsets = hosts.iter().filter_map(|item| item.host.clock_offset);
    let mut offsets: Vec<f64> = offsets.collect();
    offsets.sort_by(f64::total_cmp);
    let median = *offsets.get(offsets.len() / 2)?;
    let agreeing = offsets
        .iter()
        .filter(|offset| (*offset - median).abs() <= CLOCK_TOLERANCE);
    let agreeing = agreeing.count();
    let is_wrong =
        is_off(Some(median)) && agreeing >= MIN_WITNESSES && agreeing * 2 > offsets.len();
    is_wrong.then(|| {
        let direction = if median > 0.0 { "behind" } else { "ahead of" };
        let seconds = median.abs().round();
        format!(
            "the server's clock is {seconds} s {direction} those of {agreeing} of {} hosts: check it",
            offsets.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{HostState, HostsOverview};
    use crate::store::host::Host;

    const NOW: f64 = 10_000.0;

    fn host(name: &str) -> Host {
        Host {
            host: name.to_owned(),
            agents: 1,
            received: NOW - 1.0,
            last_seen: NOW - 1.0,
            clock_offset: Some(0.1),
            ..Host::default()
        }
    }

    #[test]
    fn hosts_that_need_somebody_come_first() {
        let hosts = vec![
            host("a"),
            Host {
                clock_offset: Some(-60.0),
                ..host("b")
            },
            Host {
                agents: 2,
                ..host("c")
            },
            Host {
                dropped: 5,
                dropped_at: NOW - 10.0,
                ..host("d")
            },
            // Its own clock is ahead, so it seems to have been heard just now.
            Host {
                received: NOW - 500.0,
                last_seen: NOW + 3_600.0,
                ..host("e")
            },
            // It dropped some, long ago.
            Host {
                dropped: 5,
                dropped_at: NOW - 5_000.0,
                ..host("f")
            },
        ];
        let overview = HostsOverview::new(hosts, NOW, false);
        let order = overview.hosts.iter().map(|item| &item.host.host[..]);
        assert_eq!(order.collect::<String>(), "edcbaf");
        assert_eq!(overview.hosts[0].state, HostState::Silent);
        assert_eq!(overview.hosts[0].silent_for, 500.0);
        assert_eq!(
            overview.sentence,
            "1 of 6 silent, 1 dropping, 1 with several agents, 1 with a wrong clock"
        );
        assert_eq!(overview.server_clock, None);
        let one = HostsOverview::new(vec![host("a")], NOW, false);
        assert_eq!(one.sentence, "the host is sending");
        assert_eq!(HostsOverview::new(Vec::new(), NOW, false).sentence, "");
    }

    #[test]
    fn the_servers_clock_is_wrong_if_most_hosts_say_so() {
        let off = |name: &str, offset| Host {
            clock_offset: offset,
            ..host(name)
        };
        let say = |offsets: [Option<f64>; 4]| {
            let hosts = offsets.map(|offset| off("a", offset)).to_vec();
            HostsOverview::new(hosts, NOW, false).server_clock
        };
        let behind = say([Some(90.0), Some(90.5), Some(89.0), Some(0.0)]);
        let expected = "the server's clock is 90 s behind those of 3 of 4 hosts: check it";
        assert_eq!(behind.as_deref(), Some(expected));
        let ahead = say([Some(-90.0), Some(-90.5), Some(-89.0), None]);
        assert!(ahead.is_some_and(|text| text.contains("ahead of those of 3 of 3")));
        assert_eq!(say([Some(90.0), Some(90.0), None, None]), None);
        assert_eq!(say([Some(90.0), Some(-90.0), Some(0.0), Some(0.1)]), None);
        let suspect = HostsOverview::new(Vec::new(), NOW, true).server_clock;
        assert!(suspect.is_some_and(|text| text.contains("jumped ahead")));
    }
}
