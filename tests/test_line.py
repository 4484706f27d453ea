"""The whole line on a tiny random model: every stage for real, through the command line."""

import json
from pathlib import Path

import pytest

from srl_edge import owned, recipe
from srl_edge.report import rows
from srl_edge.report.results import read_samples
from tests.helpers.command_line import srl_edge, write_recipe
from tests.helpers.models import make_model


@pytest.fixture(scope="module")
def finished_run(
    tmp_path_factory: pytest.TempPathFactory,
    taught_model: Path,
    word_problems: list[dict[str, str]],
) -> Path:
    folder = tmp_path_factory.mktemp("line")
    done = srl_edge("run", write_recipe(folder, taught_model, word_problems))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder / "run" / "report.html")
    return folder / "run"


def test_the_run_folder_holds_what_the_contract_says(finished_run: Path) -> None:
    expected = [
        "recipe.toml",
        "data/report.json",
        "train/metrics.jsonl",
        "train/rollouts.jsonl",
        "adapter/adapter_model.safetensors",
        "merged/model.safetensors",
        "artifacts/onnx-int8/manifest.json",
        "artifacts/executorch-fp32/model.pte",
        "parity/onnx-fp32.json",
        "bench/results.json",
        "bench/results.csv",
        "report.html",
        "report.md",
        "report.json",
    ]
    assert [p for p in expected if not (finished_run / p).is_file()] == []
    noted = {".line.lock", ".line.json", ".stage.lock", ".stage.json", owned.MARKER}
    hidden = {p.name for p in finished_run.rglob(".*") if not p.name.startswith(".git")}
    assert hidden == noted
    results = rows.read(finished_run / "bench")
    artifacts = ["executorch-fp32", "onnx-fp32", "onnx-int8"]
    assert [row.name for row in results.rows] == [
        rows.BASE,
        "torch after sft",
        rows.TUNED,
        *artifacts,
    ]
    for row in results.rows:
        if row.name in (rows.BASE, "torch after sft"):
            assert row.decode_tokens_per_second is None and not row.unmeasured
        else:
            assert row.decode_tokens_per_second and row.decode_tokens_per_second.mean > 0
            assert row.peak_memory_mib and row.peak_memory_mib > 0
        in_own_way = row.name in (rows.BASE, rows.TUNED)
        asked = [rows.HELD_OUT, rows.OWN_WAY] if in_own_way else [rows.HELD_OUT]
        assert list(row.tasks) == asked
        for task in asked:
            found = read_samples(finished_run / "bench", row.name, task, results.date)
            assert len(found) == row.tasks[task].problems == 3
    base, after, *_ = (row.size_mb for row in results.rows)
    assert after > base  # an adapter is of no use without it
    assert set(results.gain) == {"best", "own_way", "last_stage", *artifacts}
    assert results.device["memory_gb_per_second"] > 1
    for name in ("onnx-fp32", "executorch-fp32"):
        parity = json.loads((finished_run / "parity" / f"{name}.json").read_text())
        assert parity["agreement"] >= 0.99 and parity["greedy_texts_equal"] == 4


@pytest.mark.parametrize("verb", [("run",), ("data", "--show", "1")])
def test_a_source_that_was_away_costs_nothing_that_was_measured(
    verb: tuple[str, ...], finished_run: Path
) -> None:
    source = finished_run.parent / "data.jsonl"
    away = source.rename(source.with_suffix(".away"))
    failed = srl_edge(verb[0], finished_run, *verb[1:])
    away.rename(source)
    assert failed.returncode == 2 and "no such file" in failed.stderr
    again = srl_edge("run", finished_run)
    assert again.returncode == 0 and again.stderr.count("done and current, skipped") == 5
    assert not (finished_run / "bench-earlier").exists()


def test_a_second_run_skips_what_is_current_and_redoes_what_changed(finished_run: Path) -> None:
    assert srl_edge("data", finished_run, "--show", "1").returncode == 0  # which makes the same
    again = srl_edge("run", finished_run)
    assert again.returncode == 0 and again.stderr.count("done and current, skipped") == 6
    changed = srl_edge("run", finished_run, "--bench.repeats", "1")
    assert changed.returncode == 0
    assert changed.stderr.count("done and current, skipped") == 4
    assert recipe.load(finished_run).bench.repeats == 1


def test_a_failed_check_has_its_own_exit_code_and_says_where(finished_run: Path) -> None:
    failed = srl_edge("check", finished_run, "--check.agreement.int8", "1.01")
    assert failed.returncode == 3, failed.stderr
    assert "onnx-int8: agrees with the merged model on" in failed.stderr
    restored = srl_edge("check", finished_run, "--check.agreement.int8", "0.5")
    assert restored.returncode == 0


def test_what_is_of_another_adapter_or_out_of_date_is_told(finished_run: Path) -> None:
    manifest = finished_run / "artifacts" / "onnx-int8" / "manifest.json"
    sound = manifest.read_text()
    of_this = json.loads(sound)["adapter_sha256"]
    manifest.write_text(sound.replace(of_this, "0" * 64))
    done = srl_edge("check", finished_run, "--export.context-length", "256")
    assert done.returncode == 0, done.stderr
    assert "not current (export: export.context_length was 512, and is 256)" in done.stderr
    assert "onnx-int8: made of another adapter than the run has now" in done.stderr
    assert srl_edge("report", finished_run).returncode == 0
    facts = json.loads((finished_run / "report.json").read_text())
    for part, name in (("artifacts", "name"), ("parity", "artifact")):
        assert {row[name] for row in facts[part]} == {"onnx-fp32", "executorch-fp32"}
    manifest.write_text(sound)
    done = srl_edge("check", finished_run, "--export.context-length", "512")
    assert "another adapter" not in done.stderr and "goes on from" not in done.stderr


def test_inspect_says_what_it_is_and_finds_damage(finished_run: Path) -> None:
    folder = finished_run / "artifacts" / "onnx-fp32"
    shown = srl_edge("inspect", folder).stdout
    assert "artifact   onnx-fp32, " in shown and "context    512 tokens" in shown
    assert "adapter    merged, rank " in shown and "one step of a solution" in shown
    manifest = json.loads(srl_edge("inspect", folder, "--json").stdout)
    assert manifest["context_length"] == 512 and manifest["stop_token_ids"] == [2]
    data = folder / "model.onnx.data"
    whole = data.read_bytes()
    data.write_bytes(whole[:-1])
    damaged = srl_edge("inspect", folder)
    data.write_bytes(whole)
    assert damaged.returncode == 2 and "changed since the export" in damaged.stderr


def test_the_line_on_mlx_with_4_bit_weights(
    tmp_path: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    pytest.importorskip("mlx_lm", reason="mlx-lm is not installed")
    path = write_recipe(tmp_path, taught_model, word_problems)
    done = srl_edge(
        "run",
        path,
        "--trainer.backend",
        "mlx",
        "--trainer.quantization",
        "int4",
        "--export.artifacts",
        "onnx-fp32",
        "executorch-fp32",
    )
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    choice = json.loads((run / "merged" / "merge.json").read_text())
    assert choice["trained_on"] == {"backend": "mlx", "quantization": "int4", "dtype": "float32"}
    for name in ("onnx-fp32", "executorch-fp32"):
        parity = json.loads((run / "parity" / f"{name}.json").read_text())
        assert parity["agreement"] >= 0.99 and parity["merging"]["kl_divergence"] < 1e-4


def test_the_line_of_a_family_that_mlx_alone_trains(
    tmp_path: Path, word_problems: list[dict[str, str]]
) -> None:
    pytest.importorskip("mlx_lm", reason="mlx-lm is not installed")
    path = write_recipe(tmp_path, make_model("gemma4", tmp_path / "model"), word_problems)
    before, _, srl = path.read_text().partition('[[stages]]\nkind = "srl"')
    # A random model earns nothing, and never ends its replies by itself.
    path.write_text(f"{before}max_new_tokens = 16\n[export]{srl.partition('[export]')[2]}")
    refused = srl_edge("run", path, "--trainer.backend", "mlx")
    assert refused.returncode == 2 and not (tmp_path / "run").exists()
    assert "family 'gemma4_text' cannot be made into onnx-fp32" in refused.stderr
    done = srl_edge("run", path, "--trainer.backend", "mlx", "--export.artifacts", "mlx-fp32")
    assert done.returncode == 0, done.stderr
    parity = json.loads((tmp_path / "run" / "parity" / "mlx-fp32.json").read_text())
    assert parity["agreement"] >= 0.99 and parity["merging"]["kl_divergence"] < 1e-4
