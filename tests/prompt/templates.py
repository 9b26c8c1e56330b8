"""Small chat templates, each with one property to test."""

CHATML = """\
{%- for message in messages %}
    {%- if loop.first and message['role'] != 'system' %}
        {{- '<|im_start|>system\\nYou are a small model.<|im_end|>\\n' }}
    {%- endif %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
"""The template of the default model: any role anywhere, a default system turn, and no tools."""

THINKING = CHATML.removesuffix("{% endif %}") + "<think>\n{% endif %}"
"""The same, and its prompts end with an opened reasoning block."""

FULL = """\
{{- bos_token }}
{%- if tools %}{{ '<tools>' + tools | tojson + '</tools>' }}{% endif %}
{%- for message in messages %}
    {{- '<' + message.role + '>' }}
    {%- if message.reasoning_content %}{{ '<think>' + message.reasoning_content + '</think>' }}{% endif %}
    {{- message.content }}
    {%- for call in message.tool_calls or [] %}
        {{- '<call ' + call.id + '>' + call.function.name + ':' }}
        {%- for name, value in call.function.arguments.items() %}{{ name + '=' + value | tojson + ';' }}{% endfor %}
    {%- endfor %}
    {{- eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<assistant>' }}
    {%- if enable_thinking is defined and not enable_thinking %}{{ '<think></think>' }}{% endif %}
{%- endif %}"""
"""All capabilities: tools, calls with arguments as an object, results, reasoning and its variable, a system turn anywhere."""

STRING_ARGUMENTS = FULL.replace(
    "{%- for name, value in call.function.arguments.items() %}{{ name + '=' + value | tojson + ';' }}{% endfor %}",
    "{{- '' + call.function.arguments }}",
).replace("enable_thinking", "thinking")
"""The same, with arguments as a JSON string as in OpenAI's API, and another variable for thinking."""

ALTERNATING = """\
{%- for message in messages %}
    {%- if message.role not in ('user', 'assistant') %}{{ raise_exception('unknown role ' + message.role) }}{% endif %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
    {{- '[' + message.role + ']' + message.content | trim }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"""
"""Requires alternating user and assistant turns, and no others."""

SYSTEM_FIRST = """\
{%- for message in messages %}
    {%- if message.role == 'system' and not loop.first %}{{ raise_exception('system must come first') }}{% endif %}
    {{- '[' + message.role + ']' + message.content }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"""
"""Allows a system turn only at the top."""

HOISTING = """\
{%- for message in messages if message.role == 'system' %}{{ '[system]' + message.content }}{% endfor %}
{%- for message in messages if message.role != 'system' %}{{ '[' + message.role + ']' + message.content }}{% endfor %}"""
"""Moves a late system turn to the top."""

ONE_CALL = FULL.replace("message.tool_calls or []", "(message.tool_calls or [])[:1]")
"""Loses all calls of a turn except the first."""

TEXT_BESIDE_CALL_LOST = FULL.replace("{{- message.content }}", "{{- '' if message.tool_calls else message.content }}")
"""Loses the text beside a call."""

NO_RESULTS = FULL.replace("{{- message.content }}", "{{- '' if message.role == 'tool' else message.content }}")
"""Loses results."""

SYSTEM_LOST = """\
{%- for message in messages if message.role != 'system' or message == messages[0] %}
    {{- '[' + message.role + ']' + message.content }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"""
"""Leaves out a late system turn."""

TYPED = """\
{%- for message in messages %}
    {{- '[' + message.role + ']' }}
    {%- for part in message.content %}{{ part.text }}{% endfor %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"""
"""Requires content as a list of typed parts."""

TEXT_AFTER_CALL = FULL.replace("{{- message.content }}", "{{- '' if message.tool_calls else message.content }}").replace(
    "{{- eos_token }}", "{{- message.content if message.tool_calls }}{{ eos_token }}"
)
"""Prints the text beside a call after it."""

NINE = FULL.replace(
    "{{- '<call '", "{% if call.id | length != 9 %}{{ raise_exception('ids have nine') }}{% endif %}{{- '<call '"
)
"""Requires ids of nine letters and digits."""

ID_IS_NAME = FULL.replace("call.id + '>' + call.function.name + ':'", "call.id + '>'")
"""Prints a call's id instead of its name."""

RENUMBERING = FULL.replace("call.id + '>' + call.function.name", "'functions.' + call.function.name ~ ':' ~ loop.index0 ~ '>'")
"""Numbers the calls of each turn from 0, whatever their ids."""

NO_EMPTY_RESULTS = FULL.replace(
    "{{- '<' + message.role + '>' }}",
    "{% if message.role == 'tool' and not message.content %}{% continue %}{% endif %}{{- '<' + message.role + '>' }}",
)
"""Leaves out an empty result."""

USERS_ALTERNATE = FULL.replace(
    "{{- '<' + message.role + '>' }}",
    """{% if message.role == 'user' and not loop.first and loop.previtem.role == 'tool' %}{{ raise_exception('no') }}{% endif %}
    {%- if message.role == 'tool' and loop.previtem.role == 'assistant' and not loop.previtem.tool_calls %}
        {{- raise_exception('a result of what?') }}
    {%- endif %}
    {{- '<' + message.role + '>' }}""",
)
"""Refuses a user turn after a result, and a result without a call."""

_REASONING = "{%- if message.reasoning_content %}{{ '<think>' + message.reasoning_content + '</think>' }}{% endif %}"

TYPED_REASONING = FULL.replace(_REASONING, "").replace(
    "{{- message.content }}",
    """{%- if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}
    {{- '<think>' + part.thinking + '</think>' if part.type == 'thinking' else part.text }}
    {%- endfor %}{% endif %}""",
)
"""Renders reasoning from a typed part of the content."""

OTHER_REASONING = FULL.replace("reasoning_content", "thinking")
"""Renders reasoning from another field."""

REASONING_OR_TEXT = FULL.replace(
    _REASONING,
    "{% if message.reasoning_content and message.tool_calls and message.content %}{{ raise_exception(1) }}{% endif %}"
    + _REASONING,
)
"""Renders reasoning or text beside a call, not both."""

DROPS_REASONING = """{%- set last = namespace(user=0) %}
{%- for message in messages %}{% if message.role == 'user' %}{% set last.user = loop.index0 %}{% endif %}{% endfor %}
""" + FULL.replace("{%- if message.reasoning_content %}", "{%- if message.reasoning_content and loop.index0 > last.user %}")
"""Drops reasoning after the next user turn."""

KEEPS_REASONING_IF_SET = DROPS_REASONING.replace("loop.index0 > last.user", "(preserve_thinking or loop.index0 > last.user)")
"""Drops it unless a variable is set."""

EMPTY_REASONING = CHATML.replace("<|im_start|>assistant\\n", "<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n")
"""Puts empty reasoning before every answer in prompts, and leaves it out of the history."""

SPACE_BEFORE_ANSWER = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + ':' + (' ' if message.role == 'assistant' else '') + message.content + '<|im_end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant:' }}{% endif %}"""
"""Writes a space before an answer in the history, which prompts do not have."""
