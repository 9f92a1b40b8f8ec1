# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures beside a report: opening of the lips over time, and figures side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..motion.clip import MotionClip
from ..motion.factors import FACTORS
from .measures import aperture, full_channels
from .peers import Peer
from .phones import CLOSED, Phones
from .report import Take

__all__ = ["plot_bars", "plot_tracks"]

_CLIPS: Final = 4
_SHOWN_S: Final = 6.0
_SHARES: Final = (
    "closure_auc", "rounding_auc", "open_auc", "closure_recall", "closure_precision",
    "aperture_pearson", "aperture_concordance", "jaw_pearson", "rounding_pearson", "lip_pearson",
)  # fmt: skip
"""Figures of which 1 is the best."""


def plot_tracks(takes: Sequence[Take], peers: Sequence[Peer], path: Path) -> None:
    """Opening of the lips in the first seconds of a few clips: ours, peers', captured; P, B and M shaded."""
    first = list({take.truth.name: take for take in reversed(takes)}.values())[::-1]
    chosen = first[:: max(1, len(first) // _CLIPS)][:_CLIPS]
    figure = Figure(figsize=(12, 2.6 * len(chosen)), layout="constrained")
    for take, axes in zip(chosen, figure.subplots(len(chosen), squeeze=False)[:, 0], strict=True):
        _draw(axes, take.clip, "ours", "C0")
        for i, peer in enumerate(peers):
            if (taken := peer.take(take.truth.path)) is not None:
                _draw(axes, taken[0], peer.name, f"C{i + 1}")
        if take.truth.captured is not None:
            _draw(axes, take.truth.captured, "captured", "black")
        _shade(axes, take.truth.phones or ())
        axes.set(title=take.truth.name, ylabel="aperture", xlim=(0, min(_SHOWN_S, take.clip.duration_s)))
        axes.legend(loc="lower right", ncols=3)
    figure.savefig(path, dpi=110)


def plot_bars(columns: dict[str, dict[str, Any]], path: Path) -> None:
    """Figures of which 1 is the best, for each column of the report; nothing where none could be measured."""
    shown = [name for name in _SHARES if any(name in column for column in columns.values())]
    if not shown:
        return
    figure = Figure(figsize=(11, 4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(columns)
    for i, (name, column) in enumerate(columns.items()):
        axes.bar(np.arange(len(shown)) + i * width, [column.get(key, 0.0) for key in shown], width, label=name)
    axes.set_xticks(np.arange(len(shown)) + 0.4 - width / 2, [name.replace("_", "\n") for name in shown])
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def _draw(axes: Axes, clip: MotionClip, label: str, color: str) -> None:
    opening = aperture(full_channels(clip, [name for name in FACTORS[0].channels if name in clip.names]))
    axes.plot(np.arange(len(clip)) / clip.fps, opening, label=label, color=color, linewidth=1.2)


def _shade(axes: Axes, phones: Phones) -> None:
    for phone, start, end in phones:
        if end > _SHOWN_S or phone == "SIL":
            continue
        if phone in CLOSED:
            axes.axvspan(start, end, color="tab:purple", alpha=0.15)
        middle, top = (start + end) / 2, axes.get_xaxis_transform()
        axes.text(middle, 0.99, phone, transform=top, fontsize=6, ha="center", va="top")
