"""What people have decided about groups of drawings: the same, not the same, ignore. Kept in the archive itself.

A decision is about the very drawings that were in the group, each with what it showed then. It holds for every group
that has no other member: for the same group again, and for one that has lost members. As soon as a drawing joins, or one
of them shows something else than before, the group is open again, and the new members are named.

Two processes may decide at once: a decision is a row whose key is its set of drawings, written in one commit; of two
decisions about the same set the later one counts. Who must not overwrite what he has not seen compares marks first, see
`Standing.mark` and `duplicates.decide`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from deepdxf.archive import KEY, SCALAR_TYPES, Archive, database_errors
from deepdxf.where import Kind, quote

if TYPE_CHECKING:
    import pyarrow as pa

Verdict = Literal["same", "not", "ignore"]
VERDICTS: tuple[Verdict, ...] = ("same", "not", "ignore")
TABLE = "decisions"

# id of a drawing -> what it shows, `fingerprint.canonical_hash`; "" if that is not known
Members = Mapping[str, str]


@dataclass(frozen=True)
class Decision:
    """A verdict about some drawings."""

    verdict: Verdict
    members: Members
    decided: datetime  # UTC
    note: str = ""
    by: str = ""  # who decided, where that is known

    @property
    def group(self) -> str:
        """The id of the group that it was about."""
        return group_id(self.members)

    def covers(self, members: Members) -> bool:
        """Whether all of some drawings were known when it was made, and show what they showed."""
        return not self.new(members)

    def new(self, members: Members) -> list[str]:
        """Ids of the drawings that have joined or changed since, sorted."""
        return sorted(id for id, shape in members.items() if self.members.get(id) != shape)


@dataclass(frozen=True)
class Standing:
    """What the decisions say about a group."""

    verdict: Verdict | None  # None: open
    new: tuple[str, ...] = ()  # ids that have joined since the latest decision about two or more of the others
    earlier: Verdict | None = None  # that decision's verdict, for an open group
    note: str = ""
    decided: datetime | None = None  # when that decision was made
    by: str = ""  # and by whom

    @property
    def mark(self) -> str:
        """Changes whenever a group is decided about anew; "open" for all open groups."""
        if self.verdict is None or self.decided is None:
            return "open"
        return f"{self.verdict}-{round(self.decided.timestamp() * 1e6)}"


def group_id(ids: Iterable[str]) -> str:
    """The id of a set of drawings: 12 hexadecimal digits, the same in any order."""
    return hashlib.blake2b("\n".join(sorted(ids)).encode(), digest_size=6).hexdigest()


class Decisions:
    """The decisions of an archive, as they were when this was made or `record` last wrote."""

    def __init__(self, archive: Archive) -> None:
        self._address = archive.address
        self._table = archive.side_table(TABLE, schema())
        with database_errors(self._address):
            self._complete()
        self._load()

    def _complete(self) -> None:
        """Add the column that tables of older versions do not have."""
        if "by" in self._table.schema.names:
            return
        try:
            self._table.add_columns({"by": "''"})
        except (ValueError, OSError, RuntimeError):
            self._table.checkout_latest()
            if "by" not in self._table.schema.names:  # else another process was faster
                raise

    def _load(self) -> None:
        with database_errors(self._address):
            rows = self._table.search().to_arrow().to_pylist()
        made = [
            Decision(
                row["verdict"],
                dict(zip(row["ids"], row["shapes"], strict=True)),
                row["decided"],
                row["note"],
                row["by"] or "",
            )
            for row in rows
        ]
        self.all: list[Decision] = sorted(made, key=lambda decision: (decision.decided, decision.group))
        self._of: dict[str, list[int]] = defaultdict(list)  # id -> numbers of the decisions with it, oldest first
        for number, decision in enumerate(self.all):
            for id in decision.members:
                self._of[id].append(number)

    def record(self, verdict: Verdict, groups: Sequence[Members], note: str = "", by: str = "") -> None:
        """Decide about some groups, in one commit.

        Raises:
            ArchiveError: the archive cannot be written.
        """
        import pyarrow

        now = int(datetime.now(UTC).timestamp() * 1e6)
        # a group that is named twice is one decision
        distinct = {group_id(group): group for group in groups if group}
        if not distinct:
            return
        rows = [
            {
                "key": key,
                "verdict": verdict,
                "ids": sorted(group),
                "shapes": [group[id] for id in sorted(group)],
                "decided": now,
                "note": note,
                "by": by,
            }
            for key, group in distinct.items()
        ]
        data = pyarrow.Table.from_pylist(rows, schema())
        with database_errors(self._address):
            # its conflicts with other writers are retried by the database
            self._table.merge_insert("key").when_matched_update_all().when_not_matched_insert_all().execute(data)
        self._load()

    def withdraw(self, groups: Sequence[Members]) -> int:
        """Take back the decisions that hold for some groups; returns how many there were."""
        keys = sorted({decision.group for group in groups for decision in self._about(group) if decision.covers(group)})
        with database_errors(self._address):
            for first in range(0, len(keys), 500):
                self._table.delete(f"key IN ({', '.join(map(quote, keys[first : first + 500]))})")
        self._load()
        return len(keys)

    def standing(self, members: Members) -> Standing:
        """What the latest decision says about a group."""
        about = self._about(members)
        for decision in reversed(about):
            if decision.covers(members):
                return Standing(decision.verdict, note=decision.note, decided=decision.decided, by=decision.by)
        for decision in reversed(about):
            new = decision.new(members)
            if len(members) - len(new) >= 2:
                return Standing(None, tuple(new), decision.verdict, decision.note, decision.decided, decision.by)
        return Standing(None)

    def _about(self, members: Members) -> list[Decision]:
        """Decisions with one or more of the drawings, oldest first."""
        return [self.all[number] for number in sorted({number for id in members for number in self._of.get(id, ())})]


def families(archive: Archive) -> list[list[str]]:
    """What the decisions say of drawings as they are now, as families of ids.

    Drawings that are the same form one; each drawing of a group that is not the same, and in no such family, forms its own.
    Of a drawing that shows something else by now, its decisions say nothing.
    """
    shapes = {row["id"]: row["geometry"] or row["hash"] or "" for row in archive.records(None, ("geometry", "hash"))}
    made = Decisions(archive).all
    known = [[id for id, shape in sorted(one.members.items()) if shapes.get(id) == shape] for one in made]
    same = [ids for one, ids in zip(made, known, strict=True) if one.verdict == "same" and len(ids) > 1]
    taken = {id for ids in same for id in ids}
    apart = {id for one, ids in zip(made, known, strict=True) if one.verdict == "not" for id in ids} - taken
    return same + [[id] for id in sorted(apart)]


def schema() -> pa.Schema:
    """Columns of the table of decisions."""
    import pyarrow

    text: Any = pyarrow.string()
    return pyarrow.schema(
        [
            pyarrow.field("key", text, nullable=False, metadata=KEY),
            pyarrow.field("verdict", text),
            pyarrow.field("ids", pyarrow.list_(text)),
            pyarrow.field("shapes", pyarrow.list_(text)),
            pyarrow.field("decided", SCALAR_TYPES[Kind.TIME]()),
            pyarrow.field("note", text),
            pyarrow.field("by", text),
        ]
    )
