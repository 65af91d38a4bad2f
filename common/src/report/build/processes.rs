//! Processes of a report: by name, one by one, and how they ended.

use super::super::form::{CommandRow, FailureRow, ProcessRow, ProcessSums, Processes};
use super::super::tally::{Command, Container, Program};
use super::files::file_sums;
use super::numbers::network_sums;
use super::time::budget_of;
use super::tree::with_children;
use crate::segment::process::{Exit, Process};

/// `code 1`, `signal 9`.
pub(super) fn exit_text(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
    }
}

impl ProcessSums {
    /// These sums and those of `other`.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let budgets = self.budget.as_ref().zip(other.budget.as_ref());
        Self {
            cpu_ns: self.cpu_ns.saturating_add(other.cpu_ns),
            files: self.files.plus(&other.files),
            network: self.network.plus(&other.network),
            budget: budgets.map(|(own, other)| own.plus(other)),
        }
    }

    /// What is left of these sums without `other`.
    fn without(&self, other: &Self) -> Self {
        let budgets = self.budget.as_ref().zip(other.budget.as_ref());
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(other.cpu_ns),
            files: self.files.without(&other.files),
            network: self.network.without(&other.network),
            budget: budgets.map(|(own, other)| own.without(other)),
        }
    }
}

/// The sums of a program; with its time budget, if `has_waits` were counted.
fn sums_of(program: &Program, has_waits: bool) -> ProcessSums {
    ProcessSums {
        cpu_ns: program.cpu,
        files: file_sums(program.file_io),
        network: network_sums(program.network_io),
        budget: has_waits.then(|| budget_of(&program.waits, program.cpu, program.idle)),
    }
}

/// The processes.
pub(super) fn processes(sums: &Container) -> Processes {
    let has_waits = sums.waits.is_some();
    let cpu_ns = sums.cpu_ns();
    let total = ProcessSums {
        cpu_ns,
        files: file_sums(sums.file_io),
        network: network_sums(sums.network_io),
        budget: sums.waits.map(|waits| budget_of(&waits, cpu_ns, sums.idle)),
    };
    let subtrees = with_children(sums);
    let commands: Vec<CommandRow> = sums
        .commands
        .sorted()
        .into_iter()
        .map(|(name, command)| {
            let subtree = subtrees.get(name.as_str());
            let subtree = subtree.map(|it| sums_of(it, has_waits));
            command_row(name, command, subtree, has_waits)
        })
        .collect();
    let rest = |total: &ProcessSums, rows: &[&ProcessSums]| {
        let rows = rows.iter();
        rows.fold(total.clone(), |rest, sums| rest.without(sums))
    };
    let own: Vec<&ProcessSums> = commands.iter().map(|row| &row.own).collect();
    let commands_rest = rest(&total, &own);
    let listed = sums.processes.sorted().into_iter();
    let listed: Vec<ProcessRow> = listed
        .map(|((id, _), program)| process_row(id.pid, program, has_waits))
        .collect();
    let own: Vec<&ProcessSums> = listed.iter().map(|row| &row.sums).collect();
    let rows_rest = rest(&total, &own);
    let failures: Vec<FailureRow> = sums
        .failures
        .sorted()
        .into_iter()
        .map(|((name, exit), count)| FailureRow {
            name: name.clone(),
            exit: exit_text(*exit),
            count: count.0,
        })
        .collect();
    let in_failures: u64 = failures.iter().map(|row| row.count).sum();
    Processes {
        started: sums.started,
        ended: sums.exits,
        failed: sums.failed,
        short: sums.short,
        commands,
        commands_count: sums.commands.count(),
        commands_rest,
        rows: listed,
        rows_count: sums.processes.count(),
        rows_rest,
        failures_rest: sums.failed.saturating_sub(in_failures),
        failures,
    }
}

fn command_row(
    name: &str,
    command: &Command,
    subtree: Option<ProcessSums>,
    has_waits: bool,
) -> CommandRow {
    let own = ProcessSums {
        cpu_ns: command.cpu,
        files: file_sums(command.file_io),
        network: network_sums(command.network_io),
        budget: has_waits.then(|| budget_of(&command.waits, command.cpu, command.idle)),
    };
    CommandRow {
        name: name.to_owned(),
        processes: command.processes,
        is_lower_bound: command.is_folded,
        memory_bytes: command.memory,
        // Rows that were folded or cut are in the former only.
        with_children: match subtree {
            Some(subtree) if subtree.cpu_ns >= own.cpu_ns => subtree,
            _ => own.clone(),
        },
        own,
    }
}

fn process_row(pid: u32, program: &Program, has_waits: bool) -> ProcessRow {
    let process = program.process.as_ref();
    let text = |of: fn(&Process) -> String| process.map(of).unwrap_or_default();
    ProcessRow {
        pid,
        parent: process.map_or(0, |process| process.parent),
        name: text(|process| process.name.clone()),
        command: text(|process| process.args.replace('\0', " ")),
        memory_bytes: program.memory,
        sums: sums_of(program, has_waits),
        exit: process.and_then(|process| process.exit).map(exit_text),
    }
}
