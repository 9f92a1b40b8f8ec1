# SPDX-License-Identifier: GPL-3.0-or-later
"""Paint the portrait that the demo lets talk: demo/portrait.jpg, with its face points beside it.

The head model as somebody else, with combed hair, in Cycles; then strokes of a brush over it.

    python -m tools.make_portrait
"""

from pathlib import Path
from typing import Any, Final

import bpy
import numpy as np
from mathutils import Matrix, Vector
from mathutils.bvhtree import BVHTree
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.motion.factors import ARKIT_NAMES
from blender_demo.backend.portrait.landmarks import Landmarks
from blender_demo.scene.head import COLOR, KEYED_PARTS, HeadObjects, add_head, add_stage

Floats = NDArray[np.floating]

DEMO: Final = Path(__file__).resolve().parent.parent / "demo"
WIDTH, HEIGHT = 640, 800
SAMPLES: Final = 64
STROKE_PX: Final = 6
"""Half the length of a stroke."""
PERSON: Final = 11
"""Seed of the identity."""
UNLIKE_THE_MEAN: Final = 0.8
EXPRESSION: Final = {"mouthSmileLeft": 0.34, "mouthSmileRight": 0.4, "browInnerUp": 0.05, "eyeSquintLeft": 0.1,
                     "eyeSquintRight": 0.1, "eyeLookInLeft": 0.2, "eyeLookOutRight": 0.2}  # fmt: skip
TURN: Final = (0.12, -0.02, 0.03)
"""Yaw, pitch and roll of head and shoulders, radians."""
COMPLEXION: Final = np.array([0.80, 0.66, 0.58])
"""Of the head model's skin, in linear light."""
IRIS: Final = np.array([0.10, 0.055, 0.03])
BROWS: Final = (0.012, 0.008, 0.006)
CLOTHES: Final = (0.16, 0.025, 0.03)

LOCKS: Final = 3000
STRANDS_A_LOCK: Final = 9
STEPS: Final = 40
STEP_M: Final = 0.006
PARTING_M: Final = 0.022
"""How far left of the middle the hair is parted."""
HAIRLINE: Final = np.array(
    [(0, 38), (20, 39), (36, 36), (50, 28), (60, 14), (68, 0), (76, 4), (84, 12), (96, 14), (110, -4), (124, -26),
     (150, -40), (180, -44)]
)  # fmt: skip
"""Degrees from the front, and height of the hair's edge in degrees above the horizon, seen from the skull's middle."""
SKULL: Final = np.array([0.0, 0.05, 0.005])
KNOT: Final = np.array([0.0, 0.015, -0.118])
"""Where the hair is tied."""
BROW_HAIRS: Final = 420


def main() -> None:
    """Build, render, paint."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.data.scenes[0]
    rng = np.random.default_rng(PERSON)
    head = load_head()
    identity = (UNLIKE_THE_MEAN * rng.standard_normal(len(head.identity))).astype(np.float32)
    weights = np.array([EXPRESSION.get(name, 0.0) for name in ARKIT_NAMES], np.float32)
    vertices = head.displaced(weights[None], identity=identity)[0]
    bust = np.clip((-0.10 - head.vertices[:, 1:2]) / 0.04, 0, 1)  # what the sweater covers stays in it
    vertices += bust * (head.vertices * [0.95, 1.04, 0.95] - vertices)
    made = add_head(scene)
    bald = vertices.copy()
    bald[head.vertices_of("brows")] = SKULL
    _become(made, bald)
    person = bpy.data.objects.new("Person", None)
    scene.collection.objects.link(person)
    made.armature.parent = person
    _add_hair(scene, person, vertices, rng)
    yaw, pitch, roll = TURN
    person.rotation_euler = (-pitch, roll, yaw)
    camera = _light(scene)
    bpy.context.view_layer.update()

    picture = DEMO / "portrait.jpg"
    scene.render.filepath = str(picture.with_suffix(".render.png"))
    bpy.ops.render.render(write_still=True)
    with Image.open(scene.render.filepath) as rendered:
        pixels = np.asarray(rendered.convert("RGB"), np.float32) / 255
    Path(scene.render.filepath).unlink()
    painted = _painted(pixels, rng)
    Image.fromarray((painted * 255).round().astype(np.uint8)).save(picture, quality=93, subsampling=0)
    points = np.concatenate([vertices[head.landmarks], vertices[head.iris].reshape(-1, 3)])
    seen = _projected(scene, camera, points @ _TO_BLENDER.T @ np.array(person.matrix_world.to_3x3()).T)
    Landmarks(seen[:68], seen[68:].reshape(2, 5, 2)).save(picture.with_suffix(".landmarks.json"))


_TO_BLENDER: Final = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)
"""From the head frame (y up, z forward) to Blender's (z up, -y forward)."""


def _become(made: HeadObjects, vertices: Floats) -> None:
    """Give the head the shape of somebody else, without keys, and other colors."""
    head = load_head()
    face, left, right, hair, clothes = made.meshes
    bpy.data.objects.remove(hair)
    face.shape_key_clear()
    for thing, chosen in (
        (face, head.vertices_of(*KEYED_PARTS)),
        (left, head.vertices_of("eyeLeft")),
        (right, head.vertices_of("eyeRight")),
    ):
        thing.data.vertices.foreach_set("co", (vertices[chosen] @ _TO_BLENDER.T).astype(np.float32).ravel())
        thing.data.update()
        _recolor(thing)
    _fill(clothes, CLOTHES)


def _recolor(thing: Any) -> None:
    slots = {slot.material.name.removeprefix("DEMO "): i for i, slot in enumerate(thing.material_slots)}
    material = np.repeat(_values(thing.data.polygons, "material_index", int), 4)
    layer = thing.data.color_attributes[COLOR]
    colors = _values(layer.data, "color", np.float32).reshape(-1, 4)
    for name, color in (("skin", COMPLEXION), ("iris", IRIS / 0.17), ("lashes", None)):
        there = material == slots.get(name, -1)
        colors[there, :3] = BROWS if color is None else colors[there, :3] * color
    layer.data.foreach_set("color", colors.ravel())


def _fill(thing: Any, color: tuple[float, float, float]) -> None:
    layer = thing.data.color_attributes[COLOR]
    layer.data.foreach_set("color", np.tile([*color, 1.0], len(layer.data)).astype(np.float32))


def _values(collection: Any, name: str, kind: type) -> NDArray[Any]:
    size = 4 if name == "color" else 1
    out = np.empty(len(collection) * size, np.int32 if kind is int else np.float32)
    collection.foreach_get(name, out)
    return out


def _add_hair(scene: Any, parent: Any, vertices: Floats, rng: np.random.Generator) -> None:
    """Hair that is parted, lies on the skull and is tied at the back; and eyebrows of hair."""
    head = load_head()
    tree = BVHTree.FromPolygons(vertices.tolist(), head.faces_of("skin").tolist())
    locks = _combed(_roots(tree, rng), tree, rng)
    along = np.linspace(0, 1, STEPS)[:, None]
    width = 0.0012 + 0.0022 * along
    shape = (len(locks), STRANDS_A_LOCK)
    strands = locks[:, None] + rng.normal(0, 1, (*shape, 1, 3)) * width
    strands += rng.normal(0, 0.00016, (*shape, STEPS, 3)).cumsum(2)
    _add_strands(scene, parent, strands.reshape(-1, STEPS, 3), 0.0002, 0.62)
    brows = [_brow(vertices[head.landmarks[row]], tree, rng) for row in (range(21, 16, -1), range(22, 27))]
    _add_strands(scene, parent, np.concatenate(brows), 0.00013, 0.75)


def _add_strands(scene: Any, parent: Any, strands: Floats, thickness: float, melanin: float) -> None:
    """Hairs along points (n, k, 3) of the head frame, thinner towards their ends."""
    count, points = strands.shape[:2]
    data = bpy.data.hair_curves.new("Hair")
    data.add_curves([points] * count)
    places = (strands @ _TO_BLENDER.T).astype(np.float32)
    data.attributes["position"].data.foreach_set("vector", places.ravel())
    radius = np.tile(np.linspace(thickness, thickness / 3, points), count).astype(np.float32)
    data.attributes.new("radius", "FLOAT", "POINT").data.foreach_set("value", radius)
    material = bpy.data.materials.new("Hair")
    material.use_nodes = True
    nodes = material.node_tree.nodes
    nodes.clear()
    shader, output = nodes.new("ShaderNodeBsdfHairPrincipled"), nodes.new("ShaderNodeOutputMaterial")
    shader.parametrization = "MELANIN"
    look = {"Melanin": melanin, "Melanin Redness": 0.6, "Roughness": 0.34, "Random Color": 0.2}
    for name, value in look.items():
        shader.inputs[name].default_value = value
    material.node_tree.links.new(shader.outputs[0], output.inputs["Surface"])
    data.materials.append(material)
    hair = bpy.data.objects.new("Hair", data)
    scene.collection.objects.link(hair)
    hair.parent = parent


def _brow(landmarks: Floats, tree: BVHTree, rng: np.random.Generator) -> Floats:
    """Short hairs (n, 4, 3) along five landmarks (5, 3), from the nose outwards."""
    place = rng.random(BROW_HAIRS) ** 0.85
    middle = np.stack([np.interp(place * 4, range(5), landmarks[:, axis]) for axis in range(3)], axis=1)
    middle[:, 1] += 0.0015 * np.sin(np.pi * place) + 0.002 * place
    tall = 0.0026 * np.minimum(1, 0.5 + 4 * place) * (1 - place**3) + 0.0004
    middle[:, 1] += tall * rng.uniform(-1, 1, BROW_HAIRS)
    out = np.sign(landmarks[4, 0] - landmarks[0, 0])
    rise = np.interp(place, [0, 0.25, 0.7, 1], [1.3, 0.6, 0.1, -0.25]) + rng.normal(0, 0.15, BROW_HAIRS)
    direction = np.stack([out * np.interp(place, [0, 0.2], [0.35, 1.0]), rise, np.zeros_like(rise)], axis=1)
    direction *= 0.0062 / np.linalg.norm(direction, axis=1, keepdims=True)
    hairs = middle[:, None] + np.linspace(0, 1, 4)[:, None] * direction[:, None]
    for hair in hairs:
        for step, point in enumerate(hair):
            near, normal, _, _ = tree.find_nearest(Vector(point))
            point[:] = np.array(near) + np.array(normal) * (0.0001 + 0.0004 * step)
    return hairs


def _roots(tree: BVHTree, rng: np.random.Generator) -> Floats:
    """Points (LOCKS, 3) of the scalp above the hairline."""
    found = []
    while len(found) < LOCKS:
        away = rng.normal(size=3)
        away /= np.linalg.norm(away)
        front = np.degrees(abs(np.arctan2(away[0], away[2])))
        height = np.degrees(np.arcsin(away[1]))
        if height < np.interp(front, *HAIRLINE.T) + rng.normal(0, 1.2):
            continue
        hit = tree.ray_cast(Vector(SKULL + away * 0.5), Vector(-away))[0]
        if hit is not None:
            found.append(np.array(hit))
    return np.array(found)


def _combed(roots: Floats, tree: BVHTree, rng: np.random.Generator) -> Floats:
    """Locks (LOCKS, STEPS, 3) from their roots: away from the parting along the skull, then to the knot."""
    side = np.where(roots[:, 0] > PARTING_M, 1.0, -1.0)
    top = np.clip((roots[:, 1] - 0.06) / 0.06, 0, 1)
    lift = 0.002 + 0.004 * rng.random(len(roots)) + 0.006 * top
    direction = np.stack([side, 0.5 * top, 0.3 * top], axis=1)
    points = [roots]
    for step in range(1, STEPS):
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        now = points[-1] + STEP_M * direction
        for i in range(len(now)):
            near, normal, _, _ = tree.find_nearest(Vector(now[i]))
            normal = np.array(normal)
            gap, wanted = float((now[i] - np.array(near)) @ normal), lift[i] * min(1.0, step / 6)
            now[i] += (wanted - gap) * normal * (1.0 if gap < wanted else 0.35)
        home = KNOT - now
        distance = np.linalg.norm(home, axis=1, keepdims=True)
        there = distance < 1.5 * STEP_M
        now = np.where(there, KNOT + 0.004 * rng.normal(size=now.shape), now)
        pull = 0.16 + 0.25 * min(1.0, step / 20)
        direction = (now - points[-1]) / STEP_M * (1 - pull) + home / distance.clip(1e-6) * pull
        points.append(now)
    return np.stack(points, axis=1)


def _light(scene: Any) -> Any:
    """A window from the left, a warm wall behind; returns the camera."""
    camera = add_stage(scene)
    camera.location = (0.0, -1.25, 0.02)
    camera.rotation_euler = (np.pi / 2, 0, 0)
    camera.data.lens = 96
    camera.data.sensor_fit = "VERTICAL"
    camera.data.sensor_height = 36
    camera.data.shift_y = -0.02
    powers = {"DEMO Key": (22.0, (1.0, 0.90, 0.78)), "DEMO Fill": (7.0, (0.75, 0.85, 1.0)),
              "DEMO Rim": (3.0, (1.0, 0.9, 0.8))}  # fmt: skip
    for name, (power, color) in powers.items():
        light = bpy.data.objects[name]
        light.data.energy, light.data.color = power, color
        light.visible_camera = False
        if name != "DEMO Rim":
            light.location.x *= -1
            toward = Vector((0, 0, 0.01)) - light.location
            light.rotation_euler = toward.to_track_quat("-Z", "Y").to_euler()
    bpy.ops.mesh.primitive_plane_add(size=4, location=(0, 1.4, 0), rotation=(np.pi / 2, 0, 0))
    wall = bpy.context.object
    material = bpy.data.materials.new("Wall")
    material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.16, 0.13, 0.09, 1)
    wall.data.materials.append(material)
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = SAMPLES, True
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    return camera


def _projected(scene: Any, camera: Any, points: Floats) -> Floats:
    """Pixels (n, 2) at which the camera sees points (n, 3) of the world."""
    graph = bpy.context.evaluated_depsgraph_get()
    project = camera.calc_matrix_camera(graph, x=WIDTH, y=HEIGHT) @ camera.matrix_world.inverted()
    clip = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ np.array(Matrix(project)).T
    at = clip[:, :2] / clip[:, 3:]
    return (np.stack([at[:, 0] + 1, 1 - at[:, 1]], axis=1) / 2 * [WIDTH, HEIGHT]).astype(np.float32)


def _painted(pixels: Floats, rng: np.random.Generator) -> Floats:
    """The picture (H, W, 3) in strokes along its shapes, with bristles: smoothed along the edge tangent flow.

    Line integral convolution (Cabral, Leedom 1993) of the picture, and of noise for the bristles.
    """
    gray = gaussian_filter(pixels.mean(2), 1.5)
    down, across = np.gradient(gray)
    xx, xy, yy = (gaussian_filter(v, 9.0) for v in (across * across, across * down, down * down))
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    flow = np.stack([np.sin(angle), np.cos(angle)])
    bristles = gaussian_filter(rng.standard_normal(gray.shape), 0.9)
    layers = np.concatenate([pixels.transpose(2, 0, 1), bristles[None]])
    detail = gaussian_filter(np.hypot(across, down), 2.0)
    reach = np.interp(detail, [0.01, 0.04], [1.0, 0.35])  # short strokes where much happens
    total = layers.copy()
    rows, columns = np.indices(gray.shape).astype(float)
    for sign in (-1.0, 1.0):
        at, heading = np.stack([rows, columns]), sign * flow
        for _ in range(STROKE_PX):
            at = at + heading * reach
            total += np.stack([map_coordinates(layer, at, order=1, mode="nearest") for layer in layers])
            there = np.stack([map_coordinates(axis, at, order=0, mode="nearest") for axis in flow])
            heading = there * np.where((there * heading).sum(0) < 0, -1.0, 1.0)
    *color, bristle = total / (2 * STROKE_PX + 1)
    color = np.stack(color, axis=-1)
    sharp = color + 0.6 * (color - gaussian_filter(color, (2.0, 2.0, 0)))
    return np.clip(sharp * (1 + 0.022 * (bristle / bristle.std())[..., None]), 0, 1)


if __name__ == "__main__":
    main()
