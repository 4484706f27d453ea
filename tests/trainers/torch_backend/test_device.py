"""Where torch computes: which device is taken, and what each has not."""

import platform
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from srl_edge.errors import InputError, out_of_memory
from srl_edge.method.types import Sample
from srl_edge.recipe import Trainer
from srl_edge.trainers import open as opening
from srl_edge.trainers.policy.contract import Loss
from srl_edge.trainers.torch_backend.device import chosen_device, native_dtype
from srl_edge.trainers.torch_backend.policy import TorchPolicy
from tests.helpers.policies import trajectory_samples


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_here_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match=f"trainer.device = '{name}': torch finds none here"):
        chosen_device(Trainer.model_validate({"device": name}))
    assert chosen_device(Trainer()).type == "cpu"


def test_the_cpu_can_be_named_where_there_are_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert chosen_device(Trainer()).type == "cuda"
    assert chosen_device(Trainer(device="cpu")).type == "cpu"


def test_on_a_mac_a_device_means_torch(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_has_metal", lambda: True)
    assert isinstance(opening.open_policy(tiny_model, Trainer(device="cpu"), 0), TorchPolicy)


@pytest.mark.parametrize(
    ("amx", "avx512", "vendor", "expected"),
    [
        (True, True, "GenuineIntel", torch.bfloat16),
        (False, True, "GenuineIntel", torch.float32),
        (False, True, "AuthenticAMD", torch.bfloat16),
        (False, False, "AuthenticAMD", torch.float32),
    ],
)
def test_a_processor_computes_in_what_it_multiplies_faster(
    amx: bool, avx512: bool, vendor: str, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(platform, "processor", lambda: vendor)
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: f"vendor_id : {vendor}")
    assert native_dtype("auto", torch.device("cpu")) == expected


def test_mps_computes_in_float32_unless_told_and_rounds_nothing_in_fp64(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    device = chosen_device(Trainer(device="mps"))
    assert native_dtype("auto", device) == torch.float32
    assert native_dtype("bfloat16", device) == torch.bfloat16
    with pytest.raises(InputError, match="needs fp64"):
        chosen_device(Trainer(device="mps", quantization="8da4w"))


def test_a_failed_allocation_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as failed:
        torch.empty(2**46)
    assert out_of_memory(failed.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(RuntimeError) as other:
        torch.ones(2) @ torch.ones(3)
    assert not out_of_memory(other.value)


class _Dtypes(TorchDispatchMode):
    """Collects the precision of everything that is computed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.seen |= {x.dtype for x in tree_leaves(out) if isinstance(x, torch.Tensor)}
        return out


@pytest.mark.parametrize("quantization", ["none", "int8", "8da4w"])
def test_a_step_needs_fp64_only_where_mps_is_refused(quantization: str, family_model: Path) -> None:
    chosen = {"dtype": "float32", "device": "cpu", "quantization": quantization}
    taught = TorchPolicy(family_model, Trainer.model_validate(chosen), seed=0)
    with _Dtypes() as dtypes:
        prompts = [s.prompt_ids for s in trajectory_samples(count=1)]
        replies = taught.sample(prompts, 2, 8, 1.0, seed=0)
        samples = [
            Sample(r.prompt_ids, r.completion_ids, r.logprobs, 1.0) for g in replies for r in g
        ]
        taught.forward_backward([samples], Loss("clipped", kl=0.1))
        taught.optim_step(1e-3, 1.0)
    assert (torch.float64 in dtypes.seen) == (quantization == "8da4w")
