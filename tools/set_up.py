# SPDX-License-Identifier: GPL-3.0-or-later
"""Make an environment with everything the project needs, or say what is missing. Standard library only.

python3.11 tools/set_up.py                                  .venv with the pinned packages
python3.11 tools/set_up.py --blender 5.0.1 --venv .venv-5.0   .venv and another Blender in front of it
python3.13 tools/set_up.py --blender 5.2.3 --venv .venv-5.2   an environment of its own, without torch
"""

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MATRIX_PACKAGES = ("numpy", "pytest", "soundfile", "scipy", "pillow", "safetensors", "tqdm", "OpenEXR")

SYSTEM_LIBRARIES = {
    "libX11.so.6": "libx11-6",
    "libXrender.so.1": "libxrender1",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libXext.so.6": "libxext6",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
}
"""What Blender as a Python module is linked against beyond the C and C++ libraries, with Debian's package names."""


def main() -> int:
    """Set up one environment. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--venv", default=".venv", help="folder of the environment (.venv)")
    parser.add_argument("--blender", help="another version of the bpy package than the pinned one")
    arguments = parser.parse_args()
    if not arguments.blender and sys.version_info[:2] != (3, 11):
        return _fail(f"Python 3.11 is needed, this is {sys.version.split()[0]}. Try: make PYTHON=/path/to/python3.11")
    missing = _missing_libraries()
    if missing and not _install_libraries(missing):
        packages = " ".join(missing)
        return _fail(f"Blender needs system libraries that are not here. On Debian: apt-get install {packages}")
    folder = ROOT / arguments.venv
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"Creating {arguments.venv} with Python {sys.version.split()[0]}", flush=True)
        venv.create(folder, with_pip=True)
    try:
        if arguments.blender:
            _install_other_blender(python, arguments.blender)
        else:
            _pip(python, "--requirement", str(ROOT / "constraints.txt"))
        subprocess.run([python, "-c", "import bpy; print('Blender', bpy.app.version_string, 'is ready.')"], check=True)
    except subprocess.CalledProcessError as error:
        return _fail(f"{arguments.venv} could not be set up: exit status {error.returncode}, see above.")
    return 0


def _install_other_blender(python: Path, version: str) -> None:
    """Into an environment of its own. Where the Python is .venv's, that one's packages are borrowed, torch included."""
    own = sys.version_info[:2] == (3, 11)
    if own:
        packages = next((ROOT / ".venv" / "lib").glob("python3.11/site-packages"))
        target = next(python.parent.parent.glob("lib/python3.11/site-packages"))
        (target / "borrowed.pth").write_text(f"{packages}\n", encoding="utf-8")
    _pip(python, "--ignore-installed", "--no-deps", f"bpy=={version}")
    if not own:
        _pip(python, f"bpy=={version}", *MATRIX_PACKAGES)


def _pip(python: Path, *arguments: str) -> None:
    subprocess.run([python, "-m", "pip", "install", "--disable-pip-version-check", *arguments], check=True)


def _missing_libraries() -> list[str]:
    """Debian packages of the system libraries that cannot be loaded."""
    if sys.platform != "linux":
        return []
    missing = []
    for library, package in SYSTEM_LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    return missing


def _install_libraries(packages: list[str]) -> bool:
    """Install Debian packages if this user may. True if it worked."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    print(f"Installing system libraries for Blender: {' '.join(packages)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    updated = subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False).returncode == 0
    return updated and subprocess.run(install, env=environment, check=False).returncode == 0


def _fail(message: str) -> int:
    print(f"set-up: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
