"""Does an artifact answer as the trained model does? The gate between export and device.

The chain is: trained (model and adapter, in torch) -> merged (one model, in torch) -> artifact.
Each link is compared with the one before it, so that the one that broke is named.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from srl_edge import artifact as artifacts
from srl_edge import owned, processes
from srl_edge.data.agents.worlds import entered
from srl_edge.devices.hosts.local import open_session, runnable
from srl_edge.devices.runtimes.chat import Chat, completions, replies
from srl_edge.devices.runtimes.contract import Damaged, Runtime
from srl_edge.devices.runtimes.open import open_runtime
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.errors import InputError, ParityError, UnmeasuredError, first_line
from srl_edge.exporters.merging.trained_weights import merged_into, rounded_as_trained
from srl_edge.exporters.parity.adapter import compare_adapter
from srl_edge.exporters.parity.faults import faults, in_words, merging_faults, warnings
from srl_edge.exporters.parity.logits import Case, agreement, greedy_texts, references
from srl_edge.exporters.parity.tokens import compare_tokens
from srl_edge.exporters.subject import Subject, of_run
from srl_edge.files import file_sha256, scratch_folder
from srl_edge.method.solving import solve
from srl_edge.models.tokenizer import load_tokenizer, stop_ids
from srl_edge.quantization.formats import ALL
from srl_edge.recipe import Recipe
from srl_edge.report.parity_rows import (
    LongText,
    Measured,
    NextTokens,
    ParityRow,
    as_json,
    judged,
)
from srl_edge.report.statistics import paired
from srl_edge.terminal import progress

Reference = tuple[list[Case], list[Case], list[bool]]  # cases, long ones, problems that it solves


def check(recipe: Recipe, run: Path) -> Path:
    """Put a run's artifacts through the gate; return `run/parity`, a file for each.

    Raises what `gate` does.
    """
    found = runnable(run, recipe.export.artifacts)
    folder = owned.claim(run / "parity", "parity")
    gate(
        of_run(recipe, run), found, folder, lambda found: progress.say(f"check: {in_words(found)}")
    )
    return folder


def gate(
    subject: Subject,
    found: Sequence[artifacts.Artifact],
    folder: Path | None = None,
    tell: Callable[[ParityRow], None] = lambda _: None,
    unmeasured: Sequence[str] = (),
) -> None:
    """Compare the merged model with the one with its adapter beside it, and artifacts with that.

    An artifact that is rounded as its adapter was trained is compared with the same weights,
    rounded: those of the merged model were never run while it was trained. folder: a claimed one,
    which gets a file for each artifact. tell: is called with what was measured of each. unmeasured:
    why others could not be, in sentences. Raises ParityError, naming what differs first, where
    merging changed the model, or where an artifact reads chats or stops otherwise, agrees on fewer
    next tokens than `check.agreement` asks for, or answers significantly worse; else
    UnmeasuredError where one could not be compared at all.
    """
    plain = trained = _reference(subject, subject.merged)
    merging = _merging(subject, plain[0]) if subject.adapter else None
    failures = merging_faults(merging) if merging else []
    if subject.adapter and any(map(_as_trained, found)):
        with scratch_folder(subject.folder, "merged") as out:
            trained = _reference(subject, rounded_as_trained(subject.merged, subject.adapter, out))
    cases, long, _ = plain
    unmeasured = list(unmeasured)
    with progress.bar("check", len(found) * (len(cases) + len(long))) as advance:
        for artifact in found:
            if folder:
                owned.remove_file(folder / f"{artifact.name}.json")  # of an earlier check
            reference = trained if _as_trained(artifact) else plain
            try:
                runtime = open_runtime(artifact, subject.bench.threads)
            except (RuntimeError, Damaged) as error:
                failures.append(f"{artifact.name}: its runtime cannot load it: {_words(error)}")
                continue
            except InputError as error:
                unmeasured.append(f"{artifact.name}: could not be measured: {error}")
                continue
            try:
                measured = _measured(artifact, runtime, reference, subject, merging, advance)
            except (RuntimeError, Damaged) as error:
                failures.append(f"{artifact.name}: its runtime fails: {_words(error)}")
                continue
            except InputError as error:
                unmeasured.append(f"{artifact.name}: could not be measured: {error}")
                continue
            for said in warnings(measured):
                progress.say(f"check: {artifact.name}: {said}")
            row = judged(measured, [f"{artifact.name}: {text}" for text in faults(measured)])
            failures += row.failures
            if folder:
                text = json.dumps(as_json(row), indent=1) + "\n"
                owned.write(folder / f"{artifact.name}.json", text)
            tell(row)
    if failures:
        raise ParityError("\n".join([*failures, *unmeasured]))
    if unmeasured:
        raise UnmeasuredError("\n".join(unmeasured))


def _words(error: Exception) -> str:
    return error.said if isinstance(error, Damaged) else first_line(error)


def _measured(
    artifact: artifacts.Artifact,
    runtime: Any,
    reference: Reference,
    subject: Subject,
    merging: NextTokens | None,
    advance: progress.Advance,
) -> Measured:
    """All that the gate asks of one artifact; raises InputError where it cannot be asked."""
    cases, long, expected = reference
    tokenizer, stops = load_tokenizer(subject.merged), stop_ids(subject.merged)
    bits = ALL[artifact.name].bits
    asked = [case.prompt.messages for case in cases]
    readings = compare_tokens(artifact, runtime, subject.merged, asked)
    tokens = agreement(runtime, cases, tokenizer, advance, artifact.name, bits)
    same, before = greedy_texts(runtime, cases, stops, subject.check.greedy_tokens)
    texts = [
        LongText(
            len(case.prompt_ids) + len(case.reply_ids),
            agreement(runtime, [case], tokenizer, advance, artifact.name, bits),
        )
        for case in long
    ]
    separate = None
    if artifact.adapter and subject.adapter:
        base = merged_into(subject)
        separate = compare_adapter(artifact, runtime, cases, base, subject.adapter)
        progress.say(f"check: {artifact.name}: adapter of {separate.separate_adapter}")
    merged = "merged" if subject.adapter else "plain"
    return Measured(
        artifact=artifact.name,
        prompts=len(cases),
        readings=readings,
        next_tokens=tokens,
        agreement_threshold=subject.check.agreement[artifact.quantization],
        greedy_texts_equal=same,
        greedy_tokens_before_first_difference=before,
        long=texts,
        adapter=separate,
        answers=paired(expected, _answers(runtime, subject)),
        peak_memory_mib=_memory(artifact, subject.bench.threads),
        reference="rounded as trained" if _as_trained(artifact) else merged,
        merging=merging,
        manifest_sha256=file_sha256(artifact.path / artifacts.MANIFEST),
    )


def _as_trained(artifact: artifacts.Artifact) -> bool:
    return "rounding" in artifact.manifest.get("options", {})


def _reference(subject: Subject, model: Path) -> Reference:
    """What a model folder says of held-out prompts and long texts, and which problems it solves."""
    cases, long = references(subject, model, "test")
    return cases, long, _answers(TorchRuntime(model, subject.bench.threads), subject)


def _merging(subject: Subject, cases: Sequence[Case]) -> NextTokens:
    """Compare the model with its adapter beside it with the merged one."""
    trained = TorchRuntime(merged_into(subject), subject.bench.threads, subject.adapter)
    tokenizer = load_tokenizer(subject.merged)
    with progress.bar("check: merging", len(cases)) as advance:
        return agreement(trained, cases, tokenizer, advance, "merged")


def _answers(runtime: Runtime, subject: Subject) -> list[bool]:
    """Which of the first held-out problems a runtime solves."""
    problems = subject.texts("test")[: subject.check.problems]
    stops = stop_ids(subject.merged)
    complete = completions(runtime, stops, subject.bench.max_new_tokens)
    chat = Chat(subject.merged, subject.asked)
    reply, steps = replies(complete, chat, stops), chat.asked.steps(subject.bench.max_steps)
    attempts = solve(problems, reply, steps, lambda: None, chat.asked.form, entered)
    return [attempt.correct for attempt in attempts]


def _memory(artifact: artifacts.Artifact, threads: int) -> float:
    """Peak memory in MiB of a process that fills an artifact's context, with nothing else in it."""
    length = artifact.manifest["context_length"]
    session = open_session(artifact.name, "artifact", artifact.path, threads or processes.cores())
    try:
        session.generate([[0] * (length - 1)], 1)
        assert session.peak_memory_mib is not None
        return session.peak_memory_mib
    finally:
        session.close()
