//! What sysdig's `fd.name` says a descriptor is. The wire has the name alone, and
//! neither its type nor which end of a connection the process is.

use std::net::IpAddr;

use bubble_common::segment::file::{File, FileKind};
use bubble_common::segment::network::{Address, Connection, Protocol, Role};

/// What a descriptor refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Not a socket.
    File(File),
    /// A socket.
    Connection(Connection),
}

/// The meaning of `name`.
///
/// `CLIENT:PORT->SERVER:PORT` is a connection, TCP or UDP; it is kept in this order,
/// as which of the two is this container is not told. `ADDRESS:PORT` is a socket
/// without a peer. `HEX->HEX PATH` is a Unix socket.
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
        // Pipes have no name but a number, of which there is no end.
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
    use super::*;

    fn told(name: &str) -> String {
        match target(name) {
            Target::File(file) => format!("{} {}", file.kind.name(), file.path),
            Target::Connection(c) => format!("{} {} {}", c.protocol.name(), c.local, c.peer),
        }
    }

    #[test]
    fn names_are_understood() {
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
            assert_eq!(told(name), expected, "{name:?}");
        }
    }
}
