"""Rules: the language in which permissions are written, one word at a time.

Called by ACL SETUSER, by the reader of the ACL file and for the users of a configuration.
Changes users and selectors; knows commands by their declarations.

1. A rule that cannot be understood is refused with Redis' text.
2. Rules are said to a copy; who is what it was takes over the copy when all are understood.

Source: `ACLSetUser` and `ACLSetSelector` in `acl.c` of Redis 7.2. `tag:`, `ns:` and what goes
with them are our own.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from cachestorm.codec import bytes_of
from cachestorm.declare.facts import categories_of
from cachestorm.declare.kinds import READS, WRITES
from cachestorm.declare.registry import Registry
from cachestorm.errors import CacheStormError
from cachestorm_server.acl.selector import BOTH, Pattern, Selector
from cachestorm_server.acl.user import User
from cachestorm_server.requests import ProtocolError, split_inline

# Redis' categories, in its order.
CATEGORIES: Final = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
]

_UNKNOWN: Final = "Unknown command or category name in ACL"
_SYNTAX: Final = "Syntax error"
_AFTER_ALL: Final = (
    "Adding a pattern after the * pattern (or the 'all{what}' flag) is not valid and does not "
    "have any effect. Try 'reset{what}' to start with an empty list of {which}"
)
_NO_PASSWORD: Final = "The password you are trying to remove from the user does not exist"
_NO_HASH: Final = (
    "The password hash must be exactly 64 characters and contain only lowercase hexadecimal "
    "characters"
)
_FIRST_OF_SUBCOMMAND: Final = "Allowing first-arg of a subcommand is not supported"
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_SPACES: Final = re.compile(r"[ \t\n\v\f\r\0]")


class RuleError(CacheStormError):
    """A rule that cannot be understood."""


def hashed(password: str) -> str:
    """SHA-256 of a password, in hexadecimal digits."""
    return hashlib.sha256(bytes_of(password)).hexdigest()


def has_spaces(text: str) -> bool:
    """Whether a text has blanks or NUL in it, and so cannot be one word of a file."""
    return _SPACES.search(text) is not None


def merged(words: tuple[str, ...] | list[str]) -> list[str]:
    """Rules, with the words of a selector in parentheses put together.

    Raises:
        RuleError: for a parenthesis that is not closed.
    """
    found: list[str] = []
    opened = ""
    parts: list[str] = []
    for word in words:
        if parts:
            parts.append(word)
        elif word.startswith("(") and not word.endswith(")"):
            opened = word
            parts = [word]
            continue
        else:
            found.append(word)
            continue
        if word.endswith(")"):
            found.append(" ".join(parts))
            parts = []
    if parts:
        raise RuleError(f"Unmatched parenthesis in acl selector starting at '{opened}'.")
    return found


class Rules:
    """Says rules to users.

    Args:
        registry: of the commands that rules may speak of.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry: Final = registry

    def categories(self) -> list[str]:
        """The names of all categories, without their `@`: Redis', then our own."""
        found = dict.fromkeys(CATEGORIES)
        for declaration in self._registry:
            found.update(dict.fromkeys(name[1:] for name in categories_of(declaration)))
        return list(found)

    def commands_in(self, category: str) -> list[str]:
        """The names of the commands in a category.

        Raises:
            RuleError: for a category that there is not.
        """
        wanted = f"@{category.lower()}"
        names = [each.name for each in self._registry if wanted in categories_of(each)]
        if not names and category.lower() not in self.categories():
            raise RuleError(_UNKNOWN)
        return names

    def say(self, user: User, rule: str) -> None:
        """Changes a user by one rule.

        Raises:
            RuleError: for one that cannot be understood.
        """
        word = rule.lower()
        if not rule:
            return
        if word in ("on", "off"):
            user.is_enabled = word == "on"
        elif word == "nopass":
            user.needs_no_password = True
            user.passwords = []
        elif word == "resetpass":
            user.needs_no_password = False
            user.passwords = []
        elif word in ("sanitize-payload", "skip-sanitize-payload"):
            user.sanitizes = word == "sanitize-payload"
        elif rule[0] in ">#":
            self._add_password(user, rule)
        elif rule[0] in "<!":
            digest = _digest(rule, "<")
            if digest not in user.passwords:
                raise RuleError(_NO_PASSWORD)
            user.passwords.remove(digest)
        elif rule[0] == "(" and rule[-1] == ")":
            user.selectors.append(self._selector(rule[1:-1]))
        elif word == "clearselectors":
            del user.selectors[1:]
        elif word == "reset":
            user.is_enabled = False
            user.needs_no_password = False
            user.passwords = []
            user.sanitizes = True
            user.selectors = [Selector()]
        else:
            self._say_to(user.selectors[0], rule)

    def _add_password(self, user: User, rule: str) -> None:
        digest = _digest(rule, ">")
        if digest not in user.passwords:
            user.passwords.append(digest)
        user.needs_no_password = False

    def _selector(self, text: str) -> Selector:
        selector = Selector()
        try:
            words = split_inline(bytes_of(text))
        except ProtocolError:
            words = []
        for word in words:
            assert isinstance(word, bytes)
            self._say_to(selector, word.decode("utf-8", "surrogateescape"))
        return selector

    def _say_to(self, selector: Selector, rule: str) -> None:
        word = rule.lower()
        if word in ("allkeys", "~*", "resetkeys"):
            selector.all_keys = word != "resetkeys"
            selector.keys = []
        elif word in ("allchannels", "&*", "resetchannels"):
            selector.all_channels = word != "resetchannels"
            selector.channels = []
        elif word in ("alltags", "tag:*", "resettags"):
            selector.all_tags = word != "resettags"
            selector.tags = []
        elif word in ("allnamespaces", "ns:*", "resetnamespaces"):
            selector.all_namespaces = word != "resetnamespaces"
            selector.namespaces = []
        elif word in ("allcommands", "+@all", "nocommands", "-@all"):
            allowed = word in ("allcommands", "+@all")
            selector.all_commands = selector.by_default = allowed
            selector.commands = {}
            selector.first_arguments = {}
            selector.rules = []
        elif rule[:1] in ("~", "%"):
            self._add_keys(selector, rule)
        elif rule[:1] == "&":
            if selector.all_channels:
                raise RuleError(_AFTER_ALL.format(what="channels", which="channels"))
            _add(selector.channels, rule[1:])
        elif word.startswith("tag:"):
            if selector.all_tags:
                raise RuleError(_AFTER_ALL.format(what="tags", which="tags"))
            _add(selector.tags, rule[4:])
        elif word.startswith("ns:"):
            _add(selector.namespaces, rule[3:])
            selector.all_namespaces = False
        elif rule[:1] in ("+", "-"):
            self._say_of_commands(selector, word[1:], rule[0] == "+")
        else:
            raise RuleError(_SYNTAX)
        selector.forget()

    def _add_keys(self, selector: Selector, rule: str) -> None:
        if selector.all_keys:
            raise RuleError(_AFTER_ALL.format(what="keys", which="patterns"))
        permissions = BOTH
        if rule[0] == "%":
            letters, tilde, rule = rule[1:].partition("~")
            found = {"r": READS, "w": WRITES, "rw": BOTH, "wr": BOTH}.get(letters.lower())
            if found is None:
                raise RuleError(_SYNTAX)
            if not tilde:
                rule = ""
            permissions = found
        else:
            rule = rule[1:]
        if has_spaces(rule):
            raise RuleError(_SYNTAX)
        text = bytes_of(rule)
        for known in selector.keys:
            if known.text == text:
                known.permissions |= permissions
                return
        selector.keys.append(Pattern(text, permissions))

    def _say_of_commands(self, selector: Selector, word: str, allowed: bool) -> None:
        if word.startswith("@"):
            for name in self.commands_in(word[1:]):
                self._set(selector, name, allowed)
        elif word.count("|") == 0 or not allowed:
            self._set(selector, self._known(word), allowed)
        else:
            self._allow_part(selector, word)
        _remember(selector.rules, word, allowed)

    def _allow_part(self, selector: Selector, word: str) -> None:
        """Of `config|get` the subcommand; of `select|0`, calls with that first argument."""
        command, _, part = word.rpartition("|")
        name = self._known(command)
        if "|" in command:
            raise RuleError(_FIRST_OF_SUBCOMMAND)
        if not part:
            raise RuleError(_SYNTAX)
        if self._registry.info(name) is not None and self._subcommands(name):
            self._set(selector, self._known(word), True)
            return
        arguments = selector.first_arguments.setdefault(name, [])
        if bytes_of(part) not in arguments:
            arguments.append(bytes_of(part))

    def _known(self, word: str) -> str:
        """The name of a command or a container as declarations spell it.

        Raises:
            RuleError: if there is none.
        """
        name = word.upper().replace("|", " ")
        if " " in word or (self._registry.get(name) is None and not self._subcommands(name)):
            raise RuleError(_UNKNOWN)
        return name

    def _subcommands(self, name: str) -> list[str]:
        return [each.name for each in self._registry.family(name)]

    def _set(self, selector: Selector, name: str, allowed: bool) -> None:
        for each in (name, *self._subcommands(name)):
            selector.commands[each] = allowed
            selector.first_arguments.pop(each, None)
        if not allowed:
            selector.all_commands = False


def _remember(rules: list[str], word: str, allowed: bool) -> None:
    """Adds a rule; those about the same, or a part of it, say nothing any more."""
    rules[:] = [
        rule for rule in rules if rule[1:] != word and not rule[1:].startswith(f"{word}|")
    ]
    rules.append(("+" if allowed else "-") + word)


def _add(patterns: list[Pattern], text: str) -> None:
    if has_spaces(text):
        raise RuleError(_SYNTAX)
    body = bytes_of(text)
    if all(each.text != body for each in patterns):
        patterns.append(Pattern(body))


def _digest(rule: str, plain: str) -> str:
    """The hash that a rule about a password speaks of."""
    if rule[0] == plain:
        return hashed(rule[1:])
    if _HASH.fullmatch(rule[1:]) is None:
        raise RuleError(_NO_HASH)
    return rule[1:]
