//! How sysdig writes a descriptor: `3(<f>/etc/hosts)`, `0(<4t>CLIENT->SERVER)`, `-11(EAGAIN)`.
//!
//! The letters are those of libsinsp (`sinsp_fdinfo::get_typechar`): `f` file, `d` directory,
//! `4` and `6` IP sockets (followed by `t`, `u`, `i` or `r` for the protocol), `u` Unix
//! socket, `p` pipe, `n` netlink; the rest are anonymous inodes of some sort.

use std::net::IpAddr;

use bubble_common::segment::file::{File, FileKind};
use bubble_common::segment::network::{Address, Connection, Protocol, Role};
use memchr::memmem;

use super::line::{is_argument, leading};
use crate::recording::io::{Resource, UNKNOWN_PATH};

/// A descriptor as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptor<'a> {
    /// Its number; negative if the call failed.
    pub(super) number: i64,
    /// The letters between `<` and `>`; empty if sysdig did not know it.
    pub(super) kind: &'a [u8],
    /// The text after them.
    pub(super) name: &'a [u8],
}

impl<'a> Descriptor<'a> {
    /// A descriptor that nothing is known of.
    pub(super) const UNKNOWN: Self = Self {
        number: -1,
        kind: &[],
        name: &[],
    };

    /// The descriptor that `value` begins with.
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let (number, rest) = leading(value)?;
        let unknown = Self {
            number,
            ..Self::UNKNOWN
        };
        let Some(rest) = rest.strip_prefix(b"(<") else {
            return Some(unknown);
        };
        let rest = &rest[..end(rest)?];
        let kind = memchr::memchr(b'>', rest)?;
        Some(Self {
            kind: &rest[..kind],
            name: &rest[kind + 1..],
            ..unknown
        })
    }

    /// Whether it is a socket.
    pub(super) fn is_socket(&self) -> bool {
        matches!(self.kind, [b'4' | b'6' | b'n', ..] | b"u")
    }

    /// The server's end of a connection.
    pub(super) fn server(&self) -> Option<&'a [u8]> {
        ends(self.name).map(|(_, server)| server)
    }

    /// Its resource. `role` is the container's: the name of a connection begins with the
    /// client's address, whichever side the container is.
    pub(super) fn resource(&self, role: Role) -> Resource {
        let name = String::from_utf8_lossy(self.name);
        if self.is_socket() {
            return Resource::Socket(connection(self.kind, &name, role));
        }
        let (kind, path) = match self.kind {
            b"f" => (FileKind::Regular, &*name),
            b"d" => (FileKind::Directory, &*name),
            b"p" if name.is_empty() => (FileKind::Pipe, "pipe"),
            b"p" => (FileKind::Pipe, &*name),
            b"e" => (FileKind::Anonymous, "eventfd"),
            b"s" => (FileKind::Anonymous, "signalfd"),
            b"l" => (FileKind::Anonymous, "eventpoll"),
            b"i" => (FileKind::Anonymous, "inotify"),
            b"t" => (FileKind::Anonymous, "timerfd"),
            b"b" => (FileKind::Anonymous, "bpf"),
            b"r" => (FileKind::Anonymous, "io_uring"),
            b"m" => (FileKind::Anonymous, "memfd"),
            b"P" => (FileKind::Anonymous, "pidfd"),
            _ => (FileKind::Unknown, UNKNOWN_PATH),
        };
        Resource::File(File {
            path: if path.is_empty() { UNKNOWN_PATH } else { path }.to_owned(),
            kind,
        })
    }
}

/// The index of the closing bracket: before the next argument, or at the end of the line.
fn end(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b')', text).find(|at| match &text[at + 1..] {
        [] => true,
        [b' ', rest @ ..] => is_argument(rest),
        _ => false,
    })
}

fn connection(kind: &[u8], name: &str, role: Role) -> Connection {
    let protocol = match kind {
        [b'4' | b'6', b't', ..] => Protocol::Tcp,
        [b'4' | b'6', b'u', ..] => Protocol::Udp,
        [b'4' | b'6', b'i' | b'r', ..] => Protocol::Raw,
        b"u" => Protocol::UnixStream,
        b"n" => Protocol::Netlink,
        _ => Protocol::Other,
    };
    let (client, server) = match kind {
        // The kernel's addresses of both sockets, and the path of the server.
        b"u" => {
            let path = match name.split_once("->") {
                Some((_, rest)) => rest.split_once(' ').map_or("", |(_, path)| path),
                None => name,
            };
            (Address::None, path_address(path))
        }
        b"n" => (Address::None, Address::None),
        _ => match name.split_once("->") {
            Some((client, server)) => (ip_address(client), ip_address(server)),
            // A socket that listens, or has no peer: its own address.
            None => {
                return Connection {
                    protocol,
                    role,
                    local: ip_address(name),
                    peer: Address::None,
                };
            }
        },
    };
    let (local, peer) = match role {
        Role::Server => (server, client),
        Role::Client | Role::Unknown => (client, server),
    };
    Connection {
        protocol,
        role,
        local,
        peer,
    }
}

fn path_address(path: &str) -> Address {
    if path.is_empty() {
        Address::None
    } else {
        Address::Path(path.to_owned())
    }
}

/// The two ends that a name or a tuple has.
pub(super) fn ends(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memmem::find(name, b"->")?;
    Some((&name[..at], &name[at + 2..]))
}

/// The address of an IP socket, as it is written; `None` for anything else.
pub(super) fn address(text: &[u8]) -> Option<(IpAddr, u16)> {
    match ip_address(std::str::from_utf8(text).ok()?) {
        Address::Ip(ip, port) => Some((ip, port)),
        Address::Path(_) | Address::None => None,
    }
}

/// `1.2.3.4:5`, `1::2:5` (without brackets), or an address without a port.
fn ip_address(text: &str) -> Address {
    if let Some((ip, port)) = text.rsplit_once(':')
        && let (Ok(ip), Ok(port)) = (ip.parse::<IpAddr>(), port.parse())
    {
        return Address::Ip(ip.to_canonical(), port);
    }
    match text.parse::<IpAddr>() {
        Ok(ip) => Address::Ip(ip.to_canonical(), 0),
        Err(_) => Address::None,
    }
}

#[cfg(test)]
mod tests {
    use bubble_common::segment::file::FileKind;
    use bubble_common::segment::network::{Protocol, Role};

    use super::Descriptor;
    use crate::recording::io::Resource;

    fn resource(text: &str, role: Role) -> Resource {
        Descriptor::parse(text.as_bytes()).unwrap().resource(role)
    }

    #[test]
    fn a_file_is_its_path() {
        for (text, path, kind) in [
            ("3(<f>/etc/hosts) size=4 ", "/etc/hosts", FileKind::Regular),
            (
                "3(<f>/a) b) name=/a) b flags=1 ",
                "/a) b",
                FileKind::Regular,
            ),
            ("3(<d>/proc)", "/proc", FileKind::Directory),
            ("2(<p>pipe:[7]) ", "pipe:[7]", FileKind::Pipe),
            ("2(<p>) ", "pipe", FileKind::Pipe),
            ("2(<p>/run/fifo) ", "/run/fifo", FileKind::Pipe),
            ("4(<e>) size=8 ", "eventfd", FileKind::Anonymous),
            ("4(<f>) ", "(unknown)", FileKind::Regular),
            ("4 size=8", "(unknown)", FileKind::Unknown),
            ("4(<o>/x) ", "(unknown)", FileKind::Unknown),
        ] {
            let Resource::File(file) = resource(text, Role::Unknown) else {
                panic!("{text}");
            };
            assert_eq!((file.path.as_str(), file.kind), (path, kind), "{text}");
        }
    }

    #[test]
    fn a_connection_is_seen_from_the_container() {
        for (text, role, protocol, local, peer) in [
            (
                "1(<4t>1.2.3.4:5->6.7.8.9:10) ",
                Role::Client,
                Protocol::Tcp,
                "1.2.3.4:5",
                "6.7.8.9:10",
            ),
            (
                "1(<4t>1.2.3.4:5->6.7.8.9:10) ",
                Role::Server,
                Protocol::Tcp,
                "6.7.8.9:10",
                "1.2.3.4:5",
            ),
            (
                "1(<6u>::1:5->fe80::2:53) ",
                Role::Unknown,
                Protocol::Udp,
                "[::1]:5",
                "[fe80::2]:53",
            ),
            (
                "1(<6t>::ffff:1.2.3.4:5->::1:6)",
                Role::Client,
                Protocol::Tcp,
                "1.2.3.4:5",
                "[::1]:6",
            ),
            (
                "1(<4i>1.2.3.4->6.7.8.9)",
                Role::Client,
                Protocol::Raw,
                "1.2.3.4:0",
                "6.7.8.9:0",
            ),
            (
                "1(<4u>0.0.0.0:53) ",
                Role::Unknown,
                Protocol::Udp,
                "0.0.0.0:53",
                "",
            ),
            ("1(<4>)", Role::Unknown, Protocol::Other, "", ""),
            (
                "1(<u>ff01->ff02 /run/s)",
                Role::Client,
                Protocol::UnixStream,
                "",
                "/run/s",
            ),
            (
                "1(<u>ff01->ff02 /run/s)",
                Role::Server,
                Protocol::UnixStream,
                "/run/s",
                "",
            ),
            ("1(<u>)", Role::Unknown, Protocol::UnixStream, "", ""),
            ("1(<n>)", Role::Unknown, Protocol::Netlink, "", ""),
        ] {
            let Resource::Socket(connection) = resource(text, role) else {
                panic!("{text}");
            };
            assert_eq!(connection.protocol, protocol, "{text}");
            assert_eq!(connection.local.to_string(), local, "{text}");
            assert_eq!(connection.peer.to_string(), peer, "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_descriptor() {
        for text in ["", "x", "(<f>/a)", "3(<f>/a", "3(<f/a) "] {
            assert_eq!(Descriptor::parse(text.as_bytes()), None, "{text}");
        }
        let failed = Descriptor::parse(b"-11(EAGAIN) tuple=NULL ").unwrap();
        assert_eq!((failed.number, failed.kind), (-11, &b""[..]));
    }
}
