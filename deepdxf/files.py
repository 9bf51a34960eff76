"""Files: which of a folder are drawings, names that any system can store, and writing without leaving halves behind."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deepdxf.errors import DeepDXFError, ReadError

SUFFIXES = (".dxf", ".dwg", ".dxf.gz")


def stem_of(name: str) -> str:
    """A drawing's name or path without its ending, one of `SUFFIXES` in any case; itself where it has none of them."""
    ending = next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(ending)]


@dataclass(frozen=True)
class Files:
    """Drawing files below some paths."""

    paths: Mapping[str, str]  # absolute path -> absolute root, sorted by path
    unreadable: Mapping[str, str]  # folder that cannot be listed -> reason


def find_files(paths: Iterable[str | Path]) -> Files:
    """All files named like `SUFFIXES` (any case) below the paths; a path that is a file counts whatever its name.

    Links to folders are followed, except to a folder that is visited anyway or has been.

    Raises:
        ReadError: one of the paths does not exist.
    """
    roots = [os.path.abspath(path) for path in paths]
    found: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    for root in roots:
        if os.path.isfile(root):
            found.setdefault(root, os.path.dirname(root))
        elif not os.path.isdir(root):
            raise ReadError(f"no such file or folder: {root}")
    real_roots = [os.path.realpath(root) for root in roots if os.path.isdir(root)]
    visited: set[str] = set()
    for root in roots:
        stack = [root] if os.path.isdir(root) else []
        while stack:
            folder = stack.pop()
            real = os.path.realpath(folder)
            if real in visited:
                continue
            visited.add(real)
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError as error:
                unreadable[folder] = error.strerror or str(error)
                continue
            for entry in entries:
                if entry.is_dir():
                    if entry.is_symlink():
                        target = os.path.realpath(entry.path)
                        if any(is_below(target, other) or is_below(other, target) for other in real_roots):
                            continue
                    stack.append(entry.path)
                elif entry.name.lower().endswith(SUFFIXES):
                    found.setdefault(entry.path, root)
    return Files(dict(sorted(found.items())), unreadable)


def relative_names(files: Files) -> dict[str, str]:
    """Absolute path -> path relative to its root, with "/"; in the order of the files.

    Where two files would have the same name, all names are relative to the folder that the roots have in common.

    Raises:
        DeepDXFError: there is no such folder, for the files lie on several drives.
    """
    names = {path: _relative(path, root) for path, root in files.paths.items()}
    name, count = max(Counter(names.values()).items(), key=lambda item: item[1], default=("", 0))
    if count < 2:
        return names
    try:
        common = os.path.commonpath(files.paths.values())
    except ValueError:
        raise DeepDXFError(f"several files have the name {name}; run the command on each folder by itself") from None
    return {path: _relative(path, common) for path in names}


def _relative(path: str, folder: str) -> str:
    return Path(os.path.relpath(portable(path), portable(folder))).as_posix()


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it; both absolute and normalised."""
    path, folder = os.path.normcase(path), os.path.normcase(folder)
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def portable(path: str) -> str:
    """A path as UTF-8 can hold it: bytes of a name that are no text become escapes."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def without_path(message: str, path: str) -> str:
    """An error's text without the path in front of it, for reports that name the path already."""
    return message.removeprefix(" ".join(f"{path}:".split()) + " ")


def check_writable(path: str | Path) -> None:
    """Whether `replacing` is going to work, asked before long work rather than after it.

    Raises:
        DeepDXFError: it is not.
    """
    with _partial(Path(path)):
        pass


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the place of ``path`` when the block ends well, else it is removed.

    Raises:
        DeepDXFError: it cannot be written.
    """
    path = Path(path)
    with _partial(path) as partial:
        yield partial
        if os.name == "posix":  # temporary files are private, these as public as the user's other files
            mask = os.umask(0)
            os.umask(mask)
            partial.chmod(0o666 & ~mask)
        partial.replace(path)


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A new empty file beside ``path``, gone at the end of the block; OSErrors of the block become one line."""
    partial: Path | None = None
    try:
        if path.is_dir():
            raise DeepDXFError(f"cannot write {path}: it is a folder; name a file")
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".partial")
        os.close(handle)
        partial = Path(name)
        yield partial
    except OSError as error:
        reason = error.strerror or str(error)
        raise DeepDXFError(
            f"cannot write {path}: {reason}; is it open in another program or its folder missing?"
        ) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)
