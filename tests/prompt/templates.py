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
