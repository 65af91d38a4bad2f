//! Prints the calls of the eBPF source to its sink, second by second. It shows what the kernel side
//! counts, without window, spool and server.
//!
//! `cargo run --release -p bubble-agent --example watch -- [SECONDS] [vfs|syscall] [CGROUP…]`
//! (as root; each CGROUP is a pattern of paths of additional containers).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bubble_agent::clock::{Clock, SECOND};
use bubble_agent::container::Containers;
use bubble_agent::container::glob::Glob;
use bubble_agent::container::hierarchy::Hierarchies;
use bubble_agent::container::rule::{Rules, UserRule};
use bubble_agent::sink::{ConnectionHandle, ContainerHandle, FileHandle, ProcessHandle, Sink};
use bubble_agent::source::ebpf::hook::Family;
use bubble_agent::source::ebpf::{Ebpf, Options};
use bubble_agent::source::{Host, Source as _};
use bubble_common::segment::ContainerId;
use bubble_common::segment::event::EventKind;
use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Connection, NetworkIo};
use bubble_common::segment::process::{Memory, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::wait::KINDS;

/// Prints each call, with handles as numbers.
#[derive(Default)]
struct Printer {
    containers: HashMap<ContainerId, u32>,
    processes: HashMap<(u32, ProcessId), u32>,
    files: HashMap<(u32, File), u32>,
    connections: HashMap<(u32, Connection), u32>,
    cpu: HashMap<u32, u64>,
}

fn number<K: Eq + std::hash::Hash>(all: &mut HashMap<K, u32>, key: K) -> u32 {
    let next = all.len() as u32;
    *all.entry(key).or_insert(next)
}

impl Sink for Printer {
    fn container(&mut self, id: &ContainerId) -> ContainerHandle {
        let handle = number(&mut self.containers, id.clone());
        println!("container {handle}: {id}");
        ContainerHandle(handle)
    }

    fn fact(&mut self, _: ContainerHandle, _: &str, _: &str) {}

    fn process(&mut self, container: ContainerHandle, process: &Process) -> ProcessHandle {
        let handle = number(&mut self.processes, (container.0, process.id));
        println!("process {handle} of {}: {process:?}", container.0);
        ProcessHandle(handle)
    }

    fn file(&mut self, container: ContainerHandle, file: &File) -> FileHandle {
        let handle = number(&mut self.files, (container.0, file.clone()));
        println!("file {handle} of {}: {file:?}", container.0);
        FileHandle(handle)
    }

    fn connection(
        &mut self,
        container: ContainerHandle,
        connection: &Connection,
    ) -> ConnectionHandle {
        let handle = number(&mut self.connections, (container.0, connection.clone()));
        println!("connection {handle} of {}: {connection:?}", container.0);
        ConnectionHandle(handle)
    }

    fn cpu(&mut self, at: u64, process: ProcessHandle, core: u32, ns: u64) {
        *self.cpu.entry(process.0).or_default() += ns;
        println!(
            "cpu {} process {} core {core} ns {ns}",
            at / SECOND,
            process.0
        );
    }

    fn waits(&mut self, at: u64, process: ProcessHandle, ns: [u64; KINDS]) {
        println!("waits {} process {} {ns:?}", at / SECOND, process.0);
    }

    fn memory(&mut self, _: u64, process: ProcessHandle, memory: Memory) {
        println!("memory process {} {memory:?}", process.0);
    }

    fn file_io(&mut self, _: u64, process: ProcessHandle, file: FileHandle, io: FileIo) {
        println!("file_io process {} file {} {io:?}", process.0, file.0);
    }

    fn network_io(
        &mut self,
        _: u64,
        process: ProcessHandle,
        connection: ConnectionHandle,
        io: NetworkIo,
    ) {
        println!(
            "network_io process {} connection {} {io:?}",
            process.0, connection.0
        );
    }

    fn file_wait(&mut self, _: u64, process: ProcessHandle, file: FileHandle, ns: u64) {
        println!("file_wait process {} file {} {ns}", process.0, file.0);
    }

    fn connection_wait(
        &mut self,
        _: u64,
        process: ProcessHandle,
        connection: ConnectionHandle,
        ns: u64,
    ) {
        println!(
            "connection_wait process {} connection {} {ns}",
            process.0, connection.0
        );
    }

    fn total(&mut self, _: u64, container: ContainerHandle, metric: Metric, value: u64) {
        println!("total container {} {} {value}", container.0, metric.name());
    }

    fn event(
        &mut self,
        at: u64,
        container: ContainerHandle,
        kind: EventKind,
        process: Option<ProcessHandle>,
        detail: &str,
    ) {
        println!(
            "event {at} container {} {} {process:?} {detail}",
            container.0,
            kind.name()
        );
    }

    fn loss(&mut self, _: u64, _: Option<ContainerHandle>, reason: Reason, loss: Loss) {
        println!("loss {} {loss:?}", reason.name());
    }

    fn alive(&mut self, _: u64, _: ContainerHandle) {}

    fn release_process(&mut self, process: ProcessHandle) {
        println!("released process {}", process.0);
    }

    fn release_container(&mut self, container: ContainerHandle) {
        println!("released container {}", container.0);
    }

    fn advance(&mut self, _: u64) {}
}

fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let mut words = std::env::args().skip(1).peekable();
    let seconds: u64 = words
        .next_if(|word| word.parse::<u64>().is_ok())
        .map_or(Ok(10), |word| word.parse())?;
    let family = words
        .next_if(|word| ["vfs", "syscall"].contains(&word.as_str()))
        .map(|word| {
            if word == "vfs" {
                Family::Vfs
            } else {
                Family::Syscall
            }
        });
    let user = words
        .map(|pattern| UserRule {
            pattern: Glob::new(&pattern),
            name: None,
        })
        .collect();
    let rules = Rules {
        host: "here".to_owned(),
        systemd: false,
        user,
        only: None,
    };
    let hierarchies = Hierarchies::mounted(std::path::Path::new("/proc"))?;
    let mut containers = Containers::new(hierarchies, rules, false);
    containers.choose_primary()?;
    let options = Options {
        family,
        ..Options::default()
    };
    let mut source = Ebpf::start(&options, containers.hierarchies().primary())?;
    for finding in source.findings() {
        eprintln!("{}: {:?}", finding.hook.program, finding.state);
    }
    eprintln!("hooks {}, missing {:?}", source.hooks(), source.missing());
    let clock = Clock::new();
    let mut sink = Printer::default();
    containers.scan(clock.now(), &mut sink);
    for _ in 0..seconds {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(100));
            let mut host = Host {
                clock: &clock,
                containers: &mut containers,
            };
            source.poll(&mut host, &mut sink);
        }
        let mut host = Host {
            clock: &clock,
            containers: &mut containers,
        };
        let begun = Instant::now();
        source
            .drain(clock.now() - SECOND / 2, &mut host, &mut sink)
            .context("cannot go on")?;
        println!("drained in {:?}", begun.elapsed());
    }
    let mut cpu: Vec<_> = sink.cpu.iter().collect();
    cpu.sort();
    println!("cpu by process: {cpu:?}");
    println!("kernel_ns {}", source.kernel_ns());
    Ok(())
}
