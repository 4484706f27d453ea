"""From a model that is loaded and a socket to a server that runs until it is told to end."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator

from srl_edge import processes
from srl_edge.devices.serving.server import application
from srl_edge.devices.serving.worker import Worker
from srl_edge.errors import InputError

try:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as error:
    raise InputError(
        f"serve needs starlette and uvicorn: pip install 'srl-edge[serve]' ({error})."
    ) from None

CONNECTIONS = 256
SILENT_SECONDS = 30.0  # for a connection's next request to come, and for some of a reply to be read


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End the process at once, whatever a client still waits for."""
        if threading.current_thread() is threading.main_thread():
            hangup = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
            for number in (signal.SIGINT, signal.SIGTERM, *hangup):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, lambda number, _: processes.end(number))
        yield


class _Protocol(H11Protocol):
    """Connections that ask nothing, or take nothing, are closed: they would keep others out.

    That is those from which no whole request has come since the last reply, whatever else they
    send, and those that do not read a reply. One that waits for a reply stays.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._look_later()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_later()

    def _look_later(self) -> None:
        if self._timer:
            self._timer.cancel()
        unsent = self.transport.get_write_buffer_size()
        self._timer = self.loop.call_later(SILENT_SECONDS, self._close_silent, unsent)

    def _close_silent(self, unsent: int) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        reads = self.transport.get_write_buffer_size() < unsent
        if reads or (answering and not self.flow.write_paused):
            self._look_later()
        else:
            self.transport.abort()  # what is unsent is not waited for


def listening(host: str, port: int) -> socket.socket:
    """A socket at an address; raises InputError where it cannot be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=CONNECTIONS)
    except (OSError, OverflowError, UnicodeError) as error:
        number = getattr(error, "errno", None) or 0
        said = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or error
        raise InputError(
            f"serve: {host}, port {port}: {said}; choose another with --host or --port."
        ) from None


def server_of(worker: Worker, host: str) -> uvicorn.Server:
    """What answers once it is run, until the process is told to end."""
    config = uvicorn.Config(
        application(worker, host),
        lifespan="off",
        http=_Protocol,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
    )
    return _Server(config)


def serve(worker: Worker, host: str, bound: socket.socket) -> None:
    """Answer at a socket; see `server_of`."""
    asyncio.run(server_of(worker, host).serve(sockets=[bound]))


def url_of(host: str, bound: socket.socket) -> str:
    """Where people and programs find the server from here."""
    shown = "localhost" if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{bound.getsockname()[1]}"
