# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers with a fake generator in a real child process. A stub stands in for PyTorch, to start fast."""

import sys
from pathlib import Path

import pytest

from blender_demo.backend.worker.client import Worker

FAKE_CHILD = Path(__file__).with_name("fake_child.py")
STUB_TORCH = """
__version__ = "0.0-stub"
class Tensor:  # SciPy asks whether something is one
    pass
class cuda:
    is_available = staticmethod(lambda: False)
class backends:
    class mps:
        is_available = staticmethod(lambda: False)
"""


@pytest.fixture(scope="session")
def stub_torch(tmp_path_factory):
    """A folder with a `torch` that imports at once and can do nothing."""
    folder = tmp_path_factory.mktemp("stub")
    (folder / "torch.py").write_text(STUB_TORCH)
    return folder


@pytest.fixture
def make_worker(stub_torch):
    """Makes workers with the fake generator, and closes them."""
    workers = []

    def make(**options):
        options = {"site_dirs": [stub_torch], "script": FAKE_CHILD, "start_timeout_s": 60.0, **options}
        workers.append(Worker(Path(sys.executable), **options))
        return workers[-1]

    yield make
    for worker in workers:
        worker.close()


@pytest.fixture
def worker(make_worker):
    """A worker with the fake generator."""
    return make_worker()
