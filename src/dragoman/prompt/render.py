"""Renders conversations to the text of their prompts.

The template renders what the probe found it can. What it cannot render is handled in fixed ways:

- no system turn at the top: its text is put before the text of the first user turn;
- no conversation that begins without a user turn, or that is only a prefill: a fixed user turn is put first;
- no late system turn: its text is put at the end of the user turn before it, between `<system>` and `</system>`, after any
  tool results and never at the top (REQ-11, REQ-12);
- no tools, or not these: the dialect writes them after the system text;
- no calls, not several, or no text beside them; no results: the dialect writes them (see `messages`);
- no reasoning in a tool loop: the dialect writes it before the text, if the template keeps it there (see `turn_boundary`);
- reasoning that the template opens although thinking is off: the dialect's closing marker is put after it (THK-1);
- a final assistant turn is a prefill: its text follows the generation prompt, and the model continues it (PRE-1).

A prompt is append-only: the rendering of turn n does not depend on turn n+1.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from dragoman.conversation import Conversation, Dialogue, Role, Thinking, ThinkingPolicy, Turn
from dragoman.errors import InvalidRequest
from dragoman.prompt import volatile_metadata as volatile
from dragoman.prompt.escaping import escape_special_tokens
from dragoman.prompt.images import NO_IMAGES, PlacedImages, place_images
from dragoman.prompt.messages import PARAGRAPH, Message, MessageBuilder, words_of
from dragoman.prompt.profile import DEFAULT_VARIABLES, ModelProfile
from dragoman.prompt.spellings import candidates_in
from dragoman.prompt.template import TemplateRefusal
from dragoman.prompt.tool_listing import ToolListing


@dataclass(frozen=True, slots=True)
class Rendered:
    """The text of a prompt, and notes about what was removed, moved or written by the dialect.

    `sentinel` is in the text wherever a client spelled a special token; empty if there are no such spellings. `images` has the
    images whose placeholders are in the text.
    """

    text: str
    notes: Sequence[str]
    sentinel: str = ""
    images: PlacedImages = NO_IMAGES


class Renderer:
    """Renders the prompts of one model. It can be pickled, for worker processes.

    `reserved` are spellings that are escaped like special tokens in prompts with images.
    """

    def __init__(self, profile: ModelProfile, reserved: Sequence[str] = ()) -> None:
        self.profile = profile
        self._reserved = reserved
        self.dialect = profile.dialect
        self._template = profile.template
        self._capabilities = profile.capabilities
        self._listing = ToolListing(profile.template, typed=profile.capabilities.typed_content)

    def render(self, conversation: Conversation, spelled: Sequence[str] = ()) -> Rendered:
        """Render a prompt. `spelled` are the special tokens spelled in the client's text. Raises `TemplateRefusal`."""
        dialogue, images = place_images(conversation.dialogue, PARAGRAPH)
        if images.images:
            found = candidates_in(dialogue, self._reserved)
            spelled = [*spelled, *(spelling for spelling in self._reserved if spelling in found)]
        dialogue, sentinel = escape_special_tokens(dialogue, spelled)
        render = partial(self._render, dialogue, conversation.policy.thinking, sentinel, images)
        lost_tools = self._lost(dialogue)
        try:
            return render(lost_tools)
        except TemplateRefusal:
            for why, opened in self._other_ways(dialogue, lost_tools):
                with suppress(TemplateRefusal):
                    return render(why, opened=opened)
            raise

    def _lost(self, dialogue: Dialogue) -> str:
        """Why the template cannot list the tools; "" if it can."""
        if not dialogue.tools:
            return ""
        if not self._capabilities.tools:
            return "the template renders none"
        return "" if self._listing.fitted(dialogue.tools) is not None else "the template does not render these completely"

    @property
    def names(self) -> Sequence[str]:
        """Special tokens that the template gets as variables."""
        return tuple(filter(None, self._template.names))

    def checked(self, conversation: Conversation, spelled: Sequence[str] = ()) -> Rendered:
        """Render a client's request. Raises `InvalidRequest` if the template refuses it."""
        try:
            return self.render(conversation, spelled)
        except TemplateRefusal as refusal:
            raise InvalidRequest.at("messages", f"the model's chat template refuses this conversation: {refusal}") from refusal

    def _other_ways(self, dialogue: Dialogue, lost_tools: str) -> Iterator[tuple[str, bool]]:
        """Ways to avoid a refusal that the probe did not find: tools written by the dialect, a first user turn."""
        refused = "the template refuses these" if dialogue.tools and not lost_tools else lost_tools
        if refused != lost_tools:  # it lists tools, but not every valid schema
            yield refused, False
        yield lost_tools, True
        if refused != lost_tools:
            yield refused, True

    def _render(  # noqa: PLR0913 -- called by `render` only
        self,
        dialogue: Dialogue,
        thinking: ThinkingPolicy,
        sentinel: str,
        images: PlacedImages,
        lost_tools: str,
        *,
        opened: bool = False,
    ) -> Rendered:
        """Render once. `lost_tools`: why the dialect writes the tools; `opened`: a user turn is put first."""
        notes = list(dialogue.notes)
        turns = list(dialogue.turns)
        prefill = self._prefill(turns.pop(), notes) if turns[-1].role is Role.ASSISTANT else ""
        builder = MessageBuilder(self._capabilities, self.dialect, self.profile.boundary)
        top = self._system(dialogue, lost_tools, notes)
        if top:
            builder.add_system(top)
        if opened or not turns:
            builder.add_first_user_turn()
        for turn in turns:
            builder.add(turn)
        listed = {} if lost_tools else {"tools": self._listing.fitted(dialogue.tools)}
        text = self.text(builder.messages, thinking, **listed)
        if prefill and self.dialect.thinking_open(text):
            text += self.dialect.close_thinking
        kept = images.within(text)
        if lost := len(images.images) - len(kept.images):
            notes.append(f"removed: {lost} images, as the template loses them")
        return Rendered(text + prefill, [*notes, *builder.notes], sentinel, kept)

    def text(self, messages: Sequence[Message], thinking: ThinkingPolicy, **variables: Any) -> str:
        """The text up to the start of the answer. Reasoning that the template opens although thinking is off is closed."""
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

    def _system(self, dialogue: Dialogue, lost_tools: str, notes: list[str]) -> str:
        blocks, rule = volatile.strip(dialogue.system)
        if rule:
            notes.append(f"removed: system block 1 ({rule})")
        paragraphs = [block.text for block in blocks]
        if dialogue.tools and lost_tools:
            paragraphs.append(self.dialect.encode_tools(dialogue.tools))
            notes.append(f"encoded: {len(dialogue.tools)} tools, as {lost_tools}")
        return PARAGRAPH.join(paragraphs)


def render_conversation(renderer: Renderer, conversation: Conversation, spelled: Sequence[str] = ()) -> Rendered:
    """Call `Renderer.render`; a module-level function that a worker process can run. Raises `TemplateRefusal`."""
    return renderer.render(conversation, spelled)
