//! The lists of a report as tables, each with a row for the rest.

use super::super::document::{Block, Text};
use super::super::form::{
    EventRow, FileList, NetworkSums, ProcessRow, ProcessSums, Processes, Report, ReportFileSums,
    TimeBudget,
};
use super::super::words::{bytes, count, moment, ns, seconds};

/// Events that are listed.
const MAX_EVENTS: usize = 10;

/// All lists that have entries.
pub(super) fn lists(report: &Report) -> Vec<Block> {
    let processes = &report.processes;
    let tables = [
        ("Processes by command", commands(processes)),
        (
            "Where the time of threads went, by command",
            command_times(processes),
        ),
        ("Processes", rows(processes)),
        (
            "Where the time of threads went, by process",
            process_times(processes),
        ),
        ("Processes that failed", failures(processes)),
        (
            "Directories",
            files(&report.files.by_directory, "directory"),
        ),
        ("Files", files(&report.files.by_file, "file")),
        ("Peers", peers(report)),
        ("Events", events(&report.events.rows, report.events.count)),
    ];
    let tables = tables.into_iter();
    let tables = tables.filter_map(|(heading, table)| Some((heading, table?)));
    tables
        .flat_map(|(heading, table)| [Block::Heading(heading), table])
        .collect()
}

/// A table, unless it has no rows. The last row stands for `more` entries, if there are any.
fn table(
    head: &[&'static str],
    mut rows: Vec<Vec<Text>>,
    more: u64,
    rest: impl FnOnce() -> Vec<Text>,
) -> Option<Block> {
    if rows.is_empty() {
        return None;
    }
    if more > 0 {
        let mut row = rest();
        row.push(format!("… {} more", count(more)).into());
        rows.push(row);
    }
    Some(Block::Table {
        head: head.to_vec(),
        rows,
    })
}

fn more(count: u64, listed: usize) -> u64 {
    count.saturating_sub(listed as u64)
}

/// Bytes, and nothing for 0.
fn size(number: u64) -> Text {
    match number {
        0 => "".into(),
        number => bytes(number).into(),
    }
}

/// A number, and nothing for 0.
fn quantity(number: u64) -> Text {
    match number {
        0 => "".into(),
        number => count(number).into(),
    }
}

fn io(sums: &ProcessSums) -> [Text; 4] {
    [
        size(sums.files.read_bytes),
        size(sums.files.written_bytes),
        size(sums.network.received_bytes),
        size(sums.network.sent_bytes),
    ]
}

fn commands(processes: &Processes) -> Option<Block> {
    let rows = processes.commands.iter().map(|row| {
        let least = if row.is_lower_bound { "≥ " } else { "" };
        let mut cells: Vec<Text> = vec![
            format!("{least}{}", count(row.processes)).into(),
            seconds(row.own.cpu_ns).into(),
            seconds(row.with_children.cpu_ns).into(),
            size(row.memory_bytes),
        ];
        cells.extend(io(&row.own));
        cells.push(Text::name(&row.name));
        cells
    });
    let rows: Vec<Vec<Text>> = rows.collect();
    let more = more(processes.commands_count, rows.len());
    let head = [
        "processes",
        "CPU",
        "with children",
        "memory",
        "read",
        "written",
        "received",
        "sent",
        "command",
    ];
    table(&head, rows, more, || {
        let rest = &processes.commands_rest;
        let mut cells = vec!["".into(), seconds(rest.cpu_ns).into(), "".into(), "".into()];
        cells.extend(io(rest));
        cells
    })
}

fn command_times(processes: &Processes) -> Option<Block> {
    let rows = processes.commands.iter();
    let rows = rows.map(|row| (&row.own, vec![Text::name(&row.name)]));
    let rest = (&processes.commands_rest, processes.commands_count);
    times(rows.collect(), rest, &["command"])
}

fn process_times(processes: &Processes) -> Option<Block> {
    let rows = processes.rows.iter();
    let rows = rows.map(|row| (&row.sums, vec![pid(row), Text::name(command_of(row))]));
    let rest = (&processes.rows_rest, processes.rows_count);
    times(rows.collect(), rest, &["pid", "process"])
}

/// Time in each state that occurs. Each row has the cells that follow it, under the names `last`.
fn times(
    rows: Vec<(&ProcessSums, Vec<Text>)>,
    (rest, all): (&ProcessSums, u64),
    last: &[&'static str],
) -> Option<Block> {
    let more = more(all, rows.len());
    let budgets = rows.iter().map(|(sums, _)| sums.budget.as_ref());
    let budgets: Vec<&TimeBudget> = budgets.collect::<Option<_>>()?;
    let rest = rest.budget.as_ref()?;
    let shown = TimeBudget::default().states().map(|(state, _)| state);
    let occurs = |index: usize| {
        let all = budgets.iter().copied().chain([rest]);
        all.into_iter().any(|budget| budget.states()[index].1 > 0)
    };
    let shown: Vec<(usize, &'static str)> = shown
        .into_iter()
        .enumerate()
        .filter(|(index, _)| occurs(*index))
        .collect();
    let cells = |budget: &TimeBudget| -> Vec<Text> {
        let states = budget.states();
        shown
            .iter()
            .map(|(index, _)| time(states[*index].1))
            .collect()
    };
    let head = shown.iter().map(|(_, state)| match *state {
        // The whole container is idle in another sense.
        "idle" => "no work",
        state => state,
    });
    let mut head: Vec<&'static str> = head.collect();
    head.extend(last);
    let rows = rows.iter().zip(&budgets).map(|((_, last), budget)| {
        let mut cells = cells(budget);
        cells.extend(last.iter().cloned());
        cells
    });
    let blank = last.len().saturating_sub(1);
    table(&head, rows.collect(), more, || {
        let mut cells = cells(rest);
        cells.extend(std::iter::repeat_n("".into(), blank));
        cells
    })
}

/// A time, and nothing for 0.
fn time(ns: u64) -> Text {
    match ns {
        0 => "".into(),
        ns => seconds(ns).into(),
    }
}

/// The command line without the folder of its program, or the name.
fn command_of(row: &ProcessRow) -> &str {
    if row.command.is_empty() {
        return &row.name;
    }
    let program = row.command.split(' ').next().unwrap_or_default();
    let folder = program.rfind('/').map_or(0, |slash| slash + 1);
    let short = &row.command[folder..];
    if folder == program.len() {
        &row.command
    } else {
        short
    }
}

fn pid(row: &ProcessRow) -> Text {
    match row.pid {
        0 => "".into(),
        pid => pid.to_string().into(),
    }
}

fn rows(processes: &Processes) -> Option<Block> {
    let rows = processes.rows.iter().map(|row| {
        let mut cells: Vec<Text> = vec![seconds(row.sums.cpu_ns).into(), size(row.memory_bytes)];
        cells.extend(io(&row.sums));
        cells.push(row.exit.clone().unwrap_or_default().into());
        cells.push(pid(row));
        cells.push(Text::name(command_of(row)));
        cells
    });
    let rows: Vec<Vec<Text>> = rows.collect();
    let more = more(processes.rows_count, rows.len());
    let head = [
        "CPU", "memory", "read", "written", "received", "sent", "exit", "pid", "process",
    ];
    table(&head, rows, more, || {
        let rest = &processes.rows_rest;
        let mut cells = vec![seconds(rest.cpu_ns).into(), "".into()];
        cells.extend(io(rest));
        cells.extend(["".into(), "".into()]);
        cells
    })
}

fn failures(processes: &Processes) -> Option<Block> {
    let rows = processes.failures.iter().map(|row| {
        vec![
            count(row.count).into(),
            row.exit.clone().into(),
            Text::name(&row.name),
        ]
    });
    let more = processes.failures_rest;
    table(
        &["processes", "ended with", "command"],
        rows.collect(),
        more,
        || vec![count(more).into(), "".into()],
    )
}

/// Columns that a table has only if one of its rows has a number there.
#[derive(Clone, Copy)]
struct Optional {
    /// Few programs map files, and older kernels do not count the pages.
    pages: bool,
    /// Older kernels count no waits.
    waits: bool,
}

fn file_cells(sums: &ReportFileSums, with: Optional) -> Vec<Text> {
    let mut cells = vec![
        size(sums.read_bytes),
        size(sums.written_bytes),
        quantity(sums.reads),
        quantity(sums.writes),
        quantity(sums.opens),
    ];
    if with.pages {
        cells.push(quantity(sums.mapped_pages));
    }
    if with.waits {
        cells.push(time(sums.waited_ns));
    }
    cells
}

fn files(list: &FileList, what: &'static str) -> Option<Block> {
    let sums = list.rows.iter().map(|row| &row.sums).chain([&list.rest]);
    let with = Optional {
        pages: sums.clone().any(|sums| sums.mapped_pages > 0),
        waits: sums.clone().any(|sums| sums.waited_ns > 0),
    };
    let rows = list.rows.iter().map(|row| {
        let mut cells = file_cells(&row.sums, with);
        cells.push(Text::name(&row.path));
        cells
    });
    let rows: Vec<Vec<Text>> = rows.collect();
    let more = more(list.count, rows.len());
    let mut head = vec!["read", "written", "reads", "writes", "opens"];
    if with.pages {
        head.push("mapped pages");
    }
    if with.waits {
        head.push("waited");
    }
    head.push(what);
    table(&head, rows, more, || file_cells(&list.rest, with))
}

fn peer_cells(sums: &NetworkSums, with_waits: bool) -> Vec<Text> {
    let mut cells = vec![
        size(sums.received_bytes),
        size(sums.sent_bytes),
        quantity(sums.connects),
        quantity(sums.failures),
    ];
    if with_waits {
        cells.push(time(sums.waited_ns));
    }
    cells
}

fn peers(report: &Report) -> Option<Block> {
    let network = &report.network;
    let with_waits = network.total.waited_ns > 0;
    let rows = network.rows.iter().map(|row| {
        let mut cells = peer_cells(&row.sums, with_waits);
        cells.push(format!("{} {}", row.protocol, row.role).into());
        cells.push(Text::name(&row.address));
        cells
    });
    let rows: Vec<Vec<Text>> = rows.collect();
    let more = more(network.count, rows.len());
    let mut head = vec!["received", "sent", "connects", "failed"];
    if with_waits {
        head.push("waited");
    }
    head.extend(["as", "peer"]);
    table(&head, rows, more, || {
        let mut cells = peer_cells(&network.rest, with_waits);
        cells.push("".into());
        cells
    })
}

fn events(events: &[EventRow], all: u64) -> Option<Block> {
    let rows = events.iter().take(MAX_EVENTS).map(|event| {
        vec![
            moment(ns(event.at)).into(),
            event.kind.replace('_', " ").into(),
            Text::name(&event.process),
            Text::name(&event.detail),
        ]
    });
    let rows: Vec<Vec<Text>> = rows.collect();
    let more = more(all, rows.len());
    table(&["at", "event", "process", "detail"], rows, more, || {
        vec!["".into(), "".into(), "".into()]
    })
}

#[cfg(test)]
mod tests {
    use super::{ProcessRow, command_of};

    #[test]
    fn a_command_is_shown_without_the_folder_of_its_program() {
        let shown = |command: &str| {
            let row = ProcessRow {
                name: "name".to_owned(),
                command: command.to_owned(),
                ..ProcessRow::default()
            };
            command_of(&row).to_owned()
        };
        assert_eq!(
            shown("/opt/long/bin/rustc --crate-name é /a/b"),
            "rustc --crate-name é /a/b"
        );
        assert_eq!(shown("nginx: worker /x"), "nginx: worker /x");
        assert_eq!(shown("/a/ b"), "/a/ b");
        assert_eq!(shown(""), "name");
    }
}
