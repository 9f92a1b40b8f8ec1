# SPDX-License-Identifier: GPL-3.0-or-later
"""Install the built zip into a whole Blender, use it from the command line and in its window, and keep a picture.

    REAL_BLENDER="sh tools/my-runner" python tools/check_real_blender.py --audio voice.wav --blend character.blend \\
        --object Face --out build/real_blender

REAL_BLENDER names a runner of two sub-commands, both of which work on a copy of the current folder:

    run CMD...                      run a command there
    shot SCRIPT.py OUT.png SECONDS  open Blender's window, run the script in it, take a picture after so many seconds

Exit status 0 means that everything worked; what was seen is printed as JSON.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["Check", "check", "main", "runner"]

REPO: Final = Path(__file__).resolve().parents[1]
WINDOW_SCRIPT: Final = Path(__file__).with_name("real_blender_window.py")
VALUES_SCRIPT: Final = Path(__file__).with_name("evaluated_values.py")
_WINDOW_S: Final = 75
_REPORT: Final = "demo_window.json"


@dataclass(frozen=True)
class Check:
    """What happened.

    commands: exit status by name. window: what the script in the window saw. picture: a file. output: of all of it.
    values: what `tools/evaluated_values.py` found.
    """

    commands: dict[str, int]
    window: dict[str, Any]
    picture: str
    output: str
    values: dict[str, list[float]]

    @property
    def passed(self) -> bool:
        """Whether every command and every step in the window did what it should."""
        return all(status == 0 for status in self.commands.values()) and bool(self.window.get("passed"))


def runner() -> list[str] | None:
    """The command that REAL_BLENDER names, None where it names none. A path in it is relative to the repository."""
    words = shlex.split(os.environ.get("REAL_BLENDER", ""))
    return [str((REPO / word).resolve()) if (REPO / word).is_file() else word for word in words] or None


def check(real_blender: list[str], package: Path, audio: Path, blend: Path, obj: str, folder: Path) -> Check:
    """Go through it all in `folder`, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(package, folder / "demo.zip")
    shutil.copy(audio, folder / f"voice{audio.suffix}")
    shutil.copy(blend, folder / "character.blend")
    (folder / "order.json").write_text(json.dumps({"object": obj, "audio": f"voice{audio.suffix}", "report": _REPORT}))
    script = shutil.copy(WINDOW_SCRIPT, folder / "window.py")
    demo = "blender --background --command demo"
    steps = {
        "install": "blender --command extension install-file -r user_default --enable demo.zip",
        "doctor": f"{demo} doctor",
        "generate": f"{demo} generate voice{audio.suffix} --out take.npz --duration 2",
        "bake": f"{demo} bake take.npz --blend character.blend --object {shlex.quote(obj)} --out baked.blend",
    }
    steps["map"] = f"{demo} map character.blend"
    shutil.copy(VALUES_SCRIPT, folder)
    steps["values"] = f"blender --background --python-exit-code 1 --python {VALUES_SCRIPT.name} -- values.json"
    line = "; ".join(f"{command}; echo STATUS {name} $?" for name, command in steps.items())
    output = _run([*real_blender, "run", "sh", "-c", f"{line}; tr -d '\\n' <values.json; echo"], folder)
    statuses = [
        words[1:] for text in output.splitlines() if (words := text.split())[:1] == ["STATUS"] and len(words) == 3
    ]
    picture = folder / "window.png"
    output += _run([*real_blender, "shot", str(script), str(picture), str(_WINDOW_S)], folder)
    seen = _run([*real_blender, "run", "sh", "-c", f'cat "${{TMPDIR:-/tmp}}/{_REPORT}"'], folder)
    window = next((json.loads(text) for text in seen.splitlines() if text.startswith("{")), {})
    commands = dict.fromkeys(steps, -1) | {name: int(status) for name, status in statuses if name in steps}
    values = next((json.loads(text) for text in reversed(output.splitlines()) if text.startswith('{"NLA')), {})
    return Check(commands, window, str(picture) if picture.is_file() else "", output, values)


def _run(command: list[str], folder: Path) -> str:
    run = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return run.stdout.decode(errors="replace")


def main() -> int:
    """Entry of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zip", type=Path, default=next(iter(sorted((REPO / "dist").glob("*.zip"))), None))
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--blend", type=Path, required=True)
    parser.add_argument("--object", required=True)
    parser.add_argument("--out", type=Path, default=REPO / "build" / "real_blender")
    options = parser.parse_args()
    command = runner()
    if command is None or options.zip is None:
        parser.error("set REAL_BLENDER to a runner, and build the zip with `make zip`")
    result = check(command, options.zip, options.audio, options.blend, options.object, options.out)
    print(json.dumps({**asdict(result), "passed": result.passed}, indent=1))
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
