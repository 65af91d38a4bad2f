//! Tables as CSV (RFC 4180), with a line of names first.

use std::io::{self, Write};

use bubble_common::segment::wait::{KINDS, NAMES};

use super::io::{ConnectionSums, FileSums};
use super::process::{ExitInfo, ProcessInfo};
use super::table::{EventCell, GroupRow, RowSums, Rows, Table, Who};

const PROCESS: [&str; 24] = [
    "process",
    "pid",
    "container_pid",
    "name",
    "args",
    "exe",
    "parent",
    "uid",
    "start",
    "end",
    "exit_code",
    "exit_signal",
    "count",
    "cpu_ns",
    "rss_max",
    "vm_max",
    "swap_max",
    "bytes_in",
    "bytes_out",
    "received",
    "sent",
    "count_at_least",
    "gid",
    "private_max",
];
/// Waits, after the other columns of a process.
const WAITS: [&str; KINDS] = [
    "wait_core_ns",
    "wait_disk_ns",
    "wait_network_ns",
    "wait_lock_ns",
    "wait_events_ns",
    "wait_child_ns",
    "wait_sleep_ns",
    "wait_pipe_ns",
    "wait_stopped_ns",
    "wait_other_ns",
];
/// The first columns of the other tables.
const WHO: [&str; 5] = ["process", "pid", "container_pid", "name", "args"];
const FILE: [&str; 9] = [
    "path",
    "kind",
    "bytes_in",
    "bytes_out",
    "ops_in",
    "ops_out",
    "opens",
    "mapped_pages",
    "waited_ns",
];
const NETWORK: [&str; 11] = [
    "protocol",
    "role",
    "local",
    "peer",
    "bytes_in",
    "bytes_out",
    "ops_in",
    "ops_out",
    "connects",
    "failures",
    "waited_ns",
];
const EVENT: [&str; 7] = ["at", "kind", "process", "pid", "name", "detail", "count"];
const CPU: [&str; 2] = ["core", "cpu_ns"];

impl Table {
    /// Writes the rows as CSV.
    ///
    /// # Errors
    /// When `output` fails.
    pub fn write_csv(&self, output: &mut dyn Write) -> io::Result<()> {
        let mut csv = Csv::default();
        match &self.rows {
            Rows::Process(rows) => {
                csv.names(&[&PROCESS, &WAITS]);
                csv.lines(output, rows, Csv::process)?;
            }
            Rows::File(rows) => {
                csv.names(&[&WHO, &FILE]);
                csv.lines(output, rows, |csv, row| csv.file(&row.who, &row.file))?;
            }
            Rows::Network(rows) => {
                csv.names(&[&WHO, &NETWORK]);
                csv.lines(output, rows, |csv, row| {
                    csv.connection(&row.who, &row.connection);
                })?;
            }
            Rows::Cpu(rows) => {
                csv.names(&[&WHO, &CPU]);
                csv.lines(output, rows, |csv, row| {
                    csv.who(&row.who);
                    csv.numbers(&[row.core.into(), row.cpu_ns]);
                    csv.end_line();
                })?;
            }
            Rows::Event(rows) => {
                csv.names(&[&EVENT]);
                csv.lines(output, rows, Csv::event)?;
            }
            Rows::Group(rows) => {
                csv.group_names(rows);
                csv.lines(output, rows, Csv::group)?;
            }
        }
        if self.rest.rows > 0 {
            csv.rest(&self.rest);
        }
        output.write_all(csv.text.as_bytes())
    }
}

/// Text that lines are appended to, until they are written.
#[derive(Default)]
struct Csv {
    text: String,
    within_line: bool,
}

impl Csv {
    /// Writes all lines so far, and those of `rows`.
    fn lines<R>(
        &mut self,
        output: &mut dyn Write,
        rows: &[R],
        line: impl Fn(&mut Self, &R),
    ) -> io::Result<()> {
        for row in rows {
            line(self, row);
            output.write_all(self.text.as_bytes())?;
            self.text.clear();
        }
        Ok(())
    }

    fn names(&mut self, groups: &[&[&str]]) {
        for names in groups {
            self.texts(names);
        }
        self.end_line();
    }

    fn process(&mut self, row: &ProcessInfo) {
        let (code, signal) = match row.exit {
            Some(ExitInfo::Code(code)) => (code.to_string(), String::new()),
            Some(ExitInfo::Signal(signal)) => (String::new(), signal.to_string()),
            None => (String::new(), String::new()),
        };
        let end = row.end.map_or(String::new(), |end| end.to_string());
        self.texts(&[&row.key]);
        self.numbers(&[row.pid.into(), row.container_pid.into()]);
        self.texts(&[&row.name, &row.args.joined(), &row.exe]);
        self.numbers(&[row.parent.into(), row.uid.into()]);
        self.texts(&[&row.start.to_string(), &end, &code, &signal]);
        self.numbers(&[row.count.into(), row.cpu_ns]);
        for measured in [row.rss_max, row.vm_max, row.swap_max] {
            self.measured(measured);
        }
        self.numbers(&[row.bytes_in, row.bytes_out, row.received, row.sent]);
        self.numbers(&[row.count_at_least.into()]);
        self.measured(row.gid.map(u64::from));
        self.measured(row.private_max);
        for kind in NAMES {
            let wait = row.waits.get(kind).copied().unwrap_or(0);
            self.measured(row.waits_known.then_some(wait));
        }
        self.end_line();
    }

    fn file(&mut self, who: &Who, file: &FileSums) {
        self.who(who);
        self.texts(&[&file.path, file.kind]);
        self.numbers(&[
            file.bytes_in,
            file.bytes_out,
            file.ops_in,
            file.ops_out,
            file.opens,
            file.mapped_pages,
            file.waited_ns,
        ]);
        self.end_line();
    }

    fn connection(&mut self, who: &Who, connection: &ConnectionSums) {
        self.who(who);
        self.texts(&[
            connection.protocol,
            connection.role,
            &connection.local,
            &connection.peer,
        ]);
        self.numbers(&[
            connection.bytes_in,
            connection.bytes_out,
            connection.ops_in,
            connection.ops_out,
            connection.connects,
            connection.failures,
            connection.waited_ns,
        ]);
        self.end_line();
    }

    fn event(&mut self, row: &EventCell) {
        self.texts(&[&row.at.to_string(), row.kind, &row.process]);
        self.numbers(&[row.pid.into()]);
        self.texts(&[&row.name, &row.detail]);
        self.numbers(&[row.count]);
        self.end_line();
    }

    /// The columns of groups: what they are grouped by, the number of rows, and the sums.
    fn group_names(&mut self, rows: &[GroupRow]) {
        // All groups of a table have the same columns.
        let Some(first) = rows.first() else {
            return;
        };
        let names = first.group.keys().map(String::as_str).chain(["rows"]);
        let names: Vec<&str> = names.chain(first.sums.sums.keys().copied()).collect();
        self.names(&[&names]);
    }

    fn group(&mut self, row: &GroupRow) {
        row.group.values().for_each(|text| self.field(text));
        self.numbers(&[row.sums.rows]);
        row.sums.sums.values().for_each(|sum| self.measured(*sum));
        self.end_line();
    }

    /// The last line of a table that was cut: the rows that are left out, and their sums.
    fn rest(&mut self, rest: &RowSums) {
        self.field(&format!("({} more rows)", rest.rows));
        for (name, sum) in &rest.sums {
            if let Some(sum) = sum {
                self.field(&format!("{name}: {sum}"));
            }
        }
        self.end_line();
    }

    fn who(&mut self, who: &Who) {
        self.texts(&[&who.process]);
        self.numbers(&[who.pid.into(), who.container_pid.into()]);
        self.texts(&[&who.name, &who.args.joined()]);
    }

    fn texts(&mut self, fields: &[&str]) {
        for field in fields {
            self.field(field);
        }
    }

    fn numbers(&mut self, fields: &[u64]) {
        for field in fields {
            self.field(&field.to_string());
        }
    }

    /// A number; empty if there is none.
    fn measured(&mut self, number: Option<u64>) {
        self.field(&number.map_or(String::new(), |number| number.to_string()));
    }

    fn field(&mut self, text: &str) {
        if std::mem::replace(&mut self.within_line, true) {
            self.text.push(',');
        }
        // Names are untrusted and must not become a formula in a spreadsheet.
        // Some programs skip blanks, or take full-width signs for the usual ones.
        let begins = |c: char| "=+-@\t\r\n＝＋－＠".contains(c);
        let formula = text.starts_with(begins) || text.trim_start().starts_with(begins);
        if formula || text.contains(['"', ',', ';', '\n', '\r', '\t']) {
            self.text.push('"');
            if formula {
                self.text.push('\'');
            }
            self.text.push_str(&text.replace('"', "\"\""));
            self.text.push('"');
        } else {
            self.text.push_str(text);
        }
    }

    fn end_line(&mut self) {
        self.text.push_str("\r\n");
        self.within_line = false;
    }
}

#[cfg(test)]
mod tests {
    use super::Csv;

    #[test]
    fn text_is_never_a_formula() {
        for text in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            " =1",
            "\u{ff1d}1",
            "\u{ff20}x",
        ] {
            let mut csv = Csv::default();
            csv.field(text);
            assert_eq!(csv.text, format!("\"'{text}\""));
        }
        let mut csv = Csv::default();
        csv.texts(&["a", "a;=1", "a=1"]);
        assert_eq!(csv.text, "a,\"a;=1\",a=1");
    }
}
