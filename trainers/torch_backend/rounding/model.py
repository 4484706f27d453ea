"""A policy that is rounded as a 4-bit artifact: its two ends, and the fit of it all to texts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from srl_edge.quantization.gptq import (
    Codes,
    compensated,
    error_spread,
    is_fitted,
    read_codes,
    write_codes,
)
from srl_edge.quantization.grid import HEAD, dequantized, rounded_ends, rounded_input
from srl_edge.trainers.torch_backend.decoder import Causal, Decoder
from srl_edge.trainers.torch_backend.rounding.layer import LayerRounding


class Rounding:
    """What is rounded besides the layers, and how all of it is fitted, kept and restored.

    artifact: a key of AS_SHIPPED. layers: the rounding of each. table, head [V, d]: the same tensor
    where they are tied. scale: of the table's rows. `rows` and `head` are what stands in their
    place. Without `fit` or `take`, everything is rounded to the nearest codes.
    """

    def __init__(
        self,
        artifact: str,
        layers: Sequence[LayerRounding],
        table: Tensor,
        head: Tensor,
        scale: float,
    ) -> None:
        self.artifact, self._layers = artifact, layers
        self.rows, self.head = rounded_ends(artifact, table, head, scale)
        # It is fitted anew in each stage.
        self._whole = head if is_fitted(artifact, HEAD) else None
        self._codes: dict[str, Codes] = {}  # of the head

    def before_head(self, hidden: Tensor) -> Tensor:
        """Hidden states [N, d] as the projection to the vocabulary takes them."""
        return rounded_input(self.artifact, hidden, HEAD)

    @torch.no_grad()
    def fit(self, decoder: Decoder, texts: Sequence[Sequence[int]]) -> None:
        """Round weights from now on so that they answer well to what texts of token ids give.

        The inputs are those of the model whose weights are whole, with the adapter as it is.
        """
        device, width = self.head.device, self.head.shape[1]
        for layer in self._layers:
            layer.watch()
        gram = self.head.new_zeros(width, width)
        for text in texts:
            ids = torch.tensor(text, device=device)
            x = self.before_head(decoder(ids, Causal([len(ids)], device)))
            gram += x.T @ x
        for layer in self._layers:
            layer.fit()
        if self._whole is not None:
            self.take({HEAD: compensated(self._whole, error_spread(gram))})

    def take(self, codes: Mapping[str, Codes]) -> None:
        """Multiply by given codes: those of layers until the adapter changes."""
        for layer in self._layers:
            layer.take(codes)
        if HEAD in codes:
            values, scales = (x.to(self.head.device) for x in codes[HEAD])
            self.head, self._codes = dequantized(values, scales), {HEAD: (values, scales)}

    def save(self, folder: Path) -> None:
        """Put the codes of what is fitted into an adapter's folder."""
        codes = {k: v for layer in self._layers for k, v in layer.codes().items()}
        if codes:
            write_codes(folder, codes | self._codes)

    def state(self) -> dict[str, Tensor]:
        """What training needs to go on rounding the layers as it does, by name."""
        return {name: tensor for layer in self._layers for name, tensor in layer.state().items()}

    def restore(self, state: Mapping[str, Tensor], adapter: Path) -> None:
        """Go on from what `state` returned and `save` wrote."""
        for layer in self._layers:
            layer.restore(state, self.head.device)
        self.take({k: v for k, v in read_codes(adapter).items() if k == HEAD})
