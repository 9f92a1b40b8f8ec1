# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables as Markdown."""

import os
from pathlib import Path
from typing import Final

from ...errors import DemoError
from ..flow import FlowRecipe
from .questions import QUESTIONS, Figures, Question

__all__ = ["tables", "write_tables"]

_COLUMNS: Final = {
    "parameters": ("weights", "{:,.0f}"),
    "evaluations": ("evaluations", "{:.0f}"),
    "aperture_pearson": ("opening r", "{:.3f}"),
    "std_ratio": ("Std-R", "{:.2f}"),
    "jerk_ratio": ("jerk", "{:.2f}"),
    "fast_energy_percent": ("> 10 Hz %", "{:.2f}"),
    "closure_auc": ("closure AUC", "{:.3f}"),
    "rounding_auc": ("rounding AUC", "{:.3f}"),
    "open_auc": ("open AUC", "{:.3f}"),
    "closure_recall": ("closure recall", "{:.3f}"),
    "blinks_per_minute": ("blinks / min", "{:.0f}"),
    "lip_change_redrawn_percent": ("lips, head redrawn %", "{:.1f}"),
    "lip_change_given_percent": ("lips, head given %", "{:.1f}"),
    "lip_kept_percent": ("lips kept %", "{:.1f}"),
    "pose_kept_percent": ("pose kept %", "{:.1f}"),
    "eyes_kept_percent": ("eyes kept %", "{:.1f}"),
    "expression_kept_percent": ("expression kept %", "{:.1f}"),
    "lips_told_by_sound": ("lips by sound R²", "{:.3f}"),
    "cross_correlation": ("r² across factors", "{:.4f}"),
    "leakage_percent": ("leakage %", "{:.1f}"),
    "pose_error_deg": ("head °", "{:.2f}"),
    "gaze_error_deg": ("gaze °", "{:.2f}"),
}
"""Heading and format of each figure."""

_HEAD: Final = """# Ablations

Written by `make ablations DATA=<folder>`. Every row is one small training ({steps} steps of {batch} x {frames} frames,
one seed) on the same third of the GRID, FACEGOOD and speechocean762 training clips, heard through the same frozen audio
encoder, or a setting of a finished model. So the tables tell which choice is better at equal cost, not how good the
finished model is (docs/evaluation.md), and with one seed small differences mean nothing. Rows of `solver` and `noise`
are of {shipped}.

Measured alike, on validation clips: *opening r* is the correlation of the lips' opening with the captured one and
*Std-R* the ratio of their spreads (best 1), *jerk* that of the lip channels over the captured one (best 1), *> 10 Hz*
the share of energy up there, all on GRID clips; AUC of closed, rounded and open phones and the share of P, B and M for
which the lips shut on speechocean762 clips; blinks over a minute of speech.
"""


def write_tables(path: Path, found: dict[str, dict[str, Figures]], recipe: FlowRecipe, has_fields: bool) -> None:
    """Write the document, atomically. found: figures by question and row. Raises DemoError where it cannot."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(tables(found, recipe, has_fields), "utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DemoError(f"Cannot write {path}: {error.strerror}. Choose a folder you may write to.") from error


def tables(found: dict[str, dict[str, Figures]], recipe: FlowRecipe, has_fields: bool) -> str:
    """One section for each question that has rows."""
    shipped = "the shipped weights" if has_fields else "the small model with a field for each factor"
    head = _HEAD.format(steps=recipe.steps, batch=recipe.batch, frames=recipe.frames, shipped=shipped)
    sections = [_section(q, found[q.name]) for q in QUESTIONS if q.name in found]
    return "\n".join([head, *sections])


def _section(question: Question, rows: dict[str, Figures]) -> str:
    names = [name for name in _COLUMNS if any(name in figures for figures in rows.values())]
    reference = rows.get(question.reference, {})
    lines = [
        f"## {question.name}\n\n{question.text}\n",
        f"| | {' | '.join(_COLUMNS[name][0] for name in names)} |",
        f"| --- |{' ---: |' * len(names)}",
    ]
    for row, figures in rows.items():
        lines.append(f"| {row} | {' | '.join(_cell(name, figures, reference) for name in names)} |")
    return "\n".join([*lines, ""])


def _cell(name: str, figures: Figures, reference: Figures) -> str:
    if name not in figures:
        return ""
    text = _COLUMNS[name][1].format(figures[name])
    return f"{text} ({figures[name] / reference[name]:.2f})" if reference.get(name) else text
