# SPDX-License-Identifier: GPL-3.0-or-later
"""What all rows share: frozen networks, a third of the training clips as the flow hears them, clips to measure on."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from ...audio.encoder import AudioEncoder
from ...errors import DemoError, WeightsError
from ...evaluation.clips import Truth, read_truth
from ...fcme.model import Fcme
from ...flow.model import LipPrior, VectorFields
from ...motion.factors import CHANNELS, MODEL_FPS
from ...networks import Networks
from ..captured import captured_lips
from ..coarticulation import fit_teacher
from ..corpus import Utterance, load_corpus
from ..flow import hear, latent_statistics
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

    def digest(self, finished: bool) -> str:
        """Changes with the weights of the encoders; finished: and with those of prior and fields."""
        known = hashlib.sha256()
        for network in (self.encoder, self.fcme, *((self.prior, self.fields) if finished else ())):
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
    """performances, and the sounds (T, CONDITION_DIM) that go with each; unseen: performances of validation clips;
    captured clips have motion, timed ones phones; speech (T, CONDITION_DIM) is a minute of the latter.
    """

    performances: list[Performance]
    sounds: list[Tensor]
    unseen: list[Performance]
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
            known = {key.removeprefix("module.").removeprefix("fcme."): value for key, value in average.items()}
            network.load_state_dict({key: known[key] for key in network.state_dict()})
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
    sounds = hear(performances, frozen.encoder, augmented=True, seed=0)

    def chosen(corpus: str, count: int) -> list[Utterance]:
        unseen = [u for u in utterances[corpus] if u.split == "val"]
        return unseen[:: max(1, len(unseen) // count)][:count]

    def clips(some: list[Utterance]) -> list[Clip]:
        silent = [Performance(u.features, np.zeros((len(u), len(CHANNELS)), np.float32), 0) for u in some]
        truths = [read_truth(data / "clips" / u.corpus / f"{u.name}.flac") for u in some]
        audios = hear(silent, frozen.encoder, augmented=False, seed=0)
        return [Clip(audio.float(), truth) for audio, truth in zip(audios, truths, strict=True)]

    seen, said = chosen(_CAPTURED, _CAPTURED_CLIPS), chosen(_TIMED, _TIMED_CLIPS)
    captured = [clip for clip in clips(seen) if clip.truth.captured]
    timed = [clip for clip in clips(said) if clip.truth.phones]
    if not (captured and timed):
        raise DemoError(
            f"{data} has nothing to measure on. splits.json must name {_CAPTURED} clips with motion and {_TIMED} clips "
            "with phones for validation."
        )
    speech = torch.cat([clip.audio for clip in timed])[: round(_BLINK_S * MODEL_FPS)]
    unseen = draw_performances(seen + said, teacher, np.random.default_rng(1))
    return Ground(performances, sounds, unseen, statistics, captured, timed, speech)
