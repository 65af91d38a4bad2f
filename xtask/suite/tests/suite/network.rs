//! Bytes and operations of connections, by peer, at both ends.

use std::net::SocketAddr;

use bubble_suite::bench::containers;

use crate::common::{exact, exact_pair};

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn addresses(ipv6: bool) -> [SocketAddr; 2] {
    containers()
        .and_then(|containers| containers.addresses(ipv6))
        .expect("addresses for two containers")
}

fn tcp(by: &str, ipv6: bool) {
    let [server, client] = addresses(ipv6);
    exact_pair(
        [server, client],
        &words(&format!("tcp-server --listen {server} --by {by}")),
        &words(&format!("tcp-client --connect {server} --by {by}")),
    );
}

fn udp(ipv6: bool, options: &str) {
    let [server, client] = addresses(ipv6);
    exact_pair(
        [server, client],
        &words(&format!(
            "udp-server --local {server} --peer {client} {options}"
        )),
        &words(&format!(
            "udp-client --local {client} --peer {server} {options}"
        )),
    );
}

#[test]
fn tcp_send_recv() {
    tcp("send-recv", false);
}

/// The bytes pass the hooks of files and those of sockets, but count once.
#[test]
fn tcp_read_write() {
    tcp("read-write", false);
}

#[test]
fn tcp_sendfile() {
    tcp("sendfile", false);
}

#[test]
fn tcp_ipv6() {
    tcp("send-recv", true);
}

#[test]
fn udp_connected() {
    udp(false, "--connected");
}

#[test]
fn udp_ipv6() {
    udp(true, "--connected");
}

#[test]
fn multipath() {
    let finished = exact(&["multipath"]);
    assert_eq!(finished.truth.connections.len(), 2);
}

/// Each end of the connection counts once, with either family of hooks.
#[test]
fn connections_of_io_uring() {
    let finished = exact(&["uring-connection"]);
    assert_eq!(finished.truth.connections.len(), 2);
}

#[test]
fn unix_stream() {
    exact(&["unix", "--kind", "stream"]);
}

#[test]
fn unix_stream_read_write() {
    exact(&["unix", "--kind", "stream", "--by", "read-write"]);
}

#[test]
fn unix_datagram() {
    exact(&["unix", "--kind", "datagram"]);
}

#[test]
fn refused() {
    // Port 9 (discard) has no listener.
    exact(&["refused", "--connect", "127.0.0.1:9"]);
}
