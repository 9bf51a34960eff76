"""A DXF file from its tags, for tests that need every byte under control."""

from __future__ import annotations

from deepdxf.drawing import Drawing
from deepdxf.reader import parse

Tags = list[tuple[int, object]]


def tags(text: str) -> Tags:
    """``"0 LINE, 8 0, 10 1.5"`` as [(0, "LINE"), (8, "0"), (10, "1.5")]; values hold no commas."""
    pairs = (part.strip().split(" ", 1) for part in text.replace("\n", " ").split(",") if part.strip())
    return [(int(pair[0]), pair[1] if len(pair) > 1 else "") for pair in pairs]


def encode(pairs: Tags, newline: str = "\n", encoding: str = "utf-8") -> bytes:
    """Tags as ASCII DXF lines."""
    return "".join(f"{code:>3}{newline}{value}{newline}" for code, value in pairs).encode(encoding)


def section(name: str, content: Tags) -> Tags:
    return [(0, "SECTION"), (2, name), *content, (0, "ENDSEC")]


def document(entities: str | Tags, blocks: str | Tags = "", header: str | Tags = "9 $ACADVER, 1 AC1009") -> Tags:
    """A whole document; each part as tags or in the short form of `tags`."""
    parts = {"HEADER": header, "BLOCKS": blocks, "ENTITIES": entities}
    pairs: Tags = []
    for name, part in parts.items():
        content = tags(part) if isinstance(part, str) else part
        if content or name == "ENTITIES":
            pairs += section(name, content)
    return [*pairs, (0, "EOF")]


def block(name: str, entities: str, base: str = "10 0, 20 0") -> str:
    """A block definition in the short form."""
    return f"0 BLOCK, 8 0, 2 {name}, 70 0, {base}, 30 0, {entities}, 0 ENDBLK, 8 0,"


def line(x0: float, y0: float, x1: float, y1: float, extra: str = "") -> str:
    return f"0 LINE, {extra} 8 0, 10 {x0}, 20 {y0}, 30 0, 11 {x1}, 21 {y1}, 31 0,"


def insert(name: str, x: float = 0.0, y: float = 0.0, extra: str = "") -> str:
    return f"0 INSERT, 8 0, 2 {name}, 10 {x}, 20 {y}, 30 0, {extra}"


def drawing(entities: str | Tags, blocks: str | Tags = "", *, careful: bool = False, **options: object) -> Drawing:
    """Such a document, read."""
    return parse(encode(document(entities, blocks)), careful=careful, **options)  # type: ignore[arg-type]


def codes(d: Drawing) -> dict[str, int]:
    """Problems of a drawing by code."""
    found: dict[str, int] = {}
    for problem in d.problems:
        found[problem.code] = found.get(problem.code, 0) + problem.count
    return found
