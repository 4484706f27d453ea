"""A job for TRL's GRPOTrainer under accelerate: settings, data and launch lines."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_edge.recipe import Recipe

_COMMON = {
    "compute_environment": "LOCAL_MACHINE",
    "machine_rank": 0,
    "main_training_function": "main",
    "num_machines": 1,
    "rdzv_backend": "static",
    "same_network": True,
}
ACCELERATE: dict[str, dict[str, Any]] = {
    "gpu": {"distributed_type": "MULTI_GPU", "num_processes": 8, "mixed_precision": "bf16"},
    "fsdp": {
        "distributed_type": "FSDP",
        "num_processes": 8,
        "mixed_precision": "bf16",
        "fsdp_config": {
            "fsdp_version": 2,
            "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "fsdp_reshard_after_forward": True,
            "fsdp_state_dict_type": "FULL_STATE_DICT",
            "fsdp_offload_params": False,
        },
    },
    "deepspeed_zero3": {
        "distributed_type": "DEEPSPEED",
        "num_processes": 8,
        "mixed_precision": "bf16",
        "deepspeed_config": {
            "zero_stage": 3,
            "zero3_init_flag": True,
            "zero3_save_16bit_model": True,
            "offload_optimizer_device": "none",
            "offload_param_device": "none",
        },
    },
}
LOSSES = {"sequence": "grpo", "token": "dapo"}  # means of sequence means, and over all tokens


def write(folder: Path, recipe: Recipe, rows: Sequence[dict[str, Any]]) -> None:
    """Write the job's files into a folder."""
    with (folder / "train.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "grpo.json").write_text(
        json.dumps(grpo_settings(recipe, len(rows)), indent=1) + "\n", encoding="utf-8"
    )
    (folder / "accelerate").mkdir()
    for name, its in ACCELERATE.items():
        text = json.dumps(_COMMON | its, indent=1) + "\n"  # accelerate reads JSON too
        (folder / "accelerate" / f"{name}.json").write_text(text, encoding="utf-8")
    (folder / "train.py").write_text(_TRAIN, encoding="utf-8")
    (folder / "README.md").write_text(_README, encoding="utf-8")


def grpo_settings(recipe: Recipe, prompts: int) -> dict[str, Any]:
    """The recipe's last stage in the words of TRL's GRPOConfig.

    A process takes one group at a time, so that no group is spread over processes.
    """
    stage, trainer = recipe.stages[-1], recipe.trainer
    updates = stage.updates_per_batch  # TRL counts these, and our steps are batches
    return {
        "seed": recipe.seed,
        "max_steps": stage.steps_of(prompts) * updates,
        "num_generations": stage.group_size,
        "per_device_train_batch_size": stage.group_size,
        "generation_batch_size": stage.prompts_per_step * stage.group_size,
        "num_iterations": updates,
        "max_completion_length": stage.max_new_tokens,
        "temperature": stage.temperature,
        "top_p": 1.0,
        "top_k": 0,
        "learning_rate": stage.learning_rate,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": stage.warmup_steps * updates,
        "max_grad_norm": stage.max_grad_norm,
        "weight_decay": 0.0,
        "beta": stage.kl,
        "epsilon": stage.clip_low,
        "epsilon_high": stage.clip_high,
        "loss_type": LOSSES[stage.aggregation],
        "mask_truncated_completions": stage.overlong == "masked",
        "gradient_checkpointing": trainer.gradient_checkpointing,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": trainer.checkpoint_every * updates,  # whole batches, which are then sampled
        "save_total_limit": 2,
        "report_to": "none",
        "disable_dropout": True,
    }


_TRAIN = '''\
"""The job of this folder; see README.md for how it is launched."""

import sys
from pathlib import Path

from srl_edge.errors import InputError
from srl_edge.trainers.scale.trl_job import run

if __name__ == "__main__":
    try:
        run(Path(__file__).resolve().parent, sys.argv[1:])
    except InputError as error:
        sys.exit(str(error))
'''
_README = """\
# A job for TRL

On each machine, in an environment of its own (`python -m venv engine; . engine/bin/activate`):
`pip install ./srl-edge trl accelerate` (and `deepspeed` or `vllm`, for those), where `./srl-edge`
is a clone of its repository.
Then, here:

    accelerate launch --config_file accelerate/gpu.json train.py
    torchrun --standalone --nproc_per_node 2 train.py    # two processes on this CPU, to try it

| `accelerate/` | for |
| --- | --- |
| `gpu.json` | a GPU each, with the whole model on it |
| `fsdp.json` | the model spread over the GPUs (FSDP2) |
| `deepspeed_zero3.json` | the same by DeepSpeed |

`num_processes` in those files is the number of GPUs, of which `generation_batch_size` over
`num_generations` in `grpo.json` must be a multiple; several machines need `num_machines`,
`machine_rank` and `main_process_ip`. A model in a folder must lie at the same path on each.
What stands after `train.py` is a setting of GRPOConfig, in place of that in `grpo.json`:
`--use_vllm true --vllm_mode server` samples by a vLLM server.

Every `save_steps` updates a checkpoint is written to `trainer/`, and the newest two are kept. The
same launch again goes on from there after it was cut off; several machines need this folder on a
disk that all of them see. A launch with other settings, after the training has ended, renames what
that made to `adapter-earlier` and so on, and begins.

The adapter is written to `adapter/`, a PEFT folder:

    srl-edge export --model MODEL --adapter adapter --artifacts onnx-int4 --out artifacts
"""
