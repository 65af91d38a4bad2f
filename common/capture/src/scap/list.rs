//! The lists at the beginning of a capture: the machine, its addresses, and the threads that
//! were there, with their descriptors.

use std::net::IpAddr;

use bubble_common::segment::file::{File, FileKind};
use bubble_common::segment::network::{Address, Connection, Protocol, Role};

use super::address::{Interfaces, path, v6};
use super::bytes::{Bytes, MAX_PATH, text};
use super::descriptor::{self, CLOSE_ON_EXEC};
use super::entry::{Entry, take_entry};
use crate::recording::io::Resource;
use crate::recording::process::MAX_MACHINE_KIB;

/// The machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Machine {
    pub(super) cores: u32,
    /// Bytes.
    pub(super) memory: u64,
    pub(super) host: Box<str>,
}

impl Machine {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut rest = Bytes(body);
        let cores = rest.u32()?;
        let memory = rest.u64()?;
        rest.u64()?;
        let host = text(rest.take(128)?, 64);
        Some(Self {
            cores,
            memory,
            host,
        })
    }
}

impl Machine {
    /// Its memory in KiB; the most that there can be, if it is not known.
    pub(super) fn memory_kib(&self) -> u64 {
        match self.memory / 1_024 {
            0 => MAX_MACHINE_KIB,
            kib => kib.min(MAX_MACHINE_KIB),
        }
    }
}

/// A thread that was there at the beginning. Fields that its version lacks are empty or -1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed<'a> {
    pub(super) tid: i64,
    pub(super) pid: i64,
    pub(super) parent: i64,
    pub(super) comm: &'a [u8],
    pub(super) exe: &'a [u8],
    pub(super) exepath: &'a [u8],
    pub(super) args: &'a [u8],
    pub(super) cwd: &'a [u8],
    pub(super) uid: u32,
    /// `u32::MAX` if it is not known.
    pub(super) gid: u32,
    /// KiB: virtual, resident, swapped out.
    pub(super) memory: [u32; 3],
    pub(super) vpid: i64,
    pub(super) cgroups: &'a [u8],
}

/// Reads the list of threads.
pub(super) struct Threads<'a> {
    rest: Bytes<'a>,
    version: u8,
}

impl<'a> Threads<'a> {
    pub(super) fn new(body: &'a [u8], version: u8) -> Self {
        Self {
            rest: Bytes(body),
            version,
        }
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Option<Entry<Listed<'a>>> {
        let version = self.version;
        take_entry(&mut self.rest, version >= 9, |rest| thread(rest, version))
    }
}

/// Reads a thread in the form of a version.
fn thread<'a>(rest: &mut Bytes<'a>, version: u8) -> Option<Listed<'a>> {
    let since = |first| version >= first;
    let (tid, pid, parent) = (rest.i64()?, rest.i64()?, rest.i64()?);
    if since(6) {
        rest.i64()?;
    }
    if since(8) {
        rest.i64()?;
    }
    let (comm, exe) = (rest.text()?, rest.text()?);
    let exepath = if since(7) { rest.text()? } else { &[] };
    let (args, cwd) = (rest.text()?, rest.text()?);
    let (_limit, _flags) = (rest.i64()?, rest.u32()?);
    let (uid, gid) = (rest.u32()?, rest.u32()?);
    let mut memory = [0; 3];
    if since(2) {
        memory = [rest.u32()?, rest.u32()?, rest.u32()?];
        rest.take(16)?;
    }
    if since(3) {
        rest.text()?;
    }
    let (mut vpid, mut cgroups): (i64, &[u8]) = (-1, &[]);
    if since(4) {
        (_, vpid) = (rest.i64()?, rest.i64()?);
        cgroups = rest.text()?;
    }
    if since(5) {
        rest.text()?;
    }
    Some(Listed {
        tid,
        pid,
        parent,
        comm,
        exe,
        exepath,
        args,
        cwd,
        uid,
        gid,
        memory,
        vpid,
        cgroups,
    })
}

/// A descriptor that was there at the beginning.
#[derive(Debug)]
pub(super) struct ListedDescriptor {
    pub(super) fd: i64,
    pub(super) resource: Resource,
    pub(super) close_on_exec: bool,
    /// It is a socket of IPv6. Writers before August 2018 call those of UDP TCP.
    pub(super) maybe_udp: bool,
    /// The port that it listens on, if it does.
    pub(super) listens: Option<u16>,
}

/// Reads the descriptors of a thread.
pub(super) struct Descriptors<'a> {
    pub(super) tid: i64,
    rest: Bytes<'a>,
    sized: bool,
}

impl<'a> Descriptors<'a> {
    pub(super) fn new(body: &'a [u8], sized: bool) -> Option<Self> {
        let mut rest = Bytes(body);
        Some(Self {
            tid: rest.i64()?,
            rest,
            sized,
        })
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Option<Entry<ListedDescriptor>> {
        let sized = self.sized;
        take_entry(&mut self.rest, sized, |rest| read_descriptor(rest, sized))
    }
}

fn read_descriptor(rest: &mut Bytes<'_>, sized: bool) -> Option<ListedDescriptor> {
    let fd = rest.i64()?;
    rest.u64()?;
    let kind = rest.u8()?;
    let mut listed = ListedDescriptor {
        fd,
        resource: Resource::Unknown,
        close_on_exec: false,
        maybe_udp: matches!(kind, 4 | 6),
        listens: None,
    };
    listed.resource = match kind {
        0 => Resource::Unknown,
        1 => file(rest.text()?, FileKind::Regular),
        2 => file(rest.text()?, FileKind::Directory),
        3 => {
            let (local, peer) = (rest.v4()?.into(), rest.v4()?.into());
            ip_socket(rest, local, peer)?
        }
        4 => {
            let (local, peer) = (v6(rest.v6()?), v6(rest.v6()?));
            ip_socket(rest, local, peer)?
        }
        5 | 6 => {
            let ip = if kind == 5 {
                rest.v4()?.into()
            } else {
                v6(rest.v6()?)
            };
            let port = rest.u16()?;
            let protocol = protocol(rest.u8()?);
            listed.listens = (protocol == Protocol::Tcp).then_some(port);
            Resource::Socket(Connection {
                local: Address::Ip(ip, port),
                ..descriptor::socket(protocol)
            })
        }
        7 => file(rest.text()?, FileKind::Pipe),
        8 => {
            rest.take(16)?;
            Resource::Socket(Connection {
                local: path(rest.text()?),
                ..descriptor::socket(Protocol::UnixStream)
            })
        }
        15 => {
            rest.text()?;
            Resource::Socket(descriptor::socket(Protocol::Netlink))
        }
        16 => {
            let flags = rest.u32()?;
            listed.close_on_exec = flags & CLOSE_ON_EXEC != 0;
            file(rest.text()?, FileKind::Regular)
        }
        9..=14 | 17..=21 => {
            rest.text()?;
            descriptor::anonymous(anonymous_kind(kind))
        }
        // Of a newer writer: its length is known.
        _ if sized => Resource::Unknown,
        _ => return None,
    };
    Some(listed)
}

fn file(name: &[u8], kind: FileKind) -> Resource {
    Resource::File(File {
        path: text(name, MAX_PATH).into(),
        kind,
    })
}

/// The kind of an anonymous inode, by its number (`SCAP_FD_…` in libscap).
fn anonymous_kind(number: u8) -> &'static str {
    match number {
        9 => "eventfd",
        11 => "signalfd",
        12 => "eventpoll",
        13 => "inotify",
        14 => "timerfd",
        17 => "bpf",
        18 => "userfaultfd",
        19 => "io_uring",
        20 => "memfd",
        21 => "pidfd",
        _ => "unsupported",
    }
}

/// An IP socket: ports and protocol follow its addresses.
fn ip_socket(rest: &mut Bytes<'_>, local: IpAddr, peer: IpAddr) -> Option<Resource> {
    let (local_port, peer_port) = (rest.u16()?, rest.u16()?);
    Some(Resource::Socket(Connection {
        protocol: protocol(rest.u8()?),
        role: Role::Unknown,
        local: Address::Ip(local, local_port),
        peer: Address::Ip(peer, peer_port),
    }))
}

/// A protocol in the numbering of captures (`SCAP_L4_…` in libscap).
fn protocol(number: u8) -> Protocol {
    match number {
        2 => Protocol::Tcp,
        3 => Protocol::Udp,
        4 | 5 => Protocol::Raw,
        _ => Protocol::Other,
    }
}

/// Reads the addresses of the machine; `None` if the bytes cannot be such.
pub(super) fn interfaces(body: &[u8], sized: bool, into: &mut Interfaces) -> Option<()> {
    let mut rest = Bytes(body);
    while rest.0.len() >= 4 {
        let mut own = rest;
        if sized {
            let length = own.u32()? as usize;
            own = Bytes(own.take(length)?);
            rest.take(4 + length)?;
        }
        let (kind, name) = (own.u16()?, own.u16()?);
        match kind {
            1 | 3 => {
                let (address, mask) = (own.v4()?, own.v4()?);
                own.v4()?;
                into.add_v4(address, mask);
            }
            2 | 4 => {
                into.add_v6(own.v6()?);
                own.take(32)?;
            }
            _ if sized => continue,
            _ => return None,
        }
        if kind <= 2 {
            own.u64()?;
        }
        own.take(usize::from(name))?;
        if !sized {
            rest = own;
        }
    }
    Some(())
}
