"""The benchmark in a real browser: headless Chromium with onnxruntime-web."""

import shutil
from pathlib import Path

import pytest

from srl_edge.devices import browser
from srl_edge.devices.bench_artifacts import bench_artifacts
from srl_edge.devices.browser_runner import _BROWSERS, onnxruntime_web
from srl_edge.devices.runtimes import greedy
from srl_edge.devices.session import RunnerLost
from srl_edge.devices.torch_runtime import TorchRuntime
from srl_edge.errors import InputError
from srl_edge.recipe import Bench
from srl_edge.trajectories import ParseReport, parse_rows

from .test_onnx import token_ids
from .test_parity import seal
from .test_session import artifact_of


@pytest.fixture(scope="module", autouse=True)
def _there() -> None:
    if not any(map(shutil.which, _BROWSERS)):
        pytest.skip("no Chromium on the PATH")
    try:
        onnxruntime_web()
    except InputError as error:
        pytest.skip(str(error))


def test_it_answers_as_torch_does(family_model: Path, tmp_path: Path) -> None:
    folder = artifact_of(family_model, tmp_path)
    if "gemma" in (folder / "config.json").read_text():
        with pytest.raises(InputError, match="the browser does not take Gemma 3"):
            browser.open_session("page", "artifact", folder, 2)
        return
    prompts = [token_ids(40, 1), token_ids(20, 2)]
    reference = TorchRuntime(family_model)
    session = browser.open_session("page", "artifact", folder, 2)
    try:
        found = session.generate(prompts, 12, [2], timeout=60)
        assert [reply.ids for reply in found] == [greedy(reference, p, 12, [2]) for p in prompts]
        assert all(0 < (reply.first_seconds or 0) <= reply.seconds for reply in found)
        drawn = [
            session.generate(prompts[:1], 12, [2], temperature=1.0, seed=seed)[0].ids
            for seed in (3, 3, 4)
        ]
        assert drawn[0] == drawn[1] != drawn[2]
        assert session.machine["isolated"] and "Chrome" in session.machine["browser"]
        assert (session.peak_memory_mib or 0) > 20 and session.load_seconds > 0
    finally:
        session.close()


def test_the_benchmark_runs_there(
    taught_model: Path, tmp_path: Path, word_problems: list[dict[str, str]]
) -> None:
    folder = artifact_of(taught_model, tmp_path)
    problems = list(parse_rows(word_problems[:2], ParseReport()))
    settings = Bench(max_steps=2, max_new_tokens=16, repeats=1, threads=1, decode_tokens=8)
    out = bench_artifacts([folder], {"animals": problems}, settings, browser, tmp_path / "out")
    assert "onnxruntime-web 1.30" in (out.parent / "report.md").read_text()


def test_what_goes_wrong_there_is_one_sentence(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="the browser runs ONNX artifacts alone"):
        browser.open_session("page", "torch", tiny_model, 1)
    folder = artifact_of(tiny_model, tmp_path)
    (folder / "model.onnx").write_bytes(b"no model")
    seal(folder)
    with pytest.raises(RunnerLost, match=r"page: its process ended \(exit code 1\): in the browse"):
        browser.open_session("page", "artifact", folder, 1)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RunnerLost, match="no browser on the PATH"):
        browser.open_session("page", "artifact", folder, 1)
