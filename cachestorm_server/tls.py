"""TLS: the certificates of the server, how they are checked, and how new ones are taken.

Called by the configuration, which wants to know all that is wrong before anything is started,
by the application, and by whoever wants certificates to be read again (SIGHUP). Calls the
standard library.

1. A certificate is tried before it is used: a handshake in memory, in which the server trusts
   nothing but its own certificate, finds one that has expired, or was not made for servers.
2. New certificates are for new connections: those that are open go on with the old ones.
3. Certificates that are refused leave those before them in place.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, fields
from typing import Final, NoReturn

from cachestorm.errors import ConfigError
from cachestorm_server.handshakes import Handshake
from cachestorm_server.settings import CLIENT_AUTH

_VERIFY_MODES: Final = dict(
    zip(CLIENT_AUTH, (ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED), strict=True)
)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Which files there are, and what clients have to show.

    Attributes:
        cert_file: the certificate, and what signed it, in PEM; empty: there is no TLS.
        key_file: its key, in PEM, without a password.
        ca_file: what the certificates of clients are signed by, in PEM.
        client_auth: one of `CLIENT_AUTH`.
    """

    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""
    client_auth: str = "none"

    def problems(self) -> list[tuple[str, str]]:
        """All that is wrong: which of the attributes, and why."""
        found = []
        if not self.cert_file:
            found.append(("cert_file", "is missing: TLS needs a certificate"))
        if not self.key_file:
            found.append(("key_file", "is missing: TLS needs the key of the certificate"))
        if self.client_auth != "none" and not self.ca_file:
            found.append(
                (
                    "ca_file",
                    f"is missing: client_auth {self.client_auth} needs to know by whom "
                    "certificates of clients are signed",
                )
            )
        for each in fields(self):
            name = str(getattr(self, each.name))
            if each.name.endswith("_file") and name:
                reason = _why_unreadable(name)
                if reason:
                    found.append((each.name, f"{name!r} cannot be read: {reason}"))
        if not found:
            try:
                _checked(self)
            except _Refused as refused:
                found.append((refused.attribute, str(refused)))
        return found


def trusting(files: TlsFiles) -> ssl.SSLContext:
    """What this server trusts as a client, and shows if it is asked to.

    Raises:
        ConfigError: for files that are of no use.
    """
    try:
        context = ssl.create_default_context(cafile=files.ca_file or None)
        if files.cert_file and files.key_file:
            context.load_cert_chain(files.cert_file, files.key_file, _no_password)
    except (OSError, ValueError, _Refused) as error:
        raise ConfigError(
            f"replication.tls: the files of tls are of no use: {error}"
        ) from error
    return context


class _Refused(Exception):
    def __init__(self, attribute: str, text: str) -> None:
        super().__init__(text)
        self.attribute: Final = attribute


class ServerContext(ssl.SSLContext):
    """The context that listeners are given; connections begin in the one it has last made.

    A context cannot forget what it trusts, so new files are a new context, and the loop keeps
    the one that it was given.
    """

    files: TlsFiles
    current: ssl.SSLContext

    @classmethod
    def of(cls, files: TlsFiles) -> ServerContext:
        """A context for files.

        Raises:
            ConfigError: with all that is wrong with them.
        """
        made = cls(ssl.PROTOCOL_TLS_SERVER)
        made.take(files)
        return made

    def take(self, files: TlsFiles) -> None:
        """Uses files, which may be the same ones with something new in them, from now on.

        Raises:
            ConfigError: with all that is wrong with them; nothing has changed.
        """
        problems = files.problems()
        if problems:
            lines = [f"tls.{attribute}: {why}" for attribute, why in problems]
            raise ConfigError("\n  ".join(["TLS is refused:", *lines]))
        self.current = _checked(files)
        self.files = files

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begins a connection; the event loop calls this for each."""
        return self.current.wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def _why_unreadable(name: str) -> str:
    try:
        with open(name, "rb") as file:
            file.read(1)
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    return ""


def _no_password() -> NoReturn:
    # without this, OpenSSL asks whoever sits at the terminal
    raise _Refused("key_file", "is encrypted: give a key without a password")


def _checked(files: TlsFiles) -> ssl.SSLContext:
    """A context that would serve clients.

    Raises:
        _Refused: if it would not.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = Handshake
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(files.cert_file, files.key_file, _no_password)
    except ssl.SSLError as error:
        raise _why_not_loaded(files, error) from error
    _try_out(context, files.cert_file)
    if files.ca_file:
        try:
            context.load_verify_locations(files.ca_file)
        except ssl.SSLError as error:
            raise _Refused("ca_file", f"{files.ca_file!r} holds no certificate") from error
    context.verify_mode = _VERIFY_MODES[files.client_auth]
    return context


def _why_not_loaded(files: TlsFiles, error: ssl.SSLError) -> _Refused:
    """Which of the two files is to blame; OpenSSL calls both of them PEM."""
    if error.reason == "KEY_VALUES_MISMATCH":
        return _Refused("key_file", f"{files.key_file!r} is not the key of {files.cert_file!r}")
    try:
        ssl.create_default_context().load_verify_locations(files.cert_file)
    except ssl.SSLError:
        return _Refused("cert_file", f"{files.cert_file!r} holds no certificate in PEM")
    if error.reason in ("NO_START_LINE", None) or "PEM" in str(error):
        return _Refused("key_file", f"{files.key_file!r} holds no key in PEM")
    return _Refused("cert_file", f"{files.cert_file!r} is refused: {error.reason}")


def _try_out(context: ssl.SSLContext, cert_file: str) -> None:
    """A handshake with oneself.

    Raises:
        _Refused: if no client could ever trust the certificate.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(cert_file)
    # whoever signed it need not be known here
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(back, there)
    answers = context.wrap_bio(there, back, server_side=True)
    for _ in range(10):
        done = 0
        for side in (asks, answers):
            try:
                side.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                raise _Refused(
                    "cert_file", f"{cert_file!r} is refused: {error.verify_message}"
                ) from error
            except ssl.SSLError as error:
                raise _Refused(
                    "cert_file", f"{cert_file!r} is refused: {error.reason}"
                ) from error
        if done == 2:
            return
    raise AssertionError("not reached")
