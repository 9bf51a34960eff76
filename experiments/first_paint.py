"""How long the pages of a large archive take until something is seen: rows are made up, the browser is Debian's Chromium.

    python experiments/first_paint.py FOLDER [--drawings 10000]

FOLDER is a small archive (`deepdxf demo`); its rows are copied under new ids into a new archive beside it, vectors with a
little noise. The figure of a page is its first contentful paint, the median of five visits with an empty cache; the first
visit of all, which reads the catalogue, stands by itself. Needs the extra `serve` and playwright.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import uvicorn
from playwright.sync_api import sync_playwright

from deepdxf.archive import Archive
from deepdxf.server.app import create_app
from deepdxf.server.settings import Settings

PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"
VISITS = 5


def enlarged(source: Path, target: Path, rows: int) -> Archive:
    """An archive of so many rows at an address where there is none."""
    small = Archive.open(source)
    table = small.table("drawings").to_arrow()
    pieces, rng = [], np.random.default_rng(0)
    for number in range(-(-rows // len(table))):
        vectors = np.stack(table["vector"].to_pylist()).astype(np.float32)
        vectors += rng.normal(0, 0.01, vectors.shape).astype(np.float32)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        ids = [f"{number * len(table) + i:016x}" for i in range(len(table))]
        paths = [f"{number:04}/{path}" for path in table["path"].to_pylist()]
        piece = table
        for name, values in (("id", pa.array(ids)), ("path", pa.array(paths))):
            piece = piece.set_column(piece.schema.get_field_index(name), piece.schema.field(name), values)
        field = piece.schema.field("vector")
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        pieces.append(piece.set_column(piece.schema.get_field_index("vector"), field, column))
    whole = pa.concat_tables(pieces).slice(0, rows)
    reader = pa.RecordBatchReader.from_batches(whole.schema, whole.to_batches())
    return Archive.restore(
        str(target), {"drawings": reader}, encoder_id=small.encoder_id, dim=small.dim, format=small.format
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--drawings", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        archive = enlarged(arguments.archive, Path(folder, "large"), arguments.drawings)
        print(f"{len(archive)} drawings")
        server = uvicorn.Server(uvicorn.Config(create_app(Settings(archive.address)), port=0, log_level="warning"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        site = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        id = str(archive.vectors()[0][0])
        paths = ["/", "/drawings", "/drawings?" + "where=" + quote("circles > 4"), f"/drawings/{id}"]
        paths += [f"/search?query={id}", "/search?text=plate", "/duplicates", "/map", "/archive"]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
            )
            print(f"first visit of all: {visit(browser, site + '/'):.0f} ms")
            for path in paths:
                first, *others = [visit(browser, site + path) for _ in range(VISITS)]
                print(f"{path.replace(id, 'ID'):30} {statistics.median(others):6.0f} ms, the first time {first:.0f} ms")
            browser.close()
        server.should_exit = True
        thread.join()


def visit(browser: object, address: str) -> float:
    """Milliseconds until the first contentful paint, in a browser without a cache."""
    context = browser.new_context()  # type: ignore[attr-defined]
    page = context.new_page()
    page.goto(address)
    page.wait_for_function(f"!Number.isNaN({PAINT})")
    paint = float(page.evaluate(PAINT))
    context.close()
    return paint


if __name__ == "__main__":
    main()
