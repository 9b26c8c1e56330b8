"""Defects of chat completions and completions."""

from doctor.relay import Exchange
from dragoman.doctor import CHAT_API

from .registry import Object, asks, chunks, is_generation, lines, on_request, on_response, refuses, whole

CHAT = [CHAT_API]

# ---- whole answers


@whole("chat-shape", apis=CHAT)
def a_completion_of_another_kind(_: Exchange, answer: Object) -> None:
    answer["object"] = "message"


@whole("usage", apis=CHAT)
def a_total_that_is_not_the_sum(_: Exchange, answer: Object) -> None:
    answer["usage"]["total_tokens"] += 1


@on_request("max-completion-tokens", apis=CHAT)
def the_newer_limit_is_ignored(exchange: Exchange) -> None:
    if is_generation(exchange):
        exchange.body.pop("max_completion_tokens", None)


@on_request("stop", apis=CHAT)
def stop_sequences_are_ignored(exchange: Exchange) -> None:
    if is_generation(exchange):
        exchange.body.pop("stop", None)


@on_request("choices", apis=CHAT)
def one_choice_only(exchange: Exchange) -> None:
    if is_generation(exchange):
        exchange.body.pop("n", None)


refuses(lambda e: asks(e) and e.holds('"content": null'), "content-forms", "tool-result", name="null is refused", apis=CHAT)


@on_request("json-object", apis=CHAT)
def json_mode_is_ignored(exchange: Exchange) -> None:
    if asks(exchange, response_format={"type": "json_object"}):
        exchange.body["messages"][0]["content"] = "Tell a tale."
        del exchange.body["response_format"]


@on_request("refused-by-name", apis=CHAT)
def an_answer_in_audio_is_left_out(exchange: Exchange) -> None:
    if is_generation(exchange):
        exchange.body.pop("audio", None)
        exchange.body.pop("modalities", None)


# ---- chunks


@chunks("sse-bit-by-bit")
def the_text_in_one_chunk(found: list[Object]) -> list[Object]:
    if any("tool_calls" in choice["delta"] for chunk in found for choice in chunk["choices"]):
        return found
    text = "".join(choice["delta"].get("content") or "" for chunk in found for choice in chunk["choices"])
    first = {**found[0], "choices": [{**found[0]["choices"][0], "delta": {"role": "assistant", "content": text}}]}
    return [first, *(chunk for chunk in found[1:] if not chunk["choices"] or chunk["choices"][0]["finish_reason"])]


@chunks("sse-arguments")
def arguments_that_lack_their_beginning(found: list[Object]) -> list[Object]:
    for chunk in found:
        for choice in chunk["choices"]:
            for call in choice["delta"].get("tool_calls", ()):
                call["function"]["arguments"] = call["function"]["arguments"].replace("{", "")
    return found


@chunks("stream-equals-whole")
def a_stream_without_calls(found: list[Object]) -> list[Object]:
    for chunk in found:
        for choice in chunk["choices"]:
            if choice["delta"].pop("tool_calls", None):
                choice["delta"]["content"] = "x"
    return found


@lines("sse-done", "completion-stream")
def streams_without_an_end(_: Exchange, data: list[str]) -> list[str]:
    return data[:-1]


@lines("completion-stream")
def completions_without_an_end(exchange: Exchange, data: list[str]) -> list[str]:
    return data[:-1] if exchange.path == "/v1/completions" else data


@lines("sse-chunks")
def text_that_is_not_a_chunk(_: Exchange, data: list[str]) -> list[str]:
    return [*data[:1], "ping", *data[1:]]


@chunks("sse-one-answer")
def an_id_for_each_chunk(found: list[Object]) -> list[Object]:
    return [{**chunk, "id": f"chatcmpl-{number}"} for number, chunk in enumerate(found)]


@chunks("sse-role")
def no_role(found: list[Object]) -> list[Object]:
    return found[1:]


@chunks("sse-finish")
def a_finish_reason_in_each_chunk(found: list[Object]) -> list[Object]:
    for chunk in found:
        for choice in chunk["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or "stop"
    return found


@on_request("sse-usage", apis=CHAT)
def usage_is_not_sent(exchange: Exchange) -> None:
    if is_generation(exchange):
        exchange.body.pop("stream_options", None)


@chunks("sse-call")
def calls_begin_without_an_id(found: list[Object]) -> list[Object]:
    for chunk in found:
        for choice in chunk["choices"]:
            for call in choice["delta"].get("tool_calls", ()):
                call.pop("id", None)
    return found


# ---- tools


@whole("tool-ids", apis=CHAT)
def one_id_for_all_calls(_: Exchange, answer: Object) -> None:
    for call in answer["choices"][0]["message"].get("tool_calls", ()):
        call["id"] = "call_0"


@whole("tool-one", apis=CHAT)
def two_calls_where_one_is_allowed(exchange: Exchange, answer: Object) -> None:
    if exchange.body.get("parallel_tool_calls") is False:
        answer["choices"][0]["message"]["tool_calls"] *= 2


@whole("tool-arguments", apis=CHAT)
def arguments_with_a_wrong_value(exchange: Exchange, answer: Object) -> None:
    if exchange.holds("Use order."):
        answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = '{"count": 9}'


@whole("tool-auto", apis=CHAT)
def calls_as_text(exchange: Exchange, answer: Object) -> None:
    if "tool_choice" not in exchange.body and answer["choices"][0]["message"].get("tool_calls"):
        answer["choices"][0]["message"] = {"role": "assistant", "content": "<tool_call>\n{}\n</tool_call>"}


# ---- completions


@on_response("completion", apis=CHAT)
def a_completion_without_usage(exchange: Exchange) -> None:
    if exchange.path == "/v1/completions" and exchange.answer:
        exchange.answer = {**exchange.answer, "usage": None}


def _completion(exchange: Exchange) -> Object:
    return exchange.body if exchange.path == "/v1/completions" else {}


@on_request("completion-list", apis=CHAT)
def only_the_first_prompt(exchange: Exchange) -> None:
    if isinstance(_completion(exchange).get("prompt"), list):
        exchange.body["prompt"] = exchange.body["prompt"][0]


@on_request("completion-echo", apis=CHAT)
def echo_is_ignored(exchange: Exchange) -> None:
    _completion(exchange).pop("echo", None)


@on_request("completion-stop", apis=CHAT)
def stop_sequences_of_completions_are_ignored(exchange: Exchange) -> None:
    _completion(exchange).pop("stop", None)
