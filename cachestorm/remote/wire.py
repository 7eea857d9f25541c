"""The wire: runs courses for threads, on redis-py's pool of connections.

Retries, timeouts, health checks and the pool are redis-py's. A fork gets connections of its
own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import redis
from redis.exceptions import NoScriptError

from cachestorm.remote.address import Address
from cachestorm.remote.arguments import Words
from cachestorm.remote.dialect import LOADING, Dialect, word_bytes
from cachestorm.remote.introducing import Introduction
from cachestorm.remote.quick import asked, is_quick
from cachestorm.remote.recovery import Recovery
from cachestorm.remote.refusals import UnreachableError, refusal
from cachestorm.remote.spaces import Space
from cachestorm.remote.steps import Ask, Await, Course, Step, Watch

if TYPE_CHECKING:
    from cachestorm.remote.cluster_dialect import ClusterDialect
    from cachestorm.remote.courses import Courses

After = Callable[[list[Words]], None]


class Wire:
    """The connections to one namespace of one server.

    Args:
        address: of the server.
        namespace: by name; None for the one that the address says.
        max_pending, keeps_refused: of `recovery`.

    Attributes:
        recovery: what the server has missed.
        after: called with the commands that the server has answered, or failed to; or None.
        asking: whose server has yet to be asked what it is.
        dialect: how commands are said there, if not as they are.
        named: the namespace, if there is one by name.
        space: the same, if the server has none; known once it was asked what it is.
        is_direct: whether a command is sent as it is.
        sets_at_once: whether a plain SET is one command, whatever it is called there.
    """

    # how commands are said in a cluster, if this is the wire to one
    cluster: ClusterDialect | None = None

    def __init__(
        self, address: Address, namespace: str | None, max_pending: int, keeps_refused: bool
    ) -> None:
        self.address: Final = address
        self.namespace: Final = namespace
        shown = address.shown
        self.recovery: Final = Recovery(self._told, shown, max_pending, keeps_refused)
        self.after: After | None = None
        self.asking: Courses | None = None
        self.dialect: Dialect | None = None
        self.named: Final = None if namespace is None else Space(namespace)
        self.space: Space | None = None
        self.is_direct = False
        self.sets_at_once = False
        self._is_quick: Final = not address.nodes and is_quick(address)
        self.client = self.made()
        self._patient: Any = None

    def _ask(self, words: Any) -> Any:
        """The reply to one command, in the words of the server."""
        if self._is_quick:
            return asked(self.client, words, self.address.gone)
        return self.client.execute_command(*words)

    def run(self, course: Course, is_asking: bool = False) -> Any:
        """Sends the steps of a course. Returns what it returns.

        Raises:
            CacheStormError: for what the server refuses, and the course does not catch.
        """
        pinned: Any = None
        error: Exception | None = None
        replies: list[Any] = []
        try:
            step = next(course)
            while True:
                try:
                    if isinstance(step, Watch) and pinned is None:
                        pinned = self.client.pipeline(transaction=True)
                    replies = self._done(step, pinned, is_asking)
                    error = None
                except redis.RedisError as caught:
                    error = refusal(caught, self.address.shown)
                    error.__cause__ = caught
                step = course.send(replies) if error is None else course.throw(error)
        except StopIteration as end:
            return end.value
        finally:
            course.close()
            if pinned is not None:
                pinned.reset()

    def _done(self, step: Step | Await, pinned: Any, is_asking: bool) -> list[Any]:
        try:
            if isinstance(step, Await):
                return self._sent(step, pinned)
            if self.asking is not None and not is_asking:
                self._learn(self.asking)
            # which asks itself, before it tells
            if self.recovery.is_waiting and not is_asking and self.is_held_back(step):
                self.recovery.apply()
            return self._answered(step, pinned)
        except BaseException as error:
            self.recovery.failed(step.writes, error)
            raise
        finally:
            if self.after is not None:
                self.after(step.commands)

    def is_held_back(self, step: Step) -> bool:
        """Whether a step comes after what the server has missed, which waits to be told."""
        is_narrow = self.cluster is not None and isinstance(step, Ask) and not step.blocks
        return not is_narrow or self.recovery.holds_back(step.commands)

    def _learn(self, courses: Courses) -> None:
        """Asks the server what it is, before anything else is sent.

        Raises:
            redis.RedisError: if it cannot be reached.
        """
        try:
            self.run(courses.asked(assumes=False), True)
        except UnreachableError as error:
            raise error.__cause__ or error from None
        # those of a cluster are there from the beginning
        self.dialect = self.dialect or courses.dialect
        self.space = self.space or courses.space
        self.is_direct = self.dialect is None and self.space is None
        self.sets_at_once = self.cluster is None
        self.asking = None

    def prefix(self) -> bytes:
        """What the keys of the namespace begin with on the server; it may have to be asked.

        Raises:
            redis.RedisError: if it cannot be reached.
        """
        if self.named is not None and self.asking is not None:
            self._learn(self.asking)
        return b"" if self.space is None else self.space.prefix

    def _answered(self, step: Step, pinned: Any) -> list[Any]:
        """The replies to a step, as the server is spoken to."""
        sent = step if self.space is None else self.space.named(step)
        if self.dialect is None:
            replies = self._sent(sent, pinned)
        else:
            replies = self._said(self.dialect, sent, pinned)
        return replies if self.space is None else self.space.read(step.commands, replies)

    def _said(self, dialect: Dialect, step: Step, pinned: Any) -> list[Any]:
        steps, read = dialect.steps(step)
        try:
            replies = [self._sent(each, pinned) for each in steps]
        except NoScriptError:
            # the server was started again; nothing of the step was done
            self.client.execute_command(*LOADING)
            if pinned is not None and isinstance(step, Ask):
                raise redis.WatchError from None
            replies = [self._sent(each, pinned) for each in steps]
        found: list[Any] = read(replies[-1])
        return found

    def _answered_alone(self, words: Words) -> Any:
        try:
            return self._answered(Ask([words]), None)[0]
        except redis.ResponseError as error:
            return error

    def _sent(self, step: Step | Await, pinned: Any) -> list[Any]:
        if isinstance(step, Await):
            if inspect.iscoroutine(step.awaitable):
                step.awaitable.close()
            raise TypeError(
                "modify() takes no coroutine function, which cache.aio.modify takes"
            )
        if isinstance(step, Watch):
            pinned.reset()
            pinned.watch(*step.keys)
            return [pinned.execute_command(*words) for words in step.commands]
        if pinned is not None and step.atomic:
            pinned.multi()
            return _executed(pinned, step)
        if len(step.commands) == 1:
            words = step.commands[0]
            if step.blocks:
                return [self._patient_client().execute_command(*words)]
            return [self._ask(words)]
        with self.client.pipeline(transaction=step.atomic) as pipe:
            return _executed(pipe, step)

    def send(self, *words: Any) -> Any:
        """The reply to one command of one key, which writes nothing that others wait for.

        Raises:
            CacheStormError: as `run`.
        """
        try:
            is_waiting = self.recovery.is_waiting
            if is_waiting and (self.cluster is None or self.recovery.holds_back([list(words)])):
                self.recovery.apply()
            if self.named is not None:
                words = (words[0], self.prefix() + word_bytes(words[1]), *words[2:])
            return self._ask(words)
        except redis.RedisError as error:
            raise refusal(error, self.address.shown) from error

    def set_at_once(self, words: Words) -> Any:
        """The reply to a SET that is no step with others; for a wire that `sets_at_once`.

        Raises:
            CacheStormError: as `run`.
        """
        try:
            if self.recovery.is_waiting:
                self.recovery.apply()
            if self.is_direct:
                return self._ask(words)
            return self._set_otherwise(words)
        except BaseException as error:
            self.recovery.failed([words], error)
            if isinstance(error, redis.RedisError):
                raise refusal(error, self.address.shown) from error
            raise
        finally:
            if self.after is not None:
                self.after([words])

    def _set_otherwise(self, words: Words) -> Any:
        if self.space is not None:
            words = self.space.words(words)
        if self.dialect is not None:
            (words,) = self.dialect.said(words).commands
        try:
            return self._ask(words)
        except NoScriptError:
            self.client.execute_command(*LOADING)
            return self._ask(words)

    def _told(self, commands: list[Words]) -> list[Any]:
        """The replies to commands, errors among them."""
        if self.asking is not None:
            self._learn(self.asking)
        if not self.is_direct:
            return [self._answered_alone(words) for words in commands]
        with self.client.pipeline(transaction=False) as pipe:
            for words in commands:
                pipe.execute_command(*words)
            replies: list[Any] = pipe.execute(raise_on_error=False)
        return replies

    def close(self) -> None:
        """Closes the connections; they are opened again when they are needed."""
        self.client.close()
        if self._patient is not None:
            self._patient.close()

    def _patient_client(self) -> Any:
        """A client for commands that wait for others, longer than any timeout."""
        patient = self._patient
        if patient is None:
            # without a lock, which a fork might find taken: one too many connects to nothing
            patient = self._patient = self.made(socket_timeout=None)
        return patient

    def made(self, **options: Any) -> Any:
        """A client of redis-py, with more options than the address has."""
        settings = {"protocol": 3, **self.address.options, **options}
        introduction = Introduction(self.address, self.namespace, lambda: self.space is None)
        if introduction.is_needed:
            settings["redis_connect_func"] = introduction.threaded
        client = self.address.client(**settings)
        # replies are read by the declarations
        client.response_callbacks.clear()
        return client


def _executed(pipe: Any, step: Ask) -> list[Any]:
    for words in step.commands:
        pipe.execute_command(*words)
    # raised here, as redis-py would put its own words before those of the server
    return checked(pipe.execute(raise_on_error=False))


def checked(replies: list[Any]) -> list[Any]:
    """Replies none of which is an error.

    Raises:
        redis.RedisError: the first that is one.
    """
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies
