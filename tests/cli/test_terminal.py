"""The command line at a terminal: the prompt, the live screen, colours, and shells."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_this_process import Served
from processes import COMMAND, START, Running, environment

pty = pytest.importorskip("pty")
pyte = pytest.importorskip("pyte")

PATIENCE_S = 60
# makes the terminal that it was given its controlling one, for Ctrl-C
BEGIN = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
BEGIN += "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"


class Terminal:
    """`cachestorm ...` at a terminal of its own, and what its screen shows."""

    def __init__(
        self, *arguments: str, home: Path, size: tuple[int, int] = (24, 80), **variables: str
    ) -> None:
        import fcntl
        import termios

        settings = {"HOME": str(home), "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}
        given = environment(**settings, **variables)
        # the runner of the tests has said how large its own terminal is
        for name in ("COLUMNS", "LINES"):
            given.pop(name, None)
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        # not by a fork of this process, which has threads
        self.process = subprocess.Popen(
            [sys.executable, "-c", BEGIN, "-c", START, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env=given,
        )
        os.close(theirs)
        self._gives_up_at = time.monotonic() + PATIENCE_S
        self.seen = b""
        self._screen = pyte.Screen(size[1], size[0])
        self._stream = pyte.ByteStream(self._screen)

    def shows(self, text: str) -> bool:
        """Waits until a text is on the screen; False if the program ends before."""
        while text not in "\n".join(self._screen.display):
            if time.monotonic() > self._gives_up_at or not self._read():
                return False
        return True

    def shows_again(self, text: str, times: int) -> bool:
        """Waits until a text was sent so many times; False if the program ends before."""
        while self.seen.count(text.encode()) < times:
            if time.monotonic() > self._gives_up_at or not self._read():
                return False
        return True

    def lines(self) -> list[str]:
        """The screen, a text a line, without what is empty at the ends."""
        return [line.rstrip() for line in self._screen.display]

    def asks(self) -> bool:
        """Waits until the cursor stands behind an empty prompt; False if the program ends.

        A key that is a signal or an end must wait for this: while no prompt reads it, the
        terminal takes it for its own and the prompt never sees it.
        """
        while not self._screen.display[self._screen.cursor.y].rstrip().endswith(">"):
            if time.monotonic() > self._gives_up_at or not self._read():
                return False
        return True

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> int:
        """The exit code, once the program has ended."""
        while time.monotonic() < self._gives_up_at and self._read():
            pass
        os.close(self._ours)
        return self.process.wait(PATIENCE_S)

    def _read(self) -> bool:
        """Takes what the program shows next; False if it has ended, or shows nothing."""
        if not select.select([self._ours], [], [], PATIENCE_S)[0]:
            self.process.kill()
            return False
        try:
            raw = os.read(self._ours, 4096)
        except OSError:  # Linux has no other end
            return False
        self.seen += raw
        self._stream.feed(raw)
        return raw != b""


@pytest.fixture
def filled(served: Served) -> Iterator[Served]:
    served.cache.set("user:41", "Ada", tags=["users"])
    served.cache.set("page:7", "<h1>")
    yield served


def test_a_person_types_at_the_prompt(filled: Served, tmp_path: Path) -> None:
    place = filled.url.removeprefix("redis://")
    terminal = Terminal("cli", "--url", filled.url, home=tmp_path, size=(60, 80))
    assert terminal.shows(f"{place}>")
    # a hint of what may follow, behind the cursor
    terminal.type("settag ")
    assert terminal.shows("settag key value tag [tag ...]")
    terminal.type("k v t\r")
    assert terminal.shows("OK")
    # keys, tags and options are completed
    terminal.type("get user:\t")
    assert terminal.shows("get user:41")
    terminal.type("\r")
    assert terminal.shows('"Ada"')
    terminal.type("invalidate us\t")
    assert terminal.shows("invalidate users")
    terminal.type(" dr\t")
    assert terminal.shows("invalidate users dryrun")
    terminal.type("\r")
    assert terminal.shows("(integer) 1")
    # a quote that is open goes on in the next line
    terminal.type('set poem "a\r')
    assert terminal.shows("....")
    terminal.type('b"\r')
    terminal.type("strlen poem\r")
    assert terminal.shows("(integer) 3")
    assert filled.cache.get("poem") == b"a\nb"
    terminal.type("help invalidate\r")
    assert terminal.shows("INVALIDATE tag [CASCADE] [SOFT] [DRYRUN]")
    terminal.type("lpush poem x\r")
    assert terminal.shows("(error) WRONGTYPE")
    terminal.type("namespace blog\r")
    assert terminal.shows("[blog]>")
    terminal.type("config set requirepass sesame\r")
    terminal.type("auth sesame\r")
    terminal.type("half a line")
    assert terminal.shows("> half a line")
    terminal.type("\x03")
    terminal.type("echo bye\r")
    assert terminal.shows('"bye"')
    terminal.type("exit\r")
    assert terminal.end() == 0
    history = tmp_path / ".cachestorm_history"
    text = history.read_text()
    assert "get user:41" in text
    assert "sesame" not in text
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_a_plain_redis_is_talked_to_with_what_only_it_has(valkey, tmp_path: Path) -> None:
    terminal = Terminal("cli", "-p", str(valkey.port), home=tmp_path, size=(24, 100))
    assert terminal.shows(f"{valkey.port}>")
    terminal.type("xadd ")
    assert terminal.shows("key [NOMKSTREAM]")
    terminal.type("s 5-1 f v\r")
    assert terminal.shows('"5-1"')
    terminal.type("del s\r")
    assert terminal.shows("(integer) 1")
    assert terminal.asks()
    terminal.type("\x04")
    assert terminal.end() == 0


def test_the_screen_of_top_fits_20_columns_and_q_ends_it(
    filled: Served, tmp_path: Path
) -> None:
    terminal = Terminal("top", "-i", "0.05", "--url", filled.url, home=tmp_path, size=(12, 20))
    assert terminal.shows("ops/s ")
    assert terminal.shows("hits ")
    terminal.type("q")
    assert terminal.end() == 0


def test_top_says_that_a_server_is_gone_and_ends_when_asked(tmp_path: Path) -> None:
    running = Running("serve", "--port", "0", "--no-http")
    terminal = Terminal("top", "-i", "0.05", "-p", running.port, home=tmp_path)
    try:
        assert terminal.shows("ops/s ")
    finally:
        running.end(signal.SIGKILL)
    assert terminal.shows_again("NO ANSWER: ", 4)
    assert terminal.shows("q ends")
    lines = terminal.lines()
    assert (lines[1], lines[2][:6]) == ("it is asked again; q ends", "ops/s ")
    terminal.type("\x1b")
    assert terminal.end() == 0


@pytest.mark.parametrize("tool", ["stats", "tagtree"])
def test_without_colours_all_is_said_as_well(filled: Served, tmp_path: Path, tool: str) -> None:
    terminal = Terminal(tool, "--url", filled.url, home=tmp_path, size=(90, 20), NO_COLOR="1")
    assert terminal.shows("CacheStorm" if tool == "stats" else "users · 1 key")
    assert terminal.end() == 0
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m", terminal.seen)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """`cachestorm` on a path of its own, for shells."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "cachestorm"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{START}" "$@"\n')
    path.chmod(0o755)
    return folder


def run_shell(argv: list[str], program: Path, **variables: str) -> str:
    settings = environment(HOME=str(program.parent), **variables)
    settings["PATH"] = f"{program}{os.pathsep}{settings['PATH']}"
    done = subprocess.run(argv, capture_output=True, text=True, env=settings, timeout=120)
    assert done.stderr == ""
    return done.stdout


def test_bash_completes_live_keys(filled: Served, program: Path) -> None:
    script = """
        eval "$(_CACHESTORM_COMPLETE=source_bash cachestorm)"
        COMP_WORDS=(cachestorm get user); COMP_CWORD=2
        _cachestorm_completion cachestorm
        echo "${COMPREPLY[@]}"
    """
    argv = ["bash", "--norc", "-c", script]
    assert run_shell(argv, program, CACHESTORM_URL=filled.url) == "user:41\n"


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_live_tags(filled: Served, program: Path) -> None:
    script = """
        _CACHESTORM_COMPLETE=source_fish cachestorm | source
        complete --do-complete "cachestorm invalidate us"
    """
    shown = run_shell(["fish", "--no-config", "-c", script], program, CACHESTORM_URL=filled.url)
    assert shown.split() == ["users"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_takes_the_script_and_gets_live_keys(filled: Served, program: Path) -> None:
    # what needs no terminal: that zsh reads the script, and what the script would ask
    script = """
        autoload -Uz compinit; compinit -u
        eval "$(_CACHESTORM_COMPLETE=source_zsh cachestorm)"
        whence -w _cachestorm_completion
        _TYPER_COMPLETE_ARGS="cachestorm get us" _CACHESTORM_COMPLETE=complete_zsh cachestorm
    """
    shown = run_shell(["zsh", "-f", "-c", script], program, CACHESTORM_URL=filled.url)
    assert "_cachestorm_completion: function" in shown
    assert "user:41" in shown.replace("\\", "")


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_every_manual_page_is_one_that_man_reads_without_a_warning(tmp_path: Path) -> None:
    from cachestorm_cli.app import main

    with pytest.raises(SystemExit) as leaving:
        main(["man", "--to", str(tmp_path)])
    assert leaving.value.code in (0, None)
    pages = sorted(tmp_path.glob("*.1"))
    assert {"cachestorm.1", "cachestorm-top.1"} <= {page.name for page in pages}
    for page in pages:
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-wall", "-z", str(page)],
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, ""), page.name


def test_many_commands_are_piped_in_at_once(served: Served) -> None:
    given = b"".join(
        b"*3\r\n$3\r\nSET\r\n$%d\r\nk%d\r\n$1\r\nv\r\n" % (len(str(n)) + 1, n)
        for n in range(3000)
    )
    argv = [*COMMAND, "cli", "--url", served.url, "--pipe"]
    done = subprocess.run(
        argv,
        input=given + b"LPUSH k1 x\r\nINCR n\r\n",
        capture_output=True,
        timeout=PATIENCE_S,
        env=environment(),
    )
    assert done.stdout == b"errors: 1, replies: 3002\n"
    assert done.stderr.startswith(b"WRONGTYPE")
    assert done.returncode == 1
    assert (len(served.cache), served.cache.get("n")) == (3001, 1)
