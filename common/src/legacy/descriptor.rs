//! Descriptors by their names in sysdig (`fd.name`). The wire has only the name: neither the type of
//! the descriptor nor which end of a connection is the container.

use std::net::IpAddr;

use crate::segment::file::{File, FileKind};
use crate::segment::network::{Address, Connection, Protocol, Role};

/// What a descriptor refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Not a socket.
    File(File),
    /// A socket.
    Connection(Connection),
}

/// Parses `name`.
///
/// | name | meaning |
/// |---|---|
/// | `CLIENT:PORT->SERVER:PORT` | a connection, TCP or UDP. The order stays, as either end may be the container |
/// | `ADDRESS:PORT` | a socket without a peer |
/// | `HEX->HEX PATH` | a Unix socket |
pub(super) fn target(name: &str) -> Target {
    let connection = |protocol, local, peer| {
        Target::Connection(Connection {
            protocol,
            role: Role::Unknown,
            local,
            peer,
        })
    };
    if let Some((client, server)) = name.split_once("->") {
        if let (Some(local), Some(peer)) = (address(client), address(server)) {
            return connection(Protocol::Other, local, peer);
        }
        let (end, path) = server.split_once(' ').unwrap_or((server, ""));
        let kernel_address = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
        if kernel_address(client) && kernel_address(end) {
            let path = match path {
                "" => Address::None,
                path => Address::Path(path.to_owned()),
            };
            return connection(Protocol::UnixStream, Address::None, path);
        }
    }
    if let Some(local) = address(name) {
        return connection(Protocol::Other, local, Address::None);
    }
    let (kind, path) = match name {
        // Pipes have only numbers, which would make endless names.
        name if name.starts_with("pipe:[") => (FileKind::Pipe, "pipe"),
        name if name.starts_with('[') => (FileKind::Anonymous, name),
        "" => (FileKind::Unknown, "(unknown)"),
        name => (FileKind::Unknown, name),
    };
    Target::File(File {
        path: path.to_owned(),
        kind,
    })
}

/// `1.2.3.4:80`, or `::1:80`: sysdig puts no brackets around an IPv6 address.
fn address(text: &str) -> Option<Address> {
    let (ip, port) = text.rsplit_once(':')?;
    let ip: IpAddr = ip.parse().ok()?;
    Some(Address::Ip(ip.to_canonical(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Target, target};

    fn describe(name: &str) -> String {
        match target(name) {
            Target::File(file) => format!("{} {}", file.kind.name(), file.path),
            Target::Connection(c) => format!("{} {} {}", c.protocol.name(), c.local, c.peer),
        }
    }

    #[test]
    fn names_are_parsed() {
        for (name, expected) in [
            (
                "10.0.0.2:4000->10.0.0.3:80",
                "other 10.0.0.2:4000 10.0.0.3:80",
            ),
            ("::1:4000->::1:80", "other [::1]:4000 [::1]:80"),
            (
                "::ffff:10.0.0.2:4000->::ffff:10.0.0.3:80",
                "other 10.0.0.2:4000 10.0.0.3:80",
            ),
            ("0.0.0.0:80", "other 0.0.0.0:80 "),
            (
                "ffff88001d->ffff88002d /run/docker.sock",
                "unix  /run/docker.sock",
            ),
            ("ffff88001d->ffff88002d", "unix  "),
            ("pipe:[12351032]", "pipe pipe"),
            ("[eventpoll]", "anonymous [eventpoll]"),
            ("/etc/hosts", "unknown /etc/hosts"),
            ("/a->b", "unknown /a->b"),
            ("1.2.3.4:99999", "unknown 1.2.3.4:99999"),
            ("", "unknown (unknown)"),
        ] {
            assert_eq!(describe(name), expected, "{name:?}");
        }
    }
}
