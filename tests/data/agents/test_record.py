"""Requests to a home of one's own, recorded as somebody fulfils them."""

import io
import json
from pathlib import Path

import pytest

from srl_edge.data.agents.record import record
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.errors import InputError
from srl_edge.method.prompt_form import PRESETS

HOME = {"kind": "home", "state": {"hall": {"lamp": "off"}, "bath": {"heating": 19}}}
TYPED = """Light in the hall
turn_on lamp hall
done
Make the bath one degree warmer
look bath
heat bath
heat bath 20
done

Never mind
turn_on sun hall
done
Lamp off

turn_off lamp hall
done
"""


def test_requests_become_rows_of_a_home_that_stays_as_it_was_left(tmp_path: Path) -> None:
    world, out, shown = tmp_path / "home.json", tmp_path / "requests.jsonl", io.StringIO()
    world.write_text(json.dumps(HOME))
    assert record(world, out, io.StringIO(TYPED), shown) == 3
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["steps"] for row in rows] == [
        ["turn_on lamp hall", "done"],
        ["look bath", "heat bath 20", "done"],
        ["turn_off lamp hall", "done"],
    ]
    assert rows[2]["world"]["state"] == {"hall": {"lamp": "on"}, "bath": {"heating": 20}}
    assert "say: heat PLACE DEGREES" in shown.getvalue() and "nothing was done" in shown.getvalue()
    report = ParseReport()
    read = list(parse_rows(rows, report, form=PRESETS["agent"]))
    assert len(read) == 3 and read[1].observations == ("heating 19", "ok", "")


@pytest.mark.parametrize(
    ("text", "why"),
    [("{", "not JSON"), ("[]", "a world of no known kind"), ('{"kind": "home"}', "without its st")],
)
def test_a_world_of_no_known_form_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "home.json").write_text(text)
    with pytest.raises(InputError, match=why):
        record(tmp_path / "home.json", tmp_path / "out.jsonl", io.StringIO(), io.StringIO())


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ('{"a":' * 5000 + "1" + "}" * 5000, "not JSON"),
        ('{"hall": {"big lamp": "on"}}', "'big lamp', which is no single word"),
        ('{"list": ["ripe pears"]}', "'ripe pears', which is no single word"),
        ('{"list": "milk"}', "whose list is no list of items"),
        ('{"hall": "lamp"}', "whose 'hall' is no object of things"),
        ('{"hall": {"lamp": "dim"}}', "whose hall has lamp 'dim'; heating has a whole number"),
        ('{"hall": {"radiator": 19}}', "whose hall has radiator 19; heating has a whole number"),
        ('{"timers": {"a b": 1}}', "'a b', which is no single word"),
        ('{"timers": {"tea": "4"}}', "whose timer tea has no whole number of minutes"),
        ('{"h\\ud800": {"lamp": "on"}}', "half of a character"),
        ('{"hall": {"heating": NaN}}', "whose hall has heating nan"),
    ],
)
def test_a_home_whose_names_no_command_has_is_refused(tmp_path: Path, state: str, why: str) -> None:
    (tmp_path / "home.json").write_text(f'{{"kind": "home", "state": {state}}}')
    with pytest.raises(InputError, match=why):
        record(tmp_path / "home.json", tmp_path / "out.jsonl", io.StringIO(), io.StringIO())


def test_rows_that_cannot_be_written_are_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / "home.json").write_text(json.dumps(HOME))
    for out, why in (
        (tmp_path / "no" / "out.jsonl", "make its folder first"),
        (tmp_path / "home.json", "a name that ends in .jsonl"),
    ):
        with pytest.raises(InputError, match=why):
            record(tmp_path / "home.json", out, io.StringIO(TYPED), io.StringIO())


def test_a_goal_that_is_not_reached_is_said_and_not_recorded(tmp_path: Path) -> None:
    goal = {"hall": {"lamp": "on"}, "bath": {"heating": 20}}
    (tmp_path / "home.json").write_text(json.dumps(HOME | {"goal": goal}))
    shown = io.StringIO()
    assert not record(tmp_path / "home.json", tmp_path / "o.jsonl", io.StringIO(TYPED), shown)
    assert "Not recorded: actions that do not reach the goal." in shown.getvalue()


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_what_is_typed_in_another_encoding_is_refused(tmp_path: Path, errors: str) -> None:
    (tmp_path / "home.json").write_text(json.dumps(HOME))
    typed = io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), "utf-8", errors)
    with pytest.raises(InputError, match="not UTF-8"):
        record(tmp_path / "home.json", tmp_path / "o.jsonl", typed, io.StringIO())


def test_an_end_within_a_request_is_said(tmp_path: Path) -> None:
    (tmp_path / "home.json").write_text(json.dumps(HOME))
    typed = io.StringIO("Light\nturn_on lamp hall\n")
    with pytest.raises(InputError, match="ended before done: 'Light' is not recorded"):
        record(tmp_path / "home.json", tmp_path / "o.jsonl", typed, io.StringIO())
    assert not (tmp_path / "o.jsonl").exists()


def test_rows_are_added_behind_whole_ones_of_its_own_alone(tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    (tmp_path / "home.json").write_text(json.dumps(HOME))
    typed = "Light in the hall\nturn_on lamp hall\ndone\n"
    row = {"problem": "Lamp off", "world": HOME, "steps": ["turn_off lamp hall", "done"]}
    for end in ("", "\n", '\n{"problem": "Lamp o'):
        out.write_text(json.dumps(row) + end)
        assert record(tmp_path / "home.json", out, io.StringIO(typed), io.StringIO()) == 1
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert rows[0] == row and [each["problem"] for each in rows[1:]] == ["Light in the hall"]
    for theirs in ("notes", '{"a": 1}', f'{json.dumps(row)}\n{{"a": 1'):
        out.write_text(theirs)
        with pytest.raises(InputError, match="holds something else than the rows"):
            record(tmp_path / "home.json", out, io.StringIO(typed), io.StringIO())
        assert out.read_text() == theirs
