"""The field `diagnostics`: a client asks why the cache missed since an earlier answer, and the answer says so (CACHE-5)."""

from msgspec import Struct

from dragoman.api.base import WireModel


class DiagnosticsRequest(WireModel):
    """The id of this client's previous answer, null for its first request."""

    previous_message_id: str | None = None


class CacheMissReason(Struct, frozen=True, omit_defaults=True):
    """The reason, and about how many tokens of the previous prompt could not be reused, if that is known."""

    type: str
    cache_missed_input_tokens: int | None = None


class Diagnostics(Struct, frozen=True):
    """The diagnostics of an answer whose prompt does not begin with the previous one."""

    cache_miss_reason: CacheMissReason
