# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by all tests: where the shared data lies."""

from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared data beside the repository; the test is skipped where it is missing."""
    folder = REPO.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the shared data at {folder}")
    return folder
