"""The Helm chart, as Helm itself renders it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from processes import installed

CHART = Path(__file__).resolve().parents[3] / "deploy" / "helm" / "cachestorm-operator"


def helm() -> Any:
    """Helm's library."""
    folder = str(installed("helm"))
    if folder not in sys.path:
        sys.path.append(folder)
    import helm_python

    return helm_python


def rendered(
    name: str = "storm", namespace: str = "system", **values: object
) -> list[dict[str, Any]]:
    """The manifests of a release."""
    told = helm().Chart.load(CHART).render(values, name=name, namespace=namespace)
    return [each for text in told.values() for each in yaml.safe_load_all(text) if each]
