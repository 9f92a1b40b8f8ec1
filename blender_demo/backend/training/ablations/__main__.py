# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m blender_demo.backend.training.ablations DATA --work DIR --weights DIR --out FILE.md`: train and measure
what is not there yet, and write the tables anew after each row.
"""

import argparse
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from tqdm import tqdm

from ...errors import DemoError
from ...evaluation.report import write_json
from ...networks import WEIGHTS_DIR
from ..flow import FlowRecipe
from .ground import load_frozen, prepare
from .questions import QUESTIONS, Figures
from .report import write_tables
from .workshop import Workshop

_RECIPE: Final = FlowRecipe(steps=500, batch=8, frames=90, rate=2e-3)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    try:
        _ablate(arguments)
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="blender_demo.backend.training.ablations", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with clips/ and splits.json")
    parser.add_argument(
        "--work", type=Path, default=Path("build/training"), help="cached features, finished rows; checkpoints, if any"
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS_DIR, help="folder of the weights")
    parser.add_argument("--out", type=Path, default=Path("docs/ablations.md"), help="where the tables are written")
    parser.add_argument(
        "--only", nargs="+", default=[], choices=[q.name for q in QUESTIONS], help="questions to answer"
    )
    parser.add_argument("--steps", type=int, default=_RECIPE.steps, help="of each training")
    parser.add_argument("--threads", type=int, help="of the CPU")
    return parser


def _ablate(arguments: argparse.Namespace) -> None:
    recipe = replace(_RECIPE, steps=arguments.steps)
    frozen = load_frozen(arguments.weights, arguments.work)
    # Rows of other weights or of another budget are never mixed in.
    work = arguments.work / "ablations"
    trained = work / f"{frozen.digest(finished=False)}-{recipe.steps}"
    finished = trained if frozen.fields is None else work / frozen.digest(finished=True)
    rows = {
        (question.name, row): (finished if question.finished else trained) / f"{question.name}-{_slug(row)}.json"
        for question in QUESTIONS
        for row in question.rows
    }
    wanted = [q for q in QUESTIONS if not arguments.only or q.name in arguments.only]
    missing = [(q, row) for q in wanted for row in q.rows if not rows[q.name, row].is_file()]
    if missing:
        shop = Workshop(frozen, prepare(arguments.data, arguments.work / "cache", frozen), trained, recipe)
        for question, row in tqdm(missing, desc="rows"):
            write_json(rows[question.name, row], question.rows[row](shop))
            write_tables(arguments.out, _done(rows), recipe, frozen.fields is not None)
    write_tables(arguments.out, _done(rows), recipe, frozen.fields is not None)


def _slug(row: str) -> str:
    return re.sub("[^a-z0-9]+", "-", row.lower()).strip("-")


def _done(rows: dict[tuple[str, str], Path]) -> dict[str, dict[str, Figures]]:
    """Figures by question and row, of the rows that are done."""
    out: dict[str, dict[str, Figures]] = {}
    for (question, row), path in rows.items():
        if path.is_file():
            out.setdefault(question, {})[row] = json.loads(path.read_text("utf-8"))
    return out


if __name__ == "__main__":
    sys.exit(main())
