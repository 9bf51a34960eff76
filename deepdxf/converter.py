"""An external converter for DWG files that the reader refuses: older than R13, damaged, or of a kind unknown to it.

Nothing is converted unless the user names a command in the environment variable `VARIABLE`. It is started without a shell,
in a temporary folder, with a limit of time; in its words these are replaced:

    {input}          the DWG file                         {input_folder}    its folder, with nothing else in it
    {output}         the DXF file that it shall write     {output_folder}   its folder, empty

so that programs that convert files (``dwg2dxf -o {output} {input}``) and folders (``ODAFileConverter {input_folder}
{output_folder} ACAD2018 DXF 0 1``) will do.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from deepdxf.errors import ReadError

VARIABLE = "DEEPDXF_CONVERTER"
SECONDS = 60.0


def command() -> str:
    """The command that the user has named; empty if there is none."""
    return os.environ.get(VARIABLE, "").strip()


def convert(data: bytes, largest: int, *, seconds: float = SECONDS) -> bytes:
    """The DXF file that the converter makes of a DWG file.

    Args:
        data: bytes of the DWG.
        largest: bytes that the DXF may have.
        seconds: after which the converter is ended.

    Raises:
        ReadError: there is no converter, it cannot be started, fails, takes too long, or writes nothing.
    """
    words = split(command())
    if not any("{input" in word for word in words):
        raise ReadError(f"the converter in {VARIABLE} does not name {{input}}")
    with tempfile.TemporaryDirectory(prefix="deepdxf-", ignore_cleanup_errors=True) as folder:
        source, target = Path(folder, "in", "drawing.dwg"), Path(folder, "out", "drawing.dxf")
        for path in (source, target):
            path.parent.mkdir()
        source.write_bytes(data)
        places = {"input": source, "output": target, "input_folder": source.parent, "output_folder": target.parent}
        for name, path in places.items():
            words = [word.replace(f"{{{name}}}", str(path)) for word in words]
        try:
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, cwd=folder, check=False
            )
        except subprocess.TimeoutExpired:
            raise ReadError(f"the converter took longer than {seconds:g} s") from None
        except (OSError, ValueError) as error:
            raise ReadError(f"the converter {words[0]!r} cannot be started ({error})") from error
        # some end with an error though they have written what they could
        made = next((path for path in sorted(target.parent.glob("*.[dD][xX][fF]")) if path.stat().st_size), None)
        if made is None:
            said = " ".join((done.stderr or done.stdout).decode("utf-8", "replace").split())[-100:]
            raise ReadError(f"the converter wrote no DXF (exit code {done.returncode}{': ' + said if said else ''})")
        if made.stat().st_size > largest:
            raise ReadError(f"too large: {made.stat().st_size} bytes after conversion, the limit is {largest}")
        return made.read_bytes()


def split(text: str) -> list[str]:
    """A command line in words; quotes hold words with spaces together. Backslashes are part of paths on Windows."""
    try:
        if os.name == "nt":
            return [word.strip("\"'") for word in shlex.split(text, posix=False)]
        return shlex.split(text)
    except ValueError as error:
        raise ReadError(f"the converter in {VARIABLE} is no command line ({error})") from error
