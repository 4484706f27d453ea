"""Declared functions reach the prompt, whatever a model's template has for them."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from srl_edge.devices.runtimes.chat import Chat
from srl_edge.errors import InputError
from srl_edge.method.prompt_form import PRESETS
from srl_edge.method.prompts import prompt_ids
from srl_edge.method.types import StepPrompt
from srl_edge.models import chat_template
from srl_edge.models.wheels import GEMMA_TEMPLATE
from tests.helpers.models import make_tokenizer

TOOL = {
    "type": "function",
    "function": {
        "name": "feed_cat",
        "description": "Füttert sie.",
        "parameters": {"type": "object", "properties": {"grams": {"type": "integer"}}},
    },
}
TOOLS = {"tools": [TOOL]}
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WITH_PLACE = "{% if tools %}<tools>{{ tools | tojson }}</tools>{% endif %}" + CHATML
# As Mistral's, in the last question; as some are, beside a system's text alone.
IN_QUESTION = "{% for m in messages %}{{ tools[0].function.name if tools and loop.last }}" + (
    "{{ m.content }}{% endfor %}"
)
BESIDE_SYSTEM = (
    "{% for m in messages %}{{ m.content }}{% if m.role == 'system' and tools %}"
    "{{ tools | tojson }}{% endif %}{% endfor %}"
)
NO_SYSTEM = (
    "{% for m in messages if m.role != 'system' %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
)
FAILS = "{% if tools %}{{ raise_exception('none') }}{% endif %}" + CHATML
PARTS = "{% for m in messages %}{% for p in m.content %}{{ p.text }}\n{% endfor %}{% endfor %}"
ASKED: list[dict[str, Any]] = [{"role": "user", "content": "Feed the cat."}]
SYSTEM: list[dict[str, Any]] = [{"role": "system", "content": "Be kind."}, *ASKED]


@pytest.mark.parametrize("chat", [ASKED, SYSTEM])
@pytest.mark.parametrize("source", [CHATML, GEMMA_TEMPLATE, NO_SYSTEM, PARTS, BESIDE_SYSTEM, FAILS])
def test_without_a_place_they_stand_in_the_systems_text(
    source: str, chat: list[dict[str, Any]]
) -> None:
    template = chat_template.ChatTemplate(source, {"bos_token": "<bos>"})
    text = template.render(chat, arguments=TOOLS)
    assert json.dumps(TOOL, ensure_ascii=False) in text and not template.takes_tools()
    assert text.index("feed_cat") < text.index("Feed the cat.")
    assert ("Be kind." in text) == (chat is SYSTEM) and text.count("feed_cat") == 1
    assert "feed_cat" not in template.render(chat, arguments={"tools": []})


@pytest.mark.parametrize("chat", [ASKED, SYSTEM])
@pytest.mark.parametrize("source", [WITH_PLACE, IN_QUESTION])
def test_a_place_for_them_is_used_and_no_other(source: str, chat: list[dict[str, Any]]) -> None:
    template = chat_template.ChatTemplate(source, {})
    text = template.render(chat, arguments=TOOLS)
    assert text.count("feed_cat") == 1 and "You may call" not in text and template.takes_tools()


@pytest.mark.parametrize("written", ["files", "config", "both"])
def test_the_template_for_tools_is_taken_as_transformers_takes_it(
    written: str, tmp_path: Path
) -> None:
    tokenizer = make_tokenizer(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    tokenizer.chat_template = {"default": CHATML, "tool_use": "For tools: " + WITH_PLACE}
    tokenizer.save_pretrained(tmp_path, save_jinja_files=written != "config")
    if written == "both":
        assert (tmp_path / "chat_template.jinja").is_file()
        assert (tmp_path / chat_template.ADDITIONAL / "tool_use.jinja").is_file()
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for template in (chat_template.of_tokenizer(loaded), chat_template.of_folder(tmp_path)):
        for tools in ([TOOL], None):
            theirs = loaded.apply_chat_template(
                SYSTEM, tools=tools, tokenize=False, add_generation_prompt=True
            )
            assert template.render(SYSTEM, arguments={"tools": tools}) == theirs
        assert template.takes_tools()


def test_training_and_device_ask_alike(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path)  # its template has no place for tools
    form = PRESETS["agent"]
    prompt = StepPrompt("t", 0, "Feed the cat.", (), "done", form=form, tools=(TOOL,))
    trained = list(prompt_ids(tokenizer, prompt))
    chat = Chat(tmp_path)
    device = chat.read(chat.render(prompt.messages, [TOOL]))
    assert trained == device and "feed_cat" in tokenizer.decode(trained)


def test_a_template_for_tools_that_is_none_fails_where_there_are_tools() -> None:
    template = chat_template.ChatTemplate(CHATML, {}, "{% if %}")
    assert "Feed the cat." in template.render(ASKED)
    with pytest.raises(InputError, match="the model's chat template is none"):
        template.render(ASKED, arguments=TOOLS)


def test_a_template_for_tools_that_needs_some_keeps_its_systems_turn(tmp_path: Path) -> None:
    """As Hermes' does, which fails where it is asked without tools."""
    needs = "{% for tool in tools %}{{ tool.function.name }}{% endfor %}" + CHATML
    tokenizer = make_tokenizer(tmp_path)
    tokenizer.chat_template = {"default": CHATML, "tool_use": needs}
    theirs = tokenizer.apply_chat_template(
        SYSTEM, tools=[TOOL], tokenize=False, add_generation_prompt=True
    )
    assert chat_template.of_tokenizer(tokenizer).render(SYSTEM, arguments=TOOLS) == theirs
