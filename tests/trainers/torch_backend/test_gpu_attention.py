"""Attention of rows by one kernel over trunk and rows: the same numbers, and the fastest taken."""

import time
from typing import Any

import pytest
import torch
import torch.nn.attention.flex_attention as flex_module

from srl_edge.trainers.torch_backend.attention import gpu as gpu_attention
from srl_edge.trainers.torch_backend.attention.gpu import fastest, flex, sdpa
from srl_edge.trainers.torch_backend.attention.rows import RowAttention

ROWS, SEEN = [(1,) * n for n in (3, 9, 5, 7)], [4, 4, 11, 20]
SCALING = 0.25
CUDA = pytest.param(
    "cuda",
    marks=[
        pytest.mark.cuda,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU"),
    ],
)


def tensors(device: str = "cpu") -> list[torch.Tensor]:
    """q, k and v of the rows, and the trunk's k and v."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(24, 6, 16), (24, 2, 16), (24, 2, 16), (20, 2, 16), (20, 2, 16)]
    return [torch.randn(s, generator=generator).to(device) for s in shapes]


def attention_of(leaves: list[torch.Tensor]) -> RowAttention:
    return RowAttention(ROWS, SEEN, [(leaves[3], leaves[4])], leaves[0].device)


def passes(window: int | None, kernel: str | None, device: str) -> list[torch.Tensor]:
    """Output of attention, and the gradients of everything; `kernel`: the one that is to run."""
    leaves = [x.requires_grad_() for x in tensors(device)]
    attention = attention_of(leaves)
    if kernel:
        makers = {"SDPA": sdpa, "FlexAttention": flex}
        out = makers[kernel](*attention.sight(window))(*leaves, scaling=SCALING)
    else:
        q, k, v, *_ = leaves
        out = attention(0, q, k, v, SCALING, window)
    generator = torch.Generator().manual_seed(1)
    gradient = torch.randn(out.shape, generator=generator).to(device)
    return [out, *torch.autograd.grad(out, leaves, gradient)]


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("window", [None, 6])
@pytest.mark.parametrize("kernel", ["SDPA", "FlexAttention"])
def test_one_sequence_gives_what_rows_give(
    kernel: str, window: int | None, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if device == "cpu":  # it has a backward pass there, for all that it says
        monkeypatch.setattr(flex_module, "_validate_device", lambda *_: None)
    expected = passes(window, None, "cpu")
    for one, other in zip(passes(window, kernel, device), expected, strict=True):
        torch.testing.assert_close(one.cpu(), other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_a_kernel_is_chosen_for_each_window(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_attention, "_chosen", {})
    leaves = tensors(device)
    expected = attention_of(tensors())
    attention = attention_of(leaves)
    for window in (None, 6):
        attention.choose(6, window)
        out = attention.kernels[window](*leaves, scaling=SCALING)
        q, k, v, *_ = tensors()
        plain = expected(0, q, k, v, SCALING, window)
        torch.testing.assert_close(out.cpu(), plain, atol=1e-5, rtol=1e-4)
    assert len(gpu_attention._chosen) == 2  # one for each window
    attention.choose(6, None)
    assert len(gpu_attention._chosen) == 2


def test_the_fastest_that_runs_is_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_attention, "_chosen", {})

    def quick(*inputs: torch.Tensor, scaling: float) -> torch.Tensor:
        return torch.stack([x.sum() for x in inputs]) * scaling

    def slow(*inputs: torch.Tensor, scaling: float) -> torch.Tensor:
        time.sleep(0.05)
        return quick(*inputs, scaling=scaling)

    def broken(*inputs: torch.Tensor, scaling: float) -> torch.Tensor:
        raise RuntimeError("no compiler")

    def full(*inputs: torch.Tensor, scaling: float) -> torch.Tensor:
        raise torch.OutOfMemoryError

    def chosen(*kernels: Any) -> Any:
        makers = {k.__name__: (lambda k=k: k) for k in kernels}
        return fastest(tuple(makers), makers, tensors(), SCALING)

    assert chosen(slow, quick) is quick
    assert chosen(broken, full, slow) is slow
    told = capsys.readouterr().err
    assert told.count("broken cannot run here and is left out (RuntimeError: no compiler)") == 1
    assert "full" not in told  # it may have the memory for another shape
    with pytest.raises(torch.OutOfMemoryError):
        chosen(broken, full)
