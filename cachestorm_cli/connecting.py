"""Connecting: a client for an address, over RESP or HTTP."""

from __future__ import annotations

from cachestorm.errors import ConfigError
from cachestorm_cli.addresses import Address
from cachestorm_cli.client import Client, RespClient


def client_for(address: Address, resp3: bool = False) -> Client:
    """A client; it connects on its first request."""
    if address.is_http:
        from cachestorm_cli.http_client import HttpClient

        return HttpClient(address)
    return RespClient(address, resp3)


def resp_client_for(address: Address, purpose: str, resp3: bool = False) -> RespClient:
    """A client of a RESP server.

    Args:
        purpose: what needs one, for the refusal.

    Raises:
        ConfigError: for an address of HTTP.
    """
    if address.is_http:
        raise ConfigError(f"{purpose} needs RESP: give a redis:// address, not {address.url}")
    return RespClient(address, resp3)
