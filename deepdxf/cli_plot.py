"""The command ``plot``: pictures of training, embeddings, drawings and retrieval, one sub-command a kind."""

from __future__ import annotations

import argparse
import importlib.util
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdxf.console import command_parser, complain, print_json, shown
from deepdxf.errors import DeepDXFError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deepdxf.drawing import Drawing, FloatArray
    from deepdxf.groups import Member
    from deepdxf.projection import Vectors

Arguments = argparse.Namespace
Command = Callable[[str, Callable[[Arguments], int], str], argparse.ArgumentParser]

SUFFIXES = (".png", ".svg")
MOST = 5000  # drawings of a page, beyond which browsers give up


@dataclass(frozen=True)
class Made:
    """A picture, and facts about it for JSON and the terminal."""

    figure: Figure
    facts: Mapping[str, Any] = field(default_factory=dict)


def plot(arguments: Arguments) -> int:
    """Pictures of training, embeddings, drawings and retrieval, as PNG and SVG."""
    need_extra()
    targets = targets_of(arguments)
    if arguments.kind in WHOLE:
        document = WHOLE[arguments.kind](arguments, targets)
    else:
        made = MAKERS[arguments.kind](arguments)
        from deepdxf.plot import write

        for path in targets:
            write(made.figure, path)
        document = {**made.facts, "files": [str(path) for path in targets]}
    if arguments.json:
        return print_json({"kind": arguments.kind, **document})
    facts = [f"{value} {name}" for name, value in document.items() if isinstance(value, int)]
    print(shown(", ".join(facts) + (": " if facts else "") + ", ".join(document["files"])))
    return 0


def need_extra() -> None:
    """Whether pictures can be made, asked before long work.

    Raises:
        DeepDXFError: they cannot, for the extra is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise DeepDXFError("pictures need matplotlib, which is not installed: pip install 'deepdxf[plot]'")


def targets_of(arguments: Arguments) -> list[Path]:
    """The files to write: the one that is named, or KIND.png and KIND.svg in a folder, which is made."""
    from deepdxf.files import check_writable

    out, kind = arguments.out, arguments.kind
    suffixes = (".html",) if kind == "page" else SUFFIXES
    if out.suffix.lower() in suffixes:
        targets = [out]
    elif re.fullmatch(r"\.[A-Za-z]{2,4}", out.suffix) and not out.is_dir():
        arguments.fail(f"--out {out}: a folder, or a file that ends in {' or '.join(suffixes)}")
    else:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DeepDXFError(f"cannot make the folder {out}: {error.strerror or error}; name another") from error
        targets = [out / f"{kind}{suffix}" for suffix in suffixes]
    if kind != "all":
        for path in targets:
            check_writable(path)
    return targets


# --- drawings, vectors, models ---------------------------------------------------------------------------------------


def model_folder(path: Path) -> Path:
    """The model of a folder that is one, or that is a run's.

    Raises:
        DeepDXFError: it is neither.
    """
    from deepdxf.checkpoint import CONFIG

    for folder in (path, path / "model"):
        if (folder / CONFIG).is_file():
            return folder
    raise DeepDXFError(f"{path}: no model in it; name a run's folder or a model's")


def encoder_of_name(name: str) -> str:
    """The name of an encoder; a run's folder stands for its model."""
    return str(model_folder(Path(name))) if Path(name).is_dir() else name


def loaded_model(path: Path) -> Any:
    """The model of a run's folder or a model's, with its weights."""
    if missing := [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]:
        raise DeepDXFError(
            f"a look into a model needs {missing[0]}, which is not installed: pip install 'deepdxf[train]'"
        )
    from deepdxf.checkpoint import load_model

    return load_model(model_folder(path))


@dataclass(frozen=True)
class Points:
    """Drawings and their vectors."""

    names: list[str]
    vectors: Vectors  # (n, d)
    codes: Mapping[str, slice]  # stretches of the vectors; empty = not known
    archive: Any = None  # where they come from one
    ids: Sequence[str] = ()  # in it
    paths: Sequence[Path] = ()  # of files, where they come from such


def points_of(arguments: Arguments) -> Points:
    """The drawings that are asked for: of an archive, of files and folders, or of a file of `deepdxf embed`."""
    import numpy as np

    if bool(arguments.paths) == bool(arguments.archive):
        arguments.fail("name the drawings: PATHs, or one .npz of `deepdxf embed`, or --archive DIR")
    if arguments.archive:
        from deepdxf.archive import Archive, encoder_of

        archive = Archive.open(arguments.archive)
        ids, vectors = archive.vectors()
        rows = {row["id"]: row["path"] for row in archive.records(None, ("path",))}
        try:
            codes = dict(encoder_of(archive).codes)
        except DeepDXFError:  # its encoder is not there any more, its vectors are
            codes = {}
        return Points([rows[str(id)] for id in ids], vectors, codes, archive, [str(id) for id in ids])
    if len(arguments.paths) == 1 and arguments.paths[0].suffix.lower() == ".npz":
        names, vectors = read_vectors(arguments.paths[0])
        return Points(names, vectors, {})
    from deepdxf import encoder
    from deepdxf.embed import embed_files
    from deepdxf.files import find_files, relative_names

    name = encoder_of_name(arguments.encoder)
    embedded = embed_files(arguments.paths, name, workers=arguments.workers, quiet=arguments.quiet)
    report_failed(arguments, embedded.failed)
    drawn = np.flatnonzero(embedded.vectors.any(axis=1))
    path_of = {name: Path(path) for path, name in relative_names(find_files(arguments.paths)).items()}
    names = [embedded.files[i] for i in drawn]
    paths = [path_of[name] for name in names]
    return Points(names, embedded.vectors[drawn], dict(encoder.load(name).codes), paths=paths)


def read_vectors(path: Path) -> tuple[list[str], Vectors]:
    """Names and vectors that `deepdxf embed` wrote.

    Raises:
        DeepDXFError: the file is missing, or no such file.
    """
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as content:
            names, vectors = content["files"], content["vectors"]
        if names.ndim != 1 or vectors.ndim != 2 or len(names) != len(vectors):
            raise ValueError("other shapes")
    except OSError as error:
        raise DeepDXFError(f"{path}: {error.strerror or error}") from None
    except (ValueError, KeyError, zipfile.BadZipFile):
        raise DeepDXFError(f"{path}: no vectors in it; make it with: deepdxf embed FOLDER --out {path.name}") from None
    drawn = vectors.any(axis=1)
    return [str(name) for name in names[drawn]], np.asarray(vectors[drawn], np.float32)


def report_failed(arguments: Arguments, failed: Mapping[str, str]) -> None:
    """Tell of files that could not be read."""
    if not arguments.json:
        for name, reason in failed.items():
            complain("failed", name, reason)


class _Read:
    """Work of a process: one file to its drawing."""

    def __call__(self, item: tuple[str, str]) -> Drawing:
        from deepdxf.reader import read

        return read(item[0])


def read_all(arguments: Arguments) -> dict[str, Drawing]:
    """The drawings of the paths, by name; those without anything drawn are left out."""
    from deepdxf.embed import for_each_file

    options = {"workers": arguments.workers, "quiet": arguments.quiet}
    done, failed = for_each_file(arguments.paths, _Read(), "reading", **options)
    report_failed(arguments, failed)
    return {name: drawing for name, drawing in done.items() if drawing.visible.any()}


def drawings_of(points: Points, members: Sequence[int]) -> list[Drawing | None]:
    """Some of the drawings, read from their files; None for those that are not there."""
    from deepdxf.reader import read

    if points.archive is not None:
        rows = {row["id"]: Path(row["root"], row["path"]) for row in points.archive.records(None, ("path", "root"))}
        files = [rows.get(points.ids[i]) for i in members]
    else:
        files = [points.paths[i] if points.paths else None for i in members]
    found: list[Drawing | None] = []
    for file in files:
        try:
            found.append(None if file is None else read(file))
        except DeepDXFError:
            found.append(None)
    return found


# --- classes of drawings ---------------------------------------------------------------------------------------------


def groups_file(arguments: Arguments) -> Path | None:
    """The groups that are named, or those that lie in the one folder that is."""
    if arguments.groups is not None:
        return Path(arguments.groups)
    paths = arguments.paths or []
    beside = paths[0] / "groups.csv" if len(paths) == 1 else None
    return beside if beside is not None and beside.is_file() else None


def labels_of(arguments: Arguments, names: Sequence[str]) -> tuple[list[str], str]:
    """The class of each drawing by what colour is to tell ("" = none), and what the classes are."""
    color, groups = arguments.color, groups_file(arguments)
    if color is None:
        color = "family" if groups is not None else "source"
    if color == "none":
        return [""] * len(names), ""
    if color == "source":
        from deepdxf.groups import read_sources, source_of

        sources = read_sources(groups) if groups is not None else {}
        found = [source_of(name, sources) for name in names]
        return ["" if name == "." else name for name in found], "source"
    if groups is None:
        raise DeepDXFError("--color family needs groups: --groups CSV")
    from deepdxf.groups import read_members

    families = family_names(read_members(groups))
    found = [families.get(name, "") for name in names]
    if not any(found):
        raise DeepDXFError(
            f"{groups}: none of the {len(names)} drawings is in it, such as {names[0]!r}; "
            "name the folder that its paths are relative to"
        )
    return found, "family"


def family_names(members: Sequence[Member]) -> dict[str, str]:
    """Names of families by file: what the names of its files begin with, where that tells it, else one of its groups."""
    from deepdxf.groups import FAMILY, families

    files, groups = defaultdict(set), defaultdict(list)
    family = families(members)
    for member in members:
        files[family[member.file]].add(member.file)
        groups[family[member.file]].append((member.kind != FAMILY, member.group))
    names = {}
    for number, of_family in files.items():
        # of characters, not of folders: plate/00000_base and plate/00000_moved begin with plate/00000
        start = commonprefix(sorted(of_family)) if len(of_family) > 1 else ""  # noqa: RUF071
        names[number] = start.rstrip("/_-. ") if len(start.rstrip("/_-. ")) > 2 else min(groups[number])[1]
    twice = {name for name, count in Counter(names.values()).items() if count > 1}
    names = {number: min(groups[number])[1] if name in twice else name for number, name in names.items()}
    return {file: names[number] for file, number in family.items()}


# --- kinds -----------------------------------------------------------------------------------------------------------


def curves(arguments: Arguments) -> Made:
    """Curves of a training run: loss beside chance, held-out retrieval, signs of collapse."""
    from deepdxf import plot as figures
    from deepdxf.tracking import read_records

    records = read_records(arguments.run_folder)
    if not any(record["kind"] == "train" for record in records):
        raise DeepDXFError(f"{arguments.run_folder}: no step of the run is done yet")
    steps = len({record["step"] for record in records if record["kind"] == "train"})
    name = arguments.run_folder.resolve().name
    return Made(figures.curves(records, f"training of {name}"), {"steps": steps})


def map_of(arguments: Arguments) -> Made:
    """Map of drawings by their vectors: PCA, t-SNE, UMAP or PaCMAP, coloured by family, source or code."""
    import numpy as np

    from deepdxf import plot as figures
    from deepdxf.projection import METHODS, need_method, principal, project, unit

    need_method(arguments.method)
    title = METHODS[arguments.method][0]
    pairs = None
    if arguments.color == "code":
        if arguments.model is None or not arguments.paths:
            arguments.fail("--color code needs PATHs and --model DIR: only a model has codes in one space")
        sequence, geometry, n = codes_of(arguments)
        vectors: FloatArray = unit(np.concatenate([sequence, geometry]))
        labels, legend = ["sequence"] * n + ["geometry"] * n, "code"
    else:
        if arguments.model is not None:
            arguments.fail("--model goes with --color code; name it with --encoder")
        points = points_of(arguments)
        vectors, n = points.vectors.astype(np.float64), len(points.names)
        labels, legend = labels_of(arguments, points.names)
    places = project(vectors, arguments.method, arguments.seed)
    if legend == "code":
        pairs = np.stack([places[:n], places[n:]], axis=1)
    axes = ("", "")
    if arguments.method == "pca":
        share = principal(vectors)[1]
        axes = (f"first axis, {share[0]:.0%} of the variance", f"second axis, {share[1]:.0%}")
    figure = figures.embedding_map(
        places, labels, title=f"{title} of {n} drawings", legend=legend, axes=axes, pairs=pairs
    )
    return Made(figure, {"drawings": n, "method": arguments.method, "color": legend})


def codes_of(arguments: Arguments) -> tuple[FloatArray, FloatArray, int]:
    """Both codes of the drawings of the paths, in the space that they share, and how many drawings those are."""
    model = loaded_model(arguments.model)
    from deepdxf.probe import shared_codes

    drawings = list(read_all(arguments).values())
    if len(drawings) < 3:
        raise DeepDXFError(f"{len(drawings)} drawings; a picture of codes needs at least 3")
    sequence, geometry = shared_codes(model, drawings)
    return sequence, geometry, len(drawings)


def page(arguments: Arguments, targets: Sequence[Path]) -> dict[str, Any]:
    """Map as one HTML file: thumbnails on hover, the most similar drawings beside a chosen one, no network needed."""
    from deepdxf.plot_page import Point, write_map
    from deepdxf.projection import METHODS, need_method, project
    from deepdxf.render import thumbnail

    need_method(arguments.method)
    points = points_of(arguments)
    n = len(points.names)
    if n > MOST:
        raise DeepDXFError(f"{n} drawings; browsers show a page of {MOST} at most; name a part of them")
    labels, legend = labels_of(arguments, points.names)
    places = project(points.vectors, arguments.method, arguments.seed)
    if points.archive is not None:
        known = points.archive.thumbnails(list(points.ids))
        pictures = [smaller(known[id]) if id in known else b"" for id in points.ids]
    else:
        drawings = drawings_of(points, range(n))
        pictures = [b"" if drawing is None else smaller(thumbnail(drawing)) for drawing in drawings]
    made = [Point(*of) for of in zip(points.names, labels, pictures, strict=True)]
    title = f"Map of {n} drawings ({METHODS[arguments.method][0]})"
    for path in targets:
        write_map(path, made, places, points.vectors, title, legend)
    return {"drawings": n, "method": arguments.method, "color": legend, "files": [str(path) for path in targets]}


def smaller(picture: bytes) -> bytes:
    """A thumbnail with few shades of colour, a third of its size."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(picture)) as image:
        reduced = image.convert("RGB").quantize(16, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    reduced.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def heat(arguments: Arguments) -> Made:
    """Similarity of all drawings of a group with each other, like ones together."""
    import numpy as np

    from deepdxf import plot as figures
    from deepdxf.projection import unit

    points = points_of(arguments)
    members, about = list(range(len(points.names))), "drawings"
    if arguments.group is not None:
        groups = groups_file(arguments)
        if groups is None:
            raise DeepDXFError("--group needs groups: --groups CSV")
        members, about = members_of_group(groups, arguments.group, points.names), arguments.group
    if not 2 <= len(members) <= arguments.most:
        raise DeepDXFError(
            f"{len(members)} drawings; a heat map has 2 to {arguments.most}, name a --group or change --most"
        )
    vectors = unit(points.vectors[np.array(members)])
    cosines = vectors @ vectors.T
    pictures = drawings_of(points, members) if len(members) <= 2 * figures.NUMBERED else []
    names = [points.names[i] for i in members]
    if not any(pictures):
        pictures = []
    figure = figures.heat_map(names, cosines, pictures, title=f"similarity: {about}")
    return Made(figure, {"drawings": len(names), "group": arguments.group})


def members_of_group(groups: Path, group: str, names: Sequence[str]) -> list[int]:
    """Numbers of the drawings of a group, or of a family by its name.

    Raises:
        DeepDXFError: there is no such group, or none of its drawings is there.
    """
    import difflib

    from deepdxf.groups import read_members

    rows = read_members(groups)
    files = {row.file for row in rows if row.group == group}
    family = family_names(rows)
    files = files or {file for file, name in family.items() if name == group}
    if not files:
        near = difflib.get_close_matches(group, [*family.values(), *(row.group for row in rows)], 1, 0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DeepDXFError(f"{groups}: no group {group!r}{hint}")
    found = [i for i, name in enumerate(names) if name in files]
    if not found:
        raise DeepDXFError(f"{groups}: none of the {len(files)} drawings of group {group!r} is there")
    return found


def gap(arguments: Arguments) -> Made:
    """Gap between sequence and geometry codes of a model, before and after centring each."""
    from deepdxf import plot as figures
    from deepdxf.projection import centred, modality_gap

    sequence, geometry, n = codes_of(arguments)
    figure = figures.gap(sequence, geometry, title=f"modality gap, {n} drawings")
    facts = {
        "gap": round(modality_gap(sequence, geometry), 6),
        "found_first": round(figures.found_first(sequence, geometry), 6),
        "found_first_centred": round(figures.found_first(centred(sequence), centred(geometry)), 6),
    }
    return Made(figure, {"drawings": n, **facts})


def plane(arguments: Arguments) -> Made:
    """Alignment and uniformity of all objectives of an experiment, with their retrieval."""
    from deepdxf import plot as figures
    from deepdxf.experiment_tables import read_results

    path = arguments.results / "results.jsonl" if arguments.results.is_dir() else arguments.results
    cells, without = figures.cells_of(read_results(path))
    if not cells:
        raise DeepDXFError(f"{path}: no cell tells its alignment and uniformity")
    if not arguments.json:
        for name in without:
            complain("left out", name, "without alignment or uniformity")
    name = path.resolve().parent.name
    return Made(figures.plane(cells, title=f"experiment {name}"), {"cells": len(cells), "left_out": without})


def sphere(arguments: Arguments) -> Made:
    """Vectors on the circle and on the sphere, with their density: whether they fill it or crowd together."""
    from deepdxf import plot as figures

    points = points_of(arguments)
    if len(points.names) < 3:
        raise DeepDXFError(f"{len(points.names)} drawings; a picture of their sphere needs at least 3")
    sets = {"whole vector": points.vectors}
    if len(points.codes) > 1 and not arguments.whole:
        sets |= {f"{name} code": points.vectors[:, part] for name, part in points.codes.items()}
    figure = figures.sphere(sets, title=f"{len(points.names)} drawings on their sphere")
    return Made(figure, {"drawings": len(points.names), "codes": list(points.codes)})


def attention(arguments: Arguments) -> Made:
    """Attention of a model's sequence encoder, drawn on the drawing."""
    from deepdxf import plot as figures
    from deepdxf.reader import read

    model = loaded_model(arguments.model)
    from deepdxf.probe import attention as share_of_rows

    drawing = read(arguments.file)
    share = share_of_rows(model, drawing)
    best = share.argsort()[::-1][: min(arguments.k, int((share > 0).sum()))]
    first = [
        {"row": int(row), "handle": f"{int(drawing.handle[row]):X}", "share": round(float(share[row]), 6)}
        for row in best
    ]
    figure = figures.attention(drawing, share, title=f"where the sequence encoder looks: {arguments.file.name}")
    return Made(figure, {"entities": int((share > 0).sum()), "most_attended": first})


def matches(arguments: Arguments) -> Made:
    """Matched entities of two drawings, drawn on both, with lines between some of them."""
    from deepdxf import plot as figures
    from deepdxf.compare import matched
    from deepdxf.reader import read

    a, b = read(arguments.a), read(arguments.b)
    found = matched(
        a,
        b,
        tolerance=arguments.tolerance,
        rotation="any" if arguments.rotated else "none",
        mirror=arguments.mirrored,
        scale="any" if arguments.any_size else "units",
    )
    pairs = figures.pairs_of(found.matching)
    names = (arguments.a.name, arguments.b.name)
    figure = figures.matches(a, b, found.matching, names, most=arguments.lines)
    counts = Counter(pair.kind for pair in pairs)
    alone = {"removed": len(found.matching.removed), "added": len(found.matching.added)}
    return Made(figure, {**{kind: counts[kind] for kind in figures.TITLES}, **alone})  # type: ignore[index]


def gallery(arguments: Arguments) -> Made:
    """Best and worst queries of an evaluation with their hits, right and wrong ones marked."""
    from deepdxf import plot as figures
    from deepdxf.evaluate import METRICS, evaluate, read_rankings
    from deepdxf.groups import load_groups
    from deepdxf.reader import read

    groups = arguments.groups or arguments.drawings / "groups.csv"
    rankings = read_rankings(arguments.rankings)
    result = evaluate(rankings, load_groups(groups, kinds=arguments.kinds))
    asked = [i for i, query in enumerate(result.queries) if query.file in rankings.hits]
    precision = result.values[:, METRICS.index("mAP")]
    asked.sort(key=lambda i: (precision[i], result.queries[i].file, result.queries[i].group))
    worst = asked[: arguments.n]
    best = asked[::-1][: min(arguments.n, len(asked) - len(worst))]
    chosen = {"worst": worst, "best": best, "both": [*best, *worst]}[arguments.which]
    read_already: dict[str, Drawing | None] = {}

    def drawing_of(name: str) -> Drawing | None:
        if name not in read_already:
            try:
                read_already[name] = read(arguments.drawings / name)
            except DeepDXFError:
                read_already[name] = None
        return read_already[name]

    rows = []
    for i in chosen:
        query = result.queries[i]
        row = [figures.Shown(query.file, drawing_of(query.file), "query", f"AP {precision[i]:.2f}")]
        hits = rankings.hits[query.file][: arguments.k]
        for rank, (hit, score) in enumerate(zip(hits, rankings.scores[query.file], strict=False), 1):
            name = rankings.files[hit]
            verdict: Any = "right" if name in query.relevant else "neutral" if name in query.neutral else "wrong"
            row.append(figures.Shown(name, drawing_of(name), verdict, f"{rank}   {score:.3f}"))
        rows.append(row)
    if not any(read_already.values()):
        raise DeepDXFError(f"none of the drawings is in {arguments.drawings}; name the folder that was evaluated")
    ends = [f"{'best' if i in best else 'worst'}: {result.queries[i].kind}" for i in chosen]
    figure = figures.gallery(rows, titles=ends)
    return Made(figure, {"queries": len(rows), "shown": [result.queries[i].file for i in chosen]})


def everything(arguments: Arguments, targets: Sequence[Path]) -> dict[str, Any]:
    """All pictures of a training run: curves, and with drawings map, page, sphere, gap and attention of its model."""
    from deepdxf.plot import write

    folder, run = arguments.out, arguments.run_folder
    if folder.suffix.lower() in SUFFIXES:
        arguments.fail(f"--out {folder}: `all` writes many files; name a folder")
    paths = [str(path) for path in arguments.paths]
    shared = ["--out", str(folder), *(["--quiet"] if arguments.quiet else []), *(["--json"] if arguments.json else [])]
    lines = [["curves", str(run)]]
    if paths:
        with_groups = ["--groups", str(arguments.groups)] if arguments.groups else []
        encoder = ["--encoder", str(run)]
        first = next(iter(read_all(arguments)), None)
        lines += [
            ["map", *paths, *encoder, "--method", "tsne", *with_groups],
            ["page", *paths, *encoder, *with_groups],
            ["sphere", *paths, *encoder],
            ["gap", str(run), *paths],
        ]
        if first is not None:
            from deepdxf.files import find_files, relative_names

            path_of = {name: path for path, name in relative_names(find_files(paths)).items()}
            lines.append(["attention", str(run), path_of[first]])
    files = []
    for line in lines:
        part = arguments.parse([*line, *shared])
        part.fail = arguments.fail
        of_part = targets_of(part)
        if part.kind in WHOLE:
            WHOLE[part.kind](part, of_part)
        else:
            made = MAKERS[part.kind](part)
            for path in of_part:
                write(made.figure, path)
        files += [str(path) for path in of_part]
    return {"files": files}


MAKERS: dict[str, Callable[[Arguments], Made]] = {
    "curves": curves,
    "map": map_of,
    "heat": heat,
    "gap": gap,
    "plane": plane,
    "sphere": sphere,
    "attention": attention,
    "matches": matches,
    "gallery": gallery,
}
# kinds that write their files themselves
WHOLE: dict[str, Callable[[Arguments, Sequence[Path]], dict[str, Any]]] = {"page": page, "all": everything}


# --- the parser ------------------------------------------------------------------------------------------------------


def add_command(
    command: Command,
    encoder_option: Callable[[argparse.ArgumentParser], None],
    workers_option: Callable[[argparse.ArgumentParser], None],
    positive: Callable[[str], int],
    positive_number: Callable[[str], float],
) -> None:
    """Add ``plot`` and its kinds to the parser; the options that other commands have too are given."""
    top = command(
        "plot",
        plot,
        "deepdxf plot curves run\n"
        "deepdxf plot map drawings --groups drawings/groups.csv --method tsne\n"
        "deepdxf plot matches old.dxf new.dxf --out matches.svg\n"
        "deepdxf plot attention run bracket.dxf",
    )
    kinds = top.add_subparsers(
        dest="kind", required=True, metavar="KIND", help="what is shown; each kind has options of its own"
    )

    def kind(name: str, examples: str) -> argparse.ArgumentParser:
        made = command_parser(kinds, name, plot, (MAKERS | WHOLE)[name].__doc__, examples, below=True)
        files = "map as a file that ends in .html" if name == "page" else "file that ends in .png or .svg"
        made.add_argument(
            "--out", type=Path, default=Path("plots"), metavar="DIR_OR_FILE",
            help=f"a folder for {name}{'.html' if name == 'page' else '.png and .svg'}, or a {files} (default: %(default)s)",
        )  # fmt: skip
        return made

    def drawings(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "paths", type=Path, nargs="*", metavar="PATH", help="files and folders, or one .npz of `deepdxf embed`"
        )
        made.add_argument("--archive", metavar="DIR", help="the drawings and vectors of an archive instead")
        encoder_option(made)
        workers_option(made)

    def groups(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "--groups", type=Path, metavar="CSV", help="which drawings belong together (default: groups.csv in PATH)"
        )

    def look(made: argparse.ArgumentParser, *, code: bool) -> None:
        groups(made)
        made.add_argument(
            "--color",
            choices=("family", "source", *(("code",) if code else ()), "none"),
            help="what colours and markers tell (default: family with groups, else source)",
        )
        made.add_argument(
            "--method", choices=("pca", "tsne", "umap", "pacmap"), default="pca",
            help="how vectors become places; umap and pacmap: extra `maps` (default: %(default)s)",
        )  # fmt: skip
        made.add_argument("--seed", type=int, default=0, metavar="S", help="of all but pca (default: %(default)s)")

    def model(made: argparse.ArgumentParser) -> None:
        made.add_argument("model", type=Path, metavar="MODEL", help="folder of a run or a model")

    made = kind("curves", "deepdxf plot curves run\ndeepdxf plot curves run --out curves.svg")
    made.add_argument("run_folder", type=Path, metavar="RUN", help="folder of a run of `deepdxf train`")

    made = kind(
        "map",
        "deepdxf plot map drawings\n"
        "deepdxf plot map --archive my-archive --color source --method tsne\n"
        "deepdxf plot map vectors.npz --groups drawings/groups.csv --method umap\n"
        "deepdxf plot map drawings --color code --model run",
    )
    drawings(made)
    look(made, code=True)
    made.add_argument("--model", type=Path, metavar="DIR", help="run or model whose codes --color code shows")

    made = kind(
        "page", "deepdxf plot page drawings --method tsne\ndeepdxf plot page --archive my-archive --out map.html"
    )
    drawings(made)
    look(made, code=False)

    made = kind(
        "heat",
        "deepdxf plot heat a.dxf b.dxf c.dxf\ndeepdxf plot heat drawings --groups groups.csv --group variant-00003",
    )
    drawings(made)
    groups(made)
    made.add_argument("--group", metavar="ID", help="only the drawings of a group, or of a family by its name")
    made.add_argument(
        "--most", type=positive, default=100, metavar="N", help="drawings that it may have (default: %(default)s)"
    )

    made = kind("gap", "deepdxf plot gap run drawings\ndeepdxf plot gap run/model drawings --json")
    model(made)
    made.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="files and folders")
    workers_option(made)

    made = kind("plane", "deepdxf plot plane results/objectives\ndeepdxf plot plane results.jsonl --out plane.svg")
    made.add_argument(
        "results", type=Path, metavar="RESULTS", help="results.jsonl of `deepdxf experiment`, or its folder"
    )

    made = kind(
        "sphere", "deepdxf plot sphere drawings --encoder run\ndeepdxf plot sphere --archive my-archive --whole"
    )
    drawings(made)
    made.add_argument("--whole", action="store_true", help="only the whole vectors, not each code of them")

    made = kind(
        "attention", "deepdxf plot attention run bracket.dxf\ndeepdxf plot attention run/model sheet.dwg -k 3 --json"
    )
    model(made)
    made.add_argument("file", type=Path, metavar="FILE", help="the drawing")
    made.add_argument(
        "-k", type=positive, default=10, metavar="K", help="entities that --json lists (default: %(default)s)"
    )

    made = kind(
        "matches", "deepdxf plot matches old.dxf new.dxf\ndeepdxf plot matches left.dxf right.dxf --mirrored --lines 6"
    )
    made.add_argument("a", type=Path, metavar="A", help="a drawing")
    made.add_argument("b", type=Path, metavar="B", help="another")
    made.add_argument(
        "--lines", type=positive, default=14, metavar="N", help="pairs that are joined (default: %(default)s)"
    )
    made.add_argument(
        "--tolerance", type=positive_number, metavar="T", help="as in `compare`: coordinates that are the same"
    )
    made.add_argument("--any-size", action="store_true", help="A may have another scale")
    made.add_argument("--mirrored", action="store_true", help="A may be mirrored")
    made.add_argument("--rotated", action="store_true", help="A may be turned, by any angle")

    made = kind(
        "gallery",
        "deepdxf evaluate drawings --groups drawings/groups.csv --rankings rankings.jsonl\n"
        "deepdxf plot gallery rankings.jsonl drawings\n"
        "deepdxf plot gallery rankings.jsonl drawings --which worst -n 6 -k 8",
    )
    made.add_argument("rankings", type=Path, metavar="JSONL", help="of `deepdxf evaluate --rankings`")
    made.add_argument("drawings", type=Path, metavar="PATH", help="folder of the drawings")
    made.add_argument(
        "--groups", type=Path, metavar="CSV", help="which drawings belong together (default: groups.csv in PATH)"
    )
    made.add_argument("--kinds", nargs="+", metavar="KIND", help="kinds of groups that ask, as in `evaluate`")
    made.add_argument("--which", choices=("both", "best", "worst"), default="both", help="(default: %(default)s)")
    made.add_argument("-n", type=positive, default=3, metavar="N", help="queries of each (default: %(default)s)")
    made.add_argument("-k", type=positive, default=6, metavar="K", help="hits of each (default: %(default)s)")

    made = kind(
        "all", "deepdxf plot all run\ndeepdxf plot all run drawings --groups drawings/groups.csv --out pictures"
    )
    made.add_argument("run_folder", type=Path, metavar="RUN", help="folder of a run of `deepdxf train`")
    made.add_argument("paths", type=Path, nargs="*", metavar="PATH", help="drawings for the pictures of the model")
    groups(made)
    workers_option(made)
    made.set_defaults(parse=top.parse_args)
