# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist sets of a talking portrait, saved with the scene: the picture, how it is drawn, and where it goes."""

from math import pi
from typing import TYPE_CHECKING, Any, Final

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

if TYPE_CHECKING:
    from .backend.portrait.controls import PortraitControls

__all__ = ["CLASSES", "DemoBlink", "DemoPortrait"]

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
_FORMATS: Final = (
    ("PNG", "PNG", "8 bits: small files, which play fast"),
    ("PNG16", "PNG, 16 Bits", "No steps in soft shades, and twice as large"),
    ("EXR", "OpenEXR", "Half floats, scene-linear with premultiplied alpha, for compositing"),
)
_MOVIES: Final = (
    ("NONE", "None", "The frames alone"),
    ("MP4", "MP4", "H.264 and AAC, beside the frames"),
    ("WEBM", "WebM", "VP9 and Opus, beside the frames; keeps transparency"),
)


def _gain(name: str, what: str) -> Any:
    return FloatProperty(name=name, description=f"How far {what}; 1 is as in the take", default=1.0, min=0.0, max=4.0)


def _angle(name: str, what: str) -> Any:
    return FloatProperty(
        name=name, description=f"Turns {what} further", subtype="ANGLE", min=-pi / 3.0, max=pi / 3.0, step=100
    )


class DemoBlink(bpy.types.PropertyGroup):
    """A blink that the artist adds."""

    seconds: FloatProperty(
        name="Blink", description="Seconds into the take at which the lids are shut", min=0.0, unit="TIME_ABSOLUTE"
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
    points: PointerProperty(type=bpy.types.Object)
    points_picture: StringProperty(options={"HIDDEN"})
    motion: EnumProperty(name="Motion", description="What the face does", items=_MOTIONS)
    size: IntProperty(
        name="Size", description="Pixels of the longer side of the frames", default=512, min=64, max=4096, step=64
    )
    alpha: BoolProperty(
        name="Transparent", description="Leave the picture's background out: head and hair, fading out below"
    )
    file_format: EnumProperty(name="Format", description="Files of the frames", items=_FORMATS)
    target: EnumProperty(name="Onto", description="What shows the portrait", items=_TARGETS)
    look: EnumProperty(name="Material", description="How the material of the portrait is lit", items=_LOOKS)
    overwrite: BoolProperty(
        name="Replace Frames", description="Frames of an earlier portrait from this picture give way", default=True
    )
    movie: EnumProperty(name="Movie", description="Write the frames with the recording as a video too", items=_MOVIES)
    lip: _gain("Lips", "the lips move")
    pose: _gain("Head", "the head moves")
    eyes: _gain("Eyes", "gaze and lids move")
    expression: _gain("Expression", "brows, cheeks and nose move")
    gaze_yaw: _angle("Gaze Yaw", "the eyes to the face's right")
    gaze_pitch: _angle("Pitch", "the eyes down")
    head_yaw: _angle("Head Yaw", "the head to the face's right")
    head_pitch: _angle("Pitch", "the head down")
    head_roll: _angle("Roll", "the crown to the face's right shoulder")
    blinks: CollectionProperty(type=DemoBlink)
    refine: BoolProperty(name="Refine", description="Let a neural network repair mouth, lids and seams", default=True)

    def wire(self) -> Any:
        """The points of the face in the present picture, an object of the scene; None where there are none."""
        placed: Any = self.points
        if placed is None or not self.image or bpy.path.abspath(self.image) != bpy.path.abspath(self.points_picture):
            return None
        scene: Any = self.id_data
        return placed if placed.name in scene.objects else None

    def controls(self, speed: float, later_s: float) -> "PortraitControls":
        """For the renderer. speed: of the take, later_s: by which it comes after the first frame."""
        from .backend.portrait.controls import PortraitControls

        return PortraitControls(
            lip=self.lip,
            pose=self.pose,
            eyes=self.eyes,
            expression=self.expression,
            gaze_offset=(self.gaze_yaw, self.gaze_pitch),
            head_offset=(self.head_yaw, self.head_pitch, self.head_roll),
            blinks=tuple(sorted(blink.seconds / speed + later_s for blink in self.blinks)),
        )


CLASSES: Final = (DemoBlink, DemoPortrait)
