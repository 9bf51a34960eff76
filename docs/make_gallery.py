"""Write docs/gallery.md and its pictures: each made by the command that stands above it, from generated drawings.

python docs/make_gallery.py [FOLDER]

FOLDER keeps drawings, model and results for the next time (default: a temporary one); what is there is not made again.
Takes about five minutes on two cores, most of it training. The page's picture needs Chromium (extra `dev`).
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).resolve().parent
KEPT = DOCS.parent / "experiments" / "results" / "objectives"
PICTURES = DOCS / "plots"
WIDEST, MOST_BYTES = 1200, 150_000

FIRST = """# Gallery

<!-- Written by docs/make_gallery.py. -->

Every kind of picture that `deepdxf plot` makes, with the command. All are PNG and SVG at once; colours are told apart by
people of all kinds of colour vision, and markers, line styles, widths, hatches or numbers say the same in a black-and-white
print. Options of each kind: [commands](cli.md#plot). Needs `pip install 'deepdxf[plot]'`; looks into a model also `train`.

The drawings are generated, and the model has seen no others, for a few minutes: the pictures show what can be seen, not how
good a model can be. Made before:

```
"""


@dataclass(frozen=True)
class Kind:
    """A picture."""

    name: str  # of its file
    heading: str
    text: str
    command: str


PREPARED = {  # what is there after a command -> the command
    "drawings": "deepdxf synth drawings --drawings 120 --seed 3",
    "run": "deepdxf train tiny encoder.mixer=full stopping.epochs=30 --out run",
    "rankings.jsonl": "deepdxf evaluate drawings --groups drawings/groups.csv --rankings rankings.jsonl",
}
SMOKE = {"objectives": "deepdxf experiment objectives --size smoke --out objectives"}
KINDS = (
    Kind(
        "curves",
        "Training",
        "Loss of each term beside its chance level (dotted: there it would have learned nothing), retrieval on held-out "
        "drawings, and what tells a collapse: spread, effective rank, alignment and uniformity of the embeddings.",
        "deepdxf plot curves run",
    ),
    Kind(
        "map",
        "Map of drawings",
        "By PCA, t-SNE, and with the extra `maps` UMAP or PaCMAP; coloured by family or source. Works on folders, archives "
        "(`--archive`) and files of `deepdxf embed`.",
        "deepdxf plot map drawings --groups drawings/groups.csv --method tsne",
    ),
    Kind(
        "codes",
        "Both codes on one map",
        "Sequence and geometry code of each drawing, in the space where training compares them; a line joins the two.",
        "deepdxf plot map drawings --color code --model run --out plots/codes.png",
    ),
    Kind(
        "page",
        "Map to explore",
        "One HTML file: thumbnails on hover, the most similar drawings beside a chosen one, search by name, arrow keys. It "
        "loads nothing from anywhere.",
        "deepdxf plot page drawings --groups drawings/groups.csv --method tsne",
    ),
    Kind(
        "heat",
        "Similarity within a group",
        "Cosines of all pairs, like drawings beside each other.",
        "deepdxf plot heat drawings --groups drawings/groups.csv --group plate/00000",
    ),
    Kind(
        "gap",
        "Modality gap",
        "The two codes lie in different parts of their common sphere; centring each closes the gap. Below, whether the codes "
        "of one drawing are more alike than those of two.",
        "deepdxf plot gap run drawings",
    ),
    Kind(
        "plane",
        "Objectives by alignment and uniformity",
        "All objectives of an experiment on the plane of Wang and Isola, coloured by their retrieval.",
        "deepdxf plot plane objectives",
    ),
    Kind(
        "sphere",
        "Hypersphere",
        "Vectors on the circle, with histogram and density around it, and on the sphere in an equal-area projection. From many "
        "dimensions to two and three: the axes of largest second moment about the origin, stretched to unit length; the mean "
        "direction is at the right of the circle and in the middle of the sphere. Dashed: an even spread.",
        "deepdxf plot sphere drawings --encoder run",
    ),
    Kind(
        "attention",
        "Attention on the drawing",
        "What the pool of the sequence encoder weighs, traced back through its layers: the thicker and darker, the more.",
        "deepdxf plot attention run drawings/schematic/00009_base.dxf",
    ),
    Kind(
        "matches",
        "Matched entities",
        "Two drawings in the colours and line styles of [comparisons](compare.md); what moved or changed is joined first.",
        "deepdxf plot matches drawings/bracket/00002_base.dxf drawings/bracket/00002_feature-moved.dxf --lines 10",
    ),
    Kind(
        "gallery",
        "Best and worst queries",
        "Of an evaluation, with their hits: right ones in a thick frame, wrong ones dashed, what does not count dotted.",
        "deepdxf plot gallery rankings.jsonl drawings -n 2",
    ),
)


def run(command: str, folder: Path) -> None:
    """A command of the page, in the folder."""
    words = shlex.split(command)
    environment = {**os.environ, "PYTHONPATH": str(DOCS.parent)}
    subprocess.run([sys.executable, "-m", *words, "--quiet"], cwd=folder, env=environment, check=True)


def small(picture: bytes, target: Path) -> None:
    """Store a picture in few colours, so that it takes little room."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)), Image.Resampling.LANCZOS)
    for colours in (256, 128, 64, 32, 16):
        image.quantize(colours, dither=Image.Dither.NONE).save(target, "PNG", optimize=True)
        if target.stat().st_size <= MOST_BYTES:
            return


def screenshot(page: Path) -> bytes:
    """The page in Chromium, with a drawing that is chosen by keys."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1150, "height": 760})
        tab.goto(page.as_uri())
        tab.focus("#map")
        for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
            tab.keyboard.press(key)
        picture = tab.screenshot()
        browser.close()
    return picture


def main(folder: Path) -> None:
    PICTURES.mkdir(exist_ok=True)
    prepared = dict(PREPARED)
    kinds = list(KINDS)
    if KEPT.is_dir():  # results that were measured at length
        kinds = [
            Kind(k.name, k.heading, k.text, "deepdxf plot plane experiments/results/objectives")
            if k.name == "plane"
            else k
            for k in kinds
        ]
        (folder / "experiments" / "results").mkdir(parents=True, exist_ok=True)
        shutil.copytree(KEPT, folder / "experiments" / "results" / "objectives", dirs_exist_ok=True)
    else:
        prepared |= SMOKE
    for made, command in prepared.items():
        if not (folder / made).exists():
            run(command, folder)
    parts = [FIRST, *(f"{command}\n" for command in prepared.values()), "```\n"]
    for kind in kinds:
        run(kind.command, folder)
        plots = folder / "plots"
        picture = screenshot(plots / "page.html") if kind.name == "page" else (plots / f"{kind.name}.png").read_bytes()
        small(picture, PICTURES / f"{kind.name}.png")
        parts.append(f"\n## {kind.heading}\n\n{kind.text}\n\n```\n{kind.command}\n```\n\n")
        parts.append(f"![{kind.heading}](plots/{kind.name}.png)\n")
    parts.append(
        "\n## All of a run at once\n\nCurves, map, page, sphere, gap and attention, into one folder:\n\n"
        "```\ndeepdxf plot all run drawings --groups drawings/groups.csv\n```\n"
    )
    (DOCS / "gallery.md").write_text("".join(parts), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        main(Path(sys.argv[1]).resolve())
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
