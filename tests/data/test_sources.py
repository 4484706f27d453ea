"""From a name to rows: files, folders, splits, and datasets laid out as the hub has them."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data import hub
from srl_edge.data.hub import HubName, read_name
from srl_edge.data.sources import files_of, open_source, part_of, placeless, rooted, rooted_part
from srl_edge.errors import InputError


def rows(*numbers: int) -> str:
    row = '{{"question": "q{0}?", "answer": "a\\nb\\n#### {0}"}}\n'
    return "".join(row.format(number) for number in numbers)


def read(tables: tuple[Any, ...]) -> list[str]:
    return [row["question"] for table in tables for row in table.rows(None)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files in two formats, named as splits, in parts, and what is no data."""
    made = tmp_path / "set"
    (made / "extra").mkdir(parents=True)
    (made / ".cache").mkdir()
    (made / "train-00000-of-00002.jsonl").write_text(rows(1, 2))
    (made / "train-00001-of-00002.jsonl").write_text(rows(3))
    (made / "test.csv").write_text('question,answer\nq4?,"a\nb\n#### 4"\n')
    (made / "extra" / "more.json").write_text("[" + rows(5).strip() + "]")
    (made / "README.md").write_text("A set.")
    (made / ".cache" / "left.jsonl").write_text(rows(9))
    return made


def test_a_folder_is_read_by_the_names_of_its_files(folder: Path) -> None:
    source = open_source(str(folder))
    assert read(source.tables) == ["q5?", "q4?", "q1?", "q2?", "q3?"]
    assert read(source.chosen(("train",))) == ["q1?", "q2?", "q3?"]
    for name in ("test", "test.csv", str(folder / "test.csv")):
        assert read(part_of(source, name, "test")) == ["q4?"]
    for name in ("extra", "more", "extra/more.json"):
        assert read(part_of(source, name, "validation")) == ["q5?"]


def test_without_a_file_named_train_all_but_what_is_held_out_is_read(folder: Path) -> None:
    for file in folder.glob("train*"):
        file.rename(folder / f"part{file.name.removeprefix('train')}")
    source = open_source(str(folder))
    assert read(source.chosen(("train",), source.named("test"))) == ["q5?", "q1?", "q2?", "q3?"]
    with pytest.raises(InputError, match="nothing is left of it beside what is held out"):
        source.chosen(("train",), source.tables)


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (("train", "test"), ["a", "b"]),
        (("test", "train"), ["c"]),
        (("easy", "hard"), ["a", "b", "c"]),
    ],
)
@pytest.mark.parametrize("inside", [True, False])
def test_the_lists_of_one_file_are_parts_by_name(
    names: tuple[str, str], first: list[str], inside: bool, tmp_path: Path
) -> None:
    lists = [
        [{"question": text, "answer": "x\ny\n#### 1"} for text in part] for part in ("ab", "c")
    ]
    whole = {"version": 2, **dict(zip(names, lists, strict=True))}
    (tmp_path / "rows.json").write_text(json.dumps(whole))
    source = open_source(str(tmp_path if inside else tmp_path / "rows.json"))
    assert read(source.chosen(("train",))) == first
    assert read(part_of(source, names[1], "test")) == ["c"] and source.listed == ", ".join(names)


@pytest.mark.parametrize("parts", [(), ("train",), ("train", "test")])
def test_a_folder_of_save_to_disk_is_named_with_what_reads_it(
    parts: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    table = datasets.Dataset.from_list([{"question": "q", "answer": "a"}])
    saved = datasets.DatasetDict(dict.fromkeys(parts, table)) if parts else table
    saved.save_to_disk(tmp_path / "saved")
    with pytest.raises(InputError, match="save_to_disk") as caught:
        open_source(str(tmp_path / "saved"))
    named = str(caught.value).split(" read it as ")[1].removesuffix(".")
    assert read(open_source(named).chosen(("train",))) == ["q"]


def test_a_split_may_be_a_source_of_its_own(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.jsonl"
    own.write_text(rows(7))
    source = open_source(str(folder))
    assert read(part_of(source, str(own), "test")) == ["q7?"]
    assert read(part_of(open_source(str(own)), str(folder), "test")) == ["q4?"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dev", r"data\.validation: there is no 'dev': .*set has extra/more\.json, test\.csv, tra"),
        ("./dev.csv", r"no './dev.csv': .* and /.*/dev\.csv is not there\."),
    ],
)
def test_a_split_that_is_not_there_names_those_that_are(
    folder: Path, name: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        part_of(open_source(str(folder)), name, "validation")


def test_what_is_not_there_or_empty_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^{tmp_path}/none: no such file or folder; give "):
        open_source(str(tmp_path / "none"))
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"no file of rows in this folder; one ends in \.jsonl, "):
        open_source(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hf:openai/gsm8k", HubName("openai/gsm8k")),
        ("hf:openai/gsm8k:main", HubName("openai/gsm8k", None, "main")),
        (
            "hf:openai/gsm8k@refs/pr/1:main:train[:10%]",
            HubName("openai/gsm8k", "refs/pr/1", "main", "train[:10%]"),
        ),
        ("hf:simplescaling/s1K-1.1::train", HubName("simplescaling/s1K-1.1", split="train")),
        ("hf:/data/set@home:main", HubName("/data/set@home", None, "main")),
    ],
)
def test_the_name_of_a_hub_dataset(text: str, name: HubName) -> None:
    assert read_name(text) == name and str(name) == text


@pytest.fixture
def hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset as it is cloned from the hub: two configurations, two splits each."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    made = tmp_path / "gsm8k"
    for config, first in (("main", 1), ("socratic", 100)):
        (made / config).mkdir(parents=True)
        (made / config / "train.jsonl").write_text(rows(*range(first, first + 10)))
        (made / config / "test.jsonl").write_text(rows(first + 10))
    parts = "".join(
        f"- config_name: {config}\n  data_files:\n"
        + "".join(f"  - split: {s}\n    path: {config}/{s}.jsonl\n" for s in ("train", "test"))
        for config in ("main", "socratic")
    )
    (made / "README.md").write_text(f"---\nconfigs:\n{parts}---\n")
    return made


def test_a_dataset_in_the_hubs_layout_is_read_by_configuration_and_split(hub_folder: Path) -> None:
    source = open_source(f"hf:{hub_folder}:main")
    assert read(source.chosen(("train",))) == [f"q{i}?" for i in range(1, 11)]
    assert read(part_of(source, "test", "test")) == ["q11?"]
    sliced = open_source(f"hf:{hub_folder}:socratic:train[:2]")
    assert read(sliced.chosen(("train",))) == ["q100?", "q101?"]
    assert read(part_of(sliced, "test", "validation")) == ["q110?"]
    own = part_of(source, f"hf:{hub_folder}:socratic", "validation")
    assert read(own) == ["q110?"]  # there is no split named validation, so its test split
    assert files_of(f"hf:{hub_folder}:main")[0] == hub_folder / "README.md"


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("", r"hf:\S*: it has several configs; name one of main, socratic, as in hf:\S*:CONFIG"),
        (":third", "it has no config 'third'; name one of main, socratic"),
        (":main:dev", "there is no split 'dev'; it has train, test"),
        (":main:train[:x", "Unrecognized instruction format: train"),
    ],
)
def test_a_configuration_or_split_that_is_not_there_names_those_that_are(
    hub_folder: Path, rest: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(open_source(f"hf:{hub_folder}{rest}").chosen(("train",)))
    assert "\n" not in str(caught.value)


def test_splits_of_which_none_is_train_have_to_be_chosen_from(hub_folder: Path) -> None:
    readme = hub_folder / "README.md"
    readme.write_text(readme.read_text().replace("split: train", "split: cot"))
    source = open_source(f"hf:{hub_folder}:main")
    with pytest.raises(InputError, match=r"splits cot, test; name one, as in hf:/\S*:main:cot\.$"):
        source.chosen(("train",))
    assert len(read(source.chosen(("train",), source.named("test")))) == 10


def test_a_hub_that_cannot_be_reached_is_one_sentence(hub_folder: Path) -> None:
    with pytest.raises(InputError, match=r"^hf:nobody/none: cannot be read from the hub \(.*\); g"):
        open_source("hf:nobody/none")
    (hub_folder.parent / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: cannot be read from this folder \(The directory"):
        open_source(f"hf:{hub_folder.parent / 'empty'}")
    with pytest.raises(InputError, match="/no/such is no folder that is there"):
        open_source("hf:/no/such")


def test_what_is_asked_of_the_hub(hub_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    build, asked = datasets.load_dataset_builder, []

    def local(name: str, config: str | None, revision: str | None) -> Any:
        asked.append((name, config, revision))
        builder = build(str(hub_folder), config)
        builder.hash = "0123456789" * 4  # the commit, of a dataset of the hub
        return builder

    monkeypatch.setattr(datasets, "load_dataset_builder", local)
    source = open_source("hf:openai/gsm8k@v1:main:test")
    assert asked == [("openai/gsm8k", "main", "v1")]
    assert read(source.chosen(("train",))) == ["q11?"] and source.commit == "0123456789" * 4
    assert [table.where for table in source.tables] == [
        f"hf:openai/gsm8k@v1:main, split {split}" for split in ("train", "test")
    ]


def test_without_datasets_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"hf:a/b: reading it needs datasets: pip install datas"):
        open_source("hf:a/b")


def test_paths_count_from_a_folder_or_else_from_the_current_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.csv").write_text("")
    monkeypatch.chdir(tmp_path)
    assert rooted("set", tmp_path) == str(folder)
    assert rooted("here.csv", folder) == str(tmp_path / "here.csv")
    assert rooted("none.csv", folder) == str(folder / "none.csv")
    assert rooted("../x", folder) == str(tmp_path / "x")
    assert rooted("hf:./set:main", tmp_path) == f"hf:{folder}:main"
    assert rooted("hf:openai/gsm8k:main", tmp_path) == "hf:openai/gsm8k:main"
    assert rooted("gsm_symbolic", tmp_path) == "gsm_symbolic"
    for part in ("validation", "test.csv", "extra/more.json"):
        assert rooted_part(part, str(folder), tmp_path) == part
    assert rooted_part("held/out.jsonl", str(folder), tmp_path) == str(tmp_path / "held/out.jsonl")
    assert placeless(str(folder)) == "set" and placeless("hf:/a/b:main") == "hf:b:main"
    assert placeless("hf:openai/gsm8k") == "hf:openai/gsm8k"


@pytest.mark.parametrize("path", ["../secret/rows.jsonl", "/nowhere/rows.jsonl"])
def test_a_folder_that_names_files_elsewhere_is_not_read(hub_folder: Path, path: str) -> None:
    secret = hub_folder.parent / "secret"
    secret.mkdir()
    (secret / "rows.jsonl").write_text(rows(7))
    described = f"---\nconfigs:\n- config_name: main\n  data_files: {path}\n---\n"
    (hub_folder / "README.md").write_text(described)
    with pytest.raises(InputError, match=r"names a file outside of it|cannot be read from this f"):
        open_source(f"hf:{hub_folder}:main")


@pytest.mark.parametrize("name", ["pandas", "json", "text"])
def test_a_reader_of_the_librarys_is_no_dataset(name: str, hub_folder: Path) -> None:
    with pytest.raises(InputError, match="a reader of the library's is called so"):
        open_source(f"hf:{name}")


def test_what_another_library_says_is_cut() -> None:
    said = hub._failure(hub.read_name("hf:a/b"), "no file ends in " + ".csv, " * 10_000)
    assert "no file ends in .csv, " in said and len(said) < 450 and said.endswith("instead.")
