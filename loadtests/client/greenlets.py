"""What the load side uses of gevent, typed: gevent itself ships no types, and is imported nowhere else."""

import select
import socket
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import gevent  # type: ignore[import-untyped]  # ships no types
import gevent.event  # type: ignore[import-untyped]  # ships no types
import gevent.monkey  # type: ignore[import-untyped]  # ships no types
import gevent.pool  # type: ignore[import-untyped]  # ships no types
import gevent.socket  # type: ignore[import-untyped]  # ships no types
import gevent.ssl  # type: ignore[import-untyped]  # ships no types

T = TypeVar("T")
Address = tuple[int, int, int, Any]
"""Family, kind and protocol of a socket, and what it connects to."""


class Task(Protocol):
    """A greenlet that was started."""

    def kill(self, *, block: bool = True) -> None: ...


class Group(Protocol):
    """Greenlets that are waited for together."""

    def spawn(self, function: Callable[..., object], *arguments: object) -> Task: ...
    def join(self) -> object: ...


class Flag(Protocol):
    """Something that happens once, and can be waited for."""

    def set(self) -> None: ...
    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class Socket(Protocol):
    """A connection whose calls let other greenlets run while they wait."""

    def sendall(self, data: bytes) -> None: ...
    def recv(self, size: int) -> bytes: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...
    def settimeout(self, seconds: float | None) -> None: ...
    def connect(self, address: Any) -> None: ...
    def setsockopt(self, level: int, option: int, value: int) -> None: ...


if TYPE_CHECKING:

    class Timeout(BaseException):
        """Raises itself in the greenlet that entered it, when the time has passed; silent with False."""

        def __init__(self, seconds: float | None, exception: bool | None = None) -> None: ...
        def __enter__(self) -> Self: ...
        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> bool | None: ...

    class Box(Generic[T]):
        """A value that can be waited for."""

        def set(self, value: T) -> None: ...
        def get(self) -> T: ...

else:
    Timeout = gevent.Timeout

    class Box(gevent.event.AsyncResult, Generic[T]):
        pass


def spawn(function: Callable[..., object], *arguments: object) -> Task:
    """Starts a greenlet."""
    task: Task = gevent.spawn(function, *arguments)
    return task


def sleep(seconds: float) -> None:
    """Lets other greenlets run; may end a little early, by gevent's coarse clock."""
    gevent.sleep(seconds)


def group() -> Group:
    """A group without greenlets yet."""
    made: Group = gevent.pool.Group()
    return made


def flag() -> Flag:
    """A flag that is not set."""
    made: Flag = gevent.event.Event()
    return made


def on_signal(number: int, handler: Callable[[], object]) -> None:
    """Runs the handler in a greenlet of its own; what it raises goes to the main greenlet."""
    gevent.signal_handler(number, handler)


def addresses(host: str, port: int) -> list[Address]:
    """Every address of a host, in the resolver's order; raises OSError."""
    found = gevent.socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]


def new_socket(family: int, kind: int, protocol: int) -> Socket:
    """A socket that is not connected."""
    made: Socket = gevent.socket.socket(family, kind, protocol)
    return made


def tls_for(host: str) -> Callable[[Socket], Socket]:
    """Puts TLS on a connection to a host, its certificate checked; raises OSError."""
    context = gevent.ssl.create_default_context()

    def wrapped(sock: Socket) -> Socket:
        made: Socket = context.wrap_socket(sock, server_hostname=host)
        return made

    return wrapped


def readable(sock: Socket) -> bool:
    """Whether a read would return at once; unlike select(), poll() takes any number of connections."""
    poll: select.poll = gevent.monkey.get_original("select", "poll")()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
