from pathlib import Path

import pytest

from srl_edge import recipe
from srl_edge.errors import InputError
from srl_edge.quantization.formats import default_agreement
from srl_edge.recipe.__main__ import SECTIONS
from srl_edge.recipe.listing import page

MINIMAL = """output = "runs/x"
[model]
name = "m"
[[stages]]
kind = "srl"
steps = 3
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "r.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", sorted(Path("recipes").glob("*.toml")), ids=str)
def test_shipped_recipes_load_and_survive_a_round_trip(path: Path, tmp_path: Path) -> None:
    loaded = recipe.load(path)
    assert recipe.load(write(tmp_path, recipe.dumps(loaded))) == loaded


def test_flags_override_the_file(tmp_path: Path) -> None:
    flags = ["--stages.0.steps", "7", "--trainer.lora-rank", "2", "--output", "elsewhere"]
    loaded = recipe.load(write(tmp_path, MINIMAL), flags)
    assert (loaded.stages[0].steps, loaded.trainer.lora_rank) == (7, 2)
    assert loaded.run == Path("elsewhere")


@pytest.mark.parametrize(
    ("flags", "key", "value"),
    [
        (["--export.artifacts", "onnx-int8", "gguf-q8_0"], "artifacts", ("onnx-int8", "gguf-q8_0")),
        (["--export.artifacts=onnx-int8"], "artifacts", ("onnx-int8",)),
        (["--export.artifacts"], "artifacts", ()),
        (
            ["--stages.0.reward", "results", "0.5", "answer", "1"],
            "reward",
            {"results": 0.5, "answer": 1.0},
        ),
        (["--check.agreement.int8", "0.5"], "agreement", default_agreement() | {"int8": 0.5}),
        (["--trainer.gradient-checkpointing"], "gradient_checkpointing", True),
        (["--trainer.gradient_checkpointing", "true"], "gradient_checkpointing", True),
        (["--trainer.no-gradient-checkpointing"], "gradient_checkpointing", False),
        (["--stages.0.learning_rate", "1e-3"], "learning_rate", 1e-3),
        (["--stages.0.steps", "None", "--stages.0.epochs", "2"], "steps", None),
        (["--model.name", "None"], "name", "None"),
        (["--data.source", "my file.jsonl"], "source", str(Path("my file.jsonl").absolute())),
        (
            ["--prompt.chat-template-kwargs", "enable_thinking", "false", "date_string", "1 May"],
            "chat_template_kwargs",
            {"enable_thinking": False, "date_string": "1 May"},
        ),
        (
            ["--prompt.chat_template_kwargs.tools", '[{"name": "light"}]'],
            "chat_template_kwargs",
            {"tools": [{"name": "light"}]},
        ),
    ],
)
def test_every_kind_of_setting_can_be_given(
    tmp_path: Path, flags: list[str], key: str, value: object
) -> None:
    loaded = recipe.load(write(tmp_path, MINIMAL), flags)
    sections = (
        loaded,
        *loaded.stages,
        loaded.model,
        loaded.data,
        loaded.trainer,
        loaded.export,
        loaded.check,
        loaded.prompt,
    )
    (found,) = [getattr(section, key) for section in sections if hasattr(section, key)]
    assert found == value


def test_help_lists_every_setting_with_its_own_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        recipe.load(write(tmp_path, MINIMAL), ["--help"])
    said = capsys.readouterr().out
    assert stopped.value.code == 0
    assert "--stages.0.steps integer (now: 3)\n      Optimizer steps." in said
    assert "--trainer.gradient_checkpointing yes or no (now: no)" in said
    assert "--stages.0.kind sft|srl|rlvr (now: srl)" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL.replace("steps", "stesp"), "unknown key 'stages.0.stesp'; did you mean 'steps'?"),
        (MINIMAL + "[benhc]\n", "unknown key 'benhc'; did you mean 'bench'?"),
        (MINIMAL.replace("3", '"many"'), "'stages.0.steps': input should be a valid integer"),
        (
            MINIMAL.replace('"srl"', '"grpo"'),
            "'stages.0.kind': input should be 'sft', 'srl' or 'rlvr'",
        ),
        (MINIMAL + "learning_rate = inf\n", "'stages.0.learning_rate': input should be a finite"),
        (MINIMAL + "group_size = 1\n", "'stages.0': group_size must be 2 or more"),
        (MINIMAL + "patience = 2\n", "give validate_every too"),
        (MINIMAL + "[check.agreement]\nint9 = 0.5\n", "'int9' is not known; choose from fp32"),
        ("stages = []\n" + MINIMAL.partition("[[stages]]")[0], "'stages': "),
        ("output = \n", "not TOML"),
        ('output = "x"\n', "'model' is missing"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        recipe.load(write(tmp_path, text))
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--trainer.lora-rnak", "2"], "Did you mean --trainer.lora_rank?"),
        (["--seed", "-1"], "command line: 'seed': input should be greater than or equal to 0"),
        (["--stages.0.steps", "-3"], "line: 'stages.0.steps': input should be greater than 0"),
        (["--export.artifacts", "foo"], "line: 'export.artifacts': 'foo' is not known; choose"),
        (["--bench.samples", "4"], "line: 'bench': samples above 1 need a temperature above 0"),
        (["--trainer.gradient-checkpointing", "maybe"], "input should be a valid boolean"),
        (["--trainer.backend", "tpu"], "input should be 'auto', 'torch' or 'mlx' (got 'tpu')"),
        (["--seed"], "--seed takes one value, and has 0"),
        (["--seed", "1", "2"], "--seed takes one value, and has 2"),
        (["7", "--seed", "1"], "'7' belongs to no option"),
        (["--stages.1.steps", "1"], "unknown option --stages.1.steps. Did you mean --stages.0.st"),
        (["--check.agreement", "int8"], "--check.agreement takes pairs of a key and a value"),
        (["--prompt.chat_template_kwargs.messages", "1"], "messages: it is given already"),
        (["--prompt.chat_template_kwargs.tools", "[null]"], "leave out what has no value"),
    ],
)
def test_a_mistaken_flag_is_one_sentence(tmp_path: Path, flags: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        recipe.load(write(tmp_path, MINIMAL), flags)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", ()),
        ("reward = { characters = 1.0, 'mine.py:f' = 1.0 }", ("mine.py",)),
        ("reward = { 'mine.py:f' = 1.0, 'mine.py:g' = 1.0 }", ("mine.py",)),
        ("[prompt]\nverifier = 'judge.py:same'", ("judge.py",)),
        ("[trainer]\nsampler = 'vllm'\nvllm_command = 'anything'", ("anything",)),
        ("[trainer]\nvllm_command = 'not started'", ()),
    ],
)
def test_what_of_a_recipe_is_code(text: str, code: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "ran").mkdir()
    for name in ("mine.py", "judge.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'ran' / name)!r}, 'w')\n")
    settings = recipe.load(write(tmp_path, MINIMAL + text))
    assert tuple(Path(name).name for name in settings.code) == code
    assert not list((tmp_path / "ran").iterdir())  # to read it runs none


def test_a_recipe_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(MINIMAL, encoding="utf-16")
    with pytest.raises(InputError, match="not UTF-8"):
        recipe.load(path)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such recipe"):
        recipe.load(tmp_path / "absent.toml")


def test_agreement_that_is_not_named_keeps_its_default() -> None:
    fields = {"output": "r", "model": {"name": "m"}, "stages": [{"kind": "sft", "steps": 1}]}
    chosen = recipe.Recipe.model_validate(fields | {"check": {"agreement": {"int4": 0.4}}})
    assert chosen.check.agreement == default_agreement() | {"int4": 0.4}
    assert recipe.Recipe.model_validate(fields).check.agreement == default_agreement()


def test_a_run_is_measured_with_replies_as_long_as_its_stages() -> None:
    stages = [{"kind": "sft", "steps": 1}, {"kind": "srl", "steps": 1, "max_new_tokens": 256}]
    fields = {"output": "r", "model": {"name": "m"}, "stages": stages}
    chosen = recipe.Recipe.model_validate(fields)
    assert (chosen.benchmark.max_new_tokens, chosen.benchmark.max_steps) == (256, 8)
    longer = chosen.changed(stages={1: {"max_new_tokens": 400, "max_steps": 12}})
    assert (longer.benchmark.max_new_tokens, longer.benchmark.max_steps) == (400, 12)
    named = chosen.changed(bench={"max_new_tokens": 64, "max_steps": 3})
    assert (named.benchmark.max_new_tokens, named.benchmark.max_steps) == (64, 3)
    assert recipe.Bench().as_long_as().max_new_tokens == 96
    paper = recipe.load(Path("recipes/paper.toml"))
    assert paper.benchmark.max_new_tokens == paper.stages[-1].max_new_tokens == 4096


def test_the_page_of_settings_is_what_the_schema_says() -> None:
    written = Path("docs/settings.md").read_text(encoding="utf-8")
    assert written == page(SECTIONS), "run `python -m srl_edge.recipe > docs/settings.md`"
    assert "|  |" not in written, "a setting without a description"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--output", "a\0b"], "a path cannot hold a NUL character"),
        (["--output", "~nobody-of-this-name/x"], "there is no such user's home"),
        (["--seed", "9" * 40], "less than"),
        (["--bench.timeout", "1e300"], "less than or equal to"),
        (["--stages.0.prompts_per_step", "1000000000"], "less than or equal to 65536"),
        (["--stages.0.group_size", "1000000000"], "less than or equal to 65536"),
        (["--stages.0.steps", "1000000000"], "less than or equal to 16777216"),
        (["--stages.0.max_new_tokens", "1000000000"], "less than or equal to 16777216"),
        (["--stages.0.steps", "None", "--stages.0.epochs", "1e300"], "less than or equal to 65536"),
        (["--export.context_length", "1000000000"], "less than or equal to 16777216"),
        (["--output", "bad\udcff"], "'output': is not UTF-8"),
        (["--data.source", "bad\udcff.jsonl"], "'data.source': is not UTF-8"),
        (["--data.quality.evaluation", "bad\udcff.jsonl"], "evaluation': is not UTF-8"),
        (["--stages.0.reward", "bad\udcff.py:f", "1"], "reward': is not UTF-8"),
        (["--data.source", "~nobody-of-this-name/x"], "there is no such user's home"),
    ],
)
def test_values_that_no_run_can_use_are_one_sentence(
    flags: list[str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        recipe.load(write(tmp_path, MINIMAL), flags)
    assert "\n" not in str(caught.value)


def test_a_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    loaded = recipe.load(write(tmp_path, MINIMAL), ["--output", "~/run"])
    assert loaded.run == tmp_path / "run"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[data.columns]\nsolution = 'x'",
            "'data.columns': where columns are named, the ",
        ),
        (
            "[data.columns]\nproblme = 'x'",
            "unknown key 'data.columns.problme'; did you mean ",
        ),
        (
            "[data]\nvalidation_problems = 1.5",
            "give a whole number of problems, or a share",
        ),
        ("[data]\ntest_problems = 0", "'data.test_problems': input should be greater than 0"),
        ("[data]\nvalidation = 'dev'", "'data': columns, validation and test are for rows of your"),
        (
            "[data]\nstyle = 'words'",
            "'data.style': input should be 'auto', 'numbered', 'lines', ",
        ),
    ],
)
def test_a_mistake_about_data_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        recipe.load(write(tmp_path, f"{MINIMAL}{text}\n"))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_settings_of_data_can_be_given_as_flags(tmp_path: Path) -> None:
    flags = [
        "--data.source",
        "hf:a/b:main",
        "--data.columns.problem",
        "q",
        "--data.columns.answer",
        "a",
        "--data.validation_problems",
        "0.1",
        "--data.test-problems",
        "7",
        "--data.test",
        "dev",
    ]
    data = recipe.load(write(tmp_path, MINIMAL), flags).data
    assert data.columns.named == {"problem": "q", "answer": "a"}
    assert (data.source, data.test) == ("hf:a/b:main", "dev")
    assert (data.validation_problems, data.test_problems) == (0.1, 7)
    assert data.validation is None and recipe.Data().columns.named is None


def test_relative_paths_count_from_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, there = tmp_path / "home", tmp_path / "recipes"
    for folder in (home, there / "set", there / "model"):
        folder.mkdir(parents=True)
    (there / "set" / "dev.jsonl").write_text("")
    (home / "judge.py").write_text("")
    monkeypatch.chdir(home)
    text = (
        MINIMAL.replace('"m"', '"./model"')
        + """
data = "later/rows.csv"
reward = { "rewards.py:mine" = 1.0 }
[data]
source = "set"
validation = "dev.jsonl"
test = "held/out.csv"
[prompt]
verifier = "judge.py:same"
"""
    )
    loaded = recipe.load(write(there, text))
    assert loaded.model.name == str(there / "model")
    assert loaded.data.source == str(there / "set") and loaded.data.validation == "dev.jsonl"
    assert loaded.data.test == str(there / "held" / "out.csv")
    assert loaded.stages[0].data == str(there / "later" / "rows.csv")
    assert list(loaded.stages[0].reward) == [f"{there / 'rewards.py'}:mine"]
    assert loaded.prompt.verifier == f"{home / 'judge.py'}:same"
    assert loaded.output == "runs/x"
    again = recipe.load(write(home, recipe.dumps(loaded)))
    assert again == loaded
