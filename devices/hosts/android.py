"""What an Android device tells of itself by adb: what it is, its state, the energy of an answer."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from srl_edge import processes

Done = subprocess.CompletedProcess[bytes]

# Below 20 mA no phone computes: then the figure is not in microamperes, as Android has it.
_LEAST_MICROAMPERES = 20_000
_BATTERY = "/sys/class/power_supply/battery"

# Runs "$@" while a line a tenth of a second goes to stderr: uptime, peak KiB, microvolts,
# microamperes. A program that nobody waits for any more would go on and slow down the next.
WATCH = f"""
watch() {{
exec 3>&2
echo "@clock $(date +%s.%N) $(cat /proc/uptime)" >&3
current() {{
read volts < {_BATTERY}/voltage_now || volts=
read current < {_BATTERY}/current_now || current=$(cmd battery get -f current_now)
}}
{{ current; }} 2> /dev/null
[ "$current" ] || current() {{ :; }}
"$@" &
model=$!
trap 'kill -9 $model; exit 1' PIPE HUP TERM
{{ while :; do
peak=
while read key value _; do [ $key = VmHWM: ] && peak=$value; done < /proc/$model/status
[ "$peak" ] || break
current
read up _ < /proc/uptime
echo "@ $up $peak v=$volts c=$current" >&3 || kill -9 $model
sleep 0.1
done; }} 2> /dev/null
wait $model
}}
"""
_CLOCK = re.compile(r"^@clock (\d+\.\d+) (\d+\.\d+) ", re.MULTILINE)
_SAMPLE = re.compile(r"^@ ([\d.]+) (\d+) v=(\d*) c=(-?\d*)\s*$", re.MULTILINE)

_MACHINE = """
for name in product.manufacturer product.model soc.model build.version.release; do
getprop ro.$name | head -n 1
done
uname -m
nproc
"""
_STATE = """
cat /proc/loadavg; echo ==
cat /sys/class/thermal/thermal_zone*/temp; echo ==
cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor; echo ==
dumpsys battery; echo ==
dumpsys thermalservice
"""


def adb(serial: str, command: Sequence[str], sent: bytes = b"", timeout: float | None = 60) -> Done:
    """Run adb against a device and wait, `timeout` seconds at most; None is for ever."""
    chosen = ["-s", serial] if serial else []
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["adb", *chosen, *command], stdin=pipe, stdout=pipe, stderr=pipe
    ) as asked:
        try:
            printed, told = asked.communicate(sent, timeout)
        except subprocess.TimeoutExpired:
            return Done(command, 1, b"", b"error: no answer from the device")
        finally:
            if asked.poll() is None:  # `adb` may be a script that waits for the program
                processes.kill_with_children(asked.pid)
    return Done(command, asked.returncode, printed, told)


def shell(serial: str, command: str, sent: bytes = b"", timeout: float | None = 60) -> Done:
    """Run a command in the device's shell; its exit code and both outputs come back."""
    return adb(serial, ["shell", command], sent, timeout)


def said(written: bytes) -> str:
    """What went wrong, of all that adb or a program under `WATCH` wrote."""
    lines = written.decode(errors="replace").strip().splitlines()
    lines = [line.strip() for line in lines if line.strip() and line[0] not in "@*"]
    errors = [line for line in lines if "error: " in line]
    return (errors or lines or ["no message"])[-1].rpartition("error: ")[2].rstrip(".")


def describe(serial: str, threads: int, program: str) -> dict[str, Any]:
    """What figures are measured on; what a device does not tell is left out."""
    told = shell(serial, _MACHINE).stdout.decode(errors="replace").splitlines()
    maker, model, chip, release, machine, cores = [*map(str.strip, told), *[""] * 6][:6]
    return {
        "processor": f"{maker} {model}" + (f" ({chip})" if chip else ""),
        "cores": int(cores) if cores.isdigit() else None,
        "threads": threads,
        "system": f"Android {release} {machine}",
        "tools": {"llama_main": program},
    }


def state(serial: str) -> dict[str, Any]:
    """What may change while figures are taken; None where the device does not tell.

    load: processes that want a core. celsius: of the warmest sensor. battery: percent.
    battery_celsius and battery_volts. thermal_status: Android's, from 0 (none) to 6 (shutdown).
    powered: whether a charger is attached, or Android was told to pretend that none is.
    """
    told = shell(serial, _STATE).stdout.decode(errors="replace")
    load, zones, governor, battery, thermal = (told + "==\n" * 4).split("==\n")[:5]
    celsius = [int(found) / 1000 for found in re.findall(r"^-?\d+$", zones, re.MULTILINE)]
    credible = [found for found in celsius if 0 < found < 150]  # unused sensors say anything
    temperature, millivolts = _number(battery, "temperature"), _number(battery, "voltage")
    pretended = "UPDATES STOPPED" in battery
    sources = re.findall(r"powered: (\w+)", battery)
    return {
        "load": float(load.split()[0]) if load.strip() else None,
        "celsius": max(credible, default=None),
        "battery": _number(battery, "level"),
        "governor": governor.strip() or None,
        "battery_celsius": None if temperature is None else temperature / 10,
        "battery_volts": None if millivolts is None else millivolts / 1000,
        "thermal_status": _number(thermal, "Thermal Status"),
        "powered": ("true" in sources or pretended) if sources else None,
    }


def peak_mib(watched: str) -> float | None:
    """Peak resident memory in MiB, from what `WATCH` wrote; None where nothing was read."""
    return max((int(peak) / 2**10 for _, peak, _, _ in _SAMPLE.findall(watched)), default=None)


def joules(watched: str, start: float, end: float, now: Mapping[str, Any]) -> float | None:
    """Energy that left the battery between two moments, seconds since 1970; None where not told.

    watched: what `WATCH` wrote. now: the device's state; while it is charged, what leaves the
    battery is not what it uses. Current's sign differs between makers, so it is not looked at.
    """
    clock = _CLOCK.search(watched)
    if clock is None or now["powered"] is not False:
        return None
    began = float(clock[1]) - float(clock[2])
    points = []
    for uptime, _, microvolts, microamperes in _SAMPLE.findall(watched):
        volts = int(microvolts) / 1e6 if microvolts else now["battery_volts"]
        moment, amperes = began + float(uptime), abs(int(microamperes or 0))
        if volts is None or amperes < _LEAST_MICROAMPERES:
            return None
        if start <= moment <= end:
            points.append((moment, volts * amperes / 1e6))
    if len(points) < 2:
        return None  # too short to have been seen
    used = sum((t - s) * (p + q) / 2 for (s, p), (t, q) in pairwise(points))
    return used / (points[-1][0] - points[0][0]) * (end - start)


def _number(text: str, name: str) -> int | None:
    found = re.search(rf"^\s*{name}: (-?\d+)\s*$", text, re.MULTILINE)
    return int(found[1]) if found else None
