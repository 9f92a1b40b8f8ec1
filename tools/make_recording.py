# SPDX-License-Identifier: GPL-3.0-or-later
"""Speak demo/speech.txt with Flite (voice rms) into demo/speech.ogg, with the times of its phones beside it.

    python -m tools.make_recording

Needs the program `flite`. The results are committed; this is how they were made.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

FOLDER = Path(__file__).resolve().parent.parent / "demo"
VOICE = "rms"
STRETCH = 0.89
PEAK = 0.8


def main() -> int:
    """Write the recording and its phones. Returns the exit status."""
    if not shutil.which("flite"):
        print("make_recording: the program flite is needed. On Debian: apt-get install flite", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "speech.wav"
        voice = ["-voice", VOICE, "--setf", f"duration_stretch={STRETCH}"]
        command = ["flite", *voice, "-psdur", "-f", str(FOLDER / "speech.txt"), "-o", str(wave)]
        spoken = subprocess.run(command, check=True, capture_output=True, text=True)
        samples, rate = soundfile.read(wave)
    phones = phone_times(spoken.stdout)
    print(f"{len(samples) / rate:.2f} s of sound, phones end at {phones[-1][2]:.2f} s")
    soundfile.write(FOLDER / "speech.ogg", samples * PEAK / np.abs(samples).max(), rate, format="OGG", subtype="VORBIS")
    lines = ",\n".join(json.dumps(phone) for phone in phones)
    (FOLDER / "speech.phones.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return 0


def phone_times(text: str) -> list[tuple[str, float, float]]:
    """ARPAbet phone, start and end in seconds, from Flite's lines of `phone:end`, one line for each utterance."""
    phones = []
    offset = 0.0
    for line in filter(None, text.splitlines()):
        start = 0.0
        for item in line.split():
            name, end = item.split(":")
            phones.append((name.upper().replace("PAU", "SIL"), round(offset + start, 3), round(offset + float(end), 3)))
            start = float(end)
        offset += start
    return phones


if __name__ == "__main__":
    raise SystemExit(main())
