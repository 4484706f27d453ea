"""One session at a time on a device, kept for what is asked of the same model next."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from srl_edge.devices.hosts.session import RunnerLost, Session
from srl_edge.errors import InputError
from srl_edge.report.comparable import DEVICE

Machine = Mapping[str, Any]  # as a runner describes it


class Device(Protocol):
    """Where models run, such as the module `local`."""

    def open_session(self, name: str, kind: str, folder: Path, threads: int) -> Session:
        """Load a model there."""


def other(one: Machine, another: Machine) -> bool:
    """Whether two machines are not of one kind; a runtime's version does not count."""
    return any(one.get(key) != another.get(key) for key in DEVICE)


def _said(machine: Machine) -> str:
    known = ((key, machine[key]) for key in DEVICE if machine.get(key))
    return ", ".join(f"{value} cores" if key == "cores" else str(value) for key, value in known)


class OneMachine:
    """A device that is one machine, whatever its name leads to later: `machine`, once it is known.

    out: the results that are measured there, which an error names.
    """

    def __init__(self, device: Device, out: Path, machine: Machine | None = None) -> None:
        self._device, self._out, self.machine = device, out, machine

    def require(self, found: Machine) -> None:
        """Raise InputError where a machine is another one."""
        if self.machine and other(self.machine, found):
            raise InputError(
                f"{self._out}: was begun on another machine ({_said(self.machine)}), and this is "
                f"{_said(found)}; name another --out."
            )

    def open_session(self, name: str, kind: str, folder: Path, threads: int) -> Session:
        """As the device's; raises InputError, too, where it is another machine by now."""
        session = self._device.open_session(name, kind, folder, threads)
        try:
            self.require(session.machine)
        except InputError:
            session.close()
            raise
        self.machine = self.machine or session.machine
        return session


class Connection:
    """To a device, whose models are loaded with a number of threads. A context, which closes it.

    loaded: told the name of each model that was loaded.
    """

    def __init__(
        self, device: Device, threads: int, loaded: Callable[[str], None] = lambda name: None
    ) -> None:
        self._device, self._threads, self._loaded = device, threads, loaded
        self._session: Session | None = None
        self._of: tuple[str, str, Path] | None = None

    @contextmanager
    def session(self, name: str, kind: str, folder: Path) -> Iterator[Session]:
        """That model's session: the one that is open, or a new one where it is another's or lost.

        Raises RunnerLost, as what is done with it may.
        """
        if self._session is None or self._of != (name, kind, folder):
            self.close()
            self._session = self._device.open_session(name, kind, folder, self._threads)
            self._of = name, kind, folder
            self._loaded(name)
        try:
            yield self._session
        except RunnerLost:
            self.close()
            raise

    def close(self) -> None:
        """Let what is open go."""
        if self._session:
            self._session.close()
        self._session = None

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
