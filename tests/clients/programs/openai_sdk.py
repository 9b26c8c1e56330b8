"""The steps of OpenAI's SDK, with the Responses API; every body and every event is checked against its type."""

import json
from typing import Any

from openai import OpenAI
from pydantic import BaseModel
from steps import (
    A_DOT,
    AND_SUN,
    ASK_CITY,
    ASK_ON,
    ASK_PAGES,
    ASK_PICTURE,
    ASK_THOUGHT,
    ASK_WEATHER,
    CITY,
    HELLO,
    HELLO_THERE,
    IT_RAINS,
    KEY,
    MODEL,
    PAGES_SAY,
    PDF,
    PNG,
    SCHEMA,
    THOUGHT,
    URL,
    WEATHER,
    base64,
    refused,
    run_steps,
    same,
)

client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, _strict_response_validation=True)
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather of a place.",
    "parameters": SCHEMA,
    "strict": False,
}


def message() -> None:
    answer = client.responses.create(model=MODEL, input=HELLO)
    same(answer.output_text, HELLO_THERE)
    same(client.responses.retrieve(answer.id), answer)


def stream() -> None:
    with client.responses.stream(model=MODEL, input=HELLO) as events:
        same("".join(event.delta for event in events if event.type == "response.output_text.delta"), HELLO_THERE)
        same(events.get_final_response().status, "completed")


def tools() -> None:
    with client.responses.stream(model=MODEL, input=ASK_WEATHER, tools=[TOOL]) as events:
        first = events.get_final_response()
    [call] = first.output
    same(json.loads(call.arguments), {"place": "Ulm"})
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": WEATHER}
    same(
        client.responses.create(model=MODEL, input=[output], previous_response_id=first.id, tools=[TOOL]).output_text, IT_RAINS
    )


def thinking() -> None:
    asked: list[Any] = [{"role": "user", "content": ASK_THOUGHT}]
    answer = client.responses.create(model=MODEL, input=asked, store=False)
    same([item.type for item in answer.output], ["reasoning", "message"])
    same(answer.output[0].content[0].text, THOUGHT)
    asked += [*(item.to_dict() for item in answer.output), {"role": "user", "content": ASK_ON}]
    same(client.responses.create(model=MODEL, input=asked, store=False).output_text, AND_SUN)


class City(BaseModel):
    city: str


def structured() -> None:
    same(client.responses.parse(model=MODEL, input=ASK_CITY, text_format=City).output_parsed, City(city=CITY))


def image() -> None:
    picture = {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{base64(PNG)}"}
    content: Any = [picture, {"type": "input_text", "text": ASK_PICTURE}]
    same(client.responses.create(model=MODEL, input=[{"role": "user", "content": content}]).output_text, A_DOT)


def pdf() -> None:
    file = {"type": "input_file", "filename": "rain.pdf", "file_data": f"data:application/pdf;base64,{base64(PDF)}"}
    content: Any = [file, {"type": "input_text", "text": ASK_PAGES}]
    same(client.responses.create(model=MODEL, input=[{"role": "user", "content": content}]).output_text, PAGES_SAY)


def count() -> None:
    counted = client.responses.input_tokens.count(model=MODEL, input=HELLO).input_tokens
    same(counted, client.responses.create(model=MODEL, input=HELLO).usage.input_tokens)


def errors() -> None:
    refused(401, lambda: client.with_options(api_key="wrong").responses.create(model=MODEL, input=HELLO))
    refused(404, lambda: client.responses.create(model="gpt-9", input=HELLO))
    refused(400, lambda: client.responses.create(model=MODEL, input=[]))


run_steps(message, stream, tools, thinking, structured, image, pdf, count, errors)
