//! Sockets by the kernel's own functions: where there are no tracepoints for what
//! they take and give (before 6.3), and for datagrams, whose messages have the
//! peer's address.

use aya_ebpf::{macros::fexit, programs::FExitContext};
use bubble_common::kernel::network::{NetworkKey, NetworkOffsets, family};

use crate::{
    btf::{Kernel, address, offset},
    file::{Access, IN, OUT, Typed, Untyped},
    generation,
    network::{AF_INET, AF_INET6, LOOKING, add, describe, passed},
    network_peer::set_v4,
    running,
};

/// Functions of `struct proto_ops`, given the `struct socket`; `$result` is how many arguments they have.
macro_rules! operation {
    ($name:ident, $function:literal, sent, $result:literal) => {
        #[fexit(function = $function)]
        fn $name(ctx: FExitContext) -> i32 {
            let sock: Kernel = Typed::read(ctx.arg(0), offset!(NetworkOffsets, socket_sock));
            passed(sock, ctx.arg($result), OUT);
            0
        }
    };
    ($name:ident, $function:literal, received, $result:literal) => {
        #[fexit(function = $function)]
        fn $name(ctx: FExitContext) -> i32 {
            let flags: i32 = ctx.arg(3);
            if flags & LOOKING == 0 {
                let sock: Kernel = Typed::read(ctx.arg(0), offset!(NetworkOffsets, socket_sock));
                passed(sock, ctx.arg($result), IN);
            }
            0
        }
    };
}

// int inet_sendmsg(struct socket *sock, struct msghdr *msg, size_t size): net/ipv4/af_inet.c
operation!(inet_sendmsg, "inet_sendmsg", sent, 3);
// int inet6_sendmsg(struct socket *sock, struct msghdr *msg, size_t size): net/ipv6/af_inet6.c
operation!(inet6_sendmsg, "inet6_sendmsg", sent, 3);
// int inet_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags): net/ipv4/af_inet.c
operation!(inet_recvmsg, "inet_recvmsg", received, 4);
// int inet6_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags): net/ipv6/af_inet6.c
operation!(inet6_recvmsg, "inet6_recvmsg", received, 4);
// ssize_t inet_sendpage(struct socket *sock, struct page *page, int offset, size_t size, int flags): net/ipv4/af_inet.c
operation!(inet_sendpage, "inet_sendpage", sent, 5);
// int unix_stream_sendmsg(struct socket *sock, struct msghdr *msg, size_t len): net/unix/af_unix.c
operation!(unix_stream_sendmsg, "unix_stream_sendmsg", sent, 3);
// int unix_stream_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags): net/unix/af_unix.c
operation!(unix_stream_recvmsg, "unix_stream_recvmsg", received, 4);
// ssize_t unix_stream_sendpage(struct socket *socket, struct page *page, int offset, size_t size, int flags): net/unix/af_unix.c
operation!(unix_stream_sendpage, "unix_stream_sendpage", sent, 5);
// int unix_dgram_sendmsg(struct socket *sock, struct msghdr *msg, size_t len): net/unix/af_unix.c; also of seqpacket
operation!(unix_dgram_sendmsg, "unix_dgram_sendmsg", sent, 3);
// int unix_dgram_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags): net/unix/af_unix.c; also of seqpacket
operation!(unix_dgram_recvmsg, "unix_dgram_recvmsg", received, 4);
// int netlink_sendmsg(struct socket *sock, struct msghdr *msg, size_t len): net/netlink/af_netlink.c
operation!(netlink_sendmsg, "netlink_sendmsg", sent, 3);
// int netlink_recvmsg(struct socket *sock, struct msghdr *msg, size_t len, int flags): net/netlink/af_netlink.c
operation!(netlink_recvmsg, "netlink_recvmsg", received, 4);

/// A datagram went through a socket of this address family.
#[inline(always)]
fn datagram(
    socket: Kernel,
    message: Kernel,
    result: i32,
    direction: u32,
    domain: u16,
) -> Option<()> {
    if result < 0 {
        return None;
    }
    let running = running::counted()?;
    // The function for IPv6 calls that for IPv4 when the peer has such an address: once is enough.
    if Typed::read::<u16>(socket, offset!(NetworkOffsets, family)) != domain {
        return None;
    }
    let mut key = NetworkKey::default();
    describe(address(socket) as Kernel, &running.key, &mut key);
    let name: Kernel = Untyped::read(message, offset!(NetworkOffsets, message_name));
    if !name.is_null() {
        let head: [u16; 4] = Untyped::at(name);
        if head[0] == AF_INET {
            let v4 = u64::from(head[2]) | u64::from(head[3]) << 16;
            set_v4(&mut key, v4 as u32, head[1].swap_bytes());
        } else if head[0] == AF_INET6 && key.family == family::V6 {
            // Port and flow come before the address.
            key.peer = Untyped::at(name.wrapping_add(8));
            key.peer_port = head[1].swap_bytes();
        }
    }
    add(generation::current(), &key, direction, result as u64, 1);
    Some(())
}

// int udp_sendmsg(struct sock *sk, struct msghdr *msg, size_t len): net/ipv4/udp.c
#[fexit(function = "udp_sendmsg")]
fn udp_sendmsg(ctx: FExitContext) -> i32 {
    datagram(ctx.arg(0), ctx.arg(1), ctx.arg(3), OUT, AF_INET);
    0
}

// int udpv6_sendmsg(struct sock *sk, struct msghdr *msg, size_t len): net/ipv6/udp.c
#[fexit(function = "udpv6_sendmsg")]
fn udpv6_sendmsg(ctx: FExitContext) -> i32 {
    datagram(ctx.arg(0), ctx.arg(1), ctx.arg(3), OUT, AF_INET6);
    0
}

// int udp_recvmsg(struct sock *sk, struct msghdr *msg, size_t len, int flags, int *addr_len): net/ipv4/udp.c
#[fexit(function = "udp_recvmsg")]
fn udp_recvmsg(ctx: FExitContext) -> i32 {
    let flags: i32 = ctx.arg(3);
    if flags & LOOKING == 0 {
        // Its last argument is gone in newer kernels: so the result is asked for.
        let result = ctx.ret().unwrap_or(-1);
        datagram(ctx.arg(0), ctx.arg(1), result, IN, AF_INET);
    }
    0
}

// int udpv6_recvmsg(struct sock *sk, struct msghdr *msg, size_t len, int flags, int *addr_len): net/ipv6/udp.c
#[fexit(function = "udpv6_recvmsg")]
fn udpv6_recvmsg(ctx: FExitContext) -> i32 {
    let flags: i32 = ctx.arg(3);
    if flags & LOOKING == 0 {
        // Its last argument is gone in newer kernels: so the result is asked for.
        let result = ctx.ret().unwrap_or(-1);
        datagram(ctx.arg(0), ctx.arg(1), result, IN, AF_INET6);
    }
    0
}
