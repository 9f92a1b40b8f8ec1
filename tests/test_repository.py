# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every file of the project, and for the zip that is made of it."""

import ast
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import bpy
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "blender_demo"
SCRIPTS = Path(bpy.utils.resource_path("LOCAL")) / "scripts"
EXTENSION_TOOL = SCRIPTS / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
VALID_TAGS = SCRIPTS / "modules" / "_bpy_internal" / "extensions" / "tags.py"

TORCH_FILES = ("attention.py", "networks.py", "pipeline.py", "audio/encoder.py", "worker/server.py", "worker/probe.py")
SCRIPTS_OF_THEIR_OWN = ("__main__.py", "bootstrap.py", "server.py")
TORCH_FOLDERS = ("fcme", "flow", "portrait", "training", "evaluation")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".json", ".txt", ".sh", ".yml", ".yaml", ""}
LARGEST_FILE_BYTES = 60 * 2**20


def tracked_files() -> list[Path]:
    """All files under version control that exist, or all in the tree where there is no version control."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    hidden = {".venv", ".venv-5.0", ".venv-5.2", "build", "dist", "__pycache__", ".git"}
    return [path for path in ROOT.rglob("*") if path.is_file() and not hidden & set(path.relative_to(ROOT).parts)]


def python_files(folder: Path) -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".py" and path.is_relative_to(folder)]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every imported module with its level: 0 for absolute imports, the number of dots for relative ones."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


PACKAGE_FILES = python_files(PACKAGE)
BACKEND_FILES = python_files(PACKAGE / "backend")
ZIPPED_FILES = [path for path in PACKAGE_FILES if not {"training", "evaluation"} & set(path.parts)]
ALL_FILES = python_files(ROOT)


@pytest.mark.parametrize("path", BACKEND_FILES, ids=name_of)
def test_backend_imports_neither_blender_nor_what_lies_above_it(path):
    depth = len(path.relative_to(PACKAGE / "backend").parts)
    for module, level in imports(ast.parse(path.read_text("utf-8"))):
        assert module.partition(".")[0] not in {"bpy", "bmesh", "mathutils", "aud", "gpu", "blender_demo"}
        assert level <= depth


@pytest.mark.parametrize("path", [p for p in BACKEND_FILES if p.parent.name == "motion"], ids=name_of)
def test_motion_needs_numpy_and_the_standard_library_only(path):
    for module, level in imports(ast.parse(path.read_text("utf-8"))):
        if level == 0:
            assert module.partition(".")[0] in {"numpy", *sys.stdlib_module_names}
        elif level > 1:
            assert module == "errors"


@pytest.mark.parametrize("path", PACKAGE_FILES, ids=name_of)
def test_torch_is_imported_on_the_worker_s_side_only(path):
    inside = path.relative_to(PACKAGE / "backend").as_posix() if path in BACKEND_FILES else ""
    if inside in TORCH_FILES or inside.startswith(TORCH_FOLDERS):
        return
    assert not [m for m, _ in imports(ast.parse(path.read_text("utf-8"))) if m.partition(".")[0] == "torch"]


@pytest.mark.parametrize("path", PACKAGE_FILES, ids=name_of)
def test_the_package_reaches_itself_by_relative_imports(path):
    modules = [m for m, level in imports(ast.parse(path.read_text("utf-8"))) if level == 0]
    assert not [m for m in modules if m.partition(".")[0] in {"blender_demo", "tests", "tools", "benchmarks"}]


@pytest.mark.parametrize("path", PACKAGE_FILES, ids=name_of)
def test_nothing_unsafe_is_imported_or_called(path):
    tree = ast.parse(path.read_text("utf-8"))
    banned = {"pickle", "cPickle", "dill", "marshal", "shelve", "socket", "socketserver", "http", "urllib", "requests"}
    assert not [m for m, _ in imports(tree) if m.partition(".")[0] in banned]
    for name, call in calls(tree):
        keywords = {k.arg: getattr(k.value, "value", None) for k in call.keywords}
        assert name not in {"eval", "exec", "os.system", "os.popen", "__import__"}
        assert keywords.get("shell") is not True
        assert keywords.get("allow_pickle") is not True
        assert name != "torch.load" or keywords.get("weights_only") is True


@pytest.mark.parametrize("path", ZIPPED_FILES, ids=name_of)
def test_nothing_is_written_beside_the_code(path):
    """No path made from __file__ is opened for writing, and only the worker, a process of its own, adds to sys.path."""
    tree = ast.parse(path.read_text("utf-8"))
    own = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value and "__file__" in ast.unparse(node.value)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    writers = ("write_text", "write_bytes", "mkdir", "touch", "unlink", "rename", "replace", "savez", "save", "rmtree")
    for name, call in calls(tree):
        words = set(re.findall(r"\w+", ast.unparse(call)))
        if own & words or "__file__" in words:
            assert name.rpartition(".")[2] not in writers
            assert not [a for a in call.args[1:] if isinstance(a, ast.Constant) and a.value in ("w", "wb", "a", "x")]
        assert path.name == "bootstrap.py" or name not in {"sys.path.insert", "sys.path.append", "sys.path.extend"}


@pytest.mark.parametrize("path", ALL_FILES, ids=name_of)
def test_every_source_file_names_its_license(path):
    head = path.read_text("utf-8").splitlines()[:2]
    assert "# SPDX-License-Identifier: GPL-3.0-or-later" in head


@pytest.mark.parametrize("path", ALL_FILES, ids=name_of)
def test_no_source_file_is_unfinished(path):
    marks = "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error"))
    assert not re.search(rf"\b({marks})\b", path.read_text("utf-8"))


@pytest.mark.parametrize("path", [p for p in tracked_files() if p.suffix in TEXT_SUFFIXES], ids=name_of)
def test_no_file_names_a_place_on_one_machine(path):
    text = path.read_text("utf-8", errors="replace")
    places = [re.escape("/" + place + "/") for place in ("work", "root", "farm", "Users", "opt/wheels", "opt/pypi")]
    assert not re.search(rf"(?<![\w.])({'|'.join(places)})", text)


def test_no_file_is_too_large_for_version_control():
    assert not [name_of(path) for path in tracked_files() if path.stat().st_size > LARGEST_FILE_BYTES]


def test_every_package_is_pinned_exactly():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    assert {"bpy==4.5.15", "torch==2.13.0", "numpy==1.26.4"} <= set(lines)


def test_backend_is_imported_without_blender():
    code = "import sys; import blender_demo.backend; assert not {'bpy', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_blender_can_end_after_every_module_was_imported():
    """Blender's module ends only when nothing refers to it any more; otherwise it hangs at exit.

    What keeps it alive: `Final[...]` and its like over a class of a module that imports bpy. `typing` caches it.
    """
    files = [path.relative_to(ROOT).with_suffix("") for path in ZIPPED_FILES if path.name not in SCRIPTS_OF_THEIR_OWN]
    modules = sorted(".".join(path.parts).removesuffix(".__init__") for path in files)
    code = f"import bpy, importlib\nfor name in {modules}: importlib.import_module(name)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


def extension_tool(*arguments: str) -> str:
    """Run Blender's own validator and builder."""
    command = [sys.executable, str(EXTENSION_TOOL), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The extension, built as it is released."""
    folder = tmp_path_factory.mktemp("built")
    extension_tool("build", "--valid-tags", str(VALID_TAGS), "--source-dir", str(PACKAGE), "--output-dir", str(folder))
    return next(folder.glob("*.zip"))


def test_manifest_passes_blender_s_validator():
    extension_tool("validate", "--valid-tags", str(VALID_TAGS), str(PACKAGE))


def test_zip_passes_blender_s_validator(built):
    extension_tool("validate", "--valid-tags", str(VALID_TAGS), str(built))


def test_zip_holds_what_runs_and_nothing_else(built):
    names = [PurePosixPath(name) for name in zipfile.ZipFile(built).namelist()]
    folders = {part for name in names for part in name.parts}
    assert not {"tests", "training", "evaluation", "__pycache__", ".git"} & folders
    assert not [name for name in names if name.suffix in {".pyc", ".pt", ".ckpt", ".zip"}]
    held = {"blender_manifest.toml", "backend/motion/factors.py", "backend/mapping/conventions/arkit.toml"}
    assert {"__init__.py", *held} <= {str(name) for name in names}


def test_zip_is_installed_and_enabled_by_blender(built, tmp_path):
    code = """
import sys, bpy, addon_utils
bpy.ops.extensions.package_install_files(repo="user_default", filepath=sys.argv[1], enable_on_install=True)
name = next(name for name in bpy.context.preferences.addons.keys() if name.startswith("bl_ext.user_default."))
for _ in range(2):
    assert addon_utils.check(name)[1], "it is not enabled"
    addon_utils.disable(name)
    assert not addon_utils.check(name)[1], "it is not disabled"
    addon_utils.enable(name)
addon_utils.disable(name)
assert "torch" not in sys.modules
print("installed", name)
"""
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path)}
    command = [sys.executable, "-c", code, str(built)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert "installed bl_ext.user_default.blender_demo" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
