# SPDX-License-Identifier: GPL-3.0-or-later
"""A take is the same in every version of Blender."""

import json
from pathlib import Path

import pytest

from tools.evaluated_values import evaluated_values

pytestmark = pytest.mark.matrix


def test_every_version_of_blender_evaluates_a_take_alike() -> None:
    kept = json.loads(Path(__file__).with_name("evaluated_values.json").read_text(encoding="utf-8"))
    values = evaluated_values()
    assert values.keys() == kept.keys()
    for name, expected in kept.items():
        assert values[name] == pytest.approx(expected, abs=2e-5), name
