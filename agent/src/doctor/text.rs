//! The findings as text.

use std::fmt::Write as _;

use super::findings::Findings;
use super::verdict::{missing, short, verdict};
use crate::source::ebpf::hook::{Finding, State};

/// I/O that no hook counts on any kernel.
const UNSEEN: &str = "no hook sees mapped files, io_uring requests without a completion, and io_submit \
                      results that are read from memory:\n  a container that uses them has a loss with that reason (docs/counting.md)\n";

/// The verdict, what is missing and what that costs, the host; each hook when `verbose`.
pub(super) fn render(findings: &Findings, verbose: bool) -> String {
    let mut text = verdict(findings);
    text.push('\n');
    let missing = missing(findings);
    if !missing.is_empty() {
        text.push_str("\nmissing here, and what that costs\n");
    }
    for line in missing {
        // Writing to a String does not fail; nor does it below.
        let _ = writeln!(text, "  {line}");
    }
    let cgroups = match &findings.cgroups {
        Ok(mode) => mode,
        Err(_) => "none",
    };
    let _ = writeln!(
        text,
        "\nkernel {}{}, {} cores, {} MiB of memory, cgroups {cgroups}",
        findings.kernel,
        if findings.btf { "" } else { " without BTF" },
        findings.cores,
        findings.memory >> 20,
    );
    if findings.hooks.is_empty() {
        return text;
    }
    text.push_str(UNSEEN);
    if !verbose {
        text.push_str("--verbose lists each hook, what it counts and what became of it\n");
        return text;
    }
    text.push_str("\nhooks, what each counts and what became of it\n");
    for finding in &findings.hooks {
        push_hook(&mut text, finding, findings.family);
    }
    text
}

fn push_hook(text: &mut String, finding: &Finding, family: Option<&str>) {
    let hook = &finding.hook;
    let state = match &finding.state {
        State::Usable => "usable".to_owned(),
        State::NotNeeded(why) => format!("not needed: {why}"),
        State::Refused(why) => format!("refused: {}", short(why)),
    };
    let of_other_family =
        family.is_some_and(|family| ![family, "both"].contains(&hook.family.name()));
    let _ = writeln!(
        text,
        "  {:<24} {:<8} {}\n  {:<24} {:<8} {state}{}",
        hook.program,
        hook.family.name(),
        hook.gives,
        "",
        "",
        if of_other_family { " (not in use)" } else { "" },
    );
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::findings::{Findings, Settings};
    use super::render;
    use crate::config::settings::SourceKind;
    use crate::source::ebpf::hook::{Finding, State};
    use crate::source::ebpf::hooks;

    /// A kernel that refuses every trampoline.
    fn findings() -> Findings {
        let refused = || State::Refused("Invalid argument\nthe verifier's log".to_owned());
        let hooks = hooks::table().map(|hook| Finding {
            hook: *hook,
            state: if hook.family.name() == "vfs" {
                refused()
            } else {
                State::Usable
            },
        });
        Findings {
            kernel: "6.18".to_owned(),
            cores: 2,
            memory: 4 << 30,
            root: true,
            btf: true,
            cgroups: Ok("v2"),
            docker: true,
            family: Some("syscall"),
            refused: Some("vfs hooks need vfs_read: Invalid argument".to_owned()),
            hooks: hooks.collect(),
            missing: Vec::new(),
            server: None,
            rejected: Ok(0),
            settings: Settings {
                source: SourceKind::Auto,
                family: None,
                docker: PathBuf::from("/run/docker.sock"),
                spool: PathBuf::from("/spool"),
            },
        }
    }

    #[test]
    fn the_verdict_comes_first_and_hooks_only_when_asked_for() {
        let text = render(&findings(), false);
        assert!(text.starts_with("Everything is counted here, by the syscall hooks;"));
        assert!(!text.contains("sched_switch"), "{text}");
        assert!(text.contains("kernel 6.18, 2 cores, 4096 MiB of memory, cgroups v2\n"));
        assert!(text.contains("no hook sees mapped files"), "{text}");
        assert!(text.lines().count() < 12, "{text}");
    }

    #[test]
    fn verbose_lists_every_hook() {
        let text = render(&findings(), true);
        for hook in hooks::table() {
            assert!(text.contains(hook.program), "{}", hook.program);
        }
        assert!(
            text.contains("refused: Invalid argument… (not in use)"),
            "{text}"
        );
        assert!(!text.contains("the verifier's log"), "{text}");
    }

    #[test]
    fn json_keeps_its_names() {
        let json = serde_json::to_value(findings()).unwrap();
        let names: Vec<&String> = json.as_object().unwrap().keys().collect();
        let expected = [
            "kernel", "cores", "memory", "root", "btf", "cgroups", "docker", "family", "refused",
            "hooks", "missing", "server", "rejected",
        ];
        assert_eq!(names.len(), expected.len());
        assert!(expected.iter().all(|name| json.get(name).is_some()));
        assert_eq!(json["cgroups"]["Ok"], "v2");
        assert_eq!(json["hooks"][0]["program"], "sched_switch");
        assert_eq!(json["hooks"][0]["state"], "usable");
    }
}
