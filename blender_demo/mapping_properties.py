# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Mapping panel shows and keeps, saved with the scene: profiles, the selected channel, the test.

The fields of a row hold nothing themselves: they read and change the profile that is kept as text. So there is one
truth, which undo, saving and renaming cannot split.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from .backend.errors import DemoError, RigError

if TYPE_CHECKING:
    from .scene.character import Character
    from .scene.rig_profile import KeyBinding, RigProfile, RotationBinding

__all__ = ["CLASSES", "DemoMapping", "end_tests"]


class DemoProfilePart(bpy.types.PropertyGroup):
    """An object of a character; `name` is what the profile's text calls it."""

    object: PointerProperty(type=bpy.types.Object)


class DemoProfile(bpy.types.PropertyGroup):
    """A profile kept for a character."""

    root: PointerProperty(type=bpy.types.Object)
    text: StringProperty()
    parts: CollectionProperty(type=DemoProfilePart)
    is_artists: BoolProperty(description="Edited or loaded, not only detected")


class DemoTouched(bpy.types.PropertyGroup):
    """A property that the test moves: as it was, and as the test left it. Padded with zeros to four values."""

    object: PointerProperty(type=bpy.types.Object)
    path: StringProperty()
    before: FloatVectorProperty(size=4)
    shown: FloatVectorProperty(size=4)


def _profile(row: Any) -> "RigProfile":
    from .scene.profiles import shown_profile
    from .scene.rig_profile import RigProfile

    return shown_profile(row.id_data) or RigProfile()


def _set_gain(row: "DemoChannel", gain: float) -> None:
    from .scene.edit_profile import set_gain

    row.id_data.demo.mapping.change(lambda profile, _character: set_gain(profile, row.name, gain))


class DemoChannel(bpy.types.PropertyGroup):
    """A row of the list; `name` is the channel."""

    gain: FloatProperty(
        name="Gain",
        description="How strongly this channel is shown on this character",
        min=0.0,
        max=4.0,
        precision=2,
        step=5,
        get=lambda row: _profile(row).gains.get(row.name, 1.0),
        set=_set_gain,
    )


def _getter(name: str, default: Any) -> Any:
    def get(row: "DemoBinding") -> Any:
        return getattr(row.binding(), name, default)

    return get


def _setter(name: str) -> Any:
    def change(row: "DemoBinding", value: Any) -> None:
        row.change(**{name: value})

    return change


def _share(row: "DemoBinding") -> float:
    binding: Any = row.binding()
    channels = getattr(binding, "channels", None)
    return getattr(binding, "share", 0.0) if channels is None else channels.get(row.id_data.demo.mapping.channel, 0.0)


def _number(name: str, label: str, description: str, low: float, high: float) -> Any:
    return FloatProperty(
        name=label,
        description=description,
        min=low,
        max=high,
        precision=2,
        step=5,
        get=_getter(name, 0.0),
        set=_setter(name),
    )


class DemoBinding(bpy.types.PropertyGroup):
    """One thing that shows the selected channel, by its position among them."""

    position: IntProperty()
    object: StringProperty(
        name="Object",
        description="The object that has the shape key or bone",
        get=_getter("object", ""),
        set=_setter("object"),
        search=lambda row, _context, _text: row.objects(),
    )
    key: StringProperty(
        name="Shape Key",
        description="The shape key that shows this channel",
        get=_getter("key", ""),
        set=_setter("key"),
    )
    bone: StringProperty(
        name="Bone",
        description="The bone that turns with this channel",
        get=_getter("bone", ""),
        set=_setter("bone"),
    )
    share: FloatProperty(
        name="Shows",
        description="A key: how much of this channel is seen when the key is at 1, negative for the opposite. "
        "A bone: the part of the whole turn that it takes",
        min=-2.0,
        max=2.0,
        precision=2,
        step=5,
        get=_share,
        set=_setter("share"),
    )
    gain: _number("gain", "Gain", "Strength of this shape key, in whatever channel it is used", -4.0, 4.0)
    offset: _number("offset", "Offset", "Value of this shape key when nothing is shown", -1.0, 1.0)
    low: _number("low", "Low", "The least of its shape that may be shown; below 0 for a key that goes both ways", -4, 4)
    high: _number("high", "High", "The most of its shape that may be shown", -4, 4)

    def binding(self) -> "KeyBinding | RotationBinding | None":
        """What this row shows of the profile."""
        found = self.id_data.demo.mapping.bindings()
        return found[self.position] if self.position < len(found) else None

    def change(self, **changes: Any) -> None:
        """Edit it, or say in the panel why that cannot be."""
        from .scene.edit_profile import edit

        mapping, old = self.id_data.demo.mapping, self.binding()
        if old is not None:
            mapping.change(lambda profile, character: edit(profile, character, old, mapping.channel, **changes))

    def objects(self) -> list[str]:
        """Where its key or bone may be."""
        from .scene.rig_profile import KeyBinding

        character = self.id_data.demo.mapping.character()
        parts = character.meshes if isinstance(self.binding(), KeyBinding) else character.parts
        return [part.name for part in parts]


def _select_channel(mapping: "DemoMapping", _context: bpy.types.Context) -> None:
    mapping.end_test()
    mapping.note = ""
    mapping.fit_rows()


def _test(mapping: "DemoMapping", _context: bpy.types.Context) -> None:
    mapping.show_test()


class DemoMapping(bpy.types.PropertyGroup):
    """Everything of the Mapping panel; lives at `scene.demo.mapping`."""

    profiles: CollectionProperty(type=DemoProfile)
    root: PointerProperty(type=bpy.types.Object, description="The root of the character that is shown")
    channels: CollectionProperty(type=DemoChannel)
    active: IntProperty(name="Channel", update=_select_channel)
    rows: CollectionProperty(type=DemoBinding)
    search: StringProperty(name="Search", description="Show channels of this name only", options={"TEXTEDIT_UPDATE"})
    only_missing: BoolProperty(name="Only Missing", description="Show only channels that nothing carries")
    only_guessed: BoolProperty(
        name="Only Guessed", description="Show only channels that were recognized by shape, or not surely by name"
    )
    weight: FloatProperty(
        name="Test",
        description="Show this channel on the character now, as a take would. Back at 0, or when you press Done, "
        "save or render, everything is as before",
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        update=_test,
    )
    turn: FloatProperty(
        name="Test",
        description="Turn the character now, as a take would, from one limit to the other. Back at 0, or when you "
        "press Done, save or render, everything is as before",
        min=-1.0,
        max=1.0,
        subtype="FACTOR",
        update=_test,
    )
    touched: CollectionProperty(type=DemoTouched)
    note: StringProperty(description="What the artist is told below the list")

    @property
    def channel(self) -> str:
        """The channel selected in the list."""
        return self.channels[self.active].name if 0 <= self.active < len(self.channels) else ""

    @property
    def is_testing(self) -> bool:
        """Whether the character is moved by the test now."""
        return len(self.touched) > 0

    def character(self) -> "Character":
        """The character that is picked. Raises RigError."""
        from .scene.character import find_character

        picked = self.id_data.demo.character
        if picked is None:
            raise RigError("Pick a character first.")
        return find_character(picked)

    def bindings(self) -> "tuple[KeyBinding | RotationBinding, ...]":
        """What shows the selected channel."""
        from .scene.edit_profile import rows_of

        return rows_of(_profile(self), self.channel)

    def look_again(self) -> "RigProfile":
        """Show the profile of the character that is picked now. Raises RigError where nothing of it is recognized."""
        from .scene.profiles import look_at

        root = None
        try:
            character = self.character()
            root = character.root
            return look_at(self.id_data, character)
        finally:
            self._show(root)

    def _show(self, root: bpy.types.Object | None) -> None:
        from .backend.motion.factors import CHANNELS

        if root != self.root:
            self.end_test()
            self.root, self.note = root, ""
        if [row.name for row in self.channels] != list(CHANNELS):
            self.channels.clear()
            for name in CHANNELS:
                self.channels.add().name = name
        self.fit_rows()

    def fit_rows(self) -> None:
        """As many rows as things show the selected channel."""
        count = len(self.bindings())
        while len(self.rows) > count:
            self.rows.remove(len(self.rows) - 1)
        while len(self.rows) < count:
            row = self.rows.add()
            row.position = len(self.rows) - 1

    def change(self, edit: "Callable[[RigProfile, Character], RigProfile]") -> bool:
        """Keep what `edit` makes of the profile as the artist's, and show it. False if refused; `note` says why."""
        from .scene.profiles import store_profile

        settings = self.id_data.demo
        try:
            character = self.character()
            store_profile(self.id_data, character, edit(_profile(self), character))
        except DemoError as error:
            self.note = str(error)
            return False
        self.note = ""
        settings.character = settings.character  # look at it again
        if self.is_testing:
            self.show_test()
        return True

    def show_test(self) -> None:
        """Move the character as the slider says; at 0 everything is put back."""
        from .scene.live_test import is_signed, restore, show

        settings, self.note = self.id_data.demo, ""
        amount = (self.turn if is_signed(self.channel) else self.weight) if self.channel else 0.0
        if amount == 0.0:
            restore(self.touched)
            return
        try:
            character = self.character()
            options = settings.bake_options("test", 1.0)
            sentences = show(self.touched, character, _profile(self), options, self.channel, amount)
            self.note = " ".join(sentences)
        except DemoError as error:
            restore(self.touched)
            self.note = str(error)

    def end_test(self) -> None:
        """Put everything back."""
        if self.weight:
            self.weight = 0.0
        if self.turn:
            self.turn = 0.0
        if self.is_testing:
            self.show_test()


def end_tests() -> None:
    """Put back what tests move, in every scene: the file is about to be saved or rendered, or was just opened."""
    for scene in bpy.data.scenes:
        settings = getattr(scene, "demo", None)
        if settings is not None:
            settings.mapping.end_test()


CLASSES: Final = (DemoProfilePart, DemoProfile, DemoTouched, DemoChannel, DemoBinding, DemoMapping)
