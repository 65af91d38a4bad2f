//! The table of system calls against the kernel's headers (package linux-libc-dev) and the document.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bubble_common::kernel::calls::{CALLS, Call, Counting, NONE, OTHERS, x86};
use bubble_common::kernel::syscall::Action;
use bubble_common::kernel::wait;

const X86_64: &str = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
const X86_32: &str = "/usr/include/x86_64-linux-gnu/asm/unistd_32.h";
const ARM64: &str = "/usr/include/asm-generic/unistd.h";

/// Names in `asm-generic/unistd.h` that are no calls.
const NO_CALLS: [&str; 2] = ["syscalls", "arch_specific_syscall"];

/// Names there that 64-bit arm64 lacks: they are for 32-bit processors.
const NOT_ON_ARM64: [&str; 5] = [
    "io_pgetevents_time64",
    "mq_timedreceive_time64",
    "mq_timedsend_time64",
    "recvmmsg_time64",
    "sync_file_range2",
];

/// The calls of a header, with their numbers.
fn calls_of(path: &str) -> BTreeMap<String, u16> {
    let text = fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{path} (install linux-libc-dev): {error}"));
    let lines = text.lines().filter_map(|line| {
        let line = line.strip_prefix("#define __NR")?;
        let (name, number) = line.split_once(char::is_whitespace)?;
        let name = name
            .strip_prefix("3264")
            .unwrap_or(name)
            .strip_prefix('_')?;
        Some((name.to_owned(), number.trim().parse().ok()?))
    });
    lines.collect()
}

fn compare(path: &str, number_of: fn(&Call) -> u16) {
    let calls = calls_of(path);
    assert!(calls.len() > 300, "{path} has {} calls", calls.len());
    let mut wrong = Vec::new();
    for (name, number) in &calls {
        let row = CALLS.iter().find(|call| call.name == name);
        match row {
            Some(row) if number_of(row) == NONE && NOT_ON_ARM64.contains(&&**name) => {}
            Some(row) if number_of(row) != *number => {
                wrong.push(format!("{name} is {number}, not {}", number_of(row)));
            }
            None if !OTHERS.contains(&&**name) && !NO_CALLS.contains(&&**name) => {
                wrong.push(format!("{name} ({number}) is in no row"));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{path}: {wrong:#?}");
}

#[test]
fn every_call_of_64_bit_programs_is_in_a_row() {
    compare(X86_64, |call| call.x86_64);
}

#[test]
fn every_call_of_32_bit_programs_is_in_a_row() {
    compare(X86_32, |call| call.x86_32);
}

#[test]
fn every_call_of_arm64_is_in_a_row() {
    compare(ARM64, |call| call.arm64);
}

#[test]
fn no_call_is_in_two_rows() {
    let mut names: Vec<_> = CALLS.iter().map(|call| call.name).collect();
    names.extend(OTHERS);
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn the_kernel_side_has_the_actions() {
    let calls = x86();
    assert_eq!(calls[0], i32::from(Action::READ));
    assert_eq!(calls[3], i32::from(Action::READ) << 8);
    assert_eq!(calls[46], i32::from(Action::SENDMSG) | i32::MIN);
    assert_eq!(calls[417], i32::from(Action::RECVMMSG) << 8 | i32::MIN);
    // A negative number means messages for both kinds of programs.
    for both in calls.iter().filter(|both| **both < 0) {
        let actions = [*both as u8, (both >> 8) as u8];
        assert!(
            actions
                .iter()
                .all(|one| *one == 0 || Action::is_message(*one))
        );
    }
}

const WORDS: [(u8, &str); 21] = [
    (Action::READ, "counted: read"),
    (Action::WRITE, "counted: written"),
    (Action::OPEN, "counted: open"),
    (Action::SENDFILE, "counted: read and written"),
    (Action::COPY, "counted: read and written"),
    (Action::TEE, "counted: written"),
    (
        Action::VMSPLICE,
        "counted: read or written, by the end of the pipe",
    ),
    (Action::ACCEPT, "counted: connect"),
    (Action::CONNECT, "counted: connect or failure"),
    (Action::SENDTO, "counted: sent, by peer"),
    (Action::RECVFROM, "counted: received, by peer"),
    (Action::SENDMSG, "counted: sent, by peer"),
    (Action::RECVMSG, "counted: received, by peer"),
    (Action::SENDMMSG, "counted: sent, each message by peer"),
    (Action::RECVMMSG, "counted: received, each message by peer"),
    (Action::MAP, "a loss (`mapped_file`) when a file is mapped"),
    (Action::SUBMIT, "noted, counted by its result"),
    (Action::REAP, "counted: read or written, by result"),
    (Action::SEND_LENGTH, "counted: written"),
    (Action::OPTION, "counted: received (`TCP_ZEROCOPY_RECEIVE`)"),
    (
        Action::SOCKETCALL,
        "counted, by the peer that the socket is connected to",
    ),
];

fn row(call: &Call) -> String {
    let number = |number: u16| match number {
        NONE => "–".to_owned(),
        number => number.to_string(),
    };
    let counting = match call.counting {
        Counting::Action(action) => {
            let words = WORDS.iter().find(|(one, _)| *one == action);
            words.expect("words for every action").1.to_owned()
        }
        Counting::Hook(by) => format!("counted by {by}"),
        Counting::No(why) => format!("not counted: {why}"),
    };
    let [wide, narrow, arm64] = [call.x86_64, call.x86_32, call.arm64].map(number);
    format!(
        "| `{}` | {wide} | {narrow} | {arm64} | {counting} |",
        call.name
    )
}

/// `BLESS=1 cargo test -p bubble-common --test calls` writes the rows into the document.
#[test]
fn the_document_has_the_same_rows() {
    const BEGIN: &str = "<!-- rows of common/src/kernel/calls.rs -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/counting.md");
    let text = fs::read_to_string(&path).expect("docs/counting.md");
    let (before, after) = text.split_once(BEGIN).expect("the mark before the table");
    let end = after.find("\n\n").expect("an empty line after the table");
    let mut table = "| call | x86-64 | 32-bit | arm64 | how |\n|---|---|---|---|---|".to_owned();
    for call in CALLS {
        table.push('\n');
        table.push_str(&row(call));
    }
    if std::env::var_os("BLESS").is_some() {
        let text = format!("{before}{BEGIN}{table}{}", &after[end..]);
        fs::write(&path, text).expect("a writable document");
    } else {
        assert_eq!(after[..end], table, "run this test with BLESS=1");
    }
}

/// The numbers of the calls in which threads wait. Names that an older header lacks are left out.
#[test]
fn calls_that_wait_have_the_numbers_of_the_headers() {
    let (wide, narrow) = (calls_of(X86_64), calls_of(X86_32));
    let rows = wait::CALLS.iter().flat_map(|(_, calls)| *calls);
    let wrong: Vec<_> = rows
        .filter(|(name, wide_number, narrow_number)| {
            let is_wrong = |header: &BTreeMap<String, u16>, number: u16| match header.get(*name) {
                Some(known) => *known != number,
                None => number != NONE && number < 449,
            };
            is_wrong(&wide, *wide_number) || is_wrong(&narrow, *narrow_number)
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
