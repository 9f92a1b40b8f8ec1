# SPDX-License-Identifier: GPL-3.0-or-later
"""Any recording becomes 16 kHz mono, in step with the file; one that cannot be used is refused with the remedy."""

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from blender_demo.backend.audio.load import MAX_CHANNELS, SAMPLE_RATE, load_audio
from blender_demo.backend.errors import AudioError

RATES = [8000, 11025, 16000, 22050, 24000, 32000, 44100, 47999, 48000, 88200, 96000, 176400, 192000]
FORMATS = [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "PCM_U8"), ("wav", "DOUBLE"), ("flac", "PCM_24"),
           ("aiff", "PCM_16"), ("ogg", "VORBIS"), ("ogg", "OPUS"), ("mp3", "MPEG_LAYER_III")]


@pytest.fixture
def write(tmp_path):
    """Writes samples to a file."""

    def write(samples, rate=48000, name="a.wav", subtype="FLOAT"):
        path = tmp_path / name
        soundfile.write(path, samples, rate, subtype=subtype)
        return path

    return write


def tone(frequency, rate, duration_s=1.0, level=0.5):
    return level * np.sin(2 * np.pi * frequency * np.arange(round(rate * duration_s)) / rate)


def speech_like(rate, duration_s=2.0):
    """Noise below 3 kHz that comes and goes."""
    t = np.arange(round(rate * duration_s)) / rate
    random = np.random.default_rng(0)
    partials = random.uniform((80, 0), (3000, 6), (60, 2))
    waves = [np.sin(2 * np.pi * frequency * t + phase) for frequency, phase in partials]
    return 0.02 * np.sum(waves, axis=0) * (1 + np.sin(2 * np.pi * 3 * t))


def level_db(samples):
    return 20 * np.log10(max(1e-9, float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))))


@pytest.mark.parametrize("rate", RATES)
def test_a_click_stays_where_it_is(write, rate):
    samples = np.zeros(rate + 17)
    at = round(0.61803 * rate)
    samples[at] = 0.9
    loaded = load_audio(write(samples, rate)).samples.astype(np.float64)
    peak = int(np.argmax(np.abs(loaded)))
    near = np.arange(peak - 300, peak + 301)
    center = np.sum(near * loaded[near] ** 2) / np.sum(loaded[near] ** 2)
    assert abs(center - at * SAMPLE_RATE / rate) < 0.1
    assert len(loaded) == round(len(samples) * SAMPLE_RATE / rate)


@pytest.mark.parametrize("rate", RATES)
def test_speech_keeps_its_shape_at_every_rate(write, rate):
    loaded = load_audio(write(speech_like(rate), rate)).samples
    expected = speech_like(SAMPLE_RATE)
    inner = slice(800, -800)
    assert level_db(loaded[inner] - expected[inner]) < level_db(expected) - 50


@pytest.mark.parametrize("rate", [32000, 44100, 48000, 96000, 192000])
def test_what_lies_above_the_band_does_not_fold_into_it(write, rate):
    for frequency in (8200, 9000, 12000, 15500):
        loaded = load_audio(write(tone(frequency, rate), rate)).samples
        assert level_db(loaded[800:-800]) < -75, frequency


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_there_are_no_seams_between_blocks(write, rate, monkeypatch):
    path = write(speech_like(rate, 3.0), rate)
    whole = load_audio(path).samples
    monkeypatch.setattr("blender_demo.backend.audio.load._BLOCK_FRAMES", 1000)
    assert np.array_equal(load_audio(path).samples, whole)


@pytest.mark.parametrize(("extension", "subtype"), FORMATS)
def test_formats(write, extension, subtype):
    loaded = load_audio(write(speech_like(48000), name=f"a.{extension}", subtype=subtype))
    expected = speech_like(SAMPLE_RATE)
    assert len(loaded.samples) == len(expected)
    assert loaded.samples.dtype == np.float32
    likeness = np.corrcoef(loaded.samples[800:-800], expected[800:-800])[0, 1]
    assert likeness > (0.9 if extension in ("ogg", "mp3") else 0.9999)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
@pytest.mark.parametrize(
    ("start_s", "duration_s"), [(0.0, 0.5), (0.33333, 1.0), (1.00003, 0.1), (1.9, 5.0), (0.7, None)]
)
def test_a_range_is_that_part_of_the_whole(write, rate, start_s, duration_s):
    path = write(speech_like(rate), rate)
    whole, part = load_audio(path).samples, load_audio(path, start_s, duration_s).samples
    first = round(start_s * SAMPLE_RATE)
    last = len(whole) if duration_s is None else min(len(whole), first + round(duration_s * SAMPLE_RATE))
    difference = part - whole[first:last]
    assert len(part) == last - first
    assert np.ptp(difference[200:-200]) < 1e-6  # the same but the offset, which is that of the range


def test_offset_is_removed_without_a_click_at_the_ends(write):
    loaded = load_audio(write(tone(200, 48000, level=0.1) + 0.4)).samples
    assert abs(loaded.mean()) < 1e-4
    assert np.abs(loaded).max() < 0.11


def test_channels_are_mixed(write):
    voice, other = speech_like(48000), tone(500, 48000, 2.0, 0.2)
    recording = load_audio(write(np.stack([voice, other], axis=1)))
    expected = (speech_like(16000) + tone(500, 16000, 2.0, 0.2)) / 2
    assert level_db(recording.samples[800:-800] - expected[800:-800]) < -70
    assert recording.channels == 2
    assert "mixed to one" in recording.notes[0]


@pytest.mark.parametrize("columns", [(1, -1), (0, 1), (0, 0, 0, 1, 0, 0, 0, 0), (0.9, -1)], ids=str)
def test_a_mix_that_would_cancel_takes_the_loudest_channel(write, columns):
    voice = speech_like(48000)
    recording = load_audio(write(np.stack([voice * gain for gain in columns], axis=1)))
    loudest = int(np.argmax(np.abs(columns)))
    assert level_db(recording.samples) == pytest.approx(level_db(speech_like(16000)), abs=0.1)
    assert f"channel {loudest + 1} of {len(columns)}" in recording.notes[0]


@pytest.mark.parametrize("channels", range(1, MAX_CHANNELS + 1))
def test_up_to_eight_channels(write, channels):
    assert load_audio(write(np.tile(speech_like(48000)[:, None], channels))).channels == channels


def test_the_hash_is_that_of_the_samples_used(write):
    path = write(speech_like(48000))
    recording = load_audio(path)
    assert recording.sha256 == hashlib.sha256(recording.samples.tobytes()).hexdigest()
    assert recording.sha256 == load_audio(path).sha256 != load_audio(path, 0.5).sha256


@pytest.mark.parametrize(
    ("samples", "rate", "note"),
    [
        (np.zeros(48000), 48000, "is silent"),
        (tone(300, 48000, level=0.0005), 48000, "is silent"),
        (np.clip(speech_like(48000) * 5, -1, 1), 48000, "is clipped"),
        (speech_like(48000) * 30, 48000, "beyond full scale"),
        (speech_like(8000), 8000, "like a telephone"),
    ],
    ids=["zeros", "faint", "clipped", "too loud", "8 kHz"],
)
def test_notes_for_the_artist(write, samples, rate, note):
    recording = load_audio(write(samples, rate))
    assert [text for text in recording.notes if note in text and "a.wav" in text]
    assert np.abs(recording.samples).max() <= 1.0


def test_good_speech_gets_no_notes(write):
    assert load_audio(write(speech_like(48000) / 2)).notes == ()


def refused(path, message, *arguments):
    with pytest.raises(AudioError, match=message) as caught:
        load_audio(path, *arguments)
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith(".")


def test_missing(tmp_path):
    refused(tmp_path / "none.wav", r"does not exist.*Check its path")


def test_directory(tmp_path):
    refused(tmp_path, r"is a folder.*Choose a sound file")


def test_empty(tmp_path):
    (tmp_path / "a.wav").touch()
    refused(tmp_path / "a.wav", r"empty.*Export it again")


def test_no_samples(write):
    refused(write(np.zeros(0)), r"no sound.*Export it again")


def test_no_permission(write, monkeypatch):
    path = write(speech_like(48000))

    def refuse(self, *_):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)  # the modes of a file do not bind root
    refused(path, r"may not read.*permissions")


@pytest.mark.parametrize(
    "content", [b"#!/bin/sh\necho\n" * 99, b"\0" * 4096, b"RIFF\xff\xff\xff\xffWAVEjunk", b"GIF89a" + bytes(500)]
)
def test_not_audio(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    refused(tmp_path / "a.wav", r"not a sound file.*Convert it")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "video file .MP4"),
        (b"\0\0\0\x14ftypqt  ", "video file .MP4 or MOV"),
        (b"\0\0\0\x1cftypM4A ", "MP4 audio file .AAC"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01", "video file .Matroska"),
        (b"RIFF\x24\0\0\0AVI LIST", "video file .AVI"),
        ((b"G" + b"\xff" * 187) * 3, "video file .MPEG transport"),
    ],
)
def test_a_video_is_refused_with_the_way_to_its_sound(tmp_path, head, kind):
    path = tmp_path / "shot 10.mp4"
    path.write_bytes(head + b"\0" * 1000)
    refused(path, f'{kind}.*Extract the sound first, e.g. ffmpeg -i "shot 10.mp4" -vn "shot 10.wav"')


@pytest.mark.parametrize(("extension", "subtype"), [pair for pair in FORMATS if pair[1] != "OPUS"])
def test_cut_off(write, extension, subtype):
    path = write(speech_like(48000, 4.0), name=f"a.{extension}", subtype=subtype)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused(path, r"cut off.*[Ee]xport it again")


def test_a_wav_written_into_a_pipe_is_whole(write):
    path = write(speech_like(48000), subtype="PCM_16")
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = data[4:8] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(data)
    assert load_audio(path).duration_s == 2.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_numbers_are_refused_with_their_place(write, value):
    samples = speech_like(48000)
    samples[60000] = value
    refused(write(samples), r"not numbers.*1\.250 s.*Export it again")


def test_nine_channels(write):
    refused(write(np.zeros((4800, 9))), "9 channels; 8 at most.*Export the voice alone")


@pytest.mark.parametrize("rate", [4000, 384000])
def test_rates_out_of_range(write, rate):
    refused(write(tone(100, rate), rate), f"{rate} samples per second.*Export it with 8000 to 192000")


def test_a_start_after_the_end(write):
    refused(write(speech_like(48000)), r"ends at 2\.000 s, before the start at 2\.500 s", 2.5)


@pytest.mark.parametrize("range_s", [(-1.0, None), (float("nan"), None), (0.0, 0.0), (0.0, -1.0), (0.0, float("nan"))])
def test_a_range_that_is_none(write, range_s):
    with pytest.raises(AudioError, match="must be"):
        load_audio(write(speech_like(48000)), *range_s)


def test_odd_names(write):
    assert load_audio(write(speech_like(48000), name="späte Aufnahme 中 'a\".wav")).duration_s == 2.0
