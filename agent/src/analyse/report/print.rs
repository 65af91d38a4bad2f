//! The report as text, for a person.

use std::fmt::{self, Display, Formatter};

use bubble_common::report::words::{bytes, clean, count, day, moment, seconds};

use super::{Container, Files, Network, Report};

/// Most entries of each list; JSON has more.
const MAX_ROWS: usize = 10;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", clean(&self.name), self.format)?;
        if let (Some(first), Some(last)) = (self.first, self.last) {
            let wall = seconds(last - first);
            let (first, last) = (day(first), (day(last), moment(last)));
            let is_same_day = first.split(' ').next() == last.0.split(' ').next();
            let last = if is_same_day { last.1 } else { last.0 };
            writeln!(f, "  {first} to {last} UTC, {wall}")?;
        }
        write!(f, "  {} events", count(self.events))?;
        if self.skipped > 0 {
            write!(f, ", {} not understood", count(self.skipped))?;
        }
        writeln!(f)?;
        if let Some(damage) = &self.damage {
            writeln!(f, "  INCOMPLETE: {damage}")?;
        }
        if self.containers.is_empty() {
            writeln!(
                f,
                "\nno container is in it (--include-host shows the host's own processes)"
            )?;
        }
        for container in &self.containers {
            write!(f, "\n{container}")?;
        }
        if !self.missing.is_empty() {
            writeln!(f, "\nnot told by this format:")?;
            for missing in &self.missing {
                writeln!(f, "  - {missing}")?;
            }
        }
        Ok(())
    }
}

impl Display for Container {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => writeln!(f, "{}  {}", clean(name), self.id)?,
            None => writeln!(f, "{}", self.id)?,
        }
        if let Some(image) = &self.image {
            line(f, "image", clean(image))?;
        }
        let wall = seconds((self.wall_seconds * 1e9) as u64);
        let wall = match self.gap_seconds {
            0 => wall,
            gap => format!("{wall}, of which {} s are not known", count(gap)),
        };
        line(f, "wall time", wall)?;
        let cores = format!(
            "{}: {:.3} cores on average, {:.3} in the busiest second, on {} in all",
            seconds(self.cpu_ns),
            self.cores_average,
            self.cores_peak,
            self.cores.len()
        );
        line(f, "CPU", cores)?;
        if let Some(peak) = self.memory_peak {
            line(f, "memory", format!("{} at most", bytes(peak)))?;
        }
        let Files {
            read,
            written,
            opens,
            ..
        } = self.files_total;
        let files = format!(
            "{} read, {} written, {} opened",
            bytes(read),
            bytes(written),
            count(opens)
        );
        line(f, "files", files)?;
        let Network {
            received,
            sent,
            connects,
            failures,
            ..
        } = self.network_total;
        let network = format!(
            "{} received, {} sent, {} connections, {} failed",
            bytes(received),
            bytes(sent),
            count(connects),
            count(failures)
        );
        line(f, "network", network)?;
        let processes = format!(
            "{} began, {} ended, {} of them not with code 0",
            count(self.processes_started),
            count(self.processes_ended),
            count(self.processes_failed)
        );
        line(f, "processes", processes)?;
        self.lists(f)
    }
}

impl Container {
    fn lists(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.process_list(f)?;
        self.resource_lists(f)?;
        self.event_lists(f)?;
        for loss in &self.losses {
            let reason = loss.reason.replace('_', " ");
            let lost = format!("{} times, {}", count(loss.count), bytes(loss.bytes));
            line(f, "LOST", format!("{reason}: {lost}"))?;
        }
        Ok(())
    }

    fn process_list(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rows = self.processes.iter().map(|process| {
            let name = if process.command.is_empty() {
                &process.name
            } else {
                &process.command
            };
            [
                seconds(process.cpu_ns),
                bytes(process.memory_peak),
                bytes(process.files.read),
                bytes(process.files.written),
                bytes(process.network.received),
                bytes(process.network.sent),
                process.pid.to_string(),
                clean(name),
            ]
        });
        let head = [
            "CPU", "memory", "read", "written", "received", "sent", "pid", "process",
        ];
        table(f, head, rows, self.processes_count)
    }

    fn resource_lists(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rows = self.files.iter().map(|file| {
            [
                bytes(file.sums.read),
                bytes(file.sums.written),
                count(file.sums.reads),
                count(file.sums.writes),
                count(file.sums.opens),
                clean(&file.path),
            ]
        });
        let head = ["read", "written", "reads", "writes", "opens", "file"];
        table(f, head, rows, self.files_count)?;
        let rows = self.peers.iter().map(|peer| {
            [
                bytes(peer.sums.received),
                bytes(peer.sums.sent),
                count(peer.sums.connects),
                count(peer.sums.failures),
                format!("{} {}", peer.protocol, peer.role),
                clean(&peer.address),
            ]
        });
        let head = ["received", "sent", "connects", "failed", "as", "peer"];
        table(f, head, rows, self.peers_count)
    }

    fn event_lists(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rows = self.failures.iter().map(|ended| {
            [
                moment(ended.at),
                ended.exit.clone(),
                ended.pid.to_string(),
                clean(&ended.name),
            ]
        });
        let head = ["ended", "with", "pid", "process"];
        table(f, head, rows, self.processes_failed)?;
        let rows = self.events.iter().map(|event| {
            let what = event.kind.replace('_', " ");
            let detail = clean(&event.detail);
            [moment(event.at), what, detail, clean(&event.process)]
        });
        let head = ["at", "event", "detail", "process"];
        table(f, head, rows, self.events_count)
    }
}

fn line(f: &mut Formatter<'_>, name: &str, value: String) -> fmt::Result {
    writeln!(f, "  {name:<10} {value}")
}

/// A table with columns as wide as their content. The last one is a name, aligned to the left.
fn table<const N: usize>(
    f: &mut Formatter<'_>,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    all: u64,
) -> fmt::Result {
    let rows: Vec<[String; N]> = rows.take(MAX_ROWS).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let mut widths = head.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut print = |cells: &[&str]| {
        write!(f, "  ")?;
        for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
            if index + 1 == N {
                writeln!(f, " {cell}")?;
            } else {
                write!(f, "{cell:>width$}  ")?;
            }
        }
        Ok(())
    };
    print(&head)?;
    for row in &rows {
        print(&row.each_ref().map(String::as_str))?;
    }
    match all.saturating_sub(rows.len() as u64) {
        0 => writeln!(f),
        more => writeln!(f, "  … and {} more\n", count(more)),
    }
}
