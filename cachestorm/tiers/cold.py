"""The cold tier: a level in an object store.

Called by `settings.py`.

1. What a run has written is its own, under a name that no other run has. Nothing is read that
   another one has left; it is deleted when that goes on no more: see `lease.py`. With a data
   directory all runs have one name, and find what was left.
2. Credentials come from the environment or from a file, as for any tool, and are shown nowhere.
3. A request that gets no answer is given up and tried again, RETRIES times at most, and all of
   them together take no longer than twice `timeout_s`.
"""

from __future__ import annotations

import configparser
import logging
import os
import re
import uuid
import weakref
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from cachestorm.errors import ConfigError, DurabilityError
from cachestorm.keyspace.store import Store
from cachestorm.keyspace.tiering import COLD
from cachestorm.tiers.level import Level

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Bucket

    from cachestorm.tiers.lease import Lease
    from cachestorm.tiers.object_store import ObjectStore

BATCH_BYTES: Final = 1 << 20
TIMEOUT_S: Final = 5.0
LEASE_S: Final = 3600.0
RETRIES: Final = 3
SCHEMES: Final = ("s3", "gs", "az", "file")

_log = logging.getLogger("cachestorm")


class ColdLevel(Level):
    """Values in an object store.

    Args:
        store: whose values they are.
        url: of the bucket and a prefix in it: `s3://bucket/prefix`, `gs://…`, `az://…`, or
            `file:///directory`.
        max_bytes: what the values may take there, by their sizes; 0 for no limit.
        endpoint, region: where the service is, if not at its usual address.
        allow_http: whether that may be without TLS.
        timeout_s: for one request.
        credentials: the path of a file in the form of `~/.aws/credentials`; empty for what the
            environment says, and that file.
        lease_s: how long another run is believed to go on that says nothing.

    Raises:
        ConfigError: for a URL or credentials that are none, or without `obstore`.
        DurabilityError: if the store refuses: there is no such bucket, or no permission. One
            that does not answer is tried again later.
    """

    def __init__(
        self,
        store: Store,
        url: str,
        max_bytes: int = 0,
        *,
        endpoint: str = "",
        region: str = "",
        allow_http: bool = False,
        timeout_s: float = TIMEOUT_S,
        credentials: str = "",
        lease_s: float = LEASE_S,
    ) -> None:
        try:
            from cachestorm.tiers.lease import Lease
            from cachestorm.tiers.object_store import ObjectStore
        except ImportError as error:
            raise ConfigError(
                "a cold tier needs obstore: pip install 'cachestorm[tiers]'"
            ) from error
        config: dict[str, object] = {}
        if endpoint:
            config["endpoint"] = endpoint
        if region:
            config["region"] = region
        where = f"the cold tier {url}"
        bucket = _bucket(url, config, allow_http, timeout_s, credentials)
        run = f"run-{uuid.uuid4().hex}"
        blobs = ObjectStore(bucket, where, run)
        self.lease = Lease(bucket, where, run, lease_s)
        _begin(self.lease, url)
        self._keeper: Final = weakref.ref(store.latch.keeper)
        self._lease_s: Final = lease_s
        give_back = weakref.finalize(store.latch.keeper, _end, blobs, self.lease, os.getpid())
        self.objects = blobs
        super().__init__("cold", COLD, blobs, url, max_bytes, BATCH_BYTES, give_back)

    def be_kept(self, name: str) -> None:
        from cachestorm.tiers.lease import KEPT, Lease
        from cachestorm.tiers.object_store import ObjectStore

        bucket, where, run = self.objects.bucket, self.objects.where, KEPT + name
        # what was begun before anybody knew: there is nothing in it
        self.give_back()
        self.blobs = self.objects = ObjectStore(bucket, where, run, True)
        self.lease = Lease(bucket, where, run, self._lease_s)
        _begin(self.lease, self.path)
        self.give_back = weakref.finalize(
            self._keeper(), _end, self.objects, self.lease, os.getpid()
        )
        super().be_kept(name)


def check_url(url: object) -> str:
    """What is wrong with the URL of a cold tier; empty for nothing."""
    allowed = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    if not isinstance(url, str) or not re.match(rf"({'|'.join(SCHEMES)})://.", url):
        return f"the url of cold begins with one of {allowed}, and names a bucket, not {url!r}"
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        # not shown: there may be a secret in it
        return (
            "the url of cold is a bucket and a prefix: credentials belong into the environment"
            " or a file"
        )
    if parts.scheme == "file" and (parts.netloc or not parts.path.strip("/")):
        return f"the url of cold names a directory as in file:///srv/cold, not {url!r}"
    return ""


def _bucket(
    url: str,
    config: dict[str, object],
    allow_http: bool,
    timeout_s: float,
    credentials: str,
) -> Bucket:
    from obstore.store import LocalStore, from_url

    from cachestorm.tiers.object_store import told

    wrong = check_url(url)
    if wrong:
        raise ConfigError(wrong)
    parts = urlsplit(url)
    limit = timedelta(seconds=timeout_s)
    options: dict[str, Any] = {"timeout": limit, "connect_timeout": limit}
    if allow_http:
        options["allow_http"] = True
    retries: dict[str, Any] = {
        "max_retries": RETRIES,
        "retry_timeout": 2 * limit,
        "backoff": {
            "init_backoff": timedelta(milliseconds=50),
            "max_backoff": timedelta(seconds=1),
            "base": 2,
        },
    }
    try:
        if parts.scheme == "file":
            return LocalStore(unquote(parts.path), mkdir=True)
        if parts.scheme == "s3":
            config = {**_file_credentials(credentials), **config}
        made: Any = from_url
        bucket: Bucket = made(url, config=config, client_options=options, retry_config=retries)
        return bucket
    except ConfigError:
        raise
    except OSError as error:
        raise DurabilityError(f"{url} cannot be used as a cold tier: {error}") from error
    except Exception as error:
        raise ConfigError(f"{url} cannot be used as a cold tier: {told(error)}") from error


def _file_credentials(path: str) -> Mapping[str, str]:
    """The credentials of a file: one that is named, or the usual one where no others are."""
    is_named = path != ""
    if not is_named:
        if any(
            os.environ.get(name)
            for name in ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE")
        ):
            return {}
        path = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            parser.read_file(file)
        found = parser[os.environ.get("AWS_PROFILE", "default")]
        names = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"}
        return {name: found[name] for name in names & found.keys()}
    except (OSError, configparser.Error, KeyError, UnicodeDecodeError) as error:
        if not is_named:
            return {}
        # what a parser says has a line of the file in it
        why = error.strerror if isinstance(error, OSError) else "no such profile in it"
        raise ConfigError(f"the credentials of cold cannot be read in {path}: {why}") from None


def _begin(lease: Lease, url: str) -> None:
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    from cachestorm.tiers.object_store import told

    try:
        lease.begin()
    except (FileNotFoundError, PermissionDeniedError, UnauthenticatedError) as error:
        raise DurabilityError(f"{url} cannot be used as a cold tier: {told(error)}") from error
    except Exception as error:
        # a cache begins without it, as it goes on without it
        _log.error("the cold tier %s does not answer: %s", url, told(error))
        lease.go_on()


def _end(blobs: ObjectStore, lease: Lease, pid: int) -> None:
    """Gives up what is there, in the process that has it."""
    if os.getpid() != pid:
        # in a child process it is all the parent's
        return
    blobs.close()
    lease.end()
