"""The certificate with which the server speaks HTTPS."""

import ssl
from pathlib import Path


class BadCertificate(ValueError):
    """The files are not a certificate and its private key; the message is a sentence for the operator."""


class Certificate:
    """A certificate with its chain and its private key, which may be in the same file; both are in PEM form.

    `context` is for TLS 1.2 and newer. Raises `BadCertificate`.
    """

    def __init__(self, file: Path, key: Path | None = None) -> None:
        self._file = file
        self._key = key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.load()

    def load(self) -> None:
        """Read the files, for the connections to come. Raises `BadCertificate`; then the certificate before stays in use."""
        self._load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # a failure in the middle leaves a context unusable
        self._load_into(self.context)

    def _load_into(self, context: ssl.SSLContext) -> None:
        for file in filter(None, (self._file, self._key)):
            if not file.is_file():  # OpenSSL does not say which of the files is missing
                raise BadCertificate(f"{file}: no such file")
        try:
            context.load_cert_chain(self._file, self._key, password="")  # never asks for a password at the terminal
        except (OSError, ValueError) as error:
            names = " and ".join(str(file) for file in filter(None, (self._file, self._key)))
            raise BadCertificate(
                f"{names}: not a certificate in PEM form with its unencrypted private key ({_reason(error)})"
            ) from error


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
