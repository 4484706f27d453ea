"""The report of a run: facts gathered from its folder, as data, as Markdown, and as one page."""

import json
import shlex
from collections.abc import Sequence
from html import escape
from math import sqrt
from pathlib import Path
from statistics import fmean, median_low, pstdev
from typing import Any

from srl_edge import __version__
from srl_edge.devices import report_html as html
from srl_edge.errors import InputError
from srl_edge.prompts import read_reply
from srl_edge.recipe import Recipe, dumps
from srl_edge.rewards import matching_blocks

Facts = dict[str, Any]

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
    as_json = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
    texts = {"json": as_json, "md": markdown(facts), "html": html.page(facts)}
    for kind, text in texts.items():
        (run / f"report.{kind}").write_text(text, encoding="utf-8")
    return run / "report.html"


def gather(recipe: Recipe, run: Path) -> Facts:
    """All facts of a run as JSON values; `missing` names the parts that are not there."""
    parity = [_read(path) for path in sorted((run / "parity").glob("*.json"))]
    facts: Facts = {
        "data": _read(run / "data" / "report.json"),
        "training": _training(_rows(run / "train" / "metrics.jsonl")),
        "examples": _examples(_rows(run / "train" / "rollouts.jsonl")),
        "artifacts": [_artifact(p) for p in sorted((run / "artifacts").glob("*/manifest.json"))],
        "parity": parity,
        "bench": _bench(_read(run / "bench" / "results.json"), parity),
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
            "the whole line again, in a new folder":
                f"srl-edge run {folder}/recipe.toml --output {folder}-again",
            "only the measurements": f"srl-edge bench {folder}",
            "only this report": f"srl-edge report {folder}",
        },
    }  # fmt: skip


def _training(rows: Sequence[Facts]) -> Facts | None:
    """Rows by kind; `at` counts steps through all stages of a kind."""
    last = {row["stage"]: (row["kind"], row["step"]) for row in rows}
    placed = []
    for row in rows:
        earlier = [n for s, (k, n) in last.items() if s < row["stage"] and k == row["kind"]]
        placed.append(row | {"at": row["step"] + sum(earlier)})
    held_out = [row for row in placed if "eval_reward" in row]
    steps = {k: [r for r in placed if r["kind"] == k and "loss" in r] for k in ("sft", "srl")}
    rewards = [row["reward"] for row in steps["srl"]]
    quarter = max(1, len(rewards) // 4)
    return {
        **steps,
        "held_out": held_out,
        "reward": {
            name: {"mean": fmean(part), "std": pstdev(part), "steps": len(part)}
            for name, part in (("start", rewards[:quarter]), ("end", rewards[-quarter:]))
        } if rewards else None,
        # The trainer keeps the last of equally good adapters.
        "kept": max(reversed(held_out), key=lambda row: row["eval_reward"], default=None),
    } if rows else None  # fmt: skip


def _examples(rollouts: Sequence[Facts]) -> list[Facts]:
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
        if others:
            middle = median_low(r["reward"] for r in others)
            found = next(r for r in others if r["reward"] == middle)
            chosen.append(("A step of middling reward", found))
    if broken := [r for r in recent if r["fault"]]:
        chosen.append(("A broken format", broken[-1]))
    return [_example(title, rollout) for title, rollout in chosen]


def _example(title: str, rollout: Facts) -> Facts:
    expert = rollout["expert_action"].strip()
    reply = read_reply(rollout["completion"], rollout["finished"])
    compared = {"title": title, "expert_action": expert}
    if reply.fault:
        # Shown as it was written: that is where the fault can be seen.
        return rollout | compared | {"thought": "", "action": rollout["completion"], "blocks": []}
    blocks = [list(block) for block in matching_blocks(reply.action, expert)]
    return rollout | compared | {"thought": reply.thought, "action": reply.action, "blocks": blocks}


def _artifact(path: Path) -> Facts:
    manifest = _read(path)
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    keys = ("format", "quantization", "options", "context_length", "merged_sha256", "tools")
    return {"name": path.parent.name, "size_mb": size / 1e6} | {k: manifest[k] for k in keys}


def _bench(bench: Facts | None, parity: Sequence[Facts]) -> Facts | None:
    agreement = {row["artifact"]: row["agreement"] for row in parity}
    for row in bench["rows"] if bench else ():
        low, high = row["accuracy_interval"]
        if low == high:
            row["accuracy_interval"] = _wilson(row["accuracy"], row["problems"])
        row["parity_agreement"] = agreement.get(row["name"])
    return bench


def _wilson(share: float, n: int, z: float = 1.96) -> list[float]:
    """95% score interval; resampling says ±0 where all or none of n are right, which is wrong."""
    centre, half = share + z * z / (2 * n), z * sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    return [max(0.0, (centre - half) / (1 + z * z / n)), min(1.0, (centre + half) / (1 + z * z / n))]


def _summary(recipe: Recipe, facts: Facts) -> str:
    said = f"{recipe.model.name} learns from expert solutions of {recipe.data.source}"
    names = {"sft": "supervised warm-up", "srl": "supervised reinforcement learning (SRL)"}
    done = {name: len(facts["training"][k]) for k, name in names.items() if facts["training"]}
    did = [f"{steps} steps of {name}" for name, steps in done.items() if steps]
    said += f" in {' and '.join(did)}" if did else ""
    if facts["artifacts"]:
        said += f"; the result is exported as {', '.join(a['name'] for a in facts['artifacts'])}"
    if facts["bench"]:
        device = facts["bench"]["device"]
        said += f" and measured on {device['processor']}, {device['threads']} threads"
    return f"{said}."


def _headline(facts: Facts) -> list[list[str]]:
    """The few numbers that matter, each with what it is."""
    numbers = []
    if reward := (facts["training"] or {}).get("reward"):
        start, end = (html.signed(reward[k]["mean"]) for k in ("start", "end"))
        steps = f"{len(facts['training']['srl'])} SRL steps"
        numbers.append([f"{start} → {end}", f"mean reward, first to last quarter of {steps}"])
    rows = {row["name"]: row for row in facts["bench"]["rows"]} if facts["bench"] else {}
    base, tuned = rows.get("torch base"), rows.get("torch tuned")
    if base and tuned:
        label = f"of {tuned['problems']} problems solved, base to tuned"
        label += "; not distinguishable" if html.overlap(base, tuned) else ""
        numbers.append([f"{base['accuracy']:.0%} → {tuned['accuracy']:.0%}", label])
    if facts["artifacts"]:
        smallest = min(facts["artifacts"], key=lambda artifact: float(artifact["size_mb"]))
        label = f"{smallest['name']}, the smallest artifact"
        if row := rows.get(smallest["name"]):
            label += f"; {row['decode_tokens_per_second']['mean']:.1f} tokens/s"
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
    said = [_compared("The tuned model", tuned, "the base model", base)]
    apart = [row for row in rows.values() if not html.overlap(row, tuned)]
    said += [_compared(row["name"], row, "the tuned model", tuned) for row in apart]
    if len(apart) < len(rows):
        which = "The other artifacts are" if apart else "The artifacts are"
        said.append(
            f"{which} not distinguishable from the tuned model at n={tuned['problems']}; this "
            "does not rule out a small loss of accuracy."
        )
    return said


def _compared(a_name: str, a: Facts, b_name: str, b: Facts) -> str:
    n, more = a["problems"], "more" if a["accuracy"] > b["accuracy"] else "fewer"
    a_name, b_name = f"{a_name} ({html.accuracy(a)})", f"{b_name} ({html.accuracy(b)})"
    if html.overlap(a, b):
        return (
            f"{a_name} and {b_name} are not distinguishable at n={n}: their 95% intervals overlap."
        )
    return (
        f"{a_name} solves {more} problems than {b_name}, n={n}: their 95% intervals do not overlap."
    )


def markdown(facts: Facts) -> str:
    """The report as Markdown, with a table of speeds in the manner of llama-bench."""
    parts = [f"# {facts['recipe']['model']['name']}: report of a run", facts["summary"]]
    parts.append("\n".join(f"- **{value}** {label}" for value, label in facts["headline"]))
    for key, title in html.PARTS.items():
        parts.append(f"## {title}")
        if note := facts["missing"].get(key):
            parts.append(note)
            continue
        if key == "bench":
            parts += facts["verdicts"]
        if key == "examples":
            parts += [_markdown_example(example) for example in facts["examples"]]
        if key == "training":
            parts += html.training_words(facts["training"])
        parts += [_markdown_table(t) for t in html.tables(facts, key, llama_bench=True)]
    terms = "\n".join(f"- **{k}**: {said}" for k, said in html.definitions(facts["recipe"]).items())
    commands = "\n".join(f"{c}  # {what}" for what, c in facts["commands"].items())
    parts += ["## How it was measured", terms, f"```sh\n{commands}\n```"]
    parts.append(f"```toml\n{facts['recipe_toml']}```")
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_table(table: html.Table) -> str:
    headers, rows = table
    lines = [headers, ["---", *["---:"] * (len(headers) - 1)]]
    lines += [[escape(c, quote=False).replace("|", "\\|") for c in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _markdown_example(example: Facts) -> str:
    # Indented text is shown as it is, whatever a model wrote.
    texts = {"Problem": "problem", "Expert's step": "expert_action", "The model": "completion"}
    shown = [f"{k}:\n\n    " + "\n    ".join(example[v].splitlines()) for k, v in texts.items()]
    reward = f"### {example['title']}: reward {example['reward']:.2f} {example['fault']}"
    return "\n\n".join([reward.strip(), *shown])


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _rows(path: Path) -> list[Facts]:
    """Rows of a log, less a last line that is being written."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    return [json.loads(line) for line in lines]
