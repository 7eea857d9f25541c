"""What schemathesis makes of the OpenAPI document: no request that it invents ends in a 5xx."""

from __future__ import annotations

import pytest
from http_served import running
from hypothesis import HealthCheck, Phase, given, settings

schemathesis = pytest.importorskip("schemathesis")

# it never ends by itself
ENDLESS = "/v1/events"
EXAMPLES = 4


def test_no_request_that_fits_the_document_ends_in_an_error_of_the_server() -> None:
    asked = 0
    with running({"http.max_body": 100_000}) as client:
        schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{client.port}/openapi.json")
        for found in schema.exclude(path=ENDLESS).get_all_operations():
            asked += ask(found.ok())
    assert asked > 50


def ask(operation) -> int:
    """Sends what may be sent to one operation. Returns how many requests that were."""
    sent = []

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    def check(case) -> None:
        answer = case.call(timeout=60)
        sent.append(answer.status_code)
        assert answer.status_code < 500, (case.method, case.path, answer.text)
        if answer.status_code >= 400 and case.method != "HEAD":
            kind = answer.headers.get("content-type", [""])[0]
            asked = (case.method, case.formatted_path, answer.status_code, answer.text)
            assert kind.startswith("application/problem+json"), asked

    check()
    return len(sent)
