"""One session at a time on a device, kept for what is asked of the same model next."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from srl_edge.devices.hosts.session import RunnerLost, Session


class Device(Protocol):
    """Where models run, such as the module `local`."""

    def open_session(self, name: str, kind: str, folder: Path, threads: int) -> Session:
        """Load a model there."""


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
