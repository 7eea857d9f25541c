"""The build: plain Python everywhere, compiled by mypyc where there is a C compiler.

Called by pip and by `python -m build`, through setuptools. It calls mypyc on the modules
that pyproject.toml lists in `[tool.cachestorm.compile]`.

1. `CACHESTORM_PURE=1`: nothing is compiled.
2. `CACHESTORM_COMPILE=1`: all of them are, for an editable install too, and whatever hinders
   it is an error.
3. Neither: a wheel is compiled when that works, and pure, with a warning, when it does not;
   an editable install is pure. Either all listed modules are compiled or none is.
4. For a free-threaded interpreter nothing is compiled: see `cachestorm/keyspace/latch.py`.
5. `CACHESTORM_QUICK=1` is for changing the source and running it compiled: a unit of C for
   each module, lightly optimized, kept by ccache. It is built sooner and runs
   slower: nothing is measured with it, and no wheel is made with it.
6. `CACHESTORM_JOBS` says how many units are compiled at once; else as many as there are cores.
"""

from __future__ import annotations

import fnmatch
import gc
import os
import sys
import sysconfig
import tempfile
import tomllib
import warnings
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
# build_meta runs this file without its folder on the path
sys.path.insert(0, str(ROOT))

from compiling.argument_errors import ArgumentErrors  # noqa: E402
from compiling.help_texts import HelpTexts  # noqa: E402
from compiling.literals import number_by_unit  # noqa: E402
from compiling.parts import join  # noqa: E402
from compiling.units import ask_ccache, compile_at_once  # noqa: E402

PURE = os.environ.get("CACHESTORM_PURE") == "1"
COMPILE = os.environ.get("CACHESTORM_COMPILE") == "1"
QUICK = os.environ.get("CACHESTORM_QUICK") == "1"
TARGET = Path("build", "quick-c") if QUICK else Path("build")
# of C, beside that of the hot modules
PARTS = 3
JOBS = int(os.environ.get("CACHESTORM_JOBS") or os.cpu_count() or 1)
# The commands that leave something to run. Others (sdist, metadata) need no compiled code,
# and an editable install would hide every later edit behind it.
BUILDING = {"bdist_wheel", "build", "build_ext", "install"}
EDITABLE = {"editable_wheel", "develop"}


def wants_compiled(commands: list[str]) -> bool:
    """Whether these setuptools commands are to compile anything."""
    if PURE and COMPILE:
        raise SystemExit("CACHESTORM_PURE=1 and CACHESTORM_COMPILE=1 contradict each other")
    if PURE:
        return False
    return not (BUILDING | EDITABLE if COMPILE else BUILDING).isdisjoint(commands)


def listed_modules() -> list[str]:
    """Paths of the modules to compile, relative to the root, sorted."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        listed = tomllib.load(file)["tool"]["cachestorm"]["compile"]
    paths = {path for pattern in listed["modules"] for path in ROOT.glob(pattern)}
    names = {path.relative_to(ROOT).as_posix() for path in paths}
    for pattern in listed["except"]:
        names.difference_update(fnmatch.filter(names, pattern))
    return sorted(names)


def hot_units(units: set[Path]) -> set[Path]:
    """The units of the modules that the commonest commands pass through."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        patterns = tomllib.load(file)["tool"]["cachestorm"]["compile"]["hot"]
    names = {
        "__native_" + module_name(path.relative_to(ROOT).as_posix()).replace(".", "___") + ".c"
        for pattern in patterns
        for path in ROOT.glob(pattern)
    }
    return {unit for unit in units if unit.name in names}


def module_name(path: str) -> str:
    """The name of the module at a path relative to the root."""
    return path.removesuffix(".py").replace("/", ".")


def lacks_compiler() -> str | None:
    """What is missing to build an extension module, or None."""
    from distutils.ccompiler import new_compiler
    from distutils.sysconfig import customize_compiler

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <Python.h>\n", encoding="ascii")
        try:
            compiler = new_compiler()
            customize_compiler(compiler)
            compiler.compile(
                [str(source)], output_dir=folder, include_dirs=[sysconfig.get_path("include")]
            )
        except Exception as error:  # which classes, changes with setuptools' versions
            return f"no C compiler that finds Python.h ({error})"
    return None


def lacks_global_lock() -> str | None:
    """Why nothing is compiled for an interpreter without the global lock, or None."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "a free-threaded interpreter runs it as source; mypyc does not support it yet"
    return None


def stay_pure(reason: str) -> None:
    """Says that what is built is not compiled, or refuses where compiling was demanded.

    Raises:
        SystemExit: with CACHESTORM_COMPILE=1.
    """
    complain(
        f"CacheStorm is built as pure Python, several times slower than compiled: {reason}"
    )


def complain(shortcoming: str) -> None:
    """Warns of what the build falls short of, or refuses where compiling was demanded.

    Raises:
        SystemExit: with CACHESTORM_COMPILE=1.
    """
    if COMPILE:
        raise SystemExit(f"CACHESTORM_COMPILE=1, but: {shortcoming}")
    warnings.warn(shortcoming, stacklevel=2)


def extensions() -> list[Extension]:
    """The extension modules that mypyc makes, or none, with a warning."""
    missing = lacks_global_lock() or lacks_compiler()
    if missing is not None:
        stay_pure(missing)
        return []
    try:
        from mypyc.build import mypycify

        made = mypycify(
            [
                # Types of the listed modules decide what is compiled. Strictness of the rest
                # is for `make lint`; it must not break a build on somebody else's machine.
                "--follow-imports=silent",
                "--ignore-missing-imports",
                "--no-warn-unused-ignores",
                *listed_modules(),
            ],
            opt_level="1" if QUICK else "3",
            debug_level="0",
            group_name="cachestorm",
            multi_file=True,
            target_dir=TARGET.as_posix(),
        )
    except (Exception, SystemExit) as error:
        stay_pure(f"mypyc failed ({error})")
        return []
    central = TARGET / "__native_cachestorm.c"
    units = {Path(path) for path in made[0].sources if "/__native_" in path}
    sources = {module_name(path): ROOT / path for path in listed_modules()}
    try:
        HelpTexts(sources).put_into(sorted(units))
    except ValueError as error:
        complain(f"compiled code has no help ({error})")
    try:
        ArgumentErrors(sources).put_into(sorted(units))
    except ValueError as error:
        complain(f"compiled code refuses arguments in words of its own ({error})")
    if QUICK:
        number_by_unit(
            sorted(units - {central}), central, TARGET / "__native_internal_cachestorm.h"
        )
    else:
        runtime = [Path(path) for path in made[0].sources if Path(path) not in units]
        made[0].sources = join(units, hot_units(units), runtime, PARTS, TARGET)
    for extension in made:
        # a newer compiler's new warning is no reason to run slowly
        flags = [flag for flag in extension.extra_compile_args if flag != "-Werror"]
        if "-Werror" in extension.extra_compile_args:  # gcc and clang, not MSVC
            # nobody links to the functions inside: hidden, they are inlined into each other
            flags.append("-fvisibility=hidden")
            # mypyc indents 8 columns more with each module; to warn of it, as -Wall does, takes
            # gcc more time than all the rest
            flags.append("-Wno-misleading-indentation")
        extension.extra_compile_args = flags
    # millions of objects of mypy's, which the collector would look at once more at the end
    gc.freeze()
    return list(made)


class AllOrNothing(build_ext):
    """Builds every extension, several at once, or, when one fails, leaves none behind."""

    def build_extensions(self) -> None:
        self.parallel = JOBS
        compile_at_once(self.compiler, JOBS)
        if QUICK:
            ask_ccache(self.compiler)
        try:
            super().build_extensions()
        except Exception as error:
            stay_pure(f"the C compiler failed ({error})")
            for extension in self.extensions:
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            self.extensions = []


setup(
    ext_modules=extensions() if wants_compiled(sys.argv) else [],
    cmdclass={"build_ext": AllOrNothing},
)
