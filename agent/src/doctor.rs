//! `bubble-agent doctor`: what this host lets the agent count, and why.
//!
//! It loads each program to see whether the kernel takes it, and attaches none.

use std::path::Path;

use anyhow::Result;
use bubble_common::batch::Batch;
use bubble_common::segment::SourceId;
use serde::Serialize;

use crate::config::Config;
use crate::container::Containers;
use crate::container::hierarchy::Hierarchies;
use crate::live;
use crate::report;
use crate::send::Sender;
use crate::source::ebpf;
use crate::source::ebpf::hooks::{self, Family, Finding, State};

/// All that is found out.
#[derive(Debug, Serialize)]
struct Findings {
    kernel: String,
    cores: u32,
    memory: u64,
    root: bool,
    btf: bool,
    /// `v1`, `v2` or `hybrid`; or why there is none.
    cgroups: Result<&'static str, String>,
    docker: bool,
    /// The family that would be used; absent where eBPF cannot be.
    family: Option<&'static str>,
    /// Why eBPF cannot be used, or not in the family asked for.
    refused: Option<String>,
    hooks: Vec<Finding>,
    /// What would not be counted, one sentence each.
    missing: Vec<String>,
    /// `ok`, or what is wrong; absent when no server is given.
    server: Option<String>,
}

/// Looks, prints, and says whether all is well.
///
/// # Errors
/// When the findings cannot be printed.
pub fn run(config: &Config, json: bool) -> Result<bool> {
    let findings = look(config);
    if json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        print(&findings);
    }
    let server = findings.server.as_deref().is_none_or(|said| said == "ok");
    Ok(findings.root && findings.family.is_some() && findings.cgroups.is_ok() && server)
}

fn look(config: &Config) -> Findings {
    let report = report::host(&config.host, "", &[]);
    let mut findings = Findings {
        kernel: report.kernel.clone(),
        cores: report.cores,
        memory: report.memory,
        root: live::is_root(),
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        cgroups: Err(String::new()),
        docker: std::os::unix::net::UnixStream::connect(&config.docker).is_ok(),
        family: None,
        refused: None,
        hooks: Vec::new(),
        missing: Vec::new(),
        server: None,
    };
    match Hierarchies::mounted(Path::new("/proc")) {
        Ok(hierarchies) => {
            let mut containers = Containers::new(hierarchies, config.rules.clone(), false);
            containers.choose_primary();
            findings.cgroups = Ok(containers.hierarchies().mode());
            match ebpf::probe(&config.ebpf, containers.hierarchies().primary()) {
                Ok(hooks) => judge(&mut findings, hooks, config.ebpf.family),
                Err(error) => findings.refused = Some(format!("{:#}", anyhow::Error::new(error))),
            }
        }
        Err(error) => findings.cgroups = Err(error.to_string()),
    }
    findings.server = config.server.as_deref().map(|url| ask(config, url, report));
    findings
}

/// Chooses the family as the agent would.
fn judge(findings: &mut Findings, hooks: Vec<Finding>, wanted: Option<Family>) {
    let families: &[Family] = match &wanted {
        Some(family) => std::slice::from_ref(family),
        None => &[Family::Vfs, Family::Syscall],
    };
    for family in families {
        match hooks::obstacle(&hooks, *family) {
            None => {
                findings.family = Some(family.name());
                findings.missing = hooks::missing(&hooks, *family);
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

/// Whether the server answers and takes the key.
fn ask(config: &Config, url: &str, agent: bubble_common::batch::AgentReport) -> String {
    let Some(key) = config.api.as_deref() else {
        return "no API key is given: --api, or BUBBLE_API".to_owned();
    };
    let batch = Batch {
        source: SourceId(rand::random()),
        agent,
        segments: Vec::new(),
    };
    let asked = || -> Result<Result<(), String>> {
        let sender = Sender::new(url, key, config.ca.as_deref())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(runtime.block_on(sender.check(&batch.encode())))
    };
    match asked() {
        Ok(Ok(())) => "ok".to_owned(),
        Ok(Err(why)) => why,
        Err(error) => format!("{error:#}"),
    }
}

fn print(findings: &Findings) {
    let yes = |is: bool, no: &str| {
        if is {
            "yes".to_owned()
        } else {
            format!("no: {no}")
        }
    };
    println!("kernel   {}", findings.kernel);
    println!("cores    {}", findings.cores);
    println!("memory   {} MiB", findings.memory >> 20);
    println!(
        "root     {}",
        yes(
            findings.root,
            "run it with sudo, or in Docker with --privileged"
        )
    );
    println!(
        "btf      {}",
        yes(
            findings.btf,
            "the kernel has no /sys/kernel/btf/vmlinux; only --source procfs works"
        )
    );
    match &findings.cgroups {
        Ok(mode) => println!("cgroups  {mode}"),
        Err(why) => println!("cgroups  none: {why}"),
    }
    println!(
        "docker   {}",
        yes(
            findings.docker,
            "containers go by their ids, not by their names"
        )
    );
    match (&findings.family, &findings.refused) {
        (Some(family), None) => println!("hooks    {family}"),
        (Some(family), Some(why)) => println!("hooks    {family} ({why})"),
        (None, why) => {
            println!("hooks    none: {}", why.as_deref().unwrap_or("see above"));
        }
    }
    if let Some(server) = &findings.server {
        println!("server   {server}");
    }
    if !findings.hooks.is_empty() {
        println!("\nwhich hook gives which number");
    }
    for finding in &findings.hooks {
        let state = match &finding.state {
            State::Usable => "usable".to_owned(),
            State::NotNeeded(why) => format!("not needed: {why}"),
            State::Refused(why) => format!("REFUSED: {why}"),
        };
        println!(
            "  {:<24} {:<8} {}\n  {:<24} {:<8} {state}",
            finding.hook.program,
            finding.hook.family.name(),
            finding.hook.gives,
            "",
            "",
        );
    }
    if !findings.missing.is_empty() {
        println!("\nnot counted here");
    }
    for missing in &findings.missing {
        println!("  {missing}");
    }
}
