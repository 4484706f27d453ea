"""An adapter kept apart from its base: does it do what it does in training, and does it let go?"""

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from srl_edge.artifact import Artifact
from srl_edge.devices.runtimes.contract import ArtifactRuntime
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.exporters.adapters import convert
from srl_edge.exporters.parity.logits import Case, teacher_forced
from srl_edge.models.adapter_folder import tensors
from srl_edge.report.parity_rows import SeparateAdapter

_CASES = 4
_TIMES = 5


def compare_adapter(
    artifact: Artifact,
    runtime: ArtifactRuntime,
    cases: Sequence[Case],
    base: Path,
    adapter: Path,
) -> SeparateAdapter:
    """Effect of a separate adapter beside PEFT's, and switching base -> it -> another -> base.

    The effect is what the adapter adds to the logits; `adapter_effect` is the cosine between the
    artifact's and PEFT's, None where PEFT's is smaller than what the artifact's own precision, or
    that of the reference, does to the base. The other adapter is the same with the opposite effect.
    The runtime is left with the artifact's adapter active.
    """
    own, nothing = artifact.adapter, artifact.no_adapter
    assert own is not None
    chosen = cases[:_CASES]
    runtime_of_base = TorchRuntime(base)
    unadapted = [runtime_of_base.score(case.prompt_ids, case.reply_ids) for case in chosen]
    trained = [case.logits.astype(np.float32) for case in chosen]
    expected = [a - b for a, b in zip(trained, unadapted, strict=True)]
    with tempfile.TemporaryDirectory() as scratch:
        other = convert(
            _opposite(adapter, Path(scratch, "peft")), Path(scratch, own.name), artifact.path
        )
        order = {
            "base": nothing,
            "adapter": own,
            "other": other,
            "base again": nothing,
            "adapter again": own,
        }
        logits: dict[str, Any] = {}
        for name, file in order.items():
            runtime.switch(file)
            logits[name] = [
                np.array(teacher_forced(runtime, c.prompt_ids, c.reply_ids)) for c in chosen
            ]
        seconds = []
        for file in [nothing, own] * _TIMES:
            start = time.perf_counter()
            runtime.switch(file)
            runtime.prefill(chosen[0].prompt_ids[:1])
            seconds.append(time.perf_counter() - start)
    effect = [a - b for a, b in zip(logits["adapter"], logits["base"], strict=True)]
    size, switch = own.stat().st_size, 1000 * median(seconds)
    noise = [a - b for a, b in zip(logits["base"], unadapted, strict=True)]
    rounding = [x * 2.0**-11 for x in trained]  # of a reference that is kept in 16 bits
    least = np.hypot(_size(noise), _size(rounding))
    some = bool(_size(expected) > least and _size(effect) > 0)
    cosine = _cosine(effect, expected) if some else None
    told = "too small to compare" if cosine is None else f"{cosine:.3f}"
    said = f"{size / 1e6:.1f} MB, switched in {switch:.0f} ms, effect {told}"
    return SeparateAdapter(
        separate_adapter=said,
        adapter_bytes=size,
        adapter_effect=cosine,
        switch_milliseconds=round(switch, 1),
        switches_exactly=all(
            (one == two).all() and (cosine is None or (one != three).any())
            for name in ("base", "adapter")
            for one, two, three in zip(
                logits[name], logits[f"{name} again"], logits["other"], strict=True
            )
        ),
    )


def _opposite(adapter: Path, out: Path) -> Path:
    out.mkdir()
    shutil.copy(adapter / "adapter_config.json", out)
    weights = tensors(adapter / "adapter_model.safetensors")
    turned = {name: -w if ".lora_B." in name else w for name, w in weights.items()}
    save_file(turned, out / "adapter_model.safetensors")
    return out


def _cosine(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    a, b = map(_together, (ours, theirs))
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def _size(logits: Sequence[Any]) -> float:
    return float(np.linalg.norm(_together(logits)))


def _together(logits: Sequence[Any]) -> Any:
    """All logits in one, each position's mean taken off, as softmax does not see it."""
    return np.concatenate([x - x.mean(-1, keepdims=True) for x in logits]).ravel()
