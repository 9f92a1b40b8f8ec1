# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m blender_demo.backend.training.synthesize OUT_DIR --clips N --seed S`: speech whose phones are known to
the sample, because two speech synthesizers spoke it. Writes clips (`<id>.flac`, `<id>.phones.json`) for the encoder.
"""

import argparse
import ctypes
import json
import os
import re
import shutil
import subprocess
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.ndimage import grey_closing
from scipy.signal import resample_poly
from tqdm import tqdm

from ..audio.encoder import PHONES
from ..audio.features import SAMPLE_RATE
from ..errors import DemoError

__all__ = ["ESPEAK_PHONES", "FLITE_PHONES", "Espeak", "Flite", "Language", "Speech", "read_languages", "synthesize"]

ESPEAK_PHONES: Final[dict[str, str]] = {
    unicodedata.normalize("NFC", ipa): phones
    for phones, symbols in {
        # closures of the lips, lip to teeth
        "P": "p ph", "B": "b", "M": "m", "F": "f ɸ", "V": "v ʋ β", "P F": "pf",
        # tongue tip; taps and trills leave the lips alone, unlike the English R
        "T": "t t̪ th", "D": "d ɾ ɽ r", "N": "n n̩ ɲ", "L": "l ɫ ɭ ʎ", "TH": "θ", "DH": "ð",
        "S": "s ss", "Z": "z", "T S": "ts tsh", "D Z": "dz",
        # rounded and protruded lips
        "SH": "ʃ ɕ ʂ s. sx", "ZH": "ʒ ʑ ʐ", "CH": "tʃ tɕ tɕh ts. ts.h", "JH": "dʒ dʑ", "R": "ɹ", "W": "w ʍ",
        # back of the tongue and throat
        "K": "k kh", "G": "ɡ ɣ ɟ", "NG": "ŋ ɴ", "HH": "h x χ ç ʁ", "Y": "j ʝ ʲ",
        # vowels by openness and rounding of the lips; length, nasality and palatalization do not show
        "IY": "i iː ĩ", "IH": "ɪ ᵻ ɨ ɯ i. i̪", "EY": "e eː eɪ ei ɛɪ", "EH": "ɛ ɛː ɛ̃ e̞ e-", "AE": "æ",
        "AA": "a aː a: aa ä ɑ ɑː ɑ̃ a-", "AH": "ʌ ə əɪ ɐ ɐ̃ ɜ ə- o-", "AO": "ɒ ɔ ɔː o̞", "OW": "o oː ɔ̃ õ oʊ əʊ ou",
        "UH": "ʊ ɵ œ œ̃ ø øː ɯᵝ y-", "UW": "u uː u\" ũ ʉ ʉː y yː", "ER": "ɜː ɚ əɹ ər",
        "AY": "aɪ ai", "AW": "aʊ ɑu ʌʊ ʌʉ ɐ̃ʊ̃", "OY": "ɔɪ oɪ ɔø",
        "AY AH": "aɪə", "AY ER": "aɪɚ", "AH L": "əl", "AH UW": "œy", "AA AH": "ɑə", "AA R": "ɑːɹ", "AH R": "ʌɹ",
        "AO AH": "oə ɔə", "AO R": "oːɹ ɔːɹ", "EH AH": "eə ɛə", "EH R": "ɛɹ", "EH UW": "ɛʊ eʊ", "IH AH": "iə",
        "IH R": "ɪɹ", "IY UW": "iʊ", "IY AA": "iɑ", "IY EH": "iɛ", "IY OW": "io iou", "UH AH": "ʊə", "UH NG": "onɡ",
        "UW AA": "ua", "UW AO": "uo", "UW AH": "uə", "UW AY": "uai", "UW EH": "yɛ yæ", "UW EY": "uei", "UW IY": "uɪ",
        "UW UW": "yu", "Y AA": "ja", "Y UW": "ju",
    }.items()
    for ipa in symbols.split()
}  # fmt: skip
"""espeak-ng's name of a phone -> the ARPAbet phone or phones nearest in lip posture, then in manner."""

_ESPEAK_CONTINUES: Final = {"", "ʔ", "??"}
"""Names without a posture of their own: pauses where the sound is quiet, else the phone before goes on."""

FLITE_PHONES: Final[dict[str, str]] = {phone.lower(): phone for phone in PHONES[1:]} | {"pau": "SIL", "ax": "AH"}
"""flite's names -> ARPAbet."""

_VOWELS: Final = frozenset(phone for phone in PHONES if phone[0] in "AEIOU")
_STOPS: Final = frozenset({"P", "B", "T", "D", "K", "G", "CH", "JH"})
_LIQUIDS_AND_NASALS: Final = tuple("lɫɭʎɹrɾɽwjʲmnɲŋɴ")
_QUIET: Final = 0.02  # of the loud parts' peaks
_DRY: Final = "\x011H "  # espeak-ng's command for the least echo: some variants' own fills the closures
_CLOSURE_S: Final = 0.06  # espeak-ng marks stops at their burst; the silence before it, up to this, is their closure
_VOWEL_START_S: Final = 0.02  # espeak-ng marks a vowel after a liquid or nasal when its beginning is over
_SHORTEST_S, _LONGEST_S = 2.5, 6.0


@dataclass(frozen=True)
class Speech:
    """samples (N,) float32 at 16 kHz; phones: (ARPAbet, start s, end s), from 0 to the end without gaps."""

    samples: NDArray[np.float32]
    phones: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class Language:
    """What is said in a language, and by whom. Pseudo-words are rows of onset + vowel + coda."""

    voices: tuple[str, ...]
    share: float
    sentences: tuple[str, ...]
    onsets: tuple[str, ...]
    vowels: tuple[str, ...]
    codas: tuple[str, ...]

    def text(self, random: np.random.Generator) -> str:
        """One or two sentences, or their words in another order, or pseudo-words."""
        kind = random.choice(["sentences", "shuffled", "pseudo"], p=[0.4, 0.25, 0.35])
        if kind == "pseudo":
            return " ".join(self._word(random) for _ in range(random.integers(5, 11)))
        text = " ".join(random.choice(self.sentences, random.integers(1, 3), replace=False))
        return text if kind == "sentences" else " ".join(random.permutation(re.findall(r"[\w']+", text)))

    def _word(self, random: np.random.Generator) -> str:
        return "".join(
            "".join(str(random.choice(part)) for part in (self.onsets, self.vowels, self.codas))
            for _ in range(random.integers(1, 4))
        )


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """espeak_EVENT of espeak-ng's speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """espeak-ng in this process (enumerators as in speak_lib.h). The library holds one voice and one random state for
    the whole process, so that what is said depends on the calls before.
    """

    variants: tuple[str, ...]

    def __init__(self, seed: int) -> None:
        try:
            self._library = ctypes.CDLL("libespeak-ng.so.1")
        except OSError as error:
            raise DemoError("espeak-ng is not installed. Install the Debian package espeak-ng.") from error
        ctypes.CDLL(None).srand(seed)
        synchronous, phoneme_events, as_ipa, do_not_exit = 2, 1, 2, 0x8000
        self._rate = self._library.espeak_Initialize(synchronous, 0, None, phoneme_events | as_ipa | do_not_exit)
        if self._rate <= 0:
            raise DemoError("espeak-ng does not find its data. Reinstall the Debian package espeak-ng-data.")
        data = ctypes.c_char_p()
        self._library.espeak_Info(ctypes.byref(data))
        self.variants = tuple(
            sorted(path.name for path in Path(os.fsdecode(data.value or b""), "voices", "!v").iterdir())
        )
        self._samples: list[NDArray[np.int16]] = []
        self._marks: list[tuple[str, int]] = []
        self._callback = _Callback(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, voice: str, text: str, rate: int, pitch: int, pitch_range: int, word_gap: int) -> Speech:
        """voice: file of a language, "+", a variant; rate in words per minute, pitch and range 0..100, gap in 10 ms."""
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise DemoError(f"espeak-ng has no voice {voice}. Install the Debian package espeak-ng-data, version 1.51.")
        for parameter, value in ((1, rate), (3, pitch), (4, pitch_range), (7, word_gap)):  # espeak_PARAMETER
            self._library.espeak_SetParameter(parameter, value, 0)
        self._samples.clear()
        self._marks.clear()
        data, by_character, utf8 = (_DRY + text).encode(), 1, 1
        self._library.espeak_Synth(data, len(data) + 1, 0, by_character, 0, utf8, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate([np.zeros(0, np.int16), *self._samples]) / np.float32(32768)
        segments = [
            (phone, start / self._rate, end / self._rate)
            for phone, start, end in _espeak_segments(self._marks, samples, self._rate)
        ]
        return Speech(resample_poly(samples, SAMPLE_RATE, self._rate).astype(np.float32), tuple(segments))

    def _collect(self, wave: Any, count: int, events: Any) -> int:
        end_of_list, phoneme = 0, 7
        if wave and count:
            self._samples.append(np.ctypeslib.as_array(wave, (count,)).copy())
        for event in events:
            if event.type == end_of_list:
                return 0
            if event.type == phoneme:
                name = unicodedata.normalize("NFC", event.id.string.decode())
                if not name.startswith("("):  # "(en)": a change of language
                    self._marks.append((name, event.sample))
        return 0


class Flite:
    """The voices inside the program flite."""

    voices: Final = ("kal", "kal16", "slt", "rms", "awb")

    def __init__(self) -> None:
        if shutil.which("flite") is None:
            raise DemoError("flite is not installed. Install the Debian package flite.")

    def say(self, voice: str, text: str, stretch: float, pitch: float) -> Speech:
        """stretch: factor on all durations; pitch: mean F0 in Hz."""
        with tempfile.TemporaryDirectory() as folder:
            wave = Path(folder) / "speech.wav"
            features = ["--setf", f"duration_stretch={stretch:.3f}", "--setf", f"int_f0_target_mean={pitch:.1f}"]
            printed = subprocess.run(
                ["flite", "-voice", voice, "-psdur", *features, "-t", text, "-o", str(wave)],
                check=True, capture_output=True, text=True,
            ).stdout  # fmt: skip
            samples, rate = soundfile.read(wave, dtype="float32")
        names, ends = zip(*(item.split(":") for item in printed.split()), strict=True)
        ends = [float(end) for end in ends]
        samples = resample_poly(samples, SAMPLE_RATE, rate).astype(np.float32)
        missing = max(0, round(ends[-1] * SAMPLE_RATE) - len(samples))  # the last pause is not spoken to its end
        segments = zip((FLITE_PHONES[name] for name in names), [0.0, *ends[:-1]], ends, strict=True)
        return Speech(np.pad(samples, (0, missing))[: round(ends[-1] * SAMPLE_RATE)], tuple(segments))


def read_languages() -> dict[str, Language]:
    """The languages of `synthesize_sentences.json`; "-" stands for no letter."""
    table = json.loads(Path(__file__).with_name("synthesize_sentences.json").read_text(encoding="utf-8"))
    return {
        name: Language(
            tuple(entry["voices"]),
            entry["share"],
            tuple(entry["sentences"]),
            *(tuple(entry[part].replace("-", "").split(" ")) for part in ("onsets", "vowels", "codas")),
        )
        for name, entry in table.items()
    }


def synthesize(out: Path, clips: int, seed: int) -> None:
    """Write clips of 2.5 to 6 s. A fifth are flite's, half of all are English. In a new process the same seed writes
    the same clips.
    """
    out.mkdir(parents=True, exist_ok=True)
    espeak, flite = Espeak(seed), Flite()
    languages = list(read_languages().values())
    random = np.random.default_rng(seed)
    for index in tqdm(range(clips), desc="synthesize"):
        voice, speech = _draw(espeak, flite, languages, random)
        while not _SHORTEST_S <= len(speech.samples) / SAMPLE_RATE <= _LONGEST_S:
            voice, speech = _draw(espeak, flite, languages, random)
        _write(_recorded(speech, random), out, f"{index:05d}-{re.sub('[^A-Za-z0-9+-]', '_', voice)}")


def _draw(
    espeak: Espeak, flite: Flite, languages: Sequence[Language], random: np.random.Generator
) -> tuple[str, Speech]:
    """A voice and something that it says; the first language is the English that flite speaks too."""
    if random.random() < 0.2:
        voice = str(random.choice(flite.voices))
        return voice, flite.say(voice, languages[0].text(random), random.uniform(0.75, 1.35), random.uniform(80, 230))
    shares = np.array([language.share for language in languages], float)
    language = languages[random.choice(len(languages), p=shares / shares.sum())]
    voice = f"{random.choice(language.voices)}+{random.choice(espeak.variants)}"
    return voice, espeak.say(
        voice,
        language.text(random),
        rate=int(random.integers(110, 230)),
        pitch=int(random.integers(15, 85)),
        pitch_range=int(random.integers(15, 90)),
        word_gap=int(random.choice([0, 0, 0, 2, 6])),
    )


def _espeak_segments(
    marks: Sequence[tuple[str, int]], samples: NDArray[np.float32], rate: int
) -> list[tuple[str, int, int]]:
    """espeak-ng's phoneme marks (name, sample) -> ARPAbet segments in samples, each from where it is heard."""
    envelope = grey_closing(np.abs(samples), rate // 100)
    quiet = envelope < _QUIET * np.percentile(envelope, 95)
    segments: list[tuple[str, int, int]] = [("SIL", 0, marks[0][1])]
    for i, (name, start) in enumerate(marks):
        end = marks[i + 1][1] if i + 1 < len(marks) else len(samples)
        if name in _ESPEAK_CONTINUES:
            phones = ["SIL" if quiet[start:end].sum() >= (end - start) / 2 else segments[-1][0]]
        else:
            phones = _arpabet(name)
        if phones[0] in _STOPS:
            _give_closure(segments, start, quiet, rate)
        elif phones[0] in _VOWELS and i and marks[i - 1][0] in _LIQUIDS_AND_NASALS:
            _give_vowel_start(segments, rate)
        heard = segments[-1][2]
        bounds = [heard + (end - heard) * part // len(phones) for part in range(len(phones) + 1)]
        segments += [part for part in zip(phones, bounds, bounds[1:], strict=False) if part[2] > part[1]]
    return [segment for segment in segments if segment[2] > segment[1]]


def _arpabet(name: str) -> list[str]:
    plain = name.removesuffix("ʲ") or name  # a palatalized consonant looks like the plain one
    if plain not in ESPEAK_PHONES:
        raise DemoError(f"espeak-ng spoke a phone {name!r} that ESPEAK_PHONES does not know. Add it to that table.")
    return ESPEAK_PHONES[plain].split()


def _give_closure(segments: list[tuple[str, int, int]], burst: int, quiet: NDArray[np.bool_], rate: int) -> None:
    """Take the silence before a burst from the segment that it was counted to: the last of it is the stop's closure,
    what is more than that is a pause.
    """
    phone, start, _ = segments.pop()
    loud = np.flatnonzero(~quiet[start:burst])
    silence = start + int(loud[-1]) + 1 if len(loud) else start
    closure = max(silence, burst - int(_CLOSURE_S * rate))
    segments += [(phone, start, silence), ("SIL", silence, closure)]


def _give_vowel_start(segments: list[tuple[str, int, int]], rate: int) -> None:
    """Take a vowel's beginning from the liquid or nasal that it was counted to, half of it at the most."""
    phone, start, end = segments.pop()
    segments.append((phone, start, max(end - int(_VOWEL_START_S * rate), (start + end) // 2)))


def _recorded(speech: Speech, random: np.random.Generator) -> Speech:
    """Silence of 50 to 300 ms before and after; peaks between -20 and -1 dB of full scale."""
    before, after = random.uniform(0.05, 0.3, 2)
    peak = 10 ** (random.uniform(-20.0, -1.0) / 20.0) / max(float(np.abs(speech.samples).max()), 1e-6)
    samples = np.pad(speech.samples * np.float32(peak), (round(before * SAMPLE_RATE), round(after * SAMPLE_RATE)))
    phones = [(phone, start + before, end + before) for phone, start, end in speech.phones]
    phones = [("SIL", 0.0, before), *phones, ("SIL", phones[-1][2], len(samples) / SAMPLE_RATE)]
    merged = phones[:1]
    for phone, start, end in phones[1:]:
        if phone == merged[-1][0] == "SIL":
            merged[-1] = ("SIL", merged[-1][1], end)
        else:
            merged.append((phone, start, end))
    return Speech(samples, tuple(merged))


def _write(speech: Speech, out: Path, name: str) -> None:
    """The sound appears last and whole, so that a reader never sees a clip without its phones."""
    rounded = [[phone, round(start, 4), round(end, 4)] for phone, start, end in speech.phones]
    phones = [entry for entry in rounded if entry[1] != entry[2]]
    sound = out / f"{name}.flac"
    for path, write in (
        (sound.with_suffix(".phones.json"), lambda p: p.write_text(json.dumps(phones))),
        (sound, lambda p: soundfile.write(p, speech.samples, SAMPLE_RATE, format="FLAC")),
    ):
        temporary = path.with_name(path.name + ".part")
        write(temporary)
        os.replace(temporary, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the clips")
    parser.add_argument("--clips", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    synthesize(arguments.out, arguments.clips, arguments.seed)


if __name__ == "__main__":
    main()
