"""From a recipe's settings to the policy that trains: which backend it is."""

import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from srl_edge.errors import InputError
from srl_edge.recipe import Trainer
from srl_edge.trainers.policy.contract import OnnxBase, Policy


def open_policy(
    model: Path, settings: Trainer, seed: int, onnx_base: OnnxBase | None = None
) -> Policy:
    """The backend that the recipe names, with a fresh adapter on the model of a local folder.

    onnx_base: makes what `trainer.sampler = "onnx"` samples from.
    """
    auto = settings.backend == "auto" and settings.device == "auto"
    if settings.backend == "mlx" or (auto and _has_metal()):
        if find_spec("mlx") is None or find_spec("mlx_lm") is None:
            raise InputError("trainer.backend = 'mlx' needs mlx-lm: pip install 'srl-edge[mlx]'.")
        from srl_edge.trainers.mlx_backend.policy import MlxPolicy

        return MlxPolicy(model, settings, seed)
    from srl_edge.trainers.torch_backend.policy import TorchPolicy

    return TorchPolicy(model, settings, seed, onnx_base)


def require_device(settings: Trainer) -> None:
    """Raise InputError where the device that a recipe names is not here, or cannot train it.

    torch is asked in a process of its own, which is gone afterwards.
    """
    code = (
        "import sys; from srl_edge.errors import InputError; from srl_edge.recipe import Trainer\n"
        "from srl_edge.trainers.torch_backend.device import chosen_device\n"
        "try: chosen_device(Trainer.model_validate_json(sys.argv[1]))\n"
        "except InputError as error: sys.exit(str(error))"
    )
    command = [sys.executable, "-P", "-c", code, settings.model_dump_json()]
    asked = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False
    )
    if asked.returncode:
        raise InputError((asked.stderr.strip().splitlines() or ["torch cannot be loaded"])[-1])


def _has_metal() -> bool:
    """Whether this is a Mac with Apple silicon that MLX is installed on."""
    apple = sys.platform == "darwin" and platform.machine() == "arm64"
    return apple and find_spec("mlx_lm") is not None
