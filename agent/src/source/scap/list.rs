//! What a capture says at its beginning: the machine, its addresses, the threads that
//! were there, and their descriptors.

use std::net::IpAddr;

use bubble_common::segment::file::{File, FileKind};
use bubble_common::segment::network::{Address, Connection, Protocol, Role};

use super::address::{Interfaces, path, v6};
use super::bytes::{Bytes, text};
use super::state::descriptor::{CLOSE_ON_EXEC, What};

/// Longest path that is kept, as the writers keep no longer ones.
pub(super) const PATH: usize = 1_024;
/// Longest list of arguments that is kept, likewise.
pub(super) const ARGUMENTS: usize = 4_096;

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

/// A thread that was there at the beginning; what its version does not have is empty or -1.
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
    /// KiB: virtual, resident, swapped out.
    pub(super) memory: [u32; 3],
    pub(super) vpid: i64,
    pub(super) cgroups: &'a [u8],
}

/// Takes the list of threads apart.
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

    /// The next one; an error when what is there cannot be one.
    pub(super) fn next(&mut self) -> Option<Result<Listed<'a>, ()>> {
        // What is left is padding.
        if self.rest.0.len() < 4 {
            return None;
        }
        Some(self.entry().ok_or(()))
    }

    fn entry(&mut self) -> Option<Listed<'a>> {
        let since = |version| self.version >= version;
        let mut whole = self.rest;
        if since(9) {
            let length = whole.u32()? as usize;
            whole = Bytes(whole.take(length.checked_sub(4)?)?);
        }
        let rest = &mut whole;
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
        let (uid, _gid) = (rest.u32()?, rest.u32()?);
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
        // What may follow in version 9 is of no use here, and its length is known.
        if since(9) {
            let length = self.rest.u32()? as usize;
            self.rest.take(length.checked_sub(4)?)?;
        } else {
            self.rest = whole;
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
            memory,
            vpid,
            cgroups,
        })
    }
}

/// A descriptor that was there at the beginning.
#[derive(Debug)]
pub(super) struct ListedDescriptor {
    pub(super) fd: i64,
    pub(super) what: What,
    pub(super) close_on_exec: bool,
    /// The port that it listens on.
    pub(super) listens: Option<u16>,
}

/// Takes the descriptors of a thread apart.
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

    /// The next one; an error when what is there cannot be one.
    pub(super) fn next(&mut self) -> Option<Result<ListedDescriptor, ()>> {
        if self.rest.0.len() < 4 {
            return None;
        }
        Some(self.entry().ok_or(()))
    }

    fn entry(&mut self) -> Option<ListedDescriptor> {
        if !self.sized {
            return descriptor(&mut self.rest, false);
        }
        let length = self.rest.u32()? as usize;
        let mut own = Bytes(self.rest.take(length.checked_sub(4)?)?);
        descriptor(&mut own, true)
    }
}

fn descriptor(rest: &mut Bytes<'_>, sized: bool) -> Option<ListedDescriptor> {
    let fd = rest.i64()?;
    rest.u64()?;
    let kind = rest.u8()?;
    let mut listed = ListedDescriptor {
        fd,
        what: What::Unknown,
        close_on_exec: false,
        listens: None,
    };
    let file = |name: &[u8], kind| {
        What::File(File {
            path: text(name, PATH).into(),
            kind,
        })
    };
    listed.what = match kind {
        0 => What::Unknown,
        1 => file(rest.text()?, FileKind::Regular),
        2 => file(rest.text()?, FileKind::Directory),
        3 => {
            let (local, peer) = (rest.v4()?.into(), rest.v4()?.into());
            socket(rest, local, peer)?
        }
        4 => {
            let (local, peer) = (v6(rest.v6()?), v6(rest.v6()?));
            socket(rest, local, peer)?
        }
        5 | 6 => {
            let ip = if kind == 5 {
                rest.v4()?.into()
            } else {
                v6(rest.v6()?)
            };
            let port = rest.u16()?;
            listed.listens = Some(port);
            What::Socket(Connection {
                protocol: protocol(rest.u8()?),
                role: Role::Unknown,
                local: Address::Ip(ip, port),
                peer: Address::None,
            })
        }
        7 => file(rest.text()?, FileKind::Pipe),
        8 => {
            rest.take(16)?;
            What::Socket(Connection {
                protocol: Protocol::UnixStream,
                role: Role::Unknown,
                local: path(rest.text()?),
                peer: Address::None,
            })
        }
        15 => {
            rest.text()?;
            What::Socket(Connection {
                protocol: Protocol::Netlink,
                role: Role::Unknown,
                local: Address::None,
                peer: Address::None,
            })
        }
        16 => {
            let flags = rest.u32()?;
            listed.close_on_exec = flags & CLOSE_ON_EXEC != 0;
            file(rest.text()?, FileKind::Regular)
        }
        9..=14 | 17..=21 => {
            rest.text()?;
            What::anonymous(match kind {
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
            })
        }
        // Of a newer writer: where it ends is known.
        _ if sized => What::Unknown,
        _ => return None,
    };
    Some(listed)
}

/// What follows the addresses of a socket: ports and protocol.
fn socket(rest: &mut Bytes<'_>, local: IpAddr, peer: IpAddr) -> Option<What> {
    let (local_port, peer_port) = (rest.u16()?, rest.u16()?);
    Some(What::Socket(Connection {
        protocol: protocol(rest.u8()?),
        role: Role::Unknown,
        local: Address::Ip(local, local_port),
        peer: Address::Ip(peer, peer_port),
    }))
}

/// The protocol in the numbering of captures.
fn protocol(number: u8) -> Protocol {
    match number {
        2 => Protocol::Tcp,
        3 => Protocol::Udp,
        4 | 5 => Protocol::Raw,
        _ => Protocol::Other,
    }
}

/// Takes the addresses of the machine; an error when they cannot be such.
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
