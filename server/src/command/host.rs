//! `host list | delete`. Works beside a server that runs.

use anyhow::{Result, ensure};

use super::store::open;
use crate::config::cli::Host;
use crate::config::settings::Common;
use crate::store::deletion::delete_hosts;

pub(super) async fn run(common: &Common, command: Host) -> Result<()> {
    let store = open(common).await?;
    match command {
        Host::List => {
            println!("host\towner\tlast seen\tagents");
            for host in store.hosts().await? {
                let seen = host.last_seen as u64;
                println!("{}\t{}\t{seen}\t{}", host.host, host.owner, host.agents);
            }
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
