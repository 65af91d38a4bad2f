//! Folders that are made and removed on file systems of each kind. They differ in how they use their own
//! objects again: inode numbers, inodes and names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bubble_suite::bench::{Bench, containers};
use bubble_suite::container::Spec;
use bubble_suite::settings;

use crate::common::exact_spec;

/// A file system mounted in the shared folder. Unmounted on drop.
struct Mounted(PathBuf);

fn mount(args: &[&str], at: &Path) {
    let mounted = Command::new("mount").args(args).arg(at).status();
    assert!(
        mounted.is_ok_and(|status| status.success()),
        "mount {args:?} fails"
    );
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A process of the container may hold it for a moment. An overlay covers another mount.
        let unmount = || Command::new("umount").arg("-l").arg(&self.0).output();
        while unmount().is_ok_and(|output| output.status.success()) {}
        let _ = fs::remove_dir(&self.0);
    }
}

/// Mounts a file system by `make`, which gets its path. Also returns the path in containers.
fn mounted(name: &str, make: impl FnOnce(&Path)) -> (Mounted, String) {
    // The agent must run before the container starts.
    let _ = Bench::shared();
    let (here, there) = containers().expect("a container runner").shared();
    let at = here.join(name);
    fs::create_dir_all(&at).expect("a folder");
    let mounted = Mounted(at);
    make(&mounted.0);
    (mounted, format!("{there}/{name}"))
}

/// Runs the workload on the file system that `make` mounts at the given path.
fn folders_on(name: &str, make: impl FnOnce(&Path)) {
    let count = settings::number("BUBBLE_FOLDERS", 10_000).expect("a number of files");
    let (_mounted, at) = mounted(name, make);
    let mut spec = Spec::new(&["folders", "--count", &count.to_string(), "--at"]);
    spec.args.push(at);
    exact_spec(&spec);
}

/// Runs the workload on a loop device with a file system of `kind`, which `make` makes of a file of so
/// many MiB.
fn folders_on_image(kind: &str, mib: u64, make: &[&str]) {
    with_image(kind, mib, make, |image| {
        folders_on(kind, |at| mount_image(kind, image, at));
    });
}

fn mount_image(kind: &str, image: &str, at: &Path) {
    mount(&["-t", kind, "-o", "loop", image], at);
}

/// Calls `run` with the path in containers of a file system that is on a loop device, in any guest too.
pub(crate) fn on_disk(name: &str, run: impl FnOnce(String)) {
    with_image(name, 64, &["mke2fs", "-F"], |image| {
        let (_mounted, at) = mounted(name, |at| mount_image("ext4", image, at));
        run(at);
    });
}

/// Calls `run` with the path of a file of so many MiB, in which `make` makes a file system.
fn with_image(kind: &str, mib: u64, make: &[&str], run: impl FnOnce(&str)) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let image = folder.path().join(kind);
    let file = fs::File::create(&image).expect("a file");
    file.set_len(mib << 20).expect("a sparse file");
    let mut command = Command::new(make[0]);
    let made = command.args(&make[1..]).arg(&image).output();
    let made = made.unwrap_or_else(|error| panic!("cannot start {}: {error}", make[0]));
    assert!(
        made.status.success(),
        "{make:?} fails: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    run(&image.to_string_lossy());
}

#[test]
fn tmpfs() {
    folders_on("tmpfs", |at| mount(&["-t", "tmpfs", "none"], at));
}

#[test]
fn overlay() {
    folders_on("overlay", |at| {
        // The layers need a file system of their own: an overlay cannot be one.
        mount(&["-t", "tmpfs", "none"], at);
        let [lower, upper, work] = ["lower", "upper", "work"].map(|name| at.join(name));
        for layer in [&lower, &upper, &work] {
            fs::create_dir(layer).expect("a folder");
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            upper.display(),
            work.display()
        );
        mount(&["-t", "overlay", "none", "-o", &options], at);
    });
}

/// On a loop device: inode numbers are used again at once.
///
/// The image has the format of ext2, which the driver of ext4 mounts: the busybox of the guests makes
/// nothing newer.
#[test]
fn ext4() {
    folders_on_image("ext4", 64, &["mke2fs", "-F"]);
}

#[test]
fn xfs() {
    folders_on_image("xfs", 320, &["mkfs.xfs", "-q"]);
}

#[test]
fn btrfs() {
    folders_on_image("btrfs", 128, &["mkfs.btrfs", "-q"]);
}

/// A folder of another file system, mounted a second time: the path is the one by which a file is opened.
#[test]
fn bind() {
    let source = tempfile::TempDir::new().expect("a folder");
    let from = source.path().to_string_lossy().into_owned();
    folders_on("bind", |at| mount(&["--bind", &from], at));
}
