"""A server in this process, and the command line run in it too: quicker than processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from in_this_process import CommandLine, Outcome, Served

from cachestorm import Cache
from cachestorm_cli.app import main
from cachestorm_server.hosting import serve


@pytest.fixture
def served() -> Iterator[Served]:
    cache = Cache()
    with serve(cache, port=0, http_port=0) as protocols:
        resp, http = protocols.resp.port, protocols.http.port
        yield Served(cache, f"redis://127.0.0.1:{resp}", f"http://127.0.0.1:{http}")


@pytest.fixture
def command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """`cachestorm ...` without a terminal; what it prints, and its exit code."""
    for name in ("CACHESTORM_URL", "CACHESTORM_AUTH_PASSWORD"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, url: str = "") -> Outcome:
        if url:
            monkeypatch.setenv("CACHESTORM_URL", url)
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run
