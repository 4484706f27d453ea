"""The rows of a file, by its format: JSON Lines, JSON, CSV, Parquet. A new format is added here."""

import csv
import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from srl_edge.data.shapes import fields
from srl_edge.data.values import NOTHING, Unusable, as_written, narrow_floats, written_list
from srl_edge.errors import InputError
from srl_edge.files import naming, parsed

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
ENDINGS = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
# Told of a row that cannot be read: why, and where it is.
Bad = Callable[[str, str], None]

# What a JSON reader says of values that it gives up on, and what is counted then.
_TOO_MUCH = {
    "nested too deeply": "nested too deeply",
    "integer string conversion": "a number of thousands of digits",
}
_LONGEST_CELL = (1 << 31) - 1
_NUMBER = re.compile(r"-?\d+(?:\.\d*)?")
_WHOLE = re.compile(r"-?\d{1,15}\.0+")
_COLUMN = re.compile(r"[^\n?=#]{1,60}")
_GOES_ON = (b"{", b"[", b",", b":")  # how a line ends whose object is closed on a later one
_NEXT = re.compile(r"[^\s,]")  # such object begins


def rows_of(file: Path, bad: Bad | None = None, part: str = "") -> Iterator[dict[str, Any]]:
    """The rows of a file, by its suffix; what has another one is read as JSON.

    bad: is told of each row that is JSON, and more of it than can be read. part: one of `parts_of`.
    Raises InputError, in one sentence, where the file is not there or is not what its suffix says.
    """
    if not file.is_file():
        raise InputError(f"{file.absolute()}: no such file; give the path of a file of rows.")
    match suffix := file.suffix.lower():
        case ".parquet":
            return _parquet_rows(file)
        case ".csv" | ".tsv":
            return _csv_rows(file)
    with naming(file), file.open("rb") as data:
        first = data.read(4096).removeprefix(BOM_UTF8).lstrip()[:1]
    if suffix not in SUFFIXES and first not in (b"", b"[", b"{"):
        raise InputError(f"{file}: no format that is read; a file of rows ends in {ENDINGS}.")
    return iter(_array(file)) if first == b"[" else _objects(file, bad, part)


def parts_of(file: Path) -> tuple[str, ...]:
    """The names of the lists of rows in a file that is one object, where it has several."""
    if file.suffix.lower() in (".parquet", ".csv", ".tsv"):
        return ()
    try:
        head = list(islice(_json_lines(file, None), 2))
    except InputError:  # an array, or what is said where its rows are read
        return ()
    lists = {} if len(head) != 1 or _is_row(head[0]) else _lists(head[0])
    return tuple(lists) if len(lists) > 1 else ()


def _array(file: Path) -> list[dict[str, Any]]:
    try:
        with naming(file):
            rows = parsed(file.read_bytes(), "Json")
    except ValueError as error:
        raise InputError(f"{file}: {error}.") from None
    if not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{file}: an array of objects is needed, one a problem.")
    return list(rows)


def _objects(file: Path, bad: Bad | None, part: str) -> Iterator[dict[str, Any]]:
    """The objects of a file, or those in its only one, where that is no row: a list, or by id."""
    rows = _json_lines(file, bad)
    head = list(islice(rows, 2))
    if len(head) == 1 and not _is_row(head[0]):
        _require_no_table(file, head[0])
        lists = _lists(head[0])
        if part or len(lists) == 1:
            head = lists[part] if part else next(iter(lists.values()))
        elif head[0] and all(isinstance(held, dict) and _is_row(held) for held in head[0].values()):
            head = [{"id": name, **row} for name, row in head[0].items()]
    yield from chain(head, rows)


def _lists(whole: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {name: held for name, held in whole.items() if _is_list_of_objects(held)}


def _is_row(row: dict[str, Any]) -> bool:
    try:
        return isinstance(fields(row).problem, str)
    except Unusable:
        return True


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _require_no_table(file: Path, whole: dict[str, Any]) -> None:
    """Raise InputError for what pandas makes of a table in other orders than by rows."""
    columns = [list(value) if isinstance(value, dict) else [] for value in whole.values()]
    numbered = bool(columns) and all(
        column and column == columns[0] and "".join(column).isdecimal() for column in columns
    )
    tables = [table for table in whole.values() if isinstance(table, dict)]
    listed = _is_by_columns(whole) or any(map(_is_by_columns, tables))
    if numbered or listed or whole.keys() == {"columns", "index", "data"}:
        raise InputError(
            f"{file}: one object for a whole table; write an object for each row, as pandas does "
            'with to_json(path, orient="records").'
        )


def _is_by_columns(whole: dict[str, Any]) -> bool:
    """Whether an object holds the columns of a table, each as a list of its values."""
    lengths = {len(held) if isinstance(held, list) else 0 for held in whole.values()}
    return len(whole) > 1 and len(lengths) == 1 and 0 not in lengths and not _lists(whole)


def _json_lines(file: Path, bad: Bad | None) -> Iterator[dict[str, Any]]:
    with naming(file), file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = parsed(line, "Json")
            except ValueError as error:
                why = next((words for said, words in _TOO_MUCH.items() if said in str(error)), "")
                if why:
                    if bad:
                        bad(why, f"line {number}")
                    continue
                if line.rstrip().endswith(_GOES_ON):
                    yield from _spread(file, number, line + lines.read())
                    return
                raise InputError(
                    f"{file}, line {number}: {error}; each line must be one JSON object in UTF-8."
                ) from None
            if not isinstance(row, dict):
                raise InputError(f"{file}, line {number}: a JSON object is needed, with `problem`.")
            yield row


def _spread(file: Path, first: int, data: bytes) -> Iterator[dict[str, Any]]:
    """Objects that take several lines each, one after another, from one of a file's lines on."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file}: not UTF-8; save the file in that encoding.") from None
    decoder, at, why = json.JSONDecoder(), 0, ""
    while match := _NEXT.search(text, at):
        at = match.start()
        try:
            row, end = decoder.raw_decode(text, at)
            why = "" if isinstance(row, dict) else "no object"
        except json.JSONDecodeError as error:
            at, why = error.pos, f"not JSON ({error.msg})"
        except RecursionError:
            why = "nested too deeply"
        except ValueError:
            why = "a number of thousands of digits"
        if why:
            line = first + text.count("\n", 0, at)
            raise InputError(
                f"{file}, line {line}: {why}; this file's objects "
                "take several lines each: write them whole, one after another, or as one array."
            )
        yield row
        at = end


def _csv_rows(file: Path) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(_LONGEST_CELL)  # a worked solution may be long
    try:
        with naming(file), file.open(encoding="utf-8-sig", newline="") as text:
            first = text.readline()
            text.seek(0)
            separator = max("\t" if file.suffix.lower() == ".tsv" else ",;\t", key=first.count)
            reader = csv.reader(text, delimiter=separator, strict=True)
            header = [cell.strip() for cell in next(reader, [])]
            _require_header(file, header)
            for cells in reader:
                if len(cells) > len(header):
                    raise InputError(
                        f"{file}, line {reader.line_num}: {len(cells)} cells, and the first line "
                        f"names {len(header)} columns; put texts with {separator!r} in quotes."
                    )
                if any(cells):
                    named = zip(header, cells, strict=False)
                    yield {column: _cell(text) for column, text in named if column}
    except UnicodeDecodeError:
        raise InputError(f"{file}: not UTF-8; save the file in that encoding.") from None
    except csv.Error as error:
        raise InputError(
            f"{file}, line {reader.line_num}: not CSV ({error}); put a cell that has a quote in "
            "quotes and write each of its own twice, or save the file as JSON Lines."
        ) from None


def _require_header(file: Path, header: list[str]) -> None:
    # A table's own numbering of its rows has no name.
    for cell in header[1:] if header[:1] == [""] else header:
        if not _COLUMN.fullmatch(cell.strip()) or _NUMBER.fullmatch(cell.strip()):
            shown = cell if len(cell) < 40 else f"{cell[:40]}…"
            raise InputError(
                f"{file}: its first line is no header, since {shown!r} names no column; begin the "
                "file with a line such as problem,solution,answer."
            )
        if header.count(cell) > 1:
            raise InputError(f"{file}: two columns are named {cell!r}; rename one of them.")


def _cell(text: str) -> str | int | list[Any] | None:
    """A cell's text, None for none; tables write whole numbers as 12.0 where another has none."""
    if text in NOTHING:
        return None
    if (found := written_list(text)) is not None:
        return found
    return int(text.partition(".")[0]) if _WHOLE.fullmatch(text) else text


def _parquet_rows(file: Path) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            f"{file}: reading Parquet needs pyarrow, which comes with datasets: pip install "
            "datasets; or save it as JSON Lines or CSV."
        ) from None
    try:
        with parquet.ParquetFile(file) as table:
            columns = {column.name: str(column.type) for column in table.schema_arrow}
            narrow = narrow_floats(columns)
            for batch in table.iter_batches(batch_size=256):
                yield from (as_written(row, narrow) for row in batch.to_pylist())
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{file}: not Parquet, or cut off ({reason}).") from None
