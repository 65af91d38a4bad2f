//! A hook: a program, where it is attached, what it counts and what is lost without it.
//!
//! Whether a hook can be used is found out by asking the running kernel (its BTF,
//! and loading the program), never by its version.

use serde::Serialize;

/// A program of the kernel side, and its purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// Name of the program in the object.
    pub program: &'static str,
    /// Where it is attached.
    pub attach: Attach,
    /// The family that uses it.
    pub family: Family,
    /// The figure that it counts.
    pub gives: &'static str,
    /// What it needs of the kernel.
    pub needs: &'static str,
    /// What happens without it: a replacement, or a figure that is missing.
    pub fallback: &'static str,
    /// The family cannot be used without it.
    pub required: bool,
    /// A better tracepoint for the same figure: where it exists, this hook is not used.
    pub unless: Option<&'static str>,
    /// Equivalent hook, used where the attach point is missing.
    pub instead: Option<&'static str>,
}

/// Where a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attach {
    /// A BTF tracepoint (`tp_btf`).
    Tracepoint(&'static str),
    /// The return of a function (`fexit`); needs a trampoline.
    Exit(&'static str),
    /// The beginning of a function (`fentry`); needs a trampoline.
    Entry(&'static str),
    /// Not attached: read once, over all objects of this kind.
    Iterator(&'static str),
    /// Not attached: the agent runs it on each core.
    EachCore,
}

/// Family of hooks that a program belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Used by both.
    Both,
    /// Functions of the virtual file system, for kernels that allow trampolines.
    Vfs,
    /// The exit of each system call, for kernels that refuse trampolines.
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

    /// Whether a hook of this family is used when the family `chosen` is.
    pub fn suits(self, chosen: Self) -> bool {
        self == Self::Both || self == chosen
    }
}

/// A hook, and its state on this kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The hook.
    #[serde(flatten)]
    pub hook: Hook,
    /// Its state.
    pub state: State,
}

/// The state of a hook on this kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The kernel accepts it.
    Usable,
    /// It is not needed here, for this reason.
    NotNeeded(String),
    /// The kernel lacks or refuses it, for this reason.
    Refused(String),
}

/// What is not counted when `family` is used, one sentence for each refused hook.
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

/// The first required hook of this family that the kernel refuses, and why.
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
    use super::{Attach, Family, Finding, Hook, State, missing, obstacle};

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
    fn refused_hooks_are_missing_in_their_family_only() {
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
