"""The section of a recipe that says what is trained on and what is held out."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from srl_edge.data.sources import GENERATED
from srl_edge.recipe.section import FEW, Few, Many, Section, file_name


class Columns(Section):
    problem: str | None = None
    """Of the problem's text."""
    solution: str | None = None
    """Of the worked solution, which is cut into steps."""
    steps: str | None = None
    """Of a list of steps, in place of a solution."""
    answer: str | None = None
    """Of the final answer; without it, the one that the solution states."""
    thought: str | None = None
    """Of what was thought before: one text for the whole solution, or a list, one a step."""

    @property
    def named(self) -> dict[str, str] | None:
        """The columns that are named; None where none is."""
        return self.model_dump(exclude_none=True) or None

    @model_validator(mode="after")
    def _with_problem(self) -> "Columns":
        if self.named and self.problem is None:
            raise ValueError(
                "where columns are named, the problem's is needed too: nothing else is read"
            )
        return self


class Stories(Section):
    problems: Many = 240
    """Training problems, in 12 settings; held-out ones are told in others."""
    events: Many = 3
    """Times that the count changes, a step each."""
    largest: Annotated[int, Field(ge=10)] = 30
    """Largest number."""


class Home(Section):
    problems: Many = 1500
    """Training requests; held-out ones speak of other rooms and things, in other sentences."""
    things: Annotated[int, Field(ge=1, le=8)] = 2
    """Things that a request asks for, a call each."""


class Agents(Section):
    problems: Many = 1500
    """Training tasks; held-out ones speak of other places and things, in other sentences."""


class Difficulty(Section):
    keep: tuple[Literal["never", "sometimes", "always"], ...] = ()
    """Train on problems that the untrained model solves so often; without any, on all."""
    k: Annotated[int, Field(ge=2, le=FEW)] = 8
    """Tries at each problem, in the model's own way."""


class Quality(Section):
    drop: tuple[Literal["near_duplicate", "evaluation", "arithmetic", "no_answer"], ...] = ()
    """Leave training trajectories out that are nearly another, share 13 words in a row with a
    held-out or evaluation problem, write a wrong sum, or have no final answer."""
    similarity: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """From which on two are nearly the same: Jaccard's, of three words in a row."""
    evaluation: tuple[Annotated[str, BeforeValidator(file_name)], ...] = ()
    """Sources of evaluation problems, as `source`; held-out splits always count."""


def held_out(value: float) -> float:
    """A number of problems, or a share of them below 1; raises ValueError for neither."""
    if value >= 1 and value != int(value):
        raise ValueError("give a whole number of problems, or a share below 1")
    return int(value) if value >= 1 else value


HeldOut = Annotated[float, Field(gt=0), AfterValidator(held_out)] | None


class Data(Section):
    main = "source"
    source: Annotated[str, BeforeValidator(file_name)] = GENERATED[0]
    """`home`, `agent-home`, `agent-shell`, `stories` or `gsm_symbolic`, which are made up; a file
    or folder of JSON Lines, JSON, CSV or Parquet; or `hf:NAME[@REVISION][:CONFIG[:SPLIT]]`."""
    columns: Columns = Columns()
    difficulty: Difficulty = Difficulty()
    quality: Quality = Quality()
    style: Literal["auto", "numbered", "lines", "paragraphs", "sentences"] = "auto"
    """How solutions are cut into steps; auto: what keeps most of them with sensible steps."""
    answer_step: bool = True
    """The final answer is a step of its own, instead of the last line of the last step."""
    max_step_characters: Many | None = None
    """Leave out trajectories that have a longer step."""
    max_steps: Few | None = None
    """Leave out trajectories of more steps."""
    max_number: PositiveInt | None = None
    """Leave out trajectories that write a larger number: easier arithmetic."""
    validation: Annotated[str, BeforeValidator(file_name)] | None = None
    """What to validate on: a split or file of the source by its name, or a source of its own."""
    test: Annotated[str, BeforeValidator(file_name)] | None = None
    """The same for the benchmark; without them, problems of the source are held out."""
    validation_problems: HeldOut = None
    """Problems held out for validation, or a share below 1; None: 60, at most a tenth of all (of
    `validation`, all)."""
    test_problems: HeldOut = None
    """Problems held out for the benchmark, or a share; None: 100, at most a tenth of all (of
    `test`, all)."""
    stories: Stories = Stories()
    home: Home = Home()
    agents: Agents = Agents()
    rows_per_template: Many = 20
    """gsm_symbolic: problems drawn from each template."""
    validation_templates: Many = 8
    """gsm_symbolic: templates held out for validation."""
    test_templates: Many = 12
    """gsm_symbolic: templates held out for the benchmark."""

    @model_validator(mode="after")
    def _of_rows(self) -> "Data":
        if self.source in GENERATED and (self.columns.named or self.validation or self.test):
            raise ValueError(
                f"columns, validation and test are for rows of your own; {self.source} is split "
                "by what its problems are about"
            )
        return self
