# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs in real child processes: they finish, can be cancelled, and survive whatever happens to the child."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from blender_demo.backend.errors import ClipError, JobCancelled, PortraitError, WeightsError, WorkerError
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNELS
from blender_demo.backend.portrait.landmarks import Landmarks
from blender_demo.backend.portrait.order import PortraitOrder
from blender_demo.backend.portrait.png import encode_png
from blender_demo.backend.settings import FactorControl, GenerationSettings
from blender_demo.backend.worker import process
from blender_demo.backend.worker.client import GenerationJob, HeadJob, JobState, PointsJob, PortraitJob, Worker

REPOSITORY = Path(__file__).parents[3]
DEADLINE_S = 30.0

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def job(worker, behaviour="fine", **settings):
    return GenerationJob(worker, Path(f"{behaviour}.wav"), GenerationSettings(**settings))


def step_until(condition, *jobs):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, [(j.state, j.error) for j in jobs]
        finished = [j.step() for j in jobs]
        if jobs and all(finished):
            break
        time.sleep(0.005)
    assert condition(), [(j.state, j.error) for j in jobs]


def step_to_the_end(j):
    step_until(lambda: j.finished, j)
    return j


def running(worker, behaviour="long"):
    j = job(worker, behaviour)
    step_until(lambda: j.progress > 0, j)
    return j


def folders(tmp_path):
    return sorted(tmp_path.glob("blender_demo_*"))


def test_stepped_and_blocking_runs_give_the_same_bits(worker):
    stepped = step_to_the_end(job(worker, seed=7))
    blocking = job(worker, seed=7)
    blocking.run()
    assert stepped.state is blocking.state is JobState.DONE
    assert stepped.clip.channels.tobytes() == blocking.clip.channels.tobytes()


def test_the_settings_and_the_range_reach_the_generator(worker):
    other_seed = GenerationJob(worker, Path("a.wav"), GenerationSettings(seed=8), start_s=1.5, duration_s=2.0)
    clip = other_seed.run()
    assert clip.audio_hash == "1.5-2.0"
    assert not np.array_equal(clip.channels, job(worker, seed=7).run().channels)


def test_takes_reach_the_generator_wherever_it_runs(worker, tmp_path, monkeypatch):
    """The child may have another working folder, so relative paths become absolute."""
    monkeypatch.chdir(tmp_path)
    for name in ("head.npz", "before.npz"):
        MotionClip(30.0, np.zeros((9, len(CHANNELS)), np.float32)).save(tmp_path / name)
    told = job(worker, prefix="before.npz", factors={"pose": FactorControl(given="head.npz")}).run().settings
    assert told["prefix"] == str(tmp_path / "before.npz")
    assert told["factors"]["pose"]["given"] == str(tmp_path / "head.npz")
    assert told["suffix"] == ""


@pytest.mark.parametrize("content", [None, b"PK\3\4"], ids=["missing", "damaged"])
def test_a_take_that_cannot_be_read_is_refused_before_the_child_starts(worker, tmp_path, content):
    path = tmp_path / "head.npz"
    if content:
        path.write_bytes(content)
    for settings in (
        {"factors": {"eyes": FactorControl(given=str(path))}},
        {"prefix": str(path)},
        {"suffix": str(path)},
    ):
        with pytest.raises(ClipError, match=r"head\.npz"):
            job(worker, **settings)
    assert worker.pid is None


def test_a_finished_job_tells_what_it_took(worker):
    j = job(worker, "noted")
    j.run()
    assert j.device == "cpu"
    assert j.notes == ["a note"]
    assert set(j.timings) == {"audio", "flow", "decode"}
    assert j.progress == 1.0
    if sys.platform != "win32":
        assert 10e6 < j.peak_memory_bytes < 10e9


def test_peak_memory_is_that_of_the_worker_and_not_of_its_parent(worker):
    ballast = np.ones(200_000_000, dtype=np.uint8)
    j = job(worker)
    j.run()
    assert j.peak_memory_bytes < ballast.nbytes


def test_progress_never_falls_and_goes_through_the_stages(worker):
    j, seen = job(worker, "long"), []
    j.step()
    step_until(lambda: seen.append((j.stage, j.progress)) or j.progress > 0.002, j)
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert seen[0][0] == "start"
    assert seen[-1][0] == "audio"
    j.cancel()
    step_to_the_end(j)


def test_one_generator_serves_all_jobs_of_one_device(worker):
    made = [job(worker, device=device).run().settings["made_at"] for device in ("cpu", "cpu", "auto")]
    assert made[0] == made[1] != made[2]


def test_a_second_job_waits_for_the_first(worker):
    first, second = running(worker), job(worker)
    second.step()
    assert second.state is JobState.WAITING
    first.cancel()
    step_until(lambda: second.finished, first, second)
    assert (first.state, second.state) == (JobState.CANCELLED, JobState.DONE)


def test_a_job_that_was_dropped_does_not_hold_up_the_next(worker):
    dropped = running(worker)
    del dropped
    gc.collect()
    assert job(worker).run() is not None


def test_cancel_leaves_the_worker_alive(worker):
    j = running(worker)
    pid = worker.pid
    j.cancel()
    step_to_the_end(j)
    assert j.state is JobState.CANCELLED
    assert isinstance(j.error, JobCancelled)
    assert j.clip is None
    job(worker).run()
    assert worker.pid == pid


def test_cancel_before_the_start_needs_no_worker(worker):
    j = job(worker)
    j.cancel()
    assert j.step()
    assert j.state is JobState.CANCELLED
    assert not worker.alive
    with pytest.raises(JobCancelled):
        j.run()


def test_a_job_that_does_not_notice_its_cancel_is_killed(make_worker):
    worker = make_worker(cancel_grace_s=0.2)
    j = running(worker, "deaf")
    j.cancel()
    step_to_the_end(j)
    assert j.state is JobState.CANCELLED
    job(worker).run()


def test_an_error_of_the_caller_cancels_the_job(worker):
    def interrupt(j):
        if j.progress > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job(worker, "long").run(interrupt)
    assert job(worker).run() is not None


def test_errors_keep_their_kind_and_the_worker_lives_on(worker):
    with pytest.raises(WeightsError, match="damaged"):
        job(worker, "weights").run()
    pid = worker.pid
    with pytest.raises(WorkerError, match=r"bug\.wav failed.*division by zero"):
        job(worker, "bug").run()
    with pytest.raises(WorkerError, match=r"not enough memory.*shorter"):
        job(worker, "memory").run()
    assert worker.pid == pid


def test_prints_and_c_output_go_to_the_log_and_not_into_the_protocol(worker):
    job(worker).run()
    log = (worker.folder / process.LOG_NAME).read_text()
    assert "a print from inside the generator" in log
    assert "a line from C" in log


@needs_posix
def test_a_killed_worker_is_reported_and_the_next_job_works(worker):
    j = running(worker)
    os.kill(worker.pid, signal.SIGKILL)
    step_to_the_end(j)
    assert j.state is JobState.FAILED
    assert isinstance(j.error, WorkerError)
    assert "killed" in str(j.error)
    assert "next job starts a new worker" in str(j.error)
    assert job(worker).run() is not None


@needs_posix
def test_a_crash_is_reported_with_the_end_of_the_log(worker):
    with pytest.raises(WorkerError, match=r"(?s)segmentation fault.*Last lines of its log.*in generate"):
        job(worker, "suicide").run()
    assert job(worker).run() is not None


def test_an_idle_worker_leaves_and_the_next_job_starts_another(make_worker):
    worker = make_worker(idle_timeout_s=0.1)
    job(worker).run()
    pid = worker.hello["pid"]
    step_until(lambda: not worker.alive)
    job(worker).run()
    assert worker.hello["pid"] != pid


def test_a_job_sent_to_a_worker_that_is_just_leaving_is_done_by_the_next(worker, tmp_path):
    j = GenerationJob(worker, tmp_path / "leaving.wav", GenerationSettings())
    assert j.run() is not None
    assert (tmp_path / "leaving.wav").exists()


def test_closing_removes_the_folder_the_thread_and_the_process(make_worker, tmp_path, monkeypatch):
    monkeypatch.setattr(process.tempfile, "tempdir", str(tmp_path))
    worker = make_worker()
    job(worker).run()
    pid = worker.pid
    assert len(folders(tmp_path)) == 1
    worker.close()
    assert folders(tmp_path) == []
    assert not [thread for thread in threading.enumerate() if thread.name == process.READER_NAME]
    if sys.platform != "win32":
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_worker_nobody_holds_is_closed(make_worker, stub_torch, tmp_path, monkeypatch):
    monkeypatch.setattr(process.tempfile, "tempdir", str(tmp_path))
    worker = Worker(Path(sys.executable), [stub_torch])
    worker.wait_until_ready()
    del worker
    gc.collect()
    assert folders(tmp_path) == []


PARENT = """
import sys, time
from pathlib import Path
from blender_demo.backend.worker.client import Worker
worker = Worker(Path(sys.executable), [Path(sys.argv[1])])
print(worker.wait_until_ready()["pid"], worker.folder, flush=True)
time.sleep(3600 if sys.argv[2] == "killed" else 0)
"""


@needs_posix
@pytest.mark.parametrize("end", ["exits", "killed"])
def test_the_child_does_not_outlive_its_parent(stub_torch, end):
    command = [sys.executable, "-c", PARENT, str(stub_torch), end]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, text=True) as parent:
        pid, folder = parent.stdout.readline().split(maxsplit=1)
        if end == "killed":
            parent.kill()
        parent.wait(DEADLINE_S)
    step_until(lambda: not Path(folder.strip()).exists())
    step_until(lambda: not is_running(int(pid)))


def is_running(pid):
    """An orphan that has ended may stay a zombie where nothing reaps it."""
    status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(status.strip()) and not status.strip().startswith("Z")


def test_the_worker_says_what_it_runs_on(make_worker):
    worker = make_worker(site_dirs=[])
    hello = worker.wait_until_ready()
    assert hello["python"] == sys.version.split()[0]
    assert hello["torch"][0].isdigit()
    assert hello["torch"] != "0.0-stub"
    assert hello["device"] in ("cuda", "mps", "cpu")
    assert hello["seconds"] > 0


def script(tmp_path, text):
    path = tmp_path / "child.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("print('Welcome to this Python!\\0')", "not a message.*Welcome"),
        ("import sys; sys.stdout.write('x' * (1 << 21)); sys.stdout.flush(); sys.stdin.read()", "without ending"),
        ("import sys; sys.exit('no licence for this Python')", "(?s)cannot start.*exit status 1.*no licence"),
        ("""print('{"type": "Hello", "protocol": 99}\\0')""", "version 99.*Restart Blender"),
        ("import sys; sys.stdin.read()", "did not start within"),
        ("print('half a messa', end='')", "cannot start"),
    ],
    ids=["garbage", "flood", "refusal", "version", "silence", "cut off"],
)
def test_a_child_that_is_no_worker_is_refused_with_the_reason(make_worker, tmp_path, text, expected):
    worker = make_worker(script=script(tmp_path, text), start_timeout_s=2.0)
    with pytest.raises(WorkerError, match=expected):
        job(worker).run()
    assert not worker.alive


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("raise ImportError('libtorch.so: cannot open shared object file')", "libtorch.so.*Choose a Python"),
        ("_C", "NameError.*_C.*Choose a Python"),
        ("import os; os._exit(1)", "(?s)exit status 1.*Choose a Python"),
    ],
    ids=["library", "broken", "abort"],
)
def test_a_torch_that_does_not_import_is_reported_with_the_remedy(make_worker, tmp_path, text, expected):
    (tmp_path / "torch.py").write_text(text)
    worker = make_worker(site_dirs=[tmp_path])
    with pytest.raises(WorkerError, match=expected):
        job(worker).run()


def test_a_python_that_does_not_exist_is_reported_with_the_remedy(tmp_path):
    j = job(Worker(tmp_path / "python"))
    assert j.step()
    assert j.state is JobState.FAILED
    assert str(tmp_path / "python") in str(j.error)
    assert "Choose" in str(j.error)


def test_a_full_disk_is_reported_before_anything_starts(worker, monkeypatch):
    def refuse(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(process.tempfile, "mkdtemp", refuse)
    with pytest.raises(WorkerError, match=r"No space left on device.*Free some space"):
        job(worker).run()


def test_a_clip_that_is_damaged_on_the_way_is_refused(worker):
    with pytest.raises(ClipError, match="damaged"):
        job(worker, "damaged").run()
    assert job(worker).run() is not None


def portrait_job(worker, folder, picture="fine", **options):
    return PortraitJob(worker, PortraitOrder(f"{picture}.png", "take.npz", str(folder), size=64, **options))


def test_a_portrait_is_made_by_the_same_worker_as_a_take(worker, tmp_path):
    job(worker).run()
    pid, j = worker.pid, portrait_job(worker, tmp_path / "frames", fps=25.0)
    result = j.run()
    assert worker.pid == pid
    assert (result.count, result.kept, result.fps) == (24, 0, 25.0)
    assert (j.notes, j.device, j.progress, j.stage) == (["a note"], "cpu", 1.0, "frames")
    assert len(list((tmp_path / "frames").glob("portrait_*.png"))) == 25
    assert portrait_job(worker, tmp_path / "frames", fps=25.0).run().kept == 24


def test_the_folder_of_a_portrait_is_seen_from_where_the_parent_is(worker, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert portrait_job(worker, "frames").run().held == str(tmp_path / "frames" / "portrait_0000.png")


def test_a_cancelled_portrait_keeps_its_frames_and_the_worker(worker, tmp_path):
    j = portrait_job(worker, tmp_path, "long")
    step_until(lambda: j.progress > 0.105, j)
    pid = worker.pid
    j.cancel()
    step_to_the_end(j)
    assert j.state is JobState.CANCELLED
    assert str(j.error) == "The portrait was cancelled."
    assert list(tmp_path.glob("portrait_*.png"))
    assert not list(tmp_path.glob(".*"))
    job(worker).run()
    assert worker.pid == pid


def test_a_portrait_that_cannot_be_made_says_why(worker, tmp_path):
    with pytest.raises(PortraitError, match=r"no face in .*faceless\.png"):
        portrait_job(worker, tmp_path, "faceless").run()
    with pytest.raises(WorkerError, match=r"Rendering the portrait .*bug\.png failed.*division by zero"):
        portrait_job(worker, tmp_path, "bug").run()
    assert worker.alive


def test_points_of_a_face_come_from_the_worker_and_go_back_to_it(worker, tmp_path):
    picture = tmp_path / "anna b ü.png"
    picture.write_bytes(encode_png(np.full((300, 400, 3), 200, np.uint8)))
    first = PointsJob(worker, picture)
    placed = first.run()
    assert (placed.width, placed.height, placed.found) == (400, 300, False)
    assert first.notes[0].startswith("anna b ü.png: ")
    assert placed.preview.startswith(b"\x89PNG")
    points = placed.landmarks.points.copy()
    points[[0, 1, 2]] = np.nan
    again = PointsJob(worker, picture, Landmarks(points, by_hand=True)).run()
    np.testing.assert_allclose(again.landmarks.points, placed.landmarks.points, atol=5.0)
    assert again.preview == b""
    assert not list(worker.folder.glob("points_*"))


def test_points_that_are_no_face_are_refused_by_the_worker(worker, tmp_path):
    picture = tmp_path / "anna.png"
    picture.write_bytes(encode_png(np.full((300, 400, 3), 200, np.uint8)))
    with pytest.raises(PortraitError, match="right eye"):
        PointsJob(worker, picture, Landmarks(np.full((68, 2), np.nan, np.float32))).run()
    with pytest.raises(PortraitError, match=r"none\.png"):
        PointsJob(worker, tmp_path / "none.png").run()
    assert not list(worker.folder.glob("points_*"))


def test_a_head_is_made_by_the_same_worker_and_leaves_no_file(worker):
    job(worker).run()
    pid, j = worker.pid, HeadJob(worker, "anna.png")
    head = j.run()
    assert worker.pid == pid
    assert head.texture.shape == (16, 16, 3)
    assert head.colors["iris"].tolist() == pytest.approx([0.1, 0.5, 0.2])
    assert (j.progress, set(j.timings)) == (1.0, {"face"})
    assert not list(j._out.parent.glob("head_*"))
    with pytest.raises(PortraitError, match=r"no face in .*faceless\.png"):
        HeadJob(worker, "faceless.png").run()
