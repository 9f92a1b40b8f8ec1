# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist sets of a talking portrait, saved with the scene: the picture, how it is drawn, and where it goes."""

from typing import Final

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

__all__ = ["CLASSES", "DemoPortrait"]

_MOTIONS: Final = (
    ("TAKE", "Take", "The present take, as it was generated, imported or chosen"),
    ("VOICE", "Voice", "A new take from the recording, directed as for a character"),
)
_TARGETS: Final = (
    ("PLANE", "Plane", "A plane of the picture's aspect; the one made before gets the new frames"),
    ("OBJECT", "Active Object", "A new material in the active slot of the active object"),
    ("NODE", "Image Node", "The Image Texture node that is selected in the material of the active object"),
)
_LOOKS: Final = (
    ("EMISSION", "Unlit", "It shines in its own colors, whatever the light of the scene"),
    ("PRINCIPLED", "Lit", "The light of the scene falls on it, as on a print"),
)


class DemoPortrait(bpy.types.PropertyGroup):
    """How a picture is made to speak; lives at `scene.demo.portrait`."""

    image: StringProperty(
        name="Picture", description="A picture of one face, seen from the front: PNG, JPEG", subtype="FILE_PATH"
    )
    landmarks: StringProperty(
        name="Landmarks",
        description="Points of the face that were placed by hand; empty where they are to be found",
        subtype="FILE_PATH",
    )
    motion: EnumProperty(name="Motion", description="What the face does", items=_MOTIONS)
    size: IntProperty(
        name="Size", description="Pixels of the longer side of the frames", default=512, min=64, max=4096, step=64
    )
    alpha: BoolProperty(
        name="Transparent", description="Leave the picture's background out: head and hair, fading out below"
    )
    target: EnumProperty(name="Onto", description="What shows the portrait", items=_TARGETS)
    look: EnumProperty(name="Material", description="How the material of the portrait is lit", items=_LOOKS)
    overwrite: BoolProperty(
        name="Replace Frames", description="Frames of an earlier portrait from this picture give way", default=True
    )
    movie: BoolProperty(name="Movie", description="Write the frames with the recording as an MP4 file too, beside them")


CLASSES: Final = (DemoPortrait,)
