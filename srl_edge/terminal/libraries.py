"""Silence for libraries whose chatter would hide what srl-edge says."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_SAID = {
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
    "USE_HUB_KERNELS": "NO",  # transformers would fetch code where the package kernels is there
}
_LOGGERS = (
    "torchao",
    "bitsandbytes",
    "torch.utils._pytree",
    "transformers",
    "onnxruntime",
    "huggingface_hub",
)


def quiet_libraries() -> None:
    """Keep libraries' chatter off the terminal, where people look for ours."""
    for name, value in _SAID.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore")
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    # One that was imported before has read its variable.
    if hub := sys.modules.get("huggingface_hub.utils"):
        hub.disable_progress_bars()
    if transformers := sys.modules.get("transformers.utils.logging"):
        transformers.disable_progress_bar()


@contextmanager
def libraries_quiet() -> Iterator[None]:
    """The same for a while, in a process that is not ours: afterwards all is as it was."""
    unset = [name for name in _SAID if name not in os.environ]
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    try:
        with warnings.catch_warnings():
            quiet_libraries()
            yield
    finally:
        for name in unset:
            os.environ.pop(name, None)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
