"""Does an artifact answer as the trained model does? The gate between export and device.

The chain is: trained (model and adapter, in torch) -> merged (one model, in torch) -> artifact.
Each link is compared with the one before it, so that the one that broke is named.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_edge import artifact as artifacts
from srl_edge import owned
from srl_edge.data import trajectories
from srl_edge.devices.hosts.local import open_session, runnable
from srl_edge.devices.runtimes.chat import Asked, Chat, completions, replies
from srl_edge.devices.runtimes.contract import Runtime
from srl_edge.devices.runtimes.open import open_runtime
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.errors import InputError, ParityError, UnmeasuredError
from srl_edge.exporters.merging.trained_weights import merged_into, rounded_as_trained
from srl_edge.exporters.parity.adapter import compare_adapter
from srl_edge.exporters.parity.faults import faults, merging_faults, warnings
from srl_edge.exporters.parity.logits import Case, agreement, greedy_texts, references
from srl_edge.exporters.parity.tokens import compare_tokens
from srl_edge.method.solving import solve
from srl_edge.models.tokenizer import load_tokenizer, stop_ids
from srl_edge.quantization.formats import ALL
from srl_edge.recipe import Recipe
from srl_edge.report.statistics import paired
from srl_edge.terminal import progress

Reference = tuple[list[Case], list[Case], list[bool]]  # cases, long ones, problems that it solves


def check(recipe: Recipe, run: Path) -> Path:
    """Compare `run/merged` with the trained model, and every artifact of a run with `run/merged`.

    An artifact that is rounded as its adapter was trained is compared with the same weights,
    rounded: those of `run/merged` were never run while it was trained.
    Returns `run/parity`, a file for each. Raises ParityError, naming what differs first, where
    merging changed the model, or where an artifact reads chats or stops otherwise, agrees on fewer
    next tokens than `check.agreement` asks for, or answers significantly worse; else
    UnmeasuredError where an artifact could not be compared at all.
    """
    found = runnable(run, recipe.export.artifacts)
    folder = owned.claim(run / "parity", "parity")
    plain = trained = _reference(run / "merged", run, recipe)
    merging = _merging(recipe, run, plain[0])
    failures = merging_faults(merging)
    if any(map(_as_trained, found)):
        with tempfile.TemporaryDirectory(dir=run) as scratch:
            rounded = rounded_as_trained(run / "merged", run / "adapter", Path(scratch, "merged"))
            trained = _reference(rounded, run, recipe)
    cases, long, _ = plain
    unmeasured = []
    with progress.bar("check", len(found) * (len(cases) + len(long))) as advance:
        for artifact in found:
            owned.remove_file(folder / f"{artifact.name}.json")  # of an earlier check
            reference = trained if _as_trained(artifact) else plain
            try:
                runtime = open_runtime(artifact, recipe.bench.threads)
            except RuntimeError as error:
                said = str(error).splitlines()[0]
                failures.append(f"{artifact.name}: its runtime cannot load it: {said}")
                continue
            except InputError as error:
                unmeasured.append(f"{artifact.name}: could not be measured: {error}")
                continue
            try:
                result = _measured(artifact, runtime, reference, recipe, run, advance)
            except InputError as error:
                unmeasured.append(f"{artifact.name}: could not be measured: {error}")
                continue
            result |= {"merging": merging}
            for said in warnings(result):
                progress.say(f"check: {artifact.name}: {said}")
            result["failures"] = [f"{artifact.name}: {text}" for text in faults(result)]
            result["passed"] = not result["failures"]
            failures += result["failures"]
            owned.write(folder / f"{artifact.name}.json", json.dumps(result, indent=1) + "\n")
    if failures:
        raise ParityError("\n".join([*failures, *unmeasured]))
    if unmeasured:
        raise UnmeasuredError("\n".join(unmeasured))
    return folder


def _measured(
    artifact: artifacts.Artifact, runtime: Any, reference: Reference, recipe: Recipe, run: Path,
    advance: progress.Advance,
) -> dict[str, Any]:  # fmt: skip
    """All that the gate asks of one artifact; raises InputError where it cannot be asked."""
    cases, long, expected = reference
    result = compare(artifact, runtime, cases, long, recipe, run / "merged", advance)
    if artifact.adapter:
        base = merged_into(recipe, run)
        result |= compare_adapter(artifact, runtime, cases, base, run / "adapter")
        progress.say(f"check: {artifact.name}: adapter of {result['separate_adapter']}")
    result |= paired(expected, _answers(runtime, run, recipe))
    result["peak_memory_mib"] = _memory(artifact, run, recipe)
    result["reference"] = "rounded as trained" if _as_trained(artifact) else "merged"
    return result


def compare(
    artifact: artifacts.Artifact, runtime: Runtime, cases: Sequence[Case], long: Sequence[Case],
    recipe: Recipe, merged: Path, advance: progress.Advance,
) -> dict[str, Any]:  # fmt: skip
    """Measure one artifact against the merged model."""
    tokenizer, stops = load_tokenizer(merged), stop_ids(merged)
    bits = ALL[artifact.name].bits
    asked = [case.prompt.messages for case in cases]
    return {
        "artifact": artifact.name,
        "prompts": len(cases),
        **compare_tokens(artifact, runtime, merged, asked),
        **agreement(runtime, cases, tokenizer, advance, artifact.name, bits),
        "agreement_threshold": recipe.check.agreement[artifact.quantization],
        **greedy_texts(runtime, cases, stops, recipe.check.greedy_tokens),
        "long": [
            {"tokens": len(case.prompt_ids) + len(case.reply_ids)}
            | agreement(runtime, [case], tokenizer, advance, artifact.name, bits)
            for case in long
        ],
    }


def _as_trained(artifact: artifacts.Artifact) -> bool:
    return "rounding" in artifact.manifest.get("options", {})


def _reference(model: Path, run: Path, recipe: Recipe) -> Reference:
    """What a model folder says of held-out prompts and long texts, and which problems it solves."""
    cases, long = references(model, run / "data" / "test.jsonl", recipe)
    return cases, long, _answers(TorchRuntime(model, recipe.bench.threads), run, recipe)


def _merging(recipe: Recipe, run: Path, cases: Sequence[Case]) -> dict[str, Any]:
    """Compare the model with its adapter beside it with the merged one."""
    trained = TorchRuntime(merged_into(recipe, run), recipe.bench.threads, run / "adapter")
    tokenizer = load_tokenizer(run / "merged")
    with progress.bar("check: merging", len(cases)) as advance:
        return agreement(trained, cases, tokenizer, advance, "merged")


def _answers(runtime: Runtime, run: Path, recipe: Recipe) -> list[bool]:
    """Which of the first held-out problems a runtime solves."""
    problems = trajectories.load(run / "data" / "test.jsonl")[: recipe.check.problems]
    folder = run / "merged"
    stops = stop_ids(folder)
    complete = completions(runtime, stops, recipe.bench.max_new_tokens)
    chat = Chat(folder, Asked(recipe.prompt.form, recipe.whole))
    reply, steps = replies(complete, chat, stops), chat.asked.steps(recipe.bench.max_steps)
    attempts = solve(problems, reply, steps, lambda: None, chat.asked.form)
    return [attempt.correct for attempt in attempts]


def _memory(artifact: artifacts.Artifact, run: Path, recipe: Recipe) -> float:
    """Peak memory in MiB of a process that fills an artifact's context, with nothing else in it."""
    length = artifact.manifest["context_length"]
    session = open_session(
        artifact.name, "artifact", artifact.path, recipe.bench.threads or os.cpu_count() or 1
    )
    try:
        session.generate([[0] * (length - 1)], 1)
        assert session.peak_memory_mib is not None
        return session.peak_memory_mib
    finally:
        session.close()
