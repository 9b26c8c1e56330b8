"""What the checks ask for: tools, schemas, questions, and the form of the client's API."""

from typing import Any

from dragoman.doctor import request_fixtures
from dragoman.doctor.checks import streams
from dragoman.doctor.checks.thinking import FORM
from dragoman.doctor.client import Client
from dragoman.doctor.openai.chat_form import CHAT
from dragoman.doctor.openai.form import Form, Object
from dragoman.doctor.openai.responses_form import RESPONSES

TALE = "Tell me a tale of a lighthouse."
COUNTING = streams.COUNTING["messages"][0]["content"]
ASK_WEATHER, ASK_TIME = request_fixtures.ASK_WEATHER["content"], request_fixtures.ASK_TIME["content"]
WEATHER, CLOCK = tuple(request_fixtures.WEATHER.values()), tuple(request_fixtures.CLOCK.values())
"""Name, description and schema."""
WEATHER_SCHEMA = request_fixtures.WEATHER["input_schema"]
FORM_SCHEMA = FORM
ASK_FORM = "Is 17 + 25 even? Answer as JSON."


def form_of(client: Client) -> Form:
    """The format of the client's API."""
    return CHAT if client.api is CHAT.api else RESPONSES


def with_tools(form: Form, *turns: list[Object], **fields: Any) -> Object:
    """A request with two functions."""
    asked = turns or (form.user(ASK_WEATHER),)
    return form.body(*asked, **{"limit": 64, "tools": [form.function(*WEATHER), form.function(*CLOCK)], **fields})


def forced(form: Form) -> Object:
    """A request that must be answered with a call of any tool."""
    return with_tools(form, tool_choice="required")
