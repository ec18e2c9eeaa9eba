"""A cohort as people write it down: a CSV file, DataFrame or dictionaries become records that know row and line.

Needs nothing but the standard library, so that the command line can read a file without loading pandas.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any

from .errors import Unreadable

# Our columns and how headers spell them, compared without case, spaces and punctuation.
SPELLINGS: dict[str, frozenset[str]] = {
    "email": frozenset({"email", "telecomemail", "emailaddress", "mail"}),
    "last_name": frozenset({"lastname", "namefamily", "familyname", "family", "surname"}),
    "first_name": frozenset({"firstname", "namegiven", "givenname", "given", "forename"}),
    "dob": frozenset({"dob", "birthdate", "dateofbirth", "birthday"}),
    "phone": frozenset({"phone", "telecomphone", "phonenumber", "telephone", "cell", "mobile"}),
    "identifier": frozenset({"identifier", "mrn", "externalid", "externalidentifier", "medicalrecordnumber"}),
    "study_id": frozenset({"studyid", "study"}),
}
REQUIRED = ("email", "last_name", "first_name", "dob")
# What a spreadsheet takes for a formula is written with an apostrophe before it; that is no part of the cell.
_MARKED = re.compile(r"'[=+\-@\t]")
_BREAK = re.compile(r"[ \t]*[\r\n]+[ \t]*")
DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Record:
    """One patient as written: `row` counts data rows from 1, `line` is where it starts in the file (None: no file)."""

    row: int
    line: int | None
    values: Mapping[str, str]
    problem: str | None = None


@dataclass(frozen=True)
class Roster:
    """Records with the header they came under: `columns` maps our names to the file's, `ignored` lists the rest."""

    source: str
    columns: Mapping[str, str]
    records: Sequence[Record]
    ignored: Sequence[str] = field(default=())

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)


def read_roster(source: Any) -> Roster:
    """A roster from whatever was given: a path or open file, a DataFrame, or dictionaries; raises Unreadable."""
    if hasattr(source, "columns") and hasattr(source, "to_dict"):
        return read_rows(source.to_dict("records"), "the frame", list(source.columns))
    if isinstance(source, str | Path) or hasattr(source, "read"):
        return read_csv(source)
    rows = list(source)
    return read_rows(rows, "the rows", list(dict.fromkeys(name for row in rows for name in row)))


def read_csv(source: str | Path | IO[str] | IO[bytes]) -> Roster:
    """A CSV file as a roster: UTF-8 with or without byte-order mark; comma, semicolon, tab or bar.

    A line with the wrong number of fields, or a quote that is never closed, becomes a record with a `problem` and
    costs only itself. Raises Unreadable, naming the byte or the column, where the file as a whole cannot be read.

    >>> roster = read_csv(io.StringIO("E-mail;family_name;Given;dob\\njo@example.com;Smith;Jo;1980-01-01\\n"))
    >>> [(one.row, one.line, one.values["last_name"]) for one in roster]
    [(1, 2, 'Smith')]
    """
    name, text = _text(source)
    lines = io.StringIO(text, newline="").readlines()
    start = _first_line(lines)
    if start == len(lines):
        raise Unreadable(None, f"{name} is empty.")
    delimiter = _delimiter(lines[start])
    scan = _records(lines, start, delimiter)
    header = next(scan)[1]
    if header is None:
        raise Unreadable(None, f"{name}: the header in line {start + 1} has a quote that is never closed.")
    columns = match_header(header, name)
    place = {ours: header.index(theirs) for ours, theirs in columns.items()}
    records = [_record(row, line, fields, len(header), place) for row, (line, fields) in enumerate(scan, 1)]
    return Roster(name, columns, records, _ignored(header, columns))


def read_rows(rows: Iterable[Mapping[Any, Any]], name: str, header: Sequence[Any]) -> Roster:
    """Dictionaries (or the rows of a DataFrame) as a roster without lines; dates and numbers become text."""
    columns = match_header([str(one) for one in header], name)
    keys = {str(one): one for one in header}
    records = [
        Record(number, None, {ours: on_one_line(as_text(row.get(keys[theirs]))) for ours, theirs in columns.items()})
        for number, row in enumerate(rows, 1)
    ]
    return Roster(name, columns, records, _ignored([str(one) for one in header], columns))


def match_header(header: Sequence[str], name: str) -> dict[str, str]:
    """Our column names → the header's; raises Unreadable where one is missing or there twice.

    >>> match_header(["Email Address", "nameFamily", "first_name", "birth_date", "ward"], "list.csv")
    {'email': 'Email Address', 'last_name': 'nameFamily', 'first_name': 'first_name', 'dob': 'birth_date'}
    """
    loose = {one: "".join(filter(str.isalnum, one)).casefold() for one in header}
    found = {ours: [one for one in header if loose[one] in spellings] for ours, spellings in SPELLINGS.items()}
    twice = [f"{ours} ({' and '.join(theirs)})" for ours, theirs in found.items() if len(theirs) > 1]
    if twice:
        raise Unreadable(None, f"{name} has two columns for {', '.join(twice)}; keep one.")
    missing = [ours for ours in REQUIRED if not found[ours]]
    if missing:
        have = ", ".join(header[:20])
        raise Unreadable(None, f"{name} has no column {', '.join(missing)}; its header is: {have}.")
    return {ours: theirs[0] for ours, theirs in found.items() if theirs}


def as_text(value: Any) -> str:
    """A cell as the text a person would write: nothing for gaps, ISO dates, whole numbers without `.0`.

    >>> [as_text(one) for one in (None, float("nan"), 5551234.0, date(1980, 1, 1), "=1+1")]
    ['', '', '5551234', '1980-01-01', '=1+1']
    """
    if value is None or repr(value) == "<NA>" or value != value:  # NaN and NaT are not equal to themselves
        return ""
    if isinstance(value, datetime):  # a pandas Timestamp is one
        return value.date().isoformat() if value.time() == datetime.min.time() else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def on_one_line(text: str) -> str:
    """A cell without its line breaks: a spreadsheet wraps a long name, nobody is called so.

    >>> on_one_line("Smith-\\n  Jones")
    'Smith- Jones'
    """
    return _BREAK.sub(" ", text)


def _unmarked(cell: str) -> str:
    """A cell as it was before it was made safe for spreadsheets.

    >>> _unmarked("'+1 555 0100"), _unmarked("'t Hooft")
    ('+1 555 0100', "'t Hooft")
    """
    return cell[1:] if _MARKED.match(cell) else cell


def _text(source: str | Path | IO[str] | IO[bytes]) -> tuple[str, str]:
    """Name and text of a file, decoded strictly."""
    if isinstance(source, str | Path):
        name, content = Path(source).name, Path(source).read_bytes()
    else:
        given = source.read()
        name = Path(str(getattr(source, "name", "the file"))).name
        if isinstance(given, str):
            return name, given.removeprefix("\ufeff")
        content = given
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise Unreadable(None, f"{name} is UTF-16, not UTF-8; save it as “CSV UTF-8”.")
    try:
        return name, content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        bad = f"byte 0x{content[error.start]:02X} at position {error.start}, line {line}"
        raise Unreadable(None, f"{name} is not UTF-8 ({bad}); save it as “CSV UTF-8”.") from None


def _first_line(lines: Sequence[str]) -> int:
    """Index of the header: after blank lines and the `sep=;` line that some spreadsheets write."""
    for index, line in enumerate(lines):
        if line.strip() and not line.casefold().startswith("sep="):
            return index
    return len(lines)


def _delimiter(header: str) -> str:
    """The separator that makes most columns of the header known to us, the first of equals."""
    known = frozenset().union(*SPELLINGS.values())

    def recognised(delimiter: str) -> int:
        fields = next(csv.reader([header], delimiter=delimiter))
        return sum("".join(filter(str.isalnum, one)).casefold() in known for one in fields)

    return max(DELIMITERS, key=recognised)


def _records(lines: Sequence[str], start: int, delimiter: str) -> Iterator[tuple[int, list[str] | None]]:
    """(line number, fields) of every record that is not blank; None for fields that cannot be told apart.

    Each record is parsed on its own. One that does not fit the header and swallowed lines which fit by themselves is
    an unclosed quote: it costs its first line, and reading goes on with the next.
    """
    width: int | None = None
    while start < len(lines):
        fields, used = _one(lines, start, delimiter)
        width = width or (len(fields) if fields else None)
        misfit = fields is None or len(fields) != width
        if misfit and used > 1 and any(_fits(line, delimiter, width) for line in lines[start + 1 : start + used]):
            fields, used = None, 1
        if fields is None or any(one.strip() for one in fields):
            yield start + 1, fields
        start += used


def _one(lines: Sequence[str], start: int, delimiter: str) -> tuple[list[str] | None, int]:
    """Fields of the record that starts at a line, and how many lines it takes."""
    reader = csv.reader((lines[index] for index in range(start, len(lines))), delimiter=delimiter, strict=True)
    try:
        return next(reader), reader.line_num
    except csv.Error:
        return None, max(1, reader.line_num)


def _fits(line: str, delimiter: str, width: int | None) -> bool:
    fields, _ = _one([line], 0, delimiter)
    return fields is not None and len(fields) == width


def _record(row: int, line: int, fields: list[str] | None, width: int, place: Mapping[str, int]) -> Record:
    if fields is None:
        return Record(row, line, {}, "The quotes on this line do not pair.")
    if len(fields) != width:
        return Record(row, line, {}, f"This line has {len(fields)} fields, the header has {width}.")
    return Record(row, line, {ours: on_one_line(_unmarked(fields[index])) for ours, index in place.items()})


def _ignored(header: Sequence[str], columns: Mapping[str, str]) -> list[str]:
    return [one for one in header if one.strip() and one not in columns.values()]
