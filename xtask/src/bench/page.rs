//! What the page costs the browser: a live hour with thousands of processes, and interactions.

use anyhow::Result;

use super::example::{NoFlags, Report};
use super::row::Row;
use crate::build::{self, Profile};
use crate::command::output;
use crate::{install, ui};

pub(super) fn run(report: &mut Report<'_>, arguments: &[String]) -> Result<()> {
    let NoFlags {} = super::example::flags("page", arguments);
    install::chromium()?;
    install::node()?;
    ui::packages()?;
    build::programs(Profile::Dev)?;
    let page_batch = build::example("page_batch", Profile::Dev)?;
    let mut command = ui::npm_run("measure");
    let server = build::folder(Profile::Dev).join("bubble-server");
    command
        .env("BUBBLE_SERVER_BIN", server)
        .env("BUBBLE_PAGE_BATCH_BIN", page_batch);
    for line in output(&mut command)?.lines() {
        if let Some(row) = Row::parse(line)? {
            report(row)?;
        }
    }
    Ok(())
}
