"""A row of the gate comes back from its file, whose keys stand side by side."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from srl_edge.errors import InputError
from srl_edge.report import card_words, parity_rows, tables
from srl_edge.report.parity_rows import MisreadChat, ParityRow, SeparateAdapter
from tests.helpers.reports import parity_row

PLAIN = parity_row("onnx-int8", 0.98, 0.95)
MISREAD = replace(PLAIN.readings, first_chat=MisreadChat("½", True, 3, "½", ""))
APART = SeparateAdapter("1.2 MB", 1_200_000, None, 3.5, True)


@pytest.mark.parametrize(
    "row",
    [
        PLAIN,
        parity_row("onnx-int8", 0.5, 0.95),
        replace(PLAIN, readings=MISREAD),
        replace(PLAIN, adapter=APART),
        replace(PLAIN, adapter=replace(APART, adapter_effect=0.99), merging=PLAIN.next_tokens),
        replace(PLAIN, next_tokens=replace(PLAIN.next_tokens, kl_divergence=float("inf"))),
    ],
)
def test_a_row_is_read_as_it_was_written(row: ParityRow, tmp_path: Path) -> None:
    file = tmp_path / "row.json"
    file.write_text(json.dumps(parity_rows.as_json(row)))
    assert parity_rows.read(file) == row


def test_the_file_has_all_figures_side_by_side() -> None:
    found = parity_rows.as_json(replace(PLAIN, adapter=APART))
    assert found["agreement"] == found["agreement_but_ties"] == 0.98 and found["chats"] == 66
    assert (found["lost"], found["separate_adapter"], found["passed"]) == (1, "1.2 MB", True)
    assert found["long"][0]["tokens"] == 1024 and found["long"][0]["agreement"] == 0.9
    assert not {"readings", "next_tokens", "answers", "adapter", "merging"} & found.keys()
    assert "separate_adapter" not in parity_rows.as_json(PLAIN)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"agreement": "all"}, "agreement: input should be a valid number"),
        ({"passed": 1}, "passed: input should be a valid boolean"),
        ({"chats": -1}, "chats: input should be greater than or equal to 0"),
        ({"long": [{"tokens": 9}]}, "long.0.positions: field required"),
    ],
)
def test_what_is_wrong_with_a_file_is_named_by_its_key(
    damage: dict[str, Any], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "onnx-int8.json"
    file.write_text(json.dumps(parity_rows.as_json(PLAIN) | damage))
    with pytest.raises(InputError) as found:
        parity_rows.read(file)
    assert str(found.value).startswith(f"{file}: {said}, so it was cut off, edited, or written")


def test_a_report_and_a_card_tell_the_share_that_the_gate_judged() -> None:
    row = parity_row("onnx-int4", 0.86, 0.85)
    row = replace(row, next_tokens=replace(row.next_tokens, agreement=0.83, ties=18))
    (shown,) = (r for r in tables.parity([row]) if r["measured"] == "same next token (at least)")
    assert shown["onnx-int4"] == "86.0% (85.0%)"
    assert "at 86.0% of 611 positions (at least 85.0%)" in card_words.gate(row, "onnx-int4")
