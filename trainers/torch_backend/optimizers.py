"""The optimizer of an adapter on PyTorch, and its state as named tensors."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from srl_edge.errors import InputError

Tensors = dict[str, torch.Tensor]


def new_optimizer(name: str, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """AdamW without weight decay, its moments in fp32 (`adamw`) or 8 bits (bitsandbytes).

    Raises InputError where bitsandbytes is missing.
    """
    if name == "adamw":
        return torch.optim.AdamW(parameters, weight_decay=0.0)
    try:
        from bitsandbytes import optim
    except ImportError:
        raise InputError(
            f"trainer.optimizer = '{name}' needs bitsandbytes: pip install 'srl-edge[qlora]'."
        ) from None
    kind: Any = optim.AdamW8bit if name == "adamw_8bit" else optim.PagedAdamW8bit
    made: torch.optim.Optimizer = kind(parameters, weight_decay=0.0)
    return made


def tensors_of(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter]
) -> Tensors:
    """Parameters by name, and what the optimizer knows of each by `name/key`."""
    state = {}
    for name, parameter in parameters.items():
        state[name] = parameter.detach()
        for key, value in optimizer.state.get(parameter, {}).items():
            told = torch.as_tensor(value)
            # bitsandbytes' tables are one tensor for all, which safetensors does not store.
            state[f"{name}/{key}"] = told.clone() if key.startswith("qmap") else told
    return state


def restore(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter], state: Tensors
) -> None:
    """Give parameters and optimizer what `tensors_of` told."""
    for name, parameter in parameters.items():
        parameter.data.copy_(state[name])
        mine: dict[str, Any] = {
            key.rsplit("/", 1)[1]: value.to(parameter.device)
            for key, value in state.items()
            if key.startswith(f"{name}/")
        }
        if "state1" in mine:  # bitsandbytes counts steps in Python
            mine["step"] = int(mine["step"])
        if mine:
            optimizer.state[parameter] = mine
