"""Sockets of one kind send and receive. Prints what the kernel returned: the bytes received and sent."""

import ctypes
import os
import select
import socket
import struct
import sys
import time

UDP_SEGMENT, UDP_GRO = 103, 104
SO_ZEROCOPY, MSG_ZEROCOPY, MSG_ERRQUEUE, MSG_FASTOPEN = 60, 0x4000000, 0x2000, 0x20000000
TCP_FASTOPEN = 23
LOCAL = ("127.0.0.1", 0)

received = sent = 0


def send(*arguments, by):
    global sent
    sent += by(*arguments)


def receive(sock, size, flags=0):
    """One receive. Returns its number of bytes."""
    global received
    bytes_read = len(sock.recv(size, flags))
    received += bytes_read
    return bytes_read


def receive_all(sock, size):
    left = size
    while left:
        left -= receive(sock, left)


def datagrams():
    """A bound socket, and one that is connected to it."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(LOCAL)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(server.getsockname())
    return server, client


def streams(family=socket.AF_INET, address=LOCAL, to="127.0.0.1"):
    """Both ends of a connection over TCP."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(address)
    listener.listen()
    client = socket.create_connection((to, listener.getsockname()[1]))
    return listener.accept()[0], client


def truncated():
    """Datagrams that are longer than the buffer: what is copied counts."""
    server, client = datagrams()
    for _ in range(5):
        send(b"x" * 1400, by=client.send)
    for _ in range(5):
        receive(server, 10)


def peeked():
    """A look that leaves the bytes in the queue is no receive."""
    one, other = socket.socketpair()
    send(b"x" * 1000, by=one.send)
    for _ in range(5):
        other.recv(1000, socket.MSG_PEEK)
    receive(other, 1000)


def segmented():
    """One send becomes twenty datagrams."""
    server, client = datagrams()
    client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
    send(b"x" * 20000, by=client.send)
    for _ in range(20):
        receive(server, 65536)


def joined():
    """One receive takes several datagrams."""
    server, client = datagrams()
    server.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
    send(b"x" * 20000, by=client.send)
    while received < 20000 and select.select([server], [], [], 1)[0]:
        receive(server, 65536)


def mapped():
    """A client of IPv4 at a server of IPv6."""
    server, client = streams(socket.AF_INET6, ("::", 0))
    send(b"x" * 3000, by=client.send)
    receive_all(server, 3000)
    send(b"y" * 500, by=server.send)
    receive_all(client, 500)


def zero_copy():
    """Sends without a copy. Their completions on the error queue have no bytes."""
    server, client = streams()
    client.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    for _ in range(10):
        send(b"z" * 20000, MSG_ZEROCOPY, by=client.send)
        receive_all(server, 20000)
    while select.select([], [], [client], 0.2)[2]:
        client.recvmsg(0, 1000, MSG_ERRQUEUE)
        if not select.select([client], [], [client], 0)[2]:
            break


def fast_open():
    """The first send connects."""
    listener = socket.socket()
    listener.bind(LOCAL)
    listener.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 5)
    listener.listen()
    for _ in range(3):
        client = socket.socket()
        send(b"f" * 100, MSG_FASTOPEN, listener.getsockname(), by=client.sendto)
        server = listener.accept()[0]
        receive_all(server, 100)


def packet():
    """Frames on the loopback interface, which returns each."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5))
    sock.bind(("lo", 0x88B5))
    frame = b"\0" * 12 + b"\x88\xb5" + b"p" * 486
    for _ in range(10):
        send(frame, by=sock.send)
    while select.select([sock], [], [], 0.3)[0]:
        receive(sock, 2000)


def netlink():
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    send(struct.pack("=IHHII", 17, 18, 0x301, 1, 0) + b"\0", by=sock.send)
    receive(sock, 65536)


def sequence():
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    send(b"q" * 600, by=one.send)
    receive(other, 600)


def raw():
    """A raw socket of IP receives the header too."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
    send(b"r" * 80, ("127.0.0.1", 0), by=sock.sendto)
    receive(sock, 2000)


def passed():
    """A socket in another process: the bytes belong to the one that sends them."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    server, client = streams()
    child = os.fork()
    if child == 0:
        _, numbers, _, _ = socket.recv_fds(other, 100, 1)
        socket.socket(fileno=numbers[0]).sendall(b"s" * 4321)
        os._exit(0)
    socket.send_fds(one, [b"x"], [server.fileno()])
    server.close()
    receive_all(client, 4321)
    os.waitpid(child, 0)
    global sent, received
    # The child's, and the byte with which the socket was passed.
    sent, received = sent + 4321 + 1, received + 1


def refused():
    """Nothing listens at these paths. The second is that of a cache which C libraries try, if it does not run."""
    cache = [] if os.path.exists("/var/run/nscd/socket") else ["/var/run/nscd/socket"]
    for path in [os.path.abspath("nothing.sock"), *cache]:
        try:
            socket.socket(socket.AF_UNIX).connect(path)
        except OSError:
            pass


def peers():
    """One socket, each datagram to another peer. Another agent on the host counts runs until it knows that they
    are no containers: so many peers at once would leave its map no room for those of other tests."""
    time.sleep(3)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in range(20000):
        peer = socket.inet_ntoa(struct.pack(">I", 0x7F020000 + number))
        send(b"n" * 10, (peer, 9), by=client.sendto)


def many():
    """`sendmmsg` and `recvmmsg`: ten datagrams in a call."""
    server, client = datagrams()
    libc = ctypes.CDLL(None, use_errno=True)

    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    class Header(ctypes.Structure):
        _fields_ = [
            ("name", ctypes.c_void_p),
            ("name_length", ctypes.c_uint),
            ("vectors", ctypes.POINTER(Vector)),
            ("vector_count", ctypes.c_size_t),
            ("control", ctypes.c_void_p),
            ("control_length", ctypes.c_size_t),
            ("flags", ctypes.c_int),
        ]

    class Message(ctypes.Structure):
        _fields_ = [("header", Header), ("length", ctypes.c_uint)]

    buffer = ctypes.create_string_buffer(b"m" * 700, 700)
    vector = Vector(ctypes.addressof(buffer), 700)
    messages = (Message * 10)()
    for message in messages:
        message.header = Header(None, 0, ctypes.pointer(vector), 1, None, 0, 0)
    global sent, received
    count = libc.sendmmsg(client.fileno(), messages, 10, 0)
    sent += sum(message.length for message in messages[:count])
    count = libc.recvmmsg(server.fileno(), messages, 10, 0, None)
    received += sum(message.length for message in messages[:count])


globals()[sys.argv[1]]()
print(received, sent)
