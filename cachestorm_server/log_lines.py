"""The server's log: one line an event, for people or for machines.

Called by the application before it starts anything, and when the log's settings have changed,
by CONFIG too.

1. A log that cannot be written ends nothing: its lines are lost. Standard error tells so, and
   the log itself once it can be written again.
2. What a client has sent cannot begin a line of its own.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from typing import Final, TextIO

from cachestorm.errors import ConfigError
from cachestorm_server.config_sections import STREAMS, LoggingConfig

# Redis' words for the levels; there is nothing between verbose and notice
LEVELS_OF_REDIS: Final = {
    "debug": "debug",
    "verbose": "info",
    "notice": "info",
    "warning": "warn",
    "nothing": "error",
}
# how often standard error is told that lines are lost
TELL_EVERY_S: Final = 60.0
# what would end a line, or move about on a terminal, as its escape
_CONTROLS: Final = {
    code: repr(chr(code))[1:-1]
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
    if chr(code) != "\t"
}


class ConsoleLines(logging.Formatter):
    """A record for people: time, level, logger and message; below it the traceback if any."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        return super().formatMessage(record).translate(_CONTROLS)


class JsonLines(logging.Formatter):
    """A record as one JSON object: time, level, logger, message, and the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


class Losses:
    """The lines of one log that could not be written."""

    def __init__(self) -> None:
        self._count = 0
        self._tell_from_s = 0.0

    def add(self, name: str) -> None:
        """Counts a line that is lost by the error that is handled; tells of it, but rarely."""
        self._count += 1
        now_s = time.monotonic()
        if now_s < self._tell_from_s or sys.stderr is None:
            return
        self._tell_from_s = now_s + TELL_EVERY_S
        with suppress(OSError, ValueError):
            print(f"the log {name} cannot be written: {sys.exc_info()[1]}", file=sys.stderr)

    def take(self) -> int:
        """How many were lost since the last time that this was asked."""
        count, self._count = self._count, 0
        return count


class _StreamLog(logging.StreamHandler[TextIO]):
    """The log as a stream of this process."""

    def __init__(self, name: str) -> None:
        super().__init__(getattr(sys, name))
        self._losses = Losses()
        self._of = name

    def handleError(self, record: logging.LogRecord) -> None:
        self._losses.add(self._of)


class FileLog(WatchedFileHandler):
    """The log as a file, opened anew once another program, as logrotate, has moved it away.

    Args:
        permissions: of a file that is made.

    Raises:
        OSError: if it cannot be written.
    """

    def __init__(self, path: str, permissions: int = 0o666) -> None:
        self._permissions = permissions
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self._losses = Losses()
        self._is_lost = False

    def _open(self) -> TextIOWrapper:
        def opened(path: str, flags: int) -> int:
            return os.open(path, flags, self._permissions)

        return open(
            self.baseFilename,
            "a",
            encoding=self.encoding,
            errors=self.errors,
            opener=opened,
        )

    def emit(self, record: logging.LogRecord) -> None:
        self._is_lost = False
        try:
            # which raises if the file cannot be opened anew
            super().emit(record)
        except OSError:
            self.handleError(record)
        lost = 0 if self._is_lost else self._losses.take()
        if lost:
            lines = "1 line is" if lost == 1 else f"{lost} lines are"
            text = f"the log could not be written: {lines} lost"
            super().emit(logging.makeLogRecord({**_TOLD, "msg": text}))

    def handleError(self, record: logging.LogRecord) -> None:
        self._is_lost = True
        self._losses.add(self.baseFilename)


_TOLD: Final = {"name": "cachestorm", "levelno": logging.WARNING, "levelname": "WARNING"}


def set_up(settings: LoggingConfig) -> None:
    """Sends what the server logs where the configuration says.

    Raises:
        ConfigError: for a file that cannot be written.
    """
    handler: logging.Handler
    if settings.output in STREAMS:
        handler = _StreamLog(settings.output)
    else:
        try:
            handler = FileLog(settings.output)
        except OSError as error:
            raise ConfigError(
                f"logging.output: {settings.output!r} cannot be written: {error.strerror}"
            ) from error
    handler.setFormatter(JsonLines() if settings.format == "json" else ConsoleLines())
    root = logging.getLogger("cachestorm")
    before, root.handlers[:] = root.handlers[:], [handler]
    for old in before:
        if isinstance(old, FileLog):
            # one of a reload ago: what it could not write must not raise here
            with suppress(OSError):
                old.close()
    root.propagate = False
    log_from(settings.level)


def log_from(level: str) -> None:
    """Has the server log what is of a level (debug, info, warn or error) or worse."""
    name = "WARNING" if level == "warn" else level.upper()
    logging.getLogger("cachestorm").setLevel(name)
