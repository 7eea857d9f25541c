"""The image and the Compose files: what they set is a setting, what they mount is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from cachestorm_server.config import load

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSED = sorted(DEPLOY.glob("compose*.yaml"))


def variables_of_the_image() -> dict[str, str]:
    return dict(re.findall(r"(CACHESTORM_(?!COMPILE)\w+)=(\S+)", DOCKERFILE))


def test_the_image_is_open_to_published_ports_and_keeps_its_data_in_one_place() -> None:
    config = load(None, variables_of_the_image(), {})
    assert config.server.bind == ("0.0.0.0",)
    assert not config.server.protected_mode
    assert config.persistence.data_dir == "/data"
    assert f"VOLUME {config.persistence.data_dir}" in DOCKERFILE
    assert f"EXPOSE {config.server.port} {config.http.port}" in DOCKERFILE


def test_what_is_copied_into_the_build_is_what_it_needs() -> None:
    kept = re.findall(r"^!(.+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert [name for name in kept if not (ROOT / name).exists()] == []
    assert {"pyproject.toml", "setup.py", "compiling", "cachestorm"} <= set(kept)


@pytest.mark.parametrize("path", COMPOSED, ids=lambda path: path.name)
def test_a_compose_file_names_settings_files_and_volumes_that_are_there(path, tmp_path) -> None:
    document = yaml.safe_load(path.read_text())
    for name in document.get("secrets") or {}:
        (tmp_path / name).write_text("secret\n")
    volumes = set(document.get("volumes") or {})
    # what lies over another file leaves the password to that one
    is_overlay = path.name == "compose.etcd.yaml"
    for service in document["services"].values():
        given = {
            name: str(value).replace("/run/secrets", str(tmp_path))
            for name, value in service.get("environment", {}).items()
            if name.startswith("CACHESTORM_")
        }
        assert load(None, variables_of_the_image() | given, {}).password == (
            "secret" if given and not is_overlay else ""
        )
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            assert source in volumes or (DEPLOY / source).exists(), source
