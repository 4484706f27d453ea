"""What OpenAI's chat completions ask for and answer, as far as one small model can."""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from srl_edge.devices.serving import tool_calls
from srl_edge.devices.serving.model import Model, Reply, Sampling

# Fields that would change a reply and cannot be heeded, with what they may say all the same.
# All others that are not known are left alone, as `user` or `metadata`.
_ONLY: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
}


_KINDS = ("str", "list[_Part]", "list[str]")  # what pydantic adds to a field that may be either
Shape = TypeVar("Shape", bound=BaseModel)
Item = TypeVar("Item")


class _First(FailFast):
    __hash__ = object.__hash__  # as `|` of types needs it


# One that is wrong is enough: of a million, pydantic would make as many errors first.
Many = Annotated[list[Item], _First()]


class Refused(Exception):
    """A request that is not answered, with its status and why, in a sentence."""

    def __init__(
        self, status: int, message: str, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param

    def as_dict(self) -> dict[str, Any]:
        """OpenAI's shape of an error."""
        return {
            "error": {
                "message": self.message,
                "type": _type(self.status),
                "param": self.param,
                "code": self.code,
            }
        }


def _type(status: int) -> str:
    match status:
        case 429:
            return "rate_limit_error"
        case 403:
            return "permission_error"
        case 500 | 503:
            return "server_error"
    return "invalid_request_error"


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True)


class _Part(_Shape):
    type: Literal["text"]
    text: str


class _Call(_Shape):
    class Function(_Shape):
        name: str
        arguments: str = "{}"

    id: str = ""
    type: Literal["function"] = "function"
    function: Function


class _Message(_Shape):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Many[_Part] | None = None
    tool_calls: Many[_Call] | None = None
    tool_call_id: str | None = None
    name: str | None = None

    def turn(self, at: int) -> dict[str, Any]:
        """As chat templates read it."""
        parts = self.content if isinstance(self.content, list) else []
        text = "".join(part.text for part in parts) or (
            self.content if isinstance(self.content, str) else ""
        )
        if not text and self.role == "user" and self.content is None:
            raise Refused(400, f"messages.{at}.content: a user's turn has one.", param="messages")
        said: dict[str, Any] = {
            "role": "system" if self.role == "developer" else self.role,
            "content": text,
        }
        if self.tool_calls:
            said["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": _arguments(call, at)},
                }
                for call in self.tool_calls
            ]
        told = {"tool_call_id": self.tool_call_id, "name": self.name}
        return said | {key: value for key, value in told.items() if value is not None}


def _arguments(call: _Call, at: int) -> dict[str, Any]:
    try:
        found = json.loads(call.function.arguments or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(
            400,
            f"messages.{at}.tool_calls: arguments are a JSON object, as a text.",
            param="messages",
        )
    return found


class _Tool(_Shape):
    class Function(_Shape):
        name: str = Field(pattern=r"^[\w.-]{1,128}$")
        description: str | None = None
        parameters: dict[str, Any] | None = None

    type: Literal["function"]
    function: Function


class _StreamOptions(_Shape):
    include_usage: bool | None = None


class Ways(_Shape):
    """How a reply is to be written."""

    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = None
    stop: str | Many[str] | None = None

    def sampling(self, most: int) -> Sampling:
        """What is not said is greedy, and as long as the context."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if len(stop) > 16 or not all(stop):
            raise Refused(400, "stop: up to 16 texts, none of them empty.", param="stop")
        return Sampling(
            self.max_completion_tokens or self.max_tokens or most,
            self.temperature or 0.0,
            1.0 if self.top_p is None else self.top_p,
            self.seed,
            tuple(stop),
        )


class ChatRequest(Ways):
    """The body of a request for a chat completion."""

    model_config = ConfigDict(strict=True, extra="allow")

    model: str | None = None  # one is served
    messages: Many[_Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: Many[_Tool] | None = None
    tool_choice: Any = None

    def turns(self) -> list[dict[str, Any]]:
        """The chat as templates read it."""
        return [message.turn(at) for at, message in enumerate(self.messages)]

    def offered(self) -> list[dict[str, Any]]:
        """The tools that the model may call, as it is told of them."""
        if self.tool_choice not in (None, "none", "auto"):
            raise Refused(
                400, "tool_choice: only auto and none can be asked for here.", param="tool_choice"
            )
        chosen = [] if self.tool_choice == "none" else self.tools or []
        return [tool.model_dump(exclude_none=True) for tool in chosen]

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with how many tokens were used."""
        return bool(self.stream_options and self.stream_options.include_usage)


class SolveRequest(Ways):
    """The body of a request for a solution, step by step."""

    problem: str = Field(min_length=1)
    max_steps: int = Field(8, ge=1, le=64)


def read_chat(body: bytes, model: Model) -> ChatRequest:
    """A request as it came; raises Refused with what is wrong with it."""
    asked = _read(ChatRequest, body)
    for name, value in (asked.model_extra or {}).items():
        if name in _ONLY and value is not None and value not in _ONLY[name]:
            raise Refused(
                400, f"{name}: not supported here; leave it out.", "unsupported_parameter", name
            )
    if asked.model not in (None, model.name):
        raise Refused(
            404,
            f"the model {asked.model[:200]!r} is not here; {model.name!r} is.",
            "model_not_found",
            "model",
        )
    return asked


def read_solve(body: bytes) -> SolveRequest:
    """As `read_chat`, of a problem to solve."""
    return _read(SolveRequest, body)


def _read(shape: type[Shape], body: bytes) -> Shape:
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        # Of what each kind of a field says, what went furthest.
        first = max((e for e in found if e["loc"][:1] == found[0]["loc"][:1]), key=_depth)
        where = ".".join(str(part) for part in first["loc"] if part not in _KINDS)
        message = f"{where or 'the body'}: {first['msg'][:1].lower()}{first['msg'][1:]}."
        code = "missing" if first["type"] == "missing" else None
        raise Refused(400, message, code, where.partition(".")[0] or None) from None


def _depth(error: Any) -> int:
    return len(error["loc"])


def _usage(reply: Reply) -> dict[str, int]:
    total = reply.prompt_tokens + reply.completion_tokens
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": total,
    }


class Answer:
    """One completion on its way to the client, whole or in chunks."""

    def __init__(self, asked: ChatRequest, model: str) -> None:
        self._tools, self._usage = asked.offered(), asked.with_usage
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
        }

    def whole(self, reply: Reply) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        text, calls = self._message(reply)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        message |= {"tool_calls": calls} if calls else {}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": "tool_calls" if calls else reply.finish_reason,
        }
        return self._head | {
            "object": "chat.completion",
            "choices": [choice],
            "usage": _usage(reply),
        }

    def begun(self) -> dict[str, Any]:
        """The first chunk."""
        return self._chunk({"role": "assistant", "content": ""})

    def chunks(self, each: str | Reply) -> Iterator[dict[str, Any]]:
        """Chunks of a piece, or of the end. Where tools are offered, the text comes at the end,
        since only a whole reply tells whether it is a call."""
        if isinstance(each, str):
            if each and not self._tools:
                yield self._chunk({"content": each})
            return
        reason: str = each.finish_reason
        if self._tools:
            text, calls = self._message(each)
            if text:
                yield self._chunk({"content": text})
            if calls:
                reason = "tool_calls"
                yield self._chunk(
                    {"tool_calls": [{"index": at} | call for at, call in enumerate(calls)]}
                )
        yield self._chunk({}, reason)
        if self._usage:
            yield self._chunk(None) | {"usage": _usage(each)}

    def _message(self, reply: Reply) -> tuple[str | None, list[dict[str, Any]]]:
        if not self._tools:
            return reply.text, []
        text, found = tool_calls.divided(reply.answer, self._tools)
        if not found:
            return reply.text, []
        calls = [
            # Nine letters and figures, since Mistral's templates refuse all others.
            {"id": uuid.uuid4().hex[:9], "type": "function", "function": call}
            for call in found
        ]
        thought = f"<think>{reply.thought}</think>\n" if reply.thought else ""
        return f"{thought}{text}" or None, calls

    def _chunk(self, delta: dict[str, Any] | None, reason: str | None = None) -> dict[str, Any]:
        choices = (
            []
            if delta is None
            else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]
        )
        usage = {"usage": None} if self._usage else {}
        return self._head | {"object": "chat.completion.chunk", "choices": choices} | usage


def models(model: Model, created: int) -> list[dict[str, Any]]:
    """The list of the one model."""
    return [
        {
            "id": model.name,
            "object": "model",
            "created": created,
            "owned_by": "srl-edge",
            "context_length": model.context_length,
        }
    ]
