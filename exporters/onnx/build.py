"""ONNX through onnxruntime-genai's model builder, offline."""

import contextlib
import io
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from srl_edge.errors import InputError, StageError
from srl_edge.exporters.decoder.slices import rotary_tables
from srl_edge.exporters.quiet import quiet
from srl_edge.models import loading
from srl_edge.models.routes import require, require_exportable, ropes_of
from srl_edge.models.tokenizer import stop_ids

_HEAD = "last_matmul:int8"  # the projection to the vocabulary, and the tied embedding with it
_MIXED = f"{_HEAD},mixed_layers:int8"  # and parts of the first and last eighth, and of every third


@dataclass(frozen=True, slots=True)
class Quantization:
    """Precision and options of the builder; `fitted`: 4-bit weights are then fitted or rounded."""

    precision: str
    options: dict[str, str] = field(default_factory=dict)
    fitted: bool = False


QUANTIZATIONS = {
    "fp32": Quantization("fp32"),
    "fp16": Quantization("fp16"),
    "int8": Quantization("int8"),
    "int4": Quantization("int4", {"algo_config": "rtn", "matmul_mixed_precision": _HEAD}, True),
    "int4-small": Quantization("int4", {"algo_config": "rtn"}, True),
    "int4-mixed": Quantization(
        "int4", {"algo_config": "rtn", "matmul_mixed_precision": _MIXED}, True
    ),
    "int4-rtn": Quantization("int4"),
    "int4-kquant": Quantization(
        "int4", {"algo_config": "k_quant", "matmul_mixed_precision": _MIXED}
    ),
}


def export(
    model: Path,
    out: Path,
    quantization: str,
    context_length: int,
    texts: Sequence[Sequence[int]] = (),
    extra: Mapping[str, str] = MappingProxyType({}),
    int8_layers: Sequence[str] = (),
) -> dict[str, Any]:
    """Write an onnxruntime-genai folder of a model into `out`; return the options used.

    quantization: a key of QUANTIZATIONS. texts: token ids that 4-bit weights are fitted to; without
    any they are rounded. extra: further options of the builder, which are not returned.
    int8_layers: patterns of linear layers that a fitted 4-bit artifact has in 8 bits.
    """
    chosen = QUANTIZATIONS[quantization]
    settings = loading.settings(model).to_dict()
    require_exportable(settings, [f"onnx-{quantization}"], context_length, model)
    build(model, out, chosen.precision, {**chosen.options, **extra}, context_length)
    config_file = out / "genai_config.json"
    config = json.loads(config_file.read_text(encoding="utf-8"))
    config["model"] |= {"context_length": context_length, "eos_token_id": stop_ids(model)}
    config["search"]["max_length"] = context_length
    config["model"]["decoder"]["session_options"]["provider_options"] = []
    config_file.write_text(json.dumps(config, indent=4) + "\n", encoding="utf-8")
    fitted = {}
    with rewritten(out) as graph:
        set_ropes(graph, model, context_length)
        if chosen.fitted:
            from srl_edge.exporters.onnx.weights import fit

            fit(graph, model, context_length, texts, int8_layers)
            tokens = sum(map(len, texts))
            fitted = {"fitted_to_tokens": tokens, "int8_layers": list(int8_layers)} if texts else {}
    return {"precision": chosen.precision, **chosen.options, **fitted}


def build(
    model: Path,
    out: Path,
    precision: str,
    options: Mapping[str, str],
    context_length: int | None = None,
) -> None:
    """Let the builder write a model folder into `out`.

    context_length: it makes rotary angles for no more positions; without one, for all. Raises
    InputError for a family that it does not take, StageError where it fails.
    """
    try:
        from onnxruntime_genai.models import builder
    except ImportError:
        raise InputError(
            "ONNX export needs onnxruntime-genai: pip install 'srl-edge[onnx]'."
        ) from None
    require(loading.settings(model).to_dict(), "onnx", model, "exported to ONNX")
    loading.require_head_as_told(model)
    # For a CPU in fp16 the builder (0.18) writes attention that fails at the second token; what it
    # writes for DirectML runs on the CPU as well, in every family.
    target = "dml" if precision == "fp16" else "cpu"
    printed = io.StringIO()
    cache = out / ".cache"
    # Only the last position's logits are ever asked for: a seventh of SmolLM2's prefill.
    flags = [f"{key}={value}" for key, value in {**options, "prune_lm_head": "true"}.items()]
    # int8 reports as an error that it leaves the embedding alone
    with (
        quiet(logging.ERROR),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        _ropes(builder, context_length),
    ):
        try:
            parsed = builder.parse_extra_options(
                "", str(model), str(out), precision, target, str(cache), flags
            )
            builder.create_model("", str(model), str(out), precision, target, str(cache), **parsed)
        except OSError:
            raise
        except Exception as error:
            last = (printed.getvalue().strip().splitlines() or [""])[-1]
            raise StageError(f"onnx {precision}: the builder failed: {error} {last}") from error
    with contextlib.suppress(FileNotFoundError):
        cache.rmdir()


def set_ropes(graph: Any, model: Path, context_length: int | None = None) -> None:
    """Give a graph the rotary angles of transformers, where the builder has others or none.

    context_length: positions past it are dropped: of Gemma 3's 32,768 they are 67 MB.
    """
    from onnx import numpy_helper

    config = loading.settings(model)
    scaled = any(rope["rope_type"] != "default" for rope in ropes_of(config))
    for tensor in graph.initializer:
        if not tensor.name.startswith(("cos_cache", "sin_cache")):
            continue
        angles = numpy_helper.to_array(tensor)[:context_length]
        if scaled:
            kind = "sliding_attention" if tensor.name.endswith("_local") else "full_attention"
            both = rotary_tables(config, kind, len(angles))
            exact = both[tensor.name.startswith("sin")][:, : angles.shape[1]]
            angles = exact.numpy().astype(angles.dtype)
        tensor.CopyFrom(numpy_helper.from_array(angles, tensor.name))


@contextlib.contextmanager
def rewritten(folder: Path) -> Iterator[Any]:
    """The graph of a folder that the builder wrote, with its weights; saved when the block ends."""
    import onnx

    path, data = folder / "model.onnx", folder / "model.onnx.data"
    model = onnx.load(path)
    yield model.graph
    data.unlink()
    onnx.save(model, path, save_as_external_data=True, location=data.name)
    data.chmod(path.stat().st_mode)  # it is made for its owner alone


@contextlib.contextmanager
def _ropes(builder: Any, context_length: int | None) -> Iterator[None]:
    """Let the builder read Gemma 3's rotary settings where transformers 5 has put them.

    It looks for `rope_theta` and `rope_local_base_freq`, which transformers 5 nests in
    `rope_parameters`; onnxruntime-genai 0.18 fails with KeyError 'rope_type'. Scaled angles are
    made by `set_ropes`, in all families: the builder has some of them otherwise, and fails at YaRN.
    Those of more positions than the artifact has would take all memory before they are cut off.
    """
    kind = builder.Gemma3Model
    base = kind.__mro__[-2]
    init, init_any = kind.__init__, base.__init__
    scaled = {c: c.make_rope_init for c in kind.__mro__ if "make_rope_init" in vars(c)}

    def with_flat_rope(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        rope = config.rope_parameters
        config.rope_theta = rope["full_attention"]["rope_theta"]
        config.rope_local_base_freq = rope["sliding_attention"]["rope_theta"]
        init(self, config, *args, **kwargs)

    def with_fewer_positions(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        if context_length is not None:
            config.max_position_embeddings = context_length
        init_any(self, config, *args, **kwargs)

    base.__init__ = with_fewer_positions
    kind.__init__ = with_flat_rope
    for each in scaled:
        each.make_rope_init = lambda self, config: None
    try:
        yield
    finally:
        kind.__init__, base.__init__ = init, init_any
        for each, before in scaled.items():
            each.make_rope_init = before
