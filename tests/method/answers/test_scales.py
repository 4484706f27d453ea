"""Words of scale are factors in whatever language, and never units."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srl_edge.method.answers.scales import SCALES
from srl_edge.method.verifiers import is_correct, same_value

SCALED = [
    *(("3万", "30000"), ("3萬", "30000"), ("1.5亿", "150000000"), ("3億", "300000000")),
    *(("5千", "5000"), ("3百万", "3000000"), ("3만 원", "30000"), ("3억", "300000000")),
    *(("3 lakh", "300000"), ("2 crore", "20000000"), ("3 Millionen", "3000000")),
    *(("3 Mio.", "3000000"), ("3 Tausend", "3000"), ("3 millones", "3000000"), ("3 mil", "3000")),
    *(("3 млн", "3000000"), ("3 тыс.", "3000"), ("3 milliards", "3000000000")),
    *(("3 milhões", "3000000"), ("3 triệu", "3000000"), ("3 juta", "3000000"), ("3ล้าน", "3000000")),
    *(("3 hundreds", "300"), ("3 tens", "30"), ("3 hundred thousand", "300000")),
    *(("2 dozen eggs", "24"), ("3.5 bn", "3.5 billion"), ("1.5 million dollars", "$1,500,000")),
]


@pytest.mark.parametrize("pair", SCALED)
def test_a_scale_multiplies(pair: tuple[str, str]) -> None:
    scaled, value = pair
    assert same_value(scaled, value) and same_value(value, scaled)
    assert not same_value(scaled, "3") and not same_value("3", scaled)
    assert is_correct(f"The answer is {scaled}.", value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("所以一共是3万元。", "30000"),
        ("Also sind es 3 Millionen.", "3000000"),
        ("So he got 3 hundred.", "300"),
        ("It weighs 3千克.", "3"),
        ("So the average is 85 score.", "85"),
    ],
)
def test_a_scale_in_running_text_is_part_of_its_value(text: str, value: str) -> None:
    assert is_correct(text, value)


@pytest.mark.parametrize("text", ["3 zillion", "3 sextillion", "3 trilliards", "3 quintillionen"])
def test_what_looks_like_a_scale_is_no_unit(text: str) -> None:
    assert not same_value(text, "3")


@pytest.mark.parametrize(
    "text", ["5千克", "5千米", "5个", "5元", "5조각", "5 pairs", "5 bins", "5 ml"]
)
def test_a_unit_is_no_scale(text: str) -> None:
    assert same_value(text, "5")


@given(st.integers(2, 99), st.sampled_from(sorted(SCALES)))
@settings(max_examples=60, deadline=None)
def test_every_scale_is_its_factor(count: int, word: str) -> None:
    assert same_value(f"{count} {word}", str(count * SCALES[word]))
    assert not same_value(f"{count} {word}", str(count))
