//! Connections: bytes received and sent by process, failures, and how long processes waited.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bubble_capture::name_cache::is_name_cache;
use bubble_common::kernel::cpu_state::{self, CpuState};
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::network::{NetworkKey, NetworkRecord, NetworkSum, family};
use bubble_common::segment::event::EventKind;
use bubble_common::segment::network::{Address, Connection, NetworkIo, Protocol, Role};

use super::context::Context;
use super::hook::{Attach, Family, Hook};
use super::load::{LoadError, Loaded};
use super::paths::Paths;
use super::sums::Sums;
use crate::sink::{ConnectionHandle, ContainerHandle, Sink};

/// A tracepoint of the bytes that sockets send or receive.
const fn length(program: &'static str, name: &'static str, gives: &'static str) -> Hook {
    Hook {
        program,
        attach: Attach::Tracepoint(name),
        family: Family::Both,
        gives,
        needs: "the tracepoint (6.3 and later)",
        fallback: "not counted",
        required: false,
        unless: None,
        instead: Some("socket functions or the exit of system calls count it"),
    }
}

/// A function that replaces a missing tracepoint.
const fn older(program: &'static str, gives: &'static str) -> Hook {
    Hook {
        program,
        attach: Attach::Exit(program),
        family: Family::Vfs,
        gives,
        needs: "trampolines (fexit)",
        fallback: "not counted",
        required: false,
        unless: Some("sock_send_length"),
        instead: None,
    }
}

const fn function(program: &'static str, name: &'static str, gives: &'static str) -> Hook {
    Hook {
        program,
        attach: Attach::Exit(name),
        family: Family::Vfs,
        gives,
        needs: "trampolines (fexit)",
        fallback: "not counted",
        required: false,
        unless: None,
        instead: None,
    }
}

/// Hooks that count it.
pub const HOOKS: &[Hook] = &[
    Hook {
        program: "tcp_state",
        attach: Attach::Tracepoint("inet_sock_set_state"),
        family: Family::Both,
        gives: "TCP connections made and failed, and which end connected",
        needs: "the tracepoint",
        fallback: "not seen",
        required: false,
        unless: None,
        instead: None,
    },
    length(
        "sock_sent",
        "sock_send_length",
        "bytes sent by process and connection",
    ),
    length(
        "sock_received",
        "sock_recv_length",
        "bytes received by process and connection",
    ),
    older("inet_sendmsg", "bytes sent (IPv4)"),
    older("inet6_sendmsg", "bytes sent (IPv6)"),
    older("inet_recvmsg", "bytes received (IPv4)"),
    older("inet6_recvmsg", "bytes received (IPv6)"),
    older("inet_sendpage", "bytes sent by sendfile and splice (IP)"),
    older("unix_stream_sendmsg", "bytes sent (Unix stream)"),
    older("unix_stream_recvmsg", "bytes received (Unix stream)"),
    older(
        "unix_stream_sendpage",
        "bytes sent by sendfile and splice (Unix stream)",
    ),
    older("unix_dgram_sendmsg", "bytes sent (Unix datagram)"),
    older("unix_dgram_recvmsg", "bytes received (Unix datagram)"),
    older("netlink_sendmsg", "bytes sent (netlink)"),
    older("netlink_recvmsg", "bytes received (netlink)"),
    function("udp_sendmsg", "udp_sendmsg", "UDP sent, by peer (IPv4)"),
    function("udp_recvmsg", "udp_recvmsg", "UDP received, by peer (IPv4)"),
    function("udpv6_sendmsg", "udpv6_sendmsg", "UDP sent, by peer (IPv6)"),
    function(
        "udpv6_recvmsg",
        "udpv6_recvmsg",
        "UDP received, by peer (IPv6)",
    ),
    function(
        "call_getsockopt",
        "__x64_sys_getsockopt",
        "bytes that TCP maps into memory (TCP_ZEROCOPY_RECEIVE) of 64-bit programs",
    ),
    function("do_accept", "do_accept", "connections accepted"),
    function(
        "connect_file",
        "__sys_connect_file",
        "connections of Unix sockets made and failed",
    ),
];

/// The sums of connections.
pub struct Network {
    sums: Sums<NetworkKey, NetworkSum>,
    others: Sums<ProcessKey, NetworkSum>,
}

/// Handles of connections in this drain, by key without the process.
type Handles = HashMap<(ContainerHandle, NetworkKey), ConnectionHandle>;

impl Network {
    /// Opens the maps.
    ///
    /// # Errors
    /// When the kernel side lacks one.
    pub fn open(loaded: &mut Loaded) -> Result<Self, LoadError> {
        Ok(Self {
            sums: Sums::open(loaded, "NETWORK")?,
            others: Sums::open(loaded, "NETWORK_OTHERS")?,
        })
    }

    /// Removes the sums of a generation that the kernel retains.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn clear(&mut self, generation: u64) -> io::Result<()> {
        self.sums.clear(generation)?;
        self.others.clear(generation)
    }

    /// Passes the sums of a generation to the sink.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn drain<S: Sink>(
        &mut self,
        generation: u64,
        cores: &[CpuState],
        paths: &mut Paths,
        context: &mut Context<'_, '_, S>,
    ) -> io::Result<()> {
        let mut handles = Handles::new();
        for (core, direction) in cores.iter().flat_map(|core| [(core, 0), (core, 1)]) {
            let entries =
                cpu_state::entries(&core.connections, cpu_state::side(generation, direction));
            for last in entries.iter().filter(|last| last.generation == generation) {
                let mut io = NetworkIo::default();
                if direction == 0 {
                    (io.bytes_in, io.ops_in) = (last.bytes, last.ops);
                } else {
                    (io.bytes_out, io.ops_out) = (last.bytes, last.ops);
                }
                charge(context, paths, &mut handles, &last.key, io, 0);
            }
        }
        for (key, sum) in self.sums.take(generation)? {
            let waited_ns = sum.waited_ns;
            charge(context, paths, &mut handles, key, io_of(sum), waited_ns);
        }
        for (process, sum) in self.others.take(generation)? {
            // Who only waits is not active.
            let owner = match io_of(sum) == NetworkIo::default() {
                true => context.idle_owner(process),
                false => context.owner(process),
            };
            if let Some(owner) = owner {
                let other = context
                    .sink
                    .connection(owner.container, &Connection::other());
                let at = context.at_of(process.cgroup);
                let (sink, io) = (&mut *context.sink, io_of(sum));
                if io != NetworkIo::default() {
                    sink.network_io(at, owner.process, other, io);
                }
                if sum.waited_ns != 0 {
                    sink.connection_wait(at, owner.process, other, sum.waited_ns);
                }
            }
        }
        Ok(())
    }
}

fn charge<S: Sink>(
    context: &mut Context<'_, '_, S>,
    paths: &mut Paths,
    handles: &mut Handles,
    key: &NetworkKey,
    io: NetworkIo,
    waited_ns: u64,
) {
    let owner = if io == NetworkIo::default() {
        context.idle_owner(&key.process)
    } else {
        context.owner(&key.process)
    };
    let Some(owner) = owner else {
        return;
    };
    let connection_key = NetworkKey {
        process: ProcessKey::default(),
        ..*key
    };
    let mut io = io;
    if io.failures > 0 && is_name_cache(&connection(key, paths).peer) {
        io.failures = 0;
    }
    if io == NetworkIo::default() && waited_ns == 0 {
        return;
    }
    let sink = &mut *context.sink;
    let handle = *handles
        .entry((owner.container, connection_key))
        .or_insert_with(|| sink.connection(owner.container, &connection(key, paths)));
    let at = context.at_of(key.process.cgroup);
    if io != NetworkIo::default() {
        context.sink.network_io(at, owner.process, handle, io);
    }
    if waited_ns != 0 {
        context
            .sink
            .connection_wait(at, owner.process, handle, waited_ns);
    }
}

fn io_of(sum: &NetworkSum) -> NetworkIo {
    NetworkIo {
        bytes_in: sum.bytes_in,
        bytes_out: sum.bytes_out,
        ops_in: sum.ops_in,
        ops_out: sum.ops_out,
        connects: sum.connects,
        failures: sum.failures,
        // The sink rounds it, and gets it apart.
        waited: 0,
    }
}

impl<S: Sink> Context<'_, '_, S> {
    /// Reports a failed connection.
    pub fn connection_failed(&mut self, record: &NetworkRecord, paths: &mut Paths) {
        if let Some(owner) = self.owner(&record.header.process) {
            let at = self.host.clock.of_boot(record.header.at);
            let key = &record.key;
            let peer = connection(key, paths).peer;
            if is_name_cache(&peer) {
                return;
            }
            let error = io::Error::from_raw_os_error(record.error as i32);
            self.sink.event(
                at,
                owner.container,
                EventKind::CONNECTION_FAILED,
                Some(owner.process),
                &format!("{peer}: {error}"),
            );
        }
    }
}

/// The connection of a key.
fn connection(key: &NetworkKey, paths: &mut Paths) -> Connection {
    Connection {
        protocol: Protocol::from_u8(key.protocol).unwrap_or_default(),
        role: Role::from_u8(key.role).unwrap_or_default(),
        local: address(key.family, key.local, key.local_port, paths),
        peer: address(key.family, key.peer, key.peer_port, paths),
    }
}

fn address(of: u8, words: [u64; 2], port: u16, paths: &mut Paths) -> Address {
    let bytes = [words[0].to_ne_bytes(), words[1].to_ne_bytes()].concat();
    match of {
        family::V4 => match bytes.first_chunk::<4>() {
            Some([0, 0, 0, 0]) if port == 0 => Address::None,
            Some(v4) => Address::Ip(IpAddr::V4(Ipv4Addr::from(*v4)), port),
            None => Address::None,
        },
        family::V6 => match bytes.first_chunk::<16>() {
            Some([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) if port == 0 => Address::None,
            Some(v6) => Address::Ip(Ipv6Addr::from(*v6).to_canonical(), port),
            None => Address::None,
        },
        family::UNIX => paths
            .get(words[0])
            .map_or(Address::None, |name| Address::Path(name.path.clone())),
        _ => Address::None,
    }
}
