"""The sections of the configuration that concern colder tiers: see `config_sections.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from cachestorm.tiers.blob_store import ENGINES
from cachestorm_server.config_spec import Spec
from cachestorm_server.setting_kinds import (
    DURATION_MS,
    DURATION_S,
    SIZE,
    SWITCH,
    TEXT,
    one_of,
)


@dataclass(frozen=True, slots=True)
class WarmConfig:
    """An SSD for values that do not fit into `memory.max_memory`: see [tiers](tiers.md)."""

    path: Annotated[
        str, Spec(TEXT, "a directory for this server alone; empty: there is no such tier")
    ] = ""
    max_size: Annotated[
        int, Spec(SIZE, "what values may take there; 0: as much as the disk has")
    ] = 0
    engine: Annotated[
        str,
        Spec(
            one_of(("auto", *ENGINES)),
            "what keeps the values; `auto`: RocksDB where it is installed, else sqlite3",
        ),
    ] = "auto"


@dataclass(frozen=True, slots=True)
class ColdConfig:
    """An object store for values that do not fit there either: see [tiers](tiers.md)."""

    url: Annotated[
        str,
        Spec(
            TEXT,
            "`s3://bucket/prefix`, `gs://…`, `az://…` or `file:///directory`; empty: there is"
            " no such tier",
        ),
    ] = ""
    max_size: Annotated[int, Spec(SIZE, "what values may take there; 0: no limit")] = 0
    endpoint: Annotated[
        str, Spec(TEXT, "the address of the service, where it is not the usual one")
    ] = ""
    region: Annotated[str, Spec(TEXT, "its region")] = ""
    allow_http: Annotated[bool, Spec(SWITCH, "lets that be without TLS")] = False
    timeout: Annotated[int, Spec(DURATION_MS, "for one request")] = 5000
    credentials: Annotated[
        str,
        Spec(
            TEXT,
            "a file like `~/.aws/credentials`; empty: what the environment says, or that file",
        ),
    ] = ""
    orphans_after: Annotated[
        int,
        Spec(DURATION_S, "after this time, what a process has left that was killed is deleted"),
    ] = 3600


@dataclass(frozen=True, slots=True)
class TiersConfig:
    """Where values go that do not fit in memory."""

    warm: WarmConfig = field(default_factory=WarmConfig)
    cold: ColdConfig = field(default_factory=ColdConfig)
