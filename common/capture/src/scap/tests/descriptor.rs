//! Descriptors, and the operations that are charged to them.

use super::super::event_type::EventType;
use super::build::{Build, fork, n, none, t, tuple, u};

const HERE: [u8; 4] = [10, 0, 0, 1];
const THERE: [u8; 4] = [10, 0, 0, 2];

#[test]
fn bytes_go_to_the_file_that_was_opened() {
    let mut build = Build::new();
    build.worker(7).open(7, 3, "/etc/hosts", 1);
    build
        .read(7, 3, 100)
        .read(7, 3, 20)
        .read(7, 3, 0)
        .read(7, 3, -9);
    build
        .event(7, EventType::SYSCALL_CLOSE_X, &[n(0), n(3)])
        .read(7, 3, 5);
    assert_eq!(
        build.run().io(),
        [
            "7 1 work file /etc/hosts in 120 2",
            "7 1 work unknown (unknown) in 5 1"
        ]
    );
}

#[test]
fn a_transfer_within_the_kernel_counts_at_both_ends() {
    let mut build = Build::new();
    build.worker(7).open(7, 3, "/a", 1).open(7, 4, "/b", 2);
    // sendfile, splice, copy_file_range.
    build.event(
        7,
        EventType::SYSCALL_SENDFILE_X,
        &[n(10), n(0), n(4), n(3), n(10)],
    );
    build.event(
        7,
        EventType::SYSCALL_SPLICE_X,
        &[n(200), n(3), n(4), n(200), u(0)],
    );
    build.event(
        7,
        EventType::SYSCALL_COPY_FILE_RANGE_X,
        &[n(3_000), n(4), n(0), n(3), n(0), n(3_000)],
    );
    assert_eq!(
        build.run().io(),
        ["7 1 work file /a in 3210 3", "7 1 work file /b out 3210 3"]
    );
}

#[test]
fn names_are_relative_to_directories() {
    let mut build = Build::new();
    build
        .worker(7)
        .event(7, EventType::SYSCALL_CHDIR_X, &[n(0), t("/srv")]);
    build.open(7, 3, "data", 1).open(7, 4, "/var", 1 | 1 << 10);
    let at = |fd, directory, name| [n(fd), n(directory), t(name), u(1), u(0), u(0), n(0)];
    build.event(7, EventType::SYSCALL_OPENAT_2_X, &at(5, 4, "log/../lib"));
    build.event(7, EventType::SYSCALL_OPENAT_2_X, &at(6, -100, "more"));
    build.event(7, EventType::SYSCALL_OPENAT_2_X, &at(8, 99, "lost"));
    for fd in [3, 5, 6, 8] {
        build.read(7, fd, 1);
    }
    assert_eq!(
        build.run().io(),
        [
            "7 1 work file /srv/data in 1 1",
            "7 1 work file /srv/more in 1 1",
            "7 1 work file /var/lib in 1 1",
            "7 1 work file <UNKNOWN>lost in 1 1"
        ]
    );
}

#[test]
fn descriptors_are_duplicated_and_closed() {
    let mut build = Build::new();
    build.worker(7).open(7, 3, "/a", 1).open(7, 4, "/b", 1);
    // dup, dup2, dup3, fcntl(F_DUPFD).
    build.event(7, EventType::SYSCALL_DUP_1_X, &[n(5), n(3)]);
    build.event(7, EventType::SYSCALL_DUP2_X, &[n(6), n(3), n(6)]);
    build.event(7, EventType::SYSCALL_DUP3_X, &[n(4), n(3), n(4), u(0)]);
    build.event(7, EventType::SYSCALL_FCNTL_X, &[n(9), n(3), vec![1], n(9)]);
    build.event(7, EventType::SYSCALL_CLOSE_X, &[n(0), n(3)]);
    for fd in [4, 5, 6, 9] {
        build.read(7, fd, 1);
    }
    // close_range.
    build.event(
        7,
        EventType::SYSCALL_CLOSE_RANGE_X,
        &[n(0), u(4), u(u32::MAX), u(0)],
    );
    build.read(7, 9, 1);
    assert_eq!(
        build.run().io(),
        [
            "7 1 work file /a in 4 4",
            "7 1 work unknown (unknown) in 1 1"
        ]
    );
}

#[test]
fn a_child_has_what_its_parent_had_when_it_forked() {
    let mut build = Build::new();
    build.worker(7).open(7, 3, "/a", 1);
    // The parent's event has the child's number in its own namespace; it closes before the child's
    // event comes.
    let mut parents = fork(2, 7, 1);
    (parents[18], parents[19]) = (n(1), n(1));
    build.event(7, EventType::SYSCALL_CLONE_20_X, &parents);
    build.event(7, EventType::SYSCALL_CLOSE_X, &[n(0), n(3)]);
    build.child(8, 7, 2).read(8, 3, 6);
    assert_eq!(build.run().io(), ["8 2 work file /a in 6 1"]);
}

#[test]
fn exec_closes_the_marked_descriptors() {
    let mut build = Build::new();
    build
        .worker(7)
        .open(7, 3, "/a", 1)
        .open(7, 4, "/b", 1 | 1 << 12);
    let mut exec = fork(0, 7, 1);
    exec.truncate(14);
    exec[13] = t("next");
    exec.extend([none(), none(), u(0), n(0), u(0), u(0)]);
    build.event(7, EventType::SYSCALL_EXECVE_19_X, &exec);
    build.read(7, 3, 1).read(7, 4, 1);
    assert_eq!(
        build.run().io(),
        [
            "7 1 next file /a in 1 1",
            "7 1 next unknown (unknown) in 1 1"
        ]
    );
}

#[test]
fn a_client_and_a_server_see_one_connection() {
    let (client, server) = ((HERE, 5_000), (THERE, 80));
    let mut build = Build::new();
    build.worker(7).child(8, 1, 2);
    build.event(
        7,
        EventType::SOCKET_SOCKET_X,
        &[n(3), u(2), u(1), u(0), u(0)],
    );
    // In progress counts as connected.
    build.event(
        7,
        EventType::SOCKET_CONNECT_X,
        &[n(-115), tuple(client, server), n(3), none()],
    );
    let accepted = [n(4), tuple(client, server), vec![0], u(0), u(9), u(0)];
    build.event(8, EventType::SOCKET_ACCEPT4_6_X, &accepted);
    build.event(
        7,
        EventType::SOCKET_SENDTO_X,
        &[n(9), none(), n(3), u(9), none()],
    );
    build.event(
        8,
        EventType::SOCKET_RECVFROM_X,
        &[n(9), none(), tuple(client, server), n(4), u(9)],
    );
    assert_eq!(
        build.run().io(),
        [
            "7 1 work ipv4 10.0.0.1:5000->10.0.0.2:80 out 9 1",
            "8 2 work ipv4 10.0.0.1:5000->10.0.0.2:80 in 9 1"
        ]
    );
}

#[test]
fn datagrams_go_to_the_peer_of_each() {
    let mut build = Build::new();
    build.worker(7);
    build.event(
        7,
        EventType::SOCKET_SOCKET_X,
        &[n(3), u(2), u(2), u(0), u(0)],
    );
    for (peer, bytes) in [(THERE, 10), ([9, 9, 9, 9], 20), (THERE, 30)] {
        let ends = tuple((HERE, 4_000), (peer, 53));
        build.event(
            7,
            EventType::SOCKET_SENDTO_X,
            &[n(bytes), none(), n(3), u(64), ends],
        );
    }
    let answer = tuple((THERE, 53), (HERE, 4_000));
    build.event(
        7,
        EventType::SOCKET_RECVFROM_X,
        &[n(7), none(), answer, n(3), u(64)],
    );
    // An answer is the same pair of addresses.
    assert_eq!(
        build.run().io(),
        [
            "7 1 work ipv4 10.0.0.1:4000->10.0.0.2:53 in 7 1",
            "7 1 work ipv4 10.0.0.1:4000->10.0.0.2:53 out 40 2",
            "7 1 work ipv4 10.0.0.1:4000->9.9.9.9:53 out 20 1"
        ]
    );
}

#[test]
fn descriptors_in_a_message_replace_older_ones() {
    let mut build = Build::new();
    build.worker(7).open(7, 5, "/old", 1);
    let control = [n(20), u(1), u(1), u(5)].concat();
    build.event(
        7,
        EventType::SOCKET_RECVMSG_X,
        &[n(1), u(1), none(), none(), control, n(3)],
    );
    build.read(7, 5, 8);
    assert_eq!(build.run().io(), ["7 1 work unknown (unknown) in 9 2"]);
}
