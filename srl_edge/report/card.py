"""Model cards of a run: a README.md in its adapter and in each artifact, of its own records."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from srl_edge import __version__, owned
from srl_edge.artifact import ADAPTER, is_current
from srl_edge.errors import InputError
from srl_edge.files import read_json
from srl_edge.quantization.formats import FORMATS
from srl_edge.recipe import Recipe
from srl_edge.report import card_asking, card_base, card_words, plots, tables
from srl_edge.report.card_metadata import metadata
from srl_edge.report.facts import RunFacts, gather
from srl_edge.report.layout import render_markdown
from srl_edge.report.markdown import as_markdown, fenced, inline
from srl_edge.report.parity_rows import ParityRow
from srl_edge.report.rows import TUNED
from srl_edge.report.run_page import loss_curve, reward_curves
from srl_edge.report.sentences import training_words
from srl_edge.report.training_rows import Training
from srl_edge.run_folder import RECIPE, trained_otherwise

README, PICTURE = owned.CARD
_WIDTH = 860  # px of the picture, which a page of a hub can show whole


@dataclass(frozen=True, slots=True)
class Part:
    """What a card is of: the adapter, or an artifact with its manifest."""

    name: str
    folder: Path
    manifest: Mapping[str, Any] | None = None

    @property
    def kind(self) -> str:
        """Its format; adapter for that."""
        return str(self.manifest["format"]) if self.manifest else "adapter"

    @property
    def row(self) -> str:
        """What the benchmark calls it."""
        return self.name if self.manifest else TUNED


def parts_of(run: Path) -> list[Part]:
    """What of a run can have a card; raises InputError where nothing has been trained."""
    if not (run / "adapter" / ADAPTER).is_file():
        raise InputError(f"{run}: nothing is trained yet; run `srl-edge train {run}` first.")
    files = sorted((run / "artifacts").glob("*/manifest.json"))
    return [
        Part("adapter", run / "adapter"),
        *(Part(f.parent.name, f.parent, read_json(f, "Manifest")) for f in files),
    ]


def write(recipe: Recipe, run: Path, base: str | None = None) -> dict[str, list[Path]]:
    """Write the card of a run's adapter and of each artifact; return those written and those kept.

    base: the base model's id on the hub, where neither the recipe nor an earlier card says it. A
    card that srl-edge did not write, or that was changed since, is kept as it is. Raises InputError
    where there is nothing to describe, or the run now says otherwise than it was trained.
    """
    found: dict[str, list[Path]] = {"written": [], "kept": []}
    parts = parts_of(run)
    owned.require_no_links(run, beside=RECIPE)
    facts = gather(recipe, run)
    if why := trained_otherwise(recipe):
        raise InputError(
            f"{run}: its adapter may not be of the data and the recipe that a card would name "
            f"(train: {why}); `srl-edge run {shlex.quote(recipe.output)}` trains it as they are."
        )
    picture = training_picture(facts.training)
    for part in parts:
        texts = {README: text(facts, part, bool(picture), base or named_base(recipe, part))}
        texts |= {PICTURE: picture} if picture else {}
        files = {part.folder / name: said for name, said in texts.items()}
        if theirs := [file for file in files if file.exists() and not owned.written(file)]:
            found["kept"] += theirs
            continue
        for file, said in files.items():
            owned.write(file, said)
            found["written"].append(file)
    return found


def named_base(recipe: Recipe, part: Part) -> str | None:
    """The base model's id on the hub: as the part's card has it, else as the recipe does."""
    said = card_base.metadata_of(part.folder / README).get("base_model")
    return (
        said
        if isinstance(said, str) and card_base.HUB_ID.fullmatch(said)
        else card_base.base_on_hub(recipe)
    )


def text(facts: RunFacts, part: Part, picture: bool, base: str | None) -> str:
    """The card of a part, as Markdown with metadata; base: the base model's id on the hub."""
    before = any(row.artifact == part.name for row in facts.parity)
    facts = _as_it_is(facts)
    recipe, run = facts.recipe, facts.recipe.run
    licence = card_base.licence_of(recipe)
    title = card_words.title(recipe, part.name)
    asking = card_asking.asking_of(recipe, run, part.manifest)
    yaml = metadata(recipe, [part.kind], title, base, licence, facts.bench, part.row)
    results = card_words.results(facts.bench, part.row)
    gate = next((row for row in facts.parity if row.artifact == part.name), None)
    return render_markdown(
        "card.md",
        yaml=Markup(yaml),
        title=title,
        what=card_words.what(facts, part.name, part.kind, base),
        warnings=_warnings(facts, part, run, gate),
        results=Markup(as_markdown(results)) if results else "",
        measured=card_words.measured(facts.bench),
        findings=[*card_words.findings(facts.bench, part.row), *_alone(facts, part)],
        unmeasured=card_words.unmeasured(facts),
        reply=card_asking.reply(asking),
        turns=card_asking.asked(asking),
        asked_by=card_asking.asked_by(asking),
        needs=card_words.needs(part.kind, part.manifest),
        run=_code(asking, part, base),
        after_run=card_words.after_run(part.kind, recipe),
        data=card_words.data(recipe, facts.data),
        splits=Markup(as_markdown(tables.data(facts.data)[0])) if facts.data else "",
        training=" ".join(training_words(facts.training)) if facts.training else "",
        picture=Markup(PICTURE) if picture else "",
        settings=Markup(fenced(card_words.settings(recipe), "toml")),
        artifact=bool(part.manifest),
        gate=card_words.gate(gate, part.name, " as it is now" * before) if part.manifest else "",
        licence=card_base.licence(recipe, base, licence),
        limits=card_words.limits(facts, part.row, part.manifest),
        version=__version__,
    )


def of_several(facts: RunFacts, parts: Sequence[Part]) -> str:
    """The card of a repository that has several artifacts, each in a folder with its own."""
    facts = _as_it_is(facts)
    recipe, base = facts.recipe, named_base(facts.recipe, parts[0])
    licence = card_base.licence_of(recipe)
    title = card_words.title(recipe, "artifacts")
    own = [part.row for part in parts]
    results = card_words.results(facts.bench, *own)
    return render_markdown(
        "cards.md",
        yaml=Markup(metadata(recipe, [part.kind for part in parts], title, base, licence)),
        title=title,
        what=card_words.what_several(facts, base),
        parts=[Markup(f"[{inline(part.name)}]({quote(part.name)}/README.md)") for part in parts],
        results=Markup(as_markdown(results)) if results else "",
        measured=card_words.measured(facts.bench),
        licence=card_base.licence(recipe, base, licence),
        version=__version__,
    )


def _as_it_is(facts: RunFacts) -> RunFacts:
    """Facts without what was found of an earlier state of the run: a card claims none of it."""
    named = facts.recipe.export.artifacts  # of others the gate is not asked again
    gated = [] if "check" in facts.outdated else [r for r in facts.parity if r.artifact in named]
    return replace(facts, parity=gated, bench=None if "bench" in facts.outdated else facts.bench)


def training_picture(training: Training | None) -> str:
    """The curves of training as an SVG file; '' where there are none."""
    panels = []
    if training and (loss := loss_curve(training)):
        top = max(y for _, y in loss[0].points)
        panels.append(plots.curves(loss, "supervised step", "loss", _WIDTH, (0, top)))
    for label, series in reward_curves(training).items() if training else ():
        panels.append(plots.curves(series, label, "reward", _WIDTH))
    return plots.in_a_file(panels, _WIDTH, plots.CURVES_HEIGHT) if panels else ""


def _warnings(facts: RunFacts, part: Part, run: Path, gate: ParityRow | None) -> list[str]:
    """What whoever reads a card must know before the rest."""
    said = []
    if part.manifest and not is_current(part.manifest, run):
        said.append("This artifact was made of an earlier adapter than the run has now.")
    if gate and not gate.passed:
        said.append("The gate found that this artifact does not answer as the trained model does.")
    return said


def _alone(facts: RunFacts, part: Part) -> list[str]:
    """How large an adapter is by itself: what was measured is the model that it is merged into."""
    if part.manifest or not (facts.bench and facts.bench.row(TUNED)):
        return []
    size = (part.folder / ADAPTER).stat().st_size / 1e6
    return [f"{TUNED} is the base with this adapter merged; the adapter itself has {size:.1f} MB."]


def _code(asking: card_asking.Asking, part: Part, base: str | None) -> Markup:
    if not part.manifest:
        where = base or "the folder of the base model"
        return card_asking.code("adapter", asking, base=where)
    separate = part.manifest.get("adapter") == "separate"
    adapter = FORMATS[part.kind].adapter if separate else None
    values = {"context_length": part.manifest["context_length"], "adapter": adapter}
    return card_asking.code(part.kind, asking, **values)
