"""Addresses: what a URL means, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from cachestorm.errors import ConfigError
from cachestorm_cli.addresses import Address, parse, resolve


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://", Address()),
        ("redis://db:7000/3", Address(host="db", port=7000, database=3)),
        ("redis://db/blog", Address(host="db", namespace="blog")),
        ("redis://ada:s%40@db", Address(host="db", username="ada", password="s@")),
        ("redis://[::1]:1", Address(host="::1", port=1)),
        ("unix:///run/c.sock?db=2", Address(scheme="unix", path="/run/c.sock", database=2)),
        ("http://db", Address(scheme="http", host="db", port=9090)),
        ("http://db/1", Address(scheme="http", host="db", port=9090, namespace="db1")),
        (
            "rediss://db?ca=a.pem&verify=no",
            Address(scheme="rediss", host="db", tls={"ca": "a.pem", "verify": "no"}),
        ),
    ],
)
def test_a_url_says_where_to_go(url: str, address: Address) -> None:
    assert address == parse(url)


@pytest.mark.parametrize(
    ("url", "reasons"),
    [
        (
            "localhost:6380",
            [
                "begins with one of redis://",
                "with none",
                "did you mean redis://localhost:6380?",
            ],
        ),
        ("redis:here", ["with none of them; did you mean redis://here?"]),
        ("ann:secret@here", ["did you mean redis://here?"]),
        ("redis://db:seven?verify=no", ["port is a number", "?verify= means nothing"]),
        ("rediss://db?verify=maybe&ka=x", ["verify= is yes or no", "?ka= means nothing"]),
        ("rediss://db?verfy=no", ["did you mean verify?"]),
        ("unix://", ["needs a path"]),
    ],
)
def test_all_that_is_wrong_with_a_url_is_said_at_once(url: str, reasons: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(url)
    assert [reason for reason in reasons if reason not in str(refused.value)] == []


def test_a_password_is_neither_shown_nor_in_the_repr() -> None:
    address = parse("redis://ada:secret@db/blog")
    assert "secret" not in repr(address) + address.url + address.shown


def test_options_come_before_the_environment() -> None:
    variables = {"CACHESTORM_URL": "redis://far:1/5", "CACHESTORM_AUTH_PASSWORD": "sesame"}
    assert resolve(environment=variables).url == "redis://far:1/5"
    assert resolve(port=7, environment=variables).url == "redis://127.0.0.1:7"
    assert resolve(url="redis://near", environment=variables).url == "redis://near:6380"
    assert resolve(environment=variables).password == "sesame"
    assert resolve(namespace="blog", environment=variables).url == "redis://far:1/blog"


def test_what_the_server_has_in_the_environment_is_where_it_is_found(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(" sesame \n")
    variables = {"CACHESTORM_PORT": "7000", "CACHESTORM_AUTH_PASSWORD_FILE": str(secret)}
    found = resolve(environment=variables)
    assert (found.port, found.password) == (7000, " sesame ")
    assert resolve(host="far", environment=variables).url == "redis://far:7000"
    assert resolve(port=7, environment=variables).port == 7
    assert resolve(url="redis://near", environment=variables).port == 6380
    assert resolve(environment={"CACHESTORM_PORT": "0"}).port == 6380
    both = variables | {"CACHESTORM_AUTH_PASSWORD": "word"}
    assert resolve(environment=both).password == "word"
    for wrong in ("x", "-1", "70000"):
        with pytest.raises(ConfigError, match=f"CACHESTORM_PORT: '{wrong}' is no port"):
            resolve(environment={"CACHESTORM_PORT": wrong})
    secret.unlink()
    with pytest.raises(ConfigError, match=r"PASSWORD_FILE: .*secret' cannot be read"):
        resolve(environment=variables)


def test_a_url_beside_a_host_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave out"):
        resolve(url="redis://db", host="db")
