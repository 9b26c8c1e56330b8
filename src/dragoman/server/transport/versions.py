"""The headers by which a client of the Messages API says what it speaks."""

from starlette.datastructures import Headers

from dragoman.errors import InvalidRequest

VERSION_HEADER = "anthropic-version"
VERSIONS = frozenset({"2023-01-01", "2023-06-01", "2026-10-21"})
STRICT_VERSION = "2026-10-21"


def betas_of(headers: Headers) -> frozenset[str]:
    """Return the names in `anthropic-beta`, which may be repeated. Any name is accepted (BETA-1)."""
    names = (name.strip() for value in headers.getlist("anthropic-beta") for name in value.split(","))
    return frozenset(name for name in names if name)


def version_of(headers: Headers) -> str:
    """Return the API version. Raises `InvalidRequest` unless it is a known one (TRN-8)."""
    version = headers.get(VERSION_HEADER)
    if version is None:
        raise InvalidRequest.at(VERSION_HEADER, "header is required")
    if version not in VERSIONS:
        raise InvalidRequest(f'{VERSION_HEADER}: "{version}" is not a valid version')
    return version
