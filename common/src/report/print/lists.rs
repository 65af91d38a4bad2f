//! The lists of a report as tables, each with a row for the rest.

use super::super::document::{Block, Text};
use super::super::form::{
    EventRow, FileList, NetworkSums, ProcessSums, Processes, Report, ReportFileSums,
};
use super::super::words::{bytes, count, moment, ns, seconds};

/// Events that are listed.
const MAX_EVENTS: usize = 10;

/// All lists that have entries.
pub(super) fn lists(report: &Report) -> Vec<Block> {
    let processes = &report.processes;
    let tables = [
        ("Processes by command", commands(processes)),
        ("Processes", rows(processes)),
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

fn rows(processes: &Processes) -> Option<Block> {
    let rows = processes.rows.iter().map(|row| {
        let command = if row.command.is_empty() {
            &row.name
        } else {
            &row.command
        };
        let mut cells: Vec<Text> = vec![seconds(row.sums.cpu_ns).into(), size(row.memory_bytes)];
        cells.extend(io(&row.sums));
        cells.push(row.exit.clone().unwrap_or_default().into());
        cells.push(match row.pid {
            0 => "".into(),
            pid => pid.to_string().into(),
        });
        cells.push(Text::name(command));
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

/// A time, and nothing for 0.
fn time(ns: u64) -> Text {
    match ns {
        0 => "".into(),
        ns => seconds(ns).into(),
    }
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
