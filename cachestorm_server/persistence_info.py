"""What INFO says about what is kept on disk: the fields of Redis 7.2, by their names.

Asked by `info.py`. There is one kind of snapshot, which is what Redis calls an RDB file and
what it calls a rewrite of the AOF: it is told as both where there is a journal.

Source: `genRedisInfoString` in `server.c`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cachestorm_server.endpoint import Endpoint

if TYPE_CHECKING:
    from cachestorm.durability.directory import DataDirectory

Fields = list[tuple[str, object]]


def persistence(endpoint: Endpoint) -> Fields:
    """The section of INFO."""
    availability = endpoint.availability
    directory = availability.directory
    is_saving = directory is not None and directory.is_rewriting
    saves = 0 if directory is None else directory.saves
    is_sound = directory is None or directory.save_error is None
    saved = "ok" if is_sound else "err"
    took_s = -1 if directory is None or directory.save_s < 0 else round(directory.save_s)
    takes_s = round(time.time() - directory.began_at) if directory and is_saving else -1
    journal = None if directory is None else directory.journal
    fields: Fields = [
        ("loading", int(availability.is_loading)),
        ("async_loading", 0),
        ("current_cow_peak", 0),
        ("current_cow_size", 0),
        ("current_cow_size_age", 0),
        ("current_fork_perc", "0.00"),
        ("current_save_keys_processed", 0),
        ("current_save_keys_total", 0),
        ("rdb_changes_since_last_save", 0 if directory is None else directory.changes),
        ("rdb_bgsave_in_progress", int(is_saving)),
        ("rdb_last_save_time", last_save(endpoint)),
        ("rdb_last_bgsave_status", saved),
        ("rdb_last_bgsave_time_sec", took_s),
        ("rdb_current_bgsave_time_sec", takes_s),
        ("rdb_saves", saves),
        ("rdb_last_cow_size", 0),
        ("rdb_last_load_keys_expired", 0),
        ("rdb_last_load_keys_loaded", 0 if directory is None else directory.progress.keys),
        ("aof_enabled", int(directory is not None and directory.sync != "")),
        ("aof_rewrite_in_progress", int(is_saving and journal is not None)),
        ("aof_rewrite_scheduled", int(directory is not None and directory.is_scheduled)),
        ("aof_last_rewrite_time_sec", -1 if journal is None else took_s),
        ("aof_current_rewrite_time_sec", -1 if journal is None else takes_s),
        ("aof_last_bgrewrite_status", "ok" if journal is None else saved),
        ("aof_rewrites", 0 if journal is None else saves),
        ("aof_rewrites_consecutive_failures", int(not is_sound)),
        ("aof_last_write_status", "ok" if journal is None or journal.error is None else "err"),
        ("aof_last_cow_size", 0),
        ("module_fork_in_progress", 0),
        ("module_fork_last_cow_size", 0),
    ]
    if directory is not None and journal is not None:
        fields += [
            ("aof_current_size", directory.folder.size()),
            ("aof_base_size", directory.base_bytes),
            ("aof_pending_rewrite", 0),
            ("aof_buffer_length", journal.unwritten_bytes),
            ("aof_pending_bio_fsync", 0),
            ("aof_delayed_fsync", 0),
        ]
    if directory is not None and availability.is_loading:
        fields += _loading(directory, availability.loading_since)
    return fields


def last_save(endpoint: Endpoint) -> int:
    """When the last snapshot was written, in seconds since 1970; the start before the first."""
    directory = endpoint.availability.directory
    return int(endpoint.started_at if directory is None else directory.saved_at)


def _loading(directory: DataDirectory, since: float) -> Fields:
    done, total, _ = directory.progress
    spent_s = time.time() - since
    left_s = round(spent_s * (total - done) / done) if done else -1
    return [
        ("loading_start_time", int(since)),
        ("loading_total_bytes", total),
        ("loading_loaded_bytes", done),
        ("loading_loaded_perc", f"{100 * done / max(total, 1):.2f}"),
        ("loading_eta_seconds", left_s),
    ]
