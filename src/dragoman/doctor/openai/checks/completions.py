"""Checks of `/v1/completions`, which continues a text without a chat template."""

from typing import Any, Final

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip
from dragoman.doctor.client import Client
from dragoman.doctor.openai.form import count, objects

SUBJECT = Subject("completions")
PATH: Final = "/v1/completions"
BEGINNING = "The keeper of the lighthouse"


def _body(**fields: Any) -> dict[str, Any]:
    return {"prompt": BEGINNING, "max_tokens": 8, "temperature": 0, **fields}


async def _texts(client: Client, **fields: Any) -> list[str]:
    answer = (await client.post(_body(**fields), PATH)).expect(200).object
    return [str(choice.get("text")) for choice in objects(answer.get("choices"), "choices")]


@SUBJECT.check("a text is continued", "base models and editors use it", "OAI-4", "OAI-9")
async def completion(client: Client) -> None:
    answer = (await client.post(_body(), PATH)).expect(200).object
    if answer.get("object") != "text_completion":
        raise CheckFailed(f"object is {answer.get('object')!r}")
    choices = objects(answer.get("choices"), "choices")
    if len(choices) != 1 or not isinstance(choices[0].get("text"), str) or not choices[0].get("finish_reason"):
        raise CheckFailed(f"choices are {choices!r:.100}")
    if not count(answer.get("usage"), "prompt_tokens"):
        raise CheckFailed(f"usage is {answer.get('usage')!r:.80}")


@SUBJECT.check("several texts are continued in one request", "evaluations send hundreds of prompts at once", "OAI-4")
async def completion_list(client: Client) -> None:
    if (found := len(await _texts(client, prompt=[BEGINNING, "The rain in Ulm"]))) != 2:
        raise CheckFailed(f"two prompts have {found} choices")


@SUBJECT.check("`echo` returns the text before its continuation", "evaluations read the whole text", "OAI-4")
async def completion_echo(client: Client) -> None:
    text = (await _texts(client, echo=True))[0]
    if not text.startswith(BEGINNING):
        raise CheckFailed(f"the text begins with {text[:40]!r}")


@SUBJECT.check("a streamed completion ends with [DONE]", "editors show it while it is written", "OAI-7")
async def completion_stream(client: Client) -> None:
    stream = await client.stream(_body(), PATH)
    if stream.status != 200 or not stream.events:
        raise CheckFailed(f"answered {stream.status}, {stream.content_type}")
    if stream.events[-1].payload != "[DONE]":
        raise CheckFailed(f"the last data is {stream.events[-1].payload[:80]}")


@SUBJECT.check("a stop sequence ends a completion", "editors stop at the end of a line", "OAI-10", "SEQ-1")
async def completion_stop(client: Client) -> None:
    text = (await _texts(client, max_tokens=32))[0]
    stop = text[len(text) // 2 : len(text) // 2 + 4]
    if not stop.strip():
        raise Skip("the model wrote too little")
    if stop in (await _texts(client, max_tokens=32, stop=stop))[0]:
        raise CheckFailed(f"{stop!r} is a stop sequence, and is in the text")
