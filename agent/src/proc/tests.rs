use std::fs;
use std::io::Error;
use std::path::Path;

use super::{Facts, ProcessFolder, arguments, is_gone, runs_in_session};

/// Writes the `stat` of a process or thread.
fn stat(folder: &Path, pid: u32, state: char, threads: u32, start: u64, stack: u64) {
    fs::create_dir_all(folder).unwrap();
    let text = format!(
        "{pid} (x) {state} 7 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 {start} 4096 2 0 0 0 {stack} 0 0"
    );
    fs::write(folder.join("stat"), text).unwrap();
}

fn describe(folder: &Path, args: &[u8]) {
    let status = b"Name:\t\xff\nUid:\t0\t33\t0\t0\nGid:\t0\t34\t0\t0\nNSpid:\t5\t2\n";
    fs::write(folder.join("status"), status).unwrap();
    fs::write(folder.join("cmdline"), args).unwrap();
}

#[test]
fn facts_are_those_of_one_program() {
    let proc = tempfile::tempdir().unwrap();
    let folder = proc.path().join("5");
    stat(&folder, 5, 'S', 1, 100, 9_000);
    describe(&folder, b"a\n\xff\0-x\0\0");
    let process = ProcessFolder::new(proc.path(), 5);
    let expected = Facts {
        name: "x".to_owned(),
        parent: 7,
        uid: 33,
        gid: 34,
        container_pid: 2,
        exe: String::new(),
        args: "a\n\\xff\0-x".to_owned(),
    };
    assert_eq!(process.facts(100, 9_000), Some(expected.clone()));
    assert_eq!(process.facts(100, 0), Some(expected));
    assert_eq!(process.facts(100, 9_001), None, "it has called exec");
    assert_eq!(process.facts(101, 9_000), None, "the number is used again");
    assert_eq!(ProcessFolder::new(proc.path(), 6).facts(100, 0), None);
}

#[test]
fn a_process_lives_on_after_its_first_thread() {
    let proc = tempfile::tempdir().unwrap();
    let folder = proc.path().join("5");
    stat(&folder, 5, 'Z', 2, 100, 0);
    describe(&folder, b"");
    for (thread, state, stack) in [(5, 'Z', 0), (8, 'S', 9_000)] {
        let folder = folder.join("task").join(thread.to_string());
        stat(&folder, thread, state, 2, 100 + u64::from(thread), stack);
        fs::write(folder.join("cmdline"), "title\0").unwrap();
    }
    let process = ProcessFolder::new(proc.path(), 5);
    assert!(process.is_alive(100));
    let facts = process.facts(100, 9_000).expect("another thread runs");
    assert_eq!((facts.uid, &*facts.args), (33, "title"));

    stat(&folder, 5, 'Z', 1, 100, 0);
    assert!(!process.is_alive(100), "nobody has waited for it");
    assert_eq!(process.facts(100, 0), None);
}

#[test]
fn an_error_while_reading_does_not_end_a_process() {
    let proc = tempfile::tempdir().unwrap();
    let folder = proc.path().join("5");
    let process = ProcessFolder::new(proc.path(), 5);
    assert!(!process.is_alive(100));
    stat(&folder, 5, 'R', 1, 100, 0);
    assert!(process.is_alive(100));
    assert!(!process.is_alive(101), "another process has its number");
    fs::write(
        folder.join("stat"),
        b"5 (\xff) R 7 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 4096 2",
    )
    .unwrap();
    assert!(process.is_alive(100));
    fs::write(folder.join("stat"), b"unknown").unwrap();
    assert!(process.is_alive(100));
    let gone = |errno: i32| is_gone(&Error::from_raw_os_error(errno));
    // ENOENT, ESRCH; EACCES, EMFILE.
    assert_eq!([2, 3, 13, 24].map(gone), [true, true, false, false]);
}

#[test]
fn cut_arguments_end_in_an_ellipsis() {
    assert_eq!(arguments(b"ls\0-l", 900), "ls\0-l…");
    assert_eq!(arguments(b"", 0), "");
    assert_eq!(arguments(b"\0\0", 2), "");
    assert_eq!(
        arguments(b"a\0\0b\0", 5),
        "a\0\0b",
        "an empty argument stays"
    );
    assert_eq!(arguments(b"\xff\0", 2), r"\xff");
    assert_eq!(
        arguments("ab\u{20ac}".as_bytes().split_at(4).0, 9),
        "ab…",
        "cut within a character"
    );
}

#[test]
fn a_process_is_found_by_its_session() {
    let own = std::process::id();
    let stat = ProcessFolder::new(Path::new("/proc"), own).stat();
    let session = stat.unwrap().unwrap().session;
    assert!(runs_in_session(own, session));
    assert!(!runs_in_session(own, session + 1));
    assert!(!runs_in_session(i32::MAX as u32, session));
    assert!(!runs_in_session(u32::MAX, session));
}
