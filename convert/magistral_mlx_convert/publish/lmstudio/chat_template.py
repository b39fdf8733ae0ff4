"""The chat template: Jinja that spells conversations as mistral-common encodes them (tokenizer version 13).

It does what this program's own prompts do. The reasoning prompt is always there: without a system message it
is the system message, and a system message without a thought gets it after a blank line. `thinking` false
leaves it out and opens the answer with an empty thought; `enable_thinking` is not looked at, because mlx-lm
sets it to false for every model whose thoughts it does not know. Thoughts of earlier answers are taken from
`reasoning_content`, `reasoning`, or chunks of type `thinking`.
"""

import json

from magistral_mlx.prompt.system_prompt import ReasoningPrompt

_TEMPLATE = """\
{%- set reasoning_prompt = @REASONING@ -%}
{%- set thinks = thinking is not defined or thinking -%}
{%- macro chunks(content) -%}
  {%- if content is string -%}
    {{- content -}}
  {%- elif content is not none and content is defined -%}
    {%- for chunk in content -%}
      {%- if chunk.type == 'text' -%}
        {{- chunk.text -}}
      {%- elif chunk.type == 'thinking' -%}
        {{- '[THINK]' -}}{{- chunks(chunk.thinking) -}}{{- '[/THINK]' -}}
      {%- elif chunk.type in ('image', 'image_url') -%}
        {{- '[IMG]' -}}
      {%- else -%}
        {{- raise_exception('Content of type ' ~ chunk.type ~ ' is not known.') -}}
      {%- endif -%}
    {%- endfor -%}
  {%- endif -%}
{%- endmacro -%}
{{- bos_token -}}
{%- if messages and messages[0].role == 'system' -%}
  {%- set system = chunks(messages[0].content) -%}
  {%- set turns = messages[1:] -%}
{%- else -%}
  {%- set system = '' -%}
  {%- set turns = messages -%}
{%- endif -%}
{%- if thinks and reasoning_prompt and '[THINK]' not in system -%}
  {%- set system = (system | trim) ~ '\\n\\n' ~ reasoning_prompt if system | trim else reasoning_prompt -%}
{%- endif -%}
{%- if system -%}
  {{- '[SYSTEM_PROMPT]' -}}{{- system -}}{{- '[/SYSTEM_PROMPT]' -}}
{%- endif -%}
{%- set told = namespace(tools=false) -%}
{%- for message in turns -%}
  {%- if message.role == 'user' -%}
    {%- if tools and not told.tools -%}
      {{- '[AVAILABLE_TOOLS]' -}}{{- tools | tojson -}}{{- '[/AVAILABLE_TOOLS]' -}}
    {%- endif -%}
    {%- set told.tools = true -%}
    {{- '[INST]' -}}{{- chunks(message.content) -}}{{- '[/INST]' -}}
  {%- elif message.role == 'assistant' -%}
    {%- set thought = message.reasoning_content or message.reasoning or '' -%}
    {%- if thought -%}
      {{- '[THINK]' -}}{{- thought -}}{{- '[/THINK]' -}}
    {%- endif -%}
    {{- chunks(message.content) -}}
    {%- for call in message.tool_calls or [] -%}
      {%- set arguments = call.function.arguments -%}
      {{- '[TOOL_CALLS]' -}}{{- call.function.name -}}{{- '[ARGS]' -}}
      {{- arguments if arguments is string else arguments | tojson -}}
    {%- endfor -%}
    {{- eos_token -}}
  {%- elif message.role == 'tool' -%}
    {{- '[TOOL_RESULTS]' -}}{{- chunks(message.content) -}}{{- '[/TOOL_RESULTS]' -}}
  {%- else -%}
    {{- raise_exception('A message of the role ' ~ message.role ~ ' can not stand here.') -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt and not thinks -%}
  {{- '[THINK][/THINK]' -}}
{%- endif -%}
"""


def chat_template(reasoning: ReasoningPrompt | None) -> str:
    """The content of chat_template.jinja; without a reasoning prompt nothing is added to conversations."""
    text = reasoning.text if reasoning else ""
    # JSON's string is Jinja's too, once nothing in it needs an escape that Jinja does not know.
    return _TEMPLATE.replace("@REASONING@", json.dumps(text, ensure_ascii=False))
