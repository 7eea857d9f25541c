"""The audit log: a plugin that writes who has asked for what, a line of JSON each.

Named in the configuration as `audit`, and used only then. The server calls its hooks.

1. No argument but keys is written: values and passwords stay out of it.
2. A file that cannot be written refuses nobody; it is told of as for the log of the server.
3. The file is made for its owner alone, and made anew once it has been moved away.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from cachestorm import __version__
from cachestorm.plugins import Call, hookimpl
from cachestorm_server.log_lines import FileLog
from cachestorm_server.setting_kinds import FILE

_FOR_ITS_OWNER: Final = 0o600
_WATCHED: Final = frozenset({"@admin", "@dangerous"})


@dataclass(frozen=True)
class AuditSettings:
    """What the section of the configuration may hold."""

    file: Annotated[str, FILE] = field(metadata={"help": "the path of the audit log"})
    commands: Literal["writes", "admin", "all"] = field(
        default="writes",
        metadata={
            "help": "`admin`: what is in @admin or @dangerous, and AUTH and HELLO; `writes`: "
            "these and what may change data; `all`"
        },
    )


class _Lines(logging.Formatter):
    """A record's facts as one JSON object, the time first."""

    def format(self, record: logging.LogRecord) -> str:
        facts = record.msg if isinstance(record.msg, dict) else {"note": record.getMessage()}
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return json.dumps({"time": f"{moment}.{int(record.msecs):03d}Z", **facts})


class Audit:
    """Writes the audit log.

    Raises:
        OSError: for a file that cannot be written.
    """

    version = __version__
    Settings = AuditSettings

    def __init__(self, settings: AuditSettings) -> None:
        self._kinds: Final = settings.commands
        # by the name of the command, whether it is written
        self._known: dict[str, bool] = {}
        self._file: Final = FileLog(settings.file, _FOR_ITS_OWNER)
        self._file.setFormatter(_Lines())

    @hookimpl
    def after_command(self, call: Call) -> None:
        command = call.command
        wanted = self._known.get(command)
        if wanted is None:
            wanted = self._known[command] = self._is_wanted(call)
        if not wanted:
            return
        facts = {
            "user": call.user,
            "address": call.address,
            "connection": call.connection_id,
            "namespace": call.namespace,
            "command": command,
            "keys": call.keys,
            "duration_us": call.duration_us,
            "error": call.error,
        }
        self._file.handle(logging.makeLogRecord({"msg": facts}))

    @hookimpl
    def on_shutdown(self) -> None:
        self._file.close()

    def _is_wanted(self, call: Call) -> bool:
        if self._kinds == "all" or (self._kinds == "writes" and call.is_write):
            return True
        return call.command in ("AUTH", "HELLO") or not _WATCHED.isdisjoint(call.categories)
