"""What depends on where torch computes: the device, its precision, its memory."""

import contextlib
import ctypes
import platform
from pathlib import Path

import torch

from srl_edge.errors import InputError
from srl_edge.quantization.formats import AS_SHIPPED
from srl_edge.recipe import Trainer


def chosen_device(settings: Trainer) -> torch.device:
    """The device that `trainer.device` names; InputError where it is not here, or cannot do it."""
    name = settings.device
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if found["cuda"] else "cpu")
    if not found.get(name, True):
        raise InputError(f"trainer.device = {name!r}: torch finds none here; set it to auto.")
    if name == "mps" and settings.quantization in AS_SHIPPED:
        # Their merge sums in fp64.
        raise InputError(
            f"trainer.quantization = {settings.quantization!r} needs fp64, which MPS has not; set "
            "trainer.device to cpu."
        )
    return torch.device(name)


def native_dtype(name: str, device: torch.device) -> torch.dtype:
    """`float32`, `bfloat16`, or for `auto` bfloat16 where the hardware multiplies it faster."""
    if name != "auto":
        return getattr(torch, name)  # type: ignore[no-any-return]
    match device.type:
        case "cuda":
            native = torch.cuda.is_bf16_supported()
        case "cpu":
            native = torch.cpu._is_amx_tile_supported() or (
                # Intel's AVX512-BF16 alone has 0.55 of the products a second that fp32 has.
                torch.cpu._is_avx512_bf16_supported() and not _is_of_intel()
            )
        case _:  # MPS emulates it on the first generations, and there is no call that tells them
            native = False
    return torch.bfloat16 if native else torch.float32


def _is_of_intel() -> bool:
    said = platform.processor()
    with contextlib.suppress(OSError):
        said += Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return "GenuineIntel" in said


def frozen_dtype(settings: Trainer, device: torch.device) -> torch.dtype:
    """What frozen weights are computed in; InputError for what an artifact is not."""
    if settings.quantization not in AS_SHIPPED:
        return native_dtype(settings.dtype, device)
    if settings.dtype == "bfloat16":
        # A product of a code and its scale has more digits than a bfloat16.
        raise InputError(
            f"trainer.quantization = {settings.quantization!r} computes in float32, as its "
            "artifact does; set trainer.dtype to auto."
        )
    return torch.float32


def return_freed_memory() -> None:
    """Hand memory that was let go back to the system, where libc can."""
    # Without it glibc keeps most of it, in pieces that what comes next rarely fits.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def empty_cache(device: torch.device) -> None:
    """Hand back what a GPU's allocator keeps to give out again."""
    if device.type != "cpu":
        getattr(torch, device.type).empty_cache()
