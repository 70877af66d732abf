"""Which addresses only this machine reaches."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address


def only_here(host: str) -> bool:
    """Whether a server at this host, an address or a name, is reached from this machine only.

    A name is looked up, and each of its addresses counts; an empty one means every address of the machine.
    """
    try:
        found = socket.getaddrinfo(host, None) if host else []
    except (OSError, UnicodeError):
        return False
    return bool(found) and not any(beyond(str(address[0])) for *_, address in found)


def beyond(address: str) -> bool:
    """Whether this is an IP address that others reach, `0.0.0.0` and `::` included; a name is none."""
    try:
        known = ip_address(address)
    except ValueError:
        return False
    return not _behind(known).is_loopback


def _behind(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address as a socket for both families writes it, `::ffff:127.0.0.1`, is the one behind it."""
    return getattr(address, "ipv4_mapped", None) or address
