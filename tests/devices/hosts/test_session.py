"""Models in processes of their own: their replies, and what happens when a process is lost."""

import os
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.devices.bench import figures, measure
from srl_edge.devices.bench.connection import Connection
from srl_edge.devices.hosts import local
from srl_edge.devices.hosts.runner import chooser
from srl_edge.devices.hosts.session import RunnerLost, Session
from srl_edge.devices.runtimes.contract import greedy
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.recipe import Bench
from srl_edge.report.results import as_sample, score_of
from tests.helpers.artifacts import artifact_of, token_ids

PROMPTS = [token_ids(30, 1), token_ids(20, 2)]


@pytest.fixture
def opened() -> Iterator[list[Session]]:
    sessions: list[Session] = []
    yield sessions
    for session in sessions:
        session.close()


@pytest.mark.parametrize("kind", ["torch", "artifact"])
def test_replies_are_those_of_the_runtime(
    kind: str, tiny_model: Path, tmp_path: Path, opened: list[Session]
) -> None:
    folder = tiny_model if kind == "torch" else artifact_of(tiny_model, tmp_path)
    session = local.open_session(kind, kind, folder, 1)
    opened.append(session)
    reference = TorchRuntime(tiny_model)
    expected = [greedy(reference, ids, 12, [2]) for ids in PROMPTS]
    found = session.generate(PROMPTS, 12, [2], timeout=60)
    assert [reply.ids for reply in found] == expected
    (alone,) = session.generate(PROMPTS[:1], 12, [2], reuse=False)
    assert alone.ids == expected[0] and alone.first_seconds is not None
    assert 0 < alone.first_seconds <= alone.seconds
    assert session.state["load"] >= 0 and set(session.state) > {"celsius", "battery", "governor"}
    assert session.load_seconds > 0 and (session.peak_memory_mib or 0) > 10
    drawn = [
        session.generate(PROMPTS[:1], 12, [2], temperature=1.0, seeds=[seed])[0].ids
        for seed in (1, 1, 5)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_tokens_are_drawn_by_their_probability() -> None:
    import numpy as np

    logits = np.log(np.array([0.1, 0.6, 0.3], np.float32))
    drawn = [chooser(1.0, seed)(logits) for seed in range(4000)]
    shares = np.bincount(drawn, minlength=3) / len(drawn)
    np.testing.assert_allclose(shares, [0.1, 0.6, 0.3], atol=0.03)
    assert {chooser(0.05, seed)(logits) for seed in range(200)} == {1}


UNTOLD = '{"load": null, "celsius": null, "battery": null, "governor": null}'
READY = (
    f'print("""{{"load_seconds": 1, "batch": 1, "machine": {{}}, "state": {UNTOLD}}}""", '
    "flush=True); input(); "
)


STAYS = "import time; time.sleep(60)"
NO_REPLIES = (
    'print("""{"replies": [], "peak_memory_mib": 1, "energy_joules": null, '
    f'"state": {UNTOLD}}}""", flush=True); '
)
LIES = NO_REPLIES.replace('joules": null', 'joules": -1e308')


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.exit('no such model')", r"ended \(exit code 1\): no such model"),
        (READY + "import sys; sys.exit('out of memory')", r"ended \(exit code 1\): out of memory"),
        (READY + "import os; os.abort()", r"ended \(exit code -6\)"),
        (READY + "print('{\"replies\": [', flush=True)", r"said what is no answer \(not JSON"),
        (READY + "print('{\"replies\": [', end='', flush=True)", r"ended \(exit code 0\)"),
        (READY + "print('nonsense', flush=True); " + STAYS, r"said .*: 'nonsense' \("),
        (READY + "print('[]', flush=True); " + STAYS, "said what is no answer .the whole: "),
        (READY + "print('{\"replies\": 5}', flush=True); " + STAYS, ".*no answer .replies: "),
        (READY + "print('[' * 10 ** 5, flush=True); " + STAYS, ".*no answer .nested too deeply"),
        (READY + NO_REPLIES + STAYS, "gave 0 replies to 1 prompts"),
        ("print('{}', flush=True); " + STAYS, r"said what is no answer \(load_seconds: "),
        (READY.replace('"load": null, ', "") + STAYS, "said what is no answer .state.load: "),
        (READY + LIES + STAYS, "said what is no answer .energy_joules: "),
        (READY + "import sys; sys.stderr.write('x' * 10 ** 8 + '\\nwhy'); sys.exit(1)", ".*: why$"),
        # What a login shell prints before, in Latin-1.
        ("open(1, 'wb').write(b'Gr\\xfc\\xdfe!\\n'); " + STAYS, "said what is no answer .not JSON"),
        (READY + "import time; time.sleep(60)", r"did not answer in 1 s \(exit code -9\)"),
    ],
)
def test_a_lost_runner_is_one_sentence(program: str, said: str, opened: list[Session]) -> None:
    with pytest.raises(RunnerLost, match=f"^phone: its process {said}"):
        opened.append(Session("phone", [sys.executable, "-c", program], os.environ))
        opened[0].generate(PROMPTS[:1], 4, timeout=1)


@pytest.mark.parametrize(("doomed", "lost"), [({1}, [1]), ({1, 2, 3}, [1, 2, 3, 4])])
def test_a_crash_takes_its_problem_and_not_the_run(
    doomed: set[int],
    lost: list[int],
    taught_model: Path,
    tmp_path: Path,
    word_problems: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three problems lost one after the other: what is left would not fare better."""
    folder = artifact_of(taught_model, tmp_path)
    asked = list(parse_rows(word_problems[:5], ParseReport()))
    fatal = {asked[at].id for at in doomed}
    samples, together = measure.samples, []

    def dying(session: Session, chat: Any, stops: Any, chunk: Any, settings: Bench) -> Any:
        together.append(len(chunk))
        if fatal & {problem.id for problem in chunk}:
            session._runner.kill()
            session._runner.wait()
        return samples(session, chat, stops, chunk, settings)

    monkeypatch.setattr(measure, "samples", dying)
    settings = Bench(max_steps=3, max_new_tokens=24, threads=1)
    model = measure.Model("onnx", "artifact", folder)
    with Connection(local, 1) as connection:
        found = list(chain.from_iterable(measure.solved(model, asked, settings, connection)))
    assert [at for at, sample in enumerate(found) if sample.lost] == lost
    assert together[:2] == [5, 1]  # those of a lost batch are tried one at a time
    assert all("onnx: its process ended (exit code -9)" in found[at].lost for at in lost)
    kept = [(p, sample) for p, sample in zip(asked, found, strict=True) if not sample.lost]
    assert all(sample.attempts[0].id == problem.id for problem, sample in kept)
    assert found[0].attempts[0].steps
    rows = [as_sample(at, p, s) for at, (p, s) in enumerate(zip(asked, found, strict=True))]
    answers = figures.answers([score_of(row) for row in rows])
    assert answers.problems == 5 and answers.lost == len(lost)


def test_words_without_end_take_no_room(opened: list[Session]) -> None:
    """Neither in memory, where each was read at once, nor in the folder of temporary files."""
    talks = "import sys; sys.stderr.write(('x' * 999 + chr(10)) * 10 ** 5); sys.stderr.flush(); "
    session = Session("phone", [sys.executable, "-c", talks + READY + STAYS], os.environ)
    opened.append(session)
    until = time.monotonic() + 30
    while not session._words._kept and time.monotonic() < until:
        time.sleep(0.01)
    assert 0 < len(session._words._kept) <= 1 << 16
