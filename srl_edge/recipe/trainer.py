"""The section of a recipe that says what trains, what samples, and what is measured meanwhile."""

from typing import Annotated, Literal

from pydantic import Field

from srl_edge.quantization.formats import Trainable
from srl_edge.recipe.section import Few, Many, ManyOrNone, Section


class Trainer(Section):
    backend: Literal["auto", "torch", "mlx"] = "auto"
    """What computes; `auto` is CUDA, then MLX on Apple silicon, then torch on the CPU."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """torch: where; `auto` is CUDA where there is one, else the CPU. mps: Apple's GPU."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the frozen weights; `auto`: bfloat16 where it is faster."""
    quantization: Trainable = "none"
    """Of frozen layers: int8; torch: nf4; mlx: int4. torch, as shipped: 8da4w, int4-onnx."""
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit"] = "adamw"
    """torch: moments in fp32; or in 8 bits; or also moved off a CUDA device that is full."""
    sampling_weights: Literal["auto", "merged", "adapter"] = "auto"
    """torch sampler: a merged copy, or those that train; `auto`: a copy of unquantized weights."""
    gradient_checkpointing: bool = False
    """Compute a layer again in the backward pass instead of keeping what is inside: less memory."""
    lora_rank: Few = 16
    """Rank of the adapter's matrices, on every linear layer."""
    lora_alpha: Few = 32
    """Scale of the adapter: its product is multiplied by lora_alpha / lora_rank."""
    micro_batch_tokens: Many = 1024
    """Most completion tokens in one forward and backward pass."""
    checkpoint_every: Many = 5
    """Steps between checkpoints."""
    keep_last: Many = 1
    """Checkpoints that are kept."""
    validation_prompts: Many = 32
    """Held-out step prompts whose reward is measured at each validation."""
    validation_problems: ManyOrNone = 16
    """Held-out problems that are solved step by step at each validation; 0 for none."""
    own_way_problems: ManyOrNone | None = None
    """Those that are solved in the model's own way too; None: as many; 0 for none."""
    own_way_tokens: Many = 512
    """Longest reply in the model's own way."""
    tracker: Literal["none", "tensorboard", "trackio", "wandb"] = "none"
    """Where metrics go besides `train/metrics.jsonl`."""
    threads: ManyOrNone = 0
    """CPU threads; 0 takes every core."""
    sampler: Literal["torch", "onnx", "vllm"] = "torch"
    """What samples rollouts: PyTorch, ONNX Runtime as on the device, or a vLLM server."""
    sampler_quantization: Literal["fp32", "int8", "int4"] = "int8"
    """onnx sampler: quantization of its frozen weights."""
    importance_cap: Annotated[float, Field(gt=0)] = 2.0
    """onnx, vllm samplers: most weight of a token that the policy finds likelier than they did."""
    vllm_command: str = "vllm serve --gpu-memory-utilization 0.4"
    """vllm sampler: what starts its server, on this computer, with more options if needed."""
    vllm_url: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = ""
    """vllm sampler: a server that runs already, here or elsewhere, such as http://node1:8000."""
    vllm_folder: str = ""
    """Of that server: a folder that it sees by the same path, where each update's adapter goes."""

    @property
    def own_problems(self) -> int:
        """Held-out problems that are solved in the model's own way at each validation."""
        given = self.own_way_problems
        return self.validation_problems if given is None else given

    @property
    def starts_vllm(self) -> bool:
        """Whether a vLLM server is started for this training."""
        return self.sampler == "vllm" and not self.vllm_url

    @property
    def samples_merged(self) -> bool:
        """Whether rollouts come from a copy of the weights, whole and with the adapter in them."""
        asked = self.sampling_weights
        return asked == "merged" or (asked == "auto" and self.quantization == "none")
