// What the API answers.

export interface ContainerItem {
  id: string;
  name: string;
  image: string;
  runtime: string;
  host: string;
  labels: Record<string, string>;
  cores: number;
  first_seen: number;
  last_seen: number;
  state: "running" | "ended";
  started?: number | null;
  ended?: number | null;
  exit_code?: number | null;
  oom_killed: boolean;
  cpu_ns: number;
  cpu_now: number;
  memory_now: number;
  memory_peak: number;
  memory_limit?: number | null;
  bytes_in: number;
  bytes_out: number;
  spark: (number | null)[];
}

export interface ContainerList {
  containers: ContainerItem[];
  next?: string | null;
  total: number;
}

export interface Range {
  from: number;
  to: number;
  step: number;
  resolution: string;
  slots: number;
}

export interface ProcessSeries {
  process: string;
  values: (number | null)[];
}

export interface CoreSeries {
  core: number;
  values: (number | null)[];
}

export interface CpuSummary {
  total: (number | null)[];
  user: (number | null)[];
  system: (number | null)[];
  throttled: (number | null)[];
  limit: (number | null)[];
  processes: ProcessSeries[];
  cores: CoreSeries[];
}

export interface MemorySummary {
  current: (number | null)[];
  file: (number | null)[];
  anon: (number | null)[];
  swap: (number | null)[];
  limit: (number | null)[];
  processes: ProcessSeries[];
}

export interface FileRow {
  path: string;
  kind: string;
  bytes_in: number;
  bytes_out: number;
  ops_in: number;
  ops_out: number;
  opens: number;
  processes: string[];
}

export interface FileSummary {
  in: (number | null)[];
  out: (number | null)[];
  opens: (number | null)[];
  rows: FileRow[];
  total_rows: number;
}

export interface NetworkRow {
  protocol: string;
  role: string;
  local: string;
  peer: string;
  bytes_in: number;
  bytes_out: number;
  ops_in: number;
  ops_out: number;
  connects: number;
  failures: number;
  processes: string[];
}

export interface NetworkSummary {
  in: (number | null)[];
  out: (number | null)[];
  rows: NetworkRow[];
  total_rows: number;
}

export interface Exit {
  code?: number | null;
  signal?: number | null;
}

export interface ProcessRow {
  key: string;
  pid: number;
  start: number;
  exec: number;
  container_pid: number;
  parent: number;
  uid: number;
  name: string;
  exe: string;
  args: string[];
  end?: number | null;
  exit?: Exit | null;
  count: number;
  cpu_ns: number;
  rss_max: number;
  vm_max: number;
  swap_max: number;
  bytes_in: number;
  bytes_out: number;
  received: number;
  sent: number;
}

export interface BlockSummary {
  in: (number | null)[];
  out: (number | null)[];
}

export interface PressureSummary {
  cpu: (number | null)[];
  memory: (number | null)[];
  io: (number | null)[];
}

export interface EventRow {
  at: number;
  kind: string;
  process?: string | null;
  detail: string;
}

export interface LossRow {
  reason: string;
  count: number;
  bytes: number;
}

export interface Accounting {
  process_cpu_ns: number;
  cgroup_cpu_ns?: number | null;
  difference_percent?: number | null;
  hooks: string;
  lost: number;
}

export interface Summary {
  container: ContainerItem;
  range: Range;
  covered: number[];
  cpu: CpuSummary;
  memory: MemorySummary;
  files: FileSummary;
  network: NetworkSummary;
  processes: ProcessRow[];
  total_processes: number;
  block: BlockSummary;
  tasks: (number | null)[];
  pressure: PressureSummary;
  totals: Record<string, number>;
  events: EventRow[];
  losses: LossRow[];
  accounting: Accounting;
}

export interface Mark {
  at: number;
  kind: string;
}

export interface Life {
  first: number;
  last: number;
  step: number;
  cpu: (number | null)[];
  covered: number[];
  marks: Mark[];
}

export interface Host {
  host: string;
  version: string;
  kernel: string;
  hooks: string;
  missing: string[];
  cores: number;
  memory: number;
  last_seen: number;
  cpu_percent: number;
  rss: number;
  kernel_percent: number;
  spooled: number;
  dropped: number;
}

export interface HostList {
  hosts: Host[];
}

export interface Me {
  admin: boolean;
  container?: string | null;
  expires?: number | null;
}
