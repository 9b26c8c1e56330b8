"""The loop that runs server tools: an answer of several generations, in one message to the client.

Each round is a generation. If it ends in calls of server tools only, they are run, the calls and their results are added to
the dialogue, and the next generation continues after them; its prompt begins with that of the round before. Calls of the
client's tools end the message, and so does every other ending; the server calls beside them are run all the same, so that each
call of a server tool is followed by its result (TOOL-15). After `MOST_ROUNDS` rounds the message ends with `pause_turn`, and
the client may send it back to continue (STOP-4).
"""

import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from dragoman.conversation import AnswerPolicy, Attachment, Conversation, Role, Tool, ToolPolicy, ToolResult, Turn
from dragoman.errors import InvalidRequest, PromptTooLong
from dragoman.generation.answer_run import Runs
from dragoman.generation.generation import Generation
from dragoman.generation.round import Round
from dragoman.generation.tool_runs import run_calls
from dragoman.parts import Ending, Part, ServerResult, ServerToolUses, StopReason
from dragoman.parts.server_tools import ServerToolKind, ServerToolOutput, is_failure
from dragoman.server_tools import ServerTool

MOST_ROUNDS: Final = 10
"""Rounds of one message. A client continues a paused one with its next request."""

Proceed = Callable[[Conversation], Awaitable[tuple[Conversation, Generation]]]
"""Makes the generation of the next round, for the conversation with text and images in the place of its attachments.

Raises `PromptTooLong`, and what the engine raises.
"""


class ToolLoop(Runs):
    """One answer, in rounds; `first` is the generation of the first.

    The `tools` are among those of the policy, and `proceed` makes the generation for a longer dialogue.
    """

    def __init__(self, first: Generation, conversation: Conversation, tools: Sequence[ServerTool], proceed: Proceed) -> None:
        super().__init__([first])
        self._conversation = conversation
        self._tools = {tool.name: tool for tool in tools}
        self._proceed = proceed
        self._waited = 0.0
        self._uses: Counter[ServerToolKind] = Counter()

    @property
    def prompt_tokens(self) -> None:
        """None: the tokens of an answer in rounds are not reported."""
        return None

    @property
    def tool_seconds(self) -> float:
        """The seconds in which the answer waited for the tools."""
        return self._waited

    async def prepare(self) -> None:
        """Make the constraint of the first round.

        Raises `InvalidRequest`, also if the request asks for the tokens of the answer, and what the engine raises.
        """
        report = self._conversation.policy.report
        if report.wanted:
            field = "return_token_ids" if report.ids else report.field
            raise InvalidRequest.at(field, "cannot be combined with tools that the server runs")
        await self.runs[0].prepare()

    async def run(self) -> AsyncGenerator[Part, None]:
        """Yield the parts of all rounds, one `Ending` last. Closing the iterator stops the engine and the tools."""
        while True:
            current = Round(self._tools)
            async with aclosing(self.runs[-1].run()) as parts:
                async for part in parts:
                    for shown in current.add(part):
                        yield shown
            outputs = await self._run_tools(current)
            for call, output in zip(current.server_calls, outputs, strict=True):
                yield ServerResult(call.tool.kind, call.call.id, output)
            reason = self._reason(current)
            if reason is None:
                reason = await self._next(current, outputs)
            if reason is not None:
                assert current.ending is not None
                uses = ServerToolUses(self._uses[ServerToolKind.WEB_SEARCH], self._uses[ServerToolKind.WEB_FETCH])
                yield Ending(reason, self.counts, current.ending.stop_sequence, uses)
                return

    async def _run_tools(self, current: Round) -> Sequence[ServerToolOutput]:
        if not current.server_calls:
            return ()
        turn = Turn(Role.ASSISTANT, tuple(current.content))
        dialogue = self._with(turn).dialogue
        begun = time.monotonic()
        try:
            outputs = await run_calls(current.server_calls, dialogue)
        finally:
            self._waited += time.monotonic() - begun
        calls = zip(current.server_calls, outputs, strict=True)
        self._uses.update(call.tool.kind for call, output in calls if not is_failure(output))
        return outputs

    def _reason(self, current: Round) -> StopReason | None:
        """Why the message ends after this round; None if it goes on."""
        assert current.ending is not None
        reason = current.ending.reason
        broken = reason is StopReason.MAX_TOKENS and self._left(current) > 0  # the model broke a call off, not the limit
        if not (reason is StopReason.TOOL_USE or broken) or not current.server_calls or current.client_calls:
            return reason
        if len(self.runs) >= MOST_ROUNDS:
            return StopReason.PAUSE_TURN
        return None if self._left(current) > 0 else StopReason.MAX_TOKENS

    async def _next(self, current: Round, outputs: Sequence[ServerToolOutput]) -> StopReason | None:
        """Begin the next round; if its prompt does not fit into the window, return that as the reason to end."""
        results = [
            ToolResult(call.call.id, call.call.name, call.tool.for_model(output), is_failure(output))
            for call, output in zip(current.server_calls, outputs, strict=True)
        ]
        found = [tool for call, output in zip(current.server_calls, outputs, strict=True) for tool in call.tool.found(output)]
        policy = _after_calls(self._conversation.policy, self._left(current), found)
        attached = sum(isinstance(part, Attachment) for result in results for part in result.content)
        dialogue = self._with(Turn(Role.ASSISTANT, tuple(current.content)), Turn(Role.USER, tuple(results))).dialogue
        longer = Conversation(replace(dialogue, attachments=dialogue.attachments + attached), policy)
        try:
            self._conversation, generation = await self._proceed(longer)
        except PromptTooLong:
            return StopReason.CONTEXT_WINDOW
        self.runs.append(generation)
        return None

    def _left(self, current: Round) -> int:
        """The output tokens that are left for the next rounds."""
        assert current.ending is not None
        return self._conversation.policy.max_tokens - current.ending.counts.output

    def _with(self, answer: Turn, *more: Turn) -> Conversation:
        """The conversation with more turns. An answer that continues a last turn of the assistant is part of it."""
        turns = self._conversation.dialogue.turns
        if turns and turns[-1].role is Role.ASSISTANT:
            turns, answer = turns[:-1], replace(answer, content=(*turns[-1].content, *answer.content))
        dialogue = replace(self._conversation.dialogue, turns=(*turns, answer, *more))
        return replace(self._conversation, dialogue=dialogue)


def _after_calls(policy: AnswerPolicy, left: int, found: Sequence[Tool]) -> AnswerPolicy:
    """The policy of the next round. A forced call was made in the first; from then on the model decides (TOOL-5)."""
    choice = ToolPolicy(parallel=policy.tool_policy.parallel) if policy.tool_policy.forced else policy.tool_policy
    tools = {tool.name: tool for tool in (*policy.tools, *found)}
    return replace(policy, max_tokens=left, tool_policy=choice, tools=tuple(tools.values()))
