//! Encodes and decodes dictionaries and events as columns.
//!
//! Each begins with its number of rows. The columns are in the order of the `put_`
//! functions below. The reader checks that rows ascend, so a decoded segment is
//! canonical whoever wrote it.

use std::net::IpAddr;

use super::budget::Budget;
use super::columns::{Columns, FIXED_COLUMNS, put_columns, read_columns};
use super::error::DecodeError;
use super::numbers::{put_numbers, read_numbers};
use super::primitive::{Reader, narrow, put_varint, unzigzag, zigzag};
use super::text::{put_texts, read_texts};
use crate::segment::event::{Event, EventKind};
use crate::segment::file::{File, FileKind};
use crate::segment::network::{Address, Connection, Protocol, Role};
use crate::segment::process::{Exit, Process, ProcessId};
use crate::segment::{Facts, Segment};

/// Appends a column with one number a row. Returns whether any is not zero.
fn put_column<T>(out: &mut Vec<u8>, rows: &[T], number: impl Fn(&T) -> u64) -> bool {
    let column: Vec<u64> = rows.iter().map(number).collect();
    put_numbers(out, &column);
    column.iter().any(|number| *number != 0)
}

/// Appends a column with one text a row. Returns whether any is not empty.
fn put_text_column<T>(out: &mut Vec<u8>, rows: &[T], text: impl Fn(&T) -> &str) -> bool {
    put_texts(out, rows.iter().map(&text));
    rows.iter().any(|row| !text(row).is_empty())
}

pub(super) fn put_facts(out: &mut Vec<u8>, facts: &Facts) {
    put_varint(out, facts.len() as u64);
    put_texts(out, facts.keys().map(String::as_str));
    put_texts(out, facts.values().map(String::as_str));
}

pub(super) fn read_facts(
    reader: &mut Reader<'_>,
    budget: &mut Budget,
) -> Result<Facts, DecodeError> {
    let count = reader.length()?;
    let names = read_texts(reader, count, budget)?;
    let values = read_texts(reader, count, budget)?;
    if !names.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::Corrupt("facts are out of order"));
    }
    // The nodes of the map, and the list from which it is made.
    budget.charge::<[String; 4]>(count)?;
    Ok(names.into_iter().zip(values).collect())
}

/// Times are relative to this: the segment's start in ns since the Unix epoch.
fn base_time(start: u64) -> u64 {
    start.wrapping_mul(1_000_000_000)
}

/// Columns of a process. Version 1 has all but the last one.
const PROCESS_COLUMNS: usize = 13;

pub(super) fn put_processes(out: &mut Vec<u8>, segment: &Segment) {
    let rows = &segment.processes[..];
    let base = base_time(segment.key.start);
    let time = |time| match time {
        0 => 0,
        time => zigzag(time, base).wrapping_add(1),
    };
    put_varint(out, rows.len() as u64);
    put_columns(out, PROCESS_COLUMNS, |out, column| match column {
        0 => put_column(out, rows, |row| u64::from(row.id.pid)),
        1 => put_column(out, rows, |row| time(row.id.start)),
        2 => put_column(out, rows, |row| u64::from(row.id.exec)),
        3 => put_column(out, rows, |row| u64::from(row.container_pid)),
        4 => put_column(out, rows, |row| u64::from(row.parent)),
        5 => put_column(out, rows, |row| u64::from(row.uid)),
        6 => put_column(out, rows, |row| u64::from(row.count)),
        7 => put_column(out, rows, |row| time(row.end)),
        8 => put_column(out, rows, |row| match row.exit {
            None => 0,
            Some(Exit::Code(code)) => 1 + u64::from(code),
            Some(Exit::Signal(signal)) => 257 + u64::from(signal),
        }),
        9 => put_text_column(out, rows, |row| &row.name),
        10 => put_text_column(out, rows, |row| &row.exe),
        11 => put_text_column(out, rows, |row| &row.args),
        _ => put_column(out, rows, |row| row.gid.map_or(0, |gid| 1 + u64::from(gid))),
    });
}

pub(super) fn read_processes(
    reader: &mut Reader<'_>,
    version: u8,
    start: u64,
    budget: &mut Budget,
) -> Result<Vec<Process>, DecodeError> {
    let count = reader.length()?;
    let time = |coded: u64| match coded {
        0 => 0,
        coded => unzigzag(coded.wrapping_sub(1), base_time(start)),
    };
    let mut columns = match version {
        FIXED_COLUMNS => Columns::new(PROCESS_COLUMNS - 1, count),
        _ => Columns::new(read_columns(reader, "processes", PROCESS_COLUMNS)?, count),
    };
    let mut column = || columns.numbers(reader, budget);
    let (pids, starts, execs) = (column()?, column()?, column()?);
    let (container_pids, parents, uids) = (column()?, column()?, column()?);
    let (counts, ends, exits) = (column()?, column()?, column()?);
    let mut column = || columns.texts(reader, budget);
    let (names, exes, args) = (column()?, column()?, column()?);
    let gids = columns.numbers(reader, budget)?;
    let mut rows = budget.vec(count)?;
    for (index, ((name, exe), args)) in names.into_iter().zip(exes).zip(args).enumerate() {
        let small = |number| narrow::<u32>(number, "a process's number has more than 32 bits");
        rows.push(Process {
            id: ProcessId {
                pid: small(pids.at(index))?,
                start: time(starts.at(index)),
                exec: small(execs.at(index))?,
            },
            container_pid: small(container_pids.at(index))?,
            parent: small(parents.at(index))?,
            uid: small(uids.at(index))?,
            gid: match gids.at(index) {
                0 => None,
                coded => Some(small(coded - 1)?),
            },
            name,
            exe,
            args,
            end: time(ends.at(index)),
            exit: match exits.at(index) {
                0 => None,
                code @ 1..257 => Some(Exit::Code((code - 1) as u8)),
                signal @ 257..513 => Some(Exit::Signal((signal - 257) as u8)),
                _ => {
                    return Err(DecodeError::Corrupt(
                        "a process has an unknown kind of exit",
                    ));
                }
            },
            count: small(counts.at(index))?,
        });
    }
    if !rows.is_sorted_by(|a, b| a.identity() < b.identity()) {
        return Err(DecodeError::Corrupt("processes are out of order"));
    }
    Ok(rows)
}

pub(super) fn put_files(out: &mut Vec<u8>, rows: &[File]) {
    put_varint(out, rows.len() as u64);
    put_texts(out, rows.iter().map(|row| row.path.as_str()));
    put_column(out, rows, |row| row.kind as u64);
}

pub(super) fn read_files(
    reader: &mut Reader<'_>,
    budget: &mut Budget,
) -> Result<Vec<File>, DecodeError> {
    let count = reader.length()?;
    let paths = read_texts(reader, count, budget)?;
    let kinds = read_numbers(reader, count, budget)?;
    let mut rows = budget.vec(count)?;
    for (path, kind) in paths.into_iter().zip(kinds.iter()) {
        let kind = u8::try_from(kind)
            .ok()
            .and_then(FileKind::from_u8)
            .ok_or(DecodeError::Corrupt("a file is of an unknown kind"))?;
        rows.push(File { path, kind });
    }
    if !rows.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::Corrupt("files are out of order"));
    }
    Ok(rows)
}

pub(super) fn put_connections(out: &mut Vec<u8>, rows: &[Connection]) {
    put_varint(out, rows.len() as u64);
    put_column(out, rows, |row| row.protocol as u64);
    put_column(out, rows, |row| row.role as u64);
    put_addresses(out, rows, |row| &row.local);
    put_addresses(out, rows, |row| &row.peer);
}

pub(super) fn read_connections(
    reader: &mut Reader<'_>,
    budget: &mut Budget,
) -> Result<Vec<Connection>, DecodeError> {
    let count = reader.length()?;
    let protocols = read_numbers(reader, count, budget)?;
    let roles = read_numbers(reader, count, budget)?;
    let locals = read_addresses(reader, count, budget)?;
    let peers = read_addresses(reader, count, budget)?;
    let mut rows = budget.vec(count)?;
    for (index, (local, peer)) in locals.into_iter().zip(peers).enumerate() {
        let protocol = u8::try_from(protocols.at(index))
            .ok()
            .and_then(Protocol::from_u8)
            .ok_or(DecodeError::Corrupt(
                "a connection is of an unknown protocol",
            ))?;
        let role = u8::try_from(roles.at(index))
            .ok()
            .and_then(Role::from_u8)
            .ok_or(DecodeError::Corrupt("a connection has an unknown role"))?;
        rows.push(Connection {
            protocol,
            role,
            local,
            peer,
        });
    }
    if !rows.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::Corrupt("connections are out of order"));
    }
    Ok(rows)
}

/// Appends a column of families, then ports, bytes and paths of all addresses that have them.
fn put_addresses<T>(out: &mut Vec<u8>, rows: &[T], address: impl Fn(&T) -> &Address) {
    put_column(out, rows, |row| match address(row) {
        Address::None => 0,
        Address::Ip(IpAddr::V4(_), _) => 1,
        Address::Ip(IpAddr::V6(_), _) => 2,
        Address::Path(_) => 3,
    });
    let (mut ports, mut octets, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        match address(row) {
            Address::None => {}
            Address::Ip(ip, port) => {
                ports.push(u64::from(*port));
                match ip {
                    IpAddr::V4(ip) => octets.extend_from_slice(&ip.octets()),
                    IpAddr::V6(ip) => octets.extend_from_slice(&ip.octets()),
                }
            }
            Address::Path(path) => paths.push(path.as_str()),
        }
    }
    put_numbers(out, &ports);
    out.extend_from_slice(&octets);
    put_texts(out, paths.into_iter());
}

fn read_addresses(
    reader: &mut Reader<'_>,
    count: usize,
    budget: &mut Budget,
) -> Result<Vec<Address>, DecodeError> {
    let families = read_numbers(reader, count, budget)?;
    let of = |wanted: &[u64]| families.iter().filter(|f| wanted.contains(f)).count();
    let ports = read_numbers(reader, of(&[1, 2]), budget)?;
    let mut ports = ports.iter();
    let octets = reader.take(of(&[1]) * 4 + of(&[2]).saturating_mul(16))?;
    let mut octets = Reader::new(octets, "an address");
    let mut paths = read_texts(reader, of(&[3]), budget)?.into_iter();
    let mut port = || narrow(ports.next().unwrap_or(0), "a port has more than 16 bits");
    let mut rows = budget.vec(count)?;
    for family in families.iter() {
        rows.push(match family {
            0 => Address::None,
            1 => Address::Ip(IpAddr::from(octets.array::<4>()?), port()?),
            2 => Address::Ip(IpAddr::from(octets.array::<16>()?), port()?),
            3 => Address::Path(paths.next().unwrap_or_default()),
            _ => return Err(DecodeError::Corrupt("an address is of an unknown family")),
        });
    }
    Ok(rows)
}

pub(super) fn put_events(out: &mut Vec<u8>, segment: &Segment) {
    let rows = &segment.events[..];
    put_varint(out, rows.len() as u64);
    put_column(out, rows, |row| {
        row.at.wrapping_sub(base_time(segment.key.start))
    });
    put_column(out, rows, |row| u64::from(row.kind.0));
    put_column(out, rows, |row| {
        row.process.map_or(0, |process| 1 + u64::from(process))
    });
    put_texts(out, rows.iter().map(|row| row.detail.as_str()));
}

/// Reads the events into `segment`, which has its processes and slots already.
pub(super) fn read_events(
    reader: &mut Reader<'_>,
    segment: &mut Segment,
    budget: &mut Budget,
) -> Result<(), DecodeError> {
    let count = reader.length()?;
    let times = read_numbers(reader, count, budget)?;
    let kinds = read_numbers(reader, count, budget)?;
    let processes = read_numbers(reader, count, budget)?;
    let details = read_texts(reader, count, budget)?;
    let mut rows = budget.vec(count)?;
    for (index, detail) in details.into_iter().enumerate() {
        let at = times.at(index).wrapping_add(base_time(segment.key.start));
        if segment.slot_of(at).is_none() {
            return Err(DecodeError::Corrupt("an event is outside of the span"));
        }
        let process = match processes.at(index) {
            0 => None,
            number if number <= segment.processes.len() as u64 => Some((number - 1) as u32),
            _ => return Err(DecodeError::Corrupt("an event names an unknown process")),
        };
        rows.push(Event {
            at,
            kind: EventKind(narrow(
                kinds.at(index),
                "an event's kind has more than 32 bits",
            )?),
            process,
            detail,
        });
    }
    if !rows.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::Corrupt("events are out of order"));
    }
    segment.events = rows;
    Ok(())
}
