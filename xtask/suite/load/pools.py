"""Python with pools for the mixed load: processes and threads that pass data through pipes and sockets,
and a database that they share, until the time is over.

    pools.py FOLDER SECONDS
"""

import concurrent.futures
import json
import mmap
import multiprocessing
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

folder, seconds = sys.argv[1], float(sys.argv[2])


def row(number):
    """Writes a row of the shared database, and reads the last ones."""
    with sqlite3.connect(f"{folder}/shared.db", timeout=60) as database:
        database.execute("insert into rows values (?, ?)", (number, "x" * (number % 5000)))
        return len(database.execute("select * from rows order by number desc limit 20").fetchall())


def file(number):
    """Writes a temporary file, and reads it by position, by line and through a mapping."""
    with tempfile.NamedTemporaryFile(dir=folder) as temporary:
        temporary.write(json.dumps({str(n): n * number for n in range(3000)}, indent=1).encode())
        temporary.flush()
        os.pread(temporary.fileno(), 999, 17)
        os.preadv(temporary.fileno(), [bytearray(100), bytearray(1000)], 5)
        os.pwritev(temporary.fileno(), [b" ", b"\n"], os.path.getsize(temporary.name))
        with open(temporary.name) as lines, mmap.mmap(temporary.fileno(), 0) as mapping:
            return sum(len(line) for line in lines) + mapping.find(b"}")


def echo(end):
    while received := end.recv(65536):
        end.sendall(received)


def sockets():
    """Passes data through a pair of sockets to a child and back, by messages, and by read and write."""
    here, there = socket.socketpair()
    child = multiprocessing.Process(target=echo, args=(there,))
    child.start()
    there.close()
    for size in [1, 1000, 50_000]:
        here.sendall(b"s" * size)
        left = size
        while left:
            left -= len(os.read(here.fileno(), left))
    os.write(here.fileno(), b"w")
    here.recv(1, socket.MSG_PEEK)
    here.recvmsg(1)
    here.shutdown(socket.SHUT_WR)
    child.join()
    here.close()


def kernel_copies():
    """Copies a file within the kernel, by each call for it."""
    with open(f"{folder}/from", "wb+") as source, open(f"{folder}/to", "wb+") as target:
        source.write(os.urandom(200_000))
        source.flush()
        os.sendfile(target.fileno(), source.fileno(), 0, 100_000)
        os.copy_file_range(source.fileno(), target.fileno(), 70_000, 0)
        read_end, write_end = os.pipe()
        moved = os.splice(source.fileno(), write_end, 30_000, offset_src=0)
        os.splice(read_end, target.fileno(), moved)
        os.close(read_end)
        os.close(write_end)


EXECUTED_BY_A_THREAD = """
import os, sys, threading
name = sys.argv[1]
open(name).read()
threading.Thread(target=lambda: os.execv("/bin/cat", ["cat", name])).start()
threading.Event().wait()
"""


def execute():
    """A process whose second thread executes a program, while the first one has read and waits."""
    command = [sys.executable, "-c", EXECUTED_BY_A_THREAD, __file__]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    assert len(result.stdout) == os.path.getsize(__file__)


def main():
    end = time.time() + seconds
    with sqlite3.connect(f"{folder}/shared.db") as database:
        database.execute("pragma journal_mode=wal")
        database.execute("create table rows (number integer, text text)")
    spawn = multiprocessing.get_context("spawn")
    number = 0
    with multiprocessing.Pool(4, maxtasksperchild=25) as pool:
        while time.time() < end:
            numbers = range(number, number + 60)
            pool.map(row, numbers)
            pool.map(file, numbers, chunksize=5)
            with concurrent.futures.ThreadPoolExecutor(4) as threads:
                list(threads.map(file, range(8)))
            with concurrent.futures.ProcessPoolExecutor(2, mp_context=spawn) as fresh:
                list(fresh.map(len, ["x" * 100_000] * 4))
            sockets()
            execute()
            if hasattr(os, "splice"):
                kernel_copies()
            subprocess.run(["sort", "-r"], input=b"line\n" * 5000, stdout=subprocess.DEVNULL, check=True)
            number += 60
        pool.close()
        pool.join()
    print(number, "rows by the pools")


if __name__ == "__main__":
    main()
