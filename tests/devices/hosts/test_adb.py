"""The benchmark over the real adb, on a device double that runs ExecuTorch's own runner."""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tokenizers import Tokenizer

pytest.importorskip("executorch")

from srl_edge.artifact import load
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.devices.bench import measure
from srl_edge.devices.bench.artifacts import bench_artifacts, device_named
from srl_edge.devices.hosts.adb import FOLDER, Adb
from srl_edge.devices.hosts.adb_runner import Phone, answer, parsed
from srl_edge.devices.hosts.android import joules, peak_mib
from srl_edge.devices.hosts.session import RunnerLost, Session
from srl_edge.devices.runtimes.chat import Chat, completions, replies
from srl_edge.devices.runtimes.contract import greedy
from srl_edge.devices.runtimes.open import open_runtime
from srl_edge.errors import InputError
from srl_edge.exporters.executorch import build as executorch
from srl_edge.method.solving import solve
from srl_edge.recipe import Bench
from tests.helpers.adb_device import Device
from tests.helpers.artifacts import COPIED, artifact_of, seal, token_ids

needs_adb = pytest.mark.skipif(shutil.which("adb") is None, reason="no adb is installed")
RECORDED = (Path(__file__).parent / "recorded" / "llama_main-1.5.1.txt").read_bytes()
SETTINGS = Bench(
    max_steps=2,
    max_new_tokens=48,
    repeats=1,
    threads=1,
    decode_tokens=8,
    step_prompts=0,
    prompt_tokens=24,
)


@pytest.fixture(scope="module")
def artifact(taught_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pte") / "executorch-fp32"
    executorch.export(taught_model, folder, "fp32", 512)
    for name in (*COPIED, "chat_template.jinja"):
        (folder / name).write_bytes((taught_model / name).read_bytes())
    seal(folder)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An adb server of these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(20_000 + os.getpid() % 10_000))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # for the keys that it makes
        patch.delenv("ANDROID_SERIAL", raising=False)
        yield
        subprocess.run(["adb", "kill-server"], capture_output=True, check=False)


@pytest.fixture
def phone(server: None, tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path / "phone")
    yield device
    device.unplug()
    subprocess.run(["adb", "disconnect"], capture_output=True, check=False)


@pytest.fixture
def opened() -> Iterator[list[Session]]:
    sessions: list[Session] = []
    yield sessions
    for session in sessions:
        session.close()


@needs_adb
def test_it_answers_as_this_computer_does(
    phone: Device, artifact: Path, opened: list[Session]
) -> None:
    session = Adb().open_session("pte", "artifact", artifact, 1)
    opened.append(session)
    prompts = [Chat(artifact).prompt_ids(f"Ann has {n} cats and 9 dogs.", []) for n in (3, 5)]
    here = [greedy(open_runtime(load(artifact), 1), prompt, 64, [2]) for prompt in prompts]
    found = session.generate(prompts, 64, [2], timeout=60)
    assert [reply.ids for reply in found] == here and here[0][-1] == 2
    (phone.root / "data/local/tmp/fault").write_text("slow")
    (reply,) = session.generate(prompts[:1], 64, [2], timeout=60)
    assert 0 < (reply.first_seconds or 0) < reply.seconds and session.load_seconds > 0
    assert session.energy_joules == pytest.approx(2.0 * reply.seconds, rel=0.05)  # 4 V, 0.5 A
    assert (session.peak_memory_mib or 0) > 10
    assert session.machine["processor"] == "Acme Double"
    assert session.machine["system"].startswith("Android 14 ")
    expected = {"celsius": 38.4, "battery": 81, "battery_celsius": 31.5, "thermal_status": 1}
    assert session.state.items() > expected.items()
    battery = phone.root / "battery"
    battery.write_text(battery.read_text().replace("USB powered: false", "USB powered: true"))
    session.generate(prompts[:1], 64, [2], timeout=60)
    assert session.energy_joules is None and session.state["powered"]
    pushed = [*phone.root.glob(f"{FOLDER[1:]}/*/*")]
    assert {file.name for file in pushed} == {"model.pte", "tokenizer.json"}
    when = [file.stat().st_mtime_ns for file in pushed]
    opened.append(Adb(phone.serial).open_session("again", "artifact", artifact, 1))
    assert [file.stat().st_mtime_ns for file in pushed] == when  # nothing was sent a second time


@needs_adb
def test_what_it_cannot_be_asked_is_one_sentence(phone: Device, artifact: Path) -> None:
    tokenizer = Tokenizer.from_file(str(artifact / "tokenizer.json"))
    device = Phone(phone.serial, "/data/local/tmp/llama_main", str(artifact), 1, "", tokenizer)
    ids = Chat(artifact).prompt_ids("Ann has 3 cats and 9 dogs.", [])
    asked = {"max_new_tokens": 64, "stops": [2], "temperature": 0.0}
    with pytest.raises(SystemExit, match="llama_main draws without a seed"):
        answer(device, asked | {"prompts": [ids], "temperature": 1.0})
    with pytest.raises(SystemExit, match=r"made \d+ tokens where 64 were to be timed"):
        answer(device, asked | {"prompts": [ids], "stops": []})
    with pytest.raises(SystemExit, match="of 30 tokens cannot be asked as text, where llama_main"):
        answer(device, asked | {"prompts": [token_ids(30)]})


@needs_adb
def test_unplugged_amid_a_run_and_resumed(
    phone: Device,
    artifact: Path,
    tmp_path: Path,
    word_problems: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problems = list(parse_rows(word_problems[:3], ParseReport()))
    tasks, out, device = {"animals": problems}, tmp_path / "out", Adb(phone.serial)
    samples, asked = measure.samples, []

    def unplugged(*arguments: Any) -> Any:
        asked.append(arguments)
        if len(asked) > 1:
            phone.unplug()
        return samples(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(measure, "samples", unplugged)
        bench_artifacts([artifact], tasks, SETTINGS, device, out)
    (row,) = json.loads((out / "results.json").read_text())["rows"]
    assert row["tasks"]["animals"]["lost"] == 2 and row["decode_tokens_per_second"]
    (file,) = out.glob("executorch-fp32/samples_*.jsonl")
    first, *rest = map(json.loads, file.read_text().splitlines())
    assert not first["lost"] and phone.serial in rest[0]["lost"]
    phone.plug()
    bench_artifacts([artifact], tasks, SETTINGS, device, out, resume=True)
    again = [json.loads(line) for line in file.read_text().splitlines()]
    assert again[0] == first and not any(sample["lost"] for sample in again)
    complete = completions(open_runtime(load(artifact), 1), [2], SETTINGS.max_new_tokens)
    here = solve(problems, replies(complete, Chat(artifact), [2]), SETTINGS.max_steps, lambda: None)
    assert [sample["steps"] for sample in again] == [[attempt.steps] for attempt in here]
    assert "Acme Double" in (out / "report.md").read_text()


@needs_adb
def test_a_hung_generation_is_ended_there_too(
    phone: Device, artifact: Path, opened: list[Session]
) -> None:
    fault = phone.root / "data/local/tmp/fault"
    for end in ("timeout", "unplugged"):
        opened.append(Adb(phone.serial).open_session("pte", "artifact", artifact, 1))
        fault.write_text("hang")
        if end == "unplugged":
            threading.Timer(2, phone.unplug).start()
        lost = r"did not answer in 2 s" if end == "timeout" else r"ended \(exit code 1\): adb:127"
        with pytest.raises(RunnerLost, match=f"pte: its process {lost}"):
            opened[-1].generate([[40]], 4, timeout=2 if end == "timeout" else 20)
        fault.unlink()
        for _ in range(50):
            if not (left := hung(phone)):
                break
            time.sleep(0.1)
        assert not left


def hung(phone: Device) -> list[Any]:
    program = f"{phone.root}/data/local/tmp/llama_main"
    return [p for p in psutil.process_iter(["cmdline"]) if program in (p.info["cmdline"] or [])]


@needs_adb
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("crash", r"llama_main ended \(exit code 134\): "),
        ("full", r"llama_main ended \(exit code 1\): Failed to create llama runner"),
        ("cut", "the output of llama_main was cut off"),
    ],
)
def test_what_llama_main_does_wrong_is_one_sentence(
    phone: Device, artifact: Path, fault: str, said: str
) -> None:
    (phone.root / "data/local/tmp/fault").write_text(fault)
    with pytest.raises(RunnerLost, match=rf"^pte: its process ended .*: adb:127.*: {said}"):
        Adb(phone.serial).open_session("pte", "artifact", artifact, 1)


@needs_adb
def test_what_is_missing_is_one_sentence(
    phone: Device,
    artifact: Path,
    tiny_model: Path,
    tmp_path: Path,
    opened: list[Session],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    onnx = artifact_of(tiny_model, tmp_path)
    device = Adb(phone.serial)
    with pytest.raises(InputError, match="adb runs ExecuTorch artifacts alone"):
        device.open_session("onnx", "artifact", onnx, 1)
    with pytest.raises(InputError, match=r"^adb:nope: device 'nope' not found; choose from what"):
        Adb("nope").open_session("pte", "artifact", artifact, 1)
    with pytest.raises(InputError, match=r"no program /data/local/tmp/other; build ExecuTorch's"):
        Adb("", "/data/local/tmp/other").open_session("pte", "artifact", artifact, 1)
    phone.room = 1000
    with pytest.raises(InputError, match=r": No space left on device; make room \(earlier"):
        device.open_session("pte", "artifact", artifact, 1)
    phone.room = 10**9
    opened.append(device.open_session("pte", "artifact", artifact, 1))  # nothing half-sent is used
    phone.unplug()
    with pytest.raises(RunnerLost, match=rf"^adb:{phone.serial}: device"):
        device.open_session("pte", "artifact", artifact, 1)
    with monkeypatch.context() as patch, pytest.raises(InputError, match="adb is not on the PATH"):
        patch.setenv("PATH", "/nowhere")
        Adb().open_session("pte", "artifact", artifact, 1)


def test_recorded_output_is_read() -> None:
    prompt = RECORDED[: RECORDED.index(b"assistant\n")].decode() + "assistant\n"
    text, stats = parsed(RECORDED, prompt)
    assert text.endswith("<|im_end|>\n") and stats["SCALING_FACTOR_UNITS_PER_SECOND"] == 1000
    assert stats["inference_start_ms"] <= stats["first_token_ms"] <= stats["inference_end_ms"]
    for cut in (len(RECORDED) - 3, RECORDED.index(b"PyTorch"), len(prompt) + 5, 10):
        with pytest.raises(ValueError):
            parsed(RECORDED[:cut], prompt)
    with pytest.raises(ValueError):
        parsed(RECORDED, "another prompt")


def test_energy_is_what_the_battery_gave_while_the_model_answered() -> None:
    lines = ["@clock 1000.5 100.5 60.0"]
    lines += [
        f"@ {100 + i / 10:.2f} {2048 * (1 + i)} v=4000000 c={-500000 - i * 50000}"
        for i in range(11)
    ]
    watched, now = "\n".join(lines), {"powered": False, "battery_volts": 3.5}
    assert joules(watched, 1000.0, 1001.0, now) == pytest.approx(3.0)  # 2 W to 4 W
    assert joules(watched, 1000.0, 1000.25, now) == pytest.approx(0.55)
    assert joules(watched.replace("v=4000000", "v="), 1000.0, 1001.0, now) == pytest.approx(2.625)
    assert peak_mib(watched) == 22.0 and peak_mib("") is None
    untold: list[Any] = [
        (watched, 1000.02, 1000.08, now),  # between two readings
        (watched.replace("c=-", "c=-0."), 1000.0, 1001.0, now),
        (watched.replace("00000\n", "00\n"), 1000.0, 1001.0, now),  # in milliamperes
        (watched.replace("1000.5", "1000.N"), 1000.0, 1001.0, now),  # no clock
        (watched, 1000.0, 1001.0, now | {"powered": True}),
        (watched, 1000.0, 1001.0, now | {"powered": None}),
        ("", 1000.0, 1001.0, now),
    ]
    assert [joules(*each) for each in untold] == [None] * len(untold)


def test_the_device_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="adb is not on the PATH; install Android's platform"):
        device_named("adb")
    (tmp_path / "adb").write_text("#!/bin/sh\n")
    (tmp_path / "adb").chmod(0o755)
    assert isinstance(device_named("adb:emulator-5554"), Adb)
    assert isinstance(device_named("adb"), Adb)
