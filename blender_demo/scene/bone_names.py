# SPDX-License-Identifier: GPL-3.0-or-later
"""From the name of a bone or object to what it turns; the words are in `bone_names.toml`. No bpy here."""

import itertools
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["common_words", "is_machinery", "name_rank"]

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+|\d+")
_DUPLICATE: Final = re.compile(r"\.\d{3}$")


def _words(name: str) -> list[str]:
    """The words of a name in lower case, without accents and name space; digits are words too."""
    name = re.split(r"[:|]", _DUPLICATE.sub("", name))[-1]
    bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return [word.lower() for word in _WORD.findall(bare)]


@dataclass(frozen=True)
class _Names:
    """The tables of `bone_names.toml`.

    roles: for each role ("eye_left", "eye_part_left" with sides) and joined phrase its rank.
    meaning: every word of a phrase or side.
    """

    roles: Mapping[str, Mapping[str, int]]
    meaning: frozenset[str]
    exact: Mapping[str, Mapping[str, int]]
    around: frozenset[str]
    never: frozenset[str]
    machinery: frozenset[str]


def _joined(phrase: str) -> str:
    return "".join(_words(phrase))


@cache
def _names() -> _Names:
    with (Path(__file__).parent / "bone_names.toml").open("rb") as stream:
        table = tomllib.load(stream)
    roles: dict[str, dict[str, int]] = {}
    for role, phrases in table["roles"].items():
        ranked = {_joined(phrase): rank for rank, phrase in enumerate(phrases)}
        if not role.startswith("eye"):
            roles[role] = ranked
            continue
        for side, words in table["sides"].items():
            sides = [_joined(word) for word in words]
            roles[f"{role}_{side}"] = {
                joined: rank for stem, rank in ranked.items() for s in sides for joined in (stem + s, s + stem)
            }
    words = {kind: frozenset(map(_joined, table["words"][kind])) for kind in ("around", "never", "machinery")}
    exact = {role: {name.lower(): i for i, name in enumerate(names)} for role, names in table["exact"].items()}
    phrases = itertools.chain(*table["roles"].values(), *table["sides"].values())
    meaning = frozenset(word for phrase in phrases for word in _words(phrase))
    return _Names(roles, meaning, exact, **words)


def common_words(names: Iterable[str], *owners: str) -> frozenset[str]:
    """Words that say nothing in these names, as a third of them carries them, or their owner does."""
    names = list(names)
    counts = Counter(word for name in names for word in set(_words(name)))
    common = {word for word, count in counts.items() if count >= max(3, len(names) / 3)}
    common |= {word for owner in owners for word in _words(owner)}
    return frozenset(common - _names().meaning - _names().never)


def name_rank(name: str, role: str, common: frozenset[str]) -> tuple[int, int] | None:
    """How badly a name says a role: words that say nothing, then rank of the phrase; None where it does not."""
    if name.lower() in _names().exact.get(role, {}):
        return 1, len(_names().roles[role]) + _names().exact[role][name.lower()]
    phrases = _names().roles[role]
    words = _words(name)
    kept = [word for word in words if not word.isdigit()]
    if (joined := "".join(kept)) in phrases:
        return 0, phrases[joined]
    bare = [word for word in kept if word not in _names().around | common]
    if (joined := "".join(bare)) in phrases:
        return len(kept) - len(bare), phrases[joined]
    return None


def is_machinery(name: str) -> bool:
    return not _names().machinery.isdisjoint(_words(name))
