// Made from server/openapi.json by `npm run types`; not to be edited.

/** The container. */
export interface About {
  /** Exit code of its first process, 128 and the number for a signal; null if it is not known. */
  exit_code?: number | null;
  /** Family of hooks that counted: `vfs`, `syscall`, `procfs`, `capture`, …; empty if unknown. */
  hooks: string;
  /** Name of the host; empty if unknown. */
  host: string;
  /** Its id. */
  id: string;
  /** Its image; empty if unknown. */
  image: string;
  /** Its name; empty if unknown. */
  name: string;
}

/** Sums that can be compared with the kernel's. */
export interface Accounting {
  /** The cgroup's own count, ns; null when it was not read. */
  cgroup_cpu_ns?: number | null;
  /** The part of the cgroup's count that no process accounts for, in percent. */
  difference_percent?: number | null;
  /** Family of hooks that counted. */
  hooks: string;
  /** Number of losses. Seconds that were observed in part are none. */
  lost: number;
  /** CPU time of all processes, ns. */
  process_cpu_ns: number;
}

/** One thing that stands out. */
export interface Advice {
  /** Name of the rule: `cpu_unused`, `serial`, …. */
  rule: string;
  /** What stands out, as a sentence. */
  text: string;
  /** What it is compared with. */
  threshold: number;
  /** The figure that the rule compares. */
  value: number;
  /** How much it matters. */
  weight: Weight;
}

/** Something that was had, and how that is known. */
export interface Amount {
  /** The cgroup that has the limit, if it is above the container's own; empty if it cannot be seen from the agent. Null: its own, or no limit. */
  cgroup?: string | null;
  /** `asked`, `slurm`, `limit`, `cpuset`, `affinity` or `host`. */
  source: string;
  /** Number of cores, bytes, or seconds. */
  value: number;
}

/** Columns of cells: those of the first lane, then those of the second, …, each in the order of slots and cores. */
export interface CellColumns {
  /** Number of the core. */
  core: number[];
  /** CPU time in µs; less than 1 counts as 1. */
  cpu_us: number[];
  /** Index of the slot. */
  slot: number[];
}

/** Kind of an error: a closed list, for programs. */
export type Code = "bad_request" | "unauthorized" | "link_expired" | "link_revoked" | "forbidden" | "not_found" | "method_not_allowed" | "ambiguous" | "too_large" | "unsupported_version" | "unsupported_media_type" | "malformed" | "too_many_requests" | "internal" | "unavailable";

/** Processes that ran a program of one name. */
export interface CommandRow {
  /** Some are folded, so they may be more. */
  is_lower_bound: boolean;
  /** Highest resident memory of one of them, bytes. */
  memory_bytes: number;
  /** The name. */
  name: string;
  /** Their sums. */
  own: ProcessSums;
  /** How many processes. One that was forked and then ran another program counts for that. */
  processes: number;
  /** Their sums with those of all their descendants, each counted once. Folded rows have no parent and are in no such sum. */
  with_children: ProcessSums;
}

/** Two containers and their differences. */
export interface Comparison {
  /** Differences by name of the command. */
  commands: Differences;
  /** Differences by path. */
  files: Differences;
  /** The one that it is compared with. */
  other: Side;
  /** The container. */
  own: Side;
  /** Differences by peer: `PROTOCOL REMOTE:PORT`. */
  peers: Differences;
}

/** A connection over all processes. */
export type ConnectionInfo = ConnectionSums & {
  /** Keys of the processes. */
  processes: string[];
};

/** A connection, with the sums of its I/O. */
export interface ConnectionSums {
  /** Bytes received. */
  bytes_in: number;
  /** Bytes sent. */
  bytes_out: number;
  /** Connections established, by either side. */
  connects: number;
  /** Connections that failed. */
  failures: number;
  /** Local address. */
  local: string;
  /** Receives. */
  ops_in: number;
  /** Sends. */
  ops_out: number;
  /** Address of the peer. */
  peer: string;
  /** Port of the service: the peer's if the container connected, its own if it accepted. If the role is unknown, the lower one. Null if the protocol has no ports. */
  port?: number | null;
  /** `tcp`, `udp`, `unix`, `unix-datagram`, `raw`, `netlink`, `vsock`, `other`. */
  protocol: string;
  /** The peer without a port that changes with each connection: its IP address, or the path of a Unix socket, whichever end has it. Empty if unknown. */
  remote: string;
  /** Side of the container: `client`, `server`, `unknown`. */
  role: string;
  /** Time that threads waited for it, summed over threads, ns; 0 if nothing counts it. */
  waited_ns: number;
}

/** A container, from the index alone. Times are seconds since the Unix epoch. */
export interface ContainerItem {
  /** Bytes read from files and received, over its life. */
  bytes_in?: number | null;
  /** Bytes written to files and sent, over its life. */
  bytes_out?: number | null;
  /** Cores of the host. */
  cores?: number | null;
  /** Cores used in its latest 10 s; null if it is not running. */
  cpu_now?: number | null;
  /** CPU time over its life, ns; null for a link to a part of it, as the next ones. */
  cpu_ns?: number | null;
  /** End, by its runtime. */
  ended?: number | null;
  /** Exit code of its first process. */
  exit_code?: number | null;
  /** Start of the first slot in which it was seen. */
  first_seen: number;
  /** Family of hooks that counted it: `vfs`, `syscall`, `procfs`, `capture`, `sysdig`; empty if unknown. */
  hooks: string;
  /** Name of the host. */
  host: string;
  /** Memory of the host in bytes. */
  host_memory?: number | null;
  /** Its id: 12 hexadecimal digits (64 if another container has these), or `NAME@HOST`. */
  id: string;
  /** Its image; empty if unknown. */
  image: string;
  /** Labels. */
  labels: Record<string, string>;
  /** End of the last slot in which it was seen. */
  last_seen: number;
  /** Memory limit, bytes. */
  memory_limit?: number | null;
  /** Memory in use when last seen, bytes. */
  memory_now?: number | null;
  /** Highest memory in use, bytes. */
  memory_peak?: number | null;
  /** Name that the runtime gives it; empty if unknown. */
  name: string;
  /** Whether the kernel killed it because memory ran out. */
  oom_killed: boolean;
  posted_by?: PostedBy | null;
  /** Names of its recordings, oldest first; empty if it is only live. */
  recordings: string[];
  /** `docker`, `podman`, `containerd`, `cri-o`, `slurm`, `lxc`, `systemd-nspawn`, `buildkit`, `systemd`, `cgroup`, `run`; empty if unknown. */
  runtime: string;
  /** Cores used in its latest 60 buckets of 10 s, oldest first; null where nothing is known. */
  spark: (number | null)[];
  /** Start, by its runtime. */
  started?: number | null;
  /** Whether it is running. */
  state: State;
  /** User of the host who owns a cgroup above its own, and so could choose its id; null if only root could. */
  user?: number | null;
}

/** A page of the list. */
export interface ContainerList {
  /** The containers of this page. */
  containers: ContainerItem[];
  /** The groups of this page, instead of containers, if the list is grouped. */
  groups?: GroupRow[];
  /** The cursor of the next page; null on the last one. */
  next?: string | null;
  rest?: RowSums | null;
  /** How many containers, or groups, there are on all pages. */
  total: number;
}

/** A core. */
export interface Core {
  /** Its number. */
  core: number;
  /** The same in percent of the time. */
  percent: number;
  /** CPU time on it, ns. */
  time_ns: number;
}

/** A core's values by slot. */
export interface CoreSeries {
  /** Number of the core. */
  core: number;
  /** Percent of it that was used. */
  values: (number | null)[];
}

/** CPU. */
export interface Cpu {
  /** Time by core. */
  cores: Core[];
  cores_had?: Amount | null;
  /** Cores that it could use and never did; null if unknown. */
  cores_idle?: number | null;
  /** Cores used on average. */
  cores_mean: number;
  /** Cores used in the busiest slot. */
  cores_peak: number;
  /** Start of that slot; null if nothing was used. */
  cores_peak_at?: number | null;
  /** How far the mean of the cores is below the busiest one, in percent; null for a single core, and if processes moved over more cores than it could use at one time. */
  imbalance_percent?: number | null;
  /** The part of the cgroup's own count that no process accounts for, ns; null if it was not read. */
  in_no_process_ns?: number | null;
  /** In the kernel by the cgroup, ns; null if it was not read. */
  system_ns?: number | null;
  /** Time that limits of cgroups above its own held back all in these cgroups, ns, at most what its threads waited for a core; null if unknown. */
  throttled_above_ns?: number | null;
  /** Time held back by its CPU limit, added up over the cores, ns; null if unknown. */
  throttled_ns?: number | null;
  /** Both in percent of the CPU time that would have been used without the limits: used and held back. So it is at most 100 for any number of threads. */
  throttled_percent?: number | null;
  /** CPU time, ns: of all processes, or by the cgroup, if processes were sampled (`procfs`). */
  time_ns: number;
  /** The mean in percent of the cores that it could use. */
  used_percent?: number | null;
  /** In user mode by the cgroup, ns; null if it was not read. */
  user_ns?: number | null;
}

/** CPU time of a process on a core. */
export type CpuCell = Who & {
  /** Number of the core. */
  core: number;
  /** CPU time, ns. */
  cpu_ns: number;
};

/** CPU in percent of one core: 100 is one core. */
export interface CpuPanel {
  /** By core. */
  cores: CoreSeries[];
  /** The limit. */
  limit: (number | null)[];
  /** Processes by name: the names that used most, and `(other)`. */
  processes: ProcessPercent[];
  /** In the kernel, by the cgroup. */
  system: (number | null)[];
  /** Time held back by the limit, added up over the cores: above 100 if it held back several. */
  throttled: (number | null)[];
  /** Sum of the processes. */
  total: (number | null)[];
  /** In user mode, by the cgroup. */
  user: (number | null)[];
}

/** A link that was made. */
export interface CreatedShare {
  /** Path and fragment that open it: to be appended to the address of the server. */
  path: string;
  /** The link. */
  share: ShareItem;
  /** Its token. It is shown once. */
  token: string;
}

/** The containers that were deleted. */
export interface DeletedContainers {
  /** Their ids. */
  deleted: string[];
}

/** A command, a file or a peer in both containers. */
export interface Difference {
  /** Its name, path or address. */
  name: string;
  other?: Usage | null;
  own?: Usage | null;
  /** Its largest difference in one figure, as a part (0 to 1) of what the container that used more of it used in all. */
  share: number;
}

/** Rows that differ, those that differ most first. */
export interface Differences {
  /** How many of them are equal in all figures. */
  equal: number;
  /** The same of the other one. */
  rest_other: Usage;
  /** Sums of the rows that are left out, of the container. */
  rest_own: Usage;
  /** The first rows. */
  rows: Difference[];
  /** How many rows there are in all. */
  total: number;
}

/** An error as it is answered. */
export interface ErrorBody {
  /** Kind of error. */
  code: Code;
  /** What to do about it, for people. */
  message: string;
  /** Identifies the request in the log. */
  request_id: string;
}

/** An event, with its process. */
export interface EventCell {
  /** When, seconds since the Unix epoch. */
  at: number;
  /** Number of events that this row stands for: 1, or that of the folded ones. */
  count: number;
  /** More about it: the peer that refused, the exit code. */
  detail: string;
  /** `container_start`, `container_end`, `oom_kill`, `connection_failed`, `folded`. */
  kind: string;
  /** Name of the process; empty if the event has none. */
  name: string;
  /** Process id on the host; 0 if the event has no process. */
  pid: number;
  /** Key of the process; empty if the event has none. */
  process: string;
}

/** An event. */
export interface EventInfo {
  /** When, seconds since the Unix epoch. */
  at: number;
  /** More about it. */
  detail: string;
  /** `container_start`, `container_end`, `oom_kill`, `connection_failed`, `folded`. */
  kind: string;
  /** Key of the process. */
  process?: string | null;
}

/** An event. */
export interface EventRow {
  /** When. */
  at: number;
  /** Details. */
  detail: string;
  /** `connection_failed`, `oom_kill`, … */
  kind: string;
  /** Name of the process; empty if unknown. */
  process: string;
}

/** Events. */
export interface Events {
  /** How many there are. */
  count: number;
  /** The first. */
  rows: EventRow[];
}

/** How a process ended. */
export type ExitInfo = {
  /** It returned this code. */
  code: number;
} | {
  /** This signal killed it. */
  signal: number;
};

/** Processes of one name that failed in the same way. */
export interface FailedProcesses {
  /** How many. */
  count: number;
  /** How they ended: a code other than 0, or a signal. */
  exit: ExitInfo;
  /** Their name. */
  name: string;
}

/** Processes that failed in the same way. */
export interface FailureRow {
  /** How many. */
  count: number;
  /** `code 1`, `signal 9`. */
  exit: string;
  /** Their name. */
  name: string;
}

/** I/O of a process with a file. */
export type FileCell = Who & FileSums;

/** Files of one kind. */
export interface FileGroup {
  /** Bytes that were read from and written to them. */
  bytes: number;
  /** How many; a lower bound if files are folded. */
  files: number;
}

/** A file over all processes. */
export type FileInfo = FileSums & {
  /** Keys of the processes. */
  processes: string[];
};

/** Files or directories. */
export interface FileList {
  /** How many there are. */
  count: number;
  /** Sums of those that `rows` leaves out. */
  rest: ReportFileSums;
  /** The busiest. */
  rows: FileRow[];
}

/** Files. */
export interface FilePanel {
  /** Bytes read by slot. */
  in: (number | null)[];
  /** Opens by slot. */
  opens: (number | null)[];
  /** Bytes written by slot. */
  out: (number | null)[];
  /** Files, busiest first. */
  rows: FileInfo[];
  /** How many there are. */
  total_rows: number;
}

/** A file, or a directory with the files in it. */
export interface FileRow {
  /** `file`, `directory`, `pipe`, `char`, `block`, `anonymous`, `other` or `unknown`. */
  kind: string;
  /** Its path. */
  path: string;
  /** Its sums. */
  sums: ReportFileSums;
}

/** A file, with the sums of its I/O. */
export interface FileSums {
  /** Bytes read. */
  bytes_in: number;
  /** Bytes written. */
  bytes_out: number;
  /** `file`, `directory`, `pipe`, `char`, `block`, `anonymous`, `other`, `unknown`. */
  kind: string;
  /** Pages of its mappings that a page fault brought in; 0 if nothing counts them. */
  mapped_pages: number;
  /** Opens. */
  opens: number;
  /** Reads. */
  ops_in: number;
  /** Writes. */
  ops_out: number;
  /** Path, as the container sees it; untrusted text. */
  path: string;
  /** Time that threads waited for it, summed over threads, ns; 0 if nothing counts it. */
  waited_ns: number;
}

/** Files and pipes. */
export interface Files {
  /** Read from block devices by the cgroup, bytes; null if unknown. */
  block_read_bytes?: number | null;
  /** Written to block devices by the cgroup, bytes; null if unknown. */
  block_written_bytes?: number | null;
  /** By directory, the busiest first. */
  by_directory: FileList;
  /** By file, the busiest first. */
  by_file: FileList;
  longest_wait?: FileRow | null;
  /** Regular files that were read and never written. */
  only_read: FileGroup;
  /** Regular files that were written and never read. */
  only_written: FileGroup;
  /** Regular files that were read and written. */
  read_and_written: FileGroup;
  /** Sums of all. */
  total: ReportFileSums;
}

/** What rows stand for several entries. */
export interface Folded {
  /** Connections. */
  connections: boolean;
  /** Files. */
  files: boolean;
  /** Processes. */
  processes: boolean;
}

/** Format of a table. */
export type Format = "json" | "csv";

/** Rows that agree in the columns that they are grouped by. */
export type GroupRow = RowSums & {
  /** Values of these columns, as text; empty where nothing is known. */
  group: Record<string, string>;
  /** Names of the processes, in the order of their first rows, at most 8. */
  names?: string[];
};

/** Memory that grew from each quarter of the time to the next. */
export interface Growth {
  /** Mean of the first quarter, bytes. */
  from_bytes: number;
  /** Mean of the last quarter, bytes. */
  to_bytes: number;
  /** What grew: `anonymous` memory of the cgroup, or `resident` memory of the processes. */
  what: string;
}

/** The latest report of a host's agent. */
export interface Host {
  /** Agents that count on the host now, for this server. What two of them see counts twice. */
  agents?: number;
  /** Seconds by which the host's clock is ahead of the server's; null while that is not known. */
  clock_offset?: number | null;
  /** Cores of the host. */
  cores: number;
  /** CPU that the agent uses, in percent of one core, between its latest two batches. */
  cpu_percent: number;
  /** Slots that it dropped since it started because its spool was full. */
  dropped: number;
  /** When it dropped some last, as far as the server saw: seconds since the Unix epoch; 0 if never. */
  dropped_at?: number;
  /** Family of hooks in use: `vfs`, `syscall`, `procfs` or `capture`. */
  hooks: string;
  /** Host name. */
  host: string;
  /** Kernel release. */
  kernel: string;
  /** CPU that its programs in the kernel use, in percent of one core, between its latest two batches; 0 if the kernel does not report it. */
  kernel_percent: number;
  /** Id of that key. */
  key?: string;
  /** When the batch was made, by the host's clock: seconds since the Unix epoch. */
  last_seen: number;
  /** Memory of the host in bytes. */
  memory: number;
  /** What the agent cannot count on this host: one sentence each. */
  missing: string[];
  /** Owner of the key that the agent posts with; empty if it has not posted since owners are noted. */
  owner?: string;
  /** When it came, by the server's clock; 0 if an older version noted the report. */
  received?: number;
  /** Its resident memory in bytes. */
  rss: number;
  /** Segments waiting in its spool. */
  spooled: number;
  /** The agent's version. */
  version: string;
}

/** A host and its state. */
export type HostItem = Host & {
  /** Seconds since something came from it, by the server's clock. */
  silent_for: number;
  /** Its state: the worst that holds. */
  state: HostState;
};

/** State of a host, the worst first. */
export type HostState = "silent" | "dropping" | "counted_twice" | "clock_off" | "sending";

/** All hosts. */
export interface HostsOverview {
  /** Those that need somebody first, then by name. */
  hosts: HostItem[];
  /** The state of all in one sentence, such as `2 of 14 silent, 1 dropping`; empty without hosts. */
  sentence: string;
  /** What the hosts say about the server's own clock; null if nothing is wrong. */
  server_clock?: string | null;
}

/** Time in which less than 1 % of one core was used. */
export interface Idle {
  /** The same in percent of the known time. */
  percent: number;
  /** The longest phases, the longest first. */
  phases: Phase[];
  /** Seconds in all. */
  seconds: number;
}

/** Bytes in and out by slot. */
export interface InOut {
  /** In. */
  in: (number | null)[];
  /** Out. */
  out: (number | null)[];
}

/** Columns of lanes. */
export interface LaneColumns {
  /** Number of its cells. */
  cells: number[];
  /** The beginning of its last command line, at most 120 characters. */
  command: string[];
  /** How many processes it stands for. */
  count: number[];
  /** CPU time, ns. */
  cpu_ns: number[];
  /** When it ended; null while it runs, or if unknown. */
  end: (number | null)[];
  /** How it ended: its exit code, or the signal that killed it as a negative number; null if unknown. */
  exit: (number | null)[];
  /** How many of them failed: a code other than 0, or a signal. */
  failed: number[];
  /** `PID-START_NS-EXEC` of its last program in the range. Of a lane that the answer folded `0-0-0/PARENT/NAME` with the key of its parent; of one that was folded before `0-0-0-NAME`. */
  key: string[];
  /** Names of the programs that it ran, as indices into `names`. */
  names: number[][];
  /** How many of them the kernel killed because memory ran out. */
  oom_killed: number[];
  /** Index of the lane of its parent; of the nearest ancestor that has a lane. */
  parent: (number | null)[];
  /** Process id inside the container; on the host if that is unknown. */
  pid: number[];
  /** Highest resident set, bytes; null if it was never measured. Of a folded lane: the highest of one. */
  rss_max: (number | null)[];
  /** Time of its fork, seconds since the Unix epoch; null if unknown. */
  start: (number | null)[];
}

/** All processes of a range over time. Values are in columns: `lanes` has one value per lane, `cells` one per lane, slot and core in which CPU time was used. */
export interface Lanes {
  /** CPU time. */
  cells: CellColumns;
  /** The known part of each slot, 0 to 1. */
  covered: number[];
  /** How many processes have no lane of their own, because `limit` lanes are in the answer: they are in the lanes with a `count` above 1, by parent and name. */
  folded: number;
  /** How many processes the agent or the roll-up folded by name before, at least. Their starts, ends and parents are unknown. */
  folded_before: number;
  /** The lanes, in order of their starts; a parent comes before its children. */
  lanes: LaneColumns;
  /** Names, to which `lanes.names` refers. */
  names: string[];
  /** The slots of `cells`. The last one may end after `to`. */
  range: RangeInfo;
  /** How many processes there are. A process that ran several programs counts once. */
  total: number;
  /** CPU time of all of them, ns. */
  total_cpu_ns: number;
}

/** A container's life, in at most 600 slots. */
export interface Life {
  /** The known part of each slot, 0 to 1. */
  covered: number[];
  /** CPU in percent of one core; null in gaps. */
  cpu: (number | null)[];
  /** Start of the first slot, seconds since the Unix epoch. */
  first: number;
  /** End of the last slot. */
  last: number;
  /** Events of the container. */
  marks: Mark[];
  /** Length of a slot in seconds. */
  step: number;
}

/** Something that could not be counted. */
export interface LossInfo {
  /** How many bytes, where that is known. */
  bytes: number;
  /** How many times. */
  count: number;
  /** Why. */
  reason: string;
}

/** Activity that could not be counted. */
export interface Lost {
  /** How many bytes, where that is known. */
  bytes: number;
  /** How many times. */
  count: number;
  /** Why. */
  reason: string;
}

/** An event of a container. */
export interface Mark {
  /** When, seconds since the Unix epoch. */
  at: number;
  /** `container_start`, `container_end`, `oom_kill`. */
  kind: string;
}

/** The access that a token gives. */
export interface Me {
  /** Whether everything may be read. */
  admin: boolean;
  /** The container that may be read, if it is only one. */
  container?: string | null;
  /** Expiry, seconds since the Unix epoch. */
  expires: number;
  shared?: Shared | null;
}

/** Memory. */
export interface Memory {
  /** Highest anonymous memory of the cgroup, bytes. */
  anon_bytes?: number | null;
  /** Highest page cache of the cgroup, bytes. */
  file_bytes?: number | null;
  growth?: Growth | null;
  had?: Amount | null;
  /** Processes that were killed because memory ran out. */
  oom_kills: number;
  /** When it was reached, to the slot. */
  peak_at?: number | null;
  /** Highest memory in use, bytes; null if unknown. */
  peak_bytes?: number | null;
  /** `cgroup` (page cache included), or `processes`: what they held together. Pages that are not known as shared count for each. */
  peak_source: string;
  /** Highest resident memory of all processes at one time, bytes. */
  resident_bytes?: number | null;
  /** Highest swap of the cgroup, bytes. */
  swap_bytes?: number | null;
  /** The peak in percent of that. */
  used_percent?: number | null;
}

/** Memory in bytes, the highest within a slot. The cgroup's figures are read once a second. */
export interface MemoryPanel {
  /** Anonymous memory. */
  anon: (number | null)[];
  /** Highest sum of all processes at one time, with `shared` once. Above `current` they share pages that are not told apart. A folded row counts as if its processes lived all the time. */
  at_one_time: (number | null)[];
  /** In use, by the cgroup; null when scoped to a process. */
  current: (number | null)[];
  /** Page cache, which is part of it. */
  file: (number | null)[];
  /** The limit. */
  limit: (number | null)[];
  /** What `processes` are: `resident`, or `virtual` if no resident set was measured, as by a chisel. */
  measure: string;
  /** Processes by name: the names that held most, and `(other)`, without `shared`. Of each what its processes held at one time, at most what the cgroup had. Their sum may be more than there was: the names may have held it at different times, and where `shared` is null each process counts the pages that it shares. */
  processes: ProcessBytes[];
  /** Resident pages of files and shared memory, once for all processes: those of the process with most, at most what the cgroup had. Null where they are not told apart from private memory. */
  shared: (number | null)[];
  /** Swap in use. */
  swap: (number | null)[];
}

/** A peer that is a container. */
export interface Neighbour {
  /** Connections between the two that both counted. 0: it was the only container of the same host with this address. */
  connections: number;
  /** Id of the container that it is. */
  container: string;
  /** Its host; empty if unknown. */
  host: string;
  /** Its name; empty if unknown. */
  name: string;
  /** Port of the service; null if the protocol has no ports. */
  port?: number | null;
  /** `tcp`, `udp`, `raw`, `other`. */
  protocol: string;
  /** IP address of the peer. */
  remote: string;
  /** Side of the container that was asked about: `client`, `server`, `unknown`. */
  role: string;
}

/** Peers of a container that are containers, too. */
export interface Neighbours {
  /** A peer and a container that it is. A peer may be several containers one after the other. */
  peers: Neighbour[];
  /** Containers with an address of a peer that were read. */
  read: number;
  /** Connections that were not looked for, because there are too many. */
  skipped_connections: number;
  /** Containers with an address of a peer that were not read, because there are too many: the peers may be these. */
  unread: number;
}

/** Sockets. */
export interface Network {
  /** How many peers there are. */
  count: number;
  longest_wait?: PeerRow | null;
  /** Sums of those that `rows` leaves out. */
  rest: NetworkSums;
  /** The busiest. */
  rows: PeerRow[];
  /** Sums of all. */
  total: NetworkSums;
}

/** I/O of a process with a connection. */
export type NetworkCell = Who & ConnectionSums;

/** Network. */
export interface NetworkPanel {
  /** Connections made or accepted by slot. */
  connects: (number | null)[];
  /** Connections that failed by slot. */
  failures: (number | null)[];
  /** Bytes received by slot. */
  in: (number | null)[];
  /** Bytes sent by slot. */
  out: (number | null)[];
  /** Peers: connections that agree in protocol, role, remote address and port of the service. Those with most failures come first, then the busiest. */
  peers: PeerInfo[];
  /** Connections, busiest first. */
  rows: ConnectionInfo[];
  /** How many peers there are. */
  total_peers: number;
  /** How many there are. */
  total_rows: number;
}

/** Sums of sockets. */
export interface NetworkSums {
  /** Connections made or accepted. */
  connects: number;
  /** Connections that failed. */
  failures: number;
  /** Bytes received. */
  received_bytes: number;
  /** Calls that received. */
  receives: number;
  /** Calls that sent. */
  sends: number;
  /** Bytes sent. */
  sent_bytes: number;
  /** Time that threads waited for it, summed over threads, ns; 0 if nothing counts it. */
  waited_ns: number;
}

/** A link to make. */
export interface NewShare {
  /** Id of the container. */
  container: string;
  /** Days until the link expires, 1 to 30. A link that is made with the token of a container expires with that token at the latest. */
  days: number;
  /** Start of the range, seconds since the Unix epoch; without it and `to` the whole life. */
  from?: number | null;
  /** End of the range. The link shows whole minutes: the range is rounded outwards. */
  to?: number | null;
}

/** Direction of an order. */
export type Order = "asc" | "desc";

/** All connections with a peer. */
export interface PeerInfo {
  /** Bytes received. */
  bytes_in: number;
  /** Bytes sent. */
  bytes_out: number;
  /** How many connections (pairs of addresses). */
  connections: number;
  /** Connections established, by either side. */
  connects: number;
  /** Connections that failed. */
  failures: number;
  /** Receives. */
  ops_in: number;
  /** Sends. */
  ops_out: number;
  /** Port of the service; null if the protocol has no ports. */
  port?: number | null;
  /** `tcp`, `udp`, `unix`, `unix-datagram`, `raw`, `netlink`, `vsock`, `other`. */
  protocol: string;
  /** IP address of the peer, or the path of a Unix socket, whichever end has it. */
  remote: string;
  /** Side of the container: `client`, `server`, `unknown`. */
  role: string;
  /** Time that threads waited for it, summed over threads, ns; 0 if nothing counts it. */
  waited_ns: number;
}

/** A peer. */
export interface PeerRow {
  /** Address of the peer, without the port of a client. */
  address: string;
  /** Protocol. */
  protocol: string;
  /** Role of the container: `client`, `server` or `unknown`. */
  role: string;
  /** Its sums. */
  sums: NetworkSums;
}

/** A part of the time. */
export interface Phase {
  /** Its start. */
  from: number;
  /** Its length. */
  seconds: number;
}

/** The keys that a container belongs to. Posts with keys of other owners are refused. */
export interface PostedBy {
  /** Host that posted it first; empty if the post named none. Other hosts are refused. */
  host: string;
  /** Id of the key that posted it first. */
  key: string;
  /** Owner of the keys. */
  owner: string;
  /** When, seconds since the Unix epoch. */
  since: number;
}

/** Pressure: percentage of time in which some task waited. */
export interface Pressure {
  /** For a core. */
  cpu: (number | null)[];
  /** For I/O. */
  io: (number | null)[];
  /** For memory. */
  memory: (number | null)[];
}

/** Memory of the processes of one name by slot. */
export interface ProcessBytes {
  /** How many processes there are. */
  count: number;
  /** The name, or `(other)`. */
  name: string;
  /** Key of the process, if only one has this name. */
  process?: string | null;
  /** Values by slot. */
  values: (number | null)[];
}

/** A process: one program that it ran. */
export interface ProcessInfo {
  /** The command line, word by word. */
  args: string[];
  /** Bytes read from files. */
  bytes_in: number;
  /** Bytes written to files. */
  bytes_out: number;
  /** Process id inside the container. */
  container_pid: number;
  /** Number of processes folded into this row. */
  count: number;
  /** Whether `count` is a lower bound: some of them began before the range, or an older version folded them. */
  count_at_least: boolean;
  /** CPU time, ns. */
  cpu_ns: number;
  /** End, by exit or by the next exec; null while it runs. */
  end?: number | null;
  /** Path of the file that runs; of a script its interpreter. */
  exe: string;
  /** Number of calls of exec before this row (in recordings, of renames too). */
  exec: number;
  exit?: ExitInfo | null;
  /** Effective group id on the host, the last one; null if it is not known. */
  gid?: number | null;
  /** `PID-START_NS-EXEC`; of a folded row `0-0-0-NAME`. */
  key: string;
  /** Name in the kernel (comm). */
  name: string;
  /** Process id of the parent on the host. */
  parent: number;
  /** Process id on the host; 0 for a folded row. */
  pid: number;
  /** Highest private part of it, bytes: pages that are neither of a file nor of shared memory. Null if it is not known. All of the resident set counts as private while it is not known. */
  private_max?: number | null;
  /** Bytes received. */
  received: number;
  /** Highest resident set, bytes; null if it was never measured. Of a folded row: the highest sum at one time, at most what the cgroup had. */
  rss_max?: number | null;
  /** Bytes sent. */
  sent: number;
  /** Time of its fork, seconds since the Unix epoch. */
  start: number;
  /** Highest swap, bytes; null if it was never measured. */
  swap_max?: number | null;
  /** Effective user id on the host, the last one. */
  uid: number;
  /** Highest virtual size, bytes; null if it was never measured. */
  vm_max?: number | null;
  /** Time in which its threads waited, ns by kind: `core` (for a core), `disk`, `network`, `lock`, `events`, `child`, `sleep`, `pipe`, `stopped`, `other`. Kinds without any are left out. */
  waits: Record<string, number>;
  /** Whether its waits were counted. If not, `waits` is empty, which is not 0. */
  waits_known: boolean;
}

/** CPU of the processes of one name by slot. */
export interface ProcessPercent {
  /** How many processes there are. */
  count: number;
  /** The name, or `(other)`. */
  name: string;
  /** Key of the process, if only one has this name. */
  process?: string | null;
  /** Values by slot. */
  values: (number | null)[];
}

/** A program that one process ran. */
export interface ProcessRow {
  /** Its command line, words separated by spaces; empty if unknown. */
  command: string;
  /** How it ended: `code 1`, `signal 9`; null if it did not, or continued as another program. */
  exit?: string | null;
  /** Highest resident memory, bytes. */
  memory_bytes: number;
  /** Its name. */
  name: string;
  /** Process id of its parent; 0 if unknown. */
  parent: number;
  /** Process id on the host; 0 for a folded row. */
  pid: number;
  /** Its sums. */
  sums: ProcessSums;
}

/** Sums of processes. */
export interface ProcessSums {
  budget?: TimeBudget | null;
  /** CPU time, ns. */
  cpu_ns: number;
  /** Files. */
  files: ReportFileSums;
  /** Sockets. */
  network: NetworkSums;
}

/** Processes. */
export interface Processes {
  /** By the name of their program, the busiest first. */
  commands: CommandRow[];
  /** How many names there are. */
  commands_count: number;
  /** Sums of those that `commands` leaves out. */
  commands_rest: ProcessSums;
  /** How many ended. */
  ended: number;
  /** How many did not end with code 0. */
  failed: number;
  /** Processes that did not end with code 0, by name and end, the most frequent first. */
  failures: FailureRow[];
  /** How many are not in `failures`. */
  failures_rest: number;
  /** Processes, the busiest first: a row for each program that one ran. */
  rows: ProcessRow[];
  /** How many rows there are. */
  rows_count: number;
  /** Sums of those that `rows` leaves out. */
  rows_rest: ProcessSums;
  /** How many lived for less than a second. */
  short: number;
  /** How many began. */
  started: number;
}

/** The slots of an answer. */
export interface RangeInfo {
  /** Start of the first slot, seconds since the Unix epoch. */
  from: number;
  /** Resolution that was read: `second`, `minute`, `hour`, `day`. */
  resolution: string;
  /** Number of slots, at most 2,000. */
  slots: number;
  /** Length of a slot in seconds. */
  step: number;
  /** End of the last slot. */
  to: number;
}

/** Result of a batch. It accounts for every segment: each is stored, known or refused. */
export interface Receipt {
  /** Segments that were stored before; they count once. */
  known: number;
  /** Segments that are not stored. */
  refused: Refusal[];
  /** Segments that were new, and are stored now. */
  stored: number;
  /** The server's clock, seconds since the Unix epoch. */
  time: number;
}

/** One container of a recording. */
export interface RecordedItem {
  /** Bytes read from files and received. */
  bytes_in: number;
  /** Bytes written to files and sent. */
  bytes_out: number;
  /** CPU time, ns. */
  cpu_ns: number;
  /** Start of the first slot. */
  first: number;
  /** The container. */
  id: string;
  /** End of the last slot. */
  last: number;
  /** Name that the runtime gave it; empty if unknown. */
  name: string;
}

/** Activity that could not be counted. */
export interface RecordedLoss {
  /** Number of bytes, if known. */
  bytes: number;
  /** Number of times. */
  count: number;
  /** The reason. */
  reason: string;
}

/** A recording. Times are seconds since the Unix epoch. */
export interface RecordingItem {
  /** Its containers, by id. */
  containers: RecordedItem[];
  /** When it was first posted. */
  created: number;
  /** Start of the first slot of all its containers. */
  from: number;
  /** Its id: 32 hexadecimal digits. */
  id: string;
  /** Its name. */
  name: string;
  /** Owner of the key that posted it, or `administrator`; absent if it was stored before owners were noted. */
  posted_by?: string | null;
  /** End of the last slot. */
  to: number;
  upload?: UploadItem | null;
}

/** All recordings. */
export interface RecordingList {
  /** Largest capture that may be uploaded, in bytes; 0: none. */
  max_bytes: number;
  /** Oldest first. */
  recordings: RecordingItem[];
}

/** A segment that was refused. */
export interface Refusal {
  /** Kind of the reason. */
  code: RefusalCode;
  /** Its container. */
  container: string;
  /** Whether the same segment may be taken later, such as when a clock is set right. If not, it is refused for good. */
  later: boolean;
  /** Why. */
  reason: string;
  /** Its resolution. */
  resolution: string;
  /** Start of its span, seconds since the Unix epoch. */
  start: number;
}

/** Kind of a reason: a closed list, for programs. */
export type RefusalCode = "other_owner" | "other_host" | "other_source" | "future" | "past" | "too_many";

/** What a container did. Times are seconds since the Unix epoch, unless a name ends in `_ns`. */
export interface Report {
  /** What stands out, the most important first. */
  advice: Advice[];
  budget?: TimeBudget | null;
  /** The container. */
  container: About;
  /** CPU. */
  cpu: Cpu;
  /** Failed connections and out-of-memory kills. */
  events: Events;
  /** Files and pipes. */
  files: Files;
  /** What rows stand for several entries, beyond a cap. Their sums are exact. */
  folded: Folded;
  /** Time without activity. */
  idle: Idle;
  /** Activity that could not be counted, all of it. */
  losses: Lost[];
  /** Memory. */
  memory: Memory;
  /** What could not be counted there, one sentence each. */
  missing: string[];
  /** Sockets. */
  network: Network;
  /** What tasks waited for, as far as the kernel says it of the cgroup. */
  pressure: ReportPressure;
  /** Processes. */
  processes: Processes;
  /** Name and version of this form: `bubble-report/1`. */
  schema: string;
  /** Figures by time. */
  series: ReportSeries;
  /** The time that it is about. */
  time: Time;
}

/** Sums of files. */
export interface ReportFileSums {
  /** Pages of its mappings that a page fault brought in; 0 if nothing counts them. */
  mapped_pages: number;
  /** Times that one was opened. */
  opens: number;
  /** Bytes read. */
  read_bytes: number;
  /** Calls that read. */
  reads: number;
  /** Time that threads waited for it, summed over threads, ns; 0 if nothing counts it. */
  waited_ns: number;
  /** Calls that wrote. */
  writes: number;
  /** Bytes written. */
  written_bytes: number;
}

/** How a report is written. */
export type ReportFormat = "text" | "markdown" | "html" | "json" | "time" | "snakemake" | "nextflow";

/** Percentage of time in which some task waited; null if unknown. */
export interface ReportPressure {
  /** For a core. */
  cpu_percent?: number | null;
  /** For I/O. */
  io_percent?: number | null;
  /** For memory. */
  memory_percent?: number | null;
}

/** Figures by time, in at most 120 steps. */
export interface ReportSeries {
  /** Cores used; null where nothing is known. */
  cores: (number | null)[];
  /** Start of the first step. */
  from: number;
  /** Highest memory, bytes; null where nothing is known. */
  memory_bytes: (number | null)[];
  /** Time of threads in each state that occurs, by the names of `budget`; empty if no waits were counted. */
  states: ReportStateSeries[];
  /** Length of a step in seconds. */
  step_seconds: number;
}

/** Time of threads in one state. */
export interface ReportStateSeries {
  /** The state: `running`, `core`, `disk`, …, `idle`. */
  state: string;
  /** Threads in it on average; null where nothing is known. */
  threads: (number | null)[];
}

/** Several rows, summed up. */
export interface RowSums {
  /** How many rows. */
  rows: number;
  /** Sums by column; of a column that ends in `_max` the highest value, null if none was measured. `count` is at least its sum if `count_at_least`, the number of such rows, is not 0. */
  sums: Record<string, number | null>;
}

/** Rows of one kind. */
export type Rows = ProcessInfo[] | FileCell[] | NetworkCell[] | CpuCell[] | EventCell[] | GroupRow[];

/** Kind of a table that has series. */
export type SeriesKind = "file" | "network";

/** A link, without its token. */
export interface ShareItem {
  /** The container. */
  container: string;
  /** When it was made. */
  created: number;
  /** When it expires. */
  expires: number;
  /** Start of the range that it shows, seconds since the Unix epoch; null for the whole life. */
  from?: number | null;
  /** Its id, by which it is revoked. */
  id: string;
  /** Whether it was revoked. */
  revoked: boolean;
  /** End of the range. */
  to?: number | null;
}

/** The links that have not expired. */
export interface ShareList {
  /** What links show after some time. */
  retention: Stored;
  /** Newest first. */
  shares: ShareItem[];
}

/** What a shared link shows. */
export interface Shared {
  /** Start of the range, seconds since the Unix epoch; null for the whole life. */
  from?: number | null;
  /** End of the range. */
  to?: number | null;
}

/** A container and what it did in its whole life. */
export interface Side {
  /** The container. */
  container: ContainerItem;
  /** Seconds of them that are known. The others are missing in all sums. */
  known_seconds: number;
  /** Seconds between the first and the last that was seen of it. */
  seconds: number;
  /** Time that its CPU limit held it back, added up over the cores, ns; null if that was not measured. */
  throttled_ns?: number | null;
  /** All that it used. */
  usage: Usage;
}

/** State of a container. */
export type State = "running" | "ended" | "silent";

/** A state by slot. */
export interface StateSeries {
  /** Sum over all slots, ns of thread-time. */
  ns: number;
  /** Its name. */
  state: string;
  /** Percent of one thread by slot; null in gaps, and for waits where nobody counted them. */
  values: (number | null)[];
}

/** How long each resolution is stored, in seconds. Days are stored for ever, recordings too. */
export interface Stored {
  /** Hours. */
  hours: number;
  /** Minutes. */
  minutes: number;
  /** Seconds. */
  seconds: number;
}

/** Everything about a container in one range. Series have a value for each slot; null is a gap: nothing is known of that slot. */
export interface Summary {
  /** Processes compared with the cgroup. */
  accounting: Accounting;
  /** Bytes of block devices by slot. */
  block: InOut;
  /** The container. */
  container: ContainerItem;
  /** The known part of each slot, 0 to 1. */
  covered: number[];
  /** CPU. */
  cpu: CpuPanel;
  /** Whether there may be more: the number of some folded rows is a lower bound. */
  distinct_at_least: boolean;
  /** How many processes that are, if the programs of one process count once, and a folded row as many as are in it. */
  distinct_processes: number;
  /** Number of events by kind, those left out of `events` included. Of `folded` the number of events that were folded; connections that failed are counted exactly by `network.failures`. */
  event_counts: Record<string, number>;
  /** Events, in order of time: all starts, ends and out-of-memory kills, and the first 1,000 of the others. */
  events: EventInfo[];
  /** Processes that failed, by name and exit, the most frequent first. */
  failed: FailedProcesses[];
  /** How many processes are in folded rows: how these ended is not known. */
  failed_unknown: number;
  /** Files. */
  files: FilePanel;
  /** What could not be counted. */
  losses: LossInfo[];
  /** Memory. */
  memory: MemoryPanel;
  /** Network. */
  network: NetworkPanel;
  /** The part of each slot whose seconds were observed in part, 0 to 1: the first and last second of a run of the agent, and seconds that it read late. Their values are too low or too high, so averages should leave them out. */
  partial: number[];
  /** Pressure: percentage of time in which some task waited. */
  pressure: Pressure;
  /** Processes that lived or did something, busiest first. Those that were killed because memory ran out are always there. */
  processes: ProcessInfo[];
  /** The slots. */
  range: RangeInfo;
  /** Tasks (threads) by slot. */
  tasks: (number | null)[];
  /** Where the time of all threads went. */
  time: TimePanel;
  /** How many events there are, those left out of `events` included. */
  total_events: number;
  /** How many processes failed: a code other than 0, or a signal. */
  total_failed: number;
  /** How many processes there are, those left out of `processes` included. */
  total_processes: number;
  /** The container's own figures over the range, by name: sums, or the highest. */
  totals: Record<string, number>;
}

/** A table. */
export interface Table {
  /** The slots that it covers. */
  range: RangeInfo;
  /** The rows that match the filter, but are left out of `rows` by `limit` and `offset`. */
  rest: RowSums;
  /** The rows, in the order that was asked for. */
  rows: Rows;
  /** All rows that match the filter, those that `limit` and `offset` leave out included. Of a table in groups: all groups. */
  total: RowSums;
}

/** Kind of a table. */
export type TableKind = "process" | "file" | "network" | "cpu" | "event";

/** Sums by slot of the rows of a table that match a filter; null is a gap. */
export interface TableSeries {
  /** The known part of each slot, 0 to 1. */
  covered: number[];
  /** Connections that failed; zeros for files. */
  failures: (number | null)[];
  /** Bytes read or received. */
  in: (number | null)[];
  /** Files: opens. Connections: how many were made or accepted. */
  opens: (number | null)[];
  /** Bytes written or sent. */
  out: (number | null)[];
  /** The slots. */
  range: RangeInfo;
  /** How many rows match: pairs of a process and a file or connection. */
  rows: number;
}

/** The time that a report is about. */
export interface Time {
  /** Its start. */
  from: number;
  /** Seconds without any data. */
  gap_seconds: number;
  /** The container still runs. */
  is_running: boolean;
  limit?: Amount | null;
  /** How much of it was used at the end, in percent: of a job of Slurm from the start of the job. */
  limit_used_percent?: number | null;
  /** Seconds of it that were observed in part. */
  partial_seconds: number;
  /** Length of the longest slot in seconds: what happened within one is not known apart. */
  slot_seconds: number;
  /** Its end. */
  to: number;
  /** Wall time in seconds. */
  wall_seconds: number;
}

/** Where the time of all threads went, ns. Together it is the number of threads times the time. */
export interface TimeBudget {
  /** Waiting for a child process. */
  child_ns: number;
  /** Waiting for a core, the time held back by a CPU limit included. */
  core_ns: number;
  /** Waiting for files on a disk or over a network file system. */
  disk_ns: number;
  /** Waiting for one of several events (`poll`, `select`, `epoll`), a signal or a timer. */
  events_ns: number;
  /** Threads without work: waits for a lock in seconds in which no thread of the process did anything. */
  idle_ns: number;
  /** Waiting for another thread or process: futex, file lock, semaphore. */
  lock_ns: number;
  /** Waiting for a socket. */
  network_ns: number;
  /** Waiting for anything else. */
  other_ns: number;
  /** Waiting for the other end of a pipe or message queue. */
  pipe_ns: number;
  /** On a core. */
  running_ns: number;
  /** Sleeping. */
  sleep_ns: number;
  /** Stopped by a signal or a debugger, or frozen. */
  stopped_ns: number;
}

/** The time budget: what the threads of all processes did, in percent of one thread. Together the states are the number of threads times 100. */
export interface TimePanel {
  /** `running`, and every state in which somebody waited, in a fixed order: `core` (for a core), `disk`, `network`, `lock`, `events`, `child`, `sleep`, `pipe`, `stopped`, `other`. */
  states: StateSeries[];
  /** Whether waits were counted at all. If not, only `running` is known. */
  waits_known: boolean;
}

/** A capture that was uploaded. Times are seconds since the Unix epoch. */
export interface UploadItem {
  /** Bytes of the file. */
  bytes: number;
  /** Why reading ended early; absent if the capture is whole. */
  damage?: string | null;
  /** Events (or lines) that were taken in. */
  events: number;
  /** `scap`, `json` or `text`. */
  format: string;
  /** Time of the first event; absent without one. */
  from?: number | null;
  /** What could not be counted. */
  losses: RecordedLoss[];
  /** Facts that its format lacks, one sentence each. */
  missing: string[];
  /** Events (or lines) that were skipped. */
  skipped: number;
  /** Whether all of it is stored. If not, it is being stored, or that was interrupted: upload it again. */
  stored: boolean;
  /** Time of the latest event. */
  to?: number | null;
}

/** A capture that was read and stored. */
export interface Uploaded {
  /** Bytes of the file. */
  bytes: number;
  /** Its containers by id, at most 1,000 of `containers_count`. */
  containers: UploadedContainer[];
  /** Number of all. */
  containers_count: number;
  /** Why reading ended early; absent if the capture is whole. Everything before was read. */
  damage?: string | null;
  /** Events (or lines) that were taken in. */
  events: number;
  /** Its format: `scap`, `json` or `text`. */
  format: string;
  /** Time of the first event, seconds since the Unix epoch; absent without one. */
  from?: number | null;
  /** Those that were stored before; they count once. */
  known: number;
  /** What could not be counted. */
  losses: RecordedLoss[];
  /** Facts that its format lacks, one sentence each. */
  missing: string[];
  /** Ids of its recordings, one for each section that goes back in time. Empty: no container is in it. */
  recordings: string[];
  /** The first of those that are not stored. */
  refused: Refusal[];
  /** Number of all. */
  refused_count: number;
  /** Events (or lines) that were skipped. */
  skipped: number;
  /** Seconds of containers that are stored now. */
  stored: number;
  /** Time of the latest event. */
  to?: number | null;
}

/** A container in a capture. Times are seconds since the Unix epoch. */
export interface UploadedContainer {
  /** Start of its first second. */
  from: number;
  /** Its id. */
  id: string;
  /** Name that the runtime gave it; empty if unknown. */
  name: string;
  /** End of its last second. */
  to: number;
}

/** What a container, a command, a file or a peer used. Fields without a meaning for it are 0. */
export interface Usage {
  /** Bytes read from files. */
  bytes_in: number;
  /** Bytes written to files. */
  bytes_out: number;
  /** CPU time, ns. */
  cpu_ns: number;
  /** Processes that failed: a code other than 0, or a signal. */
  failed: number;
  /** Processes in folded rows: how these ended is not known. */
  failed_unknown: number;
  /** Connections that failed. */
  failures: number;
  /** Highest memory, bytes: of a container by its cgroup, of a command the highest resident set of one process. Null if it was never measured. */
  memory_max?: number | null;
  /** Processes. */
  processes: number;
  /** Whether there may be more processes: some of them are in folded rows whose number is a lower bound. */
  processes_at_least: boolean;
  /** Bytes received. */
  received: number;
  /** Bytes sent. */
  sent: number;
}

/** The containers of one host that somebody looks at. */
export interface WatchedContainers {
  /** Ids of the containers, as this server has them. The agent delivers them each second. */
  containers: string[];
  /** Identifies this list, for the next request. */
  version: string;
}

/** How much an advice matters. */
export type Weight = "warning" | "note";

/** The process of a row. */
export interface Who {
  /** The command line, word by word. */
  args: string[];
  /** Process id inside the container. */
  container_pid: number;
  /** Its name. */
  name: string;
  /** Process id on the host. */
  pid: number;
  /** Key of the process. */
  process: string;
}
