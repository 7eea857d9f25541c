"""Which of several operators acts: never two at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

pytest.importorskip("lightkube", reason="the extra `operator` is not installed")

from cachestorm_server.kube.api import KubeError
from cachestorm_server.kube.facts import Ref
from cachestorm_server.kube.leading import Lease


class OneObject:
    """An API server with one object, which refuses a patch of a version that is gone."""

    def __init__(self) -> None:
        self.live: dict[str, object] | None = None
        self.version = 0
        self.is_down = False

    def _store(self, made: Mapping[str, object]) -> None:
        self.version += 1
        metadata = {**made["metadata"], "resourceVersion": str(self.version)}
        self.live = {**made, "metadata": metadata}

    async def get(self, namespace: str, ref: Ref) -> Mapping[str, object] | None:
        await asyncio.sleep(0)
        if self.is_down:
            raise KubeError("the API server: timed out")
        return self.live

    async def create(self, namespace: str, manifest: Mapping[str, object]) -> None:
        await asyncio.sleep(0)
        if self.live is not None:
            raise KubeError("the API server: exists", 409)
        self._store(manifest)

    async def patch(self, namespace: str, ref: Ref, change: Mapping[str, object]) -> None:
        await asyncio.sleep(0)
        if self.is_down:
            raise KubeError("the API server: timed out")
        assert self.live is not None
        version = change.get("metadata", {}).get("resourceVersion")
        if version not in (None, self.live["metadata"]["resourceVersion"]):
            raise KubeError("the API server: conflict", 409)
        self._store({**self.live, "spec": {**self.live["spec"], **change["spec"]}})


def lease(name: str, **others: float) -> Lease:
    return Lease("default", name, **{"lease_s": 60.0, "retry_s": 0.01, **others})


def test_of_those_who_try_at_once_one_gets_it() -> None:
    async def story() -> None:
        api = OneObject()
        claims = [lease(f"operator-{number}") for number in range(5)]
        for _ in range(3):
            told = await asyncio.gather(*(claim.tried(api) for claim in claims))
            assert sum(told) == 1
        assert [claim.is_held for claim in claims] == told

    asyncio.run(story())


def test_another_waits_and_takes_over_what_is_released() -> None:
    async def story() -> None:
        api = OneObject()
        first, second = lease("first"), lease("second")
        await first.acquire(api)
        waiting = asyncio.create_task(second.acquire(api))
        await asyncio.sleep(0.05)
        assert (first.is_held, second.is_held) == (True, False)
        await first.release(api)
        await asyncio.wait_for(waiting, 60)
        assert (first.is_held, second.is_held) == (False, True)
        await second.release(api)

    asyncio.run(story())


def test_a_lease_that_nobody_renews_is_taken_over_and_its_holder_is_told() -> None:
    async def story() -> None:
        api = OneObject()
        lost = asyncio.Event()
        first = Lease("default", "first", lost=lost.set, lease_s=0.2, retry_s=0.01)
        await first.acquire(api)
        api.is_down = True
        await asyncio.wait_for(lost.wait(), 60)
        assert not first.is_held
        api.is_down = False
        await asyncio.wait_for(lease("second").acquire(api), 60)

    asyncio.run(story())
