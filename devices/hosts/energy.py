"""Energy that a machine says it has used, all of it together: RAPL, and powermetrics on a Mac."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread

# Joules since some moment; None where the machine does not tell.
Meter = Callable[[], float | None]

RAPL = Path("/sys/class/powercap")
POWERMETRICS = ("sudo", "-n", "powermetrics", "--samplers", "cpu_power", "-i", "200")
_ELAPSED = re.compile(r"\(([\d.]+)ms elapsed\)")
_POWER = re.compile(r"Combined Power .*: ([\d.]+) mW")


def open_meter() -> Meter:
    """The meter of this computer; powermetrics runs where sudo asks for no password."""
    if sys.platform == "darwin":
        return powermetrics(POWERMETRICS)
    return rapl(RAPL)


def rapl(folder: Path) -> Meter:
    """Sum of the processors' packages, memory left out; their counters start again at their end."""
    zones = [
        zone
        for zone in sorted(folder.glob("intel-rapl:*"))  # AMD's are named so too
        if zone.name.count(":") == 1 and _read(zone / "name", "").startswith("package")
    ]
    last = {zone: _count(zone) for zone in zones}
    used = 0.0

    def joules() -> float | None:
        nonlocal used
        if not zones or None in last.values():
            return None
        for zone in zones:
            before, now = last[zone], _count(zone)
            if before is None or now is None:
                return None
            used += now - before + (_range(zone) if now < before else 0)
            last[zone] = now
        return used / 1e6

    return joules


def powermetrics(command: Sequence[str]) -> Meter:
    """Sum of processor, graphics and neural engine as powermetrics reports them, in a process."""
    used, alive = 0.0, False
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError:
        return lambda: None
    lines = process.stdout
    assert lines is not None

    def listen() -> None:
        nonlocal used, alive
        seconds = 0.0
        for line in lines:
            if found := _ELAPSED.search(line):
                seconds = float(found[1]) / 1000
            elif found := _POWER.search(line):
                used += float(found[1]) / 1000 * seconds
                alive = True

    listener = Thread(target=listen, daemon=True)
    listener.start()
    for _ in range(20):  # the first report takes a while; without a right to it there is none
        if alive or process.poll() is not None:
            break
        time.sleep(0.1)
    return lambda: used if alive else None


def _count(zone: Path) -> int | None:
    text = _read(zone / "energy_uj", "")
    return int(text) if text else None


def _range(zone: Path) -> int:
    return int(_read(zone / "max_energy_range_uj", "0"))


def _read(file: Path, otherwise: str) -> str:
    # Most systems let root alone read the counters.
    if not os.access(file, os.R_OK):
        return otherwise
    return file.read_text(encoding="utf-8").strip()
