"""The modules of the package as they are in the checkout, and what each imports."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "srl_edge": "srl_edge",
    "trainers": "srl_edge.trainers",
    "exporters": "srl_edge.exporters",
    "devices": "srl_edge.devices",
}


@cache
def modules() -> dict[str, Path]:
    """Every module's file by its name; the links inside srl_edge are not followed."""
    found = {}
    for folder, package in FOLDERS.items():
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([package, *(p for p in parts if p != "__init__")])] = file
    return found


def imported(file: Path) -> set[str]:
    """All names of modules that a file imports anywhere in it, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            of_names = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (of_names & modules().keys()) or {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


@cache
def arrows() -> dict[str, frozenset[str]]:
    """By module, those of the package that it imports."""
    return {
        name: frozenset(imported(file) & modules().keys() - {name})
        for name, file in modules().items()
    }


def room(module: str) -> str:
    """The folder that a module is in, as a package."""
    return module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]


def circles(graph: dict[str, frozenset[str]]) -> list[list[str]]:
    """Groups of nodes that can reach each other."""
    reach: dict[str, set[str]] = {}
    for start in graph:
        seen, left = set[str](), list(graph[start])
        while left:
            node = left.pop()
            if node not in seen:
                seen.add(node)
                left += graph.get(node, ())
        reach[start] = seen
    groups = {
        tuple(sorted({other for other in reach[node] if node in reach.get(other, ())}))
        for node in graph
        if node in reach[node]
    }
    return [list(group) for group in sorted(groups)]
