"""The commands of publish/subscribe that belong to a connection, MONITOR among them.

Declared like all commands, with a session in the place of the cache. Called by plans. The
broker is the store's, so that clients hear each other and the process.

1. What a command says of its subscriptions are pushes, one for each channel: several replies
   or none.

Source: https://redis.io/docs/latest/commands/?group=pubsub
"""

from __future__ import annotations

from functools import partial
from typing import Final

from cachestorm.channels import CHANNEL, PATTERN, SHARD
from cachestorm.codec import bytes_of, to_wire
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.facts import help_of
from cachestorm.errors import ArgumentError
from cachestorm_server.monitoring import set_monitor
from cachestorm_server.replies import Push, Several
from cachestorm_server.reply_mode import REPLIES_ON
from cachestorm_server.session import Session

command: Final = partial(Declaration, group="pubsub", connection=True)


_STRAY: Final = (
    "unknown subcommand or wrong number of arguments for '{subcommand}'. Try PUBSUB HELP."
)


@command(
    "SUBSCRIBE channel [channel ...]",
    complexity="O(N) in the channels",
    flags="pubsub noscript loading stale",
    summary="Subscribe to channels.",
)
def subscribe(session: Session, *channel: bytes) -> Several:
    """Subscribes to channels; a push for each says so."""
    return _begin(session, CHANNEL, channel)


@command(
    "PSUBSCRIBE pattern:channel-pattern [pattern ...]",
    complexity="O(N) in the patterns",
    flags="pubsub noscript loading stale",
    summary="Subscribe to the channels whose names match patterns.",
)
def psubscribe(session: Session, *pattern: str) -> Several:
    """Subscribes to glob patterns; a push for each says so."""
    return _begin(session, PATTERN, pattern)


@command(
    "SSUBSCRIBE shardchannel [shardchannel ...]",
    complexity="O(N) in the channels",
    flags="pubsub noscript loading stale",
    summary="Subscribe to shard channels.",
)
def ssubscribe(session: Session, *shardchannel: str) -> Several:
    """Subscribes to shard channels; a push for each says so.

    Raises:
        ArgumentError: in a transaction, where Redis would block no client.
    """
    _refuse_in_transaction(session, "SSUBSCRIBE isn't allowed for a DENY BLOCKING client")
    return _begin(session, SHARD, shardchannel)


@command(
    "UNSUBSCRIBE [channel:string [channel ...]]",
    complexity="O(N) in the channels",
    flags="pubsub noscript loading stale",
    summary="Unsubscribe from channels, or from all.",
)
def unsubscribe(session: Session, *channel: str) -> Several:
    """Ends subscriptions to channels, without names all of them; a push for each says so."""
    return _end(session, CHANNEL, channel)


@command(
    "PUNSUBSCRIBE [pattern [pattern ...]]",
    complexity="O(N) in the patterns",
    flags="pubsub noscript loading stale",
    summary="Unsubscribe from patterns, or from all.",
)
def punsubscribe(session: Session, *pattern: str) -> Several:
    """Ends subscriptions to patterns, without names all of them; a push for each says so."""
    return _end(session, PATTERN, pattern)


@command(
    "SUNSUBSCRIBE [shardchannel:left-shardchannel [shardchannel ...]]",
    complexity="O(N) in the channels",
    flags="pubsub noscript loading stale",
    summary="Unsubscribe from shard channels, or from all.",
)
def sunsubscribe(session: Session, *shardchannel: str) -> Several:
    """Ends subscriptions to shard channels, without names all of them."""
    return _end(session, SHARD, shardchannel)


@command(
    "PUBSUB CHANNELS [pattern]",
    stray=_STRAY,
    complexity="O(N) in the channels that somebody has subscribed to",
    flags="pubsub loading stale",
    summary="Return the channels that have subscribers.",
)
def pubsub_channels(session: Session, pattern: str | None = None) -> list[bytes]:
    """Their names, or those that match a pattern."""
    return session.endpoint.broker.names(CHANNEL, _glob(pattern))


@command(
    "PUBSUB NUMSUB [channel:blob [channel ...]]",
    complexity="O(N) in the channels given",
    flags="pubsub loading stale",
    summary="Return the numbers of subscribers of channels, without patterns.",
)
def pubsub_numsub(session: Session, *channel: bytes) -> list[object]:
    """Each channel, and its number."""
    return _counts(session, CHANNEL, channel)


@command(
    "PUBSUB NUMPAT",
    complexity="O(1)",
    flags="pubsub loading stale",
    summary="Return the number of patterns that have subscribers.",
)
def pubsub_numpat(session: Session) -> int:
    """The number of different patterns."""
    return session.endpoint.broker.count_names(PATTERN)


@command(
    "PUBSUB SHARDCHANNELS [pattern]",
    stray=_STRAY,
    complexity="O(N) in the shard channels that somebody has subscribed to",
    flags="pubsub loading stale",
    summary="Return the shard channels that have subscribers.",
)
def pubsub_shardchannels(session: Session, pattern: str | None = None) -> list[bytes]:
    """Their names, or those that match a pattern."""
    return session.endpoint.broker.names(SHARD, _glob(pattern))


@command(
    "PUBSUB SHARDNUMSUB [shardchannel:blob [shardchannel ...]]",
    complexity="O(N) in the channels given",
    flags="pubsub loading stale",
    summary="Return the numbers of subscribers of shard channels.",
)
def pubsub_shardnumsub(session: Session, *shardchannel: bytes) -> list[object]:
    """Each channel, and its number."""
    return _counts(session, SHARD, shardchannel)


@command(
    "PUBSUB HELP",
    complexity="O(1)",
    reply="statuses",
    flags="loading stale",
    summary="Print this help.",
)
def pubsub_help(session: Session) -> list[str]:
    """What there is to ask, a line each."""
    return help_of("PUBSUB")


@command(
    "MONITOR",
    group="server",
    complexity="O(1)",
    reply="ok",
    flags="admin noscript loading stale",
    summary="Show every command that a client runs, as it runs.",
)
def monitor(session: Session) -> None:
    """Has the client told of every command that comes over RESP, administrative ones apart.

    Calls in process and over HTTP are no requests of a connection: they are not shown.

    Raises:
        ArgumentError: in a transaction.
    """
    _refuse_in_transaction(session, "MONITOR isn't allowed for DENY BLOCKING client")
    set_monitor(session, True)


def _refuse_in_transaction(session: Session, text: str) -> None:
    if session.cache._store.in_transaction():
        raise ArgumentError(text)


def _glob(pattern: str | None) -> bytes | None:
    return None if pattern is None else bytes_of(pattern)


def _begin(session: Session, kind: int, names: tuple[str | bytes, ...]) -> Several:
    subscriptions = session.listening()
    return _told(session, [subscriptions.begin(kind, to_wire(name)) for name in names])


def _end(session: Session, kind: int, names: tuple[str, ...]) -> Several:
    subscriptions = session.listening()
    if names:
        pushes = [subscriptions.end(kind, bytes_of(name)) for name in names]
    else:
        pushes = subscriptions.end_all(kind)
    return _told(session, pushes)


def _told(session: Session, pushes: list[Push]) -> Several:
    session.watch_over()
    if session.reply_mode == REPLIES_ON:
        return Several(pushes)
    # these come all the same
    session.push_later(Several(pushes))
    return Several([])


def _counts(session: Session, kind: int, names: tuple[bytes, ...]) -> list[object]:
    found: list[object] = []
    for name in names:
        found.extend((name, session.endpoint.broker.count(kind, name)))
    return found
