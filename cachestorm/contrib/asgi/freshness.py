"""The rules of RFC 9111: what a shared cache may store, for how long, and for whom.

Called by the middleware; knows nothing of ASGI but its form of headers: pairs of bytes, whose
names are in lower case.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

Headers = Iterable[tuple[bytes, bytes]]

# what may be stored although its code does not say for how long (RFC 9110, 15.1); 206 is not
# stored, since ranges are not
STORABLE = frozenset([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
# errors that a stale response may stand for (RFC 5861, 4)
FAILURES = frozenset([500, 502, 503, 504])


def values(headers: Headers, name: bytes) -> list[str]:
    """All values of a header."""
    return [text.decode("latin-1").strip() for key, text in headers if key == name]


def value(headers: Headers, name: bytes) -> str | None:
    """The first value of a header, None if it is missing."""
    found = values(headers, name)
    return found[0] if found else None


def directives(headers: Headers, name: bytes = b"cache-control") -> dict[str, str]:
    """The directives of Cache-Control, in lower case; an empty string for one without value."""
    found: dict[str, str] = {}
    for part in ",".join(values(headers, name)).split(","):
        key, _, text = part.partition("=")
        if key.strip():
            found.setdefault(key.strip().lower(), text.strip().strip('"'))
    return found


def seconds(given: dict[str, str], name: str) -> int | None:
    """The seconds of a directive; None if it is missing, 0 if it is none (RFC 9111, 4.2.1)."""
    text = given.get(name)
    if text is None:
        return None
    return int(text) if text.isascii() and text.isdecimal() else 0


def moment(headers: Headers, name: bytes) -> float | None:
    """The time in a header as seconds since 1970; None if it is missing or none."""
    text = value(headers, name)
    if text is None:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return None


def age_of(headers: Headers) -> int:
    """The seconds that a response had been in other caches; 0 if it does not say."""
    text = value(headers, b"age") or "0"
    return int(text) if text.isascii() and text.isdecimal() else 0


def vary_of(headers: Headers) -> tuple[str, ...]:
    """The names of the request's headers that a response depends on, sorted."""
    names = {name.strip().lower() for name in ",".join(values(headers, b"vary")).split(",")}
    return tuple(sorted(names - {""}))


@dataclass(frozen=True)
class Verdict:
    """How long a response may be stored, in seconds.

    Attributes:
        fresh: during which it is served without asking.
        stale: afterwards, while it is being reloaded.
        stale_if_error: afterwards, if the application fails.
    """

    fresh: float
    stale: float
    stale_if_error: float


def verdict(
    request: Headers, status: int, response: Headers, given: Verdict | None
) -> Verdict | None:
    """Whether, and for how long, a shared cache stores a response; None for not at all.

    Args:
        request, response: their headers.
        given: by the application, by other means than the response. It goes before what the
            response says to browsers, but not before what forbids to store it.
    """
    said = directives(response)
    if status not in STORABLE or {"no-store", "private", "no-cache"} & said.keys():
        return None
    if "no-store" in directives(request) or "*" in vary_of(response):
        return None
    # who sees a cookie, or a page behind a password, must be who it is for
    if value(response, b"set-cookie") is not None:
        return None
    if value(request, b"authorization") is not None and not (
        {"public", "s-maxage", "must-revalidate"} & said.keys()
    ):
        return None
    if (value(response, b"content-type") or "").startswith("text/event-stream"):
        return None
    if given is not None:
        return given
    fresh: float | None = seconds(said, "s-maxage")
    if fresh is None:
        fresh = seconds(said, "max-age")
    if fresh is None:
        expires = moment(response, b"expires")
        date = moment(response, b"date")
        if expires is not None and date is not None:
            fresh = expires - date
        elif value(response, b"expires") is not None:
            fresh = 0
    if fresh is None:
        return None
    fresh -= age_of(response)
    if fresh <= 0:
        return None
    # must-revalidate and its like forbid all that is stale (RFC 9111, 4.2.4)
    strict = {"must-revalidate", "proxy-revalidate", "s-maxage"} & said.keys()
    stale = 0 if strict else seconds(said, "stale-while-revalidate") or 0
    failing = 0 if strict else seconds(said, "stale-if-error") or 0
    return Verdict(fresh, stale, failing)


def matches(tags: str, etag: str) -> bool:
    """Whether If-None-Match names an ETag, by weak comparison (RFC 9110, 13.1.2)."""
    if tags.strip() == "*":
        return True
    wanted = etag.removeprefix("W/")
    return any(tag.strip().removeprefix("W/") == wanted for tag in tags.split(","))


def is_known(request: Headers, response: Headers) -> bool:
    """Whether a client has a response already, which is 200 otherwise (RFC 9110, 13.2.2)."""
    etags = values(request, b"if-none-match")
    if etags:
        etag = value(response, b"etag")
        return etag is not None and matches(",".join(etags), etag)
    since = moment(request, b"if-modified-since")
    modified = moment(response, b"last-modified")
    return since is not None and modified is not None and modified <= since
