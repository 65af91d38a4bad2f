//! The facts about this host that decide what the agent can count.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::Result;
use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::SourceId;
use serde::Serialize;

use crate::config::Config;
use crate::config::settings::SourceKind;
use crate::container::Containers;
use crate::container::hierarchy::Hierarchies;
use crate::send::Sender;
use crate::source::ebpf::hook::{self, Family, Finding};
use crate::source::ebpf::{self, btf};
use crate::spool::rejected;
use crate::{live, report};

/// The facts about this host. Their names are those of the JSON.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    pub(super) kernel: String,
    pub(super) cores: u32,
    pub(super) memory: u64,
    pub(super) root: bool,
    pub(super) btf: bool,
    /// `v1`, `v2` or `hybrid`; or why there is none.
    pub(super) cgroups: Result<&'static str, String>,
    pub(super) docker: bool,
    /// The family that would be used; absent where eBPF cannot be.
    pub(super) family: Option<&'static str>,
    /// Why eBPF, or the family that was tried first, cannot be used.
    pub(super) refused: Option<String>,
    pub(super) hooks: Vec<Finding>,
    /// What would not be counted, one sentence each.
    pub(super) missing: Vec<String>,
    /// `ok`, or what is wrong; absent when no server is given.
    pub(super) server: Option<String>,
    /// Batches that the server refused for good, as far as the spool keeps them; or why they cannot
    /// be counted.
    pub(super) rejected: Result<usize, String>,
    /// What the user asked for.
    #[serde(skip)]
    pub(super) settings: Settings,
}

/// The settings that decide what the agent would do with what it finds.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) source: SourceKind,
    pub(super) family: Option<Family>,
    pub(super) docker: PathBuf,
    pub(super) spool: PathBuf,
}

/// Collects the facts. Loads each program to see whether the kernel accepts it; attaches none.
pub(super) fn examine(config: &Config) -> Findings {
    let report = report::host(&config.host, "", &[]);
    let mut findings = Findings {
        kernel: report.kernel.clone(),
        cores: report.cores,
        memory: report.memory,
        root: live::is_root(),
        btf: Path::new(btf::KERNEL).exists(),
        cgroups: Err(String::new()),
        docker: UnixStream::connect(&config.docker).is_ok(),
        family: None,
        refused: None,
        hooks: Vec::new(),
        missing: Vec::new(),
        server: None,
        rejected: rejected::count(&config.spool).map_err(|error| error.to_string()),
        settings: Settings {
            source: config.source,
            family: config.ebpf.family,
            docker: config.docker.clone(),
            spool: config.spool.clone(),
        },
    };
    match Hierarchies::mounted(Path::new("/proc")) {
        Ok(hierarchies) => {
            let mut containers = Containers::new(hierarchies, config.rules.clone(), false);
            let chosen = containers.choose_primary();
            let mode = containers.hierarchies().mode();
            findings.cgroups = chosen.map(|()| mode).map_err(|error| error.to_string());
            match ebpf::probe(&config.ebpf, containers.hierarchies().primary()) {
                Ok(hooks) => choose_family(&mut findings, hooks, config.ebpf.family),
                Err(error) => findings.refused = Some(format!("{:#}", anyhow::Error::new(error))),
            }
        }
        Err(error) => findings.cgroups = Err(error.to_string()),
    }
    findings.server = config
        .server
        .as_deref()
        .map(|url| check_server(config, url, report));
    findings
}

/// Chooses the family as the agent would.
fn choose_family(findings: &mut Findings, hooks: Vec<Finding>, wanted: Option<Family>) {
    let families: &[Family] = match &wanted {
        Some(family) => std::slice::from_ref(family),
        None => &[Family::Vfs, Family::Syscall],
    };
    for family in families {
        match hook::obstacle(&hooks, *family) {
            None => {
                findings.family = Some(family.name());
                findings.missing = hook::missing(&hooks, *family);
                break;
            }
            Some((hook, why)) => {
                findings.refused = Some(format!(
                    "{} hooks need {}: {why}",
                    family.name(),
                    hook.program
                ));
            }
        }
    }
    findings.hooks = hooks;
}

/// `ok` when the server answers and accepts the key; else what is wrong.
fn check_server(config: &Config, url: &str, agent: AgentReport) -> String {
    let Some(key) = config.api.as_deref() else {
        return "no API key is given: --api, or BUBBLE_API".to_owned();
    };
    let batch = Batch {
        source: SourceId(rand::random()),
        agent,
        segments: Vec::new(),
    };
    let post = || -> Result<Result<(), String>> {
        let sender = Sender::new(url, key, config.ca.as_deref())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(runtime.block_on(sender.check(&batch)))
    };
    match post() {
        Ok(Ok(())) => "ok".to_owned(),
        Ok(Err(why)) => why,
        Err(error) => format!("{error:#}"),
    }
}
