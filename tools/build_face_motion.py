# SPDX-License-Identifier: GPL-3.0-or-later
"""How the channels move the own head, for converting them to other shapes; writes backend/mapping/face_motion.npz.

.venv/bin/python -m tools.build_face_motion
"""

import numpy as np
from numpy.typing import NDArray

from blender_demo.backend.head.head_model import HeadModel, load_head
from blender_demo.backend.mapping.conversion import FACE_MOTION_FILE
from blender_demo.backend.motion.factors import ARKIT_NAMES

_CORNERS = [54, 48]
"""Corners of the mouth, left and right, among the 68 iBUG landmarks."""


def main() -> None:
    """Build the file."""
    head = load_head()
    # The eyeballs show where a face looks; teeth and tongue are hidden behind the lips most of the time.
    seen = head.vertices_of("skin", "lidRims", "eyeLeft", "eyeRight")
    motion = head.deltas[:, seen].reshape(len(ARKIT_NAMES), -1).astype(np.float64)
    products = motion @ motion.T
    products /= np.mean(np.diag(products))
    np.savez_compressed(FACE_MOTION_FILE, products=products.astype(np.float32), lips=_lips(head).astype(np.float32))
    print(f"{FACE_MOTION_FILE}: {FACE_MOTION_FILE.stat().st_size / 1e3:.0f} kB")


def _lips(head: HeadModel) -> NDArray[np.float64]:
    """Opening, widening and lift of the corners (52, 3) of each channel, in widths of the mouth."""
    weights = np.eye(len(ARKIT_NAMES), dtype=np.float32)
    gap = head.displaced(weights, head.lip_upper)[..., 1].mean(-1) - head.displaced(weights, head.lip_lower)[
        ..., 1
    ].mean(-1)
    rest = np.zeros((1, len(ARKIT_NAMES)), np.float32)
    gap -= head.displaced(rest, head.lip_upper)[..., 1].mean(-1) - head.displaced(rest, head.lip_lower)[..., 1].mean(-1)
    left, right = np.moveaxis(head.deltas[:, head.landmarks[_CORNERS]], 1, 0)
    middle = head.deltas[:, head.lip_loop, 1].mean(axis=1)
    lips = np.stack([gap.mean(axis=1), left[:, 0] - right[:, 0], 0.5 * (left[:, 1] + right[:, 1]) - middle], axis=1)
    return lips / head.mouth_width


if __name__ == "__main__":
    main()
