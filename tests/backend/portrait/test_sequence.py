# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames on disk are whole, ours, and the same whether or not the work was interrupted."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_demo.backend.errors import JobCancelled, PortraitError
from blender_demo.backend.portrait.frames import render_frames
from blender_demo.backend.portrait.sequence import FrameSet, write_sequence

from .heads import SIZE, clip_of, fit_with, portrait_of

ROOT = Path(__file__).parents[3]
COUNT, BYTES = 20, 8 * 8 * 4


def render(first):
    """Every frame is noise of its own."""
    for index in range(first, COUNT):
        yield np.random.default_rng(index).integers(0, 256, (8, 8, 4), np.uint8)


@pytest.fixture
def frames(tmp_path):
    return FrameSet(tmp_path / "frames", "talk", COUNT, {"picture": "abc", "size": [8, 8]})


def contents(frames):
    return {path.name: path.read_bytes() for path in sorted(frames.folder.iterdir())}


def test_frames_are_numbered_from_the_one_that_is_held(frames):
    assert write_sequence(frames, render, BYTES) == 0
    names = [f"talk_{number:04d}.png" for number in range(COUNT + 1)]
    assert sorted(contents(frames)) == sorted([*names, "talk_frames.json"])
    assert frames.path(0).read_bytes() == frames.path(1).read_bytes()
    with Image.open(frames.path(3)) as third:
        assert np.array_equal(np.asarray(third), next(render(2)))


@pytest.mark.parametrize(("suffix", "dtype"), [(".png", np.uint16), (".exr", np.float16)])
def test_other_files_are_gone_on_with_too_and_give_way_to_each_other(frames, suffix, dtype):
    if suffix == ".exr":
        pytest.importorskip("OpenEXR", reason="needs OpenEXR")
    write_sequence(frames, render, BYTES)
    other = replace(frames, suffix=suffix, made_from={"format": suffix})

    def render_other(first):
        return (pixels.astype(dtype) for pixels in render(first))

    assert write_sequence(other, render_other, BYTES, overwrite=True) == 0
    whole = contents(other)
    assert sorted(whole) == sorted([*(f"talk_{number:04d}{suffix}" for number in range(COUNT + 1)), "talk_frames.json"])
    other.path(7).write_bytes(other.path(7).read_bytes()[:-1])
    assert write_sequence(other, render_other, BYTES) == COUNT - 1
    assert contents(other) == whole


def test_a_second_run_renders_nothing(frames):
    write_sequence(frames, render, BYTES)
    assert write_sequence(frames, lambda _: pytest.fail("it renders"), BYTES) == COUNT


def test_what_is_missing_or_cut_off_is_made_again_from_the_start_of_its_batch(frames):
    write_sequence(frames, render, BYTES)
    whole, asked = contents(frames), []
    frames.path(7).write_bytes(frames.path(7).read_bytes()[:-1])
    frames.path(9).unlink()
    assert write_sequence(frames, lambda first: asked.append(first) or render(first), BYTES, batch=4) == COUNT - 2
    assert asked == [4]
    assert contents(frames) == whole


def test_a_cancel_keeps_the_frames_so_far_and_nothing_half_written(frames):
    def cancel(fraction):
        if fraction >= 0.4:
            raise JobCancelled("Enough.")

    with pytest.raises(JobCancelled):
        write_sequence(frames, render, BYTES, progress=cancel)
    assert not [name for name in contents(frames) if name.endswith(".tmp")]
    kept = write_sequence(frames, render, BYTES)
    assert 0.4 * COUNT <= kept < COUNT


PROGRAM = """
import os, signal, sys
from pathlib import Path
from tests.backend.portrait.test_sequence import BYTES, COUNT, FrameSet, render, write_sequence
def kill(fraction):
    if fraction >= 0.4:
        os.kill(os.getpid(), signal.SIGKILL)
frames = FrameSet(Path(sys.argv[1]), "talk", COUNT, {"picture": "abc", "size": [8, 8]})
write_sequence(frames, render, BYTES, progress=kill)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_killed_and_gone_on_with_gives_the_bytes_of_an_unbroken_run(frames, tmp_path):
    killed = subprocess.run([sys.executable, "-c", PROGRAM, str(frames.folder)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    (frames.folder / ".talk_0012.png.77.tmp").write_bytes(b"half")
    assert write_sequence(frames, render, BYTES) >= 0.4 * COUNT
    unbroken = replace(frames, folder=tmp_path / "unbroken")
    write_sequence(unbroken, render, BYTES)
    assert contents(frames) == contents(unbroken)


def test_progress_never_falls_and_ends_at_one(frames):
    seen = []
    write_sequence(frames, render, BYTES, progress=seen.append)
    assert seen == sorted(seen)
    assert (len(seen), seen[-1]) == (COUNT, 1.0)


def test_frames_of_another_portrait_are_refused_and_told_apart(frames):
    write_sequence(frames, render, BYTES)
    before = contents(frames)
    with pytest.raises(PortraitError, match=r"another portrait \(other size\).*overwrite"):
        write_sequence(replace(frames, made_from={"picture": "abc", "size": [9, 9]}), render, BYTES)
    assert contents(frames) == before
    frames.manifest.unlink()
    with pytest.raises(PortraitError, match="nothing says"):
        write_sequence(frames, render, BYTES)


def test_overwriting_leaves_no_frame_of_the_longer_one_and_no_other_file(frames):
    write_sequence(frames, render, BYTES)
    (frames.folder / "talk.wav").touch()
    (frames.folder / "talk_show_0001.png").touch()
    shorter = replace(frames, count=5)
    assert write_sequence(shorter, render, BYTES, overwrite=True) == 0
    held = {f"talk_{number:04d}.png" for number in range(6)}
    assert set(contents(frames)) == held | {"talk.wav", "talk_show_0001.png", "talk_frames.json"}
    assert json.loads(shorter.manifest.read_text())["frames"] == 5


def test_too_little_space_is_told_before_anything_is_rendered(frames, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 0))
    with pytest.raises(PortraitError, match=r"need about .* MiB.*Free some space"):
        write_sequence(frames, lambda _: pytest.fail("it renders"), BYTES)


def test_a_disk_that_is_full_halfway_is_told_and_gone_on_with(frames, monkeypatch):
    real = os.replace

    def refuse(source, target):
        if Path(target).name == "talk_0010.png":
            raise OSError(28, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(PortraitError, match="No space left on device"):
            write_sequence(frames, render, BYTES)
    assert not [name for name in contents(frames) if name.endswith(".tmp")]
    assert write_sequence(frames, render, BYTES) >= 9


def test_a_folder_that_is_a_file_is_told(frames):
    frames.folder.touch()
    with pytest.raises(PortraitError, match="Choose one you may write to"):
        write_sequence(frames, render, BYTES)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_sequence(tmp_path):
    portrait, count, used = portrait_of(fit_with()), 480, []
    clip = clip_of(*({"jawOpen": 0.3 * (index % 5), "headYaw": 0.01 * (index % 7)} for index in range(count)))
    frames = FrameSet(tmp_path, "talk", count, {})

    def measure(_):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        used.append(pages * resource.getpagesize())

    write_sequence(
        frames, lambda first: render_frames(portrait, clip, SIZE, SIZE, first=first), BYTES, 4, progress=measure
    )
    early, late = np.max(used[count // 8 : count // 4]), np.max(used[-count // 8 :])
    assert late - early < 0.2 * 0.75 * count * SIZE * SIZE * 3, "of what keeping the frames between would take"


def test_a_renderer_that_stops_early_is_told(frames):
    with pytest.raises(PortraitError, match="Only 20 of 30 frames"):
        write_sequence(replace(frames, count=30), render, BYTES)
