"""Who may use the server, and how: keys, TLS and host names, from the options of `dragoman serve`."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dragoman.cli.options import Options
from dragoman.cli.tls import BadCertificate, Certificate
from dragoman.cli.usage_error import UsageError
from dragoman.server.access.auth import Keyring
from dragoman.server.access.rate_limits import Levels
from dragoman.toml_tables import UnusableFile


@dataclass(frozen=True, slots=True)
class Access:
    """The accepted keys, the certificate for HTTPS (None: HTTP), and the accepted host names (None: all of them)."""

    keyring: Keyring
    certificate: Certificate | None = None
    hosts: tuple[str, ...] | None = None

    @classmethod
    def of(cls, options: Options) -> "Access":
        """The access that the options describe. Raises `UsageError`, also if other machines would be served by accident."""
        keyring = _keyring(options)
        if not (keyring.required or options.no_auth or is_loopback(options.host)):
            raise UsageError(
                f"{options.host} can be reached from other machines: "
                "give --api-key KEY or --keys FILE, or --no-auth to serve without a key."
            )
        checks_hosts = not (keyring.required or options.no_auth) and is_loopback(options.host)
        hosts = tuple(name.lower() for name in options.allowed_hosts) if checks_hosts else None
        return cls(keyring, _certificate(options), hosts)

    @property
    def files(self) -> Mapping[str, Callable[[], None]]:
        """What reads the files again, by the names of what is in them."""
        found = {}
        if self.keyring.file is not None:
            found["the keys"] = self.keyring.load
        if self.certificate is not None:
            found["the certificate"] = self.certificate.load
        return found


def _keyring(options: Options) -> Keyring:
    if options.keys is None:
        return Keyring.single(options.api_key or None)  # an empty variable in the environment is not a key
    if options.api_key:
        raise UsageError("--keys and --api-key exclude each other: add the key to the file.")
    try:
        return Keyring.read(options.keys, _shared_levels() if options.workers > 1 else None)
    except UnusableFile as error:
        raise UsageError(f"--keys: {error}") from error


def _shared_levels() -> Levels:
    """What is left of the limits, for several processes: not on Windows."""
    from dragoman.server.access.shared_levels import SharedLevels  # noqa: PLC0415

    return SharedLevels()


def _certificate(options: Options) -> Certificate | None:
    if options.tls_cert is None:
        if options.tls_key is not None:
            raise UsageError("--tls-key is the key of a certificate: give --tls-cert FILE too.")
        return None
    try:
        return Certificate(options.tls_cert, options.tls_key)
    except BadCertificate as error:
        raise UsageError(str(error)) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on this address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
