"""Run by a Python that has verl: a job's folder through verl's own configuration and loaders.

Prints, as JSON, what verl made of it: settings, the prompts that its dataset tokenizes, and a score
by its own loader of reward functions.
"""

import json
import os
import sys
from pathlib import Path

import verl.trainer.config
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from transformers import AutoTokenizer
from verl.utils.config import omega_conf_to_dataclass

folder, model = Path(sys.argv[1]), sys.argv[2]
os.environ |= {"JOB": str(folder), "MODEL": model}
defaults = str(Path(verl.trainer.config.__file__).parent)
with initialize_config_dir(config_dir=str(folder), version_base=None):
    config = compose(
        "srl", overrides=[f"hydra.searchpath=[file://{defaults}]", "trainer.n_gpus_per_node=2"]
    )
OmegaConf.resolve(config)
actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
rollout = omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
algorithm = omega_conf_to_dataclass(config.algorithm)

from verl.trainer.ppo.reward import get_custom_reward_fn  # noqa: E402
from verl.utils.dataset.rl_dataset import RLHFDataset  # noqa: E402

tokenizer = AutoTokenizer.from_pretrained(model)
rows = RLHFDataset(str(config.data.train_files), tokenizer, config.data)
first = rows[0]
score = get_custom_reward_fn(config)(
    data_source=first["data_source"],
    solution_str=f"<think>so</think>\n{first['reward_model']['ground_truth']}",
    ground_truth=first["reward_model"]["ground_truth"],
    extra_info=first["extra_info"],
)
print(
    json.dumps(
        {
            "step_prompt": first["extra_info"]["step_prompt"],
            "score": score,
            "lr": actor.optim.lr,
            "loss": actor.loss_agg_mode,
            "n": rollout.n,
            "estimator": algorithm.adv_estimator,
            "filter": algorithm.filter_groups.enable,
            "prompt": tokenizer.apply_chat_template(
                list(first["raw_prompt"]), add_generation_prompt=True, tokenize=False
            ),
        }
    )
)
