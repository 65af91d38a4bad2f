//! The form of a report: what its JSON has.

use serde::Serialize;

/// Name and version of the form. The number grows if a field changes its meaning or goes away.
pub const SCHEMA: &str = "bubble-report/1";

/// How much an advice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Something went wrong, or much of what was asked for was not used.
    Warning,
    /// It may be worth a look.
    Note,
}

/// One thing that stands out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Advice {
    /// Name of the rule: `cpu_unused`, `serial`, ….
    pub rule: String,
    /// How much it matters.
    pub weight: Weight,
    /// What stands out, as a sentence.
    pub text: String,
    /// The figure that the rule compares.
    pub value: f64,
    /// What it is compared with.
    pub threshold: f64,
}

impl TimeBudget {
    /// Each state with its time, from what is done to what is not.
    pub fn states(&self) -> [(&'static str, u64); 12] {
        [
            ("running", self.running_ns),
            ("core", self.core_ns),
            ("disk", self.disk_ns),
            ("network", self.network_ns),
            ("lock", self.lock_ns),
            ("pipe", self.pipe_ns),
            ("other", self.other_ns),
            ("child", self.child_ns),
            ("events", self.events_ns),
            ("sleep", self.sleep_ns),
            ("idle", self.idle_ns),
            ("stopped", self.stopped_ns),
        ]
    }
}

/// Defines structs of the report.
macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)+ })+) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)+
        })+
    };
}

parts! {
    /// What a container did. Times are seconds since the Unix epoch, unless a name ends in `_ns`.
    Report {
        /// Name and version of this form: `bubble-report/1`.
        schema: String,
        /// The container.
        container: About,
        /// The time that it is about.
        time: Time,
        /// What stands out, the most important first.
        advice: Vec<Advice>,
        /// CPU.
        cpu: Cpu,
        /// Memory.
        memory: Memory,
        /// Files and pipes.
        files: Files,
        /// Sockets.
        network: Network,
        /// Processes.
        processes: Processes,
        /// Where the time of all threads went; null if no waits were counted.
        budget: Option<TimeBudget>,
        /// Figures by time.
        series: ReportSeries,
        /// Time without activity.
        idle: Idle,
        /// What tasks waited for, as far as the kernel says it of the cgroup.
        pressure: ReportPressure,
        /// Failed connections and out-of-memory kills.
        events: Events,
        /// What rows stand for several entries, beyond a cap. Their sums are exact.
        folded: Folded,
        /// Activity that could not be counted, all of it.
        losses: Vec<Lost>,
        /// What could not be counted there, one sentence each.
        missing: Vec<String>,
    }

    /// The container.
    About {
        /// Its id.
        id: String,
        /// Its name; empty if unknown.
        name: String,
        /// Its image; empty if unknown.
        image: String,
        /// Name of the host; empty if unknown.
        host: String,
        /// Family of hooks that counted: `vfs`, `syscall`, `procfs`, `capture`, …; empty if unknown.
        hooks: String,
        /// Exit code of its first process, 128 and the number for a signal; null if it is not known.
        exit_code: Option<u64>,
    }

    /// The time that a report is about.
    Time {
        /// Its start.
        from: f64,
        /// Its end.
        to: f64,
        /// Wall time in seconds.
        wall_seconds: f64,
        /// Seconds without any data.
        gap_seconds: u64,
        /// Seconds of it that were observed in part.
        partial_seconds: u64,
        /// Length of the longest slot in seconds: what happened within one is not known apart.
        slot_seconds: u64,
        /// The container still runs.
        is_running: bool,
        /// The time limit in seconds; null if none is known.
        limit: Option<Amount>,
        /// How much of it was used at the end, in percent: of a job of Slurm from the start of the job.
        limit_used_percent: Option<f64>,
    }

    /// Where the time of all threads went, ns. Together it is the number of threads times the time.
    TimeBudget {
        /// On a core.
        running_ns: u64,
        /// Waiting for a core, the time held back by a CPU limit included.
        core_ns: u64,
        /// Waiting for files on a disk or over a network file system.
        disk_ns: u64,
        /// Waiting for a socket.
        network_ns: u64,
        /// Waiting for another thread or process: futex, file lock, semaphore.
        lock_ns: u64,
        /// Waiting for one of several events (`poll`, `select`, `epoll`), a signal or a timer.
        events_ns: u64,
        /// Waiting for a child process.
        child_ns: u64,
        /// Sleeping.
        sleep_ns: u64,
        /// Waiting for the other end of a pipe or message queue.
        pipe_ns: u64,
        /// Stopped by a signal or a debugger, or frozen.
        stopped_ns: u64,
        /// Waiting for anything else.
        other_ns: u64,
        /// Threads without work: waits for a lock in seconds in which no thread of the process did
        /// anything.
        idle_ns: u64,
    }

    /// Figures by time, in at most 120 steps.
    ReportSeries {
        /// Start of the first step.
        from: f64,
        /// Length of a step in seconds.
        step_seconds: u64,
        /// Cores used; null where nothing is known.
        cores: Vec<Option<f64>>,
        /// Highest memory, bytes; null where nothing is known.
        memory_bytes: Vec<Option<u64>>,
        /// Time of threads in each state that occurs, by the names of `budget`; empty if no waits were
        /// counted.
        states: Vec<ReportStateSeries>,
    }

    /// Time of threads in one state.
    ReportStateSeries {
        /// The state: `running`, `core`, `disk`, …, `idle`.
        state: String,
        /// Threads in it on average; null where nothing is known.
        threads: Vec<Option<f64>>,
    }

    /// Something that was had, and how that is known.
    Amount {
        /// Number of cores, bytes, or seconds.
        value: f64,
        /// `asked`, `slurm`, `limit`, `cpuset`, `affinity` or `host`.
        source: String,
        /// The cgroup that has the limit, if it is above the container's own; empty if it cannot be seen from
        /// the agent. Null: its own, or no limit.
        cgroup: Option<String>,
    }

    /// CPU.
    Cpu {
        /// CPU time, ns: of all processes, or by the cgroup, if processes were sampled (`procfs`).
        time_ns: u64,
        /// The part of the cgroup's own count that no process accounts for, ns; null if it was not read.
        in_no_process_ns: Option<u64>,
        /// In user mode by the cgroup, ns; null if it was not read.
        user_ns: Option<u64>,
        /// In the kernel by the cgroup, ns; null if it was not read.
        system_ns: Option<u64>,
        /// Cores that it could use; null if unknown.
        cores_had: Option<Amount>,
        /// Cores used on average.
        cores_mean: f64,
        /// Cores used in the busiest slot.
        cores_peak: f64,
        /// Start of that slot; null if nothing was used.
        cores_peak_at: Option<f64>,
        /// The mean in percent of the cores that it could use.
        used_percent: Option<f64>,
        /// Time by core.
        cores: Vec<Core>,
        /// Cores that it could use and never did; null if unknown.
        cores_idle: Option<u64>,
        /// How far the mean of the cores is below the busiest one, in percent; null for a single core,
        /// and if processes moved over more cores than it could use at one time.
        imbalance_percent: Option<f64>,
        /// Time held back by its CPU limit, added up over the cores, ns; null if unknown.
        throttled_ns: Option<u64>,
        /// Time that limits of cgroups above its own held back all in these cgroups, ns, at most what its
        /// threads waited for a core; null if unknown.
        throttled_above_ns: Option<u64>,
        /// Both in percent of the CPU time that would have been used without the limits: used and
        /// held back. So it is at most 100 for any number of threads.
        throttled_percent: Option<f64>,
    }

    /// A core.
    Core {
        /// Its number.
        core: u32,
        /// CPU time on it, ns.
        time_ns: u64,
        /// The same in percent of the time.
        percent: f64,
    }

    /// Memory.
    Memory {
        /// Highest memory in use, bytes; null if unknown.
        peak_bytes: Option<u64>,
        /// When it was reached, to the slot.
        peak_at: Option<f64>,
        /// `cgroup` (page cache included), or `processes`: what they held together. Pages that are not
        /// known as shared count for each.
        peak_source: String,
        /// Highest resident memory of all processes at one time, bytes.
        resident_bytes: Option<u64>,
        /// Highest anonymous memory of the cgroup, bytes.
        anon_bytes: Option<u64>,
        /// Highest page cache of the cgroup, bytes.
        file_bytes: Option<u64>,
        /// Highest swap of the cgroup, bytes.
        swap_bytes: Option<u64>,
        /// What it could use; null if there was no limit and nothing was asked for.
        had: Option<Amount>,
        /// The peak in percent of that.
        used_percent: Option<f64>,
        /// Processes that were killed because memory ran out.
        oom_kills: u64,
        /// How it grew towards the end; null if it did not.
        growth: Option<Growth>,
    }

    /// Memory that grew from each quarter of the time to the next.
    Growth {
        /// What grew: `anonymous` memory of the cgroup, or `resident` memory of the processes.
        what: String,
        /// Mean of the first quarter, bytes.
        from_bytes: u64,
        /// Mean of the last quarter, bytes.
        to_bytes: u64,
    }

    /// Sums of files.
    ReportFileSums {
        /// Bytes read.
        read_bytes: u64,
        /// Bytes written.
        written_bytes: u64,
        /// Calls that read.
        reads: u64,
        /// Calls that wrote.
        writes: u64,
        /// Times that one was opened.
        opens: u64,
        /// Pages of its mappings that a page fault brought in; 0 if nothing counts them.
        mapped_pages: u64,
        /// Time that threads waited for it, summed over threads, ns; 0 if nothing counts it.
        waited_ns: u64,
    }

    /// Files and pipes.
    Files {
        /// Sums of all.
        total: ReportFileSums,
        /// Regular files that were read and never written.
        only_read: FileGroup,
        /// Regular files that were written and never read.
        only_written: FileGroup,
        /// Regular files that were read and written.
        read_and_written: FileGroup,
        /// The file that threads waited for longest; null if they waited for none, or nothing counts it.
        longest_wait: Option<FileRow>,
        /// By file, the busiest first.
        by_file: FileList,
        /// By directory, the busiest first.
        by_directory: FileList,
        /// Read from block devices by the cgroup, bytes; null if unknown.
        block_read_bytes: Option<u64>,
        /// Written to block devices by the cgroup, bytes; null if unknown.
        block_written_bytes: Option<u64>,
    }

    /// Files of one kind.
    FileGroup {
        /// How many; a lower bound if files are folded.
        files: u64,
        /// Bytes that were read from and written to them.
        bytes: u64,
    }

    /// Files or directories.
    FileList {
        /// How many there are.
        count: u64,
        /// The busiest.
        rows: Vec<FileRow>,
        /// Sums of those that `rows` leaves out.
        rest: ReportFileSums,
    }

    /// A file, or a directory with the files in it.
    FileRow {
        /// Its path.
        path: String,
        /// `file`, `directory`, `pipe`, `char`, `block`, `anonymous`, `other` or `unknown`.
        kind: String,
        /// Its sums.
        sums: ReportFileSums,
    }

    /// Sums of sockets.
    NetworkSums {
        /// Bytes received.
        received_bytes: u64,
        /// Bytes sent.
        sent_bytes: u64,
        /// Calls that received.
        receives: u64,
        /// Calls that sent.
        sends: u64,
        /// Connections made or accepted.
        connects: u64,
        /// Connections that failed.
        failures: u64,
        /// Time that threads waited for it, summed over threads, ns; 0 if nothing counts it.
        waited_ns: u64,
    }

    /// Sockets.
    Network {
        /// Sums of all.
        total: NetworkSums,
        /// The peer that threads waited for longest, of those that the container has connected to; null if
        /// they waited for none, or nothing counts it.
        longest_wait: Option<PeerRow>,
        /// How many peers there are.
        count: u64,
        /// The busiest.
        rows: Vec<PeerRow>,
        /// Sums of those that `rows` leaves out.
        rest: NetworkSums,
    }

    /// A peer.
    PeerRow {
        /// Protocol.
        protocol: String,
        /// Role of the container: `client`, `server` or `unknown`.
        role: String,
        /// Address of the peer, without the port of a client.
        address: String,
        /// Its sums.
        sums: NetworkSums,
    }

    /// Sums of processes.
    ProcessSums {
        /// CPU time, ns.
        cpu_ns: u64,
        /// Files.
        files: ReportFileSums,
        /// Sockets.
        network: NetworkSums,
        /// Where the time of their threads went; null if no waits were counted.
        budget: Option<TimeBudget>,
    }

    /// Processes.
    Processes {
        /// How many began.
        started: u64,
        /// How many ended.
        ended: u64,
        /// How many did not end with code 0.
        failed: u64,
        /// How many lived for less than a second.
        short: u64,
        /// By the name of their program, the busiest first.
        commands: Vec<CommandRow>,
        /// How many names there are.
        commands_count: u64,
        /// Sums of those that `commands` leaves out.
        commands_rest: ProcessSums,
        /// Processes, the busiest first: a row for each program that one ran.
        rows: Vec<ProcessRow>,
        /// How many rows there are.
        rows_count: u64,
        /// Sums of those that `rows` leaves out.
        rows_rest: ProcessSums,
        /// Processes that did not end with code 0, by name and end, the most frequent first.
        failures: Vec<FailureRow>,
        /// How many are not in `failures`.
        failures_rest: u64,
    }

    /// Processes that ran a program of one name.
    CommandRow {
        /// The name.
        name: String,
        /// How many processes. One that was forked and then ran another program counts for that.
        processes: u64,
        /// Some are folded, so they may be more.
        is_lower_bound: bool,
        /// Highest resident memory of one of them, bytes.
        memory_bytes: u64,
        /// Their sums.
        own: ProcessSums,
        /// Their sums with those of all their descendants, each counted once. Folded rows have no parent
        /// and are in no such sum.
        with_children: ProcessSums,
    }

    /// A program that one process ran.
    ProcessRow {
        /// Process id on the host; 0 for a folded row.
        pid: u32,
        /// Process id of its parent; 0 if unknown.
        parent: u32,
        /// Its name.
        name: String,
        /// Its command line, words separated by spaces; empty if unknown.
        command: String,
        /// Highest resident memory, bytes.
        memory_bytes: u64,
        /// Its sums.
        sums: ProcessSums,
        /// How it ended: `code 1`, `signal 9`; null if it did not, or continued as another program.
        exit: Option<String>,
    }

    /// Processes that failed in the same way.
    FailureRow {
        /// Their name.
        name: String,
        /// `code 1`, `signal 9`.
        exit: String,
        /// How many.
        count: u64,
    }

    /// Time in which less than 1 % of one core was used.
    Idle {
        /// Seconds in all.
        seconds: u64,
        /// The same in percent of the known time.
        percent: f64,
        /// The longest phases, the longest first.
        phases: Vec<Phase>,
    }

    /// A part of the time.
    Phase {
        /// Its start.
        from: f64,
        /// Its length.
        seconds: u64,
    }

    /// Percentage of time in which some task waited; null if unknown.
    ReportPressure {
        /// For a core.
        cpu_percent: Option<f64>,
        /// For memory.
        memory_percent: Option<f64>,
        /// For I/O.
        io_percent: Option<f64>,
    }

    /// Events.
    Events {
        /// How many there are.
        count: u64,
        /// The first.
        rows: Vec<EventRow>,
    }

    /// An event.
    EventRow {
        /// When.
        at: f64,
        /// `connection_failed`, `oom_kill`, …
        kind: String,
        /// Name of the process; empty if unknown.
        process: String,
        /// Details.
        detail: String,
    }

    /// What rows stand for several entries.
    Folded {
        /// Processes.
        processes: bool,
        /// Files.
        files: bool,
        /// Connections.
        connections: bool,
    }

    /// Activity that could not be counted.
    Lost {
        /// Why.
        reason: String,
        /// How many times.
        count: u64,
        /// How many bytes, where that is known.
        bytes: u64,
    }
}
