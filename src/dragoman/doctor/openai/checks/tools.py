"""Checks of calls of functions: optional, forced, forbidden, answered."""

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip, no_markup, quoted
from dragoman.doctor.checks.tools import MARKUP, ORDER
from dragoman.doctor.client import Client
from dragoman.doctor.expectations import expect_schema
from dragoman.doctor.openai.form import Call, Object, Reply
from dragoman.doctor.openai.requests import ASK_TIME, ASK_WEATHER, WEATHER, WEATHER_SCHEMA, forced, form_of, with_tools
from dragoman.doctor.request_fixtures import closed

SUBJECT = Subject("tools")
ORDER_SCHEMA = ORDER["input_schema"]


async def _forced(client: Client) -> Reply:
    form = form_of(client)
    return await form.reply(client, forced(form))


def _calls(reply: Reply) -> list[Call]:
    """The calls of an answer. Raises `CheckFailed` if there is none."""
    if not reply.calls:
        raise CheckFailed(f"no call, but {reply.shape}: {quoted(reply.text)}")
    return list(reply.calls)


def _valid(call: Call, schema: Object) -> None:
    expect_schema(call.arguments, schema, "the arguments are ")


@SUBJECT.check("`required` forces a call", "frameworks get typed answers this way", "OAI-2", "RSP-5")
async def tool_required(client: Client) -> None:
    for call in _calls(await client.once(_forced)):
        if call.name not in ("get_weather", "get_time"):
            raise CheckFailed(f"a call of {call.name!r}, which was not declared")


@SUBJECT.check("a call has its own id", "results are matched by it", "OAI-2", "RSP-5")
async def tool_ids(client: Client) -> None:
    form = form_of(client)
    replies = [await client.once(_forced), await form.reply(client, forced(form))]
    ids = [call.id for reply in replies for call in reply.calls]
    if len(ids) < 2:
        raise Skip("there are no calls to compare")
    if len(set(ids)) < len(ids) or not all(ids):
        raise CheckFailed(f"the ids are {', '.join(map(repr, ids))}")


@SUBJECT.check("a named function is called", "JSON output of many libraries is a forced call", "OAI-2", "RSP-5")
async def tool_named(client: Client) -> None:
    form = form_of(client)
    reply = await form.reply(client, with_tools(form, form.user(ASK_TIME), tool_choice=form.named("get_time")))
    names = {call.name for call in _calls(reply)}
    if names != {"get_time"}:
        raise CheckFailed(f"called {', '.join(sorted(names))}")


@SUBJECT.check("`none` forbids calls", "clients ask for a summary in the middle of a tool loop", "OAI-2", "RSP-5")
async def tool_none(client: Client) -> None:
    form = form_of(client)
    reply = await form.reply(client, with_tools(form, form.user("What is the weather in Ulm tomorrow?"), tool_choice="none"))
    if reply.calls:
        raise CheckFailed(f"{len(reply.calls)} calls")
    no_markup(reply.text, MARKUP)


@SUBJECT.check("without parallel calls there is one", "some clients can answer one call only", "OAI-2", "RSP-5")
async def tool_one(client: Client) -> None:
    form = form_of(client)
    reply = await form.reply(client, {**forced(form), "parallel_tool_calls": False})
    if len(_calls(reply)) != 1:
        raise CheckFailed(f"{len(reply.calls)} calls")


@SUBJECT.check("a strict function's arguments follow its schema", "`parse()` raises on anything else", "OAI-2", "TOOL-11")
async def tool_arguments(client: Client) -> None:
    form = form_of(client)
    order = form.function("order", "Order seeds.", ORDER_SCHEMA, strict=True)
    asked = form.user("Order two bags of oak seeds to Ulm. Use order.")
    reply = await form.reply(client, form.body(asked, tools=[order], tool_choice="required", limit=128))
    for call in _calls(reply):
        _valid(call, ORDER_SCHEMA)


@SUBJECT.check("calls left to the model are calls, not text", "agents offer tools with each request", "OAI-2", "RSP-5")
async def tool_auto(client: Client) -> None:
    form = form_of(client)
    reply = await form.reply(client, with_tools(form))
    for call in reply.calls:
        _valid(call, WEATHER_SCHEMA if call.name == "get_weather" else {"type": "object"})
    no_markup(reply.text, MARKUP)


@SUBJECT.check("a result is answered", "it is the second half of every tool loop", "OAI-11", "RSP-4")
async def tool_result(client: Client) -> None:
    form = form_of(client)
    called = form.call("call_1", "get_weather", {"place": "Ulm", "days": 1})
    short, long = [
        await form.reply(client, with_tools(form, form.user(ASK_WEATHER), called, form.result("call_1", text)))
        for text in ("Rain.", "Rain in the morning, and sun in the afternoon. " * 4)
    ]
    if long.prompt_tokens <= short.prompt_tokens:
        raise CheckFailed(f"{short.prompt_tokens} tokens with a short result, {long.prompt_tokens} with a long one")


@SUBJECT.check("a result without its call is refused by name", "the model guesses what it belongs to", "OAI-11", "RSP-4")
async def tool_result_alone(client: Client) -> None:
    form = form_of(client)
    answer = await client.post(with_tools(form, form.user(ASK_WEATHER), form.result("call_none", "Rain.")))
    answer.expect(400)
    if "call_none" not in answer.excerpt:
        raise CheckFailed(f"the message is: {answer.excerpt}")


@SUBJECT.check("a call that is cut off is reported as cut", "half a call is run, or the history is damaged", "OAI-10", "RSP-10")
async def tool_cut(client: Client) -> None:
    form = form_of(client)
    named = form.function(*WEATHER)
    long = form.function("note", "Write a note.", closed(text={"type": "string", "minLength": 200}), strict=True)
    request = form.body(form.user("Write a long note."), tools=[named, long], tool_choice=form.named("note"), limit=16)
    if not (reply := await form.reply(client, request)).cut:
        raise CheckFailed(f"after {reply.output_tokens} tokens it ends with {reply.shape}")
