"""A job for verl: its parquet files, a reward function, and a configuration over its own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.method.prompts import prompt_ids, prompt_text, step_prompts, whole_prompts
from srl_edge.method.types import StepPrompt, Trajectory
from srl_edge.recipe import Recipe
from srl_edge.trainers.scale.rows import row_of

LOSSES = {"sequence": "seq-mean-token-mean", "token": "token-mean"}
_WHO = "srl_edge"  # verl's data_source


def require_rendered_alike(tokenizer: Any, prompts: Sequence[StepPrompt]) -> None:
    """Raise InputError where verl, which renders chats itself, would ask otherwise than we do."""
    first = next((prompt for prompt in prompts if prompt.tools), prompts[0])
    theirs = tokenizer.apply_chat_template(
        first.messages, tokenize=False, add_generation_prompt=True, **first.form.told()
    )
    if theirs != prompt_text(tokenizer, first):
        raise InputError(
            "scale: verl cannot take these prompts: by the model's chat template it would begin a "
            "thought, tell another date, or leave out tools; the trl engine takes them as they are."
        )


def write(
    folder: Path,
    recipe: Recipe,
    tokenizer: Any,
    prompts: Sequence[StepPrompt],
    rows: Sequence[dict[str, Any]],
    held_out: Sequence[Trajectory],
    adapter: bool,
) -> None:
    """Write the job's files into a folder; held_out: what verl validates on."""
    from datasets import Dataset

    form, stage = recipe.prompt.form, recipe.stages[-1]
    groups = (
        whole_prompts(held_out, form)
        if recipe.whole
        else step_prompts(held_out, "all", stage.title_hint, form)
    )
    asked = [p for group in groups for p in group][: recipe.trainer.validation_prompts]
    Dataset.from_list(
        [_row(p, r["step_prompt"]) for p, r in zip(prompts, rows, strict=True)]
    ).to_parquet(folder / "train.parquet")
    Dataset.from_list([_row(p, row_of(tokenizer, p)["step_prompt"]) for p in asked]).to_parquet(
        folder / "validation.parquet"
    )
    longest = max(len(prompt_ids(tokenizer, p)) for p in (*prompts, *asked))
    over = {"defaults": ["ppo_trainer", "_self_"]}
    text = json.dumps(over | settings(recipe, len(prompts), longest, adapter), indent=1)
    (folder / "srl.yaml").write_text(_SAID + text + "\n", encoding="utf-8")
    (folder / "reward.py").write_text(_REWARD, encoding="utf-8")
    (folder / "README.md").write_text(_README, encoding="utf-8")


def _row(prompt: StepPrompt, asked: str) -> dict[str, Any]:
    return {
        "data_source": _WHO,
        "prompt": prompt.messages,
        "ability": "reasoning",
        "reward_model": {"style": "rule", "ground_truth": prompt.expert_action},
        "extra_info": {"index": prompt.trajectory_id, "step_prompt": asked},
    }


def settings(recipe: Recipe, prompts: int, longest: int, adapter: bool) -> dict[str, Any]:
    """The recipe's last stage in verl's words; longest: tokens of a prompt at most.

    adapter: whether training goes on from one, in `start`.
    """
    stage, trainer = recipe.stages[-1], recipe.trainer
    steps = stage.steps_of(prompts)
    return {
        "data": {
            "train_files": "${oc.env:JOB}/train.parquet",
            "val_files": "${oc.env:JOB}/validation.parquet",
            "train_batch_size": stage.prompts_per_step,
            "max_prompt_length": longest,
            "max_response_length": stage.max_new_tokens,
            "seed": recipe.seed,
            "apply_chat_template_kwargs": recipe.prompt.form.told(),
        },
        "actor_rollout_ref": {
            "model": {
                "path": "${oc.env:MODEL}",
                "lora_rank": trainer.lora_rank,
                "lora_alpha": trainer.lora_alpha,
                "target_modules": "all-linear",
                "lora_adapter_path": "${oc.env:JOB}/start" if adapter else None,
                "enable_gradient_checkpointing": trainer.gradient_checkpointing,
            },
            "actor": {
                "optim": {
                    "lr": stage.learning_rate,
                    "lr_warmup_steps": stage.warmup_steps,
                    "weight_decay": 0.0,
                    "clip_grad": stage.max_grad_norm,
                },
                "ppo_mini_batch_size": stage.prompts_per_step,
                "ppo_micro_batch_size_per_gpu": 4,
                "ppo_epochs": stage.updates_per_batch,
                "clip_ratio_low": stage.clip_low,
                "clip_ratio_high": stage.clip_high,
                "loss_agg_mode": LOSSES[stage.aggregation],
                "use_kl_loss": stage.kl > 0,
                "kl_loss_coef": stage.kl,
                "entropy_coeff": 0,
            },
            "rollout": {
                "name": "vllm",
                "n": stage.group_size,
                "temperature": stage.temperature,
                "log_prob_micro_batch_size_per_gpu": 4,
                "tensor_model_parallel_size": 1,
                "load_format": "safetensors",
            },
            "ref": {"log_prob_micro_batch_size_per_gpu": 4},
        },
        "algorithm": {
            "adv_estimator": "grpo",
            "norm_adv_by_std_in_grpo": True,
            "use_kl_in_reward": False,
            "filter_groups": {"enable": True, "metric": "reward"},
        },
        "reward": {
            "custom_reward_function": {"path": "${oc.env:JOB}/reward.py", "name": "compute_score"}
        },
        "trainer": {
            "total_training_steps": steps,
            "logger": ["console"],
            "save_freq": trainer.checkpoint_every,
            "max_actor_ckpt_to_keep": 2,
            "project_name": "srl_edge",
            "experiment_name": "job",
            "n_gpus_per_node": 8,
            "nnodes": 1,
            "val_before_train": False,
            "test_freq": stage.validate_every or -1,
            "default_local_dir": "${oc.env:JOB}/checkpoints",
        },
    }


_SAID = (
    "# Over verl's defaults, in JSON; JOB and MODEL are variables of the environment: README.md.\n"
)
_REWARD = '''\
"""The recipe's reward, as verl calls it."""

from pathlib import Path

from srl_edge.trainers.scale.verl_reward import VerlReward

_reward = VerlReward(Path(__file__).resolve().parent)


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    return _reward(solution_str, extra_info["step_prompt"])
'''
_README = """\
# A job for verl

On each machine, in an environment of its own (`python -m venv engine; . engine/bin/activate`):
`pip install ./srl-edge verl vllm`, where `./srl-edge` is a clone of its repository. Then, here,
with MODEL a hub id or a folder:

    export JOB=$PWD MODEL=...
    python -m verl.trainer.main_ppo --config-dir $JOB --config-name srl trainer.n_gpus_per_node=8

What stands behind is a setting of verl's in place of that in `srl.yaml`. The same launch again goes
on from the newest step of `checkpoints/`. Of a step N's shards verl makes a PEFT folder, which goes
on as any other:

    python -m verl.model_merger merge --backend fsdp \\
        --local_dir checkpoints/global_step_N/actor --target_dir merged
    srl-edge export --model MODEL --adapter merged/lora_adapter --artifacts onnx-int4 --out out
"""
