"""Our renderer against transformers' own, on what templates of known families use."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from srl_edge.errors import InputError
from srl_edge.models import chat_template
from srl_edge.models.wheels import GEMMA_TEMPLATE
from tests.helpers.models import make_tokenizer

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "12 < 30 & 'so' \u00e9?"},
    {"role": "assistant", "content": "Yes."},
    {"role": "user", "content": "And 2?"},
]
TEMPLATES = {
    "plain": "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}{% endfor %}",
    "gemma": GEMMA_TEMPLATE,
    "tojson": "{% for m in messages %}{{ m | tojson }}{{ m | tojson(indent=1) }}{% endfor %}",
    "loop controls": "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}"
    "{{ m.content }}{% if loop.index > 2 %}{% break %}{% endif %}{% endfor %}",
    "generation": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content }}\n{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}",
    "special tokens": "{{ bos_token }}{{ eos_token }}{% if not pad_token %}none{% endif %}",
    "blocks": "{%- for m in messages %}\n    {{ m.content }}\n  {%- endfor %}\n"
    "  {% if true %}\nx{% endif %}",
    "date": "{{ strftime_now('%Y-%m-%d') }}",
}


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("begun", [True, False])
def test_it_renders_what_transformers_renders(name: str, begun: bool, tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path)
    tokenizer.chat_template = TEMPLATES[name]
    tokenizer.save_pretrained(tmp_path)
    expected = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=begun)
    assert chat_template.of_tokenizer(tokenizer).render(CHAT, begun) == expected
    assert chat_template.of_folder(tmp_path).render(CHAT, begun) == expected
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert chat_template.of_tokenizer(loaded).render(CHAT, begun) == expected


def test_what_a_template_refuses_is_one_sentence_in_its_own_words() -> None:
    refusing = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(InputError, match="System role not supported; where it takes no system"):
        chat_template.ChatTemplate(refusing, {}).render(CHAT)


def test_a_template_reaches_nothing_of_python() -> None:
    escape = "{{ messages.__class__.__mro__ }}{{ ''.__class__.__base__.__subclasses__() }}"
    with pytest.raises(InputError, match="does not take this chat"):
        chat_template.ChatTemplate(escape, {}).render(CHAT)
