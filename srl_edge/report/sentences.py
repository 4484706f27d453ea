"""What the facts of a run allow one to say, in sentences."""

from srl_edge.report.facts import RunFacts
from srl_edge.report.rows import AFTER, BASE, HELD_OUT, TUNED, Answers, BenchResults, Gain
from srl_edge.report.text import accuracy, counted, megabytes, overlap, points, signed
from srl_edge.report.training_rows import STAGES, Training, steps_done


def training_words(training: Training) -> list[str]:
    """What the training figures say, in sentences."""
    said = []
    if reward := training.reward:
        start, end = (f"{signed(p.mean)} ± {p.std:.2f}" for p in (reward.start, reward.end))
        said.append(
            "The reward of a step is \N{MINUS SIGN}1 where the reply breaks the format, otherwise "
            "from 0 to 1 by how like the expert's the step is in its text, its numbers or its "
            "call, as the recipe weighs them. Its mean (± standard deviation "
            f"over steps) is {start} in the first quarter of the SRL steps, {end} in the last."
        )
    if kept := training.kept:
        first, best = training.held_out[0].figures, kept.figures
        said.append(
            "On held-out prompts, answered greedily, the format was right in "
            f"{first['eval_format']:.0%} of replies before training. The adapter "
            f"that is kept has a reward of {signed(best['eval_reward'])} there, with the "
            f"format right in {best['eval_format']:.0%}: {STAGES[kept.kind]} step {kept.at}."
        )
        if training.untrained:
            said.append(
                "No step of any stage improved on that, so the kept adapter changes nothing: it is "
                "the untrained model."
            )
        elif training.steps["srl"] and not training.srl_kept:
            said.append("No SRL step improved on that, so the kept adapter is the warm-up's.")
    return said


def summary(facts: RunFacts) -> str:
    """What the run is, in one sentence."""
    did = steps_done(facts.training)
    said = f"Trained in {' and '.join(did)}" if did else "To be trained"
    said += f" on expert solutions from {facts.recipe.data.source}"
    if facts.artifacts:
        said += f"; exported as {', '.join(a.name for a in facts.artifacts)}"
    if facts.bench:
        device = facts.bench.device
        said += f" and measured on {device['processor']}, {counted(device['threads'], 'thread')}"
    return f"{said}."


def headline(facts: RunFacts) -> list[list[str]]:
    """The few numbers that matter, each with what it is."""
    numbers = []
    gains = facts.bench.gain if facts.bench else {}
    added = gains.get("last_stage")
    if facts.training and (reward := facts.training.reward) and not added:
        count = len(facts.training.steps["srl"])
        label = f"mean reward, first to last quarter of {count} SRL steps"
        label += _kept(facts.training)
        numbers.append([f"{signed(reward.start.mean)} → {signed(reward.end.mean)}", label])
    if gain := gains.get("best"):
        label = (
            f"of {gain.problems} held-out problems are solved, before (asked {gain.base_asked}) "
            f"and after training: {points(gain.difference)}"
        )
        label += "; not distinguishable" if gain.difference.may_be_chance else ""
        numbers.append([f"{gain.base:.0%} → {gain.tuned:.0%}", label])
    if added:
        stage = STAGES[facts.recipe.stages[-1].kind]
        label = f"of them by {stage} itself, after what came before: {points(added.difference)}"
        label += "; not distinguishable" if added.difference.may_be_chance else ""
        label += _kept(facts.training) if facts.training else ""
        numbers.append([f"{added.base:.0%} → {added.tuned:.0%}", label])
    if facts.artifacts:
        smallest = min(facts.artifacts, key=lambda artifact: artifact.size_mb)
        label = f"{smallest.name}, the smallest artifact"
        row = facts.bench.row(smallest.name) if facts.bench else None
        if row and row.decode_tokens_per_second:
            label += f"; {row.decode_tokens_per_second.p50:.1f} tokens/s"
        numbers.append([f"{megabytes(smallest.size_mb)} MB", label])
    if facts.parity:
        label = "artifacts answer as the trained model does, within their thresholds"
        passed = sum(row.passed for row in facts.parity)
        numbers.append([f"{passed} of {len(facts.parity)}", label])
    return numbers


def _kept(training: Training) -> str:
    """Of which adapter the run is, where its last stage gave none."""
    if training.untrained:
        return "; the kept adapter is the untrained model"
    return "" if training.srl_kept else "; the kept adapter is the warm-up's"


def verdicts(bench: BenchResults | None) -> list[str]:
    """What the accuracy figures allow one to say."""
    rows = {row.name: row.tasks[HELD_OUT] for row in bench.rows} if bench else {}
    base, tuned = rows.pop(BASE, None), rows.pop(TUNED, None)
    if not (bench and base and tuned):
        return []
    said = [_gained(name, gain) for name, gain in bench.gain.items() if name not in rows]
    said.append(_compared("The tuned model", tuned, "the base model", base))
    rows = {name: row for name, row in rows.items() if not name.startswith(AFTER)}
    said += [_shipped(name, gain, base, tuned) for name, gain in bench.gain.items() if name in rows]
    said += [
        f"{name}: {row.lost} problems were lost with its process, which crashed or did not "
        "answer; they count as unsolved."
        for name, row in rows.items()
        if row.lost
    ]
    return said


def _shipped(name: str, gain: Gain, base: Answers, tuned: Answers) -> str:
    """What exporting and rounding cost, paired by problem."""
    said = (
        f"{name} solves {gain.tuned:.0%} of {gain.problems} problems, the tuned model "
        f"{gain.base:.0%}: {points(gain.difference)}"
    )
    said += _chance(gain)
    if tuned.accuracy > base.accuracy and not overlap(tuned, base):
        kept = (gain.tuned - base.accuracy) / (gain.base - base.accuracy)
        said += f". It keeps {kept:.0%} of what training brought"
    return f"{said}."


def _gained(way: str, gain: Gain) -> str:
    """What training brought or cost, paired by problem."""
    if way == "best":
        said = (
            f"Asked as it was trained, the tuned model solves {gain.tuned:.0%} of "
            f"{gain.problems} problems; the base, asked {gain.base_asked}, which is its best "
            f"way, solves {gain.base:.0%}"
        )
    elif way == "last_stage":
        said = (
            f"The last stage itself takes it from {gain.base:.0%} ({gain.base_asked}) to "
            f"{gain.tuned:.0%} of {gain.problems} problems"
        )
    else:
        said = (
            f"Asked in the model's own way, with no format, the base solves {gain.base:.0%} of "
            f"{gain.problems} problems and the tuned model {gain.tuned:.0%}"
        )
    said += f": {points(gain.difference)}{_chance(gain)}."
    lost = gain.difference.mean < 0 and not gain.difference.may_be_chance
    return f"{said} Training cost it that." if lost else said


def _chance(gain: Gain) -> str:
    """What is to be said of a difference; one of nothing needs no explanation."""
    found = gain.difference
    return ", which may be chance" if found.may_be_chance and found.mean else ""


def _compared(a_name: str, a: Answers, b_name: str, b: Answers) -> str:
    more = "more" if a.accuracy > b.accuracy else "fewer"
    alike = overlap(a, b)
    relation = "is not distinguishable from" if alike else f"solves {more} problems than"
    return (
        f"{a_name} ({accuracy(a)}) {relation} {b_name} ({accuracy(b)}) at "
        f"n={a.problems}: their 95% intervals {'' if alike else 'do not '}overlap."
    )
