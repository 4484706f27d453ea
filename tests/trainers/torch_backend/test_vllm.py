"""Rollouts from a vLLM server; SRL_EDGE_VLLM names the command of an environment that has one."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import chain
from pathlib import Path

import psutil
import pytest

from srl_edge.errors import InputError, StageError
from srl_edge.method.types import Rollout, Sample
from srl_edge.trainers.policy.contract import Loss
from srl_edge.trainers.torch_backend.decoding.vllm_sampler import VllmSampler
from srl_edge.trainers.torch_backend.policy import TorchPolicy
from tests.helpers.models import make_model
from tests.helpers.policies import open_policy, trajectory_samples

COMMAND = os.environ.get("SRL_EDGE_VLLM", "")
PROMPTS = [s.prompt_ids for s in trajectory_samples(count=2)]


def greedy(policy: TorchPolicy) -> list[Rollout]:
    """Two of each prompt, without log-probabilities: at temperature 0 they mean nothing."""
    return [replace(r, logprobs=()) for r in chain(*policy.sample(PROMPTS, 2, 24, 0.0, 1))]


@pytest.mark.skipif(not COMMAND, reason="SRL_EDGE_VLLM does not name a command like `vllm serve`")
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "gemma3"])
def test_it_samples_from_the_adapter_that_learns(family: str, tmp_path: Path) -> None:
    # As wide as makes Qwen2's heads 32 wide: vLLM has no attention on CPUs for narrower ones.
    model = make_model(family, tmp_path / "model", hidden_size=128)
    policy = open_policy(model, sampler="vllm", vllm_command=COMMAND)
    plain = open_policy(model)
    policy.stop_ids = plain.stop_ids = []
    texts = []
    for scale in (1.0, -1.0):  # the second goes to the same server
        for mine, theirs in zip(policy.layers, plain.layers, strict=True):
            mine.lora_B.data.mul_(scale)
            theirs.lora_B.data.copy_(mine.lora_B.data)
        policy._adapter_changed()
        plain._adapter_changed()
        whole = greedy(plain)
        texts.append(whole[0].text)
        assert [r.completion_ids for r in greedy(policy)] == [r.completion_ids for r in whole]
        policy.stop_ids = plain.stop_ids = [whole[0].completion_ids[5]]
        cut = greedy(policy)
        assert cut == greedy(plain) and cut[0].finished and len(cut[0].completion_ids) <= 6
        policy.stop_ids = plain.stop_ids = []
        groups = policy.sample(PROMPTS, 6, 24, 0.8, 1)
        assert [len({r.completion_ids for r in group}) for group in groups] == [6] * len(PROMPTS)
        samples = [
            [Sample(r.prompt_ids, r.completion_ids, r.logprobs, 0.5) for r in group]
            for group in groups
        ]
        metrics = policy.forward_backward(samples, Loss("clipped", temperature=0.8))
        assert metrics["sampling/sampling_logp_difference/mean"] < 1e-4
        policy.optimizer.zero_grad()
    assert texts[0] != texts[1]
    # More tokens than the server takes in one pass, so that prompts come in pieces.
    many = [tuple((first + at) % 400 + 3 for at in range(400)) for first in range(12)]
    assert [len(group) for group in policy.sample(many, 2, 8, 1.0, 0)] == [2] * len(many)
    policy.stop_ids = [-5]
    with pytest.raises(StageError, match=r"vLLM refused completions: \S.*-5"):
        greedy(policy)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("no-vllm serve", "no such program"),
        ('vllm "serve', "No closing quotation"),
        ("vllm serve \\", "No escaped character"),
        ("", "no such program"),
    ],
)
def test_a_command_that_is_not_there_is_one_sentence(
    command: str, why: str, tiny_model: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(f"vllm_command = {command!r}: {why}")):
        open_policy(tiny_model, sampler="vllm", vllm_command=command)


def test_a_server_that_ends_is_told_with_its_error(tiny_model: Path) -> None:
    command = "sh -c 'echo ValueError: no memory; echo bye; exit 1'"
    policy = open_policy(tiny_model, sampler="vllm", vllm_command=command)
    with pytest.raises(StageError, match="it did not start; it said: ValueError: no memory"):
        policy.sample(PROMPTS, 2, 8, 1.0, 0)


def test_a_rank_that_vllm_lacks_is_refused(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="lora_rank = 1024: vLLM takes at most 512"):
        VllmSampler("true", tiny_model, "float32", 1024, 0)


def test_the_server_ends_with_a_trainer_that_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    command = f"sh -c 'echo $$ > {told}.part; mv {told}.part {told}; exec sleep 1000'"
    start = f"""
from pathlib import Path
from srl_edge.trainers.torch_backend.decoding.vllm_sampler import VllmSampler
VllmSampler({command!r}, Path({str(tmp_path)!r}), "float32", 16, 0)
"""
    trainer = subprocess.Popen([sys.executable, "-c", start])
    server = psutil.Process(int(_content(told)))
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    server.wait(30)  # raises if it still runs


def _content(path: Path) -> str:
    until = time.monotonic() + 60
    while not path.is_file():
        assert time.monotonic() < until
        time.sleep(0.05)
    return path.read_text(encoding="utf-8")
