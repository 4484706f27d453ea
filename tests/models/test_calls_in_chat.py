"""Calls and their results reach the prompt, in the form that each model's template takes."""

import json
from typing import Any

import pytest

from srl_edge.devices.serving.openai_api import ChatRequest
from srl_edge.models.chat_template import ChatTemplate
from tests.helpers.templates import DEEPSEEK_R1, FAMILIES, GEMMA_3, MISTRAL, QWEN_2_5, QWEN_3

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
ARGUMENTS = '{"city": "Paris"}'
ONE = "call_0123456789abcdef01234567"
TWO = "call_76543210fedcba9876543210"


def turns(said: str | None = None, ids: tuple[str, ...] = (ONE,)) -> list[dict[str, Any]]:
    """A question, calls, and what came of each, as a client of OpenAI's sends them."""
    calls = [
        {
            "id": each,
            "type": "function",
            "function": {"name": "get_weather", "arguments": ARGUMENTS},
        }
        for each in ids
    ]
    chat = [
        {"role": "user", "content": "Weather in Paris?"},
        {"role": "assistant", "content": said, "tool_calls": calls},
        *({"role": "tool", "tool_call_id": each, "content": f"sunny {each[5]}"} for each in ids),
    ]
    return ChatRequest.model_validate_json(json.dumps({"messages": chat})).turns()


def rendered(source: str, *args: Any) -> str:
    return ChatTemplate(source, SPECIAL).render(turns(*args))


CALL = '<|call|>function<|sep|>get_weather\n```json\n{"city": "Paris"}\n```<|/call|>'


def test_a_template_that_writes_calls_of_silent_turns_and_joins_texts_is_given_both() -> None:
    assert rendered(DEEPSEEK_R1) == (
        f"<s><|User|>Weather in Paris?<|Assistant|><|calls|>{CALL}<|results|>"
        "<|result|>sunny 0<|/result|><|/results|>"
    )
    assert rendered(DEEPSEEK_R1, "") == rendered(DEEPSEEK_R1)


def test_what_is_said_before_such_a_call_is_a_turn_of_its_own() -> None:
    assert f"<|Assistant|>I look.</s><|Assistant|><|calls|>{CALL}" in rendered(
        DEEPSEEK_R1, "I look."
    )


def test_several_calls_are_all_written() -> None:
    text = rendered(DEEPSEEK_R1, None, (ONE, TWO))
    assert f"<|calls|>{CALL}\n{CALL}<|/calls|></s>" in text
    assert "<|result|>sunny 0<|/result|><|result|>sunny 7<|/result|>" in text


def test_arguments_stay_an_object_where_a_template_takes_one() -> None:
    assert '<tool_call>get_weather{"city": "Paris"}' in rendered(QWEN_2_5)
    told = "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}" + (
        "{{ c.function.name + ' ' + c.function.arguments }}{% endfor %}{% endfor %}"
    )
    assert rendered(told, "So: ") == 'Weather in Paris?So: get_weather {"city": "Paris"}sunny 0'


def test_ids_are_shortened_alike_where_a_template_takes_no_others() -> None:
    text = rendered(MISTRAL, None, (ONE, TWO))
    calls, _, results = text.partition("</s>")
    ids = [each["id"] for each in json.loads(calls.partition("[TOOL_CALLS] ")[2])]
    assert len(set(ids)) == 2 and all(len(each) == 9 and each.isalnum() for each in ids)
    assert f'sunny 0, "call_id": "{ids[0]}"' in results
    assert f'sunny 7, "call_id": "{ids[1]}"' in results
    nine = [{**turn, "tool_call_id": "a1B2c3D4e"} for turn in turns()[2:]]
    assert "a1B2c3D4e" in ChatTemplate(MISTRAL, SPECIAL).render([*turns()[:2], *nine])
    shown = "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.id }}{{ c }}{% endfor %}"
    assert ONE in rendered(shown + "{{ m.content }}{% endfor %}")


@pytest.mark.parametrize("source", [GEMMA_3, QWEN_3])
def test_without_a_place_for_them_calls_are_text_and_results_the_user_s(source: str) -> None:
    template = ChatTemplate(source, SPECIAL)
    call = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
    plain = [
        turns()[0],
        {"role": "assistant", "content": f"I look.\n{call}\n{call}"},
        {"role": "user", "content": "sunny 0\n\nsunny 7"},
    ]
    assert template.render(turns("I look.", (ONE, TWO))) == template.render(plain)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("said", [None, "I look."])
def test_no_family_s_template_leaves_a_call_or_its_result_out(
    family: str, said: str | None
) -> None:
    text = rendered(FAMILIES[family], said)
    for part in ("Weather in Paris?", "get_weather", "sunny 0"):
        assert part in text
    assert text.count('{"city": "Paris"}') == 1 and "None" not in text
