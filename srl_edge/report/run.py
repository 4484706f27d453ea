"""The report of a run: facts gathered from its folder, as data, as Markdown, and as one page."""

import json
import shlex
from collections.abc import Sequence
from html import escape
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from srl_edge import __version__
from srl_edge.artifact import is_current
from srl_edge.errors import InputError
from srl_edge.files import read_json, read_json_if_there
from srl_edge.method.prompt_form import PromptForm
from srl_edge.method.rewards import matching_blocks
from srl_edge.recipe import Recipe, dumps
from srl_edge.report import run_page
from srl_edge.report.layout import Table
from srl_edge.report.results import spread

Facts = dict[str, Any]

STAGES = {"sft": "supervised training", "srl": "SRL", "rlvr": "RLVR"}
NOTES = {
    "data": ("No data yet", "data"),
    "training": ("Not trained yet", "train"),
    "examples": ("No rollouts yet", "train"),
    "artifacts": ("Nothing exported yet", "export"),
    "parity": ("The artifacts have not been compared with the trained model yet", "check"),
    "bench": ("Accuracy, speed and memory have not been measured yet", "bench"),
}


def report(recipe: Recipe, run: Path) -> Path:
    """Write `report.json`, `report.md` and `report.html`, one offline page; return the page.

    Parts that have not run yet are left out, and the report says so; raises InputError where
    there are none at all.
    """
    facts = gather(recipe, run)
    dumped = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
    for kind, text in ("json", dumped), ("md", markdown(facts)), ("html", run_page.page(facts)):
        (run / f"report.{kind}").write_text(text, encoding="utf-8")
    return run / "report.html"


def gather(recipe: Recipe, run: Path) -> Facts:
    """All facts of a run as JSON values; `missing` names the parts that are not there."""
    files = sorted((run / "artifacts").glob("*/manifest.json"))
    manifests = {file.parent.name: read_json(file) for file in files}
    current = [name for name, manifest in manifests.items() if is_current(manifest, run)]
    found = map(read_json, sorted((run / "parity").glob("*.json")))
    parity = [row for row in found if row["artifact"] in current]
    facts: Facts = {
        "data": read_json_if_there(run / "data" / "report.json"),
        "training": _training(_rows(run / "train" / "metrics.jsonl")),
        "examples": _examples(_rows(run / "train" / "rollouts.jsonl"), recipe.prompt.form),
        "artifacts": [_artifact(name, manifests[name]) for name in current],
        "parity": parity,
        "bench": _bench(read_json_if_there(run / "bench" / "results.json"), parity),
    }
    folder = shlex.quote(recipe.output)
    missing = {
        part: f"{said}; run `srl-edge {stage} {folder}`."
        for part, (said, stage) in NOTES.items()
        if not facts[part]
    }
    if len(missing) == len(NOTES):
        raise InputError(f"{run}: nothing to report yet; run `srl-edge data {folder}` first.")
    return facts | {
        "version": __version__,
        "summary": _summary(recipe, facts),
        "headline": _headline(facts),
        "verdicts": _verdicts(facts["bench"]),
        "missing": missing,
        "recipe": recipe.model_dump(mode="json"),
        "recipe_toml": dumps(recipe),
        "commands": {
            "everything": f"srl-edge run {folder}/recipe.toml --output {folder}-again",
            "the measurements": f"srl-edge bench {folder}",
            "this report": f"srl-edge report {folder}",
        },
    }


def _training(rows: Sequence[Facts]) -> Facts | None:
    """Rows by kind; `at` counts steps through all stages of a kind."""
    last = {row["stage"]: (row["kind"], row["step"]) for row in rows}
    placed = []
    for row in rows:
        earlier = [n for s, (k, n) in last.items() if s < row["stage"] and k == row["kind"]]
        placed.append(row | {"at": row["step"] + sum(earlier)})
    held_out = [row for row in placed if "eval_reward" in row]
    steps = {k: [r for r in placed if r["kind"] == k and "loss" in r] for k in STAGES}
    rewards = [row["reward"] for row in steps["srl"]]
    quarter = max(1, len(rewards) // 4)
    kept = next((row for row in reversed(held_out) if row["eval_best"]), None)
    training = {
        **steps,
        "held_out": held_out,
        "reward": {
            name: {"mean": fmean(part), "std": pstdev(part), "steps": len(part)}
            for name, part in (("start", rewards[:quarter]), ("end", rewards[-quarter:]))
        } if rewards else None,
        "kept": kept,
        "srl_kept": not kept or (kept["kind"] != "sft" and kept["at"] > 0),
    }  # fmt: skip
    return training | {"words": _training_words(training)} if rows else None


def _training_words(training: Facts) -> list[str]:
    """What the training figures say, in sentences."""
    said = []
    if reward := training["reward"]:
        start, end = (f"{run_page.signed(p['mean'])} ± {p['std']:.2f}" for p in reward.values())
        said.append(
            "The reward of a step is \N{MINUS SIGN}1 where the reply breaks the format, otherwise "
            "how similar the step is to the expert's, from 0 to 1. Its mean (± standard deviation "
            f"over steps) is {start} in the first quarter of the SRL steps, {end} in the last."
        )
    if kept := training["kept"]:
        said.append(
            "On held-out prompts, answered greedily, the format was right in "
            f"{training['held_out'][0]['eval_format']:.0%} of replies before training. The adapter "
            f"that is kept has a reward of {run_page.signed(kept['eval_reward'])} there, with the "
            f"format right in {kept['eval_format']:.0%}: {STAGES[kept['kind']]} step {kept['at']}."
        )
        if training["srl"] and not training["srl_kept"]:
            said.append("No SRL step improved on that, so the kept adapter is the warm-up's.")
    return said


def _examples(rollouts: Sequence[Facts], form: PromptForm) -> list[Facts]:
    """Rollouts of the last third of the SRL steps: the closest, a middle one, a broken one."""
    order = sorted({(r["stage"], r["step"]) for r in rollouts})
    late = set(order[len(order) * 2 // 3 :])
    recent = [r for r in rollouts if (r["stage"], r["step"]) in late]
    scored = [r for r in recent if not r["fault"]]
    chosen: list[tuple[str, Facts]] = []
    if scored:
        # An exact copy would not show how the reward grades.
        best = max([r for r in scored if r["reward"] < 1] or scored, key=lambda r: r["reward"])
        chosen.append(("Close to the expert's step", best))
        others = [r for r in scored if r["trajectory_id"] != best["trajectory_id"]]
        if others := sorted(others, key=lambda r: r["reward"]):
            chosen.append(("A step of middling reward", others[(len(others) - 1) // 2]))
    if broken := [r for r in recent if r["fault"]]:
        chosen.append(("A broken format", broken[-1]))
    return [_example(title, rollout, form) for title, rollout in chosen]


def _example(title: str, rollout: Facts, form: PromptForm) -> Facts:
    expert = rollout["expert_action"].strip()
    reply = form.read(rollout["completion"], rollout["finished"])
    compared = {"title": title, "expert_action": expert}
    if reply.fault:
        # Shown as it was written: that is where the fault can be seen.
        return rollout | compared | {"thought": "", "action": rollout["completion"], "blocks": []}
    blocks = [list(block) for block in matching_blocks(reply.action, expert)]
    return rollout | compared | {"thought": reply.thought, "action": reply.action, "blocks": blocks}


def _artifact(name: str, manifest: Facts) -> Facts:
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    left_out = ("files", "base", "licence", "chat_template_sha256")
    told = {k: v for k, v in manifest.items() if k not in left_out}
    return {"name": name, "size_mb": size / 1e6} | told


def _bench(bench: Facts | None, parity: Sequence[Facts]) -> Facts | None:
    agreement = {row["artifact"]: row["agreement"] for row in parity}
    for row in bench["rows"] if bench else ():
        row["parity_agreement"] = agreement.get(row["name"])
    return bench


def _summary(recipe: Recipe, facts: Facts) -> str:
    steps = {k: len((facts["training"] or {}).get(k, ())) for k in STAGES}
    did = [f"{n} steps of {STAGES[k]}" for k, n in steps.items() if n]
    said = f"Trained in {' and '.join(did)}" if did else "To be trained"
    said += f" on expert solutions from {recipe.data.source}"
    if facts["artifacts"]:
        said += f"; exported as {', '.join(a['name'] for a in facts['artifacts'])}"
    if facts["bench"]:
        device = facts["bench"]["device"]
        said += f" and measured on {device['processor']}, {device['threads']} threads"
    return f"{said}."


def _headline(facts: Facts) -> list[list[str]]:
    """The few numbers that matter, each with what it is."""
    numbers = []
    if reward := (facts["training"] or {}).get("reward"):
        label = f"mean reward, first to last quarter of {len(facts['training']['srl'])} SRL steps"
        label += "" if facts["training"]["srl_kept"] else "; the kept adapter is the warm-up's"
        numbers.append(
            [" → ".join(run_page.signed(part["mean"]) for part in reward.values()), label]
        )
    rows = {row["name"]: row for row in facts["bench"]["rows"]} if facts["bench"] else {}
    # An earlier version's results have no gain, until the benchmark runs again.
    if gain := ((facts["bench"] or {}).get("gain") or {}).get("best"):
        label = (
            f"of {gain['problems']} problems solved, base asked {gain['base_asked']} to tuned: "
            f"{run_page.points(gain['difference'])}"
        )
        label += "; not distinguishable" if run_page.chance(gain["difference"]) else ""
        numbers.append([f"{gain['base']:.0%} → {gain['tuned']:.0%}", label])
    if facts["artifacts"]:
        smallest = min(facts["artifacts"], key=lambda artifact: float(artifact["size_mb"]))
        label = f"{smallest['name']}, the smallest artifact"
        if row := rows.get(smallest["name"]):
            rate = row["decode_tokens_per_second"]
            label += f"; {rate['mean']:.1f} tokens/s" if rate else ""
        numbers.append([f"{smallest['size_mb']:.0f} MB", label])
    if parity := facts["parity"]:
        label = "artifacts answer as the trained model does, within their thresholds"
        numbers.append([f"{sum(r['passed'] for r in parity)} of {len(parity)}", label])
    return numbers


def _verdicts(bench: Facts | None) -> list[str]:
    """What the accuracy figures allow one to say, in sentences."""
    rows = {row["name"]: row for row in bench["rows"]} if bench else {}
    base, tuned = rows.pop("torch base", None), rows.pop("torch tuned", None)
    if not (base and tuned):
        return []
    said = [_gained(name, gain) for name, gain in ((bench or {}).get("gain") or {}).items()]
    said.append(_compared("The tuned model", tuned, "the base model", base))
    apart = [row for row in rows.values() if not run_page.overlap(row, tuned)]
    said += [_compared(row["name"], row, "the tuned model", tuned) for row in apart]
    if len(apart) < len(rows):
        said.append(
            f"The {'other ' * bool(apart)}artifacts are not distinguishable from the tuned model "
            f"at n={tuned['problems']}; this does not rule out a small loss of accuracy."
        )
    said += [
        f"{row['name']}: {lost} problems were lost with its process, which crashed or did not "
        "answer; they count as unsolved."
        for row in rows.values()
        if (lost := row["lost"])
    ]
    return said


def _gained(way: str, gain: Facts) -> str:
    """What training brought or cost, paired by problem."""
    if way == "best":
        said = (
            f"Asked as it was trained, the tuned model solves {gain['tuned']:.0%} of "
            f"{gain['problems']} problems; the base, asked {gain['base_asked']}, which is its best "
            f"way, solves {gain['base']:.0%}"
        )
    else:
        said = (
            f"Asked in the model's own way, with no format, the base solves {gain['base']:.0%} of "
            f"{gain['problems']} problems and the tuned model {gain['tuned']:.0%}"
        )
    change = run_page.points(gain["difference"])
    if run_page.chance(gain["difference"]):
        return f"{said}: {change}, which may be chance."
    cost = gain["difference"]["mean"] < 0
    return f"{said}: {change}. {'Training cost it that.' if cost else ''}".rstrip()


def _compared(a_name: str, a: Facts, b_name: str, b: Facts) -> str:
    more = "more" if a["accuracy"] > b["accuracy"] else "fewer"
    alike = run_page.overlap(a, b)
    relation = "is not distinguishable from" if alike else f"solves {more} problems than"
    return (
        f"{a_name} ({run_page.accuracy(a)}) {relation} {b_name} ({run_page.accuracy(b)}) at "
        f"n={a['problems']}: their 95% intervals {'' if alike else 'do not '}overlap."
    )


def markdown(facts: Facts) -> str:
    """The report as Markdown, with a table of speeds in the manner of llama-bench."""
    parts = [f"# {facts['recipe']['model']['name']}: report of a run", facts["summary"]]
    parts.append("\n".join(f"- **{value}** {label}" for value, label in facts["headline"]))
    for key, title in run_page.PARTS.items():
        parts.append(f"## {title}")
        if note := facts["missing"].get(key):
            parts.append(note)
            continue
        if key == "training":
            parts += facts["training"]["words"]
        if key == "bench":
            parts += [*facts["verdicts"], _markdown_table(_llama_bench(facts))]
        if key == "examples":
            parts += map(_markdown_example, facts["examples"])
        parts += map(_markdown_table, run_page.tables(facts, key))
    parts += [f"- **{term}**: {said}" for term, said in run_page.definitions(facts).items()]
    parts += [f"To repeat {what}: `{command}`" for what, command in facts["commands"].items()]
    return "\n\n".join([*parts, f"```toml\n{facts['recipe_toml']}```"]) + "\n"


def _llama_bench(facts: Facts) -> Table:
    table, decoded = [], facts["recipe"]["bench"]["decode_tokens"]
    for row in facts["bench"]["rows"]:
        for test, kind in ((f"pp{row['prompt_tokens']}", "prefill"), (f"tg{decoded}", "decode")):
            table.append({
                "model": facts["recipe"]["model"]["name"], "size": f"{row['size_mb']:.0f} MB",
                "backend, quantization": row["name"],
                "threads": f"{facts['bench']['device']['threads']}", "test": test,
                "tokens/s": spread(row[f"{kind}_tokens_per_second"], ".2f"),
            })  # fmt: skip
    return table


def _markdown_table(table: Table) -> str:
    lines = [[*table[0]], ["---", *["---:"] * (len(table[0]) - 1)]]
    lines += [[escape(c, quote=False).replace("|", "\\|") for c in row.values()] for row in table]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _markdown_example(example: Facts) -> str:
    # Indented text is shown as it is, whatever a model wrote.
    texts = {"Problem": "problem", "Expert's step": "expert_action", "The model": "completion"}
    shown = [f"{k}:\n\n    " + "\n    ".join(example[v].splitlines()) for k, v in texts.items()]
    return "\n\n".join([f"### {example['title']}: reward {example['reward']:.2f}", *shown])


def _rows(path: Path) -> list[Facts]:
    """Rows of a log, less a last line that is being written."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    return [json.loads(line) for line in lines]
