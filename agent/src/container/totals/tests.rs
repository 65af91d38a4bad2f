use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bubble_common::segment::SourceId;
use bubble_common::segment::loss::Reason;
use bubble_common::segment::total::Metric;

use super::Totals;
use crate::clock::SECOND;
use crate::container::Containers;
use crate::container::files::Files;
use crate::container::hierarchy::Hierarchies;
use crate::container::rule::Rules;
use crate::window::Window;

/// Writes the files of a cgroup: name and text.
fn write(folder: &Path, files: &[(&str, &str)]) {
    fs::create_dir_all(folder).unwrap();
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
}

fn read(totals: &mut Totals, hierarchies: &Hierarchies, path: &str) -> BTreeMap<&'static str, u64> {
    let mut found = BTreeMap::new();
    totals.read(hierarchies, path, |metric, value| {
        found.insert(metric.name(), value);
    });
    found
}

/// A pure v2 tree with a container as a 6.12 kernel writes it.
fn v2(root: &Path) -> Hierarchies {
    write(root, &[("cgroup.controllers", "cpu io memory pids\n")]);
    write(
        &root.join("pod"),
        &[
            ("memory.max", "1000\n"),
            ("cpu.max", "max 100000\n"),
            ("pids.max", "max\n"),
        ],
    );
    write(
        &root.join("pod/c"),
        &[
            (
                "cpu.stat",
                "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 5\nnr_throttled 2\nthrottled_usec 7\n",
            ),
            ("cpu.max", "150000 100000\n"),
            ("memory.current", "4096\n"),
            ("memory.peak", "8192\n"),
            ("memory.max", "5000\n"),
            ("memory.stat", "anon 100\nfile 200\nfile_mapped 999\n"),
            ("memory.swap.current", "0\n"),
            ("memory.events", "low 0\noom 3\noom_kill 1\n"),
            ("pids.current", "3\n"),
            ("pids.max", "max\n"),
            (
                "io.stat",
                "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n9999:1 rbytes=5\n",
            ),
            (
                "cpu.pressure",
                "some avg10=0.00 avg60=0.00 avg300=0.00 total=11\n",
            ),
            (
                "memory.pressure",
                "some avg10=0.00 avg60=0.00 avg300=0.00 total=12\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=13\n",
            ),
        ],
    );
    Hierarchies::under(root).unwrap()
}

#[test]
fn an_unread_stack_of_devices_does_not_count_twice() {
    let folder = tempfile::tempdir().unwrap();
    let hierarchies = v2(folder.path());
    let devices = folder.path().join("devices");
    fs::create_dir_all(devices.join("253:0/slaves/sda")).unwrap();
    let stat = |bytes: u64| {
        let text = format!("8:0 rbytes={bytes}\n253:0 rbytes={bytes}\n");
        fs::write(folder.path().join("pod/c/io.stat"), text).unwrap();
    };
    stat(1_000);
    let mut totals = Totals::new(true);
    totals.devices.folder.clone_from(&devices);
    let mut block_in = || {
        let found = read(&mut totals, &hierarchies, "/pod/c");
        let failure = totals.take_failure().is_some();
        totals.devices.forget_stacks();
        (found.get("block_in_bytes").copied(), failure)
    };
    assert_eq!(block_in(), (Some(1_000), false));
    // A file cannot be read as a folder, even by root.
    let slaves = devices.join("253:0/slaves");
    fs::remove_dir_all(&slaves).unwrap();
    fs::write(&slaves, "").unwrap();
    stat(1_100);
    assert_eq!(block_in(), (None, true));
    fs::remove_file(&slaves).unwrap();
    fs::create_dir_all(slaves.join("sda")).unwrap();
    stat(1_300);
    assert_eq!(block_in(), (Some(300), false));
}

/// A device that is removed takes its counters along.
#[test]
fn a_removed_device_does_not_count_the_others_again() {
    let folder = tempfile::tempdir().unwrap();
    let hierarchies = v2(folder.path());
    let devices = folder.path().join("devices");
    fs::create_dir(&devices).unwrap();
    let mut totals = Totals::new(false);
    totals.devices.folder.clone_from(&devices);
    let mut block_in = |text: &str| {
        fs::write(folder.path().join("pod/c/io.stat"), text).unwrap();
        let found = read(&mut totals, &hierarchies, "/pod/c");
        totals.devices.forget_stacks();
        found.get("block_in_bytes").copied()
    };
    assert_eq!(block_in("8:0 rbytes=1000\n7:0 rbytes=5000\n"), None);
    assert_eq!(block_in("8:0 rbytes=1001\n"), Some(1));
    assert_eq!(block_in("8:0 rbytes=1003\n"), Some(2));
    // Another device has its numbers.
    assert_eq!(block_in("8:0 rbytes=1003\n7:0 rbytes=30\n"), Some(30));
    // One that is stacked on others from now on was counted before, and is not now.
    fs::create_dir_all(devices.join("7:0/slaves/sda")).unwrap();
    assert_eq!(block_in("8:0 rbytes=1010\n7:0 rbytes=37\n"), Some(7));
    fs::remove_dir_all(devices.join("7:0")).unwrap();
    assert_eq!(block_in("8:0 rbytes=1010\n7:0 rbytes=38\n"), Some(1));
}

/// On a hybrid host both versions count, and not the same.
#[test]
fn the_other_version_does_not_stand_for_a_file_that_cannot_be_read() {
    let root = tempfile::tempdir().unwrap();
    write(&root.path().join("unified"), &[("cgroup.controllers", "")]);
    write(&root.path().join("cpuacct"), &[("cgroup.procs", "")]);
    write(
        &root.path().join("cpuacct/c"),
        &[("cpuacct.usage", "5000\n")],
    );
    let path = root.path().join("unified/c");
    write(&path, &[("pids.current", "1\n")]);
    let hierarchies = Hierarchies::under(root.path()).unwrap();
    let mut totals = Totals::new(true);
    let mut user = || {
        // Files do not stay open, as with few descriptors.
        totals.files = Files::default();
        let found = read(&mut totals, &hierarchies, "/c");
        let failure = totals.take_failure().is_some();
        (found.get("cpu_user_ns").copied(), failure)
    };
    // It cannot be read from the beginning.
    fs::create_dir(path.join("cpu.stat")).unwrap();
    assert_eq!(user(), (None, true));
    fs::remove_dir(path.join("cpu.stat")).unwrap();
    write(&path, &[("cpu.stat", "user_usec 7\nsystem_usec 0\n")]);
    assert_eq!(user(), (Some(7_000), false));
    fs::remove_file(path.join("cpu.stat")).unwrap();
    fs::create_dir(path.join("cpu.stat")).unwrap();
    assert_eq!(user(), (None, true));
    fs::remove_dir(path.join("cpu.stat")).unwrap();
    write(&path, &[("cpu.stat", "user_usec 9\nsystem_usec 0\n")]);
    assert_eq!(user(), (Some(2_000), false));
}

#[test]
fn operations_that_cannot_be_read_do_not_count_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("blkio/c");
    let operations = folder.join("blkio.throttle.io_serviced_recursive");
    let serviced = |count: u64| fs::write(&operations, format!("8:0 Read {count}\n")).unwrap();
    write(
        &folder,
        &[
            (
                "blkio.throttle.io_service_bytes_recursive",
                "8:0 Read 1000\n",
            ),
            ("blkio.throttle.io_serviced", "8:0 Read 1\n"),
        ],
    );
    serviced(10);
    write(&root.path().join("blkio"), &[("cgroup.procs", "")]);
    let hierarchies = Hierarchies::under(root.path()).unwrap();
    let mut totals = Totals::new(true);
    let mut block_ops = || {
        // Files do not stay open, as with few descriptors.
        totals.files = Files::default();
        read(&mut totals, &hierarchies, "/c")
            .get("block_in_ops")
            .copied()
    };
    assert_eq!(block_ops(), Some(10));
    fs::remove_file(&operations).unwrap();
    fs::create_dir(&operations).unwrap();
    assert_eq!(block_ops(), None);
    fs::remove_dir(&operations).unwrap();
    serviced(12);
    assert_eq!(block_ops(), Some(2));
}

#[test]
fn a_new_container_of_v2() {
    let folder = tempfile::tempdir().unwrap();
    let hierarchies = v2(folder.path());
    let mut totals = Totals::new(true);
    let found = read(&mut totals, &hierarchies, "/pod/c");
    let expected = BTreeMap::from([
        ("cpu_user_ns", 20_000),
        ("cpu_system_ns", 10_000),
        ("cpu_throttled_ns", 7_000),
        ("cpu_throttled_periods", 2),
        ("block_in_bytes", 15),
        ("block_out_bytes", 20),
        ("block_in_ops", 1),
        ("block_out_ops", 2),
        ("pressure_cpu_some_ns", 11_000),
        ("pressure_memory_some_ns", 12_000),
        ("pressure_memory_full_ns", 13_000),
        ("oom_kills", 1),
        ("cpu_limit_millicores", 1_500),
        ("memory_current_bytes", 4_096),
        ("memory_peak_bytes", 8_192),
        ("memory_limit_bytes", 1_000),
        ("memory_limit_level", 1),
        ("memory_file_bytes", 200),
        ("memory_anon_bytes", 100),
        ("memory_swap_bytes", 0),
        ("tasks", 3),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn counters_are_differences() {
    let folder = tempfile::tempdir().unwrap();
    let hierarchies = v2(folder.path());
    let cgroup = folder.path().join("pod/c");
    let mut totals = Totals::new(false);
    let found = read(&mut totals, &hierarchies, "/pod/c");
    assert_eq!(
        found.get("cpu_user_ns"),
        None,
        "what was counted before the first reading is not news"
    );
    assert_eq!(found.get("memory_current_bytes"), Some(&4_096));

    write(
        &cgroup,
        &[
            ("cpu.stat", "user_usec 25\nsystem_usec 10\n"),
            ("memory.current", "1\n"),
        ],
    );
    let found = read(&mut totals, &hierarchies, "/pod/c");
    assert_eq!(found.get("cpu_user_ns"), Some(&5_000));
    assert_eq!(found.get("cpu_system_ns"), None);
    assert_eq!(found.get("memory_current_bytes"), Some(&1));
    assert_eq!(
        found.get("cpu_limit_millicores"),
        Some(&1_500),
        "reported each time"
    );

    write(&cgroup, &[("cpu.stat", "user_usec 3\nsystem_usec 1\n")]);
    let found = read(&mut totals, &hierarchies, "/pod/c");
    assert_eq!(
        found.get("cpu_user_ns"),
        Some(&3_000),
        "another cgroup of the same path"
    );
}

/// As `docker update` changes it. A pod's limit is still the lower one for memory.
#[test]
fn a_limit_that_changes_is_that_of_the_same_second() {
    let folder = tempfile::tempdir().unwrap();
    let hierarchies = v2(folder.path());
    let cgroup = folder.path().join("pod/c");
    let mut totals = Totals::new(false);
    let mut limits = |cpu: &str, memory: &str| {
        write(&cgroup, &[("cpu.max", cpu), ("memory.max", memory)]);
        let found = read(&mut totals, &hierarchies, "/pod/c");
        let limit = |name: &str| found.get(name).copied();
        (limit("cpu_limit_millicores"), limit("memory_limit_bytes"))
    };
    assert_eq!(limits("150000 100000\n", "800\n"), (Some(1_500), Some(800)));
    assert_eq!(limits("50000 100000\n", "900\n"), (Some(500), Some(900)));
    assert_eq!(limits("max 100000\n", "9000\n"), (None, Some(1_000)));
    assert_eq!(limits("25000 100000\n", "max\n"), (Some(250), Some(1_000)));
}

#[test]
fn a_container_of_v1() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (controller, files) in [
        (
            "cpuacct",
            vec![
                ("cpuacct.usage", "1000\n"),
                ("cpuacct.stat", "user 3\nsystem 1\n"),
            ],
        ),
        (
            "cpu",
            vec![
                (
                    "cpu.stat",
                    "nr_periods 9\nnr_throttled 4\nthrottled_time 5\n",
                ),
                ("cpu.cfs_quota_us", "-1\n"),
                ("cpu.cfs_period_us", "100000\n"),
            ],
        ),
        (
            "memory",
            vec![
                ("memory.usage_in_bytes", "77\n"),
                ("memory.max_usage_in_bytes", "99\n"),
                ("memory.limit_in_bytes", "9223372036854771712\n"),
                (
                    "memory.stat",
                    "cache 1\nrss 2\ntotal_cache 10\ntotal_rss 20\ntotal_swap 0\n",
                ),
                (
                    "memory.oom_control",
                    "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
                ),
            ],
        ),
        ("pids", vec![("pids.current", "1\n"), ("pids.max", "50\n")]),
        (
            "blkio",
            vec![
                (
                    "blkio.throttle.io_service_bytes_recursive",
                    "8:0 Read 5\n8:0 Write 6\n8:0 Total 11\nTotal 11\n",
                ),
                (
                    "blkio.throttle.io_serviced_recursive",
                    "8:0 Read 1\n8:0 Write 2\n8:0 Total 3\nTotal 3\n",
                ),
            ],
        ),
    ] {
        write(&root.join(controller), &[("cgroup.procs", "")]);
        write(&root.join(controller).join("docker/c"), &files);
    }
    let hierarchies = Hierarchies::under(root).unwrap();
    let found = read(&mut Totals::new(true), &hierarchies, "/docker/c");
    let expected = BTreeMap::from([
        ("cpu_user_ns", 750),
        ("cpu_system_ns", 250),
        ("cpu_throttled_ns", 5),
        ("cpu_throttled_periods", 4),
        ("block_in_bytes", 5),
        ("block_out_bytes", 6),
        ("block_in_ops", 1),
        ("block_out_ops", 2),
        ("oom_kills", 2),
        ("memory_current_bytes", 77),
        ("memory_peak_bytes", 99),
        ("memory_file_bytes", 10),
        ("memory_anon_bytes", 20),
        ("memory_swap_bytes", 0),
        ("tasks", 1),
        ("tasks_limit", 50),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn user_and_system_of_v1_never_fall() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let usage = |sum: &str, ticks: &str| {
        let files = [("cpuacct.usage", sum), ("cpuacct.stat", ticks)];
        write(&root.join("cpuacct/c"), &files);
    };
    write(&root.join("cpuacct"), &[("cgroup.procs", "")]);
    usage("1000", "user 4\nsystem 0\n");
    let hierarchies = Hierarchies::under(root).unwrap();
    let mut totals = Totals::new(true);
    assert_eq!(read(&mut totals, &hierarchies, "/c")["cpu_user_ns"], 1_000);
    usage("1100", "user 4\nsystem 4\n");
    let found = read(&mut totals, &hierarchies, "/c");
    assert_eq!(
        (found.get("cpu_user_ns"), found.get("cpu_system_ns")),
        (None, Some(&100))
    );
}

#[test]
fn a_removed_container() {
    let folder = tempfile::tempdir().unwrap();
    let hierarchies = v2(folder.path());
    let mut any = false;
    assert!(!Totals::new(true).read(&hierarchies, "/pod/gone", |_, _| any = true));
    assert!(!any);
}

#[test]
fn figures_that_are_not_read_in_time_are_one_loss() {
    const SECONDS: u64 = 1_000;
    let at = SECONDS * SECOND;
    let id = "3f".repeat(32);
    let path = format!("/docker/{id}");
    let folder = tempfile::tempdir().unwrap();
    let cgroup = folder.path().join(&path[1..]);
    let hierarchies = v2(folder.path());
    write(&cgroup, &[("cpu.stat", "user_usec 7\nsystem_usec 0\n")]);
    let mut containers = Containers::new(hierarchies, Rules::default(), false);
    let mut window = Window::new(SourceId([1; 16]), SECONDS);
    let cgroup_id = fs::metadata(&cgroup).unwrap().ino();
    containers.created(at, cgroup_id, Some(&path), &mut window);
    containers.read_totals_of(at, cgroup_id, &mut window);
    // Files of a removed cgroup fail to read, open ones too. This one reads as empty.
    fs::write(cgroup.join("cpu.stat"), "").unwrap();
    fs::remove_dir_all(&cgroup).unwrap();
    containers.read_totals_of(at, cgroup_id, &mut window);
    containers.read_totals_of(at, cgroup_id, &mut window);
    window.close_all();
    let segments = window.take_closed();
    let losses: Vec<_> = segments[0]
        .losses
        .iter()
        .map(|cell| (cell.row.0, cell.value.count))
        .collect();
    assert_eq!(losses, [(Reason::CGROUP_GONE.0, 1)]);
}

#[test]
fn hostile_files() {
    let folder = tempfile::tempdir().unwrap();
    let hierarchies = v2(folder.path());
    let huge = "99999999999999999999999999";
    write(
        &folder.path().join("pod/c"),
        &[
            (
                "cpu.stat",
                &format!(
                    "user_usec {}\nsystem_usec\nthrottled_usec {huge}\n",
                    u64::MAX
                ),
            ),
            ("cpu.max", "5 0\n"),
            ("memory.current", huge),
            ("memory.stat", "\n \nfile\nanon x"),
            (
                "io.stat",
                "8:0\n8:0 rbytes=18446744073709551615\n8:1 rbytes=18446744073709551615 =\n\n",
            ),
            ("cpu.pressure", "some total=18446744073709551615\n"),
        ],
    );
    let found = read(&mut Totals::new(true), &hierarchies, "/pod/c");
    assert_eq!(found.get("block_in_bytes"), Some(&u64::MAX));
    assert_eq!(found.get("cpu_limit_millicores"), None);
    assert_eq!(found.get("memory_current_bytes"), None);
    assert_eq!(
        found.get("cpu_user_ns"),
        None,
        "system is missing, so neither is right"
    );
    assert_eq!(Metric::ALL.len(), 28, "a new figure needs a reader here");
}

/// A folder in place of a file fails to be read, as a file does without a free descriptor.
#[test]
fn limits_that_cannot_be_read_stay() {
    let folder = tempfile::tempdir().unwrap();
    let hierarchies = v2(folder.path());
    let mut totals = Totals::new(true);
    let before = read(&mut totals, &hierarchies, "/pod/c");
    let limit = Metric::MEMORY_LIMIT.name();
    assert_eq!(before.get(limit), Some(&1000));

    fs::remove_file(folder.path().join("pod/memory.max")).unwrap();
    fs::create_dir(folder.path().join("pod/memory.max")).unwrap();
    for _ in 0..super::SLOW_INTERVAL {
        let after = read(&mut totals, &hierarchies, "/pod/c");
        assert_eq!(after.get(limit), Some(&1000));
    }
    assert!(totals.take_failure().is_some());
}

/// A pod with a quota and a container in it, as v1 and as v2, with what the pod was throttled so far.
fn limited_pod(root: &Path, is_v1: bool) -> (Hierarchies, impl Fn(u64)) {
    let (pod, stat, unit) = if is_v1 {
        let cpu = root.join("cpu,cpuacct");
        write(&cpu, &[("cgroup.procs", "")]);
        write(
            &cpu.join("pod"),
            &[
                ("cpu.cfs_quota_us", "50000"),
                ("cpu.cfs_period_us", "100000"),
            ],
        );
        write(
            &cpu.join("pod/c"),
            &[
                ("cpu.cfs_quota_us", "-1"),
                ("cpu.stat", "throttled_time 0\n"),
            ],
        );
        (cpu.join("pod"), "throttled_time", 1)
    } else {
        write(root, &[("cgroup.controllers", "cpu")]);
        write(&root.join("pod"), &[("cpu.max", "50000 100000")]);
        let stat = "user_usec 0\nsystem_usec 0\nthrottled_usec 0\n";
        write(
            &root.join("pod/c"),
            &[("cpu.max", "max 100000"), ("cpu.stat", stat)],
        );
        (root.join("pod"), "throttled_usec", 1_000)
    };
    let throttled = move |ns: u64| {
        let text = format!("nr_throttled 3\n{stat} {}\n", ns / unit);
        fs::write(pod.join("cpu.stat"), text).unwrap();
    };
    throttled(7_000_000);
    (Hierarchies::under(root).unwrap(), throttled)
}

#[test]
fn what_a_limit_above_holds_back_counts_from_the_start() {
    for is_v1 in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (hierarchies, throttled) = limited_pod(folder.path(), is_v1);
        let mut totals = Totals::new(true);
        totals.read_limits(&hierarchies, "/pod/c");
        throttled(9_000_000);
        let mut above = || {
            let found = read(&mut totals, &hierarchies, "/pod/c");
            assert_eq!(found.get("cpu_limit_millicores"), Some(&500), "{is_v1}");
            assert_eq!(found.get("cpu_limit_level"), Some(&1), "{is_v1}");
            found.get("cpu_throttled_above_ns").copied()
        };
        assert_eq!(above(), Some(2_000_000), "{is_v1}");
        assert_eq!(above(), Some(0), "{is_v1}");
        throttled(12_000_000);
        assert_eq!(above(), Some(3_000_000), "{is_v1}");
        assert!(totals.take_failure().is_none());
        // Its own quota is in its own figure.
        let own = read(&mut Totals::new(true), &hierarchies, "/pod");
        assert_eq!(own.get("cpu_throttled_above_ns"), None, "{is_v1}");
        assert_eq!(own.get("cpu_limit_level"), None, "{is_v1}");
    }
}

#[test]
fn the_root_of_a_namespace_has_limits() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(
        root,
        &[
            ("cgroup.controllers", "cpu memory cpuset"),
            ("cpu.max", "100000 100000"),
            ("memory.max", "max"),
            ("memory.high", "4096"),
        ],
    );
    write(
        &root.join("c"),
        &[
            ("cpu.max", "max 100000"),
            ("memory.max", "8192"),
            ("memory.current", "1"),
            ("cpuset.cpus.effective", "0-1,4"),
        ],
    );
    let hierarchies = Hierarchies::under(root).unwrap();
    let found = read(&mut Totals::new(true), &hierarchies, "/c");
    let of = |metric: Metric| found.get(metric.name()).copied();
    assert_eq!(of(Metric::CPU_LIMIT), Some(1_000));
    assert_eq!(of(Metric::CPU_LIMIT_LEVEL), Some(1));
    assert_eq!(of(Metric::MEMORY_LIMIT), Some(4_096));
    assert_eq!(of(Metric::MEMORY_LIMIT_LEVEL), Some(1));
    assert_eq!(of(Metric::CPUSET_CORES), Some(3));
}

#[test]
fn a_v1_limit_above_the_mount_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let memory = folder.path().join("memory");
    write(&memory, &[("cgroup.procs", "")]);
    let stat = "total_rss 5\nhierarchical_memory_limit 4096\n";
    write(
        &memory.join("c"),
        &[
            ("memory.usage_in_bytes", "1"),
            ("memory.limit_in_bytes", "8192"),
            ("memory.stat", stat),
        ],
    );
    let hierarchies = Hierarchies::under(folder.path()).unwrap();
    let found = read(&mut Totals::new(true), &hierarchies, "/c");
    let of = |metric: Metric| found.get(metric.name()).copied();
    assert_eq!(of(Metric::MEMORY_LIMIT), Some(4_096));
    assert_eq!(of(Metric::MEMORY_LIMIT_LEVEL), Some(2), "above the root");
}
