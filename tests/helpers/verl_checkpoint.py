"""Run by torchrun on a Python that has verl: an adapter as verl's FSDP trainer saves it.

Arguments: a model folder, a PEFT folder, where the checkpoint goes.
"""

import sys

import torch
from peft import PeftModel
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM, AutoTokenizer
from verl.trainer.config import CheckpointConfig
from verl.utils.checkpoint.fsdp_checkpoint_manager import FSDPCheckpointManager

model_folder, adapter, out = sys.argv[1:]
distributed.init_process_group("gloo")
base = AutoModelForCausalLM.from_pretrained(model_folder)
model = PeftModel.from_pretrained(base, adapter, is_trainable=True)
mesh = init_device_mesh("cpu", (distributed.get_world_size(),), mesh_dim_names=("fsdp",))
fully_shard(model, mesh=mesh)
optimizer = torch.optim.AdamW(p for p in model.parameters() if p.requires_grad)
FSDPCheckpointManager(
    model=model,
    optimizer=optimizer,
    processing_class=AutoTokenizer.from_pretrained(model_folder),
    checkpoint_config=CheckpointConfig(save_contents=["model"], load_contents=["model"]),
).save_checkpoint(out, global_step=1)
distributed.destroy_process_group()
