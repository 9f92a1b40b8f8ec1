# SPDX-License-Identifier: GPL-3.0-or-later
import ctypes
import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from blender_demo.backend.audio.encoder import PHONES
from blender_demo.backend.errors import DemoError
from blender_demo.backend.training import synthesize
from blender_demo.backend.training.synthesize import (
    ESPEAK_PHONES,
    FLITE_PHONES,
    Espeak,
    Flite,
    Speech,
    read_languages,
)

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def espeak() -> Espeak:
    try:
        return Espeak(seed=0)
    except DemoError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def flite() -> Flite:
    try:
        return Flite()
    except DemoError as error:
        pytest.skip(str(error))


def assert_covered(speech: Speech) -> None:
    assert speech.phones[0][1] == 0.0
    assert speech.phones[-1][2] == pytest.approx(len(speech.samples) / 16_000, abs=1e-3)
    assert all(end == after for (_, _, end), (_, after, _) in pairwise(speech.phones))
    assert all(end > start for _, start, end in speech.phones)
    assert {phone for phone, _, _ in speech.phones} <= set(PHONES)


def loudness(speech: Speech, start: float, end: float) -> float:
    return float(np.sqrt(np.mean(speech.samples[int(start * 16_000) : int(end * 16_000)] ** 2)))


def treble(speech: Speech, start: float, end: float) -> float:
    """Share of the power above 3 kHz."""
    power = np.abs(np.fft.rfft(speech.samples[int(start * 16_000) : int(end * 16_000)])) ** 2
    return float(power[len(power) * 3 // 8 :].sum() / power.sum())


def test_tables_lead_to_phones_of_the_encoder_and_reach_all_of_them() -> None:
    reached = {phone for phones in ESPEAK_PHONES.values() for phone in phones.split()}
    assert reached | {"SIL"} == set(PHONES)
    assert set(FLITE_PHONES.values()) == set(PHONES)


def test_languages_have_enough_to_say_and_half_of_it_is_english() -> None:
    languages = read_languages()
    assert len(languages) >= 12
    assert all(len(set(language.sentences)) > 20 for language in languages.values())
    espeak_english = languages["en"].share / sum(language.share for language in languages.values())
    assert 0.45 < 0.2 + 0.8 * espeak_english < 0.6


def test_every_sentence_of_every_language_has_known_phones_that_cover_it(espeak: Espeak) -> None:
    random = np.random.default_rng(0)
    for language in read_languages().values():
        for voice in language.voices:
            for text in (*language.sentences, *(language.text(random) for _ in range(8))):
                assert_covered(espeak.say(voice, text, rate=170, pitch=50, pitch_range=50, word_gap=0))


def test_every_variant_speaks(espeak: Espeak) -> None:
    assert len(espeak.variants) > 50
    for variant in espeak.variants:
        speech = espeak.say(f"gmw/en+{variant}", "Bob", rate=170, pitch=50, pitch_range=50, word_gap=0)
        assert [phone for phone, _, _ in speech.phones if phone != "SIL"] == ["B", "AO", "B"], variant


@pytest.mark.parametrize("variant", ["m3", "f4", "Alicia", "klatt2"])
def test_lips_are_closed_and_silent_at_the_start_of_p(espeak: Espeak, variant: str) -> None:
    speech = espeak.say(f"gmw/en+{variant}", "A puppy and a paper cup, a copper pipe.", 170, 50, 50, 0)
    closures = [
        loudness(speech, start + 0.01, start + 0.03) / loudness(speech, start - 0.05, start - 0.01)
        for (before, _, _), (phone, start, _) in pairwise(speech.phones)
        if phone == "P" and before != "SIL"
    ]
    assert len(closures) > 4
    assert max(closures) < 0.15


def test_s_hisses_from_its_start_to_its_end_and_not_around(espeak: Espeak, flite: Flite) -> None:
    text = "I saw a soft sofa. He sews a sock, I see so."
    for speech in (espeak.say("gmw/en+m3", text, 150, 50, 50, 0), flite.say("slt", text, 1.1, 150.0)):
        seen = [
            (
                treble(speech, start - 0.04, start - 0.02),
                treble(speech, start + 0.02, end - 0.02),
                treble(speech, end + 0.02, end + 0.04),
            )
            for ((before, _, _), (phone, start, end)), (_, (after, _, _)) in pairwise(pairwise(speech.phones))
            if phone == "S" and "SIL" not in (before, after)
        ]
        around_before, inside, around_after = np.median(seen, axis=0)
        assert len(seen) > 4
        assert inside > 0.5
        assert max(around_before, around_after) < 0.1


def test_flite_phones_cover_its_sound_with_every_voice(flite: Flite) -> None:
    for voice in flite.voices:
        speech = flite.say(voice, "My boss bought five new blue boats.", stretch=1.3, pitch=120.0)
        assert_covered(speech)
        assert [phone for phone, _, _ in speech.phones][3:9] == ["B", "AA", "S", "B", "AA", "T"]


def test_silence_before_a_burst_is_the_closure_of_the_stop() -> None:
    rate, random = 10_000, np.random.default_rng(0)
    samples = random.uniform(-1.0, 1.0, 4000).astype(np.float32)
    samples[1000:2000] = 0.0
    segments = synthesize._espeak_segments([("a", 0), ("t", 2000), ("ɔɪ", 2500), ("", 4000)], samples, rate)
    assert [phone for phone, _, _ in segments] == ["AA", "SIL", "T", "OY"]
    assert [start for _, start, _ in segments] == pytest.approx([0, 1000, 1400, 2500], abs=2)


def test_vowel_after_a_nasal_starts_before_its_mark() -> None:
    samples = np.ones(3000, np.float32)
    assert synthesize._espeak_segments([("m", 0), ("iə", 1000), ("", 3000)], samples, 10_000) == [
        ("M", 0, 800), ("IH", 800, 1900), ("AH", 1900, 3000),
    ]  # fmt: skip


def test_names_without_posture_are_silence_where_it_is_quiet_and_else_go_on() -> None:
    samples = np.ones(3000, np.float32)
    samples[2000:] = 0.0
    assert synthesize._espeak_segments([("s", 0), ("ʔ", 1000), ("", 2000)], samples, 10_000) == [
        ("S", 0, 1000), ("S", 1000, 2000), ("SIL", 2000, 3000),
    ]  # fmt: skip


def test_an_unknown_phone_is_refused() -> None:
    with pytest.raises(DemoError, match=r"'ʘ' .* Add it"):
        synthesize._espeak_segments([("ʘ", 0)], np.ones(100, np.float32), 10_000)


def test_same_seed_writes_same_clips_of_the_right_length(tmp_path: Path, espeak: Espeak, flite: Flite) -> None:
    folders = [tmp_path / name for name in ("a", "b", "other")]
    for folder, seed in zip(folders, ("5", "5", "6"), strict=True):
        command = ["-m", "blender_demo.backend.training.synthesize", str(folder), "--clips", "6", "--seed", seed]
        subprocess.run([sys.executable, *command], check=True, cwd=REPO, capture_output=True)
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]
    sounds = sorted(folders[0].glob("*.flac"))
    assert len(sounds) == 6
    for path in sounds:
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == 16_000
        assert 2.6 < len(samples) / rate < 6.6
        phones = json.loads(path.with_suffix(".phones.json").read_text())
        assert_covered(Speech(samples, tuple(tuple(entry) for entry in phones)))
        assert not any(a[0] == b[0] == "SIL" for a, b in pairwise(phones))


def test_a_phone_too_short_for_the_written_times_is_left_out(tmp_path: Path) -> None:
    phones = (("SIL", 0.0, 0.5), ("AA", 0.5, 0.50003), ("P", 0.50003, 1.0))
    synthesize._write(Speech(np.zeros(16_000, np.float32), phones), tmp_path, "clip")
    assert json.loads((tmp_path / "clip.phones.json").read_text()) == [["SIL", 0.0, 0.5], ["P", 0.5, 1.0]]
    assert {path.name for path in tmp_path.iterdir()} == {"clip.flac", "clip.phones.json"}


def test_missing_programs_are_named_with_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(DemoError, match="Install the Debian package espeak-ng"):
        Espeak(seed=0)
    with pytest.raises(DemoError, match="Install the Debian package flite"):
        Flite()
