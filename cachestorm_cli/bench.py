"""`cachestorm bench`: requests a second and their latency, of one server or of several.

Called by the command `bench`. One thread drives all connections: each has a batch of requests
under way and sends the next when the last reply is there, as redis-benchmark does.

1. Servers take turns workload by workload, so that what else the machine does hits all alike.
2. The client is Python and takes its share: servers are compared, not measured absolutely;
   with `--pipeline` the share is smaller.
3. Only keys that begin with `bench:` are written, and they are deleted at the end.
"""

from __future__ import annotations

import random
import selectors
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cachestorm.errors import CacheStormError
from cachestorm_cli.addresses import Address
from cachestorm_cli.client import ConnectError, RespClient, ServerError, spell
from cachestorm_cli.connecting import resp_client_for
from cachestorm_cli.output import Cell, bar, count_shown, micros_shown, show_rows
from cachestorm_cli.printing import PEOPLE
from cachestorm_cli.probing import share_of
from cachestorm_cli.walking import pages

PREFIX: Final = b"bench:"
_BAR: Final = 24
_SEED: Final = 1
_PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked.

    Attributes:
        requests: of each workload.
        pipeline: requests that a client sends at once.
        keys: different ones.
        size: bytes of a value.
    """

    requests: int = 20_000
    clients: int = 10
    pipeline: int = 1
    keys: int = 10_000
    size: int = 100


Request = Callable[[random.Random, Load], list[bytes]]


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request.

    Attributes:
        what: what it does.
        request: makes one.
        fills: whether the keys are set before.
    """

    what: str
    request: Request
    fills: bool = False


def _key(rng: random.Random, load: Load) -> bytes:
    return b"%bkey:%d" % (PREFIX, rng.randrange(load.keys))


def _zipf_key(rng: random.Random, load: Load) -> bytes:
    # u^4 has most of its mass near zero: a few keys get most of the requests
    return b"%bkey:%d" % (PREFIX, int(load.keys * rng.random() ** 4))


def _value(load: Load) -> bytes:
    return b"v" * load.size


def _set(rng: random.Random, load: Load) -> list[bytes]:
    return [b"SET", _key(rng, load), _value(load)]


def _get(rng: random.Random, load: Load) -> list[bytes]:
    return [b"GET", _key(rng, load)]


def _mixed(rng: random.Random, load: Load) -> list[bytes]:
    key = _zipf_key(rng, load)
    return [b"GET", key] if rng.random() < 0.8 else [b"SET", key, _value(load)]


def _incr(rng: random.Random, load: Load) -> list[bytes]:
    return [b"INCR", b"%bcounter:%d" % (PREFIX, rng.randrange(load.keys))]


def _hset(rng: random.Random, load: Load) -> list[bytes]:
    field = b"field:%d" % rng.randrange(16)
    return [b"HSET", b"%bhash:%d" % (PREFIX, rng.randrange(load.keys)), field, _value(load)]


def _zadd(rng: random.Random, load: Load) -> list[bytes]:
    return [b"ZADD", PREFIX + b"ranks", b"%d" % rng.randrange(1 << 20), _key(rng, load)]


def _settag(rng: random.Random, load: Load) -> list[bytes]:
    tags = [b"%btag:%d" % (PREFIX, rng.randrange(100)), PREFIX + b"all"]
    return [b"SETTAG", _key(rng, load), _value(load), *tags]


def _invalidate(rng: random.Random, load: Load) -> list[bytes]:
    if rng.random() < 0.01:
        return [b"INVALIDATE", b"%btag:%d" % (PREFIX, rng.randrange(100))]
    return _settag(rng, load)


WORKLOADS: Final[dict[str, Workload]] = {
    "ping": Workload("PING", lambda rng, load: [b"PING"]),
    "set": Workload("SET of random keys", _set),
    "get": Workload("GET of random keys that are there", _get, fills=True),
    "mixed": Workload("4 GET to 1 SET; a few keys get most of it", _mixed, fills=True),
    "incr": Workload("INCR of random counters", _incr),
    "hset": Workload("HSET of a field of random hashes", _hset),
    "zadd": Workload("ZADD to one sorted set", _zadd),
    "settag": Workload("SETTAG with two tags; no Redis has it", _settag),
    "invalidate": Workload("99 SETTAG to 1 INVALIDATE; no Redis has it", _invalidate),
}


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured.

    Attributes:
        rate: requests a second.
        took_us: from sending a batch to its last reply, sorted.
    """

    rate: float
    took_us: list[float]


def list_workloads(form: str) -> None:
    """Prints the workloads."""
    rows = [(name, workload.what) for name, workload in WORKLOADS.items()]
    show_rows(["workload", "requests"], rows, form)


def measure(addresses: Sequence[Address], names: Sequence[str], load: Load, form: str) -> int:
    """Runs workloads on servers and prints what was measured. Returns an exit code.

    Raises:
        CacheStormError: for an unknown workload, and when a server is not there, goes away
            or refuses.
    """
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        raise CacheStormError(
            f"no workload is called {', '.join(unknown)}; there are {', '.join(WORKLOADS)}"
        )
    clients = [resp_client_for(address, "bench") for address in addresses]
    places = [client.address.shown for client in clients]
    rows: list[tuple[str, str, Result | None]] = []
    try:
        for name in names or WORKLOADS:
            workload = WORKLOADS[name]
            for client, place in zip(clients, places):
                if sys.stderr.isatty():
                    print(f"\r{name} on {place} ...   ", end="", file=sys.stderr)
                rows.append((name, place, _run(client, workload, load)))
    finally:
        for client in clients:
            _clean(client)
            client.close()
        if sys.stderr.isatty():
            print(file=sys.stderr)
    _show(rows, form)
    return 0


def _show(rows: Sequence[tuple[str, str, Result | None]], form: str) -> None:
    fastest = max((result.rate for _, _, result in rows if result), default=1.0)
    cells: list[tuple[Cell, ...]] = []
    shown: list[list[str]] = []
    for name, place, result in rows:
        if result is None:
            cells.append((name, place, None, None, None))
            shown.append([name, place, "not there", "", "", ""])
            continue
        p50, p99 = share_of(result.took_us, 0.5), share_of(result.took_us, 0.99)
        cells.append((name, place, round(result.rate), round(p50, 1), round(p99, 1)))
        shown.append(
            [
                name,
                place,
                count_shown(result.rate),
                micros_shown(p50),
                micros_shown(p99),
                bar(result.rate / fastest, _BAR),
            ]
        )
    if form == PEOPLE:
        titles = ["workload", "server", "requests/s", "p50", "p99", ""]
        show_rows(titles, shown, form, shown)
    else:
        titles = ["workload", "server", "requests_per_second", "p50_us", "p99_us"]
        show_rows(titles, cells, form)


def _run(client: RespClient, workload: Workload, load: Load) -> Result | None:
    """None where the server does not know the command."""
    rng = random.Random(_SEED)
    trial = client.ask(workload.request(rng, load))
    if isinstance(trial, ServerError):
        if str(trial).startswith("ERR unknown command"):
            return None
        raise trial
    if workload.fills:
        fill = [[b"SET", b"%bkey:%d" % (PREFIX, n), _value(load)] for n in range(load.keys)]
        client.ask_many(fill)
    # made before, so that making them is not measured
    batches: list[bytes] = []
    left = load.requests
    while left > 0:
        count = min(load.pipeline, left)
        left -= count
        batches.append(b"".join(spell(workload.request(rng, load)) for _ in range(count)))
    sizes = [load.pipeline] * (len(batches) - 1)
    sizes.append(load.requests - sum(sizes))
    return _drive(client.address, batches, sizes, min(load.clients, len(batches)))


class _Connection:
    """One client of the benchmark."""

    def __init__(self, address: Address) -> None:
        # logs in and selects the namespace
        self._client: Final = RespClient(address)
        self.socket: Final[socket.socket] = self._client.connected_socket()
        self.sent_at = 0.0
        self.missing = 0
        self.buffer = b""

    def send(self, batch: bytes, count: int) -> None:
        self.missing = count
        self.sent_at = time.perf_counter()
        self.socket.sendall(batch)

    def receive(self) -> bool:
        """Reads what is there. True when the last reply of the batch is."""
        chunk = self.socket.recv(1 << 18)
        if not chunk:
            raise ConnectError(f"{self._client.address.shown}: it disconnected")
        buffer = self.buffer + chunk if self.buffer else chunk
        at = 0
        while self.missing:
            behind = end_of_reply(buffer, at)
            if behind < 0:
                break
            if buffer[at] == 45:  # a minus sign: an error
                raise ServerError(buffer[at + 1 : behind - 2].decode("utf-8", "replace"))
            at = behind
            self.missing -= 1
        self.buffer = buffer[at:]
        return self.missing == 0

    def close(self) -> None:
        self._client.close()


def end_of_reply(buffer: bytes, at: int) -> int:
    r"""Where a reply of RESP2 ends; -1 if it is not all there.

    Examples:
        >>> end_of_reply(b"*2\r\n$1\r\na\r\n:1\r\n+OK\r\n", 0)
        15
    """
    waiting = 1
    while waiting:
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return -1
        kind = buffer[at]
        waiting -= 1
        at_line = at + 1
        at = end + 2
        if kind == 36:  # $
            size = int(buffer[at_line:end])
            if size >= 0:
                at += size + 2
                if at > len(buffer):
                    return -1
        elif kind == 42:  # *
            waiting += max(0, int(buffer[at_line:end]))
    return at


def _drive(
    address: Address, batches: Sequence[bytes], sizes: Sequence[int], clients: int
) -> Result:
    took_us: list[float] = []
    next_batch = 0
    selector = selectors.DefaultSelector()
    connections: list[_Connection] = []
    try:
        for _ in range(clients):
            connections.append(_Connection(address))
        start = time.perf_counter()
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(batches[next_batch], sizes[next_batch])
            next_batch += 1
        done = 0
        while done < len(batches):
            ready = selector.select(_PATIENCE_S)
            if not ready:
                raise ConnectError(f"{address.shown}: no answer for {_PATIENCE_S:.0f} s")
            for key, _ in ready:
                connection = key.data
                if not connection.receive():
                    continue
                took_us.append((time.perf_counter() - connection.sent_at) * 1e6)
                done += 1
                if next_batch < len(batches):
                    connection.send(batches[next_batch], sizes[next_batch])
                    next_batch += 1
        span = time.perf_counter() - start
    except OSError as error:
        raise ConnectError(f"{address.shown}: {error.strerror or error}") from error
    finally:
        selector.close()
        for connection in connections:
            connection.close()
    return Result(sum(sizes) / span, sorted(took_us))


def _clean(client: RespClient) -> None:
    try:
        for _, names in pages(client, "bench:*"):
            if names:
                client.ask([b"UNLINK", *names])
    except CacheStormError:
        pass  # gone, with all it had
