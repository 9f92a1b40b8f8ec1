# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest says what Blender's own validator and the platform's reviewers ask for."""

import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def manifest() -> dict:
    return tomllib.loads((REPO / "blender_demo" / "blender_manifest.toml").read_text(encoding="utf-8"))


def test_the_displayed_name_is_free_of_blenders(manifest: dict) -> None:
    assert "blender" not in manifest["name"].lower()
    assert manifest["id"] == "blender_demo"


def test_lines_for_the_artist_are_short_and_have_no_full_stop(manifest: dict) -> None:
    for text in (manifest["tagline"], *manifest["permissions"].values()):
        assert len(text) <= 64
        assert text[-1].isalnum()


def test_version_agrees_with_the_project(manifest: dict) -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert manifest["version"] == project["version"]
    assert manifest["blender_version_min"] == "4.2.0"


def test_what_only_makes_the_model_is_left_out_of_the_zip(manifest: dict) -> None:
    excluded = manifest["build"]["paths_exclude_pattern"]
    assert {"/backend/training/", "/backend/evaluation/", "__pycache__/"} <= set(excluded)
