"""What Linux knows of its TCP connections, over netlink: bytes that wait in the kernel, and bytes so far.

Sources: sock_diag(7), struct inet_diag_msg and struct tcp_info of the kernel's headers.
"""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST_DUMP = 0x1 | 0x300
_INET_DIAG_INFO = 2
_ESTABLISHED, _FIN_WAIT = 1 << 1, 1 << 4
_HEADER = struct.Struct("=IHHII")
_ASKED = struct.Struct("=BBBxI48x")
_PORTS = struct.Struct("!HH")
_QUEUES = struct.Struct("=II")
_ATTRIBUTE = struct.Struct("=HH")
_COUNTED = struct.Struct("=QQ")
_PORTS_AT, _QUEUES_AT, _MESSAGE_BYTES = 4, 56, 72
_COUNTED_AT = 120  # of tcpi_bytes_acked, which tcpi_bytes_received follows


@dataclass(frozen=True, slots=True)
class Link:
    """One end of a connection that is established, or closed by its process with bytes still to send.

    `unread` bytes wait for the process, `unacknowledged` ones for the peer; `received` and `acknowledged` are
    the totals so far.
    """

    local_port: int
    remote_port: int
    unread: int
    unacknowledged: int
    received: int
    acknowledged: int

    @property
    def read(self) -> int:
        """Bytes that the process has taken."""
        return self.received - self.unread

    @property
    def written(self) -> int:
        """Bytes that the process has handed over."""
        return self.acknowledged + self.unacknowledged


def links() -> list[Link]:
    """The IPv4 connections of this host; OSError where the kernel is not Linux."""
    if not hasattr(socket, "AF_NETLINK"):
        raise OSError("the kernel's queues are read by netlink, which only Linux has")
    asked = _ASKED.pack(
        socket.AF_INET, socket.IPPROTO_TCP, 1 << (_INET_DIAG_INFO - 1), _ESTABLISHED | _FIN_WAIT
    )
    size = _HEADER.size + len(asked)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + asked)
        return list(_answers(kernel))


def _answers(kernel: socket.socket) -> Iterator[Link]:
    while True:
        data = kernel.recv(1 << 16)
        while data:
            size, kind, *_ = _HEADER.unpack_from(data)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                raise OSError("the kernel refused to list its connections")
            yield _link(data[_HEADER.size : size])
            data = data[-(-size // 4) * 4 :]


def _link(message: bytes) -> Link:
    local, remote = _PORTS.unpack_from(message, _PORTS_AT)
    unread, unacknowledged = _QUEUES.unpack_from(message, _QUEUES_AT)
    acknowledged, received = _counted(message[_MESSAGE_BYTES:])
    return Link(local, remote, unread, unacknowledged, received, acknowledged)


def _counted(attributes: bytes) -> tuple[int, int]:
    """Bytes acknowledged and received, from the attribute that holds struct tcp_info."""
    while attributes:
        size, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == _INET_DIAG_INFO:
            acknowledged, received = _COUNTED.unpack_from(attributes, _ATTRIBUTE.size + _COUNTED_AT)
            return acknowledged, received
        attributes = attributes[-(-size // 4) * 4 :]
    raise OSError("the kernel told nothing of a connection's bytes")
