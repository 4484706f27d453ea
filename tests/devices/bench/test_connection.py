"""One session at a time, and how often a model is loaded for it."""

from pathlib import Path

import pytest

from srl_edge.devices.bench.connection import Connection
from srl_edge.devices.hosts import local
from srl_edge.devices.hosts.session import RunnerLost, Session


class Counted:
    """This computer, and what was opened on it."""

    def __init__(self) -> None:
        self.opened: list[Session] = []

    def open_session(self, name: str, kind: str, folder: Path, threads: int) -> Session:
        self.opened.append(local.open_session(name, kind, folder, threads))
        return self.opened[-1]


def ended(session: Session) -> bool:
    return session._runner.poll() is not None


def test_a_model_is_loaded_once_until_another_is_asked(tiny_model: Path) -> None:
    device = Counted()
    with Connection(device, 1) as connection:
        for name in ("one", "one", "two"):
            with connection.session(name, "torch", tiny_model) as session:
                assert len(session.generate([[1, 2, 3]], 2)[0].ids) == 2
                assert [ended(each) for each in device.opened[:-1]] == [True] * (name == "two")
        assert [each.name for each in device.opened] == ["one", "two"]
    assert all(map(ended, device.opened))


def test_one_that_is_lost_is_loaded_anew(tiny_model: Path) -> None:
    device = Counted()
    with Connection(device, 1) as connection:
        with (
            pytest.raises(RunnerLost, match="one"),
            connection.session("one", "torch", tiny_model) as session,
        ):
            session._runner.kill()
            session._runner.wait()
            session.generate([[1, 2, 3]], 2)
        with connection.session("one", "torch", tiny_model) as session:
            assert len(session.generate([[1, 2, 3]], 2)[0].ids) == 2
    assert len(device.opened) == 2
