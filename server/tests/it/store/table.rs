//! Tables are sorted, filtered and grouped before they are cut, on every backend: each answer equals
//! a full sort of the truth.

use std::collections::BTreeMap;
use std::sync::Arc;

use bubble_common::segment::builder::Builder;
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::network::{Address, Connection, NetworkIo, Protocol, Role};
use bubble_common::segment::process::{Cpu, Exit, Process, ProcessId};
use bubble_common::segment::{Coverage, Key, Resolution, Segment, SourceId};
use bubble_server::clock;
use bubble_server::query::table::{Arrangement, Order, Table, TableKind};
use bubble_server::query::{Ask, Query};
use bubble_server::span::retention::Retention;
use bubble_server::store::Store;
use serde_json::{Value, json};

use super::backend::on_every_store;
use super::{ID, post};
use crate::common::id;

const SEGMENTS: u64 = 10;
const PROCESSES: u64 = 5_000;
const FILES: u64 = 10_000;
const PEERS: u64 = 4_300;

/// What the container did: the rows of each table, as the API shows them.
#[derive(Default)]
struct Truth {
    processes: Vec<Value>,
    files: Vec<Value>,
    peers: Vec<Value>,
}

/// Pseudo-random numbers (SplitMix64), the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut n = self.0;
        n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (n ^ (n >> 31)) % bound
    }
}

impl Truth {
    /// One second with its share of the processes, files and peers.
    fn second(&mut self, number: u64, start: u64, random: &mut Random) -> Segment {
        let key = Key {
            container: id(ID),
            resolution: Resolution::Second,
            start,
            source: SourceId([1; 16]),
        };
        let mut builder = Builder::new(key, 1);
        builder.cover(0, Coverage::SECOND);
        let mut processes = Vec::new();
        for n in share(number, PROCESSES) {
            processes.push((builder.process(self.process(n, start, random)), n));
        }
        for (index, n) in &processes {
            let ns = self.processes[*n as usize]["cpu_ns"].as_u64();
            builder.cpu(
                *index,
                0,
                0,
                Cpu {
                    ns: ns.expect("a number"),
                },
            );
        }
        for n in share(number, FILES) {
            let (process, user) = processes[random.below(processes.len() as u64) as usize];
            let file = builder.file(File {
                path: format!("/data/{}/F{n}", n % 37),
                kind: FileKind::Regular,
            });
            let io = FileIo {
                bytes_in: random.below(50),
                bytes_out: random.below(1 << 40),
                opens: 1,
                ..FileIo::default()
            };
            builder.file_io(process, file, 0, io);
            self.files.push(json!({
                "process": self.processes[user as usize]["key"],
                "name": self.processes[user as usize]["name"],
                "path": format!("/data/{}/F{n}", n % 37), "directory": format!("/data/{}", n % 37),
                "bytes_in": io.bytes_in, "bytes_out": io.bytes_out, "opens": 1,
            }));
        }
        for n in share(number, PEERS) {
            let (process, user) = processes[random.below(processes.len() as u64) as usize];
            let (remote, port) = (format!("10.0.{}.1", n % 41), 5_000 + (n % 3) as u16);
            let local = format!("10.9.9.9:{}", 20_000 + n);
            let address = |text: &str| {
                let address: std::net::SocketAddr = text.parse().expect("an address");
                Address::Ip(address.ip(), address.port())
            };
            let connection = builder.connection(Connection {
                protocol: Protocol::Tcp,
                role: Role::Client,
                local: address(&local),
                peer: address(&format!("{remote}:{port}")),
            });
            let io = NetworkIo {
                bytes_out: random.below(9),
                failures: 1 + random.below(3),
                ..NetworkIo::default()
            };
            builder.network_io(process, connection, 0, io);
            self.peers.push(json!({
                "process": self.processes[user as usize]["key"],
                "name": self.processes[user as usize]["name"],
                "local": local, "peer": format!("{remote}:{port}"), "remote": remote, "port": port,
                "bytes_out": io.bytes_out, "failures": io.failures,
            }));
        }
        builder.build()
    }

    fn process(&mut self, n: u64, start: u64, random: &mut Random) -> Process {
        let id = ProcessId {
            pid: 1_000 + n as u32,
            start: start * 1_000_000_000 + n,
            exec: 0,
        };
        let name = ["cc1", "Make", "sh", "ld", "as"][random.below(5) as usize];
        let exit = match random.below(40) {
            0 => Exit::Signal(9),
            code @ 1..3 => Exit::Code(code as u8),
            _ => Exit::Code(0),
        };
        // Few values, so that many are equal.
        let cpu_ns = random.below(700) * 1_000;
        self.processes.push(json!({
            "key": format!("{}-{}-0", id.pid, id.start), "name": name, "pid": id.pid,
            "cpu_ns": cpu_ns, "failed": u64::from(exit != Exit::Code(0)),
        }));
        Process {
            exit: Some(exit),
            end: id.start + 1_000,
            ..Process::new(id, name)
        }
    }
}

/// The numbers, of `all`, that belong to one segment.
fn share(segment: u64, all: u64) -> std::ops::Range<u64> {
    segment * all / SEGMENTS..(segment + 1) * all / SEGMENTS
}

/// Posts the truth, and asks about it.
struct Site {
    truth: Truth,
    query: Query,
    ask: Ask,
}

impl Site {
    async fn new(store: Arc<dyn Store>) -> Self {
        let mut truth = Truth::default();
        let start = clock::now() - 900;
        let mut random = Random(7);
        for number in 0..SEGMENTS {
            let segment = truth.second(number, start + 61 * number, &mut random);
            store.put(vec![post(&segment)]).await.expect("stored");
        }
        Self {
            truth,
            query: Query::new(store, Retention::default()),
            ask: Ask {
                from: Some(start as f64),
                to: Some((start + 61 * SEGMENTS) as f64),
                step: Some(1),
                ..Ask::default()
            },
        }
    }

    async fn table(&self, kind: TableKind, by: Arrangement) -> Value {
        let table: Table = (self.query.table(&id(ID), kind, &self.ask, by).await).expect("a table");
        serde_json::to_value(table).expect("JSON")
    }
}

fn rows(table: &Value) -> &[Value] {
    table["rows"].as_array().expect("rows")
}

fn number(row: &Value, column: &str) -> u64 {
    row[column]
        .as_u64()
        .unwrap_or_else(|| panic!("{column}: {row}"))
}

fn sum(rows: &[&Value], column: &str) -> u64 {
    rows.iter().map(|row| number(row, column)).sum()
}

/// A filter, and whether a row of the truth matches it.
type TriedFilter = (&'static str, fn(&Value) -> bool);

/// One table of the truth, and what is tried on it.
struct Case<'a> {
    kind: TableKind,
    truth: &'a [Value],
    /// Column whose values are unique.
    unique: &'static str,
    sort: &'static [&'static str],
    filters: Vec<TriedFilter>,
    summed: &'static [&'static str],
}

impl Case<'_> {
    async fn check(&self, site: &Site) {
        let all = site.table(self.kind, Arrangement::default()).await;
        assert_eq!(rows(&all).len(), self.truth.len());
        let by_key: BTreeMap<&str, &Value> = (self.truth.iter())
            .map(|row| (row[self.unique].as_str().expect("text"), row))
            .collect();
        // Ties keep the order of the whole table.
        let whole: Vec<&Value> = (rows(&all).iter())
            .map(|row| by_key[row[self.unique].as_str().expect("text")])
            .collect();
        for (index, column) in self.sort.iter().enumerate() {
            for (order, (filter, matches)) in [Order::Asc, Order::Desc]
                .into_iter()
                .flat_map(|order| self.filters.iter().map(move |filter| (order, filter)))
            {
                let mut expected: Vec<&Value> = whole.clone();
                expected.retain(|row| matches(row));
                expected.sort_by(|a, b| {
                    let ascending = match &a[*column] {
                        Value::String(text) => text
                            .to_lowercase()
                            .cmp(&b[*column].as_str().expect("text").to_lowercase()),
                        _ => number(a, column).cmp(&number(b, column)),
                    };
                    match order {
                        Order::Asc => ascending,
                        Order::Desc => ascending.reverse(),
                    }
                });
                let (offset, limit) = (index * 13, 100);
                let by = Arrangement {
                    sort: Some((*column).to_owned()),
                    order: Some(order),
                    filter: (*filter).to_owned(),
                    offset,
                    limit: Some(limit),
                    ..Arrangement::default()
                };
                let table = site.table(self.kind, by).await;
                let label = format!("{:?} by {column} {order:?} {filter:?}", self.kind);
                self.compare(&table, &expected, offset, limit, &label);
            }
        }
    }

    fn compare(
        &self,
        table: &Value,
        expected: &[&Value],
        offset: usize,
        limit: usize,
        label: &str,
    ) {
        assert!(expected.len() > offset + 10, "{label}: {}", expected.len());
        let end = (offset + limit).min(expected.len());
        let page = &expected[offset..end];
        let key = |row: &Value| row[self.unique].as_str().map(str::to_owned);
        let shown: Vec<_> = rows(table).iter().map(key).collect();
        let wanted: Vec<_> = page.iter().map(|row| key(row)).collect();
        assert_eq!(shown, wanted, "{label}");
        assert_eq!(number(&table["total"], "rows"), expected.len() as u64);
        let rest = (expected.len() - page.len()) as u64;
        assert_eq!(number(&table["rest"], "rows"), rest, "{label}");
        for column in self.summed {
            let total = sum(expected, column);
            assert_eq!(number(&table["total"]["sums"], column), total, "{label}");
            if rest > 0 {
                let left = number(&table["rest"]["sums"], column);
                assert_eq!(left, total - sum(page, column), "{label}");
            }
        }
    }
}

async fn each_order_and_filter_equals_a_full_sort_of_the_truth(store: Arc<dyn Store>) {
    let site = Site::new(store).await;
    let processes = Case {
        kind: TableKind::Process,
        truth: &site.truth.processes,
        unique: "key",
        sort: &["cpu_ns", "name", "pid"],
        filters: vec![
            ("", |_| true),
            ("failed:>0", |row| row["failed"] == 1),
            ("name:make cpu_ns:<300k", |row| {
                row["name"] == "Make" && number(row, "cpu_ns") < 300_000
            }),
        ],
        summed: &["cpu_ns", "failed"],
    };
    processes.check(&site).await;
    let files = Case {
        kind: TableKind::File,
        truth: &site.truth.files,
        unique: "path",
        sort: &["bytes_out", "path", "bytes_in"],
        filters: vec![
            ("", |_| true),
            ("path:/data/3*", |row| {
                row["path"]
                    .as_str()
                    .is_some_and(|path| path.starts_with("/data/3"))
            }),
        ],
        summed: &["bytes_in", "bytes_out", "opens"],
    };
    files.check(&site).await;
    let peers = Case {
        kind: TableKind::Network,
        truth: &site.truth.peers,
        unique: "local",
        sort: &["failures", "peer", "bytes_out"],
        filters: vec![
            ("", |_| true),
            ("10.0.7.1 failures:>1", |row| {
                row["remote"] == "10.0.7.1" && number(row, "failures") > 1
            }),
        ],
        summed: &["bytes_out", "failures"],
    };
    peers.check(&site).await;
}

async fn groups_hold_all_rows_and_are_cut_last(store: Arc<dyn Store>) {
    let site = Site::new(store).await;
    let mut truth: BTreeMap<(String, u64), (u64, u64)> = BTreeMap::new();
    for row in &site.truth.peers {
        let remote = row["remote"].as_str().expect("text").to_owned();
        let group = truth.entry((remote, number(row, "port"))).or_default();
        group.0 += 1;
        group.1 += number(row, "failures");
    }
    let mut expected: Vec<_> = truth
        .iter()
        .map(|(key, (_, failed))| (*failed, key))
        .collect();
    expected.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let by = Arrangement {
        group: Some("protocol,role,remote,port".to_owned()),
        sort: Some("failures".to_owned()),
        limit: Some(20),
        ..Arrangement::default()
    };
    let table = site.table(TableKind::Network, by).await;
    let shown = rows(&table);
    assert_eq!(shown.len(), 20);
    for (row, (failed, _)) in shown.iter().zip(&expected) {
        assert_eq!(number(&row["sums"], "failures"), *failed);
        let text = |column: &str| row["group"][column].as_str().expect("text").to_owned();
        let port: u64 = text("port").parse().expect("a port");
        let (connections, failed) = truth[&(text("remote"), port)];
        assert_eq!(number(row, "rows"), connections);
        assert_eq!(number(&row["sums"], "failures"), failed);
        assert_eq!(
            (text("protocol"), text("role")),
            ("tcp".into(), "client".into())
        );
    }
    assert_eq!(number(&table["total"], "rows"), expected.len() as u64);
    assert!(
        shown
            .iter()
            .all(|row| !row["names"].as_array().expect("names").is_empty())
    );
    let all: u64 = expected.iter().map(|(failed, _)| failed).sum();
    assert_eq!(number(&table["total"]["sums"], "failures"), all);
    let cut: u64 = expected[20..].iter().map(|(failed, _)| failed).sum();
    assert_eq!(number(&table["rest"]["sums"], "failures"), cut);

    // Failed processes by command and exit code.
    let by = Arrangement {
        group: Some("name,exit".to_owned()),
        filter: "failed:>0".to_owned(),
        ..Arrangement::default()
    };
    let table = site.table(TableKind::Process, by).await;
    let failed = site
        .truth
        .processes
        .iter()
        .filter(|row| row["failed"] == 1)
        .count() as u64;
    assert_eq!(number(&table["total"]["sums"], "failed"), failed);
    assert!(
        rows(&table)
            .iter()
            .all(|row| row["group"]["exit"] != "code 0")
    );
}

on_every_store!(
    each_order_and_filter_equals_a_full_sort_of_the_truth,
    groups_hold_all_rows_and_are_cut_last,
);
