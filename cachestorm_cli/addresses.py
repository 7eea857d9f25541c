"""The address of a server: a URL, or host and port, checked before anything connects.

Made by the commands of the command line, which hand it to `connecting`. The rules of URLs are
those of redis-py and redis-cli, with HTTP beside them.

    redis://[user[:password]@]host[:port][/database or namespace]
    rediss://...?ca=FILE&cert=FILE&key=FILE&verify=no      the same over TLS
    unix:///path/to/socket[?db=N]
    http://host[:port][/namespace]                         https:// too

1. A password is in no message and in no repr.
2. All that is wrong with an address is said at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from cachestorm.errors import ConfigError
from cachestorm.suggestions import did_you_mean

SCHEMES: Final = ("redis", "rediss", "unix", "http", "https")
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 6380
HIGHEST_PORT: Final = 65535
_DEFAULT_PORTS: Final = {"http": 9090, "https": 9090}
_TLS_OPTIONS: Final = ("ca", "cert", "key", "verify")
URL_VARIABLE: Final = "CACHESTORM_URL"
# of the server's own settings: where it has them in the environment, its neighbour finds it
PORT_VARIABLE: Final = "CACHESTORM_PORT"
PASSWORD_VARIABLE: Final = "CACHESTORM_AUTH_PASSWORD"
PASSWORD_FILE_VARIABLE: Final = "CACHESTORM_AUTH_PASSWORD_FILE"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens, and how to log in there.

    Attributes:
        path: of a unix socket; empty for all others.
        namespace: where to go at once; empty: where the server puts everybody.
        database: likewise, by number.
        tls: files for TLS by `ca`, `cert` and `key`, and `verify`.
    """

    scheme: str = "redis"
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    path: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    namespace: str = ""
    database: int = 0
    tls: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """As a prompt and messages show it."""
        return self.path or f"{self.host}:{self.port}"

    @property
    def is_http(self) -> bool:
        """Whether it is HTTP, and not RESP."""
        return self.scheme in ("http", "https")

    @property
    def url(self) -> str:
        """As a URL, without user name and password."""
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = self.namespace or (str(self.database) if self.database else "")
        return f"{self.scheme}://{host}:{self.port}" + (f"/{place}" if place else "")


def parse(url: str) -> Address:
    """Reads a URL.

    Raises:
        ConfigError: with all that is wrong with it.

    Examples:
        >>> parse("redis://:secret@cache.example/blog").shown
        'cache.example:6380'
        >>> parse("redis://:secret@cache.example/blog").url
        'redis://cache.example:6380/blog'
    """
    parts = urlsplit(url)
    if "://" not in url or parts.scheme not in SCHEMES:
        listed = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        begun = f"{parts.scheme}://" if "://" in url and parts.scheme else "none of them"
        hint = "" if "://" in url else f"; did you mean {with_scheme(url)}?"
        raise ConfigError(
            f"an address begins with one of {listed}, such as redis://127.0.0.1:6380; "
            f"this one begins with {begun}{hint}"
        )
    wrong: list[str] = []
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    port = _DEFAULT_PORTS.get(parts.scheme, DEFAULT_PORT)
    host = DEFAULT_HOST
    try:
        host = parts.hostname or DEFAULT_HOST
        port = parts.port if parts.port is not None else port
    except ValueError:
        wrong.append(f"the port is a number from 1 to {HIGHEST_PORT}")
    place = unquote(parts.path)
    path = ""
    if parts.scheme == "unix":
        path, place = place, options.pop("db", "")
        if not path:
            wrong.append("unix:// needs a path: unix:///path/to/socket")
    place = place.strip("/")
    is_number = place.isascii() and place.isdecimal()
    if is_number and parts.scheme in ("http", "https"):
        # HTTP knows namespaces by name only
        place, is_number = ("", False) if int(place) == 0 else (f"db{int(place)}", False)
    known = _TLS_OPTIONS if parts.scheme in ("rediss", "https") else ()
    for name in sorted(options.keys() - set(known)):
        also = f"; {parts.scheme}:// takes {', '.join(known)}" if known else ""
        wrong.append(f"?{name}= means nothing{also}{did_you_mean([name], _TLS_OPTIONS)}")
    if options.get("verify", "yes") not in ("yes", "no"):
        wrong.append("?verify= is yes or no")
    if wrong:
        raise ConfigError(f"{parts.scheme}:// address: " + "; ".join(wrong))
    return Address(
        scheme=parts.scheme,
        host=host,
        port=port,
        path=path,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        namespace="" if is_number else place,
        database=int(place) if is_number else 0,
        tls=options,
    )


def with_scheme(place: str) -> str:
    """The address that host and port alone may be meant to be, without user and password."""
    place = place.rpartition("@")[2]
    scheme, colon, rest = place.partition(":")
    if colon and scheme in SCHEMES:
        return f"{scheme}://{rest.lstrip('/')}"
    return f"redis://{place or DEFAULT_HOST}"


def resolve(
    url: str | None = None,
    host: str | None = None,
    port: int | None = None,
    password: str | None = None,
    namespace: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Address:
    """The address that options ask for; what they leave open, the environment decides.

    Args:
        url: taken first; host and port must not be given beside it.
        environment: CACHESTORM_URL counts unless a URL, a host or a port is given;
            CACHESTORM_PORT unless the port is said otherwise; CACHESTORM_AUTH_PASSWORD, or the
            file that CACHESTORM_AUTH_PASSWORD_FILE names, where there is no other password.

    Raises:
        ConfigError: for a URL that is wrong, or given beside host or port; for a port of the
            environment that is none, and a file of a password that cannot be read.
    """
    variables = environment if environment is not None else {}
    if url is not None and (host is not None or port is not None):
        raise ConfigError("--url says where the server is: leave out --host and --port")
    by_place = host is not None or port is not None
    text = url if url is not None else "" if by_place else variables.get(URL_VARIABLE, "")
    if text:
        address = parse(text)
    else:
        address = Address(host=host or DEFAULT_HOST, port=port or _port_of(variables))
    secret = password or address.password or _password_of(variables)
    if namespace:
        address = replace(address, namespace=namespace, database=0)
    return replace(address, password=secret)


def _port_of(variables: Mapping[str, str]) -> int:
    text = variables.get(PORT_VARIABLE, "")
    if not text or text == "0":
        # 0: whichever is free, which nobody else knows
        return DEFAULT_PORT
    if not text.isascii() or not text.isdecimal() or int(text) > HIGHEST_PORT:
        raise ConfigError(f"{PORT_VARIABLE}: {text!r} is no port; 1 to {HIGHEST_PORT} are")
    return int(text)


def _password_of(variables: Mapping[str, str]) -> str:
    said = variables.get(PASSWORD_VARIABLE, "")
    path = variables.get(PASSWORD_FILE_VARIABLE, "")
    if said or not path:
        return said
    try:
        # as the server reads it
        return Path(path).read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{PASSWORD_FILE_VARIABLE}: {path!r} cannot be read: {error}"
        ) from error
