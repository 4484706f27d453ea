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
    assert "say: heat PLACE DEGREES" in shown.getvalue() and "Not recorded" in shown.getvalue()
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
        record(tmp_path / "home.json", tmp_path / "out", io.StringIO(), io.StringIO())
