# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of file is this, is it whole, and what is the artist to do about it if not. Decodes nothing."""

import re
from pathlib import Path
from typing import Final

import soundfile

from ..errors import AudioError

__all__ = ["check_is_readable", "is_cut_off", "open_sound"]

_STREAMED: Final = 0x7FFF0000
"""Programs that write into a pipe put a length about or above this into the header, because they do not know it yet."""

_CHUNK_SHORT: Final = re.compile(r"^\s*(?:data|SSND)\s*:\s*(\d+)\s*\(should be (\d+)\)", re.MULTILINE)


def check_is_readable(path: Path) -> None:
    """Raise AudioError, with the remedy, for what is no readable file with something in it."""
    if path.is_dir():
        raise AudioError(f"{path} is a folder. Choose a sound file in it.")
    try:
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except FileNotFoundError as error:
        raise AudioError(f"The sound file {path} does not exist. Check its path, or find the file again.") from error
    except PermissionError as error:
        raise AudioError(f"You may not read the sound file {path}. Change its permissions or copy it.") from error
    except (OSError, ValueError) as error:
        raise AudioError(f"The sound file {path} cannot be read: {error}.") from error
    if empty:
        raise AudioError(f"The sound file {path} is empty (0 bytes). Export it again.")


def open_sound(path: Path) -> soundfile.SoundFile:
    """Open a sound file. Raises AudioError, with the remedy, for what libsndfile does not read."""
    try:
        return soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
    with path.open("rb") as stream:
        kind = _kind(stream.read(189))
    if kind:
        wav = path.with_suffix(".wav").name
        raise AudioError(f'{path} is {kind}. Extract the sound first, e.g. ffmpeg -i "{path.name}" -vn "{wav}".')
    raise AudioError(f"{path} is not a sound file that can be read ({reason}). Convert it to WAV, FLAC, OGG or MP3.")


def is_cut_off(sound: soundfile.SoundFile) -> bool:
    """Whether the container says that it was longer once. Some formats show it only when they are decoded."""
    info = sound.extra_info
    if "lacks an end-of-stream bit" in info:
        return True
    return any(int(there) < int(said) < _STREAMED for said, there in _CHUNK_SHORT.findall(info))


def _kind(head: bytes) -> str:
    """What a file that libsndfile refuses is, by its first bytes; empty where unknown."""
    if head[4:8] == b"ftyp":
        return "an MP4 audio file (AAC)" if head[8:11] in (b"M4A", b"M4B") else "a video file (MP4 or MOV)"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "a video file (AVI)"
    for magic, kind in (
        (b"\x1aE\xdf\xa3", "a video file (Matroska or WebM)"),
        (b"FLV", "a video file (Flash)"),
        (b"\x00\x00\x01\xba", "a video file (MPEG)"),
        (b"\x30\x26\xb2\x75", "a Windows Media file"),
        (b"\xff\xf1", "an AAC file"),
        (b"\xff\xf9", "an AAC file"),
    ):
        if head.startswith(magic):
            return kind
    return "a video file (MPEG transport stream)" if head[:1] == head[188:] == b"G" else ""
