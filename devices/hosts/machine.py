"""What this machine is, and how much memory this process has needed of it."""

import contextlib
import os
import platform
import sys
from pathlib import Path
from typing import Any

from srl_edge.artifact import tool_versions


def peak_mib() -> float:
    """Peak resident memory of this process in MiB."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not ru_maxrss: on Linux it starts at what the parent process had when it forked.
        line = next(
            x for x in status.read_text(encoding="utf-8").splitlines() if x.startswith("VmHWM")
        )
        return int(line.split()[1]) / 2**10
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource  # not on Windows

    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, others KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def peak_mib_below(process: int) -> float | None:
    """Peak resident memory in MiB of the largest descendant of a process; None where not told."""
    if not Path("/proc/self/status").is_file():
        return None
    parents: dict[int, int] = {}
    peaks: dict[int, float] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            told = dict(
                x.split(":", 1) for x in status.read_text(encoding="utf-8").splitlines() if ":" in x
            )
            parents[int(told["Pid"])] = int(told["PPid"])
            peaks[int(told["Pid"])] = int(told.get("VmHWM", "0").split()[0]) / 2**10
    below = {process}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return max((peaks[child] for child in below - {process}), default=None)


def state() -> dict[str, float | str | None]:
    """What may change while figures are taken; None where the machine does not tell.

    load: processes that want a core. celsius: of the warmest sensor. battery: percent.
    """
    zones = _readings("/sys/class/thermal", "thermal_zone*/temp")
    batteries = _readings("/sys/class/power_supply", "*/capacity")
    governors = _texts("/sys/devices/system/cpu", "cpu0/cpufreq/scaling_governor")
    return {
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "celsius": max(zones) / 1000 if zones else None,
        "battery": batteries[0] if batteries else None,
        "governor": governors[0] if governors else None,
    }


def _readings(folder: str, pattern: str) -> list[float]:
    return [float(text) for text in _texts(folder, pattern)]


def _texts(folder: str, pattern: str) -> list[str]:
    found = []
    for file in sorted(Path(folder).glob(pattern)):
        with contextlib.suppress(OSError):
            found.append(file.read_text(encoding="utf-8").strip())
    return found


def describe(threads: int) -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": processor_name(Path("/proc")),
        "cores": os.cpu_count(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "tools": tool_versions(
            "torch", "transformers", "onnxruntime", "onnxruntime-genai", "executorch"
        ),
    }


def processor_name(proc: Path) -> str:
    """The processor's name, or the board's where Linux names no processor, as on Arm."""
    cpuinfo, board = proc / "cpuinfo", proc / "device-tree" / "model"
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    if board.is_file():
        name = board.read_text(encoding="utf-8").rstrip("\0")
        return f"{name} ({platform.machine()})"
    return platform.processor() or platform.machine()
