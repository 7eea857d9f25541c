"""The facts of a server: what a connected cache has to know of it, before it asks for more.

The base of `Courses`. They are asked for with the first command, and tell how the others are
said: by a dialect, within a space, with leases beside their keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from cachestorm.capabilities import Capabilities
from cachestorm.codec import bytes_of
from cachestorm.errors import CacheStormError
from cachestorm.remote.arguments import Words
from cachestorm.remote.capabilities import ASSUMED, QUESTIONS, capabilities_of
from cachestorm.remote.cluster_dialect import ClusterDialect
from cachestorm.remote.commands import LOCAL
from cachestorm.remote.dialect import LOADING, PROBE, Dialect
from cachestorm.remote.leases import LEASES, SHADOWS
from cachestorm.remote.refusals import UnreachableError, UnsupportedError, is_away
from cachestorm.remote.slots import marks, slot_of
from cachestorm.remote.spaces import Space
from cachestorm.remote.steps import Ask, Course

# what a `Cache` calls its databases
_DATABASE: Final = re.compile("default|db[0-9]+")


class ServerFacts:
    """What is known of one server.

    Args:
        shown: its address, for messages.
        cluster: how commands are said in a cluster, if it is one.
        space: the namespace, if it was asked for by name.

    Attributes:
        capabilities: once they were asked for.
        dialect: how commands are said there, if not as they are.
        space: the namespace, if the server has none.
    """

    def __init__(
        self,
        shown: str,
        cluster: ClusterDialect | None = None,
        space: Space | None = None,
    ) -> None:
        self._shown: Final = shown
        self.capabilities: Capabilities | None = None
        self.dialect: Dialect | None = cluster
        self._named: Final = space
        # no cluster has namespaces
        self.space: Space | None = None if cluster is None else space

    # -- what is kept beside its keys

    def lease_key(self, key: str | bytes) -> bytes:
        """The key of the lease of a key: beside it, in a cluster too."""
        return self._key_beside(LEASES, key)

    def shadow_key(self, key: str | bytes) -> bytes:
        """The key of the shadow of a key (`shadows.py`), in the same way."""
        return self._key_beside(SHADOWS, key)

    def _key_beside(self, prefix: bytes, key: str | bytes) -> bytes:
        name = key if isinstance(key, bytes) else bytes_of(key)
        if not isinstance(self.dialect, ClusterDialect):
            return prefix + name
        stored = name if self.space is None else self.space.prefix + name
        return prefix + b"{" + marks()[slot_of(stored)] + b"}:" + name

    def beside(self, keys: Iterable[bytes]) -> Words:
        """The command that removes what there is beside keys."""
        words: Words = ["DEL"]
        for key in keys:
            words += [self.lease_key(key), self.shadow_key(key)]
        return words

    # -- what it can do

    def asked(self, assumes: bool = True) -> Course:
        """The capabilities of the server; it is asked once.

        Args:
            assumes: whether one that cannot be reached is taken for one of ours. The step
                that follows fails then, and what it would have done is kept (`recovery.py`).
        """
        if self.capabilities is None:
            is_cluster = isinstance(self.dialect, ClusterDialect)
            try:
                replies = yield Ask(QUESTIONS, is_kept=False)
                known = capabilities_of(replies, is_cluster)
                if known.tags and known.server != "cachestorm":
                    known = yield from self._tried(known)
            except UnreachableError:
                if not assumes:
                    raise
                return ASSUMED
            self.learn(known)
            return known
        return self.capabilities

    def learn(self, known: Capabilities) -> None:
        """Knows from here on what the server can do.

        Raises:
            UnsupportedError: if it cannot have this namespace.
        """
        if self._named is not None:
            self._check_name(self._named.name, known)
        if not known.namespaces_apart:
            self.space = self._named
        if known.tags and known.server != "cachestorm":
            if isinstance(self.dialect, ClusterDialect):
                self.dialect.has_script = True
            elif self.space is None:
                self.dialect = Dialect(known.missing)
            else:
                self.dialect = Dialect(known.missing, self.space.home)
        self.capabilities = known

    def _check_name(self, name: str, known: Capabilities) -> None:
        if not known.namespaces:
            raise self.unsupported("namespace", "no client of a cluster can choose one")
        if not known.namespaces_apart and _DATABASE.fullmatch(name):
            raise self.unsupported(
                f"namespace({name!r})", "name a database by its number in the address"
            )

    def _tried(self, known: Capabilities) -> Course:
        """Whether tags do work on a server that has none itself.

        Raises:
            CacheStormError: if it is away just now, which tells nothing of its tags.
        """
        try:
            yield Ask([LOADING], is_kept=False)
            yield Ask([PROBE], is_kept=False)
        except CacheStormError as error:
            if not is_away(error):
                return replace(known, tags=False, no_tags=str(error))
            # the other nodes go on without one that is away, and load the script when needed
            if not known.cluster:
                raise
        return known

    def needs_tags(self, what: str) -> Course:
        """Refuses what needs tags, where there are none."""
        known = yield from self.asked()
        if not known.tags:
            raise UnsupportedError(
                f"{what}: {self._shown} is {known.server} {known.version}, which has no "
                f"tags: {known.no_tags}"
            )

    def may_have_default_ttl(self) -> bool:
        """Whether the namespace may give a time to live to what is written without."""
        known = self.capabilities
        return known is None or known.namespaces_apart

    def refused(self, method: str) -> UnsupportedError:
        """Why a method cannot be called here."""
        reason = LOCAL.get(method, "it belongs to a cache in this process")
        return self.unsupported(method, reason)

    def unsupported(self, method: str, reason: str) -> UnsupportedError:
        """What is raised for a method that cannot be called here.

        Args:
            method: its name, or what the call is.
        """
        call = method if method.endswith(")") else f"{method}()"
        return UnsupportedError(f"{call} cannot be answered by {self._shown}: {reason}")
