# SPDX-License-Identifier: GPL-3.0-or-later
"""What all rows share: the frozen networks, a third of the training clips as the flow hears them, clips to measure on."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from ...audio.encoder import AudioEncoder, condition
from ...errors import DemoError, WeightsError
from ...evaluation.clips import Truth, read_truth
from ...fcme.model import Fcme
from ...flow.model import LipPrior, VectorFields
from ...motion.factors import MODEL_FPS
from ...networks import Networks
from ..captured import captured_lips
from ..coarticulation import fit_teacher
from ..corpus import Utterance, load_corpus
from ..flow import HeardLatents, hear, latent_statistics
from ..targets import Performance, draw_performances

__all__ = ["Clip", "Frozen", "Ground", "load_frozen", "prepare"]

_CAPTURED, _TIMED = "grid_s1", "speechocean_train"
_CORPORA: Final = (_CAPTURED, "facegood", _TIMED)
_SHARE: Final = 3
_TEACHER_STEPS: Final = 500
_CAPTURED_CLIPS, _TIMED_CLIPS = 40, 60
_BLINK_S: Final = 60.0


@dataclass(frozen=True)
class Frozen:
    """Encoder and auto-encoder that no row trains; the finished prior and fields, where the weights hold them."""

    encoder: AudioEncoder
    fcme: Fcme
    prior: LipPrior | None = None
    fields: VectorFields | None = None
    statistics: tuple[Tensor, Tensor] | None = None

    def digest(self) -> str:
        """Changes with any of the weights."""
        known = hashlib.sha256()
        for network in (self.encoder, self.fcme, self.prior, self.fields):
            for value in network.state_dict().values() if network else ():
                known.update(value.contiguous().numpy().tobytes())
        return known.hexdigest()[:10]


@dataclass(frozen=True)
class Clip:
    """A validation clip: audio condition (T, CONDITION_DIM), and what is known of it."""

    audio: Tensor
    truth: Truth


@dataclass(frozen=True)
class Ground:
    """heard and performances belong together; captured clips have motion, timed ones phones; speech is a minute."""

    performances: list[Performance]
    heard: list[HeardLatents]
    statistics: tuple[Tensor, Tensor]
    captured: list[Clip]
    timed: list[Clip]
    speech: Tensor


def load_frozen(weights: Path, work: Path) -> Frozen:
    """The networks in a folder of weights; else the checkpoints of encoder and auto-encoder in the folder of work.

    Raises DemoError where neither can be used.
    """
    try:
        n = Networks.load(weights).to(torch.device("cpu"))
        return Frozen(n.encoder, n.fcme, n.prior, n.fields, (n.latent_mean, n.latent_scale))
    except WeightsError as error:
        encoder, fcme = AudioEncoder(), Fcme()
        for network, path in ((encoder, work / "encoder.pt"), (fcme, work / "fcme.pt")):
            if not path.is_file():
                raise DemoError(f"{error} Or train the stages first, so that there is {path}.") from error
            average = torch.load(path, map_location="cpu", weights_only=True)["average"]
            average.pop("n_averaged")
            network.load_state_dict({key.removeprefix("module."): value for key, value in average.items()})
            network.eval().requires_grad_(False)
        return Frozen(encoder, fcme)


def prepare(data: Path, cache: Path, frozen: Frozen) -> Ground:
    """Read the recordings, draw one performance of each training clip, and hear all of it."""
    try:
        splits = {name: set(ids) for name, ids in json.loads((data / "splits.json").read_text())["val"].items()}
        utterances = {name: load_corpus(data / "clips" / name, cache, splits.get(name, set())) for name in _CORPORA}
    except (OSError, ValueError, KeyError) as error:
        raise DemoError(f"{data} does not hold the recordings ({error}). It needs clips/ and splits.json.") from error
    tracked = [u for u in utterances[_CAPTURED] if u.captured is not None and u.phones is not None]
    teacher, _ = fit_teacher(tracked, [captured_lips(u) for u in tracked], _TEACHER_STEPS)
    training = [u for some in utterances.values() for u in [u for u in some if u.split == "train"][::_SHARE]]
    performances = draw_performances(training, teacher, np.random.default_rng(0))
    statistics = frozen.statistics or latent_statistics(frozen.fcme, performances)
    heard = hear(performances, frozen.encoder, frozen.fcme, statistics, augmented=True, seed=0)

    def clips(corpus: str, count: int) -> list[Clip]:
        unseen = [u for u in utterances[corpus] if u.split == "val"]
        chosen = unseen[:: max(1, len(unseen) // count)][:count]
        return [_clip(u, frozen.encoder, data / "clips" / corpus) for u in chosen]

    captured, timed = clips(_CAPTURED, _CAPTURED_CLIPS), clips(_TIMED, _TIMED_CLIPS)
    speech = torch.cat([clip.audio for clip in timed])[: round(_BLINK_S * MODEL_FPS)]
    return Ground(performances, heard, statistics, captured, timed, speech)


@torch.no_grad()
def _clip(utterance: Utterance, encoder: AudioEncoder, folder: Path) -> Clip:
    features = utterance.features
    heard = encoder(torch.from_numpy(features.mel.astype(np.float32))[None])
    tracks = [torch.from_numpy(t.astype(np.float32))[None] for t in (features.energy, features.pitch, features.voicing)]
    truth = read_truth(folder / utterance.name)
    return Clip(condition(heard, *tracks)[0], truth)
