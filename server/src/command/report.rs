//! `report`: the report of a container, from the store. Works beside a server that runs.

use std::io::Write as _;

use anyhow::{Result, ensure};
use bubble_common::report::render::{Format, render};

use super::store::{open, resolved};
use crate::config::cli::Report;
use crate::query::Query;
use crate::query::report::ReportAsk;

pub(super) async fn run(settings: Report) -> Result<()> {
    let times = [settings.from, settings.to].into_iter().flatten();
    for time in times {
        ensure!(
            time.is_finite() && time >= 0.0,
            "{time} is not a number of seconds since the Unix epoch"
        );
    }
    if let (Some(from), Some(to)) = (settings.from, settings.to) {
        ensure!(from < to, "--from must be before --to");
    }
    let store = open(&settings.common).await?;
    let id = resolved(&*store, &settings.id).await?;
    let query = Query::new(store, settings.keep.retention()?);
    let ask = ReportAsk {
        from: settings.from,
        to: settings.to,
        asked: settings.asked.unwrap_or_default(),
        rows: settings.top.into(),
    };
    let report = query.report(&id, &ask).await?;
    let format = match () {
        () if settings.json => Format::Json,
        () if settings.markdown => Format::Markdown,
        () if settings.html => Format::Html,
        () => settings.format,
    };
    let text = render(&report, format);
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // The reader, such as `head`, has seen enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
