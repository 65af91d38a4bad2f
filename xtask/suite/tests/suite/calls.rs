//! The running kernel's own list of system calls: each is in a row of the table.

use std::collections::BTreeSet;

use bubble_common::kernel::calls::{CALLS, OTHERS};

/// Functions whose name differs from that of their system call, or that have none on x86.
const ALIASES: [(&str, &str); 24] = [
    ("newstat", "stat"),
    ("newlstat", "lstat"),
    ("newfstat", "fstat"),
    ("newuname", "uname"),
    ("umount", "umount2"),
    ("oldumount", "umount"),
    ("llseek", "_llseek"),
    ("mmap_pgoff", "mmap2"),
    ("old_getrlimit", "getrlimit"),
    ("old_readdir", "readdir"),
    ("old_select", "select"),
    ("old_msgctl", "msgctl"),
    ("old_semctl", "semctl"),
    ("old_shmctl", "shmctl"),
    ("old_mmap", "mmap"),
    ("sendfile64", "sendfile64"),
    ("preadv64", "preadv"),
    ("pwritev64", "pwritev"),
    ("preadv64v2", "preadv2"),
    ("pwritev64v2", "pwritev2"),
    ("send", "sendto"),
    ("recv", "recvfrom"),
    ("s390_ipc", "ipc"),
    ("gethostname", "uname"),
];

/// Calls of other processors, for which x86 has an empty function.
const ELSEWHERE: [&str; 10] = [
    "pciconfig_iobase",
    "pciconfig_read",
    "pciconfig_write",
    "rtas",
    "s390_pci_mmio_read",
    "s390_pci_mmio_write",
    "spu_create",
    "spu_run",
    "subpage_prot",
    "sys_debug_setcontext",
];

fn is_known(name: &str) -> bool {
    CALLS.iter().any(|call| call.name == name) || OTHERS.contains(&name)
}

/// Functions of 32-bit calls have a suffix for the width of times or ids, or a prefix.
fn is_in_a_row(function: &str) -> bool {
    let name = function.strip_prefix("ia32_").unwrap_or(function);
    let name = ALIASES
        .iter()
        .find_map(|(alias, name_)| (*alias == name).then_some(*name_))
        .unwrap_or(name);
    let short = ["_time32", "32", "16"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix));
    is_known(name) || short.is_some_and(is_known) || ELSEWHERE.contains(&name)
}

#[test]
fn every_call_of_this_kernel_is_in_a_row() {
    let types = std::fs::read("/sys/kernel/btf/vmlinux").expect("the kernel's types");
    let mut calls = BTreeSet::new();
    for name in types.split(|byte| *byte == 0) {
        let Ok(name) = std::str::from_utf8(name) else {
            continue;
        };
        let prefixes = ["__x64_sys_", "__ia32_compat_sys_", "__ia32_sys_"];
        calls.extend(prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)));
    }
    assert!(calls.len() > 300, "this kernel has {} calls", calls.len());
    let unknown: Vec<_> = calls.iter().filter(|name| !is_in_a_row(name)).collect();
    assert!(unknown.is_empty(), "in no row of the table: {unknown:?}");
}
