"""Rules for the declared tools and the tool choice."""

from collections import Counter
from collections.abc import Collection

from dragoman.api.anthropic.defined_tools import definition
from dragoman.api.anthropic.request import AnyChoice, AnyToolChoice, NamedToolChoice, PromptRequest
from dragoman.api.anthropic.tools import CustomTool, DefinedTool
from dragoman.api.schemas import check_examples, check_schema
from dragoman.errors import InvalidRequest
from dragoman.limits import DEFAULT, Limits


def check_tools(request: PromptRequest, limits: Limits = DEFAULT) -> None:
    """Check the declared tools (TOOL-2, TOOL-3, TOOL-12, TOOL-14, TOOL-15)."""
    names = [checked_name(tool, f"tools.{index}", limits) for index, tool in enumerate(request.tools or ())]
    if any(count > 1 for count in Counter(names).values()):
        raise InvalidRequest.at("tools", "Tool names must be unique.")


def checked_name(tool: CustomTool | DefinedTool, path: str, limits: Limits = DEFAULT) -> str:
    """The name of the tool declared at `path`. Raises `InvalidRequest` if the declaration is not valid."""
    if isinstance(tool, CustomTool):
        path, name, schema = f"{path}.custom", tool.name, tool.input_schema
        check_schema(schema, f"{path}.input_schema", limits)
    else:
        name, _, schema = definition(tool.type, f"{path}.type")
        path = f"{path}.{tool.type}"
        if tool.name != name:
            raise InvalidRequest.at(f"{path}.name", "Field required" if tool.name is None else f"Input should be '{name}'")
    if tool.allowed_callers and "direct" not in tool.allowed_callers:
        raise InvalidRequest.at(
            f"{path}.allowed_callers", "must include 'direct': this server runs no code that could call tools"
        )
    check_examples(schema, tool.input_examples or (), f"{path}.input_examples")
    return name


def check_choice(choice: AnyChoice | None, names: Collection[str]) -> None:
    """Check that the choice is possible (TOOL-6). `names` are the tools that can be called at the end of the conversation."""
    if isinstance(choice, AnyToolChoice | NamedToolChoice):
        if not names:
            raise InvalidRequest.at("tool_choice", f"{choice.type} needs `tools`, but there are none")
        if isinstance(choice, NamedToolChoice) and choice.name not in names:
            raise InvalidRequest.at("tool_choice", f"Tool '{choice.name}' not found in provided tools")
