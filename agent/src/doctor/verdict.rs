//! The verdict: what the agent can count on this host, and what is missing for more.
//!
//! Pure functions of the findings; they decide as `Live::start` does.

use super::findings::Findings;
use crate::config::settings::SourceKind;
use crate::source::procfs;
use crate::spool::rejected;

/// Maximum length of a reason in characters. The verifier's log has thousands.
const MAX_REASON: usize = 240;

/// The counter on this host.
enum Counting<'a> {
    /// Programs in the kernel, of this family.
    Ebpf(&'a str),
    /// The reader of /proc.
    Procfs,
    /// Neither, for this reason.
    Nothing(&'a str),
}

fn counting(findings: &Findings) -> Counting<'_> {
    let refused = findings.refused.as_deref().unwrap_or("it was not tried");
    let settings = &findings.settings;
    if let Err(why) = &findings.cgroups {
        return Counting::Nothing(why);
    }
    match (settings.source, findings.family) {
        (SourceKind::Procfs, _) => Counting::Procfs,
        _ if !findings.root => Counting::Nothing(
            "the agent needs root: run it with sudo, or in Docker with --privileged; \
             --source procfs counts what /proc shows without",
        ),
        (_, Some(family)) => Counting::Ebpf(family),
        (SourceKind::Auto, None) if settings.family.is_none() => Counting::Procfs,
        (_, None) => Counting::Nothing(refused),
    }
}

/// One or two sentences: what is counted, whether names are known, whether posts arrive.
pub(super) fn verdict(findings: &Findings) -> String {
    let counted = match counting(findings) {
        Counting::Nothing(why) => {
            return sentence(&format!("nothing can be counted here: {}", short(why)));
        }
        Counting::Procfs if findings.settings.source == SourceKind::Procfs => {
            "only what /proc tells is counted here, as --source procfs asks".to_owned()
        }
        Counting::Procfs => {
            let why = findings.refused.as_deref().unwrap_or("eBPF is refused");
            format!("only what /proc tells is counted here ({})", short(why))
        }
        Counting::Ebpf(family) => match findings.missing.len() {
            0 => format!("everything is counted here, by the {family} hooks"),
            1 => format!("all but one figure is counted here, by the {family} hooks"),
            n => format!("all but {n} figures are counted here, by the {family} hooks"),
        },
    };
    let names = if findings.docker {
        "from Docker"
    } else {
        "no Docker socket"
    };
    let mut text = sentence(&format!("{counted}; names: {names}"));
    match findings.server.as_deref() {
        None => {}
        Some("ok") => text.push_str(" The server takes posts."),
        Some(why) => {
            text.push(' ');
            text.push_str(&sentence(&format!("nothing can be posted: {}", short(why))));
        }
    }
    text
}

/// What is missing and what it costs, one line each.
pub(super) fn missing(findings: &Findings) -> Vec<String> {
    let mut lines = match counting(findings) {
        Counting::Nothing(_) => return Vec::new(),
        Counting::Ebpf(_) => findings.missing.iter().map(|text| short(text)).collect(),
        Counting::Procfs => procfs::missing(),
    };
    if let Counting::Ebpf(family) = counting(findings)
        && let Some(why) = &findings.refused
    {
        lines.push(format!(
            "a little time per system call: the {family} hooks count the same figures and cost more, \
             but the others are refused ({})",
            short(why)
        ));
    }
    if !findings.root {
        lines.push(
            "bytes read and written by processes of other users: the agent is not root".to_owned(),
        );
    }
    if !findings.docker {
        lines.push(format!(
            "names and images of containers: they go by their ids, as nothing answers at {} \
             (--docker names another socket)",
            findings.settings.docker.display()
        ));
    }
    let folder = rejected::folder(&findings.settings.spool);
    match &findings.rejected {
        Ok(0) => {}
        Ok(count) => lines.push(format!(
            "what the server refused for good: {count} batches are in {}",
            folder.display()
        )),
        Err(why) => lines.push(format!(
            "whether the server refused batches: {} cannot be read ({})",
            folder.display(),
            short(why)
        )),
    }
    lines
}

/// The first line of `text`, cut where it is too long for a sentence.
pub(super) fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(MAX_REASON) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if text.lines().nth(1).is_some() => format!("{line}…"),
        None => line.to_owned(),
    }
}

/// `text` with a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let capital: String = first.into_iter().flatten().collect();
    format!("{capital}{}.", letters.as_str())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::findings::{Findings, Settings};
    use super::{MAX_REASON, missing, short, verdict};
    use crate::config::settings::SourceKind;
    use crate::source::ebpf::hook::Family;

    /// A host on which all is well.
    fn well() -> Findings {
        Findings {
            kernel: "6.12".to_owned(),
            cores: 2,
            memory: 1 << 32,
            root: true,
            btf: true,
            cgroups: Ok("v2"),
            docker: true,
            family: Some("vfs"),
            refused: None,
            hooks: Vec::new(),
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
    fn everything_is_counted() {
        let findings = well();
        assert_eq!(
            verdict(&findings),
            "Everything is counted here, by the vfs hooks; names: from Docker."
        );
        assert!(missing(&findings).is_empty());
    }

    #[test]
    fn refused_trampolines_cost_time_and_no_figure() {
        let mut findings = well();
        findings.family = Some("syscall");
        findings.refused = Some("vfs hooks need vfs_read: Invalid argument\nlog\nlog".to_owned());
        findings.docker = false;
        assert_eq!(
            verdict(&findings),
            "Everything is counted here, by the syscall hooks; names: no Docker socket."
        );
        let lines = missing(&findings);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("a little time per system call: the syscall hooks count"));
        assert!(
            lines[0].contains("vfs_read: Invalid argument…)"),
            "{}",
            lines[0]
        );
        assert!(lines[1].contains("/run/docker.sock"), "{}", lines[1]);
    }

    #[test]
    fn a_missing_figure_is_counted_and_listed() {
        let mut findings = well();
        findings.missing = vec!["out-of-memory kills: not seen (no tracepoint)".to_owned()];
        assert!(verdict(&findings).starts_with("All but one figure is counted here"));
        assert_eq!(missing(&findings), findings.missing);
    }

    #[test]
    fn refused_ebpf_leaves_proc() {
        let mut findings = well();
        (findings.family, findings.refused) = (None, Some("no BTF".to_owned()));
        assert_eq!(
            verdict(&findings),
            "Only what /proc tells is counted here (no BTF); names: from Docker."
        );
        assert!(
            missing(&findings)
                .iter()
                .any(|line| line.starts_with("files:"))
        );
        for (source, family) in [
            (SourceKind::Ebpf, None),
            (SourceKind::Auto, Some(Family::Vfs)),
        ] {
            (findings.settings.source, findings.settings.family) = (source, family);
            assert_eq!(verdict(&findings), "Nothing can be counted here: no BTF.");
        }
    }

    #[test]
    fn proc_is_used_when_asked_for() {
        let mut findings = well();
        findings.settings.source = SourceKind::Procfs;
        assert!(verdict(&findings).contains("as --source procfs asks"));
        let lines = missing(&findings).len();
        findings.root = false;
        assert!(verdict(&findings).contains("as --source procfs asks"));
        assert_eq!(missing(&findings).len(), lines + 1);
    }

    #[test]
    fn nothing_is_counted_without_root_or_cgroups() {
        let mut findings = well();
        findings.root = false;
        assert!(
            verdict(&findings).starts_with("Nothing can be counted here: the agent needs root")
        );
        findings.root = true;
        findings.cgroups = Err("no cgroups are mounted".to_owned());
        assert_eq!(
            verdict(&findings),
            "Nothing can be counted here: no cgroups are mounted."
        );
        assert!(missing(&findings).is_empty());
    }

    #[test]
    fn the_server_has_a_sentence_of_its_own() {
        let mut findings = well();
        findings.server = Some("ok".to_owned());
        assert!(verdict(&findings).ends_with("from Docker. The server takes posts."));
        findings.rejected = Ok(3);
        let lines = missing(&findings);
        assert!(
            lines[0].contains("3 batches are in /spool/rejected"),
            "{lines:?}"
        );
        findings.server = Some("401: no such key".to_owned());
        assert!(verdict(&findings).ends_with(" Nothing can be posted: 401: no such key."));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let cut = short(&"é".repeat(MAX_REASON + 1));
        assert_eq!(cut.chars().count(), MAX_REASON + 1);
        assert!(cut.ends_with('…'));
        assert_eq!(short("plain"), "plain");
    }
}
