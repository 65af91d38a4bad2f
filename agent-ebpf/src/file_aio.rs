//! Asynchronous I/O by `io_submit` (libaio). A request has its file when it is submitted, and its result
//! when the program fetches it (`io_getevents`). In between it is kept here.
//!
//! A program may also read results from memory that it shares with the kernel. Such a request is noted
//! as uncounted I/O when its `iocb` is submitted again, or when the process exits.

use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::bpf_probe_read_user;
use aya_ebpf::helpers::generated::bpf_loop;
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use bubble_common::kernel::file::{FileKey, UNKNOWN};
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::unseen::Kind;

use crate::access::Untyped;
use crate::bound::hidden;
use crate::cpu_state::counted_process;
use crate::descriptor::{file_of, is_socket};
use crate::file_path::{file_number, identity};
use crate::file_sum::{self, FileCounts};
use crate::settings::setting;
use crate::sum::{IN, OUT, atomic_add};
use crate::unseen::unseen;
use crate::{generation, task};

/// A request in flight.
#[repr(C)]
#[derive(Clone, Copy)]
struct RequestKey {
    /// The process: start and id.
    start: u64,
    pid: u64,
    /// Address of its `struct iocb`.
    iocb: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Request {
    /// Number of the file.
    file: u64,
    /// Bytes that it asks for; 0 if not known.
    bytes: u64,
    /// Into the process or out of it, or [`ELSEWHERE`].
    direction: u64,
}

/// Direction of requests that move no bytes, or through sockets, which have their own hooks.
const ELSEWHERE: u64 = 2;

#[map]
static AIO_REQUESTS: LruHashMap<RequestKey, Request> = LruHashMap::with_max_entries(16_384, 0);

/// Requests in flight of a process, by pid and start.
#[map]
static AIO_PENDING: LruHashMap<[u64; 2], u64> = LruHashMap::with_max_entries(4096, 0);

/// Maximum number of requests of one call that are looked at.
const MAX_REQUESTS: u64 = 4096;
/// Operations of `linux/aio_abi.h`.
const PREAD: u16 = 0;
const PWRITE: u16 = 1;
const PREADV: u16 = 7;
const PWRITEV: u16 = 8;
/// Size of a `struct io_event`: data, iocb, result, second result.
const EVENT_SIZE: u64 = 32;

/// Requests or results of one call.
#[repr(C)]
struct Batch {
    /// Address of the array.
    first: u64,
    /// Size of an element.
    size: u64,
}

/// Keeps the `count` requests that the array of pointers at `first` leads to.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn aio_submitted(first: u64, count: u64, narrow: u32) -> u32 {
    let Some(process) = counted_process() else {
        return 0;
    };
    pending(process, count);
    let size = hidden(if narrow != 0 { 4 } else { 8 });
    each(first, size, count, submit_one);
    if count > MAX_REQUESTS {
        unseen(process.cgroup, Kind::AIO, count - MAX_REQUESTS, 0);
    }
    0
}

/// Counts the `count` results in the array at `first`.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn aio_reaped(first: u64, count: u64) -> u32 {
    let Some(process) = counted_process() else {
        return 0;
    };
    pending(process, count.wrapping_neg());
    each(first, EVENT_SIZE, count, reap_one);
    if count > MAX_REQUESTS {
        unseen(process.cgroup, Kind::AIO, count - MAX_REQUESTS, 0);
    }
    0
}

/// Notes the requests whose results a process that exits has not fetched by system calls.
#[inline(always)]
pub fn ended(process: &ProcessKey) {
    let key = [process.start, process.pid.into()];
    if let Some(count) = AIO_PENDING.get_ptr(&key) {
        // SAFETY: a pointer to the map's value.
        let count = unsafe { *count };
        if count as i64 > 0 {
            unseen(process.cgroup, Kind::AIO, count, 0);
        }
        let _ = AIO_PENDING.remove(&key);
    }
}

/// Adds to the number of requests in flight of a process.
#[inline(always)]
fn pending(process: &ProcessKey, count: u64) {
    let key = [process.start, process.pid.into()];
    match AIO_PENDING.get_ptr_mut(&key) {
        // SAFETY: a pointer to the map's value, to which other cores add as well.
        Some(sum) => unsafe { atomic_add(sum, count) },
        None => {
            let _ = AIO_PENDING.insert(&key, &count, 0);
        }
    }
}

#[inline(always)]
fn each(first: u64, size: u64, count: u64, callback: extern "C" fn(u32, *mut Batch) -> i64) {
    let mut batch = Batch { first, size };
    let count = if count > MAX_REQUESTS {
        MAX_REQUESTS
    } else {
        count
    };
    // SAFETY: the callback's second argument is the one passed here.
    unsafe {
        bpf_loop(
            count as u32,
            callback as *mut c_void,
            (&raw mut batch).cast(),
            0,
        );
    }
}

extern "C" fn submit_one(n: u32, batch: *mut Batch) -> i64 {
    // SAFETY: `bpf_loop` passes what `each` gave it; the helper takes any address.
    unsafe {
        let element = (*batch).first + u64::from(n) * (*batch).size;
        let iocb = if (*batch).size == 4 {
            bpf_probe_read_user(element as *const u32).map(u64::from)
        } else {
            bpf_probe_read_user(element as *const u64)
        };
        aio_submit(iocb.unwrap_or(0));
    }
    0
}

/// The part of `struct iocb` from byte 16 on.
#[repr(C)]
#[derive(Clone, Copy)]
struct Iocb {
    opcode: u16,
    priority: u16,
    number: u32,
    buffer: u64,
    length: u64,
}

/// Keeps one request. The program may have changed it since, so an unreadable one is noted as uncounted.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn aio_submit(address: u64) -> u32 {
    let Some(process) = counted_process() else {
        return 0;
    };
    // SAFETY: the helper takes any address.
    let Ok(iocb) = (unsafe { bpf_probe_read_user((address + 16) as *const Iocb) }) else {
        unseen(process.cgroup, Kind::AIO, 1, 0);
        return 0;
    };
    let direction = match iocb.opcode {
        PREAD | PREADV => u64::from(IN),
        PWRITE | PWRITEV => u64::from(OUT),
        _ => ELSEWHERE,
    };
    let mut request = Request {
        file: UNKNOWN,
        bytes: 0,
        direction,
    };
    if matches!(iocb.opcode, PREAD | PWRITE) {
        request.bytes = iocb.length;
    }
    if direction != ELSEWHERE
        && let Some(file) = file_of(task::current(), iocb.number)
    {
        if is_socket(file) {
            if setting!(sockets_at_exit) != 0 {
                unseen(process.cgroup, Kind::AIO, 1, request.bytes);
            }
            request.direction = ELSEWHERE;
        } else {
            request.file = file_number(&mut identity::<Untyped>(file));
        }
    }
    let key = RequestKey {
        start: process.start,
        pid: process.pid.into(),
        iocb: address,
    };
    if let Some(old) = AIO_REQUESTS.get_ptr(&key) {
        // SAFETY: a pointer to the map's value.
        let old = unsafe { *old };
        pending(process, 1u64.wrapping_neg());
        if old.direction != ELSEWHERE {
            unseen(process.cgroup, Kind::AIO, 1, old.bytes);
        }
    }
    let _ = AIO_REQUESTS.insert(&key, &request, 0);
    0
}

extern "C" fn reap_one(n: u32, batch: *mut Batch) -> i64 {
    // SAFETY: `bpf_loop` passes what `each` gave it; the helper takes any address.
    let event = unsafe {
        let element = (*batch).first + u64::from(n) * (*batch).size;
        bpf_probe_read_user((element + 8) as *const [u64; 2])
    };
    let [iocb, result] = event.unwrap_or([0, 0]);
    aio_reap(iocb, result as i64);
    0
}

/// Counts one result.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn aio_reap(iocb: u64, result: i64) -> u32 {
    let Some(process) = counted_process() else {
        return 0;
    };
    let key = RequestKey {
        start: process.start,
        pid: process.pid.into(),
        iocb,
    };
    let Some(request) = AIO_REQUESTS.get_ptr(&key) else {
        // Submitted before the agent started, or forgotten: it may be a request without bytes.
        unseen(process.cgroup, Kind::AIO, 1, 0);
        return 0;
    };
    // SAFETY: a pointer to the map's value.
    let request = unsafe { *request };
    let _ = AIO_REQUESTS.remove(&key);
    if result >= 0 && request.direction != ELSEWHERE {
        let key = FileKey {
            process: *process,
            file: request.file,
        };
        let counts = FileCounts::moved(request.direction as u32, result as u64);
        file_sum::add(generation::current(), &key, &counts);
    }
    0
}
