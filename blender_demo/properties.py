# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist sets, saved with the scene: who speaks, which recording, how each factor is made.

What needs numpy is imported when it is used, so that switching the add-on on costs Blender's start next to nothing.
"""

from collections.abc import Iterable
from dataclasses import replace
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

from . import compat
from .backend.errors import DemoError
from .mapping_properties import DemoMapping
from .portrait_properties import DemoPortrait

if TYPE_CHECKING:
    from .backend.settings import FactorControl, GenerationSettings
    from .scene.bake_options import BakeOptions, FactorBake
    from .scene.preflight import Finding

__all__ = ["CLASSES", "FACTOR_LABELS", "DemoFactorSettings", "DemoFinding", "DemoSettings", "settings_of"]

FACTOR_LABELS: Final = {"lip": "Lips", "pose": "Head", "eyes": "Eyes", "expression": "Expression"}
"""The factors in an artist's words."""

_STYLES: Final = (
    ("auto", "Auto", "What suits the recording"),
    ("captured", "Captured", "Lips as a tracked face moves them"),
    ("animated", "Animated", "Lips as an animator sets them"),
    ("taught", "Taught", "Lips after the rules of articulation, with clear closures"),
)
_EMOTIONS: Final = (
    ("auto", "Auto", "The voice alone drives the expression"),
    ("neutral", "Neutral", "None, however the voice sounds"),
    ("angry", "Angry", "Anger"),
    ("contempt", "Contempt", "Contempt"),
    ("disgusted", "Disgusted", "Disgust"),
    ("fear", "Fear", "Fear"),
    ("happy", "Happy", "Happiness"),
    ("sad", "Sad", "Sadness"),
    ("surprised", "Surprised", "Surprise"),
)

_TARGETS: Final = (
    ("NLA", "NLA Tracks", "A track for each factor; your active Action stays as it is"),
    ("NEW", "New Action", "An Action of its own becomes the active one; yours is pushed down into the NLA"),
    ("ACTIVE", "Active Action", "Into your active Action, in the frames of the take alone"),
)
_INTERPOLATIONS: Final = (
    ("LINEAR", "Linear", "Straight lines between keys"),
    ("BEZIER", "Bezier", "Curves with automatic handles, within the same tolerance"),
    ("CONSTANT", "Constant", "Each value is held until the next key, for stepped work"),
)
_BLENDS: Final = (
    ("DEFAULT", "Usual", "The head is added to your animation, the face replaces it"),
    ("REPLACE", "Replace", "In place of your animation"),
    ("COMBINE", "Add", "Added to your animation"),
)


class DemoFactorSettings(bpy.types.PropertyGroup):
    """How one factor is generated and baked."""

    include: BoolProperty(
        name="Bake", description="Bake this factor; switched off, your own animation keeps it", default=True
    )
    seed_offset: IntProperty(
        name="Variation",
        description="Draw this factor anew while the others stay as they are",
        default=0,
        min=0,
        max=9999,
    )
    guidance: FloatProperty(
        name="Guidance",
        description="How closely this factor follows the voice; 1 is usual, 0 not at all",
        default=1.0,
        min=0.0,
        max=5.0,
    )
    temperature: FloatProperty(
        name="Variety",
        description="0 gives the most likely motion, 1 all of its variety",
        default=1.0,
        min=0.0,
        max=2.0,
    )
    gain: FloatProperty(
        name="Gain",
        description="Strength of this factor around rest; a new bake is enough to change it",
        default=1.0,
        min=0.0,
        max=4.0,
    )

    offset_ms: FloatProperty(
        name="Offset",
        description="How many milliseconds later than the voice this factor comes; earlier where negative",
        default=0.0,
        min=-2000.0,
        max=2000.0,
        step=1000,
        precision=0,
    )
    smoothing_ms: FloatProperty(
        name="Smoothing",
        description="Width in milliseconds over which this factor is smoothed; lips and lids still close",
        default=0.0,
        min=0.0,
        max=1000.0,
        step=1000,
        precision=0,
    )
    blend: EnumProperty(name="Over Mine", description="How this factor goes over your own animation", items=_BLENDS)
    lock: BoolProperty(
        name="Lock",
        description="Keep this factor of the present take when generating again, and fit the factors after it to it",
    )
    given: StringProperty(
        name="Given Motion",
        description="A motion clip whose track of this factor is kept as it is; the factors after it are fitted to it",
        subtype="FILE_PATH",
    )

    def control(self, present_take: str) -> "FactorControl":
        """For the generator. The gain is left to the bake, where it costs no new generation."""
        from .backend.settings import FactorControl

        given = bpy.path.abspath(present_take if self.lock else self.given)
        return FactorControl(self.guidance, self.temperature, seed_offset=self.seed_offset, given=given)

    def bake(self, default: "FactorBake") -> "FactorBake":
        """For the bake."""
        return replace(
            default,
            include=self.include,
            gain=self.gain,
            offset_ms=self.offset_ms,
            smoothing_ms=self.smoothing_ms,
            blend=default.blend if self.blend == "DEFAULT" else self.blend,
        )


class DemoFinding(bpy.types.PropertyGroup):
    """A finding of the last check, to be shown."""

    kind: StringProperty()
    target: StringProperty()
    severity: StringProperty()
    text: StringProperty()
    remedy: StringProperty()


def _look_at_character(settings: "DemoSettings", _context: bpy.types.Context) -> None:
    """Say at once what of a picked character can be driven."""
    settings.character_ready = False
    settings.character_half_linked = False
    settings.character_status = ""
    try:
        settings.character_status = settings.mapping.look_again().summary()
        settings.character_ready = True
    except DemoError as error:
        settings.character_status = str(error) if settings.character is not None else ""
        return
    from .scene.character import half_linked_meshes

    settings.character_half_linked = bool(half_linked_meshes(settings.mapping.character()))


def _strip_choices(_settings: Any, context: bpy.types.Context, _text: str) -> list[str]:
    return [strip.name for strip in compat.sound_strips(compat.sequencer_scene(context))]


def _can_be_character(_settings: Any, obj: bpy.types.Object) -> bool:
    return obj.type in {"MESH", "ARMATURE", "EMPTY"}


class DemoSettings(bpy.types.PropertyGroup):
    """Everything of the panel; lives at `scene.demo`."""

    character: PointerProperty(
        type=bpy.types.Object,
        name="Character",
        description="Any object of the character: its face mesh, its armature or its root",
        poll=_can_be_character,
        update=_look_at_character,
    )
    mapping: PointerProperty(type=DemoMapping)
    portrait: PointerProperty(type=DemoPortrait)
    character_ready: BoolProperty(options={"HIDDEN"})
    character_half_linked: BoolProperty(options={"HIDDEN"})
    character_status: StringProperty(options={"HIDDEN"})
    source: EnumProperty(
        name="Voice",
        items=(
            ("FILE", "File", "A recording on disk"),
            ("STRIP", "Strip", "A sound strip of the video sequencer: its trim, place and speed are kept"),
        ),
    )
    audio_path: StringProperty(
        name="Recording", description="A recording of one voice: WAV, FLAC, OGG, MP3", subtype="FILE_PATH"
    )
    strip: StringProperty(name="Strip", description="A sound strip of the video sequencer", search=_strip_choices)
    start_frame: IntProperty(name="Start Frame", description="Scene frame at which the recording begins", default=1)
    seed: IntProperty(
        name="Seed", description="The take: the same seed gives the same motion again", default=0, min=0, max=2**31 - 1
    )
    style: EnumProperty(name="Style", description="Whose lips to take after", items=_STYLES, default="auto")
    emotion: EnumProperty(
        name="Emotion", description="What the face expresses beside the words", items=_EMOTIONS, default="auto"
    )
    intensity: FloatProperty(
        name="Intensity",
        description="How much of the emotion is shown; 0 is neutral",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    prefix: StringProperty(
        name="Continue From",
        description="A motion clip that comes right before: the take goes on from its end",
        subtype="FILE_PATH",
    )
    suffix: StringProperty(
        name="Lead Into",
        description="A motion clip that comes right after: the take leads into its start",
        subtype="FILE_PATH",
    )
    steps: IntProperty(
        name="Steps",
        description="Evaluations of the model for each factor; more take longer",
        default=5,
        min=1,
        max=100,
    )
    target: EnumProperty(name="Into", description="Where the take goes", items=_TARGETS)
    use_range: BoolProperty(name="Range", description="Bake a range of frames only, not the whole take")
    first: IntProperty(name="First", description="First scene frame that is baked", default=1)
    last: IntProperty(name="Last", description="Last scene frame that is baked", default=250)
    interpolation: EnumProperty(name="Interpolation", description="How keys are joined", items=_INTERPOLATIONS)
    step: IntProperty(
        name="Key Every",
        description="A key on every so many frames; 0 puts keys where the tolerance needs them",
        default=0,
        min=0,
        max=100,
    )
    ease_s: FloatProperty(
        name="Ease",
        description="Seconds in which the face leaves its rest and finds it again",
        default=0.2,
        min=0.0,
        max=10.0,
        precision=2,
        step=10,
    )
    tolerance: FloatProperty(
        name="Key Tolerance",
        description="How far curves may leave the take to save keys; 0 keeps a key on every frame",
        default=0.002,
        min=0.0,
        max=0.1,
        precision=4,
        step=1,
    )
    clip_path: StringProperty(name="Take", description="The motion clip to bake", subtype="FILE_PATH")
    clip_take: StringProperty(options={"HIDDEN"})
    clip_start_frame: FloatProperty(options={"HIDDEN"}, default=1.0)
    clip_speed: FloatProperty(options={"HIDDEN"}, default=1.0)
    clip_summary: StringProperty(options={"HIDDEN"})
    findings: CollectionProperty(type=DemoFinding)
    checked: BoolProperty(options={"HIDDEN"})
    lip: PointerProperty(type=DemoFactorSettings)
    pose: PointerProperty(type=DemoFactorSettings)
    eyes: PointerProperty(type=DemoFactorSettings)
    expression: PointerProperty(type=DemoFactorSettings)

    def factor(self, name: str) -> DemoFactorSettings:
        """The settings of one factor."""
        return getattr(self, name)

    def generation(self, device: str) -> "GenerationSettings":
        """What the generator is told."""
        from .backend.motion.factors import FACTORS
        from .backend.settings import GenerationSettings

        return GenerationSettings(
            seed=self.seed,
            steps=self.steps,
            device=device,
            style=self.style,
            emotion=self.emotion,
            intensity=self.intensity,
            prefix=bpy.path.abspath(self.prefix),
            suffix=bpy.path.abspath(self.suffix),
            factors={factor.name: self.factor(factor.name).control(self.clip_path) for factor in FACTORS},
        )

    def bake_options(self, take: str, start_frame: float) -> "BakeOptions":
        """How a take is baked."""
        from .scene.bake_options import BakeOptions

        factors = {name: self.factor(name).bake(default) for name, default in BakeOptions().factors.items()}
        return BakeOptions(
            start_frame=start_frame,
            take=take,
            target=self.target,
            first=self.first if self.use_range else None,
            last=self.last if self.use_range else None,
            step=self.step,
            tolerance=self.tolerance,
            interpolation=self.interpolation,
            ease_s=self.ease_s,
            factors=factors,
            clip_path=self.clip_path,
            clip_speed=self.clip_speed,
        )

    def show(self, findings: "Iterable[Finding]") -> None:
        """Keep what a check found for the panel."""
        self.findings.clear()
        self.checked = True
        for finding in findings:
            shown = self.findings.add()
            for name in ("kind", "target", "severity", "text"):
                setattr(shown, name, getattr(finding, name))
            shown.remedy = finding.remedy.label if finding.remedy else ""


def settings_of(scene: Any) -> Any:
    """The add-on's settings of a scene, a DemoSettings."""
    return scene.demo


CLASSES: Final = (DemoFactorSettings, DemoFinding, DemoSettings)
