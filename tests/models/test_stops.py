"""Where a reply ends, on folders in the shapes of families on the hub: all that read it agree."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from srl_edge.devices.runtimes.onnx import OnnxRuntime
from srl_edge.exporters.executorch import build as executorch
from srl_edge.exporters.merging.merge import copy_side_files, merge
from srl_edge.exporters.onnx import build as onnx
from srl_edge.method.prompts import step_prompts
from srl_edge.method.types import Trajectory
from srl_edge.models import chat_template, loading
from srl_edge.models.tokenizer import stop_ids
from srl_edge.recipe import Trainer
from srl_edge.trainers.loop.batches import expert_batch
from srl_edge.trainers.torch_backend.policy import TorchPolicy
from tests.helpers.models import TEXT, make_model, make_tokenizer


def turns(begin: str, end: str, ask: str, first: str = "") -> str:
    """A chat template in which each turn is `begin` (with {role}), the content, `end`."""
    before, _, after = begin.partition("{role}")
    said = f"{{{{ '{before}' + m['role'] + '{after}' + m['content'] | trim + '{end}' }}}}"
    return (
        f"{first}{{% for m in messages %}}{said}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{{{{ '{ask}' }}}}{{% endif %}}"
    )


CHATML = turns("<|im_start|>{role}\\n", "<|im_end|>\\n", "<|im_start|>assistant\\n")
# Special tokens in order of their ids, the tokenizer's own end, what the configurations name as
# ends, the template, and the token that ends a turn in it.
SHAPES: dict[str, tuple[list[str], str, object, object, str, str]] = {
    "Llama 3.x": (
        [
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eom_id|>",
            "<|eot_id|>",
        ],
        "<|eot_id|>",
        [1, 4, 5],
        [1, 4, 5],
        turns(
            "<|start_header_id|>{role}<|end_header_id|>\\n\\n",
            "<|eot_id|>",
            "<|start_header_id|>assistant<|end_header_id|>\\n\\n",
            "{{ bos_token }}",
        ),
        "<|eot_id|>",
    ),
    "Gemma 3": (
        ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"],
        "<eos>",
        [1, 4],
        1,
        turns(
            "<start_of_turn>{role}\\n",
            "<end_of_turn>\\n",
            "<start_of_turn>model\\n",
            "{{ bos_token }}",
        ),
        "<end_of_turn>",
    ),
    "Qwen2.5": (
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "<|im_end|>",
        [2, 0],
        2,
        CHATML,
        "<|im_end|>",
    ),
    "Qwen3 base": (
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "<|endoftext|>",
        0,
        0,
        CHATML,
        "<|im_end|>",
    ),
    "SmolLM2": (
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "<|im_end|>",
        None,
        2,
        CHATML,
        "<|im_end|>",
    ),
    "SmolLM3": (
        ["<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>"],
        "<|im_end|>",
        3,
        None,
        CHATML,
        "<|im_end|>",
    ),
    "no turns": (
        ["<s>", "</s>"],
        "</s>",
        None,
        None,
        "{% for m in messages %}{{ m.content }}\n{% endfor %}",
        "</s>",
    ),
}


@pytest.fixture(scope="module", params=list(SHAPES))
def shaped(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    special, end, generation, config, template, turn = SHAPES[request.param]
    folder = make_model("llama", tmp_path_factory.mktemp("shaped"))
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    bpe.train_from_iterator([TEXT] * 4, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=end, bos_token=special[0])
    fast.chat_template = template
    fast.save_pretrained(folder)
    for name, value in (("generation_config.json", generation), ("config.json", config)):
        file = folder / name
        said = {k: v for k, v in json.loads(file.read_text()).items() if k != "eos_token_id"}
        file.write_text(json.dumps(said if value is None else said | {"eos_token_id": value}))
    return folder, turn


def test_training_sampling_and_artifacts_end_a_reply_alike(
    shaped: tuple[Path, str], tmp_path: Path
) -> None:
    folder, turn = shaped
    tokenizer = loading.tokenizer(folder)
    stops = stop_ids(folder)
    assert tokenizer.convert_ids_to_tokens(stops[0]) == turn
    assert tokenizer.eos_token_id in stops
    after = chat_template.of_folder(folder).after_reply().strip()
    assert not after or after.startswith(turn)
    policy = TorchPolicy(folder, Trainer(backend="torch", threads=1, lora_rank=4), 0)
    solved = Trajectory("t", "Ann has 3 cats.", ("3 + 4 = 7", "#### 7"), "7")
    ((sample, *_),) = expert_batch(policy, step_prompts([solved], "all")[0])
    assert sample.completion_ids[-1] == stops[0] and policy.stop_ids == stops
    for file in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    copy_side_files(folder, tmp_path)  # as the merged model and every artifact have it
    assert json.loads((tmp_path / "generation_config.json").read_text())["eos_token_id"] == stops
    assert stop_ids(tmp_path) == stops
    config = loading.settings(folder)
    assert executorch._metadata(folder, config, 64)["get_eos_ids"] == stops


NEEDS_SYSTEM = (
    "{% if messages[0].role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>\n{% endfor %}"
)
DROPS_REPLIES = "{% for m in messages %}<|im_start|>{{ m.role }}<|im_end|>{% endfor %}"


@pytest.mark.parametrize(
    ("template", "first"), [(NEEDS_SYSTEM, "<|im_end|>"), (DROPS_REPLIES, "<|endoftext|>")]
)
def test_a_template_is_asked_for_what_it_takes(template: str, first: str, tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path)
    tokenizer.eos_token, tokenizer.chat_template = "<|endoftext|>", template
    tokenizer.save_pretrained(tmp_path)
    assert tokenizer.convert_ids_to_tokens(stop_ids(tmp_path)[0]) == first


def test_special_tokens_in_a_file_of_their_own_count(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"
    tokenizer.save_pretrained(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    said = json.loads(file.read_text())
    said["eos_token"] = "<|endoftext|>"
    file.write_text(json.dumps(said))
    own = {"eos_token": {"content": "<|im_end|>", "lstrip": False}}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(own))
    loaded = loading.tokenizer(tmp_path)
    assert loaded.eos_token == "<|im_end|>" and stop_ids(tmp_path)[0] == loaded.eos_token_id
    chat = [{"role": "user", "content": "Hi"}]
    expected = loaded.apply_chat_template(chat, tokenize=False)
    assert chat_template.of_folder(tmp_path).render(chat, False) == expected


def named(folder: Path, eos: str, own: dict[str, object]) -> None:
    """Let tokenizer_config.json say otherwise than special_tokens_map.json."""
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token": eos} | own))
    older = {"eos_token": "<|endoftext|>", "image_token": "<|endoftext|>"}
    (folder / "special_tokens_map.json").write_text(json.dumps(older))


FULL = {"added_tokens_decoder": {"2": {"content": "<|im_end|>", "special": True}}}
OF_PICTURES = {"extra_special_tokens": {"image_token": "<|im_start|>"}}


@pytest.mark.parametrize(
    ("own", "special"),
    [
        (FULL, {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}),
        (
            FULL | OF_PICTURES,
            {
                "eos_token": "<|im_end|>",
                "pad_token": "<|endoftext|>",
                "image_token": "<|im_start|>",
            },
        ),
        (
            OF_PICTURES,
            {
                "eos_token": "<|endoftext|>",
                "pad_token": "<|endoftext|>",
                "image_token": "<|im_start|>",
            },
        ),
        (
            {"image_token": "<|im_start|>"},
            {
                "eos_token": "<|endoftext|>",
                "pad_token": "<|endoftext|>",
                "image_token": "<|im_start|>",
            },
        ),
        (
            {"model_specific_special_tokens": {"image_token": "<|im_start|>"}} | FULL,
            {
                "eos_token": "<|im_end|>",
                "pad_token": "<|endoftext|>",
                "image_token": "<|im_start|>",
            },
        ),
    ],
)
def test_special_tokens_are_those_that_transformers_reads(
    own: dict[str, object], special: dict[str, str], tmp_path: Path
) -> None:
    tokenizer = make_tokenizer(tmp_path)
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}{{ image_token }}"
    )
    tokenizer.save_pretrained(tmp_path)
    named(tmp_path, "<|im_end|>", own)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "eos_token_id": 2}))
    loaded = loading.tokenizer(tmp_path)
    assert loaded.special_tokens_map == special == chat_template.special_tokens(tmp_path)
    assert stop_ids(tmp_path)[0] == loaded.eos_token_id
    chat = [{"role": "user", "content": "Hi"}]
    expected = loaded.apply_chat_template(chat, tokenize=False)
    assert chat_template.of_folder(tmp_path).render(chat, False) == expected


@pytest.mark.parametrize("family", ["llama", "gemma3"])
@pytest.mark.parametrize("generation", [{"eos_token_id": 0}, None])
def test_ends_that_a_class_takes_for_granted_are_none(
    family: str, generation: dict[str, int] | None, tmp_path: Path
) -> None:
    base = make_model(family, tmp_path / "base")
    tokenizer = make_tokenizer(base)
    tokenizer.eos_token = "<|endoftext|>"
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}<|endoftext|>{% endfor %}"
    tokenizer.save_pretrained(base)
    said = json.loads((base / "config.json").read_text())
    for name in ("bos_token_id", "eos_token_id"):
        del said[name]
    (base / "config.json").write_text(json.dumps(said))
    (base / "generation_config.json").unlink()
    if generation:
        (base / "generation_config.json").write_text(json.dumps(generation))
    merged = merge(base, None, tmp_path / "merged")
    assert stop_ids(base) == [0] == stop_ids(merged)
    assert loading.network(base).generation_config.eos_token_id in (None, 0)
    for folder in (base, merged):
        metadata = executorch._metadata(folder, loading.settings(folder), 64)
        assert metadata["get_eos_ids"] == [0] and "get_bos_id" not in metadata


def test_an_onnx_artifact_ends_replies_there(shaped: tuple[Path, str], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime_genai")
    onnx.export(shaped[0], tmp_path, "fp32", 64)
    assert OnnxRuntime(tmp_path, 64).stop_ids() == stop_ids(shaped[0])
