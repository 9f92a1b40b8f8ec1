# SPDX-License-Identifier: GPL-3.0-or-later
"""Heads in a scene: the project's own character or the person of a picture, as keyed meshes with a small rig and
materials; and a stage to show them on.

The face looks along -Y. The mesh `NAME Head` carries the 52 ARKit keys under their own names. The eyeballs are turned
by the bones eye.L and eye.R, so the eyeLook keys move only the lids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import bpy
import numpy as np
from mathutils import Vector
from numpy.typing import NDArray

from ..backend.head.head_model import HeadModel, load_head
from ..backend.motion.factors import ARKIT_NAMES
from ..backend.portrait.person_head import PersonHead

__all__ = ["HeadObjects", "add_head", "add_person", "add_stage"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class HeadObjects:
    """What was made of a head; the first mesh is the one with the shape keys."""

    meshes: tuple[bpy.types.Object, ...]
    armature: bpy.types.Object


@dataclass(frozen=True)
class Look:
    """A material: color (sRGB) where the mesh brings none, roughness, share of light scattered under the surface.

    glow: light of its own, as a share of its color; it stands in for the light that bounces about inside the mouth.
    """

    color: tuple[float, float, float]
    roughness: float
    scatter: float = 0.0
    glow: float = 0.0


LOOKS: Final = {
    "skin": Look((0.86, 0.64, 0.52), 0.48, 0.12),
    "mouth": Look((0.52, 0.17, 0.16), 0.5, glow=0.45),
    "gums": Look((0.74, 0.36, 0.36), 0.3, 0.1, glow=0.15),
    "teeth": Look((0.97, 0.94, 0.87), 0.25, glow=0.3),
    "tongue": Look((0.80, 0.38, 0.38), 0.4, 0.1, glow=0.45),
    "sclera": Look((0.93, 0.91, 0.89), 0.15),
    "iris": Look((0.26, 0.42, 0.50), 0.15),
    "pupil": Look((0.01, 0.01, 0.01), 0.1),
    "brows": Look((0.27, 0.17, 0.12), 0.8),
    "lashes": Look((0.06, 0.04, 0.03), 0.8),
    "hair": Look((0.25, 0.15, 0.10), 0.42),
    "clothes": Look((0.20, 0.33, 0.38), 1.0),
}
_MATT: Final = 0.75
"""Roughness of a texture that shows skin and hair, with highlights of its own."""
KEYED_PARTS: Final = (
    "skin",
    "mouth",
    "lidRims",
    "teethUpper",
    "teethLower",
    "gumsUpper",
    "gumsLower",
    "tongue",
    "brows",
    "lashes",
)
COLOR: Final = "Color"
BONES: Final = {"chest": None, "neck": "chest", "head": "neck", "eye.L": "head", "eye.R": "head"}
"""Each bone's parent."""


def add_head(scene: bpy.types.Scene) -> HeadObjects:
    """Put the project's own head into a scene, at the origin, with its rig."""
    model = load_head()
    materials = {name: _material(name) for name in model.materials}
    colors = {name: LOOKS[name].color for name in model.materials}
    head = _add_figure(scene, "DEMO", model, KEYED_PARTS, materials, colors)
    hair = _add_mesh(scene, "DEMO Hair", model.hair_vertices, model.hair_quads, {_material("hair"): None})
    _paint(hair, _linear(LOOKS["hair"].color) * (model.hair_brightness**2)[:, None])
    _bind(hair, head.armature, {"head": np.ones(len(model.hair_vertices), np.float32)})
    clothes = _add_mesh(
        scene, "DEMO Sweater", model.clothes_vertices, model.clothes_quads, {_material("clothes"): None}
    )
    _paint(clothes, np.tile(_linear(LOOKS["clothes"].color), (len(model.clothes_vertices), 1)))
    _bind(clothes, head.armature, {"chest": np.ones(len(model.clothes_vertices), np.float32)})
    return HeadObjects((*head.meshes, hair, clothes), head.armature)


def add_person(scene: bpy.types.Scene, person: PersonHead, name: str) -> HeadObjects:
    """Put the head of a person into a scene, upright at the 3D cursor, with its rig; the texture is in the file."""
    materials = {look: _material(look) for look in person.model.materials}
    materials["skin"] = _textured_skin(f"{name} skin", person.texture)
    for look, color in person.colors.items():
        materials[look] = _painted_material(f"{name} {look}", replace(LOOKS[look], color=tuple(map(float, color))))
    colors = {look: person.colors.get(look, LOOKS[look].color) for look in person.model.materials}
    parts = tuple(part for part in KEYED_PARTS if part != "brows")  # those are in the texture
    head = _add_figure(scene, name, person.model, parts, materials, colors)
    head.armature.location = scene.cursor.location
    return head


def _add_figure(
    scene: bpy.types.Scene,
    name: str,
    model: HeadModel,
    parts: Sequence[str],
    materials: Mapping[str, bpy.types.Material],
    colors: Mapping[str, Any],
) -> HeadObjects:
    """Face and eyeballs on a rig. parts: of the face; materials and sRGB colors: by the model's own names for them."""
    armature = _add_armature(scene, f"{name} Rig", model)
    keyed = model.vertices_of(*parts)
    face = _add_part(scene, f"{name} Head", model, keyed, materials, colors)
    _add_keys(face, model, keyed)
    _bind(face, armature, _neck_weights(load_head().vertices[keyed]))
    meshes = [face]
    for bone, part in (("eye.L", "eyeLeft"), ("eye.R", "eyeRight")):
        eye = _add_part(scene, f"{name} {bone}", model, model.vertices_of(part), materials, colors)
        _bind(eye, armature, {bone: np.ones(len(eye.data.vertices), np.float32)})
        meshes.append(eye)
    return HeadObjects(tuple(meshes), armature)


# --- meshes ----------------------------------------------------------------------------------------------------------


def _blender(points: Floats) -> Floats:
    """From the head frame (y up, z forward) to Blender's (z up, -y forward)."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


def _linear(srgb: Any) -> Floats:
    srgb = np.asarray(srgb, np.float32)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _add_mesh(
    scene: bpy.types.Scene,
    name: str,
    vertices: Floats,
    quads: NDArray[Any],
    materials: Mapping[bpy.types.Material, NDArray[np.bool_] | None],
) -> bpy.types.Object:
    """A smooth mesh object; `materials` says which quads (all if None) are made of which."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(_blender(vertices).tolist(), [], quads.tolist())
    slots = np.zeros(len(quads), np.int32)
    for slot, (material, where) in enumerate(materials.items()):
        mesh.materials.append(material)
        if where is not None:
            slots[where] = slot
    mesh.polygons.foreach_set("material_index", slots)
    mesh.polygons.foreach_set("use_smooth", np.ones(len(quads), bool))
    mesh.update()
    made = bpy.data.objects.new(name, mesh)
    scene.collection.objects.link(made)
    return made


def _add_part(
    scene: bpy.types.Scene,
    name: str,
    model: HeadModel,
    chosen: NDArray[np.intp],
    materials: Mapping[str, bpy.types.Material],
    colors: Mapping[str, Any],
) -> bpy.types.Object:
    """An object of the chosen vertices of the model, painted."""
    renumber = np.full(len(model.vertices), -1)
    renumber[chosen] = np.arange(len(chosen))
    inside = (renumber[model.quads] >= 0).all(axis=1)
    material = model.material[inside]
    used = [name for i, name in enumerate(model.materials) if (material == i).any()]
    quads = renumber[model.quads[inside]]
    made = _add_mesh(
        scene, name, model.vertices[chosen], quads, {materials[m]: material == model.materials.index(m) for m in used}
    )
    layer = made.data.uv_layers.new(name="UVMap")
    layer.uv.foreach_set("vector", model.uv[inside].astype(np.float32).ravel())
    corners = _linear([colors[m] for m in model.materials])[np.repeat(material, 4)]
    skin = _linear(model.skin_colors / 255)
    on_skin = np.repeat(material == model.materials.index("skin"), 4)
    corners[on_skin] = skin[chosen[quads].ravel()[on_skin]]
    within = np.repeat(np.isin(material, [model.materials.index(m) for m in ("mouth", "gums", "teeth", "tongue")]), 4)
    depth = model.vertices[chosen[quads].ravel()[within], 2]
    lit = np.interp(depth, [0.03, 0.06, 0.08, 0.095], [0.2, 0.4, 0.65, 1.0])  # little light reaches the throat
    is_tooth = np.repeat(material == model.materials.index("teeth"), 4)[within]
    corners[within] *= np.where(is_tooth, lit**1.6, lit)[:, None]
    iris = np.repeat(material == model.materials.index("iris"), 4)
    if iris.any():
        corners[iris] *= _iris_shade(model, chosen[quads].ravel()[iris])[:, None]
    _paint(made, corners)
    return made


def _iris_shade(model: HeadModel, vertices: NDArray[np.intp]) -> Floats:
    """Dark at the rim, light within."""
    points = model.vertices[vertices]
    centre = model.eye_centres[(points[:, 0] < 0).astype(int)]
    radius = np.linalg.norm((points - centre)[:, :2], axis=1)
    return np.interp(radius / radius.max(), [0.45, 0.7, 0.9, 1.0], [0.75, 1.35, 0.8, 0.15]).astype(np.float32)


def _paint(thing: bpy.types.Object, linear: Floats) -> None:
    """Colors (n, 3), one a vertex or one a corner."""
    domain = "POINT" if len(linear) == len(thing.data.vertices) else "CORNER"
    layer = thing.data.color_attributes.new(COLOR, "FLOAT_COLOR", domain)
    layer.data.foreach_set(
        "color", np.concatenate([linear, np.ones((len(linear), 1))], axis=1).astype(np.float32).ravel()
    )
    thing.data.color_attributes.active_color = layer


def _add_keys(face: bpy.types.Object, model: HeadModel, chosen: NDArray[np.intp]) -> None:
    face.shape_key_add(name="Basis")
    for name, delta in zip(ARKIT_NAMES, model.deltas, strict=True):
        key = face.shape_key_add(name=name)
        key.value = 0.0  # from Blender 5.0 new keys start at 1
        key.data.foreach_set("co", _blender(model.vertices[chosen] + delta[chosen]).astype(np.float32).ravel())


# --- materials -------------------------------------------------------------------------------------------------------


def _material(name: str) -> bpy.types.Material:
    """The material of that name in LOOKS; the one there is, or a new one."""
    title = f"DEMO {name}"
    return bpy.data.materials[title] if title in bpy.data.materials else _painted_material(title, LOOKS[name])


def _painted_material(name: str, look: Look) -> bpy.types.Material:
    """A material with the colors of the mesh."""
    material = _new_material(name, look)
    tree = material.node_tree
    shader = tree.nodes["Principled BSDF"]
    color = tree.nodes.new("ShaderNodeVertexColor")
    color.layer_name = COLOR
    tree.links.new(color.outputs["Color"], shader.inputs["Base Color"])
    tree.links.new(color.outputs["Color"], shader.inputs["Emission Color"])
    shader.inputs["Emission Strength"].default_value = look.glow
    return material


def _new_material(name: str, look: Look) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    material.diffuse_color = (*_linear(look.color).tolist(), 1.0)
    material.roughness = look.roughness
    shader.inputs["Roughness"].default_value = look.roughness
    shader.inputs["Subsurface Weight"].default_value = look.scatter
    shader.inputs["Subsurface Radius"].default_value = (0.006, 0.003, 0.002)
    shader.inputs["Subsurface Scale"].default_value = 1.0
    return material


def _textured_skin(name: str, texture: NDArray[np.uint8]) -> bpy.types.Material:
    """Skin with a texture (S, S, 3), row 0 at the top, which is packed into the file."""
    size = len(texture)
    image = bpy.data.images.new(name, size, size)
    opaque = np.ones((size, size, 4), np.float32)
    opaque[..., :3] = texture[::-1] / np.float32(255)
    image.pixels.foreach_set(opaque.ravel())
    image.update()
    image.pack()
    material = _new_material(name, replace(LOOKS["skin"], roughness=_MATT))
    tree = material.node_tree
    picture = tree.nodes.new("ShaderNodeTexImage")
    picture.image = image
    tree.links.new(picture.outputs["Color"], tree.nodes["Principled BSDF"].inputs["Base Color"])
    return material


# --- rig -------------------------------------------------------------------------------------------------------------


def _add_armature(scene: bpy.types.Scene, name: str, model: HeadModel) -> bpy.types.Object:
    """Bones chest, neck, head, eye.L, and eye.R."""
    data = bpy.data.armatures.new(name)
    armature = bpy.data.objects.new(name, data)
    scene.collection.objects.link(armature)
    pivot, (left, right) = model.head_pivot, model.eye_centres
    chest, neck, crown = (np.array(p, np.float32) for p in ((0, -0.25, -0.02), (0, -0.12, -0.025), (0, 0.145, 0.0)))
    forward = np.array([0, 0, 0.03], np.float32)
    ends = {
        "chest": (chest, neck),
        "neck": (neck, pivot),
        "head": (pivot, crown),
        "eye.L": (left, left + forward),
        "eye.R": (right, right + forward),
    }
    view_layer = bpy.context.view_layer if bpy.context.scene == scene else scene.view_layers[0]
    with bpy.context.temp_override(scene=scene, view_layer=view_layer, active_object=armature, object=armature):
        view_layer.objects.active = armature
        bpy.ops.object.mode_set(mode="EDIT")
        for name, parent in BONES.items():
            bone = data.edit_bones.new(name)
            bone.head, bone.tail = (Vector(_blender(p)) for p in ends[name])
            bone.parent = data.edit_bones[parent] if parent else None
        bpy.ops.object.mode_set(mode="OBJECT")
    for bone in armature.pose.bones:
        bone.rotation_mode = "XYZ"
    return armature


def _neck_weights(vertices: Floats) -> dict[str, Floats]:
    """Skinning of face and neck: the skull goes with the head, the bust with the chest, the neck between."""
    height = vertices[:, 1] + 0.3 * vertices[:, 2]  # the jaw belongs to the head, the nape to the neck

    def rise(low: float, high: float) -> Floats:
        t = np.clip((height - low) / (high - low), 0, 1)
        return t * t * (3 - 2 * t)

    head, above_chest = rise(-0.105, -0.052), rise(-0.150, -0.098)
    return {"head": head, "neck": (1 - head) * above_chest, "chest": 1 - above_chest}


def _bind(thing: bpy.types.Object, armature: bpy.types.Object, weights: Mapping[str, Floats]) -> None:
    """Parent a mesh to the armature, with one vertex group a bone."""
    thing.parent = armature
    for bone, values in weights.items():
        group = thing.vertex_groups.new(name=bone)
        for level in np.unique(np.round(values[values > 0], 3)):
            group.add(np.flatnonzero(np.abs(values - level) <= 0.0005).tolist(), float(level), "REPLACE")
    modifier = thing.modifiers.new("DEMO Rig", "ARMATURE")
    modifier.object = armature


# --- stage -----------------------------------------------------------------------------------------------------------

LIGHTS: Final = (  # name, position, size, watts, color
    ("Key", (0.75, -1.1, 0.75), 0.6, 26.0, (1.0, 0.93, 0.86)),
    ("Fill", (-1.1, -0.9, 0.15), 1.0, 9.0, (0.82, 0.90, 1.0)),
    ("Rim", (-0.6, 0.9, 0.65), 0.5, 30.0, (0.95, 0.97, 1.0)),
)


def add_stage(scene: bpy.types.Scene) -> bpy.types.Object:
    """Camera on head and shoulders, lights, world, and settings for Workbench and Cycles; returns the camera."""
    target = Vector((0.0, 0.0, 0.011))
    camera = bpy.data.objects.new("DEMO Camera", bpy.data.cameras.new("DEMO Camera"))
    camera.data.lens, camera.data.clip_start = 98.0, 0.01
    _aim(camera, Vector((0.04, -0.92, 0.018)), target)
    scene.collection.objects.link(camera)
    scene.camera = camera
    for name, position, size, power, color in LIGHTS:
        data = bpy.data.lights.new(f"DEMO {name}", "AREA")
        data.size, data.energy, data.color = size, power, color
        light = bpy.data.objects.new(f"DEMO {name}", data)
        _aim(light, Vector(position), target)
        scene.collection.objects.link(light)
    world = bpy.data.worlds.new("DEMO World")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.055, 0.065, 0.08, 1.0)
    world.color = (0.09, 0.10, 0.12)
    scene.world = world
    scene.render.resolution_x = scene.render.resolution_y = 512
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"
    shading = scene.display.shading
    shading.light, shading.color_type = "STUDIO", "VERTEX"
    shading.show_cavity, shading.cavity_type = True, "WORLD"
    shading.studio_light, shading.show_specular_highlight, shading.show_shadows = "paint.sl", True, False
    scene.display.render_aa = "5"
    scene.cycles.samples, scene.cycles.use_denoising = 24, True
    return camera


def _aim(thing: bpy.types.Object, position: Vector, target: Vector) -> None:
    thing.location = position
    thing.rotation_euler = (target - position).to_track_quat("-Z", "Y").to_euler()
