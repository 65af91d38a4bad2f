//! Hooks of the kernel's own functions for sockets: for kernels without tracepoints for sent and received
//! bytes (before 6.3), and for datagrams, because the message has the peer's address.

use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;
use bubble_common::kernel::network::{NetworkKey, NetworkOffsets, family};

use crate::access::{Access, Typed, Untyped};
use crate::btf::{KernelPtr, address, offset};
use crate::cpu_state::counted_process;
use crate::generation;
use crate::network::moved;
use crate::network_key::{AF_INET, AF_INET6, PEEK_FLAGS, describe, set_v4};
use crate::network_sum::add;
use crate::sum::{IN, OUT};

/// Hooks a function of `struct proto_ops`, whose first argument is the `struct socket`. `$result` is its
/// number of arguments.
macro_rules! operation {
    ($name:ident, $function:literal, sent, $result:literal) => {
        #[fexit(function = $function)]
        fn $name(ctx: FExitContext) -> i32 {
            let sock: KernelPtr = Typed::read(ctx.arg(0), offset!(NetworkOffsets, socket_sock));
            moved(sock, ctx.arg($result), OUT);
            0
        }
    };
    ($name:ident, $function:literal, received, $result:literal) => {
        #[fexit(function = $function)]
        fn $name(ctx: FExitContext) -> i32 {
            let flags: i32 = ctx.arg(3);
            if flags & PEEK_FLAGS == 0 {
                let sock: KernelPtr = Typed::read(ctx.arg(0), offset!(NetworkOffsets, socket_sock));
                moved(sock, ctx.arg($result), IN);
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

/// Counts a datagram that went through a socket of this address family.
#[inline(always)]
fn datagram(
    socket: KernelPtr,
    message: KernelPtr,
    result: i32,
    direction: u32,
    domain: u16,
) -> Option<()> {
    if result < 0 {
        return None;
    }
    let process = counted_process()?;
    // For an IPv4 peer the function for IPv6 calls the one for IPv4. Only one of them may count.
    if Typed::read::<u16>(socket, offset!(NetworkOffsets, family)) != domain {
        return None;
    }
    let mut key = NetworkKey::default();
    describe(address(socket) as KernelPtr, process, &mut key);
    let name: KernelPtr = Untyped::read(message, offset!(NetworkOffsets, message_name));
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
    if flags & PEEK_FLAGS == 0 {
        // Newer kernels dropped the last argument, so the index of the result is unknown.
        let result = ctx.ret().unwrap_or(-1);
        datagram(ctx.arg(0), ctx.arg(1), result, IN, AF_INET);
    }
    0
}

// int udpv6_recvmsg(struct sock *sk, struct msghdr *msg, size_t len, int flags, int *addr_len): net/ipv6/udp.c
#[fexit(function = "udpv6_recvmsg")]
fn udpv6_recvmsg(ctx: FExitContext) -> i32 {
    let flags: i32 = ctx.arg(3);
    if flags & PEEK_FLAGS == 0 {
        // Newer kernels dropped the last argument, so the index of the result is unknown.
        let result = ctx.ret().unwrap_or(-1);
        datagram(ctx.arg(0), ctx.arg(1), result, IN, AF_INET6);
    }
    0
}
