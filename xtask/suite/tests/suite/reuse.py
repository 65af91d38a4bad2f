"""One process id, two processes within some ms. Each renames itself, writes a file and exits."""

import ctypes
import os
import sys

libc = ctypes.CDLL(None)
PR_SET_NAME = 15
ATTEMPTS = 200


def child(name, size, code):
    libc.prctl(PR_SET_NAME, name.encode(), 0, 0, 0)
    with open(name, "wb", buffering=0) as file:
        file.write(b"x" * size)
    os._exit(code)


def fork(name, size, code, pid=None):
    """Runs a child, with this process id if given. Returns its id."""
    if pid is not None:
        with open("/proc/sys/kernel/ns_last_pid", "w") as last:
            last.write(str(pid - 1))
    forked = os.fork()
    if forked == 0:
        if pid not in (None, os.getpid()):
            os._exit(0)
        child(name, size, code)
    os.waitpid(forked, 0)
    return forked


first = fork("first", 1000, 1)
for _ in range(ATTEMPTS):
    if fork("second", 2000, 2, first) == first:
        sys.exit(0)
sys.exit("other processes of this host always take the id")
