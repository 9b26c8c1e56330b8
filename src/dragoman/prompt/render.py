"""From a conversation to the text of its prompt.

The template renders what the probe found it can. What it cannot is done around it, always in the same way, in the same place:

- no system turn at the top: its text stands in front of the first user turn;
- no conversation without a user turn in front, or none of nothing but a prefill: a user turn that says so stands in front;
- no late system turn: its text stands at the end of the user turn before it, between `<system>` and `</system>`, behind any
  tool results and never at the top (REQ-11, REQ-12);
- no tools, or not these: the dialect writes them behind the system text;
- no calls, not several, or no words beside them; no results: the dialect writes that (`builder` has the details);
- no reasoning in a tool loop: the dialect writes it in front of the words, if it stays there (`boundary`);
- a thought that the template opens although there is to be none: the dialect's closer stands behind it (THK-1);
- a final assistant turn is a prefill: its text follows the generation prompt, and the answer goes on from there (PRE-1).

A prompt is append-only: what is rendered for turn n is not rendered differently because turn n+1 came; nothing looks ahead.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dragoman.conversation import Conversation, Role, Thinking, ThinkingPolicy, Turn
from dragoman.errors import InvalidRequest
from dragoman.prompt import volatile_metadata as volatile
from dragoman.prompt.escaping import escape_special_tokens
from dragoman.prompt.messages import PARAGRAPH, Message, MessageBuilder, words_of
from dragoman.prompt.profile import ModelProfile
from dragoman.prompt.template import TemplateRefusal
from dragoman.prompt.template_variables import DEFAULT_VARIABLES
from dragoman.prompt.tool_listing import ToolListing


@dataclass(frozen=True, slots=True)
class Rendered:
    """The prompt's text, and in words what was removed, moved or written by the dialect.

    `sentinel` stands in the text wherever a client spelled a special token, and is empty where none did.
    """

    text: str
    notes: Sequence[str]
    sentinel: str = ""


class Renderer:
    """Renders the prompts of one model. It can be pickled, for worker processes."""

    def __init__(self, profile: ModelProfile) -> None:
        self.profile = profile
        self.dialect = profile.dialect
        self._template = profile.template
        self._capabilities = profile.capabilities
        self._listing = ToolListing(profile.template, typed=profile.capabilities.typed_content)

    def render(self, conversation: Conversation, spelled: Sequence[str] = ()) -> Rendered:
        """`spelled` are the special tokens that the client's text spells. Raises `TemplateRefusal`."""
        conversation, sentinel = escape_special_tokens(conversation, spelled)
        lost_tools = self._lost(conversation)
        try:
            return self._render(conversation, sentinel, lost_tools)
        except TemplateRefusal:
            for why, opened in self._other_ways(conversation, lost_tools):
                with suppress(TemplateRefusal):
                    return self._render(conversation, sentinel, why, opened=opened)
            raise

    def _lost(self, conversation: Conversation) -> str:
        """Why the template cannot list the tools; "" where it can."""
        if not conversation.tools:
            return ""
        if not self._capabilities.tools:
            return "the template knows none"
        return "" if self._listing.fitted(conversation.tools) is not None else "the template does not show these"

    @property
    def names(self) -> Sequence[str]:
        """Special tokens that the template is given by name."""
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

    def _render(self, conversation: Conversation, sentinel: str, lost_tools: str = "", *, opened: bool = False) -> Rendered:
        """`lost_tools`: why the dialect writes the tools; `opened`: a user turn is put in front."""
        notes = list(conversation.notes)
        turns = list(conversation.turns)
        prefill = self._prefill(turns.pop(), notes) if turns[-1].role is Role.ASSISTANT else ""
        builder = MessageBuilder(self._capabilities, self.dialect, self.profile.boundary)
        top = self._system(conversation, lost_tools, notes)
        if top:
            builder.instruct(top)
        if opened or not turns:
            builder.open()
        for turn in turns:
            builder.add(turn)
        listed = {} if lost_tools else {"tools": self._listing.fitted(conversation.tools)}
        text = self.text(builder.messages, conversation.thinking, **listed)
        if prefill and self.dialect.thinking_open(text):
            text += self.dialect.close_thinking
        return Rendered(text + prefill, [*notes, *builder.notes], sentinel)

    def text(self, messages: Sequence[Message], thinking: ThinkingPolicy, **variables: Any) -> str:
        """The text up to where the model begins. Reasoning that the template opens unasked is closed."""
        if self._capabilities.effort:
            variables |= self._capabilities.effort.variables(thinking.effort)
        if self._capabilities.thinking and not (thinking.enabled and self._capabilities.thinking.variable in variables):
            variables |= self._capabilities.thinking.variables(enabled=thinking.enabled)
        if self._capabilities.typed_content:
            messages = [message | {"content": [{"type": "text", "text": message["content"]}]} for message in messages]
        text = self._template.render(messages, **DEFAULT_VARIABLES, **variables)
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
