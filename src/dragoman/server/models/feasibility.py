"""Decides which fields of a request the engine and the dialect honour: passed on, refused or noted, by one table.

A field that an engine does not honour is refused with a 400 that names it, since the client would get something else than it
asked for; one whose loss changes nothing that a client can rely on is noted in the request's log line. Constraints and adapters
depend on how the engine's server was started, so the engine's probes at startup decide.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from dragoman.constraints.tree import Json
from dragoman.conversation import AnswerPolicy, TokenReport
from dragoman.dialects import Constrainer
from dragoman.engines import Capabilities, EngineKind
from dragoman.errors import InvalidRequest
from dragoman.prompt import Prompt


class Support(StrEnum):
    """How a field is treated with an engine."""

    HONOURED = "yes"
    REFUSED = "refused"
    NOTED = "noted"
    PROBED = "as its probe finds"
    OWN = "done here"
    AS_TEXT = "as text"


_YES, _NO, _NOTE, _PROBED, _OWN = Support.HONOURED, Support.REFUSED, Support.NOTED, Support.PROBED, Support.OWN
_TEXT = Support.AS_TEXT

SUPPORT: Final[Mapping[str, Mapping[EngineKind, Support]]] = {
    field: dict(zip(EngineKind, row, strict=True))
    for field, row in {
        # llama.cpp, llama-server, vLLM, SGLang, LMDeploy, LMDeploy /generate, scripted, other
        "temperature": (_YES, _YES, _YES, _YES, _YES, _YES, _NOTE, _YES),
        "top_p": (_YES, _YES, _YES, _YES, _YES, _YES, _NOTE, _YES),
        "top_k": (_YES, _YES, _YES, _YES, _YES, _YES, _NOTE, _YES),
        "min_p": (_YES, _YES, _YES, _YES, _YES, _YES, _NOTE, _YES),
        "seed": (_YES, _YES, _YES, _YES, _YES, _NO, _NOTE, _YES),
        "repetition_penalty": (_YES, _YES, _YES, _YES, _YES, _YES, _NOTE, _YES),
        "presence_penalty": (_YES, _YES, _YES, _YES, _NO, _NO, _NOTE, _YES),
        "frequency_penalty": (_YES, _YES, _YES, _YES, _NO, _NO, _NOTE, _YES),
        "logit_bias": (_YES, _YES, _YES, _YES, _NO, _NO, _NOTE, _NO),
        "max_tokens": (_YES, _YES, _YES, _YES, _YES, _YES, _YES, _YES),
        "stop": (_OWN, _OWN, _OWN, _OWN, _OWN, _OWN, _OWN, _OWN),
        "constraint": (_PROBED, _PROBED, _PROBED, _PROBED, _PROBED, _NO, _YES, _PROBED),
        "adapter": (_NO, _NO, _PROBED, _PROBED, _PROBED, _NO, _NO, _PROBED),
        "affinity": (_YES, _YES, _YES, _YES, _YES, _YES, _NOTE, _YES),
        "images": (_PROBED, _PROBED, _PROBED, _PROBED, _PROBED, _PROBED, _TEXT, _PROBED),
    }.items()
}
"""Field → engine → treatment. A constraint that is not enforced is refused for a format and for `strict`."""

_MOST_TOKENS: Final = 1 << 31
"""Number of token ids if an engine does not report its vocabulary: ids have 32 bits, signed in some engines."""

_WITHOUT_EFFECT: Final[Mapping[str, float]] = {
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
}
"""Values without effect: clients send them as defaults, and every engine accepts them."""


class Feasibility:
    """Checks requests against one engine and one dialect."""

    def __init__(self, found: Capabilities, constrainer: Constrainer) -> None:
        self._found = found
        self._constrainer = constrainer

    def check_call(self, policy: AnswerPolicy) -> None:
        """Raise `InvalidRequest` if a call is forced and the dialect has no tool calls."""
        dialect = self._constrainer.dialect
        if policy.tool_policy.forced and dialect.calls is None:
            raise InvalidRequest.at("tool_choice", f"the dialect {dialect.name} has no tool calls")

    def check_constraint(self, policy: AnswerPolicy, prompt: Prompt) -> None:
        """Raise `InvalidRequest` for a constraint that would not be enforced (BETA-4)."""
        if self.holds(policy, prompt):
            return
        if policy.output is not None:
            raise InvalidRequest.at("output_config.format", "this server's engine cannot hold this answer to a schema")
        strict = next((tool.name for tool in policy.tools if tool.strict), None)
        if strict is not None:
            raise InvalidRequest.at("tools", f"this server's engine cannot hold calls of {strict} to its schema (strict)")

    def holds(self, policy: AnswerPolicy, prompt: Prompt) -> bool:
        """Whether the engine enforces the constraint; one that only supports JSON does if the whole answer is JSON."""
        if self._found.constrains or not self._found.formats:
            return self._found.constrains
        constraint = self._constrainer.constraint(policy, thinking_open=prompt.thinking_open)
        return constraint is not None and isinstance(constraint.root, Json)

    def check_sampling(self, policy: AnswerPolicy, vocabulary: int | None) -> None:
        """Raise `InvalidRequest` for a sampling field that the engine does not honour, or a token that the model lacks."""
        for name in self._requested(policy):
            if SUPPORT[name][self._found.kind] is Support.REFUSED:
                raise InvalidRequest.at(name, f"this server's engine ({self._found.kind}) has no {name}")
        for token in policy.sampling.logit_bias or ():
            if vocabulary is not None and int(token) >= vocabulary:
                raise InvalidRequest.at(f"logit_bias.{token}", f"token ids of this model are 0 to {vocabulary - 1}")

    def check_report(self, report: TokenReport, prompt: Prompt) -> None:
        """Raise `InvalidRequest` for tokens that the engine does not report."""
        if report.wanted and not self._found.token_ids:
            field = "return_token_ids" if report.ids else report.field
            raise InvalidRequest.at(field, f"this server's engine ({self._found.kind}) does not report its tokens")
        if report.top is not None and not self._found.logprobs:
            reason = f"this server's engine ({self._found.kind}) does not report log-probabilities"
            raise InvalidRequest.at(report.field, reason)
        if report.ids and prompt.spans:
            raise InvalidRequest.at("return_token_ids", "an image has no token ids")

    def check_echo(self, report: TokenReport, *, has_ids: bool) -> None:
        """Raise `InvalidRequest` for a prompt that cannot be returned: for token ids without text, and log-probabilities."""
        if has_ids and not self._found.token_ids:
            raise InvalidRequest.at("echo", f"this server's engine ({self._found.kind}) has no text for token ids")
        if report.top is not None and not self._found.prompt_logprobs:
            reason = f"this server's engine ({self._found.kind}) does not report the log-probabilities of a prompt (echo)"
            raise InvalidRequest.at(report.field, reason)

    def check_input_ids(self, tokens: Sequence[int], vocabulary: int | None) -> None:
        """Raise `InvalidRequest` for token ids in place of messages that the model or the engine does not have."""
        if not self._found.token_ids:
            raise InvalidRequest.at("input_ids", f"this server's engine ({self._found.kind}) has no text for token ids")
        self.check_tokens(tokens, vocabulary, "input_ids")

    def check_tokens(self, tokens: Sequence[int], vocabulary: int | None, path: str) -> None:
        """Raise `InvalidRequest` for a token id that the model does not have. `vocabulary` is their number, if known."""
        count = _MOST_TOKENS if vocabulary is None else vocabulary
        if not tokens or (min(tokens) >= 0 and max(tokens) < count):
            return
        place = next(index for index, token in enumerate(tokens) if not 0 <= token < count)
        raise InvalidRequest.at(f"{path}.{place}", f"token ids of this model are 0 to {count - 1}")

    def notes(self, policy: AnswerPolicy, affinity: str | None) -> list[str]:
        """Return a note on the fields that the engine ignores, for the log."""
        requested = [*self._requested(policy), *(["affinity"] if affinity is not None else [])]
        ignored = [name for name in requested if SUPPORT[name][self._found.kind] is Support.NOTED]
        return [f"ignored by the engine: {', '.join(ignored)}"] if ignored else []

    def _requested(self, policy: AnswerPolicy) -> list[str]:
        chosen = policy.sampling.chosen
        return [name for name, value in chosen.items() if value != _WITHOUT_EFFECT.get(name)]
