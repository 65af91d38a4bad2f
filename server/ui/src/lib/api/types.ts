// Made from server/openapi.json by `npm run types`; not to be edited.

/** Sums that can be checked. */
export interface Accounting {
  /** The cgroup's own count, ns; null when it was not read. */
  cgroup_cpu_ns?: number | null;
  /** How much of the cgroup's count no process accounts for, in percent. */
  difference_percent?: number | null;
  /** Family of hooks that counted. */
  hooks: string;
  /** How many things were lost. */
  lost: number;
  /** CPU time of all processes, ns. */
  process_cpu_ns: number;
}

/** What kind of error: a closed list, for programs. */
export type Code = "bad_request" | "unauthorized" | "forbidden" | "not_found" | "method_not_allowed" | "too_large" | "unsupported_version" | "unsupported_media_type" | "malformed" | "too_many_requests" | "internal" | "unavailable";

/** A connection over all processes. */
export type ConnectionInfo = ConnectionSums & {
  /** Keys of the processes. */
  processes: string[];
};

/** A connection, and what went through it. */
export interface ConnectionSums {
  /** Bytes received. */
  bytes_in: number;
  /** Bytes sent. */
  bytes_out: number;
  /** Connections made or accepted. */
  connects: number;
  /** Connections that failed. */
  failures: number;
  /** This end. */
  local: string;
  /** Receives. */
  ops_in: number;
  /** Sends. */
  ops_out: number;
  /** The other end. */
  peer: string;
  /** `tcp`, `udp`, `unix`, `unix-datagram`, `raw`, `netlink`, `vsock`, `other`. */
  protocol: string;
  /** Which side the container is: `client`, `server`, `unknown`. */
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
  /** Cores it used in its latest 10 s; none when it does not run. */
  cpu_now?: number | null;
  /** CPU time over its life, ns. */
  cpu_ns: number;
  /** When it ended. */
  ended?: number | null;
  /** Exit code of its first process. */
  exit_code?: number | null;
  /** Start of the first slot in which it was seen. */
  first_seen: number;
  /** Family of hooks that counted it: `vfs`, `syscall`, `procfs`, `capture`, `sysdig`; empty when not known. */
  hooks: string;
  /** Name of the host. */
  host: string;
  /** Memory of the host in bytes. */
  host_memory?: number | null;
  /** Its id: 12 hexadecimal digits, or `NAME@HOST`. */
  id: string;
  /** The image it was made from; empty when not known. */
  image: string;
  /** Labels. */
  labels: Record<string, string>;
  /** End of the last slot in which it was seen. */
  last_seen: number;
  /** Memory limit, bytes. */
  memory_limit?: number | null;
  /** Memory in use when it was last seen, bytes. */
  memory_now: number;
  /** Highest memory in use, bytes. */
  memory_peak: number;
  /** Its name, as its runtime has it; empty when not known. */
  name: string;
  /** Whether the kernel killed it for want of memory. */
  oom_killed: boolean;
  /** Names of the recordings that it is in, oldest first; empty for one that is only live. */
  recordings: string[];
  /** `docker`, `podman`, `containerd`, `cri-o`, `slurm`, `systemd`, `lxc`, `cgroup`; empty when not known. */
  runtime: string;
  /** Cores used in its latest 60 buckets of 10 s, oldest first; null where nothing is known. */
  spark: (number | null)[];
  /** When it was started. */
  started?: number | null;
  /** Whether it runs. */
  state: State;
}

/** A page of the list. */
export interface ContainerList {
  /** The containers of this page. */
  containers: ContainerItem[];
  /** The cursor of the next page; null on the last one. */
  next?: string | null;
  /** How many there are on all pages. */
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
  /** The busiest processes, and `(other)`. */
  processes: ProcessPercent[];
  /** In the kernel, by the cgroup. */
  system: (number | null)[];
  /** Held back by the limit. */
  throttled: (number | null)[];
  /** Sum of the processes. */
  total: (number | null)[];
  /** In user mode, by the cgroup. */
  user: (number | null)[];
}

/** An error as it is answered. */
export interface ErrorBody {
  /** What kind of error. */
  code: Code;
  /** What to do about it, for people. */
  message: string;
  /** By which the log can be searched. */
  request_id: string;
}

/** Something that happened. */
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

/** What a process did with a file. */
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

/** A file, and what was done with it. */
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
  /** Path, as the container sees it; text from strangers. */
  path: string;
}

/** What the agent of a host said of itself, and when. */
export interface Host {
  /** Cores of the host. */
  cores: number;
  /** CPU that the agent uses, in percent of one core, between its latest two batches. */
  cpu_percent: number;
  /** Slots that it dropped since it started, as its spool was full. */
  dropped: number;
  /** Family of hooks in use: `vfs`, `syscall`, `procfs` or `capture`. */
  hooks: string;
  /** Host name. */
  host: string;
  /** Kernel release. */
  kernel: string;
  /** CPU that its programs in the kernel use, in percent of one core, between its latest two batches; 0 where the kernel does not say. */
  kernel_percent: number;
  /** When the batch was made: seconds since the Unix epoch. */
  last_seen: number;
  /** Memory of the host in bytes. */
  memory: number;
  /** What this host does not let it count: one sentence each. */
  missing: string[];
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
  /** What part of each slot is known, 0 to 1. */
  covered: number[];
  /** CPU in percent of one core; null in gaps. */
  cpu: (number | null)[];
  /** Start of the first slot, seconds since the Unix epoch. */
  first: number;
  /** End of the last slot. */
  last: number;
  /** What happened to the container. */
  marks: Mark[];
  /** Length of a slot in seconds. */
  step: number;
}

/** What was lost. */
export interface LossInfo {
  /** How many bytes, where that is known. */
  bytes: number;
  /** How many times. */
  count: number;
  /** Why. */
  reason: string;
}

/** Something that happened to a container. */
export interface Mark {
  /** When, seconds since the Unix epoch. */
  at: number;
  /** `container_start`, `container_end`, `oom_kill`. */
  kind: string;
}

/** What a token allows. */
export interface Me {
  /** Whether everything may be read. */
  admin: boolean;
  /** The one container that may be read. */
  container?: string | null;
  /** Until when, seconds since the Unix epoch. */
  expires: number;
}

/** Memory in bytes, the highest within a slot. */
export interface MemoryPanel {
  /** Anonymous memory. */
  anon: (number | null)[];
  /** In use, by the cgroup; when scoped to a process, its rss. */
  current: (number | null)[];
  /** Of it page cache. */
  file: (number | null)[];
  /** The limit. */
  limit: (number | null)[];
  /** Rss of the largest processes, and `(other)`. */
  processes: ProcessBytes[];
  /** Swap in use. */
  swap: (number | null)[];
}

/** What a process did with a connection. */
export type NetworkCell = Who & ConnectionSums;

/** Network. */
export interface NetworkPanel {
  /** Bytes received by slot. */
  in: (number | null)[];
  /** Bytes sent by slot. */
  out: (number | null)[];
  /** Connections, busiest first. */
  rows: ConnectionInfo[];
  /** How many there are. */
  total_rows: number;
}

/** Pressure in percent of the time. */
export interface Pressure {
  /** Some task waited for a core. */
  cpu: (number | null)[];
  /** Some task waited for I/O. */
  io: (number | null)[];
  /** Some task waited for memory. */
  memory: (number | null)[];
}

/** A process's memory by slot. */
export interface ProcessBytes {
  /** Its name. */
  name: string;
  /** Key of the process, or `(other)`. */
  process: string;
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
  /** How many processes are folded into this row. */
  count: number;
  /** CPU time, ns. */
  cpu_ns: number;
  /** When it ended, by exit or by the next exec; null while it runs. */
  end?: number | null;
  /** Path of the program. */
  exe: string;
  /** How many times it had called exec or renamed itself when this row began. */
  exec: number;
  exit?: ExitInfo | null;
  /** `PID-START_NS-EXEC`; of a folded row `0-0-0-NAME`. */
  key: string;
  /** The kernel's name for it. */
  name: string;
  /** Process id of the parent on the host. */
  parent: number;
  /** Process id on the host; 0 for a folded row. */
  pid: number;
  /** Bytes received. */
  received: number;
  /** Highest resident set, bytes. */
  rss_max: number;
  /** Bytes sent. */
  sent: number;
  /** When it was forked, seconds since the Unix epoch. */
  start: number;
  /** Highest swap, bytes. */
  swap_max: number;
  /** User id on the host. */
  uid: number;
  /** Highest virtual size, bytes. */
  vm_max: number;
}

/** A process's CPU by slot. */
export interface ProcessPercent {
  /** Its name. */
  name: string;
  /** Key of the process, or `(other)`. */
  process: string;
  /** Values by slot. */
  values: (number | null)[];
}

/** Which slots an answer has. */
export interface RangeInfo {
  /** Start of the first slot, seconds since the Unix epoch. */
  from: number;
  /** Resolution of what was read: `second`, `minute`, `hour`, `day`. */
  resolution: string;
  /** Number of slots, at most 2,000. */
  slots: number;
  /** Length of a slot in seconds. */
  step: number;
  /** End of the last slot. */
  to: number;
}

/** What became of a batch. */
export interface Receipt {
  /** Segments that were stored before; they count once. */
  known: number;
  /** Segments that will not be stored; posting them again would change nothing. */
  refused: Refusal[];
  /** Segments that are now stored. */
  stored: number;
}

/** What a recording holds of one container. */
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
  /** Its name, as its runtime had it; empty when not known. */
  name: string;
}

/** A recording. Times are seconds since the Unix epoch. */
export interface RecordingItem {
  /** The containers that are in it, by id. */
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
  /** Its container. */
  container: string;
  /** Why. */
  reason: string;
  /** Its resolution. */
  resolution: string;
  /** Start of its span, seconds since the Unix epoch. */
  start: number;
}

/** Rows of one kind. */
export type Rows = ProcessInfo[] | FileCell[] | NetworkCell[] | CpuCell[];

/** Whether a container runs. */
export type State = "running" | "ended" | "silent";

/** Everything about a container in one range. Series have a value for each slot; null is a gap: nothing is known of that slot. */
export interface Summary {
  /** The check sum. */
  accounting: Accounting;
  /** Block devices: bytes by slot. */
  block: InOut;
  /** The container. */
  container: ContainerItem;
  /** What part of each slot is known, 0 to 1. */
  covered: number[];
  /** CPU. */
  cpu: CpuPanel;
  /** What happened, in order of time. */
  events: EventInfo[];
  /** Files. */
  files: FilePanel;
  /** What was lost. */
  losses: LossInfo[];
  /** Memory. */
  memory: MemoryPanel;
  /** Network. */
  network: NetworkPanel;
  /** Pressure: part of the time in which some task waited, in percent. */
  pressure: Pressure;
  /** Processes that lived or did something, busiest first. */
  processes: ProcessInfo[];
  /** Which slots. */
  range: RangeInfo;
  /** Tasks (threads) by slot. */
  tasks: (number | null)[];
  /** How many events there are beside those shown. */
  total_events: number;
  /** How many there are beside those shown. */
  total_processes: number;
  /** The container's own figures over the range, by name: sums, or the highest. */
  totals: Record<string, number>;
}

/** A whole table. */
export interface Table {
  /** Which range. */
  range: RangeInfo;
  /** All rows, of the kind that was asked for. */
  rows: Rows;
}

/** Who a row is about. */
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
