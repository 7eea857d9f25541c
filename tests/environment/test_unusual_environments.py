"""CacheStorm where it is not at home: -O, no locale, no home, nothing to write to.

`everyday_use.py` is run as a program of its own, and prints the same everywhere.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import everyday_use
import pytest

from cachestorm import Cache, CacheStormError

PROGRAM = Path(__file__).with_name("everyday_use.py")
PRINTED = """\
{'\\u043a\\u043b\\u044e\\u0447': [1, 2.5, None]} True
49 49 1
1 1 0
[('bob', 1.0), ('ada', 2.0)]
Operation
8
[1, 'two'] 1
b'OK' b'v'
b'v'
1 None
"""


def run(
    *options: str,
    flags: tuple[str, ...] = ("--serve",),
    prepare: Callable[[], None] | None = None,
    folder: Path | None = None,
    **variables: str,
) -> str:
    """What the program prints. It prints no warning, and fails nowhere."""
    done = subprocess.run(
        [sys.executable, *options, str(PROGRAM), *flags],
        env=os.environ | variables,
        preexec_fn=prepare,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("option", ["-O", "-OO", "-Xdev"])
def test_optimized_python_and_its_development_mode_make_no_difference(option: str) -> None:
    assert run(option) == PRINTED


def test_no_locale_makes_no_difference() -> None:
    found = run("-Xutf8=0", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii")
    assert found == PRINTED


def test_no_home_makes_no_difference() -> None:
    assert run(HOME="/nonexistent", XDG_RUNTIME_DIR="", XDG_CONFIG_HOME="") == PRINTED


def test_a_stack_of_32_mb_a_thread_makes_no_difference() -> None:
    size = 32 << 20
    assert (
        run(prepare=lambda: resource.setrlimit(resource.RLIMIT_STACK, (size, size))) == PRINTED
    )


def test_nothing_is_written_beside_the_data_folder_and_no_address_is_named(tmp_path) -> None:
    """So that an installation may be read-only, and no telemetry hides anywhere."""
    lines = run("-B", flags=("--watch",), folder=tmp_path).splitlines()
    assert [line for line in lines if line.startswith("socket")] == []
    written = {line.removeprefix("writes ") for line in lines if line.startswith("writes")}
    # the files of a data folder are named from there, and by the descriptors of open ones
    absolute = {path for path in written if path.startswith("/")}
    assert {path for path in absolute if not path.startswith(tempfile.gettempdir())} == set()
    assert list(tmp_path.iterdir()) == []
    assert "lock" in written


def test_memoized_functions_results_and_errors_go_to_spawned_processes_and_back() -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        # by name: the process has a cache of its own
        assert processes.submit(everyday_use.square, 9).result() == 81
        assert processes.submit(everyday_use.uses).result().misses == 1
        with pytest.raises(CacheStormError, match="not an integer"):
            processes.submit(everyday_use.cache_raises).result()
    cache = Cache()
    cache.set("k", b"v", tags=["t"])
    for told in (cache.entry("k"), cache.stats(), everyday_use.square.cache_info()):
        assert pickle.loads(pickle.dumps(told)) == told


def test_a_cache_says_that_it_cannot_go_to_another_process() -> None:
    with pytest.raises(TypeError, match="lives in one process: it cannot be pickled"):
        pickle.dumps(Cache())
