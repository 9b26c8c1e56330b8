"""Checks of whole chat completions."""

from typing import Any

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip, quoted
from dragoman.doctor.client import Client
from dragoman.doctor.openai.chat_form import CHAT
from dragoman.doctor.openai.form import count, objects
from dragoman.doctor.openai.requests import ASK_FORM, TALE

SUBJECT = Subject("chat completions")
LETTER = "e"
"""A letter that every longer answer in English contains."""


async def _whole(client: Client) -> dict[str, Any]:
    return (await client.post(CHAT.body(CHAT.user(TALE), limit=16))).expect(200).object


@SUBJECT.check("a chat completion is complete", "clients read these fields without checking for them", "OAI-9")
async def chat_shape(client: Client) -> None:
    answer = await client.once(_whole)
    for name, kind in {"id": str, "created": int, "model": str}.items():
        if not answer.get(name) or not isinstance(answer[name], kind):
            raise CheckFailed(f"{name} is {answer.get(name)!r}")
    if answer.get("object") != "chat.completion":
        raise CheckFailed(f"object is {answer.get('object')!r}")
    choices = objects(answer.get("choices"), "choices")
    if len(choices) != 1 or choices[0].get("index") != 0:
        raise CheckFailed(f"there are {len(choices)} choices, or their index is wrong")
    message = choices[0].get("message")
    if not isinstance(message, dict) or message.get("role") != "assistant" or "content" not in message:
        raise CheckFailed(f"the message is {message!r:.80}")
    if choices[0].get("finish_reason") not in ("stop", "length"):
        raise CheckFailed(f"finish_reason is {choices[0].get('finish_reason')!r}")


@SUBJECT.check("usage adds up", "clients sum these up without checking for null", "OAI-9", "USE-1")
async def usage(client: Client) -> None:
    reported = (await client.once(_whole)).get("usage")
    prompt, completion, total = (count(reported, name) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
    if not prompt or not completion or prompt + completion != total:
        raise CheckFailed(f"prompt {prompt}, completion {completion}, total {total}")


@SUBJECT.check("max_completion_tokens is the limit, too", "newer clients send only this", "OAI-10")
async def max_completion_tokens(client: Client) -> None:
    reply = await CHAT.reply(client, CHAT.body(CHAT.user(TALE), max_tokens=None, max_completion_tokens=16))
    if reply.output_tokens > 16:
        raise CheckFailed(f"{reply.output_tokens} tokens were written, 16 were allowed")


@SUBJECT.check("`stop` ends an answer, as a text and as a list", "older agents rely on it", "OAI-10", "SEQ-1")
async def stop(client: Client) -> None:
    for sequences in (LETTER, ["#", LETTER]):
        reply = await CHAT.reply(client, CHAT.body(CHAT.user(TALE), limit=64, stop=sequences))
        if LETTER in reply.text:
            raise CheckFailed(f"with stop {sequences!r} the answer contains it: {quoted(reply.text)}")


@SUBJECT.check("`n` answers are so many choices", "evaluations sample several answers", "OAI-3")
async def choices(client: Client) -> None:
    answer = await client.post(CHAT.body(CHAT.user(TALE), limit=8, n=2))
    if answer.status == 400 and "n" in answer.excerpt:
        raise Skip("the server refuses `n`")
    found = objects(answer.expect(200).object.get("choices"), "choices")
    if [choice.get("index") for choice in found] != [0, 1]:
        raise CheckFailed(f"the choices have the indices {[choice.get('index') for choice in found]}")


@SUBJECT.check("content may be parts, and null beside calls", "SDKs and frameworks send each of these forms", "OAI-2", "IN-8")
async def content_forms(client: Client) -> None:
    part = {"type": "text", "text": "Hello."}
    turns = [
        [{"role": "system", "content": [part]}, {"role": "user", "content": [part], "name": "anna"}],
        CHAT.call("call_1", "get_weather", {"place": "Ulm", "days": 1}),
        [{"role": "tool", "tool_call_id": "call_1", "content": [part]}],
    ]
    (await client.post(CHAT.body(*turns, limit=8))).expect(200)


@SUBJECT.check("JSON mode gives an object", "frameworks parse it without a schema", "OAI-5")
async def json_object(client: Client) -> None:
    request = CHAT.body(CHAT.user(ASK_FORM), limit=64, response_format={"type": "json_object"})
    reply = await CHAT.reply(client, request)
    if not reply.text.lstrip().startswith("{"):
        raise CheckFailed(f"no object: {quoted(reply.text) or 'no text'}")


@SUBJECT.check("an answer in sound is refused by name", "otherwise the client waits for what never comes", "OAI-6")
async def refused_by_name(client: Client) -> None:
    answer = await client.post(CHAT.body(modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"}))
    if answer.status == 200:
        message = objects(answer.object.get("choices"), "choices")[0].get("message")
        if isinstance(message, dict) and message.get("audio"):
            raise Skip("the model answers in sound")
        raise CheckFailed("the request is answered without sound")
    answer.expect(400)
