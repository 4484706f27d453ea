"""The tables of the reports, for the page and for Markdown alike: cells are plain text."""

from collections.abc import Sequence

from srl_edge.report.parity_rows import OtherToken, ParityRow
from srl_edge.report.rows import BASE, HELD_OUT, OWN_WAY, Answers, BenchResults, ModelRow
from srl_edge.report.text import ABSENT, accuracy, megabytes, shown, spread
from srl_edge.shapes import DataReport

OFTEN = 0.1  # share of replies that are cut off
Table = list[dict[str, str]]  # rows, each with the same headers and its own cells


def speeds(results: BenchResults) -> Table:
    """Size, speed, energy and memory of each model that was timed, or was to be."""
    return [
        {
            "model": row.name,
            **_speed_cells(row),
            "load, s": shown(row.load_seconds, ".2f"),
            "joules a token": shown(row.joules_per_token, ".3f"),
        }
        for row in _timed(results)
    ]


def _timed(results: BenchResults) -> list[ModelRow]:
    return [row for row in results.rows if row.time_to_first_token or row.unmeasured]


def answers(results: BenchResults, task: str) -> Table:
    """How each model that was asked did at a task; some columns only where any has their figure."""
    table = []
    listed = [(row.name, row.tasks[task]) for row in results.rows if task in row.tasks]
    any_cut_off = any(answers.cut_off for _, answers in listed)
    for name, found in listed:
        steps = found.step_similarity
        table.append(
            {
                "model": name,
                "problems": f"{found.problems}",
                "solved [95% interval]": accuracy(found),
                "answer marked": f"{found.marked:.1%}",
                **({"cut off": f"{found.cut_off:.1%}"} if any_cut_off else {}),
                **_other_readings(found, [answers for _, answers in listed]),
                "seconds a problem": shown(found.seconds_per_problem, ".2f"),
                "joules a correct answer": shown(found.joules_per_correct, ".1f"),
                "step similarity, of steps": (
                    f"{steps.similarity:.3f} of {steps.steps}" if steps else ABSENT
                ),
                "the expert's step": shown(steps.equal if steps else None, ".1%"),
                "lost": f"{found.lost}",
            }
        )
    return table


def _other_readings(found: Answers, listed: Sequence[Answers]) -> dict[str, str]:
    """Cells of lm-eval's two readings, and of several attempts taken together."""
    cells = {}
    if any(each.strict is not None for each in listed):
        cells["strict match"] = shown(found.strict, ".1%")
        cells["flexible extract"] = shown(found.flexible, ".1%")
    most = max((k for each in listed for k in each.pass_at), default=0)
    if most:
        cells[f"pass@{most}"] = shown(found.pass_at.get(most), ".1%")
        cells[f"maj@{most}"] = shown(found.majority, ".1%")
    return cells


def cut_off(results: BenchResults, task: str) -> list[str]:
    """Which models' replies were often cut off, a sentence each.

    Not the base's in a run's form: nobody has taught it to end them.
    """
    setting = "own_way_tokens" if task == OWN_WAY else "max_new_tokens"
    return [
        f"{row.name}: {found.cut_off:.0%} of the attempts at {task} were cut off at the longest "
        f"reply, and may have lacked their answer; allow more ({setting})."
        for row in results.rows
        if (found := row.tasks.get(task)) and found.cut_off > OFTEN
        if (row.name, task) != (BASE, HELD_OUT)
    ]


def batching(results: BenchResults, task: str) -> list[str]:
    """What replying to several prompts at once took and changed, a sentence a model."""
    said = []
    for row in results.rows:
        found = row.tasks[task].batching if task in row.tasks else None
        if found and found.compared:
            said.append(
                f"{row.name} was asked in batches, {found.seconds:.2f} s a problem; the replies to "
                f"{found.differing} of {found.compared} problems differ from one-at-a-time ones, "
                "whose times are in the table."
            )
        elif found:
            said.append(f"{row.name} was asked in batches, {found.seconds:.2f} s a problem.")
    return said


def told(results: BenchResults) -> list[str]:
    """What is known of models that have no manifest of ours, a sentence each."""
    return [
        f"{row.name}: {'; '.join(f'{key}: {value}' for key, value in row.told.items())}."
        for row in results.rows
        if row.told
    ]


def llama_bench(results: BenchResults, model: str = "") -> Table:
    """Speeds in llama-bench's columns; model: what all of them are, where that is one."""
    table = []
    for row in _timed(results):
        speeds = {
            f"pp{row.prompt_tokens}": row.prefill_tokens_per_second,
            f"tg{results.settings['decode_tokens']}": row.decode_tokens_per_second,
        }
        for test, speed in speeds.items():
            table.append(
                {
                    "model": model or row.name,
                    "size": f"{megabytes(row.size_mb)} MB",
                    "backend": row.name if model else row.backend,
                    "threads": f"{results.device['threads']}",
                    "test": test,
                    "t/s": spread(speed, ".2f"),
                }
            )
    return table


def parity(rows: Sequence[ParityRow]) -> Table:
    """What the gate found, a column an artifact."""
    columns: dict[str, dict[str, str]] = {}
    for row in rows:
        read, tokens, answers = row.readings, row.next_tokens, row.answers
        where = tokens.first_difference
        columns[row.artifact] = {
            "result": "pass" if row.passed else "FAIL",
            "chats read alike": (
                f"{read.chats_equal}, runtime {read.runtime_chats_equal} of {read.chats}"
            ),
            "same next token (at least)": (
                f"{tokens.agreement_but_ties:.1%} ({row.agreement_threshold:.1%})"
            ),
            "of them by a near tie": (f"{tokens.agreement_but_ties - tokens.agreement:.1%}"),
            "adapter": row.adapter.separate_adapter if row.adapter else "merged",
            "KL, nats; logit error": f"{tokens.kl_divergence:.4f}; {tokens.max_logit_error:.2f}",
            "same greedy text": f"{row.greedy_texts_equal} of {row.prompts}",
            "in long texts": ", ".join(
                f"{text.next_tokens.agreement_but_ties:.0%} of {text.tokens}" for text in row.long
            ),
            "answers lost / won": f"{answers.lost} / {answers.won} of {answers.problems}",
            "peak memory, MiB": f"{row.peak_memory_mib:.0f}",
            "first difference": _place(where) if where else "none",
        }
    measures = list(next(iter(columns.values()), {}))
    return [
        {"measured": measure} | {name: cells[measure] for name, cells in columns.items()}
        for measure in measures
    ]


def _place(where: OtherToken) -> str:
    return (
        f"prompt {where.prompt} step {where.step_index} position {where.position}: "
        f"{where.got!r}, not {where.expected!r}"
    )


def data(report: DataReport) -> list[Table]:
    """The splits, and what of the source was kept or dropped, and why."""
    counts = {"read": report["read"], "kept": report["kept"]}
    counts |= {f"dropped: {why}": n for why, n in report["dropped"].items()}
    splits = [
        {"split": name, "problems": f"{split['problems']}", "steps": f"{split['steps']}"}
        for name, split in report["splits"].items()
    ]
    return [splits, [{"expert solutions": name, "number": f"{n}"} for name, n in counts.items()]]


def _speed_cells(row: ModelRow) -> dict[str, str]:
    first, decode = row.time_to_first_token, row.decode_tokens_per_second
    return {
        "size, MB": megabytes(row.size_mb),
        "first token, ms (p50)": shown(1000 * first.p50 if first else None, ".0f"),
        "prefill, tokens/s": spread(row.prefill_tokens_per_second, ".0f"),
        "decode, tokens/s": spread(decode, ".1f"),
        "weights read, GB/s": shown(row.size_mb * decode.p50 / 1e3 if decode else None, ".1f"),
        "peak memory, MiB": shown(row.peak_memory_mib, ".0f"),
    }
