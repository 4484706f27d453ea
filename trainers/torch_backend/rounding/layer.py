"""How the weights of LoRA layers are rounded as an artifact's, and kept until the adapter moves."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor

from srl_edge.quantization.gptq import Codes, codes_of, compensated, error_spread, is_fitted
from srl_edge.quantization.grid import dequantized, rounded, rounded_input


class LayerRounding:
    """Rounded weights of layers that read the same inputs: to the nearest codes, until `fit`.

    artifact: a key of AS_SHIPPED. sizes: the layers' outputs by name. whole: their weights as they
    are now [out, in], in fp32, adapter and all.
    """

    def __init__(
        self, artifact: str, sizes: Mapping[str, int], whole: Callable[[], Iterable[Tensor]]
    ) -> None:
        self.artifact, self._sizes, self._whole = artifact, sizes, whole
        self._weight: Tensor | None = None
        self.watching = False  # from `watch` to `fit`, while weights are to stay whole
        self._gram: Tensor | None = None  # X^T X of the inputs seen so far
        self._spread: Tensor | None = None  # what `fit` made of it
        self._scales: dict[str, Tensor] = {}  # of the layers whose rounding is fitted

    def inputs(self, x: Tensor) -> Tensor:
        """Inputs [N, in] as the artifact rounds them."""
        return rounded_input(self.artifact, x)

    # Made while sampling, it is kept for a backward pass.
    @torch.inference_mode(False)
    @torch.no_grad()
    def weight(self) -> Tensor:
        """What the artifact multiplies by [out of all layers, in]; kept until `forget`."""
        if self._weight is None:
            self._weight = self.of(self._whole())
        return self._weight

    def of(self, weights: Iterable[Tensor]) -> Tensor:
        """What other weights of the same layers round to, as `weight` has them."""
        parts = zip(self._sizes, weights, strict=True)
        return torch.cat([self._rounded(name, weight) for name, weight in parts])

    def _rounded(self, name: str, weight: Tensor) -> Tensor:
        if self._spread is None or not is_fitted(self.artifact, name):
            return rounded(self.artifact, name, weight)
        codes, self._scales[name] = compensated(weight, self._spread, self._scales.get(name))
        return dequantized(codes, self._scales[name])

    def forget(self) -> None:
        """Let go of the rounded weights: to be called wherever the whole ones change."""
        self._weight = None
        if self._spread is None:
            self._scales = {}

    def watch(self) -> None:
        """Note the inputs that `see` gets, until `fit`."""
        self.forget()
        self.watching, self._gram = True, None

    def see(self, x: Tensor) -> None:
        """Take note of rounded inputs [N, in]."""
        gram = x.T @ x
        self._gram = gram if self._gram is None else self._gram.add_(gram)

    @torch.no_grad()
    def fit(self) -> None:
        """Round from now on so that the inputs that were seen are answered best."""
        assert self._gram is not None
        fitted = any(is_fitted(self.artifact, name) for name in self._sizes)
        self._spread = error_spread(self._gram) if fitted else None
        self.watching, self._gram, self._scales = False, None, {}
        self.weight()  # for its scales, which those of other adapters keep

    def codes(self) -> dict[str, Codes]:
        """Codes and scales by name of what is multiplied by, where their rounding is fitted."""
        return {
            name: (codes_of(part, self._scales[name]), self._scales[name])
            for name, part in self._parts()
            if name in self._scales
        }

    def take(self, codes: Mapping[str, Codes]) -> None:
        """Multiply by given codes until `forget`."""
        for name, part in self._parts():
            if name in codes:
                values, self._scales[name] = (x.to(part.device) for x in codes[name])
                part.copy_(dequantized(values, self._scales[name]))

    def _parts(self) -> Iterator[tuple[str, Tensor]]:
        rows = self.weight().split(list(self._sizes.values()))
        return zip(self._sizes, rows, strict=True)

    def state(self) -> dict[str, Tensor]:
        """What is needed to go on rounding as it does, by name."""
        if self._spread is None:
            return {}
        scales = {f"{name}.scales": scales for name, scales in self._scales.items()}
        return {f"{next(iter(self._sizes))}.spread": self._spread, **scales}

    def restore(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Go on from what `state` returned."""
        spread = state.get(f"{next(iter(self._sizes))}.spread")
        if spread is not None:
            self._spread = spread.to(device)
            found = {name: state.get(f"{name}.scales") for name in self._sizes}
            self._scales = {
                n: scales.to(device) for n, scales in found.items() if scales is not None
            }
