"""From a conversation to the text of its prompt.

The template renders what the probe found it can. What it cannot is done around it, always in the same way, in the same place:

- no system turn at the top: its text stands in front of the first user turn;
- no conversation without a user turn in front, or none of nothing but a prefill: a user turn that says so stands in front;
- no late system turn: its text stands at the end of the user turn before it, between `<system>` and `</system>`, behind any
  tool results and never at the top (REQ-11, REQ-12);
- no tools, or not these: the dialect writes them behind the system text;
- no calls, not several, or no words beside them; no results: the dialect writes that (`transcript` has the details);
- no reasoning in a tool loop: the dialect writes it in front of the words, if it stays there (`seam`);
- a thought that the template opens although there is to be none: the dialect's closer stands behind it (THK-1);
- a final assistant turn is a prefill: its text follows the generation prompt, and the answer goes on from there (PRE-1).

A prompt is append-only: what is rendered for turn n is not rendered differently because turn n+1 came; nothing looks ahead.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dragoman.conversation import Conversation, Role, Thinking, ThinkingPolicy, Turn
from dragoman.dialects import Dialect
from dragoman.errors import InvalidRequest
from dragoman.prompt import volatile
from dragoman.prompt.seam import find_seam
from dragoman.prompt.shield import shield
from dragoman.prompt.switches import ALWAYS
from dragoman.prompt.template import ChatTemplate, TemplateRefusal
from dragoman.prompt.tool_listing import ToolListing
from dragoman.prompt.traits import Traits
from dragoman.prompt.transcript import PARAGRAPH, Message, Transcript, words_of


@dataclass(frozen=True, slots=True)
class Rendered:
    """The prompt's text, and in words what was removed, moved or written by the dialect.

    `mark` stands in the text wherever a client spelled a control token, and is empty where none did.
    """

    text: str
    notes: Sequence[str]
    mark: str = ""


class Renderer:
    """Renders for one model: its template, what the probe found, its dialect. It can be pickled, for worker processes."""

    def __init__(self, template: ChatTemplate, traits: Traits, dialect: Dialect) -> None:
        self._template = template
        self.traits = traits
        self.dialect = dialect
        self._listing = ToolListing(template, typed=traits.typed_content)
        self.seam = find_seam(
            lambda messages: self._prompt(messages, ThinkingPolicy()),
            lambda messages: self._prompt(messages, ThinkingPolicy(enabled=True)),
            traits,
            dialect,
        )

    def render(self, conversation: Conversation, spelled: Sequence[str] = ()) -> Rendered:
        """`spelled` are the control tokens that the client's text spells. Raises `TemplateRefusal`."""
        conversation, mark = shield(conversation, spelled)
        lost_tools = self._lost(conversation)
        try:
            return self._render(conversation, mark, lost_tools)
        except TemplateRefusal:
            for why, opened in self._other_ways(conversation, lost_tools):
                with suppress(TemplateRefusal):
                    return self._render(conversation, mark, why, opened=opened)
            raise

    def _lost(self, conversation: Conversation) -> str:
        """Why the template cannot list the tools; "" where it can."""
        if not conversation.tools:
            return ""
        if not self.traits.tools:
            return "the template knows none"
        return "" if self._listing.fitted(conversation.tools) is not None else "the template does not show these"

    @property
    def names(self) -> Sequence[str]:
        """Control tokens that the template is given by name."""
        return tuple(filter(None, self._template.names))

    def checked(self, conversation: Conversation, spelled: Sequence[str] = ()) -> Rendered:
        """As `render`, for a client's request. Raises `InvalidRequest` where the template refuses."""
        try:
            return self.render(conversation, spelled)
        except TemplateRefusal as refusal:
            raise InvalidRequest.at("messages", f"the model's chat template refuses this conversation: {refusal}") from refusal

    def _other_ways(self, conversation: Conversation, lost_tools: str) -> Iterator[tuple[str, bool]]:
        """What may help against a refusal that the probe did not foresee: other tools, a user turn in front."""
        refused = "the template refuses these" if conversation.tools and not lost_tools else lost_tools
        if refused != lost_tools:  # it lists tools, but not every schema that is one
            yield refused, False
        yield lost_tools, True
        if refused != lost_tools:
            yield refused, True

    def _render(self, conversation: Conversation, mark: str, lost_tools: str = "", *, opened: bool = False) -> Rendered:
        """`lost_tools`: why the dialect writes the tools; `opened`: a user turn is put in front."""
        notes = list(conversation.notes)
        turns = list(conversation.turns)
        prefill = self._prefill(turns.pop(), notes) if turns[-1].role is Role.ASSISTANT else ""
        transcript = Transcript(self.traits, self.dialect, self.seam)
        top = self._system(conversation, lost_tools, notes)
        if top:
            transcript.instruct(top)
        if opened or not turns:
            transcript.open()
        for turn in turns:
            transcript.add(turn)
        listed = {} if lost_tools else {"tools": self._listing.fitted(conversation.tools)}
        text = self._prompt(transcript.messages, conversation.thinking, **listed)
        if prefill and self.dialect.thinking_open(text):
            text += self.dialect.close_thinking
        return Rendered(text + prefill, [*notes, *transcript.notes], mark)

    def _prompt(self, messages: Sequence[Message], thinking: ThinkingPolicy, **variables: Any) -> str:
        """The text up to where the model begins. Reasoning that the template opens unasked is closed."""
        if self.traits.effort:
            variables |= self.traits.effort.variables(thinking.effort)
        if self.traits.thinking and not (thinking.enabled and self.traits.thinking.variable in variables):
            variables |= self.traits.thinking.variables(enabled=thinking.enabled)
        if self.traits.typed_content:
            messages = [message | {"content": [{"type": "text", "text": message["content"]}]} for message in messages]
        text = self._template.render(messages, **ALWAYS, **variables)
        if not thinking.enabled and self.dialect.thinking_open(text):
            text += self.dialect.close_thinking
        return text

    def _prefill(self, turn: Turn, notes: list[str]) -> str:
        if any(isinstance(part, Thinking) for part in turn.content):
            notes.append("removed: thinking in a prefilled turn")
        return words_of(turn)

    def _system(self, conversation: Conversation, lost_tools: str, notes: list[str]) -> str:
        blocks, rule = volatile.strip(conversation.system)
        if rule:
            notes.append(f"removed: system block 1 ({rule})")
        paragraphs = [block.text for block in blocks]
        if conversation.tools and lost_tools:
            paragraphs.append(self.dialect.encode_tools(conversation.tools))
            notes.append(f"encoded: {len(conversation.tools)} tools, as {lost_tools}")
        return PARAGRAPH.join(paragraphs)


def render_conversation(renderer: Renderer, conversation: Conversation, spelled: Sequence[str] = ()) -> Rendered:
    """`Renderer.render` as a module-level function, which a worker process can run. Raises `TemplateRefusal`."""
    return renderer.render(conversation, spelled)
