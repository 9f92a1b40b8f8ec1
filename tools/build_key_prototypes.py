# SPDX-License-Identifier: GPL-3.0-or-later
"""What each ARKit channel looks like on several heads, for telling shape keys apart by what they move.

    .venv/bin/python -m tools.build_key_prototypes ../shared/data/characters

Writes blender_demo/backend/mapping/prototypes.npz from the own head and the heads in the folder. It holds features
only, none of their geometry.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.mapping.by_shape import CLASSES, PROTOTYPE_FILE
from blender_demo.backend.mapping.face_map import EYE_Y, HALF_MOUTH, MOUTH_Y, FaceMap, on_face
from blender_demo.backend.mapping.shape_features import key_amplitudes, local_features, place_features
from blender_demo.backend.motion.factors import ARKIT_NAMES

Head = tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]
"""Vertices (V, 3) in the head frame, and the motion (V, 3) of each channel that the head has."""

ANCHORS: Final = 140
_SMILE_X: Final = 0.029
"""Where the smile of the own head is centered, in metres; half its mouth is HALF_MOUTH wide."""

_TO_HEAD_FRAME: Final = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""From Blender's axes, with the character facing -Y."""


def main(folder: Path) -> None:
    """Build the file from the heads in `folder`."""
    anchors = _anchors()
    heads = dict(_heads(folder))
    features = [_features(*head, anchors) for head in heads.values()]
    arrays = [np.stack(arrays) for arrays in zip(*features, strict=True)]
    names = ("place", "local", "amplitude")
    np.savez_compressed(
        PROTOTYPE_FILE, anchors=anchors.astype(np.float32), heads=np.array(list(heads)),
        channels=np.array(ARKIT_NAMES), **{n: a.astype(np.float16) for n, a in zip(names, arrays, strict=True)},
    )  # fmt: skip
    print(f"{PROTOTYPE_FILE}: {', '.join(heads)}; {PROTOTYPE_FILE.stat().st_size / 1e3:.0f} kB")


def _heads(folder: Path) -> Iterator[tuple[str, Head]]:
    own = load_head()
    yield "own", (own.vertices.astype(np.float64), dict(zip(ARKIT_NAMES, own.deltas.astype(np.float64), strict=True)))
    with np.load(folder / "ict_facekit.npz", allow_pickle=False) as data:
        names = [_arkit(str(name)) for name in data["expr_names"]]
        deltas = data["expr_delta"].astype(np.float64)
        yield (
            "ict_facekit",
            (data["vertices"].astype(np.float64), {n: d for n, d in zip(names, deltas, strict=True) if n}),
        )
    for file in ("mpfb_cc0_arkit.blend", "facecap_eyes_as_objects.blend"):
        yield file, _from_blend(folder / file)


def _arkit(name: str) -> str | None:
    full = name[:-2] + {"_L": "Left", "_R": "Right"}[name[-2:]] if name[-2:] in ("_L", "_R") else name
    return full if full in ARKIT_NAMES else None


def _from_blend(file: Path) -> Head:
    import bpy

    bpy.ops.wm.open_mainfile(filepath=str(file.absolute()))
    meshes = [o for o in bpy.data.objects if o.type == "MESH" and o.data.shape_keys]
    keys = max(meshes, key=lambda mesh: len(mesh.data.shape_keys.key_blocks)).data.shape_keys

    def points(block: bpy.types.ShapeKey) -> NDArray[np.float64]:
        flat = np.empty(3 * len(block.data), np.float32)
        block.data.foreach_get("co", flat)
        return flat.reshape(-1, 3).astype(np.float64) @ _TO_HEAD_FRAME.T

    base = points(keys.reference_key)
    return base, {n: points(block) - base for block in keys.key_blocks if (n := _arkit(block.name))}


def _center(points: NDArray[np.float64], delta: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.average(points, axis=0, weights=np.sum(delta**2, axis=1))


def _face_map(points: NDArray[np.float64], deltas: dict[str, NDArray[np.float64]]) -> FaceMap:
    """From channels whose middles tell where things are."""
    left, right, mouth, smile_left, smile_right = (
        _center(points, deltas[name])
        for name in ("eyeBlinkLeft", "eyeBlinkRight", "mouthPucker", "mouthSmileLeft", "mouthSmileRight")
    )
    usual = FaceMap.of_usual_size(0.5 * (left[1] + right[1]), mouth[1], mouth[0])
    half_mouth = 0.5 * (smile_left[0] - smile_right[0]) * HALF_MOUTH / _SMILE_X
    return FaceMap(usual.eye_y, usual.mouth_y, 0.5 * (left[0] - right[0]), half_mouth, usual.middle,
                   usual.eye_opening, usual.mouth_opening)  # fmt: skip


def _features(
    points: NDArray[np.float64], deltas: dict[str, NDArray[np.float64]], anchors: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Features of each class on one head; zeros for those that it lacks a channel of."""
    motions = np.zeros((len(CLASSES), *points.shape))
    for row, channels in enumerate(CLASSES):
        if all(name in deltas for name in channels):
            motions[row] = sum(weight * deltas[name] for name, weight in channels.items())
    places, motions = _face_map(points, deltas).apply(points, motions)
    seen = on_face(places)
    places, motions = places[seen], motions[:, seen]
    return place_features(places, motions, anchors), local_features(places, motions), key_amplitudes(motions)


def _anchors() -> NDArray[np.float32]:
    """Places spread evenly over all that moves of the own face, each the farthest from those before."""
    head = load_head()
    skin = head.vertices_of("skin")
    points, moved = head.vertices[skin], np.linalg.norm(head.deltas[:, skin], axis=2).max(axis=0)
    points = points[(points[:, 2] > 0.05) & (moved > 0.0015), :2]
    chosen, distance = (
        [int(np.argmin(np.hypot(points[:, 0], points[:, 1] - 0.5 * (EYE_Y + MOUTH_Y))))],
        np.full(len(points), np.inf),
    )
    while len(chosen) < ANCHORS:
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
        chosen.append(int(np.argmax(distance)))
    return points[chosen]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
