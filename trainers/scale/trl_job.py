"""What each process of a TRL job runs: GRPOTrainer with the recipe's prompts, reward and filter."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.files import read_json
from srl_edge.method.algorithm import group_relative, has_spread
from srl_edge.models import loading
from srl_edge.models.catalog import resolve
from srl_edge.models.tokenizer import load_tokenizer
from srl_edge.recipe import Recipe, load
from srl_edge.trainers.scale.rows import prompt_of
from srl_edge.trainers.scale.scored import StageReward
from srl_edge.trainers.scale.trl_starts import ADAPTER, FIRST, STATE, Start, begin


def run(folder: Path, arguments: Sequence[str] = ()) -> Path:
    """Train; return `folder/adapter`, a PEFT folder. arguments: settings of GRPOConfig.

    What was cut off goes on from its last checkpoint. Raises InputError as `begin` does.
    """
    try:
        from peft import LoraConfig, PeftModel
        from torch import cuda
        from transformers import HfArgumentParser
        from trl import GRPOConfig
    except ImportError as error:
        raise InputError(
            f"{error.name} is not installed; make an environment of its own: python -m venv engine "
            "&& engine/bin/pip install ./srl-edge trl accelerate, with ./srl-edge a clone of its "
            "repository; launch with engine/bin/accelerate."
        ) from None
    from datasets import load_dataset

    recipe, job = load(folder / "recipe.toml"), read_json(folder / "job.json", "ScaleJob")
    path = resolve(job["model"])
    given = read_json(folder / "grpo.json", "GrpoSettings")
    parser = HfArgumentParser(GRPOConfig)
    said = [f"--{key}={_shown(value)}" for key, value in given.items()]
    if not cuda.is_available():
        said += ["--use_cpu=true", "--bf16=false"]
    (config,) = parser.parse_args_into_dataclasses(
        [f"--output_dir={folder / 'trainer'}", *said, *arguments]
    )
    started = _start(folder, config, {"grpo": given, "arguments": list(arguments)})
    if started.finished:
        return folder / ADAPTER
    config.gradient_accumulation_steps = config.steps_per_generation  # one update a pass over it
    if config.use_vllm:
        stops = {"stop_token_ids": job["stop_ids"]}
        config.generation_kwargs = (config.generation_kwargs or {}) | stops
    tokenizer, model = load_tokenizer(path), loading.network(path, dtype="auto")
    model.generation_config.eos_token_id = job["stop_ids"]
    lora = LoraConfig(
        r=recipe.trainer.lora_rank,
        lora_alpha=recipe.trainer.lora_alpha,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    if job["adapter"]:
        model = PeftModel.from_pretrained(model, folder / job["adapter"], is_trainable=True)
    rows = load_dataset("json", data_files=str(folder / "train.jsonl"), split="train")
    trainer = _trainer_class()(
        model=model,
        args=config,
        train_dataset=rows,
        processing_class=tokenizer,
        reward_funcs=[_Rewards(recipe, tokenizer, job["stop_ids"])],
        peft_config=None if job["adapter"] else lora,
    )
    trainer.first = None if started.checkpoint else folder / FIRST
    trainer.train(resume_from_checkpoint=started.checkpoint)
    trainer.save_model(str(folder / ADAPTER))
    if trainer.accelerator.is_main_process:
        trainer.state.save_to_json(str(folder / STATE))
    return folder / ADAPTER


def _start(folder: Path, config: Any, settings: dict[str, Any]) -> Start:
    """As `begin` says, found by one process for all: it renames what the others would look for."""
    from accelerate.utils import broadcast_object_list  # type: ignore[import-untyped]

    found: list[Any] = [None]
    if config.process_index == 0:
        found = [begin(folder, Path(config.output_dir), settings, config.resume_from_checkpoint)]
    (started,) = broadcast_object_list(found)
    assert isinstance(started, Start)
    return started


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Rewards:
    """The reward of the recipe's last stage, and whether a group differs enough to compare."""

    __name__ = "srl"

    def __init__(self, recipe: Recipe, tokenizer: Any, stops: Sequence[int]) -> None:
        self.of = StageReward(recipe)
        self.tokenizer, self.stops = tokenizer, set(stops)
        self.newest: list[float] = []
        self.texts: list[str] = []

    def __call__(
        self, completion_ids: Sequence[Sequence[int]], step_prompt: Sequence[str], **_: Any
    ) -> list[float]:
        self.newest, self.texts = [], []
        for ids, asked in zip(completion_ids, step_prompt, strict=True):
            text, finished = self.text(ids)
            self.texts.append(text)
            self.newest.append(self.of(text, finished, prompt_of(asked, self.of.form)))
        return self.newest

    def text(self, ids: Sequence[int]) -> tuple[str, bool]:
        """A completion's text without its stop token, and whether it has one."""
        finished = bool(ids) and ids[-1] in self.stops
        kept = ids[:-1] if finished else ids
        return self.tokenizer.decode(kept, skip_special_tokens=False), finished


def _trainer_class() -> Any:
    from trl import GRPOTrainer

    class Trainer(GRPOTrainer):  # type: ignore[misc]
        """GRPO with the paper's advantages: population std, and groups without spread dropped.

        A process has whole groups, so no rewards of others are needed. Dropped groups are not
        refilled: their advantages are 0.
        """

        first: Path | None = None

        def _tokenize_prompts(self, prompts: list[str]) -> tuple[Any, None, dict[str, Any]]:
            # The template wrote all special tokens.
            found = self.processing_class(text=prompts, add_special_tokens=False)
            return found["input_ids"], None, {}

        def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
            import torch

            output: dict[str, Any] = super()._generate_and_score_completions(inputs)
            scored, size = self.reward_funcs[0], self.num_generations
            found: list[float] = []
            for start in range(0, len(scored.newest), size):
                group = scored.newest[start : start + size]
                kept = has_spread(group, scored.of.stage.spread_epsilon)
                found += group_relative(group) if kept else [0.0] * size
            advantages = output["advantages"]
            output["advantages"] = torch.tensor(found, dtype=advantages.dtype).to(advantages.device)
            if self.first is not None:
                self._note(inputs, output["advantages"])
            return output

        def _note(self, inputs: list[dict[str, Any]], advantages: Any) -> None:
            scored = self.reward_funcs[0]
            rows = [
                {"step_prompt": row["step_prompt"], "text": text, "reward": reward, "advantage": a}
                for row, text, reward, a in zip(
                    inputs, scored.texts, scored.newest, advantages.tolist(), strict=True
                )
            ]
            assert self.first is not None
            self.first.mkdir(exist_ok=True)
            file = self.first / f"{self.accelerator.process_index}.jsonl"
            file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            self.first = None

    return Trainer
