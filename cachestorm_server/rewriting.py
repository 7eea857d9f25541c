"""CONFIG REWRITE: the file of the configuration, with the values of the running server.

Declared like all commands, with a session in the place of the cache. Called by plans.

1. Written is what the file alone would not give: what CONFIG SET has changed, and what a flag
   or the environment says. A secret is written only if CONFIG SET has changed it.
2. The new file takes the place of the old one in one step, with its permissions. If it cannot
   be written whole, as on a full disk, the old one stays.

Source: https://redis.io/docs/latest/commands/config-rewrite/, texts as in Redis 7.2.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Final

from cachestorm.cache import Cache
from cachestorm.declare.declaration import Declaration
from cachestorm.errors import CacheStormError, ConfigError
from cachestorm_server.config_sections import Config, Dotted, keys, value_at
from cachestorm_server.configuration import OWN_PARAMETERS, PARAMETERS, SETTINGS_OF
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.idle_parameters import DEFAULTS
from cachestorm_server.replaced_file import replace_file
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

_log = logging.getLogger("cachestorm.resp")

command: Final = partial(Declaration, group="server", connection=True)


@command(
    "CONFIG REWRITE",
    complexity="O(N) in the lines of the file",
    reply="ok",
    flags="admin noscript loading stale",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Write the parameters that have changed to the configuration file.",
)
def config_rewrite(session: Session) -> None:
    """Exchanges values in the file; all else in it stays as it is.

    Raises:
        CacheStormError: without a file, and if it cannot be read or written.
    """
    endpoint = session.endpoint
    config = endpoint.settings.config
    if config is None or not config.file:
        raise CacheStormError("The server is running without a config file")
    try:
        rewrite(endpoint, config)
    except (CacheStormError, OSError) as error:
        _log.warning("CONFIG REWRITE failed: %s", error)
        raise CacheStormError(f"Rewriting config file: {error}") from error
    _log.warning("%s rewrote %s", session.address or "a client", config.file)


def rewrite(endpoint: Endpoint, config: Config) -> None:
    """Writes what has changed.

    Raises:
        ConfigError: if the file is not valid any more, or cannot be edited.
        OSError: if it cannot be written.
    """
    # what reads YAML is not needed before
    from cachestorm_server.config import load
    from cachestorm_server.config_edit import edited
    from cachestorm_server.config_output import in_yaml

    # its links are followed: the file is replaced, not what points to it
    path = Path(config.file).resolve(strict=True)
    try:
        of_file = load(str(path), {})
    except ConfigError:
        # it may need what the environment gives, such as the password
        of_file = load(str(path))
    changes = _changes(endpoint, config, of_file)
    if not changes:
        return
    specs = keys()
    written = {
        setting: specs[setting].kind.spell(value) if setting in specs else value
        for setting, value in changes.items()
    }
    text = path.read_text("utf-8")
    spelled = {setting: in_yaml(value) for setting, value in written.items()}
    replace_file(path, edited(text, written, spelled).encode("utf-8"))


def _changes(endpoint: Endpoint, config: Config, of_file: Config) -> dict[Dotted, object]:
    """The settings that the file alone would not give, and their values.

    Raises:
        ConfigError: for a password that is kept in a file of its own.
    """
    changes: dict[Dotted, object] = {}
    fresh = Endpoint(Cache(), endpoint.registry, Settings())
    for name, (read, _) in PARAMETERS.items():
        text = read(endpoint)
        if name in SETTINGS_OF:
            said = SETTINGS_OF[name](text)
            if name == "requirepass":
                changes.update(said if text != config.password else {})
                continue
            for setting, value in said.items():
                if value_at(of_file, setting) != value:
                    changes[setting] = value
        elif name in OWN_PARAMETERS and text != of_file.parameters.get(name, read(fresh)):
            changes["parameters", name] = text
    for name, text in endpoint.settings.idle.items():
        if name not in SETTINGS_OF and of_file.parameters.get(name, DEFAULTS[name]) != text:
            changes["parameters", name] = text
    if ("plugins", "auth", "password") in changes and config.plugins.auth.password_file:
        raise ConfigError(
            "the password is in plugins.auth.password_file, and is to be changed there"
        )
    return changes
