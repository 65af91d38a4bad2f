//! Runs sysdig with one of our chisels over a capture.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

/// A running sysdig.
pub(crate) struct Sysdig {
    child: Child,
    stderr: BufReader<ChildStderr>,
    stderr_text: String,
}

/// A finished sysdig.
pub(crate) struct Ended {
    pub(crate) success: bool,
    pub(crate) stderr: String,
    pub(crate) stdout: String,
}

fn command(capture: &Path) -> Command {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("sysdig");
    command
        .arg("-r")
        .arg(capture)
        .arg("-pc")
        // sysdig searches this folder and ./chisels for chisels.
        .env("SYSDIG_CHISEL_DIR", project.join("../../chisel"))
        .current_dir(project.join("tests/chisel"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Sysdig {
    /// Starts `sysdig -r CAPTURE -pc -c CHISEL URL -j` with further environment variables.
    pub(crate) fn start(
        capture: &Path,
        chisel: &str,
        url: &str,
        variables: &[(&str, &str)],
    ) -> Self {
        let mut child = command(capture)
            .args(["-c", chisel, url, "-j"])
            .envs(variables.iter().copied())
            .spawn()
            .expect("sysdig must be installed: apt-get install sysdig lua-socket lua-sec");
        let stderr = BufReader::new(child.stderr.take().expect("a piped stderr"));
        Self {
            child,
            stderr,
            stderr_text: String::new(),
        }
    }

    /// Waits until stderr contains `text`.
    pub(crate) fn wait_for_message(&mut self, text: &str) {
        while !self.stderr_text.contains(text) {
            let read = self.stderr.read_line(&mut self.stderr_text);
            let ended = read.expect("text") == 0;
            assert!(
                !ended,
                "sysdig ended without {text:?}: {}",
                self.stderr_text
            );
        }
    }

    /// Waits until it ends.
    pub(crate) fn wait(mut self) -> Ended {
        let read = self.stderr.read_to_string(&mut self.stderr_text);
        read.expect("text");
        let output = self.child.wait_with_output().expect("a finished process");
        Ended {
            success: output.status.success(),
            stderr: self.stderr_text,
            stdout: String::from_utf8(output.stdout).expect("text"),
        }
    }
}

/// The output of sysdig without a chisel for each event that passes the filter.
pub(crate) fn print(capture: &Path, format: &str, filter: &str) -> String {
    let output = command(capture)
        .args(["-p", format, filter])
        .output()
        .expect("sysdig must be installed");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}
