//! `host list | delete`. Works beside a server that runs.

use anyhow::{Result, ensure};

use super::store::open;
use crate::clock;
use crate::config::cli::Host;
use crate::config::settings::Common;
use crate::query::hosts::{HostItem, HostState, HostsOverview};
use crate::store::deletion::delete_hosts;

pub(super) async fn run(common: &Common, command: Host) -> Result<()> {
    let store = open(common).await?;
    match command {
        Host::List => {
            let now = clock::now_ns() as f64 / 1e9;
            list(HostsOverview::new(store.hosts().await?, now, false));
        }
        Host::Delete { name, owner } => {
            let deleted = delete_hosts(&*store, &name, owner.as_deref()).await?;
            ensure!(
                deleted > 0,
                "there is no such host: `bubble-server host list` lists the hosts"
            );
            eprintln!("deleted {name}: an agent that still runs there reports it again");
        }
    }
    Ok(())
}

/// Prints the hosts, and on standard error the sentence about all.
fn list(overview: HostsOverview) {
    println!("host\towner\tstate\tlast seen\tagents\tversion\tclock\tdropped\tcannot count");
    for item in &overview.hosts {
        let host = &item.host;
        println!(
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            host.host,
            host.owner,
            state(item),
            host.last_seen as u64,
            host.agents,
            host.version,
            host.clock_offset
                .map_or_else(|| "?".to_owned(), |offset| format!("{offset:+} s")),
            host.dropped,
            host.missing.join("; ")
        );
    }
    for sentence in [Some(overview.sentence), overview.server_clock]
        .into_iter()
        .flatten()
    {
        eprintln!("{sentence}");
    }
}

fn state(item: &HostItem) -> String {
    match item.state {
        HostState::Silent => format!("silent for {} s", item.silent_for.round()),
        HostState::Dropping => "dropping".to_owned(),
        HostState::CountedTwice => "several agents".to_owned(),
        HostState::ClockOff => "clock off".to_owned(),
        HostState::Sending => "sending".to_owned(),
    }
}
