"""Ground truth of retrieval: which drawings belong together, and so what a search should find.

Glossary
--------
group       drawings that belong together for one reason, its **kind**.
copy        the same geometry in another file (other DXF version, line ends, handles …).
revision    the same drawing at another time.
variant     the same part in another size or layout.
family      the same sort of thing; too loose to be a right answer.
geometry    a name for what a drawing shows; files of one geometry are the same drawing. A manifest tells it.
grade       how much a right answer is worth: the smaller `relevance` of the two members; 1 where neither has one.

Files, all CSV in UTF-8 with a header line, separated by commas or semicolons:

    groups.csv      file, group_id [, kind, evidence, relevance, edit]
    judgements.csv  a, b, label        C copy, R revision, V variant, F same family, N unrelated
    manifest.csv    file [, geom, repo]

Paths are relative to the folder of the drawings, with "/" or "\\".

The protocol
------------
* A **query** is a member of a group of a kind that is asked for, together with that group; a file in two groups makes
  two queries. Members whose evidence is ``numbered-symbol`` ask nothing: they were grouped by their geometry.
* **Relevant** are the other members of the group whose geometry differs. A query without any is left out and counted.
* **Neutral**, neither right nor wrong and so taken out of the ranking, are: files of the query's own geometry; its
  siblings by any other group that is not a family; and pairs judged C, R or V, a judgement holding for every file of
  the two geometries. What is relevant is never neutral.
* Everything else is wrong.

Where no manifest tells the geometry, every file counts as a drawing of its own, and copy groups ask like other kinds.
What a copy group says about sameness is used in its place: copies of a relevant file are neutral too.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from deepdxf.errors import GroupsError

FAMILY, COPY = "family", "copy"
DEFAULT_KIND = "group"  # of group files without a column `kind`
CHOSEN_BY_GEOMETRY = "numbered-symbol"
RELATED, LABELS = frozenset("CRV"), frozenset("CRVFN")


@dataclass(frozen=True)
class Member:
    """One line of groups.csv."""

    file: str
    group: str
    kind: str
    evidence: str
    relevance: float | None  # ≥ 0; None where the file does not say, as for the original that others were made from
    edit: str  # how this member was made or found: column `edit`, else `evidence`


@dataclass(frozen=True)
class Query:
    """One question to a search, and its right answers."""

    file: str
    group: str
    kind: str
    edit: str
    relevant: Mapping[str, float]  # file -> grade > 0; never empty
    neutral: frozenset[str]  # neither right nor wrong; without the query itself


@dataclass(frozen=True)
class Protocol:
    """All queries of a set of groups, sorted by file and group."""

    queries: tuple[Query, ...]
    sources: Mapping[str, str]  # file -> source, of the files that the manifest or the groups name
    without_relevant: int  # members that could not ask because nothing is relevant to them

    @property
    def files(self) -> list[str]:
        """The files that ask, each once, sorted."""
        return sorted({query.file for query in self.queries})

    def source(self, file: str) -> str:
        """Where a file comes from: `repo` of the manifest, else the first folder of its path ("." without one)."""
        return source_of(file, self.sources)


def load_groups(
    groups: Path | str,
    judgements: Path | str | None = None,
    manifest: Path | str | None = None,
    kinds: Sequence[str] | None = None,
) -> Protocol:
    """Read group files and derive the protocol (see the module's head).

    Args:
        groups: groups.csv.
        judgements, manifest: default: the files of these names beside ``groups``, where they exist.
        kinds: kinds that ask; default: all but family, and but copy where a manifest tells geometries.

    Raises:
        GroupsError: a file is missing, is not CSV in UTF-8, lacks a column or holds a value of the wrong form; a kind
            does not occur; nothing asks.
    """
    groups = Path(groups)
    members = read_members(groups)
    judgements = judgements or _beside(groups, "judgements.csv")
    manifest = manifest or _beside(groups, "manifest.csv")
    judged = read_judgements(Path(judgements)) if judgements else []
    rows = _read(Path(manifest), ("file",)) if manifest else []
    geometry = {file: geom for _, row in rows if (file := _path(row["file"])) and (geom := row.get("geom"))}
    sources = _sources(rows)

    present = {member.kind for member in members}
    if kinds is None:
        kinds = sorted(present - {FAMILY} - ({COPY} if geometry else set()))
        if not kinds:
            raise GroupsError(f"{groups}: only {' and '.join(sorted(present))} groups; name the kinds that should ask")
    elif missing := sorted(set(kinds) - present):
        raise GroupsError(f"{groups}: no group of kind {missing[0]!r}; it has {', '.join(sorted(present))}")
    queries, without = _queries(members, judged, geometry, frozenset(kinds))
    if not queries:
        raise GroupsError(f"{groups}: no query: no {' or '.join(kinds)} group has two different drawings")
    return Protocol(queries, sources, without)


def read_members(path: Path) -> list[Member]:
    """The lines of a groups.csv.

    Raises:
        GroupsError: as for `load_groups`; also where a file stands twice in a group, or a group has two kinds.
    """
    members: list[Member] = []
    kind_of: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for number, row in _read(path, ("file", "group_id")):
        file, group, kind = _path(row["file"]), row["group_id"], row.get("kind") or DEFAULT_KIND
        where = f"{path}, line {number}"
        if not file or not group:
            raise GroupsError(f"{where}: file and group_id must not be empty")
        if (file, group) in seen:
            raise GroupsError(f"{where}: {file!r} is in group {group!r} already")
        if kind_of.setdefault(group, kind) != kind:
            raise GroupsError(f"{where}: group {group!r} is of kind {kind_of[group]!r} above, of kind {kind!r} here")
        seen.add((file, group))
        evidence = row.get("evidence", "")
        relevance = _relevance(row.get("relevance", ""), where)
        members.append(Member(file, group, kind, evidence, relevance, row.get("edit") or evidence))
    return members


def families(members: Sequence[Member]) -> dict[str, int]:
    """Number of the family of each file, from 0: files that groups of any kind join, directly or through others."""
    root: dict[str, str] = {}  # of files and groups; union by path halving

    def find(node: str) -> str:
        while root.setdefault(node, node) != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    for member in members:
        root[find(f"group {member.group}")] = find(f"file {member.file}")
    number: dict[str, int] = {}
    files = sorted({member.file for member in members})
    return {file: number.setdefault(find(f"file {file}"), len(number)) for file in files}


def read_sources(groups: Path) -> dict[str, str]:
    """Source by file, as the manifest.csv beside a groups.csv names them; empty without one.

    Raises:
        GroupsError: as for `load_groups`.
    """
    manifest = _beside(groups, "manifest.csv")
    return _sources(_read(manifest, ("file",))) if manifest else {}


def _sources(rows: Iterable[tuple[int, dict[str, str]]]) -> dict[str, str]:
    return {_path(row["file"]): repo for _, row in rows if (repo := row.get("repo"))}


def read_judgements(path: Path) -> list[tuple[str, str, str]]:
    """The pairs of a judgements.csv: file, file, label.

    Raises:
        GroupsError: as for `load_groups`.
    """
    pairs = []
    for number, row in _read(path, ("a", "b", "label")):
        label = row["label"].upper()
        if label not in LABELS:
            raise GroupsError(f"{path}, line {number}: label {row['label']!r} is none of {', '.join(sorted(LABELS))}")
        pairs.append((_path(row["a"]), _path(row["b"]), label))
    return pairs


def _queries(
    members: list[Member], judged: list[tuple[str, str, str]], geometry: Mapping[str, str], kinds: frozenset[str]
) -> tuple[tuple[Query, ...], int]:
    """All queries, and how many members have nothing relevant."""

    def name(file: str) -> tuple[str, str]:  # of a file's geometry; a file of unknown geometry is one of its own
        return ("geom", geometry[file]) if file in geometry else ("file", file)

    by_group: dict[str, list[Member]] = defaultdict(list)
    groups_of: dict[str, list[str]] = defaultdict(list)  # file -> groups that make siblings: all but families
    files_of: dict[tuple[str, str], set[str]] = defaultdict(set)  # geometry -> files
    for member in members:
        by_group[member.group].append(member)
        if member.kind != FAMILY:
            groups_of[member.file].append(member.group)
        files_of[name(member.file)].add(member.file)
    for file in {*geometry, *(file for a, b, _ in judged for file in (a, b))}:
        files_of[name(file)].add(file)
    related: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for a, b, label in judged:
        if label in RELATED:
            related[name(a)].add(name(b))
            related[name(b)].add(name(a))

    def siblings(groups: Iterable[str]) -> set[str]:
        return {member.file for group in groups for member in by_group[group]}

    queries, without = [], 0
    for query in members:
        if query.kind not in kinds or query.evidence == CHOSEN_BY_GEOMETRY:
            continue
        own = name(query.file)
        # a pair is as alike as its less faithful member: two revisions of a base are to each other what they are to it
        relevant = {
            other.file: grade
            for other in by_group[query.group]
            if name(other.file) != own
            and (grade := min((r for r in (query.relevance, other.relevance) if r is not None), default=1.0)) > 0
        }
        if not relevant:
            without += 1
            continue
        neutral = files_of[own] | siblings(g for g in groups_of[query.file] if g != query.group)
        neutral.update(*(files_of[other] for other in related[own]))
        unknown = [file for file in relevant if file not in geometry]
        neutral |= siblings(g for file in unknown for g in groups_of[file] if by_group[g][0].kind == COPY)
        neutral -= {query.file, *relevant}
        queries.append(Query(query.file, query.group, query.kind, query.edit, relevant, frozenset(neutral)))
    return tuple(sorted(queries, key=lambda q: (q.file, q.group))), without


def _read(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Line numbers and rows of a CSV with these columns; values without surrounding blanks."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # "-sig": spreadsheets write a byte order mark
            header = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=";" if header.count(";") > header.count(",") else ",")
            if missing := [column for column in columns if column not in (reader.fieldnames or ())]:
                raise GroupsError(
                    f"{path}: no column {missing[0]!r} in its first line; needed are {', '.join(columns)}"
                )
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise GroupsError(
                        f"{path}, line {reader.line_num}: not as many values as the first line has columns"
                    )
                rows.append((reader.line_num, {key: value.strip() for key, value in row.items()}))
    except OSError as error:
        raise GroupsError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise GroupsError(f"{path}: not in UTF-8; save it as CSV UTF-8") from error
    except csv.Error as error:
        raise GroupsError(f"{path}, line {reader.line_num}: {error}") from error
    if not rows:
        raise GroupsError(f"{path}: no line after the header")
    return rows


def _path(text: str) -> str:
    """A path as all modules of the package write it: relative, with "/"."""
    return text.replace("\\", "/").removeprefix("./")


def _relevance(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        relevance = float(text)
    except ValueError:
        relevance = -1.0
    if not 0 <= relevance < float("inf"):
        raise GroupsError(f"{where}: relevance {text!r} is not a number from 0 up")
    return relevance


def source_of(file: str, sources: Mapping[str, str]) -> str:
    """The source that is named for a file, else the first folder of its path; "." where it lies in none."""
    parts = PurePosixPath(file).parts
    return sources.get(file) or (parts[0] if len(parts) > 1 else ".")


def _beside(groups: Path, name: str) -> Path | None:
    path = groups.parent / name
    return path if path.is_file() else None
