# SPDX-License-Identifier: GPL-3.0-or-later
"""From the names that artists and exporters gave shape keys to what the keys show, as ARKit weights. No bpy here.

A name is taken apart into words and a side. The tables of the conventions (`conventions/*.toml`) are taken apart in the
same way, so case, separators, scripts of kana and the place of the side make no difference. Words around a known name
may be dropped, unless they make another shape of it. A table of short names counts only where enough of it is there.

A file of a convention:

    convention = "what an artist calls it"
    [[names]]                          # as many as needed
    least = 1                          # how many of these names must be there, all with the same words around them
    witness = []                       # names, of which one must be there, on either side
    before = "any"                     # what may stand in front: any word, "face" words, or "none" but technical ones
    any_order = false                  # whether the words may stand in any order, with the synonyms of `words.toml`
    confidence = 1.0
    [names.shapes]
    "name{,_other}" = "pose of poses.toml", or { channel or both-sided stem = weight, low = -1.0 }

{} weighs nothing and is not answered, but helps to tell the convention. A name without a side shows both; the same name
with a side shows its half, unless the table says otherwise.
"""

import re
import tomllib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Final

from ..motion.factors import ARKIT_NAMES

__all__ = ["Recognized", "is_of_body", "recognize"]

_FOLDER: Final = Path(__file__).parent
_DUPLICATE: Final = re.compile(r"\.\d{3}$")
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[左右]|[^\x00-\x7f左右]+")
_TO_HIRAGANA: Final = {code: code - 0x60 for code in range(ord("ァ"), ord("ヶ") + 1)}

_HALVED: Final = {
    "browInnerUp", "cheekPuff", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper",
}  # fmt: skip
"""Channels without sides of which a key may show one half."""

_DROPPED: Final = 0.02
_UNKNOWN: Final = 0.05
_RESPELLED: Final = 0.005
"""What it costs in confidence when words were dropped, when they are unknown, and when the spelling differs."""


@dataclass(frozen=True)
class Recognized:
    """What a shape key shows, by its name.

    convention: what an artist calls it: "ARKit", "Oculus visemes", "VRM", "MMD".
    shape: the convention's own name of the shape.
    channels: ARKit weights that look like the key at value 1; negative where the key also does the opposite.
    low: -1 where the key goes both ways, else 0.
    confidence: 0..1, below 1 where the name alone leaves doubt.
    """

    convention: str
    shape: str
    channels: Mapping[str, float]
    low: float = 0.0
    confidence: float = 1.0


@dataclass(frozen=True)
class _Entry:
    """One shape of a convention, as in `Recognized`."""

    shape: str
    channels: Mapping[str, float]
    low: float


@dataclass
class _Set:
    """One table of names of a convention. Entries are found by a stem without its side, and a side."""

    convention: str
    least: int
    before: str
    any_order: bool
    confidence: float
    witnesses: set[str]
    entries: dict[tuple[str, str], _Entry] = field(default_factory=dict)

    def find(self, stem: str, side: str) -> _Entry | None:
        """The entry of a name, or the half of one that a name with a side shows."""
        entry = self.entries.get((stem, side))
        if entry is None and side and (both := self.entries.get((stem, ""))) is not None:
            channels = _half(both.channels, side)
            entry = _Entry(f"{both.shape}_{side[0].upper()}", channels, both.low) if channels else None
        return entry


@dataclass(frozen=True)
class _Words:
    """What `words.toml` says, as sets and one mapping."""

    sides: Mapping[str, str]
    technical: frozenset[str]
    face: frozenset[str]
    parts: frozenset[str]
    other: frozenset[str]
    synonyms: Mapping[str, str]


@dataclass(frozen=True)
class _Match:
    """One reading of a name: an entry of a set, and the words around it that were dropped."""

    names: _Set
    entry: _Entry
    dropped: tuple[str, ...]
    stem: str


@dataclass(frozen=True)
class _Tables:
    """All sets by the stems they know, those whose words may stand in any order apart; and the words of English.

    acting: words that make a shape, so that what they precede is a combination.
    run, word: English words written without a gap, and one of them.
    """

    ordered: Mapping[str, list[_Set]]
    unordered: Mapping[str, list[_Set]]
    acting: frozenset[str]
    run: re.Pattern[str]
    word: re.Pattern[str]


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        return tomllib.load(stream)


@cache
def _vocabulary() -> _Words:
    values = _read(_FOLDER / "words.toml")
    around = {kind: frozenset(words) for kind, words in values["around"].items()}
    return _Words(
        sides={word: side for side, words in values["sides"].items() for word in words},
        technical=around["technical"],
        face=around["face"] | around["technical"],
        parts=around["parts"],
        other=around["other"],
        synonyms={word: main for main, words in values["synonyms"].items() for word in words},
    )


def is_of_body(name: str) -> bool:
    """Whether a name speaks of what is no part of a face, or of its form at rest: 'fat', 'Door', 'breast size'."""
    return not _vocabulary().other.isdisjoint(_words(name))


def _unaccented(character: str) -> str:
    """The bare Latin letter of an accented one; other scripts need their marks."""
    base = unicodedata.normalize("NFD", character)[0]
    return base if base.isascii() else character


def _words(name: str) -> list[str]:
    """The words of a name in lower case: 'Face.M_F00_eyeBlinkLeft' -> face, m, f, 00, eye, blink, left."""
    bare = re.split(r"[:|]", _DUPLICATE.sub("", name))[-1]
    if not bare.isascii():
        bare = "".join(map(_unaccented, unicodedata.normalize("NFKC", bare))).translate(_TO_HIRAGANA)
    return [word.lower() for word in _WORD.findall(bare)]


def _sided(words: list[str]) -> tuple[list[str], str]:
    """The words without their side, and the side: the last word, the first, one after a part, or an ending."""
    known = _vocabulary()
    if len(words) > 1:
        places = [len(words) - 1, 0]
        places += [i for i in range(1, len(words) - 1) if words[i - 1] in known.parts]
        for place in places:
            side = known.sides.get(words[place])
            if side is not None:
                return words[:place] + words[place + 1 :], side
    for side in ("left", "right"):
        if words and words[-1].endswith(side) and len(words[-1]) > len(side):
            return [*words[:-1], words[-1].removesuffix(side)], side
    return words, ""


def _half(channels: Mapping[str, float], side: str) -> dict[str, float]:
    """What one side of a key for both sides shows; nothing where the key cannot be halved."""
    half: dict[str, float] = {}
    for channel, weight in channels.items():
        if channel in _HALVED:
            half[channel] = 0.5 * weight
        elif not channel.endswith(("Left", "Right")) or channel in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
            return {}
        elif channel.lower().endswith(side):
            half[channel] = weight
    return half


def _expanded(name: str) -> Iterator[str]:
    """All names that a name with {alternatives,in,braces} stands for."""
    parts = re.split(r"\{([^}]*)\}", name)
    choices = [part.split(",") if i % 2 else [part] for i, part in enumerate(parts)]
    return ("".join(choice) for choice in product(*choices))


def _channels(weights: Mapping[str, float]) -> dict[str, float]:
    """Channel weights, stems of two-sided channels written out for both sides."""
    channels: dict[str, float] = {}
    for stem, weight in weights.items():
        named = [stem] if stem in ARKIT_NAMES else [stem + side for side in ("Left", "Right")]
        unknown = [name for name in named if name not in ARKIT_NAMES]
        if unknown:
            raise KeyError(f"{unknown[0]} is no ARKit channel")
        channels.update(dict.fromkeys(named, float(weight)))
    return channels


def _arkit() -> dict[str, Any]:
    """The ARKit names and their stems without a side, as the table of a convention."""
    stems = {name.removesuffix("Left").removesuffix("Right") for name in ARKIT_NAMES}
    pairs = {stem: {stem: 1.0} for stem in stems if stem + "Left" in ARKIT_NAMES and stem not in ("jaw", "mouth")}
    return {"shapes": {**pairs, **{name: {name: 1.0} for name in ARKIT_NAMES}}}


def _common(words: list[str], tables: "_Tables | None" = None) -> str:
    """Words in plain English brought to one form: synonyms replaced, runs like 'eyesclosed' parted, in order of ABC."""
    synonyms = _vocabulary().synonyms
    parted: list[str] = []
    for word in words:
        parted += tables.word.findall(word) if tables and tables.run.fullmatch(word) else [word]
    return " ".join(sorted(synonyms.get(word, word) for word in parted))


def _set_of(convention: str, table: dict[str, Any], poses: Mapping[str, Any]) -> _Set:
    """One table of a convention's file, taken apart."""
    names = _Set(
        convention,
        table.get("least", 1),
        table.get("before", "any"),
        table.get("any_order", False),
        table.get("confidence", 1.0),
        {"".join(_sided(_words(shape))[0]) for shape in table.get("witness", ())},
    )
    for pattern, shown in table["shapes"].items():
        weights = dict(poses[shown] if isinstance(shown, str) else shown)
        low = weights.pop("low", 0.0)
        for shape in _expanded(pattern):
            words, side = _sided(_words(shape))
            stem = _common(words) if names.any_order else "".join(words)
            names.entries.setdefault((stem, side), _Entry(shape, _channels(weights), low))
    return names


@cache
def _tables() -> _Tables:
    """All conventions. Raises KeyError for a channel or pose that does not exist."""
    poses = _read(_FOLDER / "poses.toml")
    sets: list[_Set] = []
    for path in sorted((_FOLDER / "conventions").glob("*.toml")):
        values = _read(path)
        tables = [_arkit(), *values["names"]] if path.stem == "arkit" else values["names"]
        sets += [_set_of(values["convention"], table, poses) for table in tables]
    ordered: defaultdict[str, list[_Set]] = defaultdict(list)
    unordered: defaultdict[str, list[_Set]] = defaultdict(list)
    for names in sets:
        for stem in {stem for stem, _ in names.entries}:
            (unordered if names.any_order else ordered)[stem].append(names)
    acting = {word for name in ARKIT_NAMES for word in _words(name)} - _vocabulary().parts - {"tongue"}
    english = {*_vocabulary().synonyms, *(word for stem in unordered for word in stem.split())}
    choice = "|".join(sorted(english, key=lambda word: (-len(word), word)))
    return _Tables(ordered, unordered, frozenset(acting), re.compile(f"(?:{choice})+"), re.compile(choice))


def _may_drop(dropped: tuple[str, ...], before: str) -> bool:
    """Whether a name still is what it is without the words in front of it."""
    known, tables = _vocabulary(), _tables()
    if before == "any":
        return not any(word in known.other or word in tables.acting for word in dropped)
    allowed = known.face if before == "face" else known.technical
    return all(word in allowed or word.isdigit() for word in dropped)


def _matches(words: list[str]) -> Iterator[_Match]:
    """Every reading of a name's words."""
    known, tables = _vocabulary(), _tables()
    ends = [len(words)]
    while ends[-1] > 1 and words[ends[-1] - 1] in known.technical:
        ends.append(ends[-1] - 1)
    for end in ends:
        for start in range(end):
            inner, side = _sided(words[start:end])
            dropped = (*words[:start], *words[end:])
            joined, common = "".join(inner), _common(inner, tables)
            for stem, found in ((joined, tables.ordered), (common, tables.unordered)):
                for names in found.get(stem, ()):
                    entry = names.find(stem, side)
                    if entry is not None and _may_drop(dropped, names.before):
                        yield _Match(names, entry, dropped, stem)


def _readings(name: str) -> list[_Match]:
    """Every reading of a name; one written in a single run may end in an l or r ('eyeblinkl')."""
    words = _words(name)
    found = list(_matches(words))
    if not found and words and words[-1][-1] in "lr" and len(words[-1]) > 6:
        found = list(_matches([*words[:-1], words[-1][:-1], words[-1][-1]]))
    return found


def _present(readings: Iterable[list[_Match]]) -> set[tuple[int, tuple[str, ...]]]:
    """The sets, by identity and the words around, of which enough names are there."""
    shapes: defaultdict[tuple[int, tuple[str, ...]], set[str]] = defaultdict(set)
    stems: defaultdict[int, set[str]] = defaultdict(set)
    sets = {}
    for match in (match for found in readings for match in found):
        shapes[id(match.names), match.dropped].add(match.entry.shape)
        stems[id(match.names)].add(match.stem)
        sets[id(match.names)] = match.names
    return {
        (which, dropped)
        for (which, dropped), found in shapes.items()
        if len(found) >= sets[which].least and (not sets[which].witnesses or sets[which].witnesses & stems[which])
    }


def _confidence(name: str, match: _Match) -> float:
    """How sure a reading is: a table's own confidence, less for words around it and for another spelling."""
    known = _vocabulary()
    unknown = sum(1 for word in match.dropped if word not in known.face and not word.isdigit())
    cost = _DROPPED * bool(match.dropped) + _UNKNOWN * min(unknown, 3)
    cost += _RESPELLED * (name != match.entry.shape)
    return round(match.names.confidence - cost, 3)


def recognize(names: Iterable[str]) -> dict[str, Recognized]:
    """What the shape keys of one character show, by their names over all its meshes; only what is recognized.

    Basis names may be among them. The order of `names` makes no difference but to the order of the answer.
    """
    readings = {name: _readings(name) for name in dict.fromkeys(names)}
    present = _present(readings.values())
    kept = {
        name: [match for match in found if (id(match.names), match.dropped) in present]
        for name, found in readings.items()
    }
    told = [{match.names.convention for match in found} for found in kept.values()]
    votes = Counter(next(iter(conventions)) for conventions in told if len(conventions) == 1)
    answer: dict[str, Recognized] = {}
    for name, found in kept.items():
        if found:
            best = max(
                found,
                key=lambda match: (
                    match.names.least > 1,
                    -len(match.dropped),
                    votes[match.names.convention],
                    _confidence(name, match),
                ),
            )
            if best.entry.channels:
                answer[name] = Recognized(
                    best.names.convention,
                    best.entry.shape,
                    dict(best.entry.channels),
                    best.entry.low,
                    _confidence(name, best),
                )
    return answer
