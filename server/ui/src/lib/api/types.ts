// Made from server/openapi.json by `npm run types`; not to be edited.

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

/** Kind of an error: a closed list, for programs. */
export type Code = "bad_request" | "unauthorized" | "forbidden" | "not_found" | "method_not_allowed" | "ambiguous" | "too_large" | "unsupported_version" | "unsupported_media_type" | "malformed" | "too_many_requests" | "internal" | "unavailable";

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
}

/** A container, from the index alone. Times are seconds since the Unix epoch. */
export interface ContainerItem {
  /** Bytes read from files and received, over its life. */
  bytes_in: number;
  /** Bytes written to files and sent, over its life. */
  bytes_out: number;
  /** Cores of the host. */
  cores?: number | null;
  /** Cores used in its latest 10 s; null if it is not running. */
  cpu_now?: number | null;
  /** CPU time over its life, ns. */
  cpu_ns: number;
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
  memory_now: number;
  /** Highest memory in use, bytes. */
  memory_peak: number;
  /** Name that the runtime gives it; empty if unknown. */
  name: string;
  /** Whether the kernel killed it because memory ran out. */
  oom_killed: boolean;
  posted_by?: PostedBy | null;
  /** Names of its recordings, oldest first; empty if it is only live. */
  recordings: string[];
  /** `docker`, `podman`, `containerd`, `cri-o`, `slurm`, `lxc`, `systemd-nspawn`, `buildkit`, `systemd`, `cgroup`; empty if unknown. */
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

/** A core's values by slot. */
export interface CoreSeries {
  /** Number of the core. */
  core: number;
  /** Percent of it that was used. */
  values: (number | null)[];
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
  /** Time held back by the limit. */
  throttled: (number | null)[];
  /** Sum of the processes. */
  total: (number | null)[];
  /** In user mode, by the cgroup. */
  user: (number | null)[];
}

/** The containers that were deleted. */
export interface DeletedContainers {
  /** Their ids. */
  deleted: string[];
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

/** I/O of a process with a file. */
export type FileCell = Who & FileSums;

/** A file over all processes. */
export type FileInfo = FileSums & {
  /** Keys of the processes. */
  processes: string[];
};

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

/** A file, with the sums of its I/O. */
export interface FileSums {
  /** Bytes read. */
  bytes_in: number;
  /** Bytes written. */
  bytes_out: number;
  /** `file`, `directory`, `pipe`, `char`, `block`, `anonymous`, `other`, `unknown`. */
  kind: string;
  /** Opens. */
  opens: number;
  /** Reads. */
  ops_in: number;
  /** Writes. */
  ops_out: number;
  /** Path, as the container sees it; untrusted text. */
  path: string;
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

/** The latest report of a host's agent. */
export interface Host {
  /** Agents that count on the host now, for this server. What two of them see counts twice. */
  agents?: number;
  /** Cores of the host. */
  cores: number;
  /** CPU that the agent uses, in percent of one core, between its latest two batches. */
  cpu_percent: number;
  /** Slots that it dropped since it started because its spool was full. */
  dropped: number;
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
  /** When the batch was made: seconds since the Unix epoch. */
  last_seen: number;
  /** Memory of the host in bytes. */
  memory: number;
  /** What the agent cannot count on this host: one sentence each. */
  missing: string[];
  /** Owner of the key that the agent posts with; empty if it has not posted since owners are noted. */
  owner?: string;
  /** Its resident memory in bytes. */
  rss: number;
  /** Segments waiting in its spool. */
  spooled: number;
  /** The agent's version. */
  version: string;
}

/** Hosts from which agents report. */
export interface HostList {
  /** By name. */
  hosts: Host[];
}

/** Bytes in and out by slot. */
export interface InOut {
  /** In. */
  in: (number | null)[];
  /** Out. */
  out: (number | null)[];
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
}

/** Memory in bytes, the highest within a slot. The cgroup's figures are read once a second. */
export interface MemoryPanel {
  /** Anonymous memory. */
  anon: (number | null)[];
  /** Highest sum of all processes at one time. Above `current` they share pages. A folded row counts as if its processes lived all the time. */
  at_one_time: (number | null)[];
  /** In use, by the cgroup; null when scoped to a process. */
  current: (number | null)[];
  /** Page cache, which is part of it. */
  file: (number | null)[];
  /** The limit. */
  limit: (number | null)[];
  /** What `processes` are: `resident`, or `virtual` if no resident set was measured, as by a chisel. */
  measure: string;
  /** Processes by name: the names that held most, and `(other)`. Of each what its processes held at one time, at most what the cgroup had. Their sum may be more than there was: the names may have held it at different times, and each process counts the pages that it shares. */
  processes: ProcessBytes[];
  /** Swap in use. */
  swap: (number | null)[];
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
  /** `PID-START_NS-EXEC`; of a folded row `0-0-0-NAME`. */
  key: string;
  /** Name in the kernel (comm). */
  name: string;
  /** Process id of the parent on the host. */
  parent: number;
  /** Process id on the host; 0 for a folded row. */
  pid: number;
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

/** A recording. Times are seconds since the Unix epoch. */
export interface RecordingItem {
  /** Its containers, by id. */
  containers: RecordedItem[];
  /** When it was first posted. */
  created: number;
  /** Its id: 32 hexadecimal digits. */
  id: string;
  /** Its name. */
  name: string;
}

/** All recordings. */
export interface RecordingList {
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

/** Several rows, summed up. */
export interface RowSums {
  /** How many rows. */
  rows: number;
  /** Sums by column; of a column that ends in `_max` the highest value, null if none was measured. `count` is at least its sum if `count_at_least`, the number of such rows, is not 0. */
  sums: Record<string, number | null>;
}

/** Rows of one kind. */
export type Rows = ProcessInfo[] | FileCell[] | NetworkCell[] | CpuCell[] | EventCell[] | GroupRow[];

/** State of a container. */
export type State = "running" | "ended" | "silent";

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
  /** How many processes that are, if the programs of one process count once, and a folded row as many as are in it. */
  distinct_processes: number;
  /** Number of events by kind, those left out of `events` included. Of `folded` the number of events that were folded; connections that failed are counted exactly by `network.failures`. */
  event_counts: Record<string, number>;
  /** Events, in order of time: all starts, ends and out-of-memory kills, and the first 1,000 of the others. */
  events: EventInfo[];
  /** Processes that failed, by name and exit, the most frequent first. */
  failed: FailedProcesses[];
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
