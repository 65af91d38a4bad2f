//! The report of a container: its whole life, or a range.

use std::ops::Range;
use std::sync::Arc;

use bubble_common::report::asked::Asked;
use bubble_common::report::tally::Tally;
use bubble_common::report::{Context, Report};
use bubble_common::segment::{ContainerId, Segment, facts};

use super::Query;
use super::error::QueryError;
use super::range::{Plan, Question};
use crate::clock;
use crate::store::container::{Container, State};

/// What a report is asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReportAsk {
    /// Start, seconds since the Unix epoch; by default that of the container.
    pub from: Option<f64>,
    /// End; by default that of the container, or now.
    pub to: Option<f64>,
    /// What was asked for when it was started, to compare it with what was used.
    pub asked: Asked,
    /// Entries of each list at most.
    pub rows: usize,
}

impl Query {
    /// The report of a container.
    ///
    /// # Errors
    /// When there is no such container, or the store fails.
    pub async fn report(&self, id: &ContainerId, ask: &ReportAsk) -> Result<Report, QueryError> {
        let container = self.container(id).await?;
        let now = clock::now();
        let state = container.state(now);
        let plan = Plan::new(&question(&container, ask, now), &self.retention);
        let span = plan.span.clone();
        let context = Context {
            asked: ask.asked.clone(),
            slurm: Asked::default(),
            missing: self.missing(&container).await?,
            is_running: state == State::Running && span.end >= container.last_seen,
            rows: ask.rows,
            span: span.clone(),
            known: None,
        };
        let own = id.clone();
        self.answer(id, plan, move |_, segments| {
            report(&own, &container, &span, segments, &context)
        })
        .await?
    }

    /// What the agent of the container's host cannot count, one sentence each.
    async fn missing(&self, container: &Container) -> Result<Vec<String>, QueryError> {
        let fact = |name: &str| container.facts.get(name).map(String::as_str);
        let hosts = self.store.hosts().await?;
        let host = hosts.into_iter().find(|host| {
            let owner = container.binding.as_ref().map(|binding| &binding.owner);
            Some(host.host.as_str()) == fact(facts::HOST)
                && Some(host.hooks.as_str()) == fact(facts::HOOKS)
                && owner.is_none_or(|owner| *owner == host.owner)
        });
        Ok(host.map(|host| host.missing).unwrap_or_default())
    }
}

/// The slots to read: the whole life by default.
fn question(container: &Container, ask: &ReportAsk, now: u64) -> Question {
    // `as` saturates: a negative or huge time becomes the nearest possible one.
    let end = match ask.to {
        Some(to) => (to.ceil() as u64).min(now + 86_400),
        None => container.last_seen,
    };
    let end = end.max(1);
    let start = match ask.from {
        Some(from) => from.floor() as u64,
        None => container.first_seen,
    };
    Question {
        span: start.min(end - 1)..end,
        step: None,
        slots: Segment::MAX_SLOTS,
        live_since: container.live_since,
        last_seen: container.last_seen,
        now,
        within: None,
    }
}

/// The report of what `segments` have of `span`.
fn report(
    id: &ContainerId,
    container: &Container,
    span: &Range<u64>,
    segments: &[Arc<Segment>],
    context: &Context,
) -> Result<Report, QueryError> {
    let mut tally = Tally::default();
    for segment in segments {
        if segment.key.start >= span.start && segment.end() <= span.end {
            tally.add(segment);
        } else {
            tally.add(&segment.slice(span.clone())?);
        }
    }
    let mut sums = tally.containers.remove(id).unwrap_or_default();
    // The index has the latest of each.
    sums.facts.extend(container.facts.clone());
    Ok(Report::new(id, &sums, context))
}
