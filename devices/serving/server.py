"""An OpenAI-compatible server of one model, which answers one request after the other."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from srl_edge.devices.serving.guard import Guard
from srl_edge.devices.serving.model import Model, Reply, ending
from srl_edge.devices.serving.openai_api import Answer, Refused, models, read_chat, read_solve
from srl_edge.devices.serving.worker import Ask, Full, Gone, Job, Worker
from srl_edge.errors import InputError
from srl_edge.method.solving import Attempt
from srl_edge.terminal import progress
from srl_edge.terminal.signs import printable

try:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send
except ImportError as error:
    raise InputError(
        f"serve needs starlette and uvicorn: pip install 'srl-edge[serve]' ({error})."
    ) from None

Found = TypeVar("Found")
LARGEST = 2 << 20  # bytes of a request's body
BODY_SECONDS = 30.0  # for it to arrive
DROPPED, DROP_SECONDS = 64 << 20, 5.0  # of one that is refused: bytes, and for them to arrive
# The page is one file, and nothing of another place gets into it.
_SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src "
    "'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class App:
    """The routes of a server, over the thread that owns the model."""

    def __init__(self, worker: Worker) -> None:
        self._worker, self._started = worker, int(time.time())
        self._page = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")

    @property
    def _model(self) -> Model:
        return self._worker.model

    async def page(self, _: Request) -> Response:
        """For people."""
        return HTMLResponse(self._page, headers=_SAFE | {"Cache-Control": "no-store"})

    async def health(self, _: Request) -> Response:
        """Whether the model still answers, and what it is."""
        model, alive = self._model, self._worker.alive
        said = {
            "status": "ok" if alive else "gone",
            "model": model.name,
            "context_length": model.context_length,
            "load": self._worker.load,
            "trained_step_by_step": model.trained_step_by_step,
        }
        return JSONResponse(said, 200 if alive else 503)

    async def models(self, _: Request) -> Response:
        """OpenAI's list of models, which has one."""
        return JSONResponse({"object": "list", "data": models(self._model, self._started)})

    async def one_model(self, request: Request) -> Response:
        """OpenAI's word on one model."""
        (model,) = models(self._model, self._started)
        if request.path_params["name"] != model["id"]:
            raise Refused(404, f"that model is not here; {model['id']!r} is.", "model_not_found")
        return JSONResponse(model)

    async def chat(self, request: Request) -> Response:
        """OpenAI's chat completions."""
        asked = read_chat(await _body(request), self._model)
        turns, tools = asked.turns(), asked.offered()
        sampling = asked.sampling(self._model.context_length)
        answer = Answer(asked, self._model.name)
        job = self._submit(lambda model: model.stream(turns, sampling, tools))
        if asked.stream:
            return await _streamed(request, job, answer.chunks, answer.begun())
        found = await _unless_gone(request, _last(job), job)
        return Response() if found is None else JSONResponse(answer.whole(found))

    async def solve(self, request: Request) -> Response:
        """Our own: a problem solved as in training, each step and its pieces as they come."""
        asked = read_solve(await _body(request))
        sampling = asked.sampling(self._model.context_length)
        job = self._submit(lambda model: model.solution(asked.problem, asked.max_steps, sampling))
        return await _streamed(request, job, _Steps(self._model, asked.max_steps).events)

    def _submit(self, ask: Ask) -> Job:
        try:
            return self._worker.submit(ask)
        except Full:
            raise Refused(
                429, "so many requests wait already that no more may; try again soon.", "queue_full"
            ) from None
        except Gone:
            raise Refused(503, "the model has ended; start the server again.") from None


class _Steps:
    """The events of a solution: pieces and replies with the number of their step, then the end."""

    def __init__(self, model: Model, most: int) -> None:
        self._model, self._most, self._step = model, most, 1

    def events(self, each: str | Reply | Attempt) -> Iterator[dict[str, Any]]:
        """What is sent of each."""
        match each:
            case str():
                if each:
                    yield {"step": self._step, "text": each}
            case Reply():
                yield {
                    "step": self._step,
                    "reply": {
                        "text": each.text,
                        "thought": each.thought,
                        "answer": each.answer,
                        "finish_reason": each.finish_reason,
                        "prompt_tokens": each.prompt_tokens,
                        "completion_tokens": each.completion_tokens,
                        "seconds_to_first": round(each.seconds_to_first, 3),
                        "tokens_per_second": round(each.tokens_per_second, 1),
                    },
                }
                self._step += 1
            case Attempt():
                yield {"steps": each.steps, "ended": ending(self._model, each)}


async def _body(request: Request) -> bytes:
    """A request's JSON, of a bounded size, and within a bounded time."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "Content-Type: application/json is needed.")
    too_large = Refused(413, f"the body has more than {LARGEST} bytes.")
    if int(request.headers.get("content-length", "0")) > LARGEST:  # h11 lets through only digits
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > LARGEST:
                    raise too_large
    except TimeoutError:
        raise Refused(408, f"the body did not arrive within {BODY_SECONDS:.0f} s.") from None
    except ClientDisconnect:
        raise Refused(400, "the client left.") from None
    return bytes(body)


async def _last(job: Job) -> Reply:
    """The whole reply."""
    reply = None
    async for each in job.events():
        reply = each
    assert isinstance(reply, Reply)
    _noted(reply)
    return reply


async def _unless_gone(request: Request, wanted: Awaitable[Found], job: Job) -> Found | None:
    """What is waited for; None where the client leaves before, with its job."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    found, left = asyncio.ensure_future(wanted), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({found, left}, return_when=asyncio.FIRST_COMPLETED)
        return await found if found.done() else None
    except Exception as error:
        raise _refusal(error) from None
    finally:
        left.cancel()
        if not found.done():
            found.cancel()
            job.leave()


async def _streamed(
    request: Request,
    job: Job,
    shown: Callable[[Any], Iterator[dict[str, Any]]],
    begun: dict[str, Any] | None = None,
) -> Response:
    """Events as they come, once there is a first one: what fails before has a status of its own."""
    events = job.events()
    first = await _unless_gone(request, anext(events), job)  # type: ignore[arg-type]
    if first is None:
        return Response()

    async def lines() -> AsyncIterator[str]:
        try:
            if begun:
                yield _event(begun)
            for said in shown(first):
                yield _event(said)
            async for each in events:
                for said in shown(each):
                    yield _event(said)
                if isinstance(each, Reply):
                    _noted(each)
            yield "data: [DONE]\n\n"
        except Exception as error:
            yield _event(_refusal(error).as_dict())
        finally:
            job.leave()

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines(), media_type="text/event-stream", headers=headers)


def _event(said: dict[str, Any]) -> str:
    return f"data: {json.dumps(said)}\n\n"


def _noted(reply: Reply) -> None:
    progress.say(
        f"serve: {reply.prompt_tokens} tokens read, {reply.completion_tokens} written, first after "
        f"{reply.seconds_to_first:.2f} s, {reply.tokens_per_second:.1f} tokens/s."
    )


def _refusal(error: Exception) -> Refused:
    """An error as it is told to a client; one of ours is said here, in full."""
    match error:
        case Refused():
            return error
        case HTTPException():
            said = {404: "there is nothing at this address.", 405: "another method is needed."}
            return Refused(error.status_code, said.get(error.status_code, error.detail))
        case InputError():
            return Refused(400, str(error))
    print(printable(f"serve: {type(error).__name__}: {error}"), file=sys.stderr, flush=True)
    return Refused(500, f"the model failed ({type(error).__name__}).")


class _Unread(JSONResponse):
    """A reply to a request whose body was not read, after which the connection is closed.

    At once, the system would tell a client that still sends of the connection alone, and not of
    the reply: so what comes is dropped first, up to a bound.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [*self.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_dropped(receive), DROP_SECONDS)
        await send({"type": "http.response.body"})


async def _dropped(receive: Receive) -> None:
    """Read a body to its end, or its bound."""
    dropped, more = 0, True
    while more and dropped < DROPPED:
        message = await receive()
        dropped += len(message.get("body", b""))
        more = message.get("more_body", False)


async def _refused(_: Request, error: Exception) -> Response:
    refused = _refusal(error)
    headers = dict(getattr(error, "headers", None) or {})
    headers |= {"Retry-After": "1"} if refused.status == 429 else {}
    kind = _Unread if refused.status in (403, 404, 405, 408, 413, 415) else JSONResponse
    return kind(refused.as_dict(), refused.status, headers)


def _guarded(app: ASGIApp, guard: Guard) -> ASGIApp:
    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope.get("headers", ())
        }
        if why := guard.refusal(headers):
            refused = Refused(403, why)
            await _Unread(refused.as_dict(), refused.status)(scope, receive, send)
            return
        await app(scope, receive, send)

    return guarded


def application(worker: Worker, host: str) -> ASGIApp:
    """The server's routes, for clients that reach it as `host`."""
    app = App(worker)
    routes = [
        Route("/", app.page),
        Route("/health", app.health),
        Route("/v1/models", app.models),
        Route("/v1/models/{name:path}", app.one_model),
        Route("/v1/chat/completions", app.chat, methods=["POST"]),
        Route("/solve", app.solve, methods=["POST"]),
    ]
    kinds: Any = {kind: _refused for kind in (Refused, HTTPException, InputError, Exception)}
    return _guarded(Starlette(routes=routes, exception_handlers=kinds), Guard(host))
