"""What is wrong with trajectories is reported of each, and left out where a recipe says so."""

import json
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data import trajectories
from srl_edge.data.quality import OVERLAP
from srl_edge.data.stage import prepare
from srl_edge.files import read_json
from srl_edge.recipe import load

LONG = (
    "A baker has twelve trays and puts nine loaves on each of them before the shop opens at seven"
)
ROWS = [
    {
        "id": f"plain{n}",
        "problem": f"Problem {word} about {word}s and {n} more of {word}?",
        "steps": [f"The {word} says {n} + 1 = {n + 1}.", f"So {word} it is."],
        "answer": n + 1,
    }
    for n, word in enumerate(
        (
            "cat",
            "dog",
            "hen",
            "cow",
            "fox",
            "owl",
            "bee",
            "ant",
            "elk",
            "emu",
            "rat",
            "pig",
            "ram",
            "ewe",
            "cod",
            "eel",
            "jay",
            "koi",
            "yak",
            "gnu",
            "asp",
            "bat",
        )
    )
] + [
    {
        "id": "first",
        "problem": f"{LONG}. How many loaves?",
        "steps": [
            "12 * 9 = 108 loaves are baked in all of the trays.",
            "That is the answer to it.",
        ],
        "answer": 108,
    },
    {
        "id": "again",
        "problem": f"{LONG}. how many loaves ?",
        "steps": [
            "12 * 9 = 108 loaves are baked in all of the trays.",
            "That is the answer to it.",
        ],
        "answer": 108,
    },
    {"id": "wrong", "problem": "Which sum is it?", "steps": ["2 + 2 = 5", "So five."], "answer": 5},
    {"id": "open", "problem": "What is it like?", "steps": ["Look.", "Say."]},
]


def prepared(tmp_path: Path, **quality: Any) -> tuple[set[str], dict[str, Any], dict[str, Any]]:
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for name, words in (("validation", ("lake", "hill")), ("test", ("sea", "dune"))):
        held = [{"problem": f"Where is the {w}?", "steps": ["a", w], "answer": w} for w in words]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in held))
    (tmp_path / "evaluation.jsonl").write_text(
        json.dumps({"problem": f"Told anew: {LONG.lower()}!", "answer": 1}) + "\n"
    )
    lines = [
        f"output = '{tmp_path / 'run'}'",
        "[model]",
        "name = 'none'",
        "[data]",
        f"source = '{source}'",
        "validation = 'validation.jsonl'",
        "test = 'test.jsonl'",
        "[data.quality]",
        *(f"{key} = {json.dumps(value)}" for key, value in quality.items()),
        "[[stages]]",
        "kind = 'sft'",
        "steps = 1",
    ]
    (tmp_path / "recipe.toml").write_text("\n".join(lines) + "\n")
    recipe = load(tmp_path / "recipe.toml")
    (tmp_path / "run").mkdir(exist_ok=True)
    folder = prepare(recipe, recipe.run)
    rows = map(json.loads, (folder / "quality.jsonl").read_text().splitlines())
    train = {t.id for t in trajectories.load(folder / "train.jsonl")}
    return train, {r["id"]: r for r in rows}, read_json(folder / "report.json", "DataReport")


def test_each_trajectory_is_judged_and_none_is_left_out_unasked(tmp_path: Path) -> None:
    train, judged, report = prepared(tmp_path, evaluation=["evaluation.jsonl"])
    assert train == {row["id"] for row in ROWS} == set(judged)
    faults = {name: row["faults"] for name, row in judged.items() if row["faults"]}
    source = str(tmp_path / "evaluation.jsonl")
    pair = [faults["first"].pop("near_duplicate", ""), faults["again"].pop("near_duplicate", "")]
    assert sorted(pair) in (["", "first"], ["", "again"])  # the later one, in training's order
    assert faults == {
        "first": {"evaluation": source},
        "again": {"evaluation": source},
        "wrong": {"arithmetic": "2 + 2 = 5"},
        "open": {"no_answer": ""},
    }
    assert report["quality"] == {
        "evaluation": 2,
        "near_duplicate": 1,
        "arithmetic": 1,
        "no_answer": 1,
    }
    assert judged["open"] == {
        "id": "open",
        "steps": 2,
        "longest_step": 5,
        "shortest_step": 4,
        "faults": {"no_answer": ""},
    }


@pytest.mark.parametrize(
    ("drop", "gone"),
    [
        (["evaluation"], {"first", "again"}),
        (["arithmetic", "no_answer"], {"wrong", "open"}),
    ],
)
def test_what_the_recipe_names_is_left_out_and_counted(
    tmp_path: Path, drop: list[str], gone: set[str]
) -> None:
    train, _, report = prepared(tmp_path, evaluation=["evaluation.jsonl"], drop=drop)
    assert train == {row["id"] for row in ROWS} - gone
    assert sum(report["dropped"].values()) == len(gone)
    assert report["kept"] == len(train) + 4


def test_of_two_that_are_nearly_the_same_one_is_left_out(tmp_path: Path) -> None:
    train, _, report = prepared(tmp_path, drop=["near_duplicate"])
    assert len(train & {"first", "again"}) == 1 and len(train) == len(ROWS) - 1
    assert report["dropped"] == {"another that is nearly the same": 1}


def test_fewer_words_in_a_row_are_no_overlap(tmp_path: Path) -> None:
    words = LONG.split()
    for count, shared in ((OVERLAP - 1, 0), (OVERLAP, 2)):
        text = " ".join(words[:count]) + " and then something else"
        (tmp_path / "other.jsonl").write_text(json.dumps({"problem": text, "answer": 1}) + "\n")
        _, _, report = prepared(tmp_path, evaluation=["other.jsonl"])
        assert report["quality"].get("evaluation", 0) == shared
