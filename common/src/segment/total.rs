//! Totals: the figures of the container's cgroup.

use super::cell::{Row, Value, add, max};

/// A figure of the cgroup: the first index of a row of totals.
///
/// Numbers below 0x8000 are counts within the slot and add up. Numbers from 0x8000
/// are measurements, and the highest counts. So a reader can merge even a metric
/// that it does not know. [`super::census`] has ranges of numbers of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Metric(pub u32);

macro_rules! metrics {
    ($($(#[$doc:meta])* $constant:ident = $number:literal, $name:literal;)+) => {
        impl Metric {
            $($(#[$doc])* pub const $constant: Self = Self($number);)+

            /// All metrics that have a name.
            pub const ALL: &[Self] = &[$(Self::$constant),+];

            /// Its name in the API. Empty for a number that this version does not know.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($number => $name,)+
                    _ => "",
                }
            }
        }
    };
}

metrics! {
    /// CPU time in user mode, ns.
    CPU_USER = 0, "cpu_user_ns";
    /// CPU time in the kernel, ns.
    CPU_SYSTEM = 1, "cpu_system_ns";
    /// Time throttled by its CPU limit, added up over the cores, ns.
    CPU_THROTTLED = 2, "cpu_throttled_ns";
    /// Periods in which it was throttled.
    CPU_THROTTLED_PERIODS = 3, "cpu_throttled_periods";
    /// Bytes read from block devices.
    BLOCK_IN = 4, "block_in_bytes";
    /// Bytes written to block devices.
    BLOCK_OUT = 5, "block_out_bytes";
    /// Reads from block devices.
    BLOCK_IN_OPS = 6, "block_in_ops";
    /// Writes to block devices.
    BLOCK_OUT_OPS = 7, "block_out_ops";
    /// Time in which some task waited for a core, ns.
    PRESSURE_CPU_SOME = 8, "pressure_cpu_some_ns";
    /// Time in which some task waited for memory, ns.
    PRESSURE_MEMORY_SOME = 9, "pressure_memory_some_ns";
    /// Time in which all tasks waited for memory, ns.
    PRESSURE_MEMORY_FULL = 10, "pressure_memory_full_ns";
    /// Time in which some task waited for I/O, ns.
    PRESSURE_IO_SOME = 11, "pressure_io_some_ns";
    /// Time in which all tasks waited for I/O, ns.
    PRESSURE_IO_FULL = 12, "pressure_io_full_ns";
    /// Processes ended by the OOM killer.
    OOM_KILLS = 13, "oom_kills";
    /// Processes started.
    PROCESSES_STARTED = 14, "processes_started";
    /// Time that CPU limits of cgroups above its own held back all that is in these, added up over the cores,
    /// ns.
    CPU_THROTTLED_ABOVE = 15, "cpu_throttled_above_ns";
    /// CPU limit in thousandths of a core; absent without a limit.
    CPU_LIMIT = 0x8000, "cpu_limit_millicores";
    /// Memory in use, bytes (page cache included).
    MEMORY_CURRENT = 0x8001, "memory_current_bytes";
    /// Memory limit, bytes; absent without a limit.
    MEMORY_LIMIT = 0x8002, "memory_limit_bytes";
    /// Page cache, bytes (a part of the memory in use).
    MEMORY_FILE = 0x8003, "memory_file_bytes";
    /// Swap in use, bytes.
    MEMORY_SWAP = 0x8004, "memory_swap_bytes";
    /// Anonymous memory, bytes.
    MEMORY_ANON = 0x8005, "memory_anon_bytes";
    /// Tasks (threads) that exist.
    TASKS = 0x8006, "tasks";
    /// Limit of tasks; absent without a limit.
    TASKS_LIMIT = 0x8007, "tasks_limit";
    /// Highest memory in use since the cgroup was created, bytes.
    MEMORY_PEAK = 0x8008, "memory_peak_bytes";
    /// How many levels above its own the cgroup with the CPU limit is; absent if it is its own.
    CPU_LIMIT_LEVEL = 0x8009, "cpu_limit_level";
    /// Likewise for the memory limit. One more than there are levels: above all that the agent sees.
    MEMORY_LIMIT_LEVEL = 0x800a, "memory_limit_level";
    /// Cores that its cpuset allows.
    CPUSET_CORES = 0x800b, "cpuset_cores";
}

impl Metric {
    /// Whether the values of two slots add up. Otherwise the highest counts.
    pub const fn adds(self) -> bool {
        self.0 < 0x8000
    }
}

/// A figure of the container in a slot, in the metric's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// The number.
    pub value: u64,
}

impl Value for Total {
    const COLUMNS: usize = 1;

    fn get(&self, _: usize) -> u64 {
        self.value
    }

    fn set(&mut self, _: usize, number: u64) {
        self.value = number;
    }

    fn absorb(&mut self, row: Row, other: &Self) {
        let rule = if Metric(row.0).adds() { add } else { max };
        rule(&mut self.value, other.value);
    }
}
