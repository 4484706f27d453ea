"""Where chat templates run: Jinja's sandbox, with what transformers offers and limits."""

import json
import re
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

# Filters that compute for as long as their argument says, or search long texts in C; templates of
# chats need none of them.
_SLOW = (
    "round",
    "format",
    "center",
    "wordwrap",
    "urlize",
    "striptags",
    "pprint",
    "xmlattr",
    "filesizeformat",
    "random",
)


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's, without what can take for ever in one step, where no limit of time holds."""

    intercepted_binops = frozenset(["**", "*", "%"])

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        self.filters["tojson"] = to_json
        self.globals |= {"raise_exception": _refuse}
        for name in _SLOW:
            del self.filters[name]

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        numbers = all(isinstance(side, int) and abs(side) < 1 << 63 for side in (left, right))
        if operator == "**" or not (numbers or isinstance(left, float | str)):
            raise TemplateError(f"{operator} is not allowed there")
        if operator == "%" and isinstance(left, str) and re.search(r"\d{4}|\*", left):
            raise TemplateError("so wide a field is not allowed")
        return super().call_binop(context, operator, left, right)


class _Generation(Extension):
    """`{% generation %}` marks what the model wrote; here its body is rendered as it is."""

    tags = {"generation"}  # noqa: RUF012 - jinja declares it so

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def to_json(value: Any, ensure_ascii: bool = False, *options: Any, **named: Any) -> str:
    # Jinja's own escapes what HTML gives a meaning.
    named |= dict(zip(("indent", "separators", "sort_keys"), options, strict=False))
    return json.dumps(value, ensure_ascii=ensure_ascii, **named)


def _refuse(message: str) -> str:
    raise TemplateError(message)
