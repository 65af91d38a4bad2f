use std::fs;
use std::path::PathBuf;

use super::mount::{Kind, find, parse_mount};
use super::{Hierarchies, Hierarchy, HierarchyError, Maker, maker};

#[test]
fn lines_of_mountinfo() {
    let line = "44 31 0:41 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate";
    assert_eq!(
        parse_mount(line),
        Some((Kind::Unified, PathBuf::from("/sys/fs/cgroup/unified")))
    );
    let line = "32 31 0:29 /docker/x /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct";
    let kind = Kind::V1(vec!["cpu".to_owned(), "cpuacct".to_owned()]);
    assert_eq!(
        parse_mount(line),
        Some((kind, PathBuf::from("/sys/fs/cgroup/cpu,cpuacct")))
    );
    let line = "41 31 0:38 / /a\\040b rw shared:9 - cgroup cgroup rw,xattr,name=systemd";
    let kind = Kind::V1(vec!["name=systemd".to_owned()]);
    assert_eq!(parse_mount(line), Some((kind, PathBuf::from("/a b"))));
    for line in [
        "",
        "-",
        " - ",
        "1 2 3 - cgroup",
        "23 1 0:5 / /proc rw - proc proc rw",
    ] {
        assert_eq!(parse_mount(line), None);
    }
}

#[test]
fn layouts() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    assert!(matches!(
        Hierarchies::under(root),
        Err(HierarchyError::None(_))
    ));

    for name in ["memory", "pids", "cpu,cpuacct", "systemd"] {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join("cgroup.procs"), "").unwrap();
    }
    let v1 = Hierarchies::under(root).unwrap();
    assert_eq!((v1.mode(), &v1.primary().root), ("v1", &root.join("pids")));
    assert_eq!(v1.v1("cpuacct").unwrap().root, root.join("cpu,cpuacct"));

    fs::create_dir(root.join("unified")).unwrap();
    fs::write(root.join("unified/cgroup.controllers"), "").unwrap();
    let mut hybrid = Hierarchies::under(root).unwrap();
    assert_eq!(
        (hybrid.mode(), &hybrid.primary().kind),
        ("hybrid", &Kind::Unified)
    );
    let text = "3:pids:/docker/p\n1:name=systemd:/s\n0::/docker/u\n";
    assert_eq!(hybrid.primary().path_of(text).as_deref(), Some("/docker/u"));
    hybrid.use_v1();
    assert_eq!(hybrid.primary().path_of(text).as_deref(), Some("/docker/p"));

    fs::write(root.join("cgroup.controllers"), "").unwrap();
    assert_eq!(Hierarchies::under(root).unwrap().mode(), "v2");
}

#[test]
fn paths_are_relative_to_the_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("docker/agent");
    fs::create_dir_all(&inner).unwrap();
    let base = find(folder.path(), &inner).unwrap();
    assert_eq!(base.as_deref(), Some("/docker/agent"));
    let tree = Hierarchy {
        kind: Kind::Unified,
        root: folder.path().to_owned(),
        base,
        _descriptor: None,
    };
    for (relative, path) in [
        ("/", "/docker/agent"),
        ("/below", "/docker/agent/below"),
        ("/../other", "/docker/other"),
        ("/../../system.slice/x.service", "/system.slice/x.service"),
        ("/../../../../..", "/"),
    ] {
        assert_eq!(
            tree.path_of(&format!("0::{relative}\n")).as_deref(),
            Some(path)
        );
    }
}

#[test]
fn a_cgroup_that_may_be_below_an_unread_one_is_not_absent() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("docker")).unwrap();
    assert_eq!(find(root.path(), outside.path()).unwrap(), None);
    // A link that leads to itself cannot be followed, even by root.
    let unreadable = root.path().join("unreadable");
    std::os::unix::fs::symlink("unreadable", &unreadable).unwrap();
    find(&unreadable, outside.path()).unwrap_err();
    find(root.path(), &unreadable).unwrap_err();
}

#[test]
fn hostile_lines_of_a_process() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cgroup.controllers"), "").unwrap();
    let unified = Hierarchies::under(folder.path()).unwrap();
    for text in ["", ":", "0", "0:", "x\n\n::", "0:a:/b"] {
        let path = unified.primary().path_of(text);
        assert!(path.is_none_or(|path| path.is_empty()), "{text:?}");
    }
}

#[test]
fn the_owner_of_a_cgroup_above_can_make_it() {
    let owner = |folder: &str| match folder {
        "/user.slice" | "/docker" => Some(0),
        "/user.slice/user@1000.service" | "/docker/a" => Some(1_000),
        "/user.slice/user@1000.service/root" => Some(0),
        _ => None,
    };
    for (path, expected) in [
        ("/docker", Maker::Root),
        // Its own owner did not choose its name.
        ("/docker/a", Maker::Root),
        ("/docker/a/docker/b", Maker::User(1_000)),
        ("/user.slice/user@1000.service/x", Maker::User(1_000)),
        ("/user.slice/user@1000.service/root/x", Maker::User(1_000)),
        ("/user.slice/gone/x", Maker::Unknown),
    ] {
        assert_eq!(maker(path, 0, owner), expected, "{path}");
    }
    // In a user namespace, root's cgroups belong to nobody.
    assert_eq!(maker("/docker/a/b", 1_000, owner), Maker::Root);
}
