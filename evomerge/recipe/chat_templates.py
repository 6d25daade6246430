"""Chat templates that are known by a name, as Jinja texts for transformers.

Each writes a conversation in the form that models of that name were trained on; what the forms are is public
knowledge, the texts are ours.
"""

from __future__ import annotations

from collections.abc import Mapping

_EACH = "{%- for message in messages -%}"
_END = "{%- endfor -%}"

CHAT_TEMPLATES: Mapping[str, str] = {
    "chatml": (
        _EACH + "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}" + _END
        + "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
    ),
    "llama3": (
        "{{ bos_token }}" + _EACH
        + "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
        + "{{ message['content'] | trim + '<|eot_id|>' }}" + _END
        + "{%- if add_generation_prompt -%}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif -%}"
    ),
    "alpaca": (
        _EACH
        + "{%- if message['role'] == 'system' -%}{{ message['content'] + '\\n\\n' }}"
        + "{%- elif message['role'] == 'user' -%}{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}"
        + "{%- else -%}{{ '### Response:\\n' + message['content'] + eos_token + '\\n\\n' }}{%- endif -%}" + _END
        + "{%- if add_generation_prompt -%}{{ '### Response:\\n' }}{%- endif -%}"
    ),
    "mistral": (
        "{{ bos_token }}{%- set ahead = namespace(text='') -%}" + _EACH
        + "{%- if message['role'] == 'system' -%}{%- set ahead.text = message['content'] + '\\n\\n' -%}"
        + "{%- elif message['role'] == 'user' -%}"
        + "{{ '[INST] ' + ahead.text + message['content'] + ' [/INST]' }}{%- set ahead.text = '' -%}"
        + "{%- else -%}{{ ' ' + message['content'] | trim + eos_token }}{%- endif -%}" + _END
    ),
    "exaone": (
        _EACH + "{{ '[|' + message['role'] + '|]' + message['content'] }}"
        + "{{ '\\n' if message['role'] == 'user' else '[|endofturn|]\\n' }}" + _END
        + "{%- if add_generation_prompt -%}{{ '[|assistant|]' }}{%- endif -%}"
    ),
}  # fmt: skip
"""Name to template; the names are mergekit's."""
