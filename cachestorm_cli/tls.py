"""TLS as an address asks for it, for RESP and for HTTP."""

from __future__ import annotations

import ssl
from pathlib import Path

from cachestorm.errors import ConfigError
from cachestorm_cli.addresses import Address


def context_for(address: Address) -> ssl.SSLContext:
    """What to connect with: the system's authorities, unless the address names others.

    Raises:
        ConfigError: for a file that cannot be used.
    """
    files = address.tls
    for name in ("ca", "cert", "key"):
        if files.get(name) and not Path(files[name]).is_file():
            raise ConfigError(f"{address.shown}: ?{name}=: there is no file {files[name]!r}")
    try:
        context = ssl.create_default_context(cafile=files.get("ca") or None)
        if files.get("cert"):
            context.load_cert_chain(files["cert"], files.get("key") or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{address.shown}: TLS: {error}") from error
    if files.get("verify") == "no":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
