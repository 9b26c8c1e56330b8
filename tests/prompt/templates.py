"""Chat templates of many kinds, small enough to see what each can do."""

CHATML = """\
{%- for message in messages %}
    {%- if loop.first and message['role'] != 'system' %}
        {{- '<|im_start|>system\\nYou are a small model.<|im_end|>\\n' }}
    {%- endif %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
"""What the default model has: any role anywhere, a system turn of its own where there is none, and no tools."""

THINKING = CHATML.removesuffix("{% endif %}") + "<think>\n{% endif %}"
"""Likewise, and it begins the model's turn with reasoning."""

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
"""Everything: tools, calls with their arguments as an object, results, reasoning and its switch, a system turn anywhere."""

STRING_ARGUMENTS = FULL.replace(
    "{%- for name, value in call.function.arguments.items() %}{{ name + '=' + value | tojson + ';' }}{% endfor %}",
    "{{- '' + call.function.arguments }}",
).replace("enable_thinking", "thinking")
"""The same, with arguments as the string of JSON that OpenAI's API has, and the switch under its other name."""

ALTERNATING = """\
{%- for message in messages %}
    {%- if message.role not in ('user', 'assistant') %}{{ raise_exception('unknown role ' + message.role) }}{% endif %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
    {{- '[' + message.role + ']' + message.content | trim }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"""
"""Users and assistants in turn, and nobody else."""

SYSTEM_FIRST = """\
{%- for message in messages %}
    {%- if message.role == 'system' and not loop.first %}{{ raise_exception('system must come first') }}{% endif %}
    {{- '[' + message.role + ']' + message.content }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"""
"""A system turn at the top, and none elsewhere."""

HOISTING = """\
{%- for message in messages if message.role == 'system' %}{{ '[system]' + message.content }}{% endfor %}
{%- for message in messages if message.role != 'system' %}{{ '[' + message.role + ']' + message.content }}{% endfor %}"""
"""Takes a late system turn without complaint, and puts it at the top."""

ONE_CALL = FULL.replace("message.tool_calls or []", "(message.tool_calls or [])[:1]")
"""Loses all calls of a turn but the first."""

SILENT_CALLS = FULL.replace("{{- message.content }}", "{{- '' if message.tool_calls else message.content }}")
"""Loses the words beside a call."""

NO_RESULTS = FULL.replace("{{- message.content }}", "{{- '' if message.role == 'tool' else message.content }}")
"""Loses the results."""

SYSTEM_LOST = """\
{%- for message in messages if message.role != 'system' or message == messages[0] %}
    {{- '[' + message.role + ']' + message.content }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"""
"""Leaves a late system turn out without a word."""

TYPED = """\
{%- for message in messages %}
    {{- '[' + message.role + ']' }}
    {%- for part in message.content %}{{ part.text }}{% endfor %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"""
"""Wants content as a list of typed parts."""

WORDS_BEHIND = FULL.replace("{{- message.content }}", "{{- '' if message.tool_calls else message.content }}").replace(
    "{{- eos_token }}", "{{- message.content if message.tool_calls }}{{ eos_token }}"
)
"""Prints the words beside a call behind it."""

NINE = FULL.replace(
    "{{- '<call '", "{% if call.id | length != 9 %}{{ raise_exception('ids have nine') }}{% endif %}{{- '<call '"
)
"""Wants ids of nine letters and digits."""

ID_IS_NAME = FULL.replace("call.id + '>' + call.function.name + ':'", "call.id + '>'")
"""Prints a call's id where its name should be."""

RENUMBERING = FULL.replace("call.id + '>' + call.function.name", "'functions.' + call.function.name ~ ':' ~ loop.index0 ~ '>'")
"""Numbers the calls of every turn anew, whatever their ids."""

NO_EMPTY_RESULTS = FULL.replace(
    "{{- '<' + message.role + '>' }}",
    "{% if message.role == 'tool' and not message.content %}{% continue %}{% endif %}{{- '<' + message.role + '>' }}",
)
"""Leaves out a result of nothing."""

USERS_ALTERNATE = FULL.replace(
    "{{- '<' + message.role + '>' }}",
    """{% if message.role == 'user' and not loop.first and loop.previtem.role == 'tool' %}{{ raise_exception('no') }}{% endif %}
    {%- if message.role == 'tool' and loop.previtem.role == 'assistant' and not loop.previtem.tool_calls %}
        {{- raise_exception('a result of what?') }}
    {%- endif %}
    {{- '<' + message.role + '>' }}""",
)
"""Takes no user turn behind a result, and no result without a call."""

_REASONING = "{%- if message.reasoning_content %}{{ '<think>' + message.reasoning_content + '</think>' }}{% endif %}"

TYPED_REASONING = FULL.replace(_REASONING, "").replace(
    "{{- message.content }}",
    """{%- if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}
    {{- '<think>' + part.thinking + '</think>' if part.type == 'thinking' else part.text }}
    {%- endfor %}{% endif %}""",
)
"""Takes reasoning as a typed part of the content."""

OTHER_REASONING = FULL.replace("reasoning_content", "thinking")
"""Takes reasoning from another field."""

ONE_OF_TWO = FULL.replace(
    _REASONING,
    "{% if message.reasoning_content and message.tool_calls and message.content %}{{ raise_exception(1) }}{% endif %}"
    + _REASONING,
)
"""Takes reasoning or words beside a call, not both."""

FORGETFUL = """{%- set last = namespace(user=0) %}
{%- for message in messages %}{% if message.role == 'user' %}{% set last.user = loop.index0 %}{% endif %}{% endfor %}
""" + FULL.replace("{%- if message.reasoning_content %}", "{%- if message.reasoning_content and loop.index0 > last.user %}")
"""Drops the reasoning once the user has spoken again."""

REMEMBERS_WHEN_ASKED = FORGETFUL.replace("loop.index0 > last.user", "(preserve_thinking or loop.index0 > last.user)")
"""Drops it unless it is asked not to."""

UNTHINKING = CHATML.replace("<|im_start|>assistant\\n", "<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n")
"""Puts an empty thought in front of every answer, and leaves it out of the history."""

SPACED = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + ':' + (' ' if message.role == 'assistant' else '') + message.content + '<|im_end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant:' }}{% endif %}"""
"""Writes a space in front of an answer in the history; the prompt leaves it to the model."""
