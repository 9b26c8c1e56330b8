"""A served model: the engine, dialect, prompt builder and admission that all requests share."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import replace as changed
from datetime import UTC
from pathlib import Path

from msgspec.structs import replace

from dragoman import dialects
from dragoman.api.anthropic.models import EffortFlags, Flag, ModelCapabilities, ModelInfo, ServerToolFlags, ThinkingFlags
from dragoman.conversation import AnswerPolicy, Conversation, TokenReport
from dragoman.dialects import Constrainer, Dialect, SpecialMarkers
from dragoman.dialects.markup import markup
from dragoman.engines import NO_ROUTING, Capabilities, Engine, Routing
from dragoman.errors import EngineFailed, InvalidRequest, PromptTooLong
from dragoman.generation import Generation
from dragoman.inspection.detection import Detection, detect, hints
from dragoman.inspection.profile import inspect
from dragoman.limits import DEFAULT, Limits
from dragoman.media.fetching import Fetcher
from dragoman.media.outcomes import Sight
from dragoman.media.reader import Files, MediaReader
from dragoman.media.vision import Vision
from dragoman.observability.prefix_tracker import PrefixTracker
from dragoman.observability.recent import Inspect
from dragoman.prompt import ChatTemplate, Prompt, PromptBuilder, TemplateRefusal
from dragoman.prompt.fill_in_middle import CANDIDATES, form_of
from dragoman.prompt.profile import TemplateCapabilities
from dragoman.server.models.admission import Admission
from dragoman.server.models.entry import ModelEntry
from dragoman.server.models.feasibility import Feasibility
from dragoman.server.models.speed import Speed
from dragoman.server_tools import ServerToolSettings
from dragoman.special_tokens import SpecialTokens, candidates
from dragoman.storage.files import LIMIT as FILES_LIMIT
from dragoman.storage.place import IN_MEMORY, Place
from dragoman.storage.responses import AGE_S as RESPONSES_AGE_S
from dragoman.storage.responses import LIMIT as RESPONSES_LIMIT

_LOG = logging.getLogger(__name__)
_TOKENS_OF_OPENER = 64
"""More tokens than the marker that opens reasoning has, with the space after it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The operator's settings for the whole server; what belongs to one model is in its `ModelEntry`.

    With `any_model`, every unknown name means the first model. `queue` is how many requests may wait for each model. With
    `strict_input`, content that the model cannot see is refused instead of replaced by a note. With `fetch_urls`, images and
    documents by URL are fetched from public addresses. `server_tools` are the tools that the server runs. `capture` is a folder
    for every request and its response, of at most `capture_limit` bytes, none older than `capture_age` seconds; `inspect` is
    what is kept of the last requests in memory. With `traces`, a span of each request is exported by OpenTelemetry.
    `cors_origins` are origins of web pages that may use the server, in addition to those of this machine. `hosts` are host
    names, without ports, under which clients may reach it, in addition to those of this machine; None: any.

    `place` is where responses of the Responses API and files are kept. Responses take at most `responses_limit` bytes, and each
    is kept for `responses_age` seconds after its last use, None: for ever. With a limit of 0 none is kept. Files take at most
    `files_limit` bytes. Batches use at most `batch_slots` slots of each model, None: all but one.
    """

    any_model: bool = False
    api_key: str | None = None
    queue: int = 256
    strict: bool = False
    strict_input: bool = False
    fetch_urls: bool = False
    server_tools: ServerToolSettings = field(default_factory=ServerToolSettings)
    capture: Path | None = None
    capture_limit: int | None = None
    capture_age: float | None = None
    traces: bool = False
    inspect: Inspect = Inspect.METADATA
    cors_origins: Sequence[str] = ()
    hosts: Sequence[str] | None = None
    limits: Limits = DEFAULT
    place: Place = IN_MEMORY
    responses_limit: int = RESPONSES_LIMIT
    responses_age: float | None = RESPONSES_AGE_S
    files_limit: int = FILES_LIMIT
    batch_slots: int | None = None


class ServedModel:
    """One model, served by one engine."""

    def __init__(  # noqa: PLR0913 -- constructed once, in `load`
        self,
        engine: Engine,
        detection: Detection,
        prompts: PromptBuilder,
        admission: Admission,
        info: ModelInfo,
        *,
        media: MediaReader,
        found: Capabilities,
        special_tokens: Sequence[str] = (),
        markers: SpecialMarkers | None = None,
    ) -> None:
        self.engine = engine
        self.detection = detection
        self.found = found
        self._constrainer = Constrainer(detection.dialect)
        self.feasibility = Feasibility(found, self._constrainer)
        self.admission = admission
        self.info = info
        self.prefix_tracker = PrefixTracker()
        self.speed = Speed()
        self.prompts = prompts
        self.media = media
        self._special_tokens = special_tokens  # markers of the dialect
        self._markers = markers  # those that are matched by their ids

    @classmethod
    async def load(
        cls, entry: ModelEntry, settings: Settings, vision: Vision | None = None, files: Files | None = None
    ) -> "ServedModel":
        """Build and start an engine, and inspect its model and template.

        `vision` is started if the model does not see. `files` are those that requests may name.

        The engine is closed if that fails. Raises `EngineFailed`, `EngineUnavailable`.
        """
        engine = await asyncio.to_thread(entry.build)  # reads files
        try:
            return await cls._started(engine, entry, settings, vision, files)
        except TemplateRefusal as refusal:
            await engine.close()
            raise EngineFailed(str(refusal)) from refusal
        except BaseException:
            await engine.close()
            raise

    @classmethod
    async def _started(
        cls, engine: Engine, entry: ModelEntry, settings: Settings, vision: Vision | None, files: Files | None
    ) -> "ServedModel":
        """Start the engine and inspect its model. Raises `TemplateRefusal`, and as `load`."""
        found = await engine.start()
        own = _template(found, found.chat_template)
        detection = Detection(entry.dialect, "chosen") if entry.dialect else await _detect(own, engine)
        template = own or _template(found, detection.dialect.reference_template or dialects.DEFAULT.reference_template)
        assert template is not None
        profile = inspect(template, detection.dialect)
        found = replace(found, images=found.images and await engine.accept_images(profile.capabilities.image))
        prompts = await PromptBuilder.load(
            profile,
            engine.tokenize,
            found.window,
            image_length=engine.image_length if found.images else None,
            reserved=found.reserved,
            beginning=found.beginning if found.images else "",
        )
        if vision is not None and found.images:
            _LOG.info("the model sees images itself: the vision model is not used")
        elif vision is not None:
            await vision.start()
        capabilities = prompts.renderer.profile.capabilities
        losses = ", ".join(capabilities.losses) or "nothing"
        _LOG.info("dialect %s (%s); the template loses: %s", detection.dialect.name, detection.found, losses)
        admission = Admission(found.slots, settings.queue)
        sight = Sight(images=found.images, strict=settings.strict_input, limits=settings.limits)
        fetcher = Fetcher(settings.limits.attachment_bytes) if settings.fetch_urls else None
        media = MediaReader(sight, fetcher, vision, files)
        sees = found.images or vision is not None
        info = describe(entry, entry.id or found.model, found.window, _capabilities(found, capabilities, settings, sees=sees))
        special_tokens, markers = await _marking_tokens(detection.dialect, engine, has_ids=found.marker_ids)
        await asyncio.to_thread(_compile_patterns, detection.dialect, markers)
        return cls(
            engine,
            detection,
            prompts,
            admission,
            info,
            media=media,
            found=found,
            special_tokens=special_tokens,
            markers=markers,
        )

    async def close(self) -> None:
        """Close the engine, and end the workers that read attachments."""
        await self.media.close()
        await self.engine.close()

    @property
    def dialect(self) -> Dialect:
        """The dialect that the model writes."""
        return self.detection.dialect

    @property
    def capabilities(self) -> TemplateCapabilities:
        """The capabilities of the model's chat template."""
        return self.prompts.renderer.profile.capabilities

    async def prompt(self, conversation: Conversation) -> Prompt:
        """Build the prompt of a conversation, the same for counting and generating (CNT-2).

        Raises `InvalidRequest` for fields that the engine or the dialect cannot honour, and what building raises.
        """
        prompt = await self.prompts.build(conversation)
        self.check(conversation.policy, prompt)
        return prompt

    async def given_prompt(self, ids: Sequence[int], policy: AnswerPolicy) -> Prompt:
        """Return the prompt that a client rendered itself. Raises `InvalidRequest`, and what the engine's tokenizer raises."""
        self.feasibility.check_input_ids(ids, self.engine.vocabulary)
        end = await self.engine.detokenize(ids[-_TOKENS_OF_OPENER:])
        prompt = Prompt(ids, "", self.prompts.window - len(ids), self.dialect.thinking_open(end))
        self.check(policy, prompt)
        return prompt

    def check(self, policy: AnswerPolicy, prompt: Prompt) -> None:
        """Raise `InvalidRequest` for a field that the engine or the dialect cannot honour."""
        self.feasibility.check_sampling(policy, self.engine.vocabulary)
        self.feasibility.check_report(policy.report, prompt)
        self.feasibility.check_call(policy)
        self.feasibility.check_constraint(policy, prompt)

    def generate(self, policy: AnswerPolicy, prompt: Prompt, routing: Routing = NO_ROUTING) -> Generation:
        """Return the generation that answers by a policy. Raises `PromptTooLong`."""
        self._check_room(prompt)
        return Generation(
            self.engine,
            self._constrainer,
            policy,
            prompt,
            constrains=self.feasibility.holds(policy, prompt),
            routing=routing,
            special_tokens=self._special_tokens,
            markers=self._markers,
            spells_markers=self.found.spells_markers,
        )

    def _check_room(self, prompt: Prompt) -> None:
        """Raise `PromptTooLong` if a prompt leaves no room: none is truncated, since clients compact on this error (ERR-11)."""
        if prompt.remaining < 1:
            raise PromptTooLong(prompt.length, self.prompts.window - 1)

    async def plain_prompt(self, text: str | Sequence[int], path: str) -> Prompt:
        """Return the prompt of a text or token ids, without a chat template.

        Raises `InvalidRequest` at `path` for ids that the model does not have, and what the engine's tokenizer raises.
        """
        if isinstance(text, str):
            return await self.prompts.plain(text)
        self.feasibility.check_tokens(text, self.engine.vocabulary, path)
        return Prompt(text, "", self.prompts.window - len(text), thinking_open=False)

    async def plain_between(self, before: str, after: str, path: str) -> Prompt:
        """Return the prompt for the text between two texts. Raises `InvalidRequest` at `path` if the model has none."""
        form = form_of(await self.prompts.special_tokens.among(CANDIDATES))
        if form is None:
            raise InvalidRequest.at(path, "this model has no special tokens to fill in the middle of a text")
        return await self.prompts.plain(form.prompt(before, after))

    async def echoed(self, prompt: Prompt, plain: str | Sequence[int], report: TokenReport) -> Prompt:
        """Return a plain prompt with its text for the answer, and the log-probabilities of its tokens if they are wanted.

        Raises `InvalidRequest` if the engine has none, `PromptTooLong`, and what the engine raises.
        """
        self.feasibility.check_echo(report, has_ids=not isinstance(plain, str))
        self._check_room(prompt)
        text = plain if isinstance(plain, str) else await self.engine.detokenize(plain)
        logprobs = await self.engine.score(list(prompt.tokens), report.top) if report.top is not None else ()
        return changed(prompt, echo=text, logprobs=logprobs)

    def generate_plain(self, policy: AnswerPolicy, prompt: Prompt, routing: Routing = NO_ROUTING) -> Generation:
        """Return the generation that continues a plain prompt.

        Raises `InvalidRequest` for fields that the engine cannot honour, and `PromptTooLong`.
        """
        self.feasibility.check_sampling(policy, self.engine.vocabulary)
        self.feasibility.check_report(policy.report, prompt)
        self._check_room(prompt)
        plain = Dialect(name="plain", stop_strings=self.dialect.stop_strings)
        return Generation(self.engine, Constrainer(plain), policy, prompt, routing=routing)


def describe(entry: ModelEntry, name: str, window: int | None, capabilities: ModelCapabilities | None = None) -> ModelInfo:
    """Return a model's description for clients; `window` and `capabilities` are None if they are not known yet."""
    return ModelInfo(
        id=name,
        display_name=entry.display_name or name,
        created_at=entry.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        created=int(entry.created_at.timestamp()),
        max_input_tokens=window and window - 1,
        max_tokens=window and window - 1,
        capabilities=capabilities,
    )


def _capabilities(found: Capabilities, template: TemplateCapabilities, settings: Settings, *, sees: bool) -> ModelCapabilities:
    runs = settings.server_tools.runs
    return ModelCapabilities(
        effort=_effort(template),
        image_input=Flag(supported=sees),
        server_tools=ServerToolFlags(bool(runs), Flag(supported="web_search" in runs)),
        structured_outputs=Flag(supported=found.constrains or found.formats),
        thinking=ThinkingFlags(supported=template.thinking is not None),
    )


def _effort(capabilities: TemplateCapabilities) -> EffortFlags:
    """Return the effort levels that reach the model; a template without such a variable has none (THK-14)."""
    levels = capabilities.effort.values if capabilities.effort else {}
    return EffortFlags(supported=bool(levels), **{level: Flag(supported=True) for level in levels})


def _template(found: Capabilities, source: str | None) -> ChatTemplate | None:
    return ChatTemplate(source, bos_token=found.bos_token, eos_token=found.eos_token) if source else None


async def _detect(template: ChatTemplate | None, engine: Engine) -> Detection:
    """Detect the dialect, in a thread, since it runs the parsers of all dialects over the template's output.

    Raises `TemplateRefusal`, and what the engine's tokenizer raises.
    """
    special_tokens = await SpecialTokens(engine.tokenize).among(" ".join(sorted(hints())))
    if template is None:
        return detect(None, special_tokens)
    with template.inspected():
        return await asyncio.to_thread(detect, template, special_tokens)


def _compile_patterns(dialect: Dialect, markers: SpecialMarkers | None) -> None:
    """Make the parsers of answers, so that the first request need not compile their patterns, which takes milliseconds."""
    for calls_allowed in (False, True):
        for matched in (None, markers):
            dialect.parser({"tool": {}}, thinking_open=False, calls_allowed=calls_allowed, markers=matched)


async def _marking_tokens(dialect: Dialect, engine: Engine, *, has_ids: bool) -> tuple[Sequence[str], SpecialMarkers | None]:
    """Return the special tokens with which the model marks reasoning and calls, and the markers to match by their ids.

    Those are all that are one token and look like a special one, since some engines list theirs among the ordinary tokens; for
    an engine without ids, None. Raises what the engine's tokenizer raises.
    """
    marks = markup(dialect)
    special = await SpecialTokens(engine.tokenize, marks).among(" ".join(sorted(marks)))
    if not has_ids:
        return special, None
    spellings = sorted(candidates(" ".join([*marks, *dialect.stop_strings.ends]), special))
    found = zip(await asyncio.gather(*map(engine.tokenize, spellings)), spellings, strict=True)
    tokens = {ids[0]: spelling for ids, spelling in found if len(ids) == 1}
    named = sorted({*special, *({*tokens.values()} - {*dialect.stop_strings.ends})})  # some ends are in markers, too
    return named, SpecialMarkers(dialect, tokens) if named else None
