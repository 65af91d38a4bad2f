//! sysdig, reading a capture with one of our chisels.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

/// One that runs.
pub(crate) struct Sysdig {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) success: bool,
    /// All of its stderr.
    pub(crate) said: String,
    pub(crate) stdout: String,
}

fn command(capture: &Path) -> Command {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("sysdig");
    command
        .arg("-r")
        .arg(capture)
        .arg("-pc")
        // sysdig looks for chisels here, and in ./chisels.
        .env("SYSDIG_CHISEL_DIR", project.join("../../chisel"))
        .current_dir(project.join("tests/chisel"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Sysdig {
    /// `sysdig -r CAPTURE -pc -c CHISEL URL -j`, with further variables.
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
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        Self {
            child,
            stderr,
            said: String::new(),
        }
    }

    /// Waits until it has said this on stderr.
    pub(crate) fn wait_until_it_says(&mut self, text: &str) {
        while !self.said.contains(text) {
            let read = self.stderr.read_line(&mut self.said).expect("text");
            assert!(read > 0, "it ended, and said only: {}", self.said);
        }
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ended {
        self.stderr.read_to_string(&mut self.said).expect("text");
        let output = self.child.wait_with_output().expect("it ends");
        Ended {
            success: output.status.success(),
            said: self.said,
            stdout: String::from_utf8(output.stdout).expect("text"),
        }
    }
}

/// What sysdig itself, without any chisel, prints for each event that passes the filter.
pub(crate) fn print(capture: &Path, format: &str, filter: &str) -> String {
    let output = command(capture)
        .args(["-p", format, filter])
        .output()
        .expect("sysdig runs");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}
