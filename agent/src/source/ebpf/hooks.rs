//! Which hook gives which number, what it needs, and what is done without it:
//! one table for the loader, for `doctor` and for the documents.
//!
//! Whether a hook is there is found out by asking the running kernel (its BTF,
//! and loading the program), never by its version.

use serde::Serialize;

use super::{cgroup, cpu, file, network, oom, process};

/// A program, and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// Name of the program in the object.
    pub program: &'static str,
    /// Where it is attached.
    pub attach: Attach,
    /// In which family of hooks it is used.
    pub family: Family,
    /// The number that it gives.
    pub gives: &'static str,
    /// What the kernel must have for it.
    pub needs: &'static str,
    /// What is done, or what is not seen, without it.
    pub fallback: &'static str,
    /// Whether the family cannot be used without it.
    pub required: bool,
    /// Not used where this tracepoint exists, which gives the same in a better way.
    pub unless: Option<&'static str>,
    /// What gives the same, as well, where the kernel lacks the place that it is attached to.
    pub instead: Option<&'static str>,
}

/// Where a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attach {
    /// A BTF tracepoint (`tp_btf`).
    Tracepoint(&'static str),
    /// The return of a function (`fexit`), which takes a trampoline.
    Exit(&'static str),
    /// The beginning of a function (`fentry`), which takes a trampoline.
    Entry(&'static str),
    /// Nowhere: read once, over all things of this kind.
    Iterator(&'static str),
    /// Nowhere: the agent runs it on each core.
    EachCore,
}

/// Family of hooks that a program belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Used by both.
    Both,
    /// Functions of the kernel's virtual file system: where it allows trampolines.
    Vfs,
    /// The end of each system call: where it refuses them.
    Syscall,
}

impl Family {
    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Vfs => "vfs",
            Self::Syscall => "syscall",
        }
    }

    /// Whether a hook of this family is used when `chosen` is.
    pub fn suits(self, chosen: Self) -> bool {
        self == Self::Both || self == chosen
    }
}

/// What became of a hook on this kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The hook.
    #[serde(flatten)]
    pub hook: Hook,
    /// What became of it.
    pub state: State,
}

/// What became of a hook on this kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The kernel takes it.
    Usable,
    /// It is not needed here, and why.
    NotNeeded(String),
    /// The kernel lacks or refuses it, and why.
    Refused(String),
}

/// All hooks, in the order in which they are attached.
pub fn table() -> impl Iterator<Item = &'static Hook> {
    [
        cpu::HOOKS,
        process::HOOKS,
        cgroup::HOOKS,
        oom::HOOKS,
        file::HOOKS,
        network::HOOKS,
    ]
    .into_iter()
    .flatten()
}

/// What is not counted here, one sentence each, given what became of the hooks
/// of the family that is used.
pub fn missing(findings: &[Finding], family: Family) -> Vec<String> {
    findings
        .iter()
        .filter(|finding| finding.hook.family.suits(family))
        .filter_map(|finding| match &finding.state {
            State::Refused(why) => Some(format!(
                "{}: {} ({why})",
                finding.hook.gives, finding.hook.fallback
            )),
            State::Usable | State::NotNeeded(_) => None,
        })
        .collect()
}

/// The hook that this family cannot do without and that the kernel does not take.
pub fn obstacle(findings: &[Finding], family: Family) -> Option<(&Hook, &str)> {
    findings
        .iter()
        .filter(|finding| finding.hook.required && finding.hook.family.suits(family))
        .find_map(|finding| match &finding.state {
            State::Refused(why) => Some((&finding.hook, why.as_str())),
            State::Usable | State::NotNeeded(_) => None,
        })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Attach, Family, Finding, Hook, State, missing, obstacle, table};

    const HOOK: Hook = Hook {
        program: "program",
        attach: Attach::Tracepoint("tracepoint"),
        family: Family::Both,
        gives: "numbers",
        needs: "a kernel",
        fallback: "not counted",
        required: true,
        unless: None,
        instead: None,
    };

    fn finding(family: Family, required: bool, state: State) -> Finding {
        Finding {
            hook: Hook {
                family,
                required,
                ..HOOK
            },
            state,
        }
    }

    #[test]
    fn programs_are_named_once() {
        let mut names = HashSet::new();
        for hook in table() {
            assert!(
                names.insert(hook.program),
                "{} is there twice",
                hook.program
            );
        }
    }

    #[test]
    fn a_required_hook_of_the_other_family_is_no_obstacle() {
        let refused = || State::Refused("no trampolines".into());
        let findings = [
            finding(Family::Both, true, State::Usable),
            finding(Family::Vfs, true, refused()),
            finding(Family::Syscall, false, refused()),
        ];
        assert!(obstacle(&findings, Family::Syscall).is_none());
        let (hook, why) = obstacle(&findings, Family::Vfs).expect("one is refused");
        assert_eq!((hook.family, why), (Family::Vfs, "no trampolines"));
    }

    #[test]
    fn what_is_missing_is_said_for_the_family_in_use() {
        let findings = [
            finding(Family::Vfs, true, State::Refused("a".into())),
            finding(Family::Syscall, false, State::Refused("b".into())),
            finding(Family::Both, false, State::NotNeeded("c".into())),
        ];
        assert_eq!(
            missing(&findings, Family::Syscall),
            ["numbers: not counted (b)"]
        );
        assert_eq!(
            missing(&findings, Family::Vfs),
            ["numbers: not counted (a)"]
        );
    }
}
