# SPDX-License-Identifier: GPL-3.0-or-later
"""A Python is asked itself what it has, and a useless one is told from a useful one."""

import subprocess
import sys
from pathlib import Path

import pytest

from blender_demo.backend.worker.interpreter import check_python, python_can_run_worker, worker_site_dirs

ROOT = Path(__file__).parents[3]


def test_this_python_can_run_the_worker():
    report = check_python(Path(sys.executable))
    assert report.version == sys.version.split()[0]
    assert {"torch", "numpy", "scipy", "soundfile", "safetensors", "pillow"} <= set(report.packages)
    assert report.device in ("cuda", "mps", "cpu")
    assert report.problems.keys() <= {"weights", "mediapipe", "openexr"}


def test_a_python_without_what_portraits_need_can_still_generate(tmp_path, stub_torch):
    for module in ("PIL", "mediapipe"):
        (tmp_path / f"{module}.py").write_text("raise ModuleNotFoundError('gone')")
    report = check_python(Path(sys.executable), [tmp_path])
    assert {"pillow", "mediapipe"} <= report.problems.keys()
    assert python_can_run_worker(Path(sys.executable), [tmp_path, stub_torch])


def test_the_version_of_torch_is_that_of_the_first_on_the_path(stub_torch):
    assert python_can_run_worker(Path(sys.executable), [stub_torch]) == "0.0-stub"


def test_a_torch_that_does_not_import_is_a_problem_with_a_reason(tmp_path):
    (tmp_path / "torch.py").write_text("import no_such_library")
    report = check_python(Path(sys.executable), [tmp_path])
    assert "no_such_library" in report.problems["torch"]
    assert "numpy" in report.packages
    assert python_can_run_worker(Path(sys.executable), [tmp_path]) is None


def test_prints_of_a_package_do_not_disturb_the_answer(tmp_path, stub_torch):
    text = (stub_torch / "torch.py").read_text()
    (tmp_path / "torch.py").write_text(text + "\nprint('{} a banner')")
    assert check_python(Path(sys.executable), [tmp_path]).packages["torch"] == "0.0-stub"


@pytest.mark.skipif(sys.platform == "win32", reason="names programs of Unix")
@pytest.mark.parametrize("program", ["ls", "true", "false"])
def test_a_program_that_is_no_python_is_told_from_one(program):
    path = subprocess.run(["which", program], capture_output=True, text=True, check=True).stdout.strip()
    assert check_python(Path(path)).problems["python"]


def test_a_python_that_is_not_there(tmp_path):
    assert "python" in check_python(tmp_path / "python").problems
    assert python_can_run_worker(tmp_path) is None


def test_a_python_that_never_answers(tmp_path):
    (tmp_path / "torch.py").write_text("import time; time.sleep(3600)")
    assert "did not answer" in check_python(Path(sys.executable), [tmp_path], timeout_s=0.5).problems["python"]


def test_packages_are_handed_to_the_same_python_only(tmp_path):
    assert worker_site_dirs(tmp_path / "python") == ()
    assert all(folder.name in ("site-packages", "dist-packages") for folder in worker_site_dirs(Path(sys.executable)))
    assert worker_site_dirs(Path(sys.executable))


def test_the_parent_needs_neither_torch_nor_blender():
    code = (
        "import sys; import blender_demo.backend.worker.client, blender_demo.cli;"
        "assert not {'torch', 'bpy', 'scipy', 'soundfile'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
