"""Units of C, compiled several at once.

Called by setup.py's build_ext with the compiler that setuptools made.

1. setuptools compiles the sources of an extension one after the other. Here they share a
   pool, and so do the extensions: no more than `jobs` compilers run at any time.
2. The objects come back in the order of their sources, as the linker wants them.
3. Where ccache is installed, a quick build asks it first. It is put before the compiler
   only: before the linker it would do nothing.
"""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def compile_at_once(compiler: Any, jobs: int) -> None:
    """Makes a compiler of setuptools take several sources at once.

    Args:
        compiler: has `compile(sources, **options)`, which answers with the objects' paths.
        jobs: how many units are compiled at any time, over all extensions.
    """
    one_by_one = compiler.compile
    slots = threading.BoundedSemaphore(jobs)

    def compile_unit(source: str, options: dict[str, Any]) -> list[str]:
        with slots:
            objects: list[str] = one_by_one([source], **options)
            return objects

    def compile_units(sources: list[str], **options: Any) -> list[str]:
        if len(sources) == 1:
            return compile_unit(sources[0], options)
        with ThreadPoolExecutor(jobs) as pool:
            futures = [pool.submit(compile_unit, source, options) for source in sources]
            try:
                return [path for future in futures for path in future.result()]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    compiler.compile = compile_units


def ask_ccache(compiler: Any) -> None:
    """Puts ccache before a Unix compiler, where it is installed and not there already."""
    command: list[str] = getattr(compiler, "compiler_so", None) or []
    if command and "ccache" not in command[0] and shutil.which("ccache") is not None:
        compiler.set_executable("compiler_so", ["ccache", *command])
        # mypyc dates what it writes into the future, which ccache distrusts
        os.environ.setdefault("CCACHE_SLOPPINESS", "include_file_mtime,include_file_ctime")
