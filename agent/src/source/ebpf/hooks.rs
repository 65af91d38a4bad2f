//! The table of all hooks: for the loader, for `doctor` and for the documents.

use super::hook::Hook;
use super::{cgroup, cpu, file, network, oom, process, wait_hook};

/// All hooks, in the order in which they are attached.
pub fn table() -> impl Iterator<Item = &'static Hook> + Clone {
    [
        cpu::HOOKS,
        wait_hook::HOOKS,
        process::HOOKS,
        cgroup::HOOKS,
        oom::HOOKS,
        file::HOOKS,
        network::HOOKS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::table;

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
}
