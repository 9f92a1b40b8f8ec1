# SPDX-License-Identifier: GPL-3.0-or-later
"""How much each shape key of one mesh shows, from the channels, and back. No bpy here.

A key that alone stands for one channel shows that channel. Where keys show mixtures, the keys of a factor that have
channels in common are solved for together (`backend.mapping.conversion`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..backend.mapping.conversion import convert, meanings_matrix
from ..backend.motion.factors import ARKIT_NAMES, FACTOR_OF
from .rig_profile import KeyBinding

__all__ = ["channels_of_keys", "factor_of", "shown"]

Values = Mapping[str, NDArray[np.floating]]


def factor_of(binding: KeyBinding) -> str:
    """The factor that a key is baked with: the one that most of what it shows belongs to."""
    amounts: Counter[str] = Counter()
    for channel, weight in binding.channels.items():
        amounts[FACTOR_OF[channel]] += abs(weight)  # pyright: ignore[reportArgumentType]
    return amounts.most_common(1)[0][0]


def shown(bindings: Sequence[KeyBinding], values: Values) -> list[NDArray[np.float64] | None]:
    """How much of each key to show (T,), for channels (T,) by name; None where no channel of its factor is given.

    Before gain, offset and the limits of sliders. Keys of several meshes that show the same show as much.
    """
    shuts = any("mouthClose" in binding.channels for binding in bindings)
    meshes: dict[tuple[str, str], list[KeyBinding]] = defaultdict(list)
    for binding in bindings:
        meshes[binding.object, factor_of(binding)].append(binding)
    known: dict[_Shape, NDArray[np.float64]] = {}
    for (_, factor), group in sorted(meshes.items(), key=lambda item: -len(item[1])):
        wanted = {n: v for n, v in values.items() if FACTOR_OF[n] == factor and n in ARKIT_NAMES}
        new = [binding for binding in group if _shape(binding) not in known]
        if wanted and new:
            known |= _shown_on_mesh(new, wanted, solve_all=factor == "lip" and not shuts)
    return [known.get(_shape(binding)) for binding in bindings]


_Shape = tuple[tuple[tuple[str, float], ...], float, float]


def _shape(binding: KeyBinding) -> _Shape:
    """What a key shows and how much of it may be shown."""
    return tuple(sorted(binding.channels.items())), binding.low, binding.high


def _shown_on_mesh(
    bindings: Sequence[KeyBinding], wanted: Values, solve_all: bool
) -> dict[_Shape, NDArray[np.float64]]:
    """How much (T,) of each key of one factor on one mesh.

    solve_all: solve for all keys together, as nothing shuts the lips over an open jaw: the jaw then shuts with them.
    """
    counts = Counter(channel for binding in bindings for channel in binding.channels)
    together = [b for b in bindings if solve_all or b.channel is None or counts[b.channel] > 1]
    alone = [binding for binding in bindings if binding not in together]
    amounts = {}
    for binding in alone:
        channel = next(iter(binding.channels))
        if channel in wanted:
            amount = wanted[channel].astype(np.float64) / binding.channels[channel]
            amounts[_shape(binding)] = np.clip(amount, binding.low, binding.high)
    rest = {name: track for name, track in wanted.items() if name not in {binding.channel for binding in alone}}
    if together and rest:
        amounts |= zip(map(_shape, together), _solved(together, rest), strict=True)
    return amounts


def _solved(bindings: Sequence[KeyBinding], wanted: Values) -> NDArray[np.float64]:
    """How much of each key (K, T) comes nearest to the channels."""
    frames = len(next(iter(wanted.values())))
    channels = np.zeros((frames, len(ARKIT_NAMES)))
    for name, track in wanted.items():
        channels[:, ARKIT_NAMES.index(name)] = track
    low, high = (np.array([getattr(binding, end) for binding in bindings]) for end in ("low", "high"))
    return convert(channels, [binding.channels for binding in bindings], low, high).T


def channels_of_keys(
    bindings: Iterable[KeyBinding], amounts: Iterable[NDArray[np.floating]]
) -> dict[str, NDArray[np.float64]]:
    """The channels (T,) by name that keys show together, given how much of each (T,) is shown: `shown` backwards.

    Exact for keys that stand for one channel each, what the mixtures are made of for others.
    """
    bindings = list(bindings)
    if not bindings:
        return {}
    table = np.stack([np.asarray(amount, np.float64) for amount in amounts], axis=1) @ meanings_matrix(
        [binding.channels for binding in bindings]
    )
    carried = {channel for binding in bindings for channel in binding.channels}
    return {name: table[:, column] for column, name in enumerate(ARKIT_NAMES) if name in carried}
