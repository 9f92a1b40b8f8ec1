# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds `blender_demo/backend/head/head.npz`: the project's own head, fitted to the numbers of ICT-FaceKit.

    python -m tools.build_head ict_facekit.npz [--landmarks ict_landmarks.json] [--output head.npz]

The skin is re-meshed as a quad grid with loops round mouth and eyes: half of the source surface is posed with the
lips apart (so that upper and lower lip cannot be confused), stretched where detail is needed, re-meshed by QuadriFlow
with its borders kept, mirrored, and carried back by barycentric interpolation. Mouth bag, lid rims, eyeballs, teeth,
gums, tongue, lashes, brows, hair and clothes are constructed here and in `head_dressing.py`. The source's 100 identity
deltas become the principal modes of its heads, carried over like the shapes. Everything is computed in the source's
centimetres and stored in metres; head frame as in `backend/motion/factors.py`.
"""

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from blender_demo.backend.motion.factors import ARKIT_NAMES, EYE_LOOK_PITCH_RAD, EYE_LOOK_YAW_RAD
from tools.head_dressing import clothes, eyebrow, hair, skin_colors, upper_lashes
from tools.head_geometry import (
    Array,
    Ints,
    affine_fits,
    border_loops,
    cap,
    closest_on_triangles,
    flat_uv,
    rigid_fit,
    smoothstep,
    strip,
)

OUTPUT = Path(__file__).resolve().parents[1] / "blender_demo" / "backend" / "head" / "head.npz"
CM = 0.01

# Vertex ranges of the source mesh (ICT-FaceKit, "vertex ordering").
FACE_AND_NECK, MOUTH_SOCKET = 11248, 13294
UPPER_TEETH, LOWER_TEETH = range(17039, 19247), range(19247, 21451)
SCLERA_LEFT, SCLERA_RIGHT = range(21451, 22221), range(23021, 23791)

TEETH_BACK, TEETH_SCALE = np.array([0.0, -3.3, 5.0]), np.array([0.93, 0.96, 0.95])
TEETH_SHIFT = np.array([0.0, -0.12, -0.15])
"""The source's teeth touch its lips: the head's are a little smaller and further back."""
INCISORS_LONGER, INCISORS_FROM = 1.27, -2.2
"""The upper front teeth reach below the upper lip of an open mouth: stretched down from this height."""
TOOTH_WIDER = 1.09
"""Neighbours meet, so that no dark gaps part them."""

IDENTITY_MODES = 32
"""97 % of the variance of the source's heads."""
BUST_BELOW = -12.0
"""Height under which the source's heads do not count as faces."""

HALF_FACES = 3900
MOUTH, EYE, NOSE = np.array([0.0, -4.6, 11.0]), np.array([3.15, 3.5, 9.3]), np.array([0.0, -0.8, 11.5])
"""Centres of detail in the posed source."""

MATERIALS = ("skin", "mouth", "gums", "teeth", "tongue", "sclera", "iris", "pupil", "brows", "lashes")
PARTS = (
    "skin",
    "mouth",
    "lidRims",
    "eyeLeft",
    "eyeRight",
    "teethUpper",
    "teethLower",
    "gumsUpper",
    "gumsLower",
    "tongue",
    "brows",
    "lashes",
)
EYE_RADIUS, IRIS_RAD, PUPIL_RAD = 1.40, 0.44, 0.19
"""Eyeball radius in cm; half angles of iris and pupil in radians."""
LID_CLEARANCE, LID_OVERLAP, LIP_OVERLAP, TEETH_CLEARANCE = 0.03, 0.14, 0.04, 0.06
CORNER_OVERLAP = 0.06
"""More overlap of the lips near the corners, so that no teeth glint there in a smile with shut lips."""


@dataclass
class Source:
    """The fitted-to mesh: vertices (N, 3) cm, faces, deltas (52, N, 3) by ARKit shape, identity modes (K, N, 3)."""

    vertices: Array
    faces: Ints
    deltas: Array
    identity: Array

    @classmethod
    def load(cls, path: Path) -> "Source":
        """Reads ICT-FaceKit's numbers and gives its shapes their ARKit names."""
        data = np.load(path, allow_pickle=False)
        raw = dict(zip(data["expr_names"].tolist(), data["expr_delta"].astype(np.float64), strict=True))
        deltas = []
        for name in ARKIT_NAMES:
            side = {"Left": "_L", "Right": "_R"}
            stem = name.removesuffix("Left").removesuffix("Right")
            ict = name if name in raw else stem + side.get(name[len(stem) :], "")
            both = [raw[key] for key in (stem + "_L", stem + "_R") if key in raw]
            deltas.append(raw[ict] if ict in raw else sum(both, np.zeros_like(data["vertices"], np.float64)))
        vertices = data["vertices"].astype(np.float64)
        teeth = slice(UPPER_TEETH.start, LOWER_TEETH.stop)
        vertices[teeth] = (vertices[teeth] - TEETH_BACK) * TEETH_SCALE + TEETH_BACK + TEETH_SHIFT
        upper, lower = vertices[list(UPPER_TEETH)], list(LOWER_TEETH)
        front = smoothstep(6.5, 9.0, upper[:, 2])
        upper[:, 1] += (INCISORS_LONGER - 1) * front * np.minimum(upper[:, 1] - INCISORS_FROM, 0)
        vertices[list(UPPER_TEETH)] = upper
        vertices[lower, 2] -= 0.1  # behind the upper ones
        faces = data["faces"].astype(np.int64)
        faces[:, 3] = np.where(faces[:, 3] < 0, faces[:, 2], faces[:, 3])
        return cls(vertices, faces, np.stack(deltas), principal_modes(data["id_delta"], vertices))

    @property
    def moves(self) -> Array:
        """Shapes, then identity modes (52 + K, N, 3): what is carried over alike."""
        return np.concatenate([self.deltas, self.identity])

    def shape(self, name: str) -> Array:
        return self.deltas[ARKIT_NAMES.index(name)]

    def triangles(self, chosen: NDArray[np.bool_]) -> Ints:
        quads = self.faces[chosen]
        return np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]])


def principal_modes(deltas: Array, vertices: Array) -> Array:
    """Principal modes (K, N, 3) of heads whose `deltas` (100, N, 3) have independent unit normal coefficients.

    Coefficients of the modes are independent unit normals too.
    """
    face = np.arange(len(vertices)) < FACE_AND_NECK
    face &= vertices[:, 1] > BUST_BELOW
    on_face = deltas[:, face].astype(np.float64).reshape(len(deltas), -1)
    turn = np.linalg.eigh(on_face @ on_face.T)[1][:, ::-1][:, :IDENTITY_MODES]
    return np.einsum("ik,inx->knx", turn, deltas.astype(np.float64))


@dataclass
class Head:
    """The head under construction: growing lists of vertices, moves (52 + K, n, 3), faces, materials, and parts."""

    vertices: Array = field(default_factory=lambda: np.zeros((0, 3)))
    moves: Array = field(default_factory=lambda: np.zeros((len(ARKIT_NAMES) + IDENTITY_MODES, 0, 3)))
    quads: Ints = field(default_factory=lambda: np.zeros((0, 4), np.int64))
    material: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    part: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    uv: Array = field(default_factory=lambda: np.zeros((0, 4, 2)))

    @property
    def deltas(self) -> Array:
        """The 52 shapes (52, n, 3), to be changed in place."""
        return self.moves[: len(ARKIT_NAMES)]

    def add(self, part: str, material: str | Ints, vertices: Array, moves: Array, quads: Ints, uv: Array) -> Ints:
        """Appends a piece whose `quads` count from its own first vertex; -1 - i is vertex i of the head so far."""
        start = len(self.vertices)
        self.vertices = np.concatenate([self.vertices, vertices])
        self.moves = np.concatenate([self.moves, moves], axis=1)
        self.quads = np.concatenate([self.quads, np.where(quads < 0, -1 - quads, quads + start)])
        index = np.full(len(quads), MATERIALS.index(material)) if isinstance(material, str) else material
        self.material = np.concatenate([self.material, index])
        self.part = np.concatenate([self.part, np.full(len(vertices), PARTS.index(part))])
        self.uv = np.concatenate([self.uv, uv])
        return np.arange(start, start + len(vertices))

    def of(self, part: str) -> Ints:
        return np.flatnonzero(self.part == PARTS.index(part))


# --- skin ------------------------------------------------------------------------------------------------------------


def posed_for_meshing(source: Source) -> Array:
    """Source vertices with parted lips, lids half down, detail enlarged, back of the head and bust reduced."""
    posed = source.vertices + 0.5 * (
        source.shape("jawOpen") + source.shape("eyeBlinkLeft") + source.shape("eyeBlinkRight")
    )
    offset = np.zeros_like(posed)
    for centre, reach, gain in (
        (MOUTH, 3.6, 1.1),
        (EYE, 2.2, 1.4),
        (EYE * [-1, 1, 1], 2.2, 1.4),
        (NOSE, 2.2, 0.5),
    ):  # gain < 2.2: no fold
        away = posed - centre
        offset += away * gain * np.exp(-(away**2).sum(1, keepdims=True) / reach**2)
    posed = posed + offset
    back, bust = np.clip((6 - posed[:, 2]) / 14, 0, 1) * 0.35, np.clip((-5 - posed[:, 1]) / 15, 0, 1) * 0.3
    pivot = np.array([0, 0, 2.0])
    return pivot + (posed - pivot) * (1 - np.maximum(back, bust))[:, None]


def quadriflow(vertices: Array, faces: Ints, target: int) -> tuple[Array, Ints]:
    mesh = bpy.data.meshes.new("half")
    mesh.from_pydata(vertices.tolist(), [], faces.tolist())
    half = bpy.data.objects.new("half", mesh)
    bpy.context.scene.collection.objects.link(half)
    bpy.context.view_layer.objects.active = half
    half.select_set(True)
    bpy.ops.object.quadriflow_remesh(
        use_mesh_symmetry=False,
        use_preserve_boundary=True,
        use_preserve_sharp=False,
        mode="FACES",
        target_faces=target,
        seed=0,
    )
    remeshed = np.array([v.co for v in half.data.vertices])
    return remeshed, np.array([list(p.vertices) for p in half.data.polygons])


def snap_border(vertices: Array, quads: Ints, source: Array, source_quads: Ints) -> None:
    """Moves border vertices onto the source's border (in place); its corners on the mid-plane get a vertex each."""
    own = np.concatenate(border_loops(quads))
    loops = border_loops(source_quads)
    a = np.concatenate(loops)
    b = np.concatenate([np.roll(loop, -1) for loop in loops])
    along = source[b] - source[a]
    t = np.clip(((vertices[own, None] - source[a]) * along).sum(-1) / (along**2).sum(-1), 0, 1)
    foot = source[a] + t[..., None] * along
    nearest = np.linalg.norm(foot - vertices[own, None], axis=-1).argmin(1)
    vertices[own] = foot[np.arange(len(own)), nearest]
    on_plane = np.abs(source[:, 0]) < 1e-6
    corners = np.unique(np.concatenate([a[on_plane[a] & ~on_plane[b]], b[on_plane[b] & ~on_plane[a]]]))
    vertices[own[cKDTree(vertices[own]).query(source[corners])[1]]] = source[corners]


def build_skin(source: Source, head: Head) -> Array:
    """Adds the skin; returns its vertices in the meshing pose."""
    posed = posed_for_meshing(source)
    is_skin = source.faces.max(axis=1) < FACE_AND_NECK
    half = source.faces[is_skin & (source.vertices[source.faces][:, :, 0] >= -1e-4).all(axis=1)]
    used, half_quads = np.unique(half, return_inverse=True)
    half_quads = half_quads.reshape(half.shape)
    half_posed = posed[used]
    half_posed[np.abs(source.vertices[used, 0]) < 1e-4, 0] = 0.0
    points, quads = quadriflow(half_posed, half_quads, HALF_FACES)
    snap_border(points, quads, half_posed, half_quads)
    quads = quads[[len(set(q)) == 4 for q in quads.tolist()]]

    middle = np.zeros(len(points), bool)
    middle[np.concatenate(border_loops(quads))] = True
    middle &= np.abs(points[:, 0]) < 1e-6
    mirrored = np.where(middle, np.arange(len(points)), len(points) + np.cumsum(~middle) - 1)
    points = np.concatenate([points, points[~middle] * [-1, 1, 1]])
    quads = np.concatenate([quads, mirrored[quads][:, ::-1]])

    triangles = source.triangles(is_skin)
    points = relaxed(points, quads, posed, triangles)
    triangle, weights = closest_on_triangles(points, posed, triangles)
    corners = triangles[triangle]
    neutral, *moves = ((values[corners] * weights[..., None]).sum(1) for values in (source.vertices, *source.moves))
    head.add("skin", "skin", neutral, np.stack(moves), quads, cylindrical_uv(neutral, quads))
    return points


def relaxed(points: Array, quads: Ints, surface: Array, triangles: Ints, rounds: int = 5) -> Array:
    """Evens out the grid: neighbours' mean, laid back on the surface; borders stay."""
    a, b = quads.ravel(), np.roll(quads, -1, axis=1).ravel()
    links = coo_matrix((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), (len(points), len(points))).tocsr()
    count = np.asarray(links.sum(axis=1))
    free = np.ones(len(points), bool)
    free[np.concatenate(border_loops(quads))] = False
    for _ in range(rounds):
        points = np.where(free[:, None], 0.5 * points + 0.5 * (links @ points) / count, points)
        triangle, weights = closest_on_triangles(points, surface, triangles, candidates=16)
        points = (surface[triangles[triangle]] * weights[..., None]).sum(1)
    return points


def cylindrical_uv(vertices: Array, quads: Ints) -> Array:
    """Unrolled round the vertical axis, the seam at the back; (Q, 4, 2) in 0..1."""
    turn = np.arctan2(vertices[:, 0], vertices[:, 2] - 2.0) / (2 * np.pi) + 0.5
    uv = np.stack([turn, (vertices[:, 1] + 20) / 35], axis=1)[quads]
    across = np.ptp(uv[..., 0], axis=1) > 0.5
    uv[across, :, 0] += uv[across, :, 0] < 0.5
    return uv


# --- what is inside --------------------------------------------------------------------------------------------------


def build_mouth_bag(source: Source, head: Head, lips: Ints) -> None:
    """Rings from the inner lip border back to the throat, laid on the source's mouth socket."""
    chosen = ((source.faces >= FACE_AND_NECK) & (source.faces < MOUTH_SOCKET)).any(axis=1)
    triangles = source.triangles(chosen)
    tree = BVHTree.FromPolygons(source.vertices.tolist(), triangles.tolist())
    start = head.vertices[lips]
    angle = np.arctan2(start[:, 1] + 3.35, start[:, 0])
    rings, previous, faces = [], -1 - lips, []
    for k, t in enumerate((0.1, 0.25, 0.45, 0.7, 1.0)):
        z = start[:, 2] * (1 - t) + 1.8 * t
        hits = []
        for zi, direction in zip(z, np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1), strict=True):
            hit = tree.ray_cast(Vector((0, -3.35, zi)), Vector(direction))[0]
            hits.append(hit if hit is not None else Vector((0, -3.35, zi)) + 1.5 * Vector(direction))
        rings.append(np.array(hits))
        ring = np.arange(len(lips)) + k * len(lips)
        faces.append(strip(previous, ring))
        previous = ring
    points = np.concatenate([*rings, [[0, -3.35, 1.2]]])
    faces.append(cap(previous, len(points) - 1))
    triangle, weights = closest_on_triangles(points, source.vertices, triangles)
    corners = triangles[triangle]
    moves = np.stack([(d[corners] * weights[..., None]).sum(1) for d in source.moves])
    quads = np.concatenate(faces)
    head.add("mouth", "mouth", points, moves, quads, flat_uv(len(quads)))


def eye_centres(source: Source) -> Array:
    """Centres (2, 3) of left and right eyeball, from the rear of the source's sclera."""
    sclera = source.vertices[SCLERA_LEFT]
    sclera = sclera[sclera[:, 2] < np.median(sclera[:, 2])]
    solution = np.linalg.lstsq(np.c_[2 * sclera, np.ones(len(sclera))], (sclera**2).sum(1), rcond=None)[0]
    return np.stack([solution[:3], solution[:3] * [-1, 1, 1]])


def build_eyes(source: Source, head: Head, centres: Array) -> Ints:
    """Eyeballs with rings on the borders of pupil and iris; eyeLook turns them about their centres.

    Returns the landmarks of the irises (2, 5): center of the pupil, and the rim's points towards +x, +y, -x, -y.
    """
    segments = 24
    angles = np.array([0.07, PUPIL_RAD, 0.30, IRIS_RAD, 0.52, 0.75, 1.05, 1.4, 1.8, 2.3, 2.8])
    turn = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    dish = EYE_RADIUS * np.array([0.955, 0.958, 0.972, 1.0] + [1.0] * 7)  # the iris is hollow, so that it catches light
    rings = [
        np.stack([r * np.sin(a) * np.cos(turn), r * np.sin(a) * np.sin(turn), np.full(segments, r * np.cos(a))], axis=1)
        for a, r in zip(angles, dish, strict=True)
    ]
    ball = np.concatenate([*rings, [[0, 0, dish[0]]], [[0, 0, -EYE_RADIUS]]])
    index = np.arange(len(rings) * segments).reshape(len(rings), segments)
    front = cap(index[0], len(ball) - 2)
    bands = [strip(index[k + 1], index[k]) for k in range(len(rings) - 1)]
    back = cap(index[-1][::-1], len(ball) - 1)
    quads = np.concatenate([front, *bands, back])
    names = (
        ["pupil"] * len(front)
        + ["pupil"] * segments
        + ["iris"] * 2 * segments
        + ["sclera"] * (7 * segments + len(back))
    )
    material = np.array([MATERIALS.index(name) for name in names])
    uv = (0.5 + 0.5 * ball[:, :2] / EYE_RADIUS)[quads]
    iris = []
    for side, span, centre in zip(("Left", "Right"), (SCLERA_LEFT, SCLERA_RIGHT), centres, strict=True):
        deltas = np.zeros((len(ARKIT_NAMES), len(ball), 3))
        outward = 1.0 if side == "Left" else -1.0
        for stem, yaw, pitch in (("Up", 0, -1), ("Down", 0, 1), ("In", -outward, 0), ("Out", outward, 0)):
            deltas[ARKIT_NAMES.index(f"eyeLook{stem}{side}")] = turned(ball, yaw, pitch) - ball
        sizes, shifts = affine_fits(source.vertices[span] - centre, source.identity[:, span])
        sizes = np.trace(sizes, axis1=1, axis2=2)[:, None, None] / 3  # a ball that turns stays round
        own = head.add(
            f"eye{side}", material, ball + centre, np.concatenate([deltas, sizes * ball + shifts]), quads, uv
        )
        iris.append(own[[len(ball) - 2, *(index[3, :: segments // 4])]])
    return np.stack(iris)


def turned(points: Array, to_left: float, down: float) -> Array:
    """Points about the origin turned by whole eyeLook units, to +x and downwards."""
    yaw, pitch = to_left * EYE_LOOK_YAW_RAD, down * EYE_LOOK_PITCH_RAD
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    return (
        points @ (np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])).T
    )


def jaw_motion(source: Source, points: Array) -> Array:
    """Moves (52 + K, n, 3) of points fixed to the lower jaw: the rigid motion of the source's lower teeth."""
    teeth = source.vertices[LOWER_TEETH]
    moves = skull_motion(source, points)
    for move, delta in zip(moves, source.deltas[:, LOWER_TEETH], strict=False):
        if np.abs(delta).max() > 0.01:
            rotation, shift = rigid_fit(teeth, teeth + delta)
            move[:] = points @ rotation.T + shift - points
    return moves


def skull_motion(source: Source, points: Array) -> Array:
    """Moves (52 + K, n, 3) of points fixed to the skull: only identity moves them, all teeth by one affine map."""
    both = range(UPPER_TEETH.start, LOWER_TEETH.stop)
    maps, shifts = affine_fits(source.vertices[both], source.identity[:, both])
    return np.concatenate([np.zeros((len(ARKIT_NAMES), len(points), 3)), points @ maps + shifts])


def cube_sphere(n: int) -> tuple[Array, Ints]:
    """Vertices of the surface of [-1, 1]^3 cut into n x n quads a side, and the quads, wound outwards."""
    grid = np.linspace(-1, 1, n + 1)
    keys: dict[tuple[float, ...], int] = {}
    quads = []
    for axis in range(3):
        for sign in (-1, 1):
            for i in range(n):
                for j in range(n):
                    corners = [
                        (grid[i], grid[j]),
                        (grid[i + 1], grid[j]),
                        (grid[i + 1], grid[j + 1]),
                        (grid[i], grid[j + 1]),
                    ]
                    points = [tuple(np.roll([sign, u, v], axis).tolist()) for u, v in corners]
                    quad = [keys.setdefault(p, len(keys)) for p in points]
                    quads.append(quad if sign > 0 else quad[::-1])
    return np.array(list(keys)), np.array(quads)


def build_teeth(source: Source, head: Head) -> None:
    """One wrapped cube a tooth, and a swept gum over each row."""
    cube, quads = cube_sphere(3)
    direction = np.sign(cube) * np.abs(cube) ** 1.3
    for part, span, side in (("teethUpper", UPPER_TEETH, 1), ("teethLower", LOWER_TEETH, -1)):
        centres = []
        for tooth in connected(source.faces, span):
            points = source.vertices[tooth]
            crown = points[(points[:, 1] < -2.0) if side > 0 else (points[:, 1] > -4.6)]
            low, high = crown.min(0), crown.max(0)
            centre, size = (low + high) / 2, (high - low) / 2
            tree = BVHTree.FromPolygons(
                source.vertices.tolist(), source.triangles(np.isin(source.faces[:, 0], tooth)).tolist()
            )
            wrapped = []
            for ray in direction / np.linalg.norm(direction, axis=1, keepdims=True) * size * 3:
                hit = tree.ray_cast(Vector(centre + ray), Vector(-ray))[0]
                wrapped.append(np.clip(hit, low, high) if hit is not None else centre + ray / 3)
            wrapped = np.array(wrapped)
            along = np.array([centre[2] - 4, 0, -centre[0]]) / np.hypot(centre[2] - 4, centre[0])
            wrapped += (TOOTH_WIDER - 1) * ((wrapped - centre) @ along)[:, None] * along
            if side > 0 and centre[2] > 7.5:
                square_edge(wrapped, centre, along, cube[:, 1] == -1)
            moves = jaw_motion(source, wrapped) if side < 0 else skull_motion(source, wrapped)
            head.add(part, "teeth", wrapped, moves, quads, flat_uv(len(quads)))
            centres.append(centre)
        build_gum(source, head, np.array(sorted(centres, key=lambda c: np.arctan2(c[0], c[2] - 4))), side)


def square_edge(tooth: Array, centre: Array, along: Array, biting: NDArray[np.bool_]) -> None:
    """Makes the lower edge of an upper front tooth (n, 3) nearly as wide as the tooth, and level (in place)."""
    across = (tooth - centre) @ along
    wider = 0.9 * np.abs(across).max() / np.abs(across[biting]).max()
    tooth[biting] += (wider - 1) * across[biting, None] * along
    tooth[biting, 1] += 0.8 * (tooth[biting, 1].min() + 0.04 - tooth[biting, 1])


def connected(faces: Ints, span: range) -> list[Ints]:
    """Connected pieces of a vertex range."""
    chosen = faces[(faces[:, 0] >= span.start) & (faces[:, 0] < span.stop)] - span.start
    a, b = chosen.ravel(), np.roll(chosen, -1, axis=1).ravel()
    count, label = connected_components(coo_matrix((np.ones(len(a)), (a, b)), (len(span), len(span))), directed=False)
    return [np.flatnonzero(label == i) + span.start for i in range(count)]


def build_gum(source: Source, head: Head, arch: Array, side: int) -> None:
    """A closed band along the dental arch (n, 3), above (side 1) or below (-1) the crowns."""
    ends = np.stack([arch[0] * 2 - arch[1], *arch, arch[-1] * 2 - arch[-2]])
    steps = np.linspace(0, len(ends) - 1, 2 * len(ends))
    path = np.stack([np.interp(steps, np.arange(len(ends)), ends[:, i]) for i in range(3)], axis=1)
    path[:, 1] = arch[:, 1].mean() if side > 0 else path[:, 1]
    tangent = np.gradient(path, axis=0) * [1, 0, 1]
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    outward = np.stack([-tangent[:, 2], 0 * steps, tangent[:, 0]], axis=1)
    outward *= np.sign((outward * (path - [0, 0, 4])).sum(1, keepdims=True))
    up = np.array([0, side, 0])
    profile = np.array(
        [(0.30, 0.25), (0.38, 0.45), (0.36, 0.9), (0.1, 1.2), (-0.3, 1.2), (-0.5, 0.9), (-0.5, 0.45), (-0.36, 0.25)]
    )
    rings = [path + out * outward + rise * up for out, rise in profile]
    points = np.stack(rings, axis=1).reshape(-1, 3)
    index = np.arange(len(points)).reshape(len(path), len(profile))
    quads = np.concatenate([strip(index[k], index[k + 1]) for k in range(len(path) - 1)])
    quads = quads if side < 0 else quads[:, ::-1]
    moves = jaw_motion(source, points) if side < 0 else skull_motion(source, points)
    head.add("gumsUpper" if side > 0 else "gumsLower", "gums", points, moves, quads, flat_uv(len(quads)))


TONGUE_REST = np.array(
    [  # y, z of the spine, half width, half height; root to tip, cm
        (-5.6, 1.4, 1.1, 0.9),
        (-5.3, 2.4, 1.5, 0.85),
        (-5.0, 3.6, 1.6, 0.75),
        (-4.75, 5.0, 1.6, 0.65),
        (-4.55, 6.3, 1.6, 0.55),
        (-4.4, 7.2, 1.45, 0.45),
        (-4.3, 7.9, 1.2, 0.35),
        (-4.25, 8.4, 0.85, 0.25),
        (-4.25, 8.7, 0.4, 0.15),
    ]
)
TONGUE_OUT = np.array(
    [
        (-5.2, 1.6, 1.1, 0.9),
        (-4.3, 3.0, 1.5, 1.0),
        (-3.5, 5.0, 1.6, 0.95),
        (-3.05, 7.2, 1.6, 0.75),
        (-2.85, 9.0, 1.5, 0.5),
        (-2.85, 10.6, 1.35, 0.38),
        (-3.05, 12.0, 1.2, 0.33),
        (-3.45, 13.0, 0.9, 0.26),
        (-3.8, 13.5, 0.45, 0.15),
    ]
)


def build_tongue(source: Source, head: Head) -> None:
    """A lofted tongue that goes with the jaw, and the missing shape tongueOut."""
    turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)

    def loft(table: Array) -> Array:
        steps = np.linspace(0, len(table) - 1, 17)
        y, z, width, height = (np.interp(steps, np.arange(len(table)), table[:, i])[:, None] for i in range(4))
        groove = 0.16 * np.exp(-((np.cos(turn) / 0.25) ** 2)) * (np.sin(turn) > 0)
        ring = np.stack(np.broadcast_arrays(width * np.cos(turn), y + height * (np.sin(turn) - groove), z), axis=-1)
        tip = [[0, np.interp(len(table) - 1, range(len(table)), table[:, 0]), table[-1, 1] + 0.12]]
        return np.concatenate([ring.reshape(-1, 3), tip, [[0, table[0, 0], table[0, 1] - 0.2]]])

    rest = loft(TONGUE_REST)
    index = np.arange(17 * 14).reshape(17, 14)
    quads = np.concatenate(
        [
            *[strip(index[k], index[k + 1]) for k in range(16)],
            cap(index[-1], len(rest) - 2),
            cap(index[0][::-1], len(rest) - 1),
        ]
    )
    moves = jaw_motion(source, rest)
    moves[ARKIT_NAMES.index("tongueOut")] = loft(TONGUE_OUT) - rest
    head.add("tongue", "tongue", rest, moves, quads, flat_uv(len(quads)))


# --- lips and lids ---------------------------------------------------------------------------------------------------


def shape(head: Head, name: str) -> Array:
    """The deltas (n, 3) of one shape, to be changed in place."""
    return head.deltas[ARKIT_NAMES.index(name)]


def split_at_corners(meshed: Array, loop: Ints, near: Ints) -> tuple[Ints, Ints]:
    """Vertices above and below the line between a loop's corners, judged in the meshing pose, with the sides apart."""
    first, last = meshed[loop[meshed[loop, 0].argmin()]], meshed[loop[meshed[loop, 0].argmax()]]
    above = meshed[near, 1] > np.interp(meshed[near, 0], [first[0], last[0]], [first[1], last[1]])
    return near[above], near[~above]


def padded_strips(vertices: Array, chosen: Ints, places: Array, half_width: float) -> Ints:
    """The chosen vertices within half a width of each place in x, (places, k), padded by repetition."""
    strips = [chosen[np.abs(vertices[chosen, 0] - x) < half_width] for x in places]
    return np.stack([np.resize(s, max(map(len, strips))) for s in strips])


def seam_and_gap(posed: Array, upper: Ints, lower: Ints, places: Array) -> tuple[Array, Array]:
    """Height of the seam and gap (negative: overlap) at places in x, smoothed along the seam."""
    low = np.array([posed[upper[np.abs(posed[upper, 0] - x) < 0.16], 1].min() for x in places])
    high = np.array([posed[lower[np.abs(posed[lower, 0] - x) < 0.16], 1].max() for x in places])
    return (low + high) / 2, low - high


def seal_lips(head: Head, upper: Ints, lower: Ints, corners: Ints) -> None:
    """Closes the lips at rest of every identity, lets mouthClose undo all of jawOpen, and keeps rolled lips shut."""
    skin = head.of("skin")
    part = {"upper": np.isin(skin, upper) * -0.5, "lower": np.isin(skin, lower) * 0.5}
    rest, close = head.vertices, shape(head, "mouthClose")
    for in_upper, in_lower, others in (
        (rest, rest, []),
        *((mode, mode, [rest]) for mode in head.moves[len(ARKIT_NAMES) :]),
        (close, close, [rest, shape(head, "jawOpen")]),
        (shape(head, "mouthRollUpper"), shape(head, "mouthRollLower"), [rest]),
    ):
        for _ in range(6):
            posed = sum(others, in_upper + (in_lower if in_lower is not in_upper else 0.0))
            reach = np.abs(posed[corners, 0]).min() - 0.2
            places = np.linspace(-reach, reach, 21)
            seam, openness = seam_and_gap(posed, upper, lower, places)
            overlap = LIP_OVERLAP + CORNER_OVERLAP * smoothstep(1.75, 2.0, np.abs(places))
            lacking = openness + overlap if in_upper is in_lower else (openness + 8 * LIP_OVERLAP).clip(0)
            off_seam = posed[skin, 1] - np.interp(posed[skin, 0], places, seam)
            beyond = (np.abs(posed[skin, 0]) - reach).clip(0)
            amount = np.interp(posed[skin, 0], places, lacking) * np.exp(-((beyond / 0.3) ** 2) - (off_seam / 0.8) ** 2)
            amount = amount * smoothstep(8.8, 9.8, posed[skin, 2])
            in_upper[skin, 1] += part["upper"] * amount
            in_lower[skin, 1] += part["lower"] * amount


def clear_teeth(head: Head) -> None:
    """Keeps the lips in front of teeth and gums, at rest and in every shape."""
    teeth = np.concatenate([head.of(part) for part in ("teethUpper", "teethLower", "gumsUpper", "gumsLower")])
    faces = head.quads[np.isin(head.quads[:, 0], teeth)]
    skin = head.of("skin")
    near = skin[
        (head.vertices[skin, 2] > 8.6)
        & (np.abs(head.vertices[skin, 1] + 3.4) < 2.0)
        & (np.abs(head.vertices[skin, 0]) < 3)
    ]

    def shortfall(posed: Array) -> Array:
        wall = np.concatenate([posed[faces].mean(1), posed[faces[:, :2]].mean(1), posed[teeth]])
        close = cKDTree(wall[:, :2]).query(posed[near, :2], k=12, distance_upper_bound=0.16)[1]
        front = np.append(wall[:, 2], -np.inf)[close].max(1)
        lacking = np.clip(front + TEETH_CLEARANCE - posed[near, 2], 0, 1.2)
        around = cKDTree(posed[near]).query(posed[near], k=24)
        return (lacking[around[1]] * np.exp(-((around[0] / 0.45) ** 2))).max(1)

    head.vertices[near, 2] += shortfall(head.vertices)
    for delta in head.deltas:
        delta[near, 2] += shortfall(head.vertices + delta)


def build_lid_rims(head: Head, loops: list[Ints], centres: Array) -> None:
    """A ring from each lid border back onto the eyeball, so that nothing is seen past the corners of the eye."""
    for loop, centre in zip(loops, centres, strict=True):
        middle = head.vertices[loop].mean(0)

        def on_ball(lid: Array, centre: Array = centre, middle: Array = middle) -> Array:
            away = lid - centre + 0.25 * (lid - middle)
            return centre + 0.96 * EYE_RADIUS * away / np.linalg.norm(away, axis=-1, keepdims=True)

        rest = on_ball(head.vertices[loop])
        moves = on_ball(head.vertices[loop] + head.moves[:, loop]) - rest
        moves[len(ARKIT_NAMES) :] = head.moves[len(ARKIT_NAMES) :, loop]
        quads = strip(-1 - loop, np.arange(len(loop)))
        head.add("lidRims", "mouth", rest, moves, quads, flat_uv(len(quads)))


def clear_eyes(head: Head, centres: Array) -> None:
    """Keeps the skin outside the eyeballs: at rest, and half and all the way into every shape."""
    skin = head.of("skin")
    for centre in centres:
        near = skin[np.linalg.norm(head.vertices[skin] - centre, axis=1) < EYE_RADIUS + 0.9]

        def shortfall(points: Array, centre: Array = centre) -> Array:
            away = points - centre
            distance = np.linalg.norm(away, axis=-1, keepdims=True)
            return away / distance * np.maximum(EYE_RADIUS + LID_CLEARANCE - distance, 0)

        head.vertices[near] += shortfall(head.vertices[near])
        for delta in head.deltas:
            for w in (1.0, 0.5, 0.75):
                delta[near] += shortfall(head.vertices[near] + w * delta[near]) / w


def close_lids(head: Head, loops: list[Ints], sides: list[tuple[Ints, Ints]]) -> None:
    """Brings the upper lids down to the lower in eyeBlink."""
    for side, loop, (upper, lower) in zip(("Left", "Right"), loops, sides, strict=True):
        blink = shape(head, f"eyeBlink{side}")
        for _ in range(6):
            posed = head.vertices + blink
            places = np.linspace(posed[loop, 0].min() + 0.15, posed[loop, 0].max() - 0.15, 19)
            seam, openness = seam_and_gap(posed, upper, lower, places)
            off_seam = posed[upper, 1] - np.interp(posed[upper, 0], places, seam)
            smooth = np.convolve(
                np.pad((openness + LID_OVERLAP).clip(0), 2, "edge"), [0.1, 0.2, 0.4, 0.2, 0.1], "valid"
            )
            lacking = np.interp(posed[upper, 0], places, smooth)
            blink[upper, 1] -= lacking * np.exp(-((off_seam / 0.6) ** 2))


# --- brows and lashes ------------------------------------------------------------------------------------------------


def carried(head: Head, points: Array) -> Array:
    """Moves (52 + K, n, 3) of points that go with the skin under them."""
    quads = head.quads[head.material == MATERIALS.index("skin")]
    triangles = np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]])
    triangle, weights = closest_on_triangles(points, head.vertices, triangles)
    return (head.moves[:, triangles[triangle]] * weights[..., None]).sum(2)


def build_brows_and_lashes(head: Head, landmarks: Ints, lids: list[tuple[Ints, Ints]], centres: Array) -> None:
    """Brows along the landmarks; upper lashes on the lid margins, which tip over as the eye shuts."""
    rng = np.random.default_rng(0)
    surface = BVHTree.FromPolygons(head.vertices.tolist(), head.quads[head.material == 0].tolist())
    for side in (landmarks[22:27], landmarks[21:16:-1]):
        points, quads = eyebrow(head.vertices[side], surface, rng)
        head.add("brows", "brows", points, carried(head, points), quads, flat_uv(len(quads)))
    for side, (upper, _), centre in zip(("Left", "Right"), lids, centres, strict=True):
        x = head.vertices[upper, 0]
        places = np.linspace(x.min() + 0.5, x.max() - 0.4, 18)
        lowest = [upper[np.abs(x - place) < 0.16] for place in places]
        lowest = [strip[head.vertices[strip, 1].argmin()] for strip in lowest]
        points, quads, tipped = upper_lashes(head.vertices[lowest], centre, rng)
        moves = np.tile(head.moves[:, lowest], (1, 2, 1))
        for name, amount in ((f"eyeBlink{side}", 1.0), (f"eyeLookDown{side}", 0.5), (f"eyeSquint{side}", 0.2)):
            moves[ARKIT_NAMES.index(name)] += amount * tipped
        head.add("lashes", "lashes", points, moves, quads, flat_uv(len(quads)))


# --- all of it -------------------------------------------------------------------------------------------------------


def build(source: Source, landmarks: Ints) -> dict[str, NDArray[np.generic]]:
    """The arrays of head.npz."""
    head = Head()
    meshed = build_skin(source, head)
    found = cKDTree(meshed).query(posed_for_meshing(source)[landmarks])[1]
    centres = eye_centres(source)
    lips, *eyes = sorted(
        border_loops(head.quads)[:], key=lambda loop: np.abs(head.vertices[loop].mean(0) - [0, -3.4, 10.3]).sum()
    )[:3]
    eyes.sort(key=lambda loop: -head.vertices[loop, 0].mean())
    skin = head.of("skin")

    def around(loop: Ints, reach: float) -> tuple[Ints, Ints]:
        near = skin[cKDTree(head.vertices[loop]).query(head.vertices[skin])[0] < reach]
        return split_at_corners(meshed, loop, near)

    corners = lips[[head.vertices[lips, 0].argmin(), head.vertices[lips, 0].argmax()]]
    seal_lips(head, *around(lips, 1.6), corners)
    clear_eyes(head, centres)
    close_lids(head, eyes, [around(loop, 0.7) for loop in eyes])
    clear_eyes(head, centres)
    upper, lower = (padded_strips(head.vertices, side, np.linspace(-1.5, 1.5, 7), 0.3) for side in around(lips, 1.1))
    lids = [
        [padded_strips(head.vertices, side, head.vertices[loop, :1].mean(0), 0.35)[0] for side in around(loop, 0.5)]
        for loop in eyes
    ]
    most = max(len(strip) for pair in lids for strip in pair)
    lid_upper, lid_lower = (np.stack([np.resize(pair[i], most) for pair in lids]) for i in (0, 1))
    build_mouth_bag(source, head, lips)
    build_lid_rims(head, eyes, centres)
    iris = build_eyes(source, head, centres)
    build_teeth(source, head)
    build_tongue(source, head)
    clear_teeth(head)
    seal_lips(head, *around(lips, 1.6), corners)
    build_brows_and_lashes(head, found, [around(loop, 0.7) for loop in eyes], centres)
    surface = BVHTree.FromPolygons(head.vertices.tolist(), head.quads[head.material == 0].tolist())
    hair_points, hair_quads, hair_brightness = hair(surface)
    clothes_points, clothes_quads = clothes(surface)
    colors = skin_colors(
        head.vertices[skin], head.vertices[found], [head.vertices[loop] for loop in eyes], np.random.default_rng(1)
    )
    head.moves[np.abs(head.moves) < 1e-3] = 0.0
    return {
        "vertices": (head.vertices * CM).astype(np.float32),
        "quads": head.quads.astype(np.int32),
        "uv": head.uv.astype(np.float16),
        "material": head.material.astype(np.uint8),
        "materials": np.array(MATERIALS),
        "part": head.part.astype(np.uint8),
        "parts": np.array(PARTS),
        "skin_colors": (colors * 255).round().astype(np.uint8),
        "hair_vertices": (hair_points * CM).astype(np.float32),
        "hair_quads": hair_quads.astype(np.int32),
        "hair_brightness": hair_brightness.astype(np.float32),
        "clothes_vertices": (clothes_points * CM).astype(np.float32),
        "clothes_quads": clothes_quads.astype(np.int32),
        "shapes": np.array(ARKIT_NAMES),
        "deltas": (head.deltas * CM).astype(np.float16),
        "identity": (head.moves[len(ARKIT_NAMES) :] * CM).astype(np.float16),
        "landmarks": found.astype(np.int32),
        "iris": iris.astype(np.int32),
        "lip_upper": upper.astype(np.int32),
        "lip_lower": lower.astype(np.int32),
        "lip_loop": lips.astype(np.int32),
        "lid_upper": lid_upper.astype(np.int32),
        "lid_lower": lid_lower.astype(np.int32),
        "eye_centres": (centres * CM).astype(np.float32),
        "eye_radius": np.array(EYE_RADIUS * CM, np.float32),
        "head_pivot": np.array([0.0, -0.055, 0.0], np.float32),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="ICT-FaceKit as .npz: vertices, faces, shapes and identities")
    parser.add_argument(
        "--landmarks",
        type=Path,
        help="JSON with idx_to_landmark_verts; by default ict_landmarks.json beside the source",
    )
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    landmarks = arguments.landmarks or arguments.source.with_name("ict_landmarks.json")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    arrays = build(Source.load(arguments.source), np.array(json.loads(landmarks.read_text())["idx_to_landmark_verts"]))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    temporary = arguments.output.with_suffix(".tmp.npz")
    np.savez_compressed(temporary, **arrays)
    temporary.replace(arguments.output)
    counts = np.bincount(arrays["part"], minlength=len(PARTS))
    print(
        f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.2f} MB,",
        dict(zip(PARTS, counts.tolist(), strict=True)),
    )


if __name__ == "__main__":
    main()
