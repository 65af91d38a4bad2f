//! Whole tables, never cut: for export, and for checking sums.

use serde::{Deserialize, Serialize};

use super::io::{ConnectionSums, FileSums};
use super::ledger::Ledger;
use super::range::Plan;
use super::summary::{ExitInfo, ProcessInfo, RangeInfo, process_info, process_key};

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// A row for each process.
    #[default]
    Process,
    /// A row for each process and file.
    File,
    /// A row for each process and connection.
    Network,
    /// A row for each process and core.
    Cpu,
}

/// A whole table.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Table {
    /// Which range.
    pub range: RangeInfo,
    /// All rows, of the kind that was asked for.
    pub rows: Rows,
}

/// Rows of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Rows {
    /// Of processes.
    Process(Vec<ProcessInfo>),
    /// Of processes and files.
    File(Vec<FileCell>),
    /// Of processes and connections.
    Network(Vec<NetworkCell>),
    /// Of processes and cores.
    Cpu(Vec<CpuCell>),
}

/// Who a row is about.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Who {
    /// Key of the process.
    pub process: String,
    /// Process id on the host.
    pub pid: u32,
    /// Process id inside the container.
    pub container_pid: u32,
    /// Its name.
    pub name: String,
    /// The command line, word by word.
    pub args: Vec<String>,
}

/// What a process did with a file.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct FileCell {
    /// The process.
    #[serde(flatten)]
    pub who: Who,
    /// The file.
    #[serde(flatten)]
    pub file: FileSums,
}

/// What a process did with a connection.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct NetworkCell {
    /// The process.
    #[serde(flatten)]
    pub who: Who,
    /// The connection.
    #[serde(flatten)]
    pub connection: ConnectionSums,
}

/// CPU time of a process on a core.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CpuCell {
    /// The process.
    #[serde(flatten)]
    pub who: Who,
    /// Number of the core.
    pub core: u32,
    /// CPU time, ns.
    pub cpu_ns: u64,
}

impl Table {
    /// The table of `kind` in `ledger`.
    pub fn new(kind: TableKind, plan: &Plan, ledger: &Ledger<'_>) -> Self {
        let rows = match kind {
            TableKind::Process => {
                let present = ledger.processes.iter().filter(|row| row.present);
                let mut rows: Vec<ProcessInfo> = present.map(process_info).collect();
                rows.sort_by(|a, b| a.key.cmp(&b.key));
                Rows::Process(rows)
            }
            TableKind::File => Rows::File(files(ledger)),
            TableKind::Network => Rows::Network(connections(ledger)),
            TableKind::Cpu => Rows::Cpu(
                ledger
                    .cpu_pairs
                    .iter()
                    .map(|((process, core), ns)| CpuCell {
                        who: who(ledger, *process),
                        core: *core,
                        cpu_ns: *ns,
                    })
                    .collect(),
            ),
        };
        Self {
            range: RangeInfo::new(plan),
            rows,
        }
    }

    /// The rows as CSV (RFC 4180), with a line of names first.
    pub fn to_csv(&self) -> String {
        let mut csv = Csv::default();
        match &self.rows {
            Rows::Process(rows) => {
                csv.line([
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
                ]);
                for row in rows {
                    let (code, signal) = match row.exit {
                        Some(ExitInfo::Code(code)) => (code.to_string(), String::new()),
                        Some(ExitInfo::Signal(signal)) => (String::new(), signal.to_string()),
                        None => (String::new(), String::new()),
                    };
                    let end = row.end.map_or(String::new(), |end| end.to_string());
                    csv.text(&[&row.key]);
                    csv.numbers(&[row.pid.into(), row.container_pid.into()]);
                    csv.text(&[&row.name, &row.args.join(" "), &row.exe]);
                    csv.numbers(&[row.parent.into(), row.uid.into()]);
                    csv.text(&[&row.start.to_string(), &end, &code, &signal]);
                    csv.numbers(&[
                        row.count.into(),
                        row.cpu_ns,
                        row.rss_max,
                        row.vm_max,
                        row.swap_max,
                        row.bytes_in,
                        row.bytes_out,
                        row.received,
                        row.sent,
                    ]);
                    csv.end();
                }
            }
            Rows::File(rows) => {
                csv.line(WHO.into_iter().chain([
                    "path",
                    "kind",
                    "bytes_in",
                    "bytes_out",
                    "ops_in",
                    "ops_out",
                    "opens",
                ]));
                for row in rows {
                    csv.who(&row.who);
                    let row = &row.file;
                    csv.text(&[&row.path, row.kind]);
                    csv.numbers(&[
                        row.bytes_in,
                        row.bytes_out,
                        row.ops_in,
                        row.ops_out,
                        row.opens,
                    ]);
                    csv.end();
                }
            }
            Rows::Network(rows) => {
                csv.line(WHO.into_iter().chain([
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
                ]));
                for row in rows {
                    csv.who(&row.who);
                    let row = &row.connection;
                    csv.text(&[row.protocol, row.role, &row.local, &row.peer]);
                    csv.numbers(&[
                        row.bytes_in,
                        row.bytes_out,
                        row.ops_in,
                        row.ops_out,
                        row.connects,
                        row.failures,
                    ]);
                    csv.end();
                }
            }
            Rows::Cpu(rows) => {
                csv.line(WHO.into_iter().chain(["core", "cpu_ns"]));
                for row in rows {
                    csv.who(&row.who);
                    csv.numbers(&[row.core.into(), row.cpu_ns]);
                    csv.end();
                }
            }
        }
        csv.text
    }
}

fn who(ledger: &Ledger<'_>, index: u32) -> Who {
    let process = &ledger.processes[index as usize].process;
    let words = process
        .args
        .split('\0')
        .filter(|_| !process.args.is_empty());
    Who {
        process: process_key(process),
        pid: process.id.pid,
        container_pid: process.container_pid,
        name: process.name.clone(),
        args: words.map(str::to_owned).collect(),
    }
}

fn files(ledger: &Ledger<'_>) -> Vec<FileCell> {
    let pairs = ledger.file_pairs().into_iter();
    pairs
        .map(|(process, file, io)| FileCell {
            who: who(ledger, process),
            file: FileSums::new(file, &io),
        })
        .collect()
}

fn connections(ledger: &Ledger<'_>) -> Vec<NetworkCell> {
    let pairs = ledger.network_pairs().into_iter();
    pairs
        .map(|(process, connection, io)| NetworkCell {
            who: who(ledger, process),
            connection: ConnectionSums::new(connection, &io),
        })
        .collect()
}

const WHO: [&str; 5] = ["process", "pid", "container_pid", "name", "args"];

/// Lines of CSV in the making.
#[derive(Default)]
struct Csv {
    text: String,
    within_line: bool,
}

impl Csv {
    fn field(&mut self, text: &str) {
        if std::mem::replace(&mut self.within_line, true) {
            self.text.push(',');
        }
        // What a stranger wrote must not be a formula in a spreadsheet.
        let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        if formula || text.contains(['"', ',', '\n', '\r']) {
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

    fn text(&mut self, fields: &[&str]) {
        for field in fields {
            self.field(field);
        }
    }

    fn numbers(&mut self, fields: &[u64]) {
        for field in fields {
            self.field(&field.to_string());
        }
    }

    fn who(&mut self, who: &Who) {
        self.text(&[&who.process]);
        self.numbers(&[who.pid.into(), who.container_pid.into()]);
        self.text(&[&who.name, &who.args.join(" ")]);
    }

    fn end(&mut self) {
        self.text.push_str("\r\n");
        self.within_line = false;
    }

    fn line<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            self.field(name);
        }
        self.end();
    }
}
