"""Selectors: one set of permissions of a user, and whether a call fits into it. Sans-IO.

Made and changed by `rules.py`, asked by users.

1. A selector permits a call if it permits the command and all that the call names: keys, tags,
   channels, and the namespace it is asked in.
2. What is permitted is worked out when it changes, not when it is asked: a command that the
   selector does not limit costs one look into a dict.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.codec import bytes_of, parse_int, text_of, to_wire
from cachestorm.declare.kinds import (
    CHANNEL,
    CHANNELS,
    DATABASE,
    KEY,
    KEYS,
    NAMESPACE,
    READS,
    TAG,
    WRITES,
    FoundName,
    Key,
    Kind,
)
from cachestorm.declare.plan import Plan
from cachestorm.errors import CacheStormError
from cachestorm.patterns import matches
from cachestorm_server.acl import denial as of
from cachestorm_server.acl.denial import Denial
from cachestorm_server.acl.needs import Needs, needs_of

BOTH: Final = READS | WRITES
# more words than any call has
NEVER: Final = 1 << 40

_ANY: Final = 0
_PREFIX: Final = 1
_EXACT: Final = 2
_GLOB: Final = 3


class Pattern:
    """A glob pattern of names.

    Attributes:
        text: as it was written.
        permissions: READS, WRITES or both; they matter for keys alone.
    """

    def __init__(self, text: bytes, permissions: int = BOTH) -> None:
        self.text: Final = text
        self.permissions = permissions
        body = text[:-1] if text.endswith(b"*") else text
        self._body: Final = body
        if any([special in body for special in (b"*", b"?", b"[", b"\\")]):
            self._how = _GLOB
        elif len(body) == len(text):
            self._how = _EXACT
        else:
            self._how = _PREFIX if body else _ANY

    def fits(self, name: bytes) -> bool:
        """Whether a name is one of those meant."""
        how = self._how
        if how == _PREFIX:
            return name.startswith(self._body)
        if how == _EXACT:
            return name == self._body
        return how == _ANY or matches(self.text, name)


class Limits:
    """What a selector has to look at in calls of one command.

    Attributes:
        is_denied: the command, at least without a certain first argument.
        is_free: nothing, as all that it can name is permitted.
        asked_from: nothing in calls of fewer words than this; NEVER if in none.
    """

    def __init__(self, needs: Needs, is_denied: bool, selector: Selector) -> None:
        self.needs: Final = needs
        self.is_denied: Final = is_denied
        self.keys: Final = needs.has_keys and not selector.all_keys
        self.patterns: Final = needs.has_patterns and not selector.reads_all_keys()
        self.tags: Final = needs.has_tags and not selector.all_tags
        self.channels: Final = needs.has_channels and not selector.all_channels
        self.namespaces: Final = needs.has_namespaces and not selector.all_namespaces
        self.here: Final = needs.works_here and not selector.all_namespaces
        is_free_without_tags = not (
            is_denied
            or self.keys
            or self.patterns
            or self.channels
            or self.namespaces
            or self.here
            or (needs.works_everywhere and not selector.all_namespaces)
        )
        self.is_free: Final = is_free_without_tags and not self.tags
        self.asked_from: i64 = 0
        if is_free_without_tags:
            self.asked_from = needs.tags_from if self.tags else NEVER


class Selector:
    """One set of permissions; at first it permits nothing, in any namespace.

    Attributes:
        all_commands: nothing was taken away since `+@all`.
        by_default: whether a command that no rule speaks of is permitted.
        commands: what rules say of commands, by the name of their plans.
        first_arguments: of commands that are else denied, those that permit a call.
        rules: what was said of commands, so that saying it again makes the same selector.
        keys, tags, channels, namespaces: patterns, where `all_…` does not hold.
    """

    def __init__(self) -> None:
        self.all_commands: bool = False
        self.by_default: bool = False
        self.commands: dict[str, bool] = {}
        self.first_arguments: dict[str, list[bytes]] = {}
        self.rules: list[str] = []
        self.all_keys: bool = False
        self.keys: list[Pattern] = []
        self.all_tags: bool = False
        self.tags: list[Pattern] = []
        self.all_channels: bool = False
        self.channels: list[Pattern] = []
        self.all_namespaces: bool = True
        self.namespaces: list[Pattern] = []
        self._limits: dict[Plan, Limits] = {}

    def copy(self) -> Selector:
        """One that permits the same, and changes alone."""
        made = Selector()
        made.all_commands = self.all_commands
        made.by_default = self.by_default
        made.commands = self.commands.copy()
        made.first_arguments = {
            name: args.copy() for name, args in self.first_arguments.items()
        }
        made.rules = self.rules.copy()
        made.all_keys = self.all_keys
        made.keys = [Pattern(each.text, each.permissions) for each in self.keys]
        made.all_tags = self.all_tags
        made.tags = self.tags.copy()
        made.all_channels = self.all_channels
        made.channels = self.channels.copy()
        made.all_namespaces = self.all_namespaces
        made.namespaces = self.namespaces.copy()
        return made

    def forget(self) -> None:
        """Has everything worked out anew: a rule has changed."""
        self._limits = {}

    def is_free(self) -> bool:
        """Whether it permits everything."""
        return (
            self.all_commands
            and self.all_keys
            and self.all_tags
            and self.all_channels
            and self.all_namespaces
        )

    def reads_all_keys(self) -> bool:
        """Whether any key may be read."""
        if self.all_keys:
            return True
        return any([each.text == b"*" and each.permissions & READS != 0 for each in self.keys])

    def permits_channel(self, name: bytes, is_pattern: bool) -> bool:
        """Whether a channel may be used; a pattern only if it was written just so."""
        if self.all_channels:
            return True
        if is_pattern:
            return any([each.text == name for each in self.channels])
        return _one_fits(self.channels, name)

    def asked_from(self, plan: Plan) -> i64:
        """The fewest words of a call that it looks at; NEVER if it permits all calls."""
        limits = self._limits.get(plan)
        if limits is None:
            limits = self._limits_of(plan)
        return limits.asked_from

    def check(self, plan: Plan, argv: list[object], namespace: str) -> Denial | None:
        """What of a call is not permitted; None if all of it is.

        Args:
            argv: of a size that the command may have.
            namespace: where it is asked.

        Raises:
            CacheStormError: for words that the command would refuse.
        """
        limits = self._limits.get(plan)
        if limits is None:
            limits = self._limits_of(plan)
        if limits.is_free:
            return None
        needs = limits.needs
        if limits.is_denied and not self._permits_first(plan, argv):
            return Denial(of.COMMAND, bytes_of(needs.name))
        if not self.all_namespaces:
            if needs.works_everywhere:
                return Denial(of.NAMESPACE, b"*")
            if limits.here and not _one_fits(self.namespaces, bytes_of(namespace)):
                return Denial(of.NAMESPACE, bytes_of(namespace))
        keys = limits.keys
        denial: Denial | None = None
        if keys and needs.first > 0:
            denial = self._check_fixed(needs, argv)
            if denial is None:
                keys = False
            elif needs.is_exact:
                return denial
        tags = limits.tags and needs.may_hold_tags(argv)
        if keys or tags or limits.patterns or limits.channels or limits.namespaces:
            try:
                return self._check_names(plan.names(argv))
            except CacheStormError:
                if denial is None:
                    raise
        return denial

    def _limits_of(self, plan: Plan) -> Limits:
        needs = needs_of(plan)
        permitted = self.all_commands or needs.is_open
        if not permitted:
            permitted = self.commands.get(plan.name, self.by_default)
        limits = self._limits[plan] = Limits(needs, not permitted, self)
        return limits

    def _permits_first(self, plan: Plan, argv: list[object]) -> bool:
        allowed = self.first_arguments.get(plan.name)
        return allowed is not None and len(argv) > 1 and to_wire(argv[1]).lower() in allowed

    def _check_fixed(self, needs: Needs, argv: list[object]) -> Denial | None:
        """Looks at keys where they are."""
        at = needs.first
        last = needs.last
        if last < 0:
            last += len(argv)
        while at <= last:
            word = argv[at]
            name = word if isinstance(word, bytes) else to_wire(word)
            if not self._permits_key(name, needs.permissions):
                return Denial(of.KEY, name, at)
            at += needs.step
        return None

    def _permits_key(self, name: bytes, permissions: int) -> bool:
        for pattern in self.keys:
            if pattern.permissions & permissions == permissions and pattern.fits(name):
                return True
        return False

    def _check_names(self, names: list[FoundName]) -> Denial | None:
        """Looks at all that a call names: keys first, as Redis does."""
        later: Denial | None = None
        for at in range(len(names)):
            raw, kind = names[at]
            denial = self._check_name(raw, kind, at)
            if denial is None:
                continue
            if denial.code == of.NAMESPACE:
                return denial
            if later is None or denial.code < later.code:
                later = denial
        return later

    def _check_name(self, raw: object, kind: object, at: int) -> Denial | None:
        if isinstance(kind, Key) and kind.names == KEY:
            name = to_wire(raw)
            if self.all_keys or self._permits_key(name, kind.permissions):
                return None
            return Denial(of.KEY, name, at)
        assert isinstance(kind, Kind)
        names = kind.names
        if names == KEYS:
            name = to_wire(raw)
            is_get = kind.name == "get-pattern"
            if self.reads_all_keys() or not (is_get or b"*" in name):
                return None
            return Denial(of.ANY_KEY, b"GET" if is_get else b"BY", at)
        if names == TAG:
            name = to_wire(raw)
            if self.all_tags or _one_fits(self.tags, name):
                return None
            return Denial(of.TAG, name, at)
        if names in (CHANNEL, CHANNELS):
            name = to_wire(raw)
            if self.permits_channel(name, names == CHANNELS):
                return None
            return Denial(of.CHANNEL, name, at)
        name = to_wire(raw) if names == NAMESPACE else b""
        if names == DATABASE:
            index = parse_int(raw)
            name = b"db%d" % index if index else b"default"
        if self.all_namespaces or _one_fits(self.namespaces, name):
            return None
        return Denial(of.NAMESPACE, name, at)

    # -- as it is written

    def describe_commands(self) -> str:
        """The rules of commands, as ACL GETUSER shows them."""
        return " ".join(["+@all" if self.by_default else "-@all", *self.rules])

    def describe_keys(self) -> str:
        """The patterns of keys, as rules."""
        if self.all_keys:
            return "~*"
        prefixes = {BOTH: "~", READS: "%R~", WRITES: "%W~"}
        return " ".join([prefixes[each.permissions] + text_of(each.text) for each in self.keys])

    def describe_channels(self) -> str:
        """The patterns of channels, as rules."""
        return "&*" if self.all_channels else _described("&", self.channels)

    def describe_tags(self) -> str:
        """The patterns of tags, as rules."""
        return "alltags" if self.all_tags else _described("tag:", self.tags)

    def describe_namespaces(self) -> str:
        """The patterns of namespaces, as rules."""
        return "allnamespaces" if self.all_namespaces else _described("ns:", self.namespaces)

    def describe(self) -> str:
        """The rules that make it, one after the other."""
        parts = [self.describe_keys()]
        parts.append("" if self.all_channels else "resetchannels")
        parts.append(self.describe_channels())
        parts.append(self.describe_tags())
        if not self.all_namespaces:
            parts.extend(["resetnamespaces", self.describe_namespaces()])
        parts.append(self.describe_commands())
        return " ".join([part for part in parts if part])


def _described(prefix: str, patterns: list[Pattern]) -> str:
    return " ".join([prefix + text_of(each.text) for each in patterns])


def _one_fits(patterns: list[Pattern], name: bytes) -> bool:
    for pattern in patterns:
        if pattern.fits(name):
            return True
    return False
