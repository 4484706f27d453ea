"""Meters of energy against counters and reports with known figures."""

import sys
import time
from pathlib import Path

import pytest

from srl_edge.devices.hosts import energy


def zone(folder: Path, name: str, kind: str, microjoules: int, largest: int = 1_000_000) -> Path:
    path = folder / name
    path.mkdir(exist_ok=True, parents=True)
    (path / "name").write_text(f"{kind}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    (path / "max_energy_range_uj").write_text(f"{largest}\n")
    return path


def test_packages_are_summed_and_counters_wrap(tmp_path: Path) -> None:
    first = zone(tmp_path, "intel-rapl:0", "package-0", 900_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 5)
    zone(tmp_path, "intel-rapl:1", "package-1", 100)
    zone(tmp_path, "intel-rapl:2", "psys", 100)
    meter = energy.rapl(tmp_path)
    assert meter() == 0
    (first / "energy_uj").write_text("100000\n")
    for name, now in (("1", 300_100), ("0:0", 999), ("2", 999)):
        (tmp_path / f"intel-rapl:{name}" / "energy_uj").write_text(f"{now}\n")
    assert meter() == pytest.approx(0.2 + 0.3)
    assert meter() == pytest.approx(0.5)


def test_what_is_not_told_is_none_and_never_zero(tmp_path: Path) -> None:
    assert energy.rapl(tmp_path)() is None
    (zone(tmp_path, "intel-rapl:0", "package-0", 5) / "energy_uj").unlink()
    assert energy.rapl(tmp_path)() is None
    assert energy.powermetrics(["no-such-program"])() is None
    assert energy.powermetrics([sys.executable, "-c", "raise SystemExit('password')"])() is None


# As powermetrics of macOS 14 prints it.
REPORT = """
*** Sampled system activity (Tue Nov 24 10:00:00 2026 +0100) (200.50ms elapsed) ***

**** Processor usage ****

CPU Power: 4000 mW
GPU Power: 900 mW
ANE Power: 100 mW
Combined Power (CPU + GPU + ANE): 5000 mW
"""


def test_powermetrics_reports_add_up() -> None:
    program = f"import time; print({REPORT!r} * 3, flush=True); time.sleep(30)"
    meter = energy.powermetrics([sys.executable, "-c", program])
    for _ in range(50):
        if meter() == pytest.approx(3 * 5.0 * 0.2005):
            return
        time.sleep(0.1)
    raise AssertionError(meter())
