use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bubble_common::segment::loss::Reason;
use bubble_common::segment::total::Metric;
use bubble_common::segment::{ContainerId, Segment, SourceId};

use super::Procfs;
use super::tree::{Tree, Waited};
use crate::clock::{Clock, SECOND};
use crate::container::hierarchy::Hierarchies;
use crate::container::rule::{Found, Rules};
use crate::container::{Containers, HostFacts};
use crate::proc::TICK;
use crate::sink::Sink;
use crate::source::{Host, Source};
use crate::window::Window;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const T: u64 = 1_800_000_000;

#[test]
fn a_process_that_renames_itself_is_one_row() {
    let root = tempfile::tempdir().unwrap();
    let proc = root.path().join("proc");
    let mut bench = Bench::new(root.path());
    let cgroup = format!("/docker/{ID}");
    let mut rename = |name: &str, stack: u64| {
        process(&proc, 10, name, &cgroup, 500, 0);
        let stat = fs::read_to_string(proc.join("10/stat")).unwrap();
        let stat = stat.replace(" 2 0 0 0 0 ", &format!(" 2 0 0 0 {stack} "));
        fs::write(proc.join("10/stat"), stat).unwrap();
        let found = bench.drain()[0].processes[0].clone();
        (found.name, found.id.exec)
    };
    for (name, stack, exec) in [("a", 7, 0), ("b", 7, 0), ("b", 8, 1), ("c", 8, 1)] {
        assert_eq!(rename(name, stack), (name.to_owned(), exec));
    }
}

#[test]
fn a_process_stays_itself_when_the_clock_is_set() {
    let root = tempfile::tempdir().unwrap();
    let proc = root.path().join("proc");
    let mut bench = Bench::new(root.path());
    let cgroup = format!("/docker/{ID}");
    let exec = |bench: &mut Bench, name: &str| {
        process(&proc, 10, name, &cgroup, 500, 0);
        bench.drain()[0].processes[0].id
    };
    let first = exec(&mut bench, "a");
    bench.clock.shift(300);
    let second = exec(&mut bench, "b");
    assert_eq!(
        (second.start, second.exec),
        (first.start, first.exec + 1),
        "another program of the same process"
    );
}

/// Writes a process as /proc shows it.
fn process(proc: &Path, pid: u32, name: &str, cgroup: &str, ticks: u64, bytes: u64) {
    let folder = proc.join(pid.to_string());
    fs::create_dir_all(&folder).unwrap();
    let stat = format!(
        "{pid} ({name}) R 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 100 4096 2 0 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0"
    );
    fs::write(folder.join("stat"), stat).unwrap();
    fs::write(folder.join("statm"), "10 3 1 0 0 2 0\n").unwrap();
    fs::write(folder.join("cgroup"), format!("0::{cgroup}\n")).unwrap();
    let io = format!("rchar: {bytes}\nwchar: 0\nsyscr: 1\nsyscw: 0\n");
    fs::write(folder.join("io"), io).unwrap();
    fs::write(
        folder.join("status"),
        format!("Uid:\t5\t5\nGid:\t8\t8\nNSpid:\t{pid}\t1\n"),
    )
    .unwrap();
    fs::write(folder.join("cmdline"), format!("{name}\0-x\0")).unwrap();
}

struct Bench {
    source: Procfs,
    containers: Containers,
    window: Window,
    clock: Clock,
    second: u64,
}

impl Bench {
    fn new(root: &Path) -> Self {
        let cgroups = root.join("cgroup");
        fs::create_dir_all(cgroups.join("docker").join(ID)).unwrap();
        fs::write(cgroups.join("cgroup.controllers"), "").unwrap();
        let hierarchies = Hierarchies::under(&cgroups).unwrap();
        let mut source = Procfs::under(&root.join("proc"));
        // The numbers of these processes are those of others on the host.
        source.runs = |_, _| false;
        Self {
            source,
            containers: Containers::new(hierarchies, Rules::default(), false),
            window: Window::new(SourceId([1; 16]), T),
            clock: Clock::new(),
            second: T,
        }
    }

    fn drain(&mut self) -> Vec<Segment> {
        let at = self.second * SECOND;
        let mut host = Host {
            clock: &self.clock,
            containers: &mut self.containers,
        };
        self.source.drain(at, &mut host, &mut self.window).unwrap();
        self.second += 1;
        self.window.advance(self.second * SECOND);
        self.window.take_closed()
    }
}

#[test]
fn a_process_that_cannot_be_read_for_a_second_is_not_a_new_one() {
    let root = tempfile::tempdir().unwrap();
    let proc = root.path().join("proc");
    let mut bench = Bench::new(root.path());
    let cgroup = format!("/docker/{ID}");
    process(&proc, 10, "web", &cgroup, 500, 1_000);
    bench.drain();
    // A read of a folder fails, as one does without a free descriptor.
    fs::remove_file(proc.join("10/stat")).unwrap();
    fs::create_dir(proc.join("10/stat")).unwrap();
    let unread = bench.drain()[0].clone();
    let losses: Vec<_> = unread.losses.iter().map(|cell| cell.row.0).collect();
    assert_eq!(losses, [Reason::UNREADABLE.0]);

    fs::remove_dir(proc.join("10/stat")).unwrap();
    process(&proc, 10, "web", &cgroup, 503, 1_400);
    let read = &bench.drain()[0];
    let cpu: u64 = read.cpu.iter().map(|cell| cell.value.ns).sum();
    assert_eq!(cpu, 3 * bench.source.tick);
    assert!(read.losses.is_empty());
}

/// Writes a process as a child of another.
fn child(proc: &Path, pid: u32, parent: u32, ticks: u64) {
    process(proc, pid, "x", "", ticks, 0);
    let stat = fs::read_to_string(proc.join(format!("{pid}/stat"))).unwrap();
    let stat = stat.replace(" R 1 ", &format!(" R {parent} "));
    fs::write(proc.join(format!("{pid}/stat")), stat).unwrap();
}

/// A bench whose container is the tree of processes below 10, of a command that starts with counting.
fn tree_bench(root: &Path) -> Bench {
    tree_bench_with(root, &Arc::default())
}

/// The same, with the time of processes that have ended.
fn tree_bench_with(root: &Path, waited: &Arc<Waited>) -> Bench {
    let mut bench = Bench::new(root);
    let found = Found {
        id: ContainerId::new("run").unwrap(),
        full_id: None,
        runtime: "run",
        name: None,
        pod: None,
        job: None,
        user: None,
        path: String::new(),
    };
    let tree = Tree::new(10, found, HostFacts::default(), Arc::clone(waited));
    bench.source.set_tree(tree);
    bench.source.expect_new();
    bench
}

/// Ticks of CPU time, and losses by reason.
fn sums(bench: &mut Bench) -> (u64, Vec<u32>) {
    let segment = bench.drain()[0].clone();
    let ns: u64 = segment.cpu.iter().map(|cell| cell.value.ns).sum();
    let losses = segment.losses.iter().map(|cell| cell.row.0);
    (ns / bench.source.tick, losses.collect())
}

#[test]
fn the_time_of_a_tree_counts_in_the_second_that_used_it() {
    let root = tempfile::tempdir().unwrap();
    let proc = root.path().join("proc");
    let waited = Arc::new(Waited::default());
    let mut bench = tree_bench_with(root.path(), &waited);
    let mut user = || {
        let segment = bench.drain()[0].clone();
        let totals = segment.totals.iter();
        let user = totals.filter(|cell| cell.row.0 == Metric::CPU_USER.0);
        user.map(|cell| cell.value.value).sum::<u64>()
    };
    child(&proc, 10, 1, 70);
    child(&proc, 11, 10, 5);
    assert_eq!(user(), 5 * TICK);
    child(&proc, 12, 11, 3);
    assert_eq!(user(), 3 * TICK);
    // 12 ends after some more time, and its parent waits for it.
    fs::remove_dir_all(proc.join("12")).unwrap();
    assert_eq!(user(), 0, "its parent was read before");
    let stat = fs::read_to_string(proc.join("11/stat")).unwrap();
    fs::write(
        proc.join("11/stat"),
        stat.replace(" 5 0 0 0 20 ", " 5 0 4 0 20 "),
    )
    .unwrap();
    assert_eq!(user(), TICK);
    // 11 ends. The time of what was waited for is exact.
    fs::remove_dir_all(proc.join("11")).unwrap();
    waited.user.store(9 * TICK + 7, Ordering::Relaxed);
    assert_eq!(user(), 7);
}

#[test]
fn a_member_that_cannot_be_read_keeps_its_children() {
    let root = tempfile::tempdir().unwrap();
    let proc = root.path().join("proc");
    let mut bench = tree_bench(root.path());
    child(&proc, 10, 1, 0);
    child(&proc, 11, 10, 2);
    child(&proc, 12, 11, 3);
    assert_eq!(sums(&mut bench), (5, vec![]));
    fs::remove_file(proc.join("11/stat")).unwrap();
    fs::create_dir(proc.join("11/stat")).unwrap();
    child(&proc, 12, 11, 7);
    assert_eq!(sums(&mut bench), (4, vec![Reason::UNREADABLE.0]));
}

#[test]
fn what_a_member_does_before_it_is_known_counts_later() {
    let root = tempfile::tempdir().unwrap();
    let proc = root.path().join("proc");
    let mut bench = tree_bench(root.path());
    child(&proc, 10, 1, 0);
    child(&proc, 11, 10, 2);
    assert_eq!(sums(&mut bench), (2, vec![]));
    // A new process hides another one.
    fs::create_dir_all(proc.join("12/stat")).unwrap();
    child(&proc, 13, 12, 5);
    assert_eq!(sums(&mut bench).0, 0);
    child(&proc, 13, 12, 6);
    let (cpu, losses) = sums(&mut bench);
    assert!(cpu == 0 && losses.contains(&Reason::UNREADABLE.0));
    fs::remove_dir(proc.join("12/stat")).unwrap();
    child(&proc, 12, 11, 1);
    assert_eq!(sums(&mut bench), (7, vec![]));
}

#[test]
fn a_tree_that_cannot_be_listed_keeps_its_members() {
    let root = tempfile::tempdir().unwrap();
    let proc = root.path().join("proc");
    let mut bench = tree_bench(root.path());
    child(&proc, 10, 1, 0);
    child(&proc, 11, 10, 2);
    assert_eq!(sums(&mut bench), (2, vec![]));
    let mut tree = bench.source.tree.take().unwrap();
    tree.find(
        &root.path().join("absent"),
        |_, _| false,
        T * SECOND,
        &mut bench.window,
    );
    assert!(tree.container(11).is_some() && tree.is_unknown(12));
}

#[test]
fn a_hidden_process_counts_on_when_it_is_seen_again() {
    let root = tempfile::tempdir().unwrap();
    let proc = root.path().join("proc");
    let mut bench = Bench::new(root.path());
    let cgroup = format!("/docker/{ID}");
    process(&proc, 10, "web", &cgroup, 0, 0);
    bench.drain();
    process(&proc, 11, "sudo", &cgroup, 40, 0);
    assert_eq!(sums(&mut bench), (40, vec![]));
    // It runs a program of another user, so it is not listed any more.
    fs::remove_dir_all(proc.join("11")).unwrap();
    bench.source.runs = |pid, session| (pid, session) == (11, 1);
    for _ in 0..2 {
        assert_eq!(sums(&mut bench), (0, vec![Reason::UNREADABLE.0]));
    }
    process(&proc, 11, "sudo", &cgroup, 47, 0);
    assert_eq!(sums(&mut bench), (7, vec![]));

    // Another process has its number, in the same session.
    process(&proc, 11, "next", &cgroup, 5, 0);
    let stat = fs::read_to_string(proc.join("11/stat")).unwrap();
    fs::write(
        proc.join("11/stat"),
        stat.replace(" 100 4096 ", " 200 4096 "),
    )
    .unwrap();
    assert_eq!(sums(&mut bench), (5, vec![]));
    assert_eq!(bench.source.tracked.len(), 2);
}

#[test]
fn a_hidden_member_stays_one_when_its_parent_ends() {
    let root = tempfile::tempdir().unwrap();
    let proc = root.path().join("proc");
    let mut bench = tree_bench(root.path());
    child(&proc, 10, 1, 0);
    child(&proc, 11, 10, 2);
    child(&proc, 12, 11, 30);
    child(&proc, 13, 12, 4);
    assert_eq!(sums(&mut bench), (36, vec![]));
    // 12 runs a program of another user, and its parent ends.
    fs::remove_dir_all(proc.join("11")).unwrap();
    fs::remove_dir_all(proc.join("12")).unwrap();
    bench.source.runs = |pid, session| (pid, session) == (12, 1);
    child(&proc, 13, 12, 5);
    for grown in [1, 0] {
        assert_eq!(sums(&mut bench), (grown, vec![Reason::UNREADABLE.0]));
    }
    child(&proc, 12, 10, 33);
    assert_eq!(sums(&mut bench), (3, vec![]));
    fs::remove_dir_all(proc.join("12")).unwrap();
    bench.source.runs = |_, _| false;
    child(&proc, 13, 10, 6);
    assert_eq!(sums(&mut bench), (1, vec![]));
    assert_eq!(bench.source.tracked.len(), 2, "10 and 13");
}

/// With hidepid=1 a process is listed, and cannot be read.
#[test]
fn an_unread_member_stays_one_when_its_parent_ends() {
    let root = tempfile::tempdir().unwrap();
    let proc = root.path().join("proc");
    let mut bench = tree_bench(root.path());
    child(&proc, 10, 1, 0);
    child(&proc, 11, 10, 2);
    child(&proc, 12, 11, 30);
    assert_eq!(sums(&mut bench), (32, vec![]));
    fs::remove_dir_all(proc.join("11")).unwrap();
    fs::remove_file(proc.join("12/stat")).unwrap();
    fs::create_dir(proc.join("12/stat")).unwrap();
    for _ in 0..2 {
        assert_eq!(sums(&mut bench), (0, vec![Reason::UNREADABLE.0]));
        let tree = bench.source.tree.as_ref().unwrap();
        assert!(tree.container(12).is_some());
    }
    fs::remove_dir(proc.join("12/stat")).unwrap();
    child(&proc, 12, 10, 33);
    assert_eq!(sums(&mut bench), (3, vec![]));
}

#[test]
fn reads_and_writes_that_cannot_be_read_for_a_second_count_later() {
    let root = tempfile::tempdir().unwrap();
    let proc = root.path().join("proc");
    let mut bench = Bench::new(root.path());
    let cgroup = format!("/docker/{ID}");
    process(&proc, 10, "web", &cgroup, 0, 1_000);
    bench.drain();
    fs::remove_file(proc.join("10/io")).unwrap();
    fs::create_dir(proc.join("10/io")).unwrap();
    assert_eq!(sums(&mut bench), (0, vec![Reason::UNREADABLE.0]));
    fs::remove_dir(proc.join("10/io")).unwrap();
    process(&proc, 10, "web", &cgroup, 0, 1_400);
    let read = &bench.drain()[0].file_io;
    assert_eq!(
        read.iter().map(|cell| cell.value.bytes_in).sum::<u64>(),
        400
    );
}

#[test]
fn a_process_of_a_container() {
    let root = tempfile::tempdir().unwrap();
    let proc = root.path().join("proc");
    let mut bench = Bench::new(root.path());
    let cgroup = format!("/docker/{ID}");
    process(&proc, 10, "web", &cgroup, 500, 1_000);
    process(&proc, 11, "sshd", "/system.slice/ssh.service", 500, 1_000);
    let first = bench.drain();
    assert!(
        first.iter().all(|segment| segment.cpu.is_empty()),
        "what was counted before the first scan is not news"
    );

    process(&proc, 10, "web", &cgroup, 503, 1_400);
    process(&proc, 11, "sshd", "/system.slice/ssh.service", 900, 2_000);
    process(&proc, 12, "new", &cgroup, 2, 50);
    let second = &bench.drain()[0];
    assert_eq!(second.key.container.as_str(), ID);
    let names: Vec<_> = second.processes.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["web", "new"]);
    let web = second.cpu.iter().find(|cell| cell.row.0 == 0).unwrap();
    let tick = bench.source.tick;
    assert_eq!((web.row.1, web.value.ns), (1, 3 * tick));
    let bytes: u64 = second.file_io.iter().map(|cell| cell.value.bytes_in).sum();
    assert_eq!(bytes, 450);
    let memory = second.memory[0].value;
    assert_eq!((memory.vm, memory.rss), (10 * memory.rss / 3, memory.rss));
    assert_eq!(memory.private, memory.rss / 3 * 2);
    assert_eq!(
        (second.processes[0].args.as_str(), second.processes[0].uid),
        ("web\0-x", 5)
    );
    assert_eq!(second.processes[0].container_pid, 1);

    // It has changed its user and its title.
    fs::write(
        proc.join("10/status"),
        "Uid:\t5\t6\nGid:\t5\t7\nNSpid:\t10\t1\n",
    )
    .unwrap();
    fs::write(proc.join("10/cmdline"), "web: idle\0\0\0").unwrap();
    let web = bench.drain()[0].processes[0].clone();
    assert_eq!(
        (web.uid, web.gid, &*web.args, web.id.exec),
        (6, Some(7), "web: idle", 0)
    );

    // A process that runs another program is another row; one that ended has no row.
    process(&proc, 10, "other", &cgroup, 504, 1_400);
    fs::remove_dir_all(proc.join("12")).unwrap();
    let third = &bench.drain()[0];
    let found: Vec<_> = third
        .processes
        .iter()
        .map(|p| (p.name.as_str(), p.id.exec))
        .collect();
    assert_eq!(found, [("other", 1)]);
    assert_eq!(bench.source.tracked.len(), 2);
}

#[test]
fn hostile_processes() {
    let root = tempfile::tempdir().unwrap();
    let proc = root.path().join("proc");
    let mut bench = Bench::new(root.path());
    fs::create_dir_all(proc.join("1")).unwrap();
    fs::create_dir_all(proc.join("99999999999")).unwrap();
    fs::write(proc.join("5"), "a file").unwrap();
    process(&proc, 7, "x", "", u64::MAX / 2, u64::MAX);
    bench.drain();
    process(&proc, 7, "x", &format!("/docker/{ID}"), u64::MAX, 0);
    bench.drain();
}
