"""The steps of LiteLLM, which translates OpenAI's request format into the Messages API."""

import json
import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise it requests prices from the internet
import litellm
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
    MAX_TOKENS,
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

litellm.suppress_debug_info = True


def complete(text: str | list[Any], model: str = MODEL, key: str = KEY, **options: Any) -> Any:
    turns = [{"role": "user", "content": text}] if isinstance(text, str) else text
    fields = {"max_tokens": MAX_TOKENS, "num_retries": 0, **options}
    return litellm.completion(f"anthropic/{model}", turns, api_base=URL, api_key=key, **fields)


def message() -> None:
    answer = complete(HELLO)
    same(answer.choices[0].message.content, HELLO_THERE)
    assert answer.usage.prompt_tokens > 0


def stream() -> None:
    chunks = [chunk.choices[0].delta.content or "" for chunk in complete(HELLO, stream=True)]
    same("".join(chunks), HELLO_THERE)


def tools() -> None:
    offered = [{"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": SCHEMA}}]
    turns: list[Any] = [{"role": "user", "content": ASK_WEATHER}]
    turns.append(complete(turns, tools=offered).choices[0].message.model_dump())
    [call] = turns[-1]["tool_calls"]
    same(json.loads(call["function"]["arguments"]), {"place": "Ulm"})
    turns.append({"role": "tool", "tool_call_id": call["id"], "content": WEATHER})
    same(complete(turns, tools=offered).choices[0].message.content, IT_RAINS)


def thinking() -> None:
    # LiteLLM has a list of models that can think, and this model is not on it.
    budget = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "allowed_openai_params": ["thinking"]}
    answer = complete(ASK_THOUGHT, **budget).choices[0].message
    same(answer.reasoning_content, THOUGHT)
    turns = [{"role": "user", "content": ASK_THOUGHT}, answer.model_dump(), {"role": "user", "content": ASK_ON}]
    same(complete(turns, **budget).choices[0].message.content, AND_SUN)


def structured() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "City", "schema": schema, "strict": True}}
    answer = complete(ASK_CITY, response_format=wanted).choices[0].message
    same(json.loads(answer.content), {"city": CITY})


def ask(part: dict[str, Any], question: str) -> Any:
    return complete([{"role": "user", "content": [part, {"type": "text", "text": question}]}]).choices[0].message.content


def image() -> None:
    same(ask({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64(PNG)}"}}, ASK_PICTURE), A_DOT)


def pdf() -> None:
    same(ask({"type": "file", "file": {"file_data": f"data:application/pdf;base64,{base64(PDF)}"}}, ASK_PAGES), PAGES_SAY)


def errors() -> None:
    refused(401, lambda: complete(HELLO, key="wrong"))
    refused(404, lambda: complete(HELLO, model="gpt-9"))
    refused(400, lambda: complete(HELLO, temperature=7))


run_steps(message, stream, tools, thinking, structured, image, pdf, errors)
