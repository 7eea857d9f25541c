"""The server's log: one line an event, for people or for machines.

Called once by the application, before it starts anything.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from logging.handlers import WatchedFileHandler
from typing import Final

from cachestorm.errors import ConfigError
from cachestorm_server.config_sections import STREAMS, LoggingConfig

_LEVELS: Final = {"warn": "WARNING"}


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


def set_up(settings: LoggingConfig) -> None:
    """Sends what the server logs where the configuration says.

    Raises:
        ConfigError: for a file that cannot be written.
    """
    handler: logging.Handler
    if settings.output in STREAMS:
        handler = logging.StreamHandler(getattr(sys, settings.output))
    else:
        try:
            # opened anew once another program has moved it away, as logrotate does
            handler = WatchedFileHandler(settings.output, encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"logging.output: {settings.output!r} cannot be written: {error.strerror}"
            ) from error
    if settings.format == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        )
    root = logging.getLogger("cachestorm")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(_LEVELS.get(settings.level, settings.level.upper()))
