//! Adds the guest's system to the archive: process 1, busybox, and the command as a script.

use anyhow::{Context as _, Result};

use super::archive::Archive;
use super::guest::Guest;
use super::{module, qemu};
use crate::command::{find, quoted};

const SCRIPT: &str = include_str!("init.sh");

/// Mount points of the script, and folders that programs expect.
const FOLDERS: &[&str] = &[
    "/bin", "/sbin", "/dev", "/proc", "/sys", "/tmp", "/run", "/root", "/etc", "/var/log", "/mnt",
];

pub(super) fn write(archive: &mut Archive, guest: &Guest) -> Result<()> {
    for folder in FOLDERS {
        archive.folder(folder);
    }
    let script = SCRIPT
        .replace("ORDER_FILE", module::ORDER_FILE)
        .replace("EXIT_MARKER", qemu::EXIT_MARKER);
    archive.file("/init", 0o755, script);
    archive.file("/command", 0o644, command(guest));
    archive.file("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n");
    archive.file("/etc/group", 0o644, "root:x:0:\n");
    archive.file(
        "/etc/hosts",
        0o644,
        "127.0.0.1 localhost guest\n::1 localhost\n",
    );
    let busybox = find("busybox").context("busybox is not installed")?;
    archive.program("/bin/busybox", &busybox)
}

/// The command as a script: its variables, then its quoted words.
fn command(guest: &Guest) -> String {
    let mut script = String::new();
    for (name, value) in &guest.variables {
        script.push_str(&format!("export {name}={}\n", quoted(value)));
    }
    let words: Vec<String> = guest.command.iter().map(|word| quoted(word)).collect();
    script.push_str(&format!("exec {}\n", words.join(" ")));
    script
}
