"""The reconciling when Kubernetes or a node fails: told, and tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from simulated_cluster import merged

pytest.importorskip("lightkube", reason="the extra `operator` is not installed")

from cachestorm_server.kube.api import KubeError
from cachestorm_server.kube.facts import Ref
from cachestorm_server.kube.objects import BUDGETS, OPTIONAL, SERVICE_MONITORS
from cachestorm_server.kube.reconciling import NO_BUDGET, Reconciler
from cachestorm_server.kube.resource import API_VERSION, KIND


class FakeApi:
    """An API server that fails at one of the calls, once."""

    def __init__(
        self,
        spec: Mapping[str, object],
        fails_at: int = -1,
        groups: frozenset[str] = frozenset(OPTIONAL),
    ) -> None:
        metadata = {"name": "demo", "namespace": "default", "uid": "u", "generation": 1}
        self.resource: dict[str, Any] = {"metadata": metadata, "spec": dict(spec)}
        self.objects: dict[Ref, Mapping[str, object]] = {}
        self.calls = 0
        self._fails_at = fails_at
        self._groups = groups

    def _called(self) -> None:
        self.calls += 1
        if self.calls - 1 == self._fails_at:
            raise KubeError("the API server: 429 Too Many Requests", 429)

    async def get(self, namespace: str, ref: Ref) -> Mapping[str, object] | None:
        self._called()
        if ref == Ref(API_VERSION, KIND, "demo"):
            return self.resource
        return self.objects.get(ref)

    async def list(self, namespace: str, *_: object) -> list[Mapping[str, object]]:
        self._called()
        return []

    async def groups(self, namespace: str) -> frozenset[str]:
        self._called()
        return self._groups

    async def owned(self, *_: object) -> dict[Ref, Mapping[str, object]]:
        self._called()
        return dict(self.objects)

    async def create(self, namespace: str, manifest: Mapping[str, object]) -> None:
        self._called()
        self.objects[Ref.of(manifest)] = manifest

    async def patch(self, namespace: str, ref: Ref, change: Mapping[str, object]) -> None:
        self._called()
        self.objects[ref] = merged(self.objects[ref], change)

    async def delete(self, namespace: str, ref: Ref, grace_s: int | None = None) -> None:
        self._called()
        self.objects.pop(ref, None)

    async def patch_status(
        self, namespace: str, name: str, status: Mapping[str, object]
    ) -> None:
        self.resource["status"] = merged(self.resource.get("status") or {}, status)

    def condition(self, kind: str) -> Mapping[str, str]:
        conditions = self.resource["status"]["conditions"]
        return next((each for each in conditions if each["type"] == kind), {})


SPEC = {"mode": "standalone", "replicas": 1}


def rounds(api: FakeApi, count: int) -> list[tuple[str, str, str]]:
    told: list[tuple[str, str, str]] = []

    async def story() -> None:
        reconciler = Reconciler(api)
        for _ in range(count):
            await reconciler.round("default", "demo", lambda _, *event: told.append(event))

    asyncio.run(story())
    return told


def test_all_objects_are_made_and_then_it_waits() -> None:
    api = FakeApi(SPEC)
    told = rounds(api, 3)
    assert {ref.kind for ref in api.objects} == {
        "Secret",
        "ConfigMap",
        "Service",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "ServiceMonitor",
        "StatefulSet",
    }
    assert [reason for _, reason, _ in told] == ["Applying", "PodsAwaited"]
    assert api.condition("Ready")["message"] == "pod 0 is not there yet"
    secret = api.objects[Ref("v1", "Secret", "demo-auth")]
    rounds(api, 2)
    assert api.objects[Ref("v1", "Secret", "demo-auth")] == secret


@pytest.mark.parametrize("groups", [frozenset(), frozenset({SERVICE_MONITORS})])
def test_without_budgets_there_is_none_and_people_are_told_once(groups: frozenset[str]) -> None:
    api = FakeApi(SPEC, groups=groups)
    told = rounds(api, 4)
    assert not any(ref.kind == OPTIONAL[BUDGETS] for ref in api.objects)
    warnings = [event for event in told if event[0] == "Warning"]
    assert warnings == [("Warning", "NoBudget", NO_BUDGET)]


def test_a_call_that_fails_wherever_it_is_changes_nothing_in_the_end() -> None:
    whole = FakeApi(SPEC)
    rounds(whole, 3)
    for fails_at in range(whole.calls):
        api = FakeApi(SPEC, fails_at)
        told = rounds(api, 4)
        assert api.objects.keys() == whole.objects.keys()
        assert api.condition("Reconciled")["status"] == "True"
        failed = [event for event in told if event[0] == "Warning"]
        assert {reason for _, reason, _ in failed} <= {"Retrying"}


def test_a_password_that_is_not_there_is_named() -> None:
    api = FakeApi({**SPEC, "auth": {"passwordSecret": "mine"}})
    ((kind, reason, message),) = rounds(api, 2)
    assert (kind, reason) == ("Warning", "Retrying")
    assert message == "spec.auth.passwordSecret: there is no key password in Secret mine"
    assert api.objects == {}
    assert api.condition("Reconciled")["status"] == "False"


def test_an_impossible_wish_is_refused_once_and_touches_nothing() -> None:
    api = FakeApi({"mode": "standalone", "replicas": 3, "config": {"maxMemory": "much"}})
    ((_, reason, message),) = rounds(api, 3)
    assert reason == "Refused"
    assert message == "spec.config.maxMemory: 'much' is refused: a size such as 10Gi"
    assert api.objects == {}
    assert api.resource["status"]["phase"] == "Failed"
