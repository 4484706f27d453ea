"""That the pages quote the program as it is: sentences, functions, verbs and worked examples."""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from srl_edge.cli import ALL
from srl_edge.commands.listing import page
from srl_edge.commands.parser import file_of
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.method.algorithm import group_relative
from srl_edge.method.prompts import step_prompts, warm_up_reply
from srl_edge.method.rewards import similarity
from srl_edge.recipe import Model, Recipe, Stage
from srl_edge.recipe.errors import keys
from srl_edge.recipe.starters import write_starter
from tests.helpers.sources import ROOT, modules

DOCS = ROOT / "docs"
SETTINGS = {
    f"--{key}".replace("_", "-")
    for key in keys(Recipe(output="x", model=Model(name="x"), stages=(Stage(kind="sft", steps=1),)))
} | {"--section.key"}
_NAMED = re.compile(r"`(\w+/[\w/]+\.py)::(\w+)`")
_ROW = re.compile(r"^\| (.+?) \| ", re.MULTILINE)
_LINES = re.DOTALL | re.MULTILINE
_SENTENCE = re.compile(r"`` (.+?) ``|`([^`]+)`")


def texts(file: Path) -> Iterator[str]:
    """Every text in a file's code, `…` for what is put into it; concatenated ones are one."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.JoinedStr(values=values):
                yield "".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in values)
            case ast.Constant(value=str(value)):
                yield value


def sentences() -> list[str]:
    """What the page of troubleshooting quotes of the program, but for what a shell says."""
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    first = [cell for cell in _ROW.findall(text) if cell.startswith("`")]
    quoted = [next(filter(None, _SENTENCE.findall(cell)[0])) for cell in first]
    return [each for each, cell in zip(quoted, first, strict=True) if "from the shell" not in cell]


@pytest.fixture(scope="module")
def said() -> str:
    return "\0".join(text for file in modules().values() for text in texts(file))


@pytest.mark.parametrize("sentence", sentences())
def test_sentences_that_are_quoted_are_said(sentence: str, said: str) -> None:
    """Their literal parts stand in one text of the code, in this order."""
    parts = [re.escape(part) for part in sentence.split("…") if part.strip(" :;,.()")]
    assert parts, f"{sentence} has no words"
    assert re.search(r"[^\0]*?".join(parts), said), f"nothing says {sentence!r}"


def test_forty_sentences_are_explained() -> None:
    assert len(set(sentences())) == len(sentences()) >= 40


@pytest.mark.parametrize("file", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_functions_that_are_named_exist(file: Path) -> None:
    for where, name in _NAMED.findall(file.read_text(encoding="utf-8")):
        tree = ast.parse((ROOT / where).read_text(encoding="utf-8"))
        assert name in {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}


def test_the_page_of_the_method_names_where_each_formula_is() -> None:
    text = (DOCS / "method.md").read_text(encoding="utf-8")
    assert len(_NAMED.findall(text)) >= 20 and text.count("$$") >= 14


@pytest.mark.parametrize("file", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_formulas_are_drawn_on_a_code_host_too(file: Path) -> None:
    r"""Markdown takes the backslash of `\,` and its like away before formulas are looked for."""
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", file.read_text(encoding="utf-8"), flags=_LINES)
    for formula in re.findall(r"\$\$(.+?)\$\$|(?<!\$)\$(?=\S)([^$\n]+?)\$(?!\d)", text):
        assert not re.search(r"\\[^A-Za-z]", "".join(formula)), formula


def test_the_worked_example_of_the_method_is_right() -> None:
    text = (DOCS / "method.md").read_text(encoding="utf-8").replace("\u2212", "-")
    step, other = "36 - 10 = 26 eggs left.", "36 + 10 = 46 eggs left."
    assert f"`{step}`" in text and f"`{other}`" in text
    rewards = [1.0, similarity(other, step), -1.0]
    assert f"1, {rewards[1]:.2f} and -1" in text
    a, b, c = (f"{value:+.2f}" for value in group_relative(rewards))
    assert f"{a}, {b} and {c}" in text


def test_the_reply_that_is_shown_first_is_what_the_first_recipe_teaches(tmp_path: Path) -> None:
    text = (DOCS / "start.md").read_text(encoding="utf-8")
    rows = [json.loads(row) for row in re.findall(r'^\{"problem.*', text, re.MULTILINE)]
    (shown,) = re.findall(r"^    --- the expert's reply: .*\n((?:    .+\n)+)", text, re.MULTILINE)
    form = Recipe.load(write_starter(tmp_path / "mine.toml", "starter")).prompt.form
    (expert,) = parse_rows(rows, ParseReport(), form=form, answer_step=True)
    assert dedent(shown).rstrip("\n") == warm_up_reply(
        step_prompts([expert], "all", form=form)[0][0]
    )


def commands(file: Path) -> list[str]:
    """The command lines of a page's code, fenced or indented, without what comes after."""
    text = file.read_text(encoding="utf-8").replace("\\\n", " ")
    fenced = "\n".join(re.findall(r"^```\w*\n(.*?)^```$", text, _LINES))
    code = re.findall(r"^srl-edge .*", fenced, re.MULTILINE)
    code += re.findall(r"^ {4}(srl-edge [a-z].*)", text, re.MULTILINE)
    return [re.split(r"\s#|&&|\|", line)[0].strip() for line in code]


@pytest.mark.parametrize(
    "line",
    sorted({line for file in (ROOT / "README.md", *DOCS.glob("*.md")) for line in commands(file)}),
)
def test_commands_that_are_shown_can_be_given(line: str) -> None:
    """Their verbs exist, and take the options that are shown."""
    words = shlex.split(line)[1:]
    verb = " ".join(words[:2]) if " ".join(words[:2]) in ALL else words[0]
    assert verb in ALL
    parser = file_of(verb).parser()
    known = {flag for action in parser._actions for flag in action.option_strings}
    if parser.settings:
        known |= SETTINGS
    options = [re.sub(r"\.\d+\.", ".0.", word) for word in words if word.startswith("--")]
    assert [option for option in options if option.replace("_", "-") not in known] == []


def test_the_page_of_verbs_is_current() -> None:
    written = (DOCS / "verbs.md").read_text(encoding="utf-8")
    assert written == page(), "run `python -m srl_edge.commands > docs/verbs.md`"


def test_the_page_of_verbs_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = page()
    monkeypatch.setenv("COLUMNS", "30")
    assert page() == before
