"""Write the tables of docs/experiments.md out of the results in experiments/results.

python docs/make_experiments.py [FOLDER …]

FOLDERs are those of experiments (`deepdxf experiment … --out FOLDER`): their results are taken into experiments/results
first. What stands between the markers is replaced, all other text stays.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from deepdxf.experiment import RESULTS, write_results
from deepdxf.experiment_sets import NAMES
from deepdxf.experiment_tables import markdown, read_results

PAGE = Path(__file__).with_name("experiments.md")
KEPT = Path(__file__).parent.parent / "experiments" / "results"


def page(text: str) -> str:
    """The text with all tables as the results have them."""
    for name in NAMES:
        path = KEPT / name / RESULTS
        table = markdown(name, read_results(path)) if path.exists() else "Not run yet.\n"
        begin, end = f"<!-- results of {name}, by docs/make_experiments.py -->", f"<!-- end of {name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        text = pattern.sub(lambda _, parts=(begin, table, end): f"{parts[0]}\n{parts[1]}{parts[2]}", text)
    return text


def main(folders: Sequence[str]) -> None:
    for folder in folders:
        rows = read_results(Path(folder, RESULTS))
        place = KEPT / rows[0]["experiment"]
        place.mkdir(parents=True, exist_ok=True)
        write_results(place / RESULTS, rows)
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
