"""Who calls: an API key is known by its SHA-256 only, and compared in constant time."""

import hashlib
import hmac
import logging
from dataclasses import dataclass

from shared.errors import Unauthorized
from shared.loopback import beyond

Address = tuple[str, int | None]  # host and port of a socket; (path, None) of a Unix domain socket
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """The user a request is counted for."""

    user: str


ANONYMOUS = Caller("anonymous")


class KeyRing:
    """The keys of a service, as `user:sha256hex` entries; an empty ring lets this machine in as anonymous."""

    def __init__(self, entries: tuple[str, ...]) -> None:
        pairs = [entry.rpartition(":") for entry in entries]
        self._keys = [(Caller(user), bytes.fromhex(digest)) for user, _, digest in pairs]
        self._told = False

    def identify(self, authorization: str | None, reached: Address | None = None) -> Caller:
        """The caller behind an Authorization header, who reached us at this address; raises Unauthorized.

        Every key is compared, so the time taken does not tell which one came close.
        """
        if not self._keys:
            return self._anonymous(reached)
        scheme, _, key = (authorization or "").partition(" ")
        digest = hashlib.sha256(key.strip().encode("utf-8", "replace")).digest()
        matches = [caller for caller, known in self._keys if hmac.compare_digest(known, digest)]
        # The hash of nothing is listed easily, by a shell variable that is not set.
        if scheme.lower() != "bearer" or not key.strip() or not matches:
            raise Unauthorized
        return matches[0]

    def _anonymous(self, reached: Address | None) -> Caller:
        """Our own commands refuse to listen beyond loopback without keys; another server may do it."""
        if reached is None or not beyond(reached[0]):
            return ANONYMOUS
        if not self._told:
            self._told = True
            _log.warning("without CHAT_API_KEYS nobody is answered beyond loopback: %s", reached[0])
        raise Unauthorized
