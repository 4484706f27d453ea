"""What a model can already do of a task, and what that says about how to train it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Class = Literal["never", "sometimes", "always"]

# Where a share counts as small or large. The words come from published comparisons, which agree in
# direction and not in a number; docs/training.md names them.
FEW, MANY, MOST = 0.1, 0.5, 0.8
ENOUGH = 32  # problems
BUSY = 1.7  # programs that want to run, for each core: this one has a thread for each, and some


@dataclass(frozen=True, slots=True)
class Headroom:
    """What a model does before training, sampled k times each, as shares in [0, 1].

    solved: right answers of k to each problem, in the model's own way. cut_off: replies that the
    length limit ended. format_kept, similarity: of k replies to step prompts of the run's form,
    where steps are asked for; spread: step prompts whose replies differ in reward. seconds: to
    train by the recipe on this machine; None where there was nothing to time. load: what wanted to
    run on each core meanwhile; None where the system does not tell.
    """

    problems: int
    k: int
    solved: tuple[int, ...]
    cut_off: float
    format_kept: float | None
    similarity: float | None
    spread: float | None
    seconds: float | None
    load: float | None = None

    def __str__(self) -> str:
        return "\n".join(in_words(self))

    @property
    def pass_at_1(self) -> float:
        """Share of right answers."""
        return sum(self.solved) / max(self.k * len(self.solved), 1)

    @property
    def pass_at_k(self) -> float:
        """Share of problems of which one of k answers is right."""
        return 1 - self.share("never")

    def share(self, name: Class) -> float:
        """Share of problems that are never, sometimes or always solved."""
        found = [class_of(right, self.k) for right in self.solved]
        return found.count(name) / max(len(found), 1)


def class_of(right: int, k: int) -> Class:
    """How often a problem is solved."""
    return "never" if right == 0 else "always" if right == k else "sometimes"


def in_words(found: Headroom) -> Iterator[str]:
    """The figures, a line each."""
    k = found.k
    yield f"{found.problems} problems, {k} replies each, in the model's own way:"
    yield f"  right at once (pass@1)         {found.pass_at_1:.0%}"
    yield f"  right in {k} tries (pass@{k})      {found.pass_at_k:.0%}"
    shares = ", ".join(f"{name} {found.share(name):.0%}" for name in ("never", "sometimes"))
    yield f"  solved {shares}, always {found.share('always'):.0%}"
    yield f"  replies cut off                {found.cut_off:.0%}"
    if found.format_kept is not None:
        yield "Steps, as the run asks for them:"
        yield f"  replies in the format          {found.format_kept:.0%}"
        yield f"  similarity to the expert's     {found.similarity:.2f}"
        yield f"  groups with spread             {found.spread:.0%}"
    if found.seconds is not None:
        yield f"Training by this recipe takes about {duration(found.seconds)} on this machine."
        if (found.load or 0) > BUSY:
            yield f"  less where nothing else runs: {found.load:.1f} programs shared a core"


def advice(found: Headroom, kinds: Sequence[str]) -> Iterator[str]:
    """What to try, in sentences. kinds: of the recipe's stages, in their order."""
    never, sometimes = found.share("never"), found.share("sometimes")
    if found.problems < ENOUGH:
        yield (
            f"{found.problems} problems say little: a share of them may be off by "
            f"{1 / found.problems**0.5:.0%}. Ask more (--problems) before you decide."
        )
    if found.cut_off > FEW:
        yield (
            f"{found.cut_off:.0%} of the replies are cut off, so the model may know more than is "
            "seen here: raise trainer.own_way_tokens."
        )
    if found.share("always") >= MOST:
        yield "Nearly all problems are always solved: there is little to gain; find harder ones."
        return
    if sometimes >= FEW:
        yield (
            f"{sometimes:.0%} of the problems are solved now and then, so the skill is half there. "
            "Rollouts have something to compare: try rlvr in the model's own way (prompt.preset = "
            "'math', reply = 'whole'), or srl after no more sft than the format needs: at this "
            "point supervised training often costs accuracy."
        )
    if never >= MANY:
        none = f"{never:.0%} of the problems are never solved in {found.k} tries"
        if sometimes >= FEW:
            yield f"{none}: exact answers give no signal there, and srl's scores of steps do."
        else:
            yield (
                f"{none}, and hardly any now and then: the skill is new to the model. There sft "
                "on the expert's steps comes first; srl scores each step even where no answer is "
                "right."
            )
    if found.format_kept is not None and found.format_kept < MOST and "srl" in kinds:
        mend = (
            "the sft stage that the recipe begins with has to teach it"
            if kinds[0] == "sft"
            else "begin with a short sft stage, or ask without a format (prompt.preset = 'math')"
        )
        yield (
            f"Only {found.format_kept:.0%} of the replies keep the run's format, and a broken one "
            f"outweighs every difference between steps: {mend}."
        )
    if kinds and kinds[0] == "rlvr" and sometimes < FEW:
        yield (
            "This recipe begins with rlvr, which learns from problems that are solved now and then "
            f"({sometimes:.0%}): most of its samples would be thrown away."
        )


def duration(seconds: float) -> str:
    """A time in words of two figures at most: `40 s`, `25 minutes`, `3.5 hours`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.{1 if seconds < 36000 else 0}f} hours"
