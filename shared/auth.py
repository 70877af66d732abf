"""Who calls: an API key is known by its SHA-256 only, and compared in constant time."""

import hashlib
import hmac
from dataclasses import dataclass

from shared.errors import Unauthorized


@dataclass(frozen=True, slots=True)
class Caller:
    """The user a request is counted for."""

    user: str


ANONYMOUS = Caller("anonymous")


class KeyRing:
    """The keys of a service, as `user:sha256hex` entries; an empty ring lets everybody in as anonymous."""

    def __init__(self, entries: tuple[str, ...]) -> None:
        pairs = [entry.rpartition(":") for entry in entries]
        self._keys = [(Caller(user), bytes.fromhex(digest)) for user, _, digest in pairs]

    def identify(self, authorization: str | None) -> Caller:
        """The caller behind an Authorization header; raises Unauthorized.

        Every key is compared, so the time taken does not tell which one came close.
        """
        if not self._keys:
            return ANONYMOUS
        scheme, _, key = (authorization or "").partition(" ")
        digest = hashlib.sha256(key.strip().encode("utf-8", "replace")).digest()
        matches = [caller for caller, known in self._keys if hmac.compare_digest(known, digest)]
        if scheme.lower() != "bearer" or not matches:
            raise Unauthorized
        return matches[0]
