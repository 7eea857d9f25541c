"""Access: who is let in to the HTTP endpoint. The only place where a request is authenticated.

Called for each request before anything else of it is looked at.

1. Unless the default user is open, all that shows something of the cache asks who one is:
   `Authorization: Basic` with a user and a password, or `Bearer <password>` of the default
   user, or `Bearer <user>:<password>`.
2. Where it is open, in protected mode, only this host is let in, and without a password only
   by a name that no page of a browser can have been loaded from: an address, localhost, or one
   of `hosts`.
3. Where it is open without protected mode, whoever comes from another host without a password
   only reads, and has no dashboard: a port of a container is published sooner than one thinks.
4. /health is always open, so that a probe needs no password.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from cachestorm.errors import CacheStormError
from cachestorm_server.acl.visitor import Visitor, visitor_by
from cachestorm_server.admission import NotAuthenticatedError
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.net import is_loopback
from cachestorm_server.settings import HEALTH_PATH
from cachestorm_server.web.wire import JsonConnection


class DeniedError(CacheStormError):
    """A client from elsewhere, or by an unknown name, where there is no password."""

    code = "DENIED"
    http_status = 403


class Access:
    """Lets clients in, or not.

    Args:
        endpoint: whose users may come in.
        bind: the addresses of the HTTP endpoint.
        hosts: names that it may be called by without a password.
    """

    def __init__(
        self, endpoint: Endpoint, bind: tuple[str, ...], hosts: tuple[str, ...]
    ) -> None:
        self._endpoint: Final = endpoint
        self._hosts: Final = hosts
        self._is_on_loopback: Final = all(is_loopback(host) for host in bind)

    def admit(self, request: web.BaseRequest, client: JsonConnection, is_open: bool) -> Visitor:
        """Who asks; whom the rules at the top of this file keep out is refused.

        Args:
            client: whose request it is.
            is_open: what is asked for shows nothing of the cache.

        Raises:
            NotAuthenticatedError: for a missing password.
            WrongPasswordError: for a wrong one.
            DeniedError: without a password, for a client or a name from elsewhere.
        """
        users = self._endpoint.users
        default = client.default
        if default is None or default.user is not users.default:
            default = client.default = Visitor(users, users.default, request.remote or "")
        if request.rel_url.raw_path == HEALTH_PATH:
            return default
        has_secret = not users.default.is_open()
        if has_secret and is_open:
            return default
        authorization = request.headers.get("Authorization")
        named: Visitor | None = None
        if authorization is not None:
            named = visitor_by(users, authorization, request.remote or "")
        if has_secret:
            if named is None:
                raise NotAuthenticatedError()
            return named
        is_protected = self._endpoint.settings.protected_mode
        is_secret = named is not None and not named.user.needs_no_password
        if not client.is_of_this_host():
            if is_protected:
                raise DeniedError(
                    "no password is set, so only clients of this host are let in; set "
                    "plugins.auth, or server.protected_mode: false"
                )
            if not is_secret and not _only_reads(request):
                raise DeniedError(
                    "no password is set, so clients of other hosts only read over HTTP, and "
                    "have no dashboard; set plugins.auth, or CACHESTORM_AUTH_PASSWORD"
                )
        if (is_protected or self._is_on_loopback) and not is_secret:
            name = request.headers.get("Host")
            if name is not None and not _is_safe_name(name, self._hosts):
                raise DeniedError(
                    f"the Host header names {name!r}: without a password this endpoint is "
                    "called by an address, by localhost, or by a name in http.hosts"
                )
        return named or default


def _only_reads(request: web.BaseRequest) -> bool:
    """Whether it neither changes anything nor asks for the dashboard."""
    return request.method in ("GET", "HEAD", "OPTIONS") and request.path != "/"


@lru_cache(maxsize=256)
def _is_safe_name(host: str, known: tuple[str, ...]) -> bool:
    """Whether a Host header cannot come from a page under somebody else's name."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost") or name in known:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
