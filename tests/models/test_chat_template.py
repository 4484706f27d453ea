"""Our renderer against transformers' own, on what templates of known families use."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from srl_edge.errors import InputError
from srl_edge.exporters.parity.tokens import chats
from srl_edge.models import chat_template
from srl_edge.models.wheels import GEMMA_TEMPLATE
from tests.helpers.models import make_tokenizer
from tests.helpers.templates import FAMILIES

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
    "tools": "{% if tools is not none %}{{ tools | tojson }}{% endif %}{% if documents is none %}"
    "none{% endif %}{% if tools is defined %}told{% endif %}{{ messages[0].content }}",
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
    template = chat_template.of_tokenizer(tokenizer)
    asked = template.accepted(CHAT)
    expected = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=begun)
    today = datetime.now().strftime("%Y-%m-%d")
    assert template.render(CHAT, begun, today) == expected
    assert chat_template.of_folder(tmp_path).render(CHAT, begun, today) == expected
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert chat_template.of_tokenizer(loaded).render(CHAT, begun, today) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_fifty_chats_of_each_family_are_as_transformers_renders_them(
    family: str, tmp_path: Path
) -> None:
    tokenizer = make_tokenizer(tmp_path)
    tokenizer.bos_token = "<|endoftext|>"
    tokenizer.chat_template = FAMILIES[family]
    tokenizer.save_pretrained(tmp_path)
    template = chat_template.of_tokenizer(tokenizer)
    alone = chat_template.of_folder(tmp_path)
    today = datetime.now().strftime("%Y-%m-%d")
    system = {"role": "system", "content": "Be brief."}
    asked = [
        [*([system] if at % 2 and chat[0]["role"] != "system" else []), *chat]
        for at, chat in enumerate(chats())
    ]
    assert len(asked) == 50
    ways: list[dict[str, Any]] = [{}, {"tools": TOOLS}, {"enable_thinking": False}]
    for chat in [*asked, CHAT]:
        for told in ways:
            turns = template.accepted(chat, told)
            taken = told if template.takes_tools() or "tools" not in told else {}
            expected = tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True, **taken
            )
            assert template.render(chat, True, today, told) == expected
            assert alone.render(chat, True, today, told) == expected


HANGS = {
    "comparing": "{% set ns=namespace(a=[1],b=[1]) %}{% for i in range(60) %}"
    "{% set ns.a=[ns.a,ns.a] %}{% set ns.b=[ns.b,ns.b] %}{% endfor %}{{ ns.a==ns.b }}",
    "hashing": "{% set ns=namespace(a=(1,)) %}{% for i in range(60) %}"
    "{% set ns.a=(ns.a,ns.a) %}{% endfor %}{{ {ns.a: 1} }}",
}


@pytest.mark.parametrize("name", HANGS)
def test_a_template_that_heeds_nothing_ends_with_its_process(name: str) -> None:
    code = (
        "import sys; from srl_edge.models import chat_template, limits;"
        "limits.SECONDS, limits.LAST = 0.5, 1.5;"
        "chat_template.ChatTemplate(sys.argv[1], {}).render([{'role': 'user', 'content': 'Hi'}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, HANGS[name]], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "chat_template.py" in done.stderr


TOOLS = [
    {
        "type": "function",
        "function": {"name": "set_light", "parameters": {"room": {"type": "string"}}},
    }
]
# What the templates of Qwen 3, Llama 3.1, Qwen 2.5 and SmolLM 3 ask of their caller, in our words.
ASKING: dict[str, tuple[str, dict[str, Any]]] = {
    "thinking": (
        "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}A:"
        "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>"
        "{% endif %}{% endif %}",
        {"enable_thinking": False},
    ),
    "date": (
        "{% if not date_string is defined %}{% set date_string = '26 Jul 2024' %}{% endif %}"
        "Today: {{ date_string }}{{ messages[0].content }}",
        {"date_string": "01 Feb 2026"},
    ),
    "tools": (
        "{% if tools %}# Tools{% for tool in tools %}\n{{ tool | tojson }}{% endfor %}{% endif %}"
        "{{ messages[0].content }}",
        {"tools": TOOLS},
    ),
    "effort": (
        "{% set effort = reasoning_effort | default('medium') %}{{ effort }}"
        "{% if xml_tools %}{{ xml_tools | length }}{% endif %}{{ messages[-1].content }}",
        {"reasoning_effort": "low", "xml_tools": TOOLS},
    ),
}


@pytest.mark.parametrize("name", ASKING)
def test_what_a_template_asks_of_its_caller_is_told(name: str, tmp_path: Path) -> None:
    source, told = ASKING[name]
    tokenizer = make_tokenizer(tmp_path)
    tokenizer.chat_template = source
    tokenizer.save_pretrained(tmp_path)
    plain = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    expected = tokenizer.apply_chat_template(
        CHAT, tokenize=False, add_generation_prompt=True, **told
    )
    assert expected != plain
    for template in (chat_template.of_tokenizer(tokenizer), chat_template.of_folder(tmp_path)):
        assert template.render(CHAT, arguments=told) == expected
        assert template.render(CHAT) == plain


def test_what_a_template_refuses_is_one_sentence_in_its_own_words() -> None:
    refusing = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(InputError, match="does not take this chat: System role not supported"):
        chat_template.ChatTemplate(refusing, {}).render(CHAT)


def test_a_template_reaches_nothing_of_python() -> None:
    escape = "{{ messages.__class__.__mro__ }}{{ ''.__class__.__base__.__subclasses__() }}"
    with pytest.raises(InputError, match="does not take this chat"):
        chat_template.ChatTemplate(escape, {}).render(CHAT)


USER_ONLY = (
    "{% for m in messages %}{% if m.role not in ('user', 'assistant') %}"
    "{{ raise_exception('only user and assistant') }}{% endif %}[{{ m.role }}] {{ m.content }}\n"
    "{% endfor %}"
)
LEAVES_IT_OUT = USER_ONLY.replace(
    "{{ raise_exception('only user and assistant') }}", "{% continue %}"
)
AS_GEMMA_2 = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}"
    "{% endif %}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}<{{ m.role }}>{{ m.content }}"
    "{% endfor %}"
)


@pytest.mark.parametrize("source", [USER_ONLY, LEAVES_IT_OUT, AS_GEMMA_2])
def test_a_system_text_that_a_template_does_not_take_goes_to_the_user(source: str) -> None:
    template = chat_template.ChatTemplate(source, {})
    assert template.accepted(CHAT)[0] == {
        "role": "user",
        "content": "Be brief.\n\n12 < 30 & 'so' \u00e9?",
    }
    assert "Be brief.\n\n12 < 30" in template.render(CHAT)
    assert CHAT[0]["role"] == "system"  # what it was given stays


def test_the_date_is_the_runs_and_not_todays() -> None:
    asks = "{{ strftime_now('%d %b %Y') }}"
    assert chat_template.ChatTemplate(asks, {}).render(CHAT) == "26 Jul 2024"
    assert chat_template.ChatTemplate(asks, {}).render(CHAT, date="2026-01-02") == "02 Jan 2026"
    guarded = "{% if strftime_now is defined %}" + asks + "{% else %}never{% endif %}"
    assert chat_template.ChatTemplate(guarded, {}).render(CHAT) == "26 Jul 2024"


@pytest.mark.parametrize("files", [True, False])
@pytest.mark.parametrize("alone", [True, False])
def test_of_several_templates_the_default_is_taken(
    alone: bool, files: bool, tmp_path: Path
) -> None:
    tokenizer = make_tokenizer(tmp_path)
    named = {"tool_use": "tools{{ messages[0].content }}", "default": TEMPLATES["plain"]}
    named = {"rag": TEMPLATES["plain"]} if alone else named
    tokenizer.chat_template = named
    (tmp_path / "chat_template.jinja").unlink()
    tokenizer.save_pretrained(tmp_path, save_jinja_files=files)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert isinstance(loaded.chat_template, dict)
    expected = chat_template.ChatTemplate(TEMPLATES["plain"], {}).render(CHAT)
    assert chat_template.of_tokenizer(loaded).render(CHAT) == expected
    assert chat_template.of_folder(tmp_path).render(CHAT) == expected


PARTS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for part in m.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_a_template_of_parts_alone_is_given_parts(tmp_path: Path) -> None:
    """As those of models that see are: a text is none of theirs, and goes without a word."""
    tokenizer = make_tokenizer(tmp_path)
    plain = chat_template.of_tokenizer(tokenizer).render(CHAT)
    tokenizer.chat_template = PARTS
    template = chat_template.of_tokenizer(tokenizer)
    assert template.render(CHAT) == plain and "And 2?" in plain
    assert template.after_reply() == "<|im_end|>\n"
    asked = template.accepted(CHAT)
    assert template.render(CHAT) == tokenizer.apply_chat_template(
        asked, tokenize=False, add_generation_prompt=True
    )


def test_a_template_of_parts_without_a_system_role_has_its_text_in_the_users_turn() -> None:
    some = PARTS.replace("in messages %}", "in messages if m.role != 'system' %}", 1)
    said = chat_template.ChatTemplate(some, {}).render(CHAT)
    assert "user\nBe brief.\n\n12 < 30" in said


def test_a_template_of_both_is_given_texts() -> None:
    both = PARTS.replace(
        "{% for part", "{% if m.content is string %}{{ m.content }}{% else %}{% for part", 1
    ).replace("{% endfor %}<", "{% endfor %}{% endif %}<", 1)
    template = chat_template.ChatTemplate(both, {})
    assert template.accepted(CHAT) == CHAT and "And 2?" in template.render(CHAT)
