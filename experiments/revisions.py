"""How well revisions are found: versions of real drawings, by geometry alone.

    deepdxf index CORPUS/drawings --archive ARCHIVE
    python experiments/revisions.py CORPUS --archive ARCHIVE [--queries 150]

CORPUS holds drawings/ and groups.csv. File names of the corpus say which files are one file at several times; they are taken
away first, and title blocks with them, so that only geometry is left. A version that is found is right if it is in the same
group of revisions or copies, a variant if it is in the same group of variants. Prints recall and shares by confidence.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepdxf import revisions
from deepdxf.archive import Archive
from deepdxf.groups import read_members
from deepdxf.revisions import find_revisions, record_of

LEVELS = (0.5, 0.6, 0.7, 0.75, 0.79)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--archive", required=True)
    parser.add_argument("--queries", type=int, default=150)
    args = parser.parse_args(argv)
    archive = Archive.open(args.archive)
    rows = archive.records(None, revisions.COLUMNS)
    id_of = {row["path"]: row["id"] for row in rows}
    nameless = [row | {"path": f"{row['id']}/x.dxf", "field": []} for row in rows]
    path_of = {row["id"]: row["path"] for row in rows}
    archive.records = lambda where=None, columns=(): nameless  # type: ignore[method-assign,misc]
    revisions.marks_of = lambda name: ("", {})

    kin: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    groups: dict[str, list[str]] = defaultdict(list)
    kind_of = {}
    for member in read_members(args.corpus / "groups.csv"):
        groups[member.group].append(member.file)
        kind_of[member.group] = member.kind
    for group, files in groups.items():
        for file in files:
            kin[kind_of[group]][file].update(files)
    asking = sorted(file for file in kin["revision"] if file in id_of)
    asking = [asking[i] for i in np.random.default_rng(0).permutation(len(asking))[: args.queries].tolist()]
    found: list[tuple[float, str]] = []
    reached: list[float] = []  # confidence with which each revision of a query was found; 0: not
    for file in asking:
        query, vector = record_of(archive, id_of[file])
        chain = find_revisions(archive, query | {"field": []}, vector)
        confidence = {path_of[version.id]: version.confidence for version in chain.versions}
        right = kin["revision"][file] | kin["copy"][file]
        reached += [confidence.get(other, 0.0) for other in kin["revision"][file] - {file} if other in id_of]
        for other, value in confidence.items():
            if other != file:
                kind = "right" if other in right else "variant" if other in kin["variant"][file] else "other"
                found.append((value, kind))
    print(f"{len(asking)} queries, {len(reached)} revisions to be found, by geometry alone")
    print("\n| confidence from | recall | found | right | variants | others |\n|---:|---:|---:|---:|---:|---:|")
    for level in LEVELS:
        kinds = [kind for value, kind in found if value >= level]
        shares = [f"{kinds.count(kind) / max(len(kinds), 1):.1%}" for kind in ("right", "variant", "other")]
        recall = np.mean([value >= level for value in reached])
        print(f"| {level:.2f} | {recall:.1%} | {len(kinds)} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
