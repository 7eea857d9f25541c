"""What people look at: HTTP, metrics, the dashboard and the command line.

Goals, compiled: a key over HTTP at 0.8 of the rate of a bare aiohttp handler that returns the
same bytes; a scrape with 10,000 namespaces in 50 ms, during which nobody waits longer than 10;
100,000 imported keys a second; the dashboard open for under 1 % of a core; `cachestorm --help`
in 200 ms.
"""

from __future__ import annotations

import json
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter, sleep

from tests.benchmarks.builds import Build, builds
from tests.benchmarks.machine import cpu_seconds
from tests.benchmarks.page import Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample
from tests.benchmarks.servers import Server, free_port

BODY = b"x" * 100
KEY = "greeting"
PATH = f"/v1/namespaces/default/keys/{KEY}"
CLIENTS = 8
HTTP_GOAL = 0.8

NAMESPACES = 10_000
SCRAPE_GOAL_MS = 50.0
WAIT_GOAL_MS = 10.0

IMPORT_GOAL = 100_000
DASHBOARD_GOAL = 1.0
HELP_GOAL_MS = 200.0

MAIN = "import sys; from cachestorm_cli.app import main; sys.exit(main())"

METHOD = f"""
* *GET over HTTP*: {CLIENTS} connections, each with one request under way, ask for a key of
  {len(BODY)} bytes. *aiohttp, a handler* answers the same body and headers from a function that
  does nothing else (`aiohttp.web.Server`, no routes); *aiohttp, an application* has it behind
  aiohttp's own router. All run on uvloop. The client is this process: it spells its requests
  beforehand and counts the bytes that come back.
* *scrape*: `GET /metrics` of a server with {NAMESPACES:,} namespaces that hold a key each,
  while another client sends PING over RESP, one after the other; told are the whole scrape and
  the longest PING during it. *PING alone* is the longest in the same time without a scrape: the
  machine's own waits.
* *import*: `cachestorm import` of a file of JSON lines into an empty server, keys a second as
  they arrive, the start of the program not counted; *msgpack* of the other format. *tagged*
  keys have a tag and a deadline each.
* *dashboard*: what processor time the server takes while the page is open in Chromium at its
  overview, nothing else happening.
* *help*: the whole of `cachestorm --help`, a process of its own.
"""

# The peers, as programs: the port is their argument.
HANDLER = """
import asyncio, sys, uvloop
from aiohttp import web
BODY = b"x" * {size}
HEADERS = {headers}
async def answer(request):
    return web.Response(body=BODY, headers=HEADERS)
async def main():
    if {is_application}:
        application = web.Application()
        application.router.add_get("/v1/namespaces/{{namespace}}/keys/{{key}}", answer)
        runner = web.AppRunner(application, access_log=None)
    else:
        runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1])).start()
    await asyncio.Event().wait()
uvloop.run(main())
"""


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer requests and rounds.
        progress: told of each step.
    """
    page = Page("people", "What people look at", METHOD)
    _measure_http(page, quick, progress)
    _measure_scrape(page, quick, progress)
    _measure_import(page, quick, progress)
    _measure_dashboard(page, quick, progress)
    _measure_help(page, quick, progress)
    return page


class Looking(Server):
    """`cachestorm serve` with its HTTP endpoint.

    Attributes:
        http_port: of that.
    """

    def __init__(self, build: Build) -> None:
        self.http_port = free_port()
        super().__init__(
            [sys.executable, "-c", MAIN, "serve", "--http-port", str(self.http_port), "--port"],
            build.environment(),
        )
        # RESP is opened first
        _connected(self.http_port).close()


def _measure_http(page: Page, quick: bool, progress: Progress) -> None:
    rounds, times = (2, 1_000) if quick else (7, 6_000)
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        for build in builds():
            server = stack.enter_context(Looking(build))
            server.pipeline([(b"SET", KEY.encode(), BODY)])
            servers[build.subject] = server
            headers = _headers_of(server.http_port)
        for name, is_application in (
            ("aiohttp, a handler", False),
            ("aiohttp, an application", True),
        ):
            program = HANDLER.format(
                size=len(BODY), headers=headers, is_application=is_application
            )
            servers[name] = stack.enter_context(Server([sys.executable, "-c", program]))
        rates: dict[str, Sample] = {name: Sample() for name in servers}
        cpu_us: dict[str, Sample] = {name: Sample() for name in servers}
        for turn in range(rounds + 1):
            for name, server in servers.items():
                progress.step(f"HTTP, round {turn} of {rounds}, {name}")
                before = cpu_seconds(server.process_id)
                rate = http_rate(port_of(server), times)
                spent_s = cpu_seconds(server.process_id) - before
                if turn:
                    rates[name].add(rate)
                    cpu_us[name].add(spent_s / (CLIENTS * times) * 1e6)
    bare = rates["aiohttp, a handler"].median
    table = Table(["GET over HTTP", "requests a second", "ratio", "server CPU, µs a request"])
    for name, sample in rates.items():
        table.add(name, spread(sample), f"{sample.median / bare:.2f}", spread(cpu_us[name]))
    page.tables.append(table)
    ours = rates.get(Build.COMPILED.subject)
    if ours is not None:
        ratio = ours.median / bare
        page.verdicts.append(
            Verdict(
                f"GET of {len(BODY)} bytes over HTTP: {HTTP_GOAL} of a bare handler of aiohttp",
                f"{ratio:.2f}",
                ratio >= HTTP_GOAL,
            )
        )


def port_of(server: Server) -> int:
    """Where a server answers HTTP."""
    return server.http_port if isinstance(server, Looking) else server.port


def _headers_of(port: int) -> dict[str, str]:
    """The headers of an answer that aiohttp does not write by itself."""
    with _connected(port) as client:
        client.sendall(_request(PATH))
        head, _, _ = _answer(client).partition(b"\r\n\r\n")
    lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
    own = {"Content-Length", "Date", "Server"}
    return {name: value for name, _, value in lines if name not in own}


def http_rate(port: int, times: int) -> float:
    """Requests a second over some connections, each with one under way.

    Args:
        times: how many requests of each connection.
    """
    request = _request(PATH)
    with ExitStack() as stack:
        waiting = stack.enter_context(selectors.DefaultSelector())
        clients = [stack.enter_context(_connected(port)) for _ in range(CLIENTS)]
        clients[0].sendall(request)
        size = len(_answer(clients[0]))
        left = {}
        for client in clients:
            waiting.register(client, selectors.EVENT_READ)
            left[client] = times
        began = perf_counter()
        for client in clients:
            client.sendall(request)
        got = dict.fromkeys(clients, 0)
        while left:
            for key, _ in waiting.select():
                client = key.fileobj
                assert isinstance(client, socket.socket)
                received = client.recv(65536)
                if not received:
                    raise ConnectionError("the server disconnected")
                got[client] += len(received)
                if got[client] < size:
                    continue
                got[client] = 0
                left[client] -= 1
                if left[client]:
                    client.sendall(request)
                else:
                    del left[client]
        return CLIENTS * times / (perf_counter() - began)


def _measure_scrape(page: Page, quick: bool, progress: Progress) -> None:
    rounds = 5 if quick else 15
    table = Table(["scrape", "ms", "longest PING, ms", "PING alone, ms"])
    for build in builds():
        scrapes, waits, alone = Sample(), Sample(), Sample()
        with Looking(build) as server:
            for at in range(0, NAMESPACES, 500):
                progress.step(f"{build.subject}: namespace {at} of {NAMESPACES}")
                names = [f"tenant-{each}".encode() for each in range(at, at + 500)]
                pairs = [((b"NAMESPACE", name), (b"SET", b"k", b"v")) for name in names]
                server.pipeline([command for pair in pairs for command in pair])
            for turn in range(rounds + 1):
                progress.step(f"{build.subject}: scrape {turn} of {rounds}")
                took_ms, longest_ms = scrape_ms(server)
                idle_ms = pinging_ms(server.port, took_ms / 1e3)
                if turn:
                    scrapes.add(took_ms)
                    waits.add(longest_ms)
                    alone.add(idle_ms)
        table.add(build.subject, spread(scrapes), spread(waits), spread(alone))
        if build is Build.COMPILED:
            what = f"{NAMESPACES:,} namespaces: a scrape"
            page.verdicts += [
                Verdict(
                    f"{what} in {number(SCRAPE_GOAL_MS)} ms",
                    f"{number(scrapes.median)} ms",
                    scrapes.median <= SCRAPE_GOAL_MS,
                ),
                Verdict(
                    f"{what} has nobody wait longer than {number(WAIT_GOAL_MS)} ms",
                    f"{number(waits.median)} ms",
                    waits.median <= WAIT_GOAL_MS,
                ),
            ]
    page.tables.append(table)


def scrape_ms(server: Looking) -> tuple[float, float]:
    """Milliseconds of a scrape, and of the longest PING during it."""
    over = threading.Event()
    took_ms = 0.0

    def scrape() -> None:
        nonlocal took_ms
        try:
            with _connected(server.http_port) as client:
                began = perf_counter()
                client.sendall(_request("/metrics"))
                answer = _answer(client)
                took_ms = (perf_counter() - began) * 1e3
            assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
        finally:
            over.set()

    with _connected(server.port) as client:
        _ping_ms(client)
        thread = threading.Thread(target=scrape)
        thread.start()
        longest_ms = 0.0
        while not over.is_set():
            longest_ms = max(longest_ms, _ping_ms(client))
        thread.join()
    return took_ms, longest_ms


def pinging_ms(port: int, for_s: float) -> float:
    """Milliseconds of the longest PING in so many seconds."""
    longest_ms = 0.0
    with _connected(port) as client:
        _ping_ms(client)
        end = perf_counter() + for_s
        while perf_counter() < end:
            longest_ms = max(longest_ms, _ping_ms(client))
    return longest_ms


def _ping_ms(client: socket.socket) -> float:
    began = perf_counter()
    client.sendall(b"PING\r\n")
    client.recv(64)
    return (perf_counter() - began) * 1e3


def _measure_import(page: Page, quick: bool, progress: Progress) -> None:
    rounds, keys = (2, 50_000) if quick else (5, 300_000)
    table = Table(["import, keys a second", *(build.subject for build in builds())])
    with tempfile.TemporaryDirectory() as folder:
        for form in ("jsonl", "msgpack"):
            for is_tagged in (False, True):
                path = Path(folder, f"keys.{form}")
                write_records(path, keys, form, is_tagged)
                cells = []
                for build in builds():
                    sample = Sample()
                    for turn in range(rounds):
                        progress.step(f"import, {form}, {build.subject}, {turn} of {rounds}")
                        with Looking(build) as server:
                            sample.add(import_rate(build, server.port, path, keys))
                    cells.append(spread(sample))
                    if build is Build.COMPILED and form == "jsonl" and not is_tagged:
                        page.verdicts.append(
                            Verdict(
                                f"import: {IMPORT_GOAL:,} keys a second",
                                number(sample.median),
                                sample.median >= IMPORT_GOAL,
                            )
                        )
                table.add(form + (", tagged" if is_tagged else ""), *cells)
    page.tables.append(table)


def write_records(path: Path, keys: int, form: str, is_tagged: bool) -> None:
    """A file of export with strings of a hundred bytes."""
    more = {"expires_at_ms": 4_000_000_000_000} if is_tagged else {}
    with open(path, "wb") as file:
        for each in [{"cachestorm": 1, "source": "", "at_ms": 0}, *range(keys)]:
            if isinstance(each, int):
                each = {"key": f"user:{each}", "type": "string", "value": "v" * 100} | more
                if is_tagged:
                    each["tags"] = [f"group:{len(each) % 100}"]
            if form == "jsonl":
                file.write(json.dumps(each).encode() + b"\n")
            else:
                import msgpack

                file.write(msgpack.packb(each))


def import_rate(build: Build, port: int, path: Path, keys: int) -> float:
    """Keys a second from the first that is there to the end of the program.

    Raises:
        subprocess.CalledProcessError: when it fails.
    """
    url = f"redis://127.0.0.1:{port}"
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "import", str(path), "-u", url],
        env=build.environment(),
        stdout=subprocess.DEVNULL,
    ) as program:
        with _connected(port) as client:
            there = 0
            while not there and program.poll() is None:
                client.sendall(b"DBSIZE\r\n")
                there = int(client.recv(64)[1:-2])
                sleep(0.005)
        began = perf_counter()
        if program.wait():
            raise subprocess.CalledProcessError(program.returncode, "cachestorm import")
        return (keys - there) / (perf_counter() - began)


def _measure_dashboard(page: Page, quick: bool, progress: Progress) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        page.missing.append("the dashboard: Chromium or playwright is not installed")
        return
    for_s = 10.0 if quick else 30.0
    table = Table(["the server's processor time, % of a core", "dashboard open", "nothing"])
    for build in builds():
        with Looking(build) as server:
            server.pipeline([(b"SET", b"user:%d" % each, BODY) for each in range(1000)])
            sleep(2.0)
            progress.step(f"dashboard, {build.subject}")
            idle = share_of_core(server.process_id, for_s)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium, args=["--no-sandbox"]
                )
                try:
                    tab = browser.new_page()
                    tab.goto(f"http://127.0.0.1:{server.http_port}/")
                    tab.wait_for_selector("#state:text-is('Connected')")
                    sleep(2.0)
                    share = share_of_core(server.process_id, for_s)
                finally:
                    browser.close()
        table.add(build.subject, f"{share:.2f}", f"{idle:.2f}")
        if build is Build.COMPILED:
            page.verdicts.append(
                Verdict(
                    f"the dashboard open: under {number(DASHBOARD_GOAL)} % of a core",
                    f"{share:.2f} %",
                    share < DASHBOARD_GOAL,
                )
            )
    page.tables.append(table)


def share_of_core(process_id: int, for_s: float) -> float:
    """Per cent of a core that a process takes in so many seconds."""
    before, began = cpu_seconds(process_id), perf_counter()
    sleep(for_s)
    return (cpu_seconds(process_id) - before) / (perf_counter() - began) * 100


def _measure_help(page: Page, quick: bool, progress: Progress) -> None:
    rounds = 3 if quick else 15
    table = Table(["cachestorm --help", "ms"])
    for build in builds():
        sample = Sample()
        for turn in range(rounds + 1):
            progress.step(f"help, {build.subject}, {turn} of {rounds}")
            began = perf_counter()
            subprocess.run(
                [sys.executable, "-c", MAIN, "--help"],
                env=build.environment(),
                stdout=subprocess.DEVNULL,
                check=True,
            )
            if turn:
                sample.add((perf_counter() - began) * 1e3)
        table.add(build.subject, spread(sample))
        page.verdicts.append(
            Verdict(
                f"`cachestorm --help`, {build.value}: under {number(HELP_GOAL_MS)} ms",
                f"{number(sample.median)} ms",
                sample.median < HELP_GOAL_MS,
            )
        )
    page.tables.append(table)


def _connected(port: int) -> socket.socket:
    """A client of a server that may be starting.

    Raises:
        OSError: when nobody listens in time.
    """
    for _ in range(200):
        try:
            client = socket.create_connection(("127.0.0.1", port), timeout=60)
        except ConnectionRefusedError:
            sleep(0.05)
            continue
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client
    raise OSError(f"nobody listens on port {port}")


def _request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".encode()


def _answer(client: socket.socket) -> bytes:
    """A whole answer, of which the length is told."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += client.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    lines = [line.partition(b": ") for line in head.split(b"\r\n")]
    size = next(int(text) for name, _, text in lines if name.lower() == b"content-length")
    while len(body) < size:
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body
