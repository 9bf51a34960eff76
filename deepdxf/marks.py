"""What names and title blocks say of a drawing: marks of revision, version or copy, and drawing numbers.

Glossary
--------
mark    what tells versions of one drawing apart: ``-R2``, ``_rev03``, ``v1.2``, ``(2)``, ``-B``, ``2026-01-31``, ``old``.
base    a file name without its marks.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from deepdxf.files import stem_of

# Which mark orders versions, the best first
Basis = Literal["title block", "revision", "version", "letter", "date", "word", "copy"]
BASES: tuple[Basis, ...] = ("title block", "revision", "version", "letter", "date", "word", "copy")
Key = tuple[int, ...]

_REVISION = re.compile(
    r"(?<![^\W_])(?:revision|rev|issue|iss|index|ausgabe|indice)[ ._-]*(?:no\.?|nr\.?)?[ ._-]*"
    r"(\d+(?:\.\d+)*|[a-z]{1,2})(?![^\W_])"
)
_SHORT = re.compile(r"(?<![^\W_])(r|v|ver|version)[ ._-]?(\d+(?:[._]\d+)*)(?![^\W_])")
_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_. ]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")
_DAY_FIRST = re.compile(r"(?<!\d)(0[1-9]|[12]\d|3[01])([-_. ])(0[1-9]|1[0-2])\2((?:19|20)\d\d)(?!\d)")
_COPY = re.compile(r"[ _-]*(?:\((\d{1,3})\)|(?<![^\W_])(?:copy|kopie|copie)(?:[ _-]*\(?(\d{1,3})\)?)?)$")
_LETTER = re.compile(r"(?:(?<=[ _.-])|(?:(?<=[ _.-])|^)(?P<number>\d{3,}))(?P<letter>[a-z])$")
_WORD = re.compile(r"(?<![^\W_])(old|alt|prev|previous|bak|backup|obsolete|new|neu|final)(?![^\W_])")
EARLY = {"old", "alt", "prev", "previous", "bak", "backup", "obsolete"}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=(?:Rev|REV|Ver)[ ._-]?[0-9A-Z])")
_SEPARATORS = re.compile(r"[\s_.\-]+")


def marks_of(name: str) -> tuple[str, dict[Basis, tuple[Key, str]]]:
    """The base of a file name, and its marks: what each counts as, and as it is written.

    The base is folded (case, width of letters, separators); it is empty where the name consists of marks.
    """
    rest = _CAMEL.sub(" ", stem_of(unicodedata.normalize("NFKC", name))).lower()
    marks: dict[Basis, tuple[Key, str]] = {}

    def take(basis: Basis, match: re.Match[str] | None, key: Key) -> None:
        nonlocal rest
        if match is not None:
            marks.setdefault(basis, (key, match[0].strip(" _.-")))
            rest = rest[: match.start()] + " " + rest[match.end() :]
            rest = rest.rstrip()

    if match := _DATE.search(rest):
        take("date", match, (int(match[1]), int(match[3]), int(match[4])))
    elif match := _DAY_FIRST.search(rest):
        take("date", match, (int(match[4]), int(match[3]), int(match[1])))
    if match := _COPY.search(rest):
        take("copy", match, (int(match[1] or match[2] or 1),))
    if match := _WORD.search(rest):
        take("word", match, (0 if match[1] in EARLY else 2,))
    if match := _REVISION.search(rest):
        take("revision", match, revision_key(match[1]))
    for _ in range(2):  # a revision and a version
        if match := _SHORT.search(rest):
            take("revision" if match[1] == "r" else "version", match, revision_key(match[2]))
    if (match := _LETTER.search(rest)) and len(rest[: match.start("letter")].strip(" _.-")) > 1:
        marks["letter"] = revision_key(match["letter"]), match["letter"]
        rest = rest[: match.start("letter")]
    return _SEPARATORS.sub(" ", rest).strip(), marks


def revision_key(text: str) -> Key:
    """What a revision counts as: numbers before letters, 2 < 10, 1.2 < 1.10, B < AA; empty if it is none."""
    text = unicodedata.normalize("NFKC", text).strip(" .-_()[]").lower()
    text = re.sub(r"^(?:revision|rev|issue|index|ver|version|r(?=\d)|v(?=\d))[ ._:-]*", "", text)
    if re.fullmatch(r"\d{1,6}(?:[._]\d{1,6})*", text):
        return (0, *map(int, re.split(r"[._]", text)))
    if re.fullmatch(r"[a-z]{1,2}", text):
        return (1, len(text), *(ord(letter) - 96 for letter in text))
    if match := re.fullmatch(r"([a-z]{1,2})[ ._-]?(\d{1,4})", text):  # B2: between B and C
        return (*revision_key(match[1]), int(match[2]))
    return ()


def tag_of(text: str) -> str:
    """The tag of a title-block field as tags are compared."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NUMBER_TAGS = _words(
    """drawingno drawingnumber drawingnr drawing dwgno dwgnr dwgnumber dwgnum drgno drgnumber docno docnumber documentno
    documentnumber partno partnumber partnr itemno itemnumber zeichnungsnummer zeichnungsnr zeichnungnr zeichnungno
    zeichnr zngnr teilenummer teilenr artikelnummer artikelnr sachnummer sachnr numplan numerodeplan plannr planno 図番
    図面番号 品番 图号"""
)
REVISION_TAGS = _words(
    """rev revision revno revnr revnumber version issue issueno index aenderungsindex änderungsindex änderung aenderung
    aend änd ausgabe indice 改訂 版本 版次"""
)
REPLACES_TAGS = _words(
    """replaces replacesno supersedes ersatzfür ersatzfuer ersetzt derivedfrom basedon originalno remplace 流用元
    流用元図番"""
)


def number_of(text: str) -> str:
    """A drawing number as numbers are compared; empty for what fills an empty field."""
    folded = "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())
    return folded if len(folded) >= 3 and len(set(folded)) > 1 and any(c.isdigit() for c in folded) else ""
