"""Pages of runs for a browser on this computer: nothing is written, and nobody else is answered."""

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from srl_edge.errors import InputError
from srl_edge.files import read_text
from srl_edge.watch import page, rollouts_page
from srl_edge.watch.rollouts import PICKS, SORTS, Query
from srl_edge.watch.run import Run
from srl_edge.watch.templates import FOLDER

if TYPE_CHECKING:
    from starlette.applications import Starlette

HOST = "127.0.0.1"
_ALLOWED = [HOST, "localhost"]  # of the Host header, whatever the port: others are a foreign page's
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_LONGEST = 200  # characters that are searched for


def require() -> None:
    """Raise InputError where the libraries that serve pages are not installed."""
    if not all(map(find_spec, ("starlette", "uvicorn"))):
        raise InputError("watch needs Starlette and uvicorn: pip install 'srl-edge[serve]'.")


def bound(port: int) -> socket.socket:
    """A socket on loopback; port 0 is any free one. Raises InputError where the port is taken."""
    found = socket.socket()
    try:
        if os.name == "posix":  # elsewhere it would let two programs have one port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((HOST, port))
        found.listen()  # a browser that comes before the server waits
    except (OSError, OverflowError) as error:
        found.close()
        raise InputError(
            f"--port {port}: {getattr(error, 'strerror', None) or error}; give another one, or 0 "
            "for any that is free."
        ) from None
    return found


def serve(runs: Sequence[Run], listening: socket.socket) -> None:
    """Answer browsers until Ctrl-C."""
    import uvicorn

    config = uvicorn.Config(
        application(runs),
        log_config=None,
        log_level="critical",
        access_log=False,
        ws="none",
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=0,
    )
    uvicorn.Server(config).run(sockets=[listening])


def application(runs: Sequence[Run]) -> "Starlette":
    """The web application of one run, or of two beside each other."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    def html(text: str) -> Response:
        # What is no text at all, such as half of a character, becomes a question mark.
        return Response(text.encode("utf-8", "replace"), media_type="text/html; charset=utf-8")

    def file(name: str, kind: str) -> Callable[[Request], Response]:
        text = page.style() if name == "style.css" else read_text(FOLDER / name)
        return lambda _: Response(text, media_type=kind)

    drawn: dict[tuple[int, ...], list[tuple[str, Markup]]] = {}

    def now(seen: str | None) -> Markup | None:
        """What changes with time; None where it is as it was at the moment that was seen."""
        with ExitStack() as locks:
            for run in runs:
                locks.enter_context(run.lock)
            states = [run.follow() for run in runs]
            if seen == page.moment(runs, states):
                return None
            editions = tuple(run.edition for run in runs)
            parts = drawn.get(editions) or page.parts(runs, states)
            drawn.clear()
            drawn[editions] = parts
            return page.live(runs, states, parts)

    def start(_: Request) -> Response:
        return html(page.shell(runs, "/", now(None) or Markup()))

    def live(request: Request) -> Response:
        found = now(request.query_params.get("edition"))
        return Response(status_code=204) if found is None else html(found)

    def rollouts(request: Request) -> Response:
        given = request.query_params
        try:
            at = _number(given.get("run")) or 0
            run = runs[at]
            asked, number = _query(given), _number(given.get("page")) or 1
        except (ValueError, IndexError):
            return PlainTextResponse("No such page of rollouts.", 400)
        with run.lock:
            run.rollouts.follow_to_end()
            body = rollouts_page.page(run, at, asked, max(number, 1))
        return html(page.shell(runs, f"/rollouts?run={at}", body))

    def count(request: Request) -> Response:
        try:
            run = runs[_number(request.query_params.get("run")) or 0]
        except (ValueError, IndexError):
            return PlainTextResponse("No such run.", 400)
        with run.lock:
            run.rollouts.follow_to_end()
            return PlainTextResponse(str(len(run.rollouts.entries)))

    routes = [
        Route("/", start),
        Route("/live", live),
        Route("/rollouts", rollouts),
        Route("/count", count),
        Route("/style.css", file("style.css", "text/css")),
        Route("/watch.js", file("watch.js", "text/javascript")),
        Route("/icon.svg", file("icon.svg", "image/svg+xml")),
    ]
    guards = [
        Middleware(_Guarded),
        Middleware(TrustedHostMiddleware, allowed_hosts=_ALLOWED, www_redirect=False),
    ]
    return Starlette(routes=routes, middleware=guards)


class _Guarded:
    """Gives every answer, those of mistakes too, the headers that keep a page to itself."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                added = [(key.encode(), value.encode()) for key, value in _HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, receive, with_headers)


def _query(given: Any) -> Query:
    """What a page's address asks for; raises ValueError for what is none."""
    return Query(
        (given.get("q") or "").strip()[:_LONGEST],
        _number(given.get("stage")),
        _number(given.get("step")),
        given.get("fault") or "",
        PICKS[PICKS.index(given.get("pick") or "all")],
        SORTS[SORTS.index(given.get("sort") or "newest")],
    )


def _number(text: str | None) -> int | None:
    """A whole number from 0; None where nothing is given. Raises ValueError for anything else."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValueError(text)
    return int(text)
