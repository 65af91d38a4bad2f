//! `bubble-agent doctor` as a person runs it.

use std::io::{Read as _, pipe};
use std::process::{Command, Stdio};

fn doctor() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bubble-agent"));
    command
        .arg("doctor")
        .env_clear()
        .env("BUBBLE_CONFIG", "/dev/null");
    command
}

#[test]
fn the_first_line_is_the_verdict() {
    let output = doctor().output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let verdict = text.lines().next().expect("a verdict");
    assert!(verdict.contains(" counted here"), "{text}");
    assert!(!text.contains("REFUSED"), "{text}");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let mut command = doctor();
    command.stdout(writer).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut errors = String::new();
    let mut stderr = child.stderr.take().expect("piped");
    stderr.read_to_string(&mut errors).expect("text");
    let code = child.wait().expect("it ends").code();
    assert_eq!(errors, "");
    assert!(code.is_some_and(|code| code <= 1), "{code:?}");
}
