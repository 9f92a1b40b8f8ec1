# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions, and the rows that answer each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ...flow.model import CONTEXT
from ...settings import GRIDS, GenerationSettings
from ..fcme import CHANNEL_LOSSES, LANDMARK_LOSSES
from .measuring import controlled, measure, measure_fcme, measure_lips, pose_influence, variance_kept
from .sampling import Sampling
from .variants import ALL, Variant
from .workshop import Workshop

__all__ = ["QUESTIONS", "Figures", "Question"]

Figures = dict[str, float]
_OURS: Final = Variant()
_CASCADE: Final = tuple(Variant(name) for name in CONTEXT)
_DEFAULT: Final = Sampling()


@dataclass(frozen=True)
class Question:
    """name for the command line; what a table shows; its rows in order; the row that others are shown relative to;
    whether rows are settings of the finished model.
    """

    name: str
    text: str
    rows: dict[str, Callable[[Workshop], Figures]]
    reference: str = ""
    finished: bool = False


def _measured(*variants: Variant, sampling: Sampling = _DEFAULT) -> Callable[[Workshop], Figures]:
    return lambda shop: measure(shop.model(*variants), shop.ground, sampling)


def _joint(variant: Variant) -> Callable[[Workshop], Figures]:
    def row(shop: Workshop) -> Figures:
        steps = 50 if variant.path == "diffusion" else 10
        model = shop.model(variant)
        return {
            "evaluations": steps,
            **measure(model, shop.ground, _from_unit_noise(steps)),
            **variance_kept(model.space.network, shop.ground),
        }

    return row


def _influenced(*variants: Variant) -> Callable[[Workshop], Figures]:
    def row(shop: Workshop) -> Figures:
        model = shop.model(*variants)
        size = sum(p.numel() for field in model.fields.values() for p in field.parameters())
        return {
            "parameters": size,
            **measure(model, shop.ground, _DEFAULT),
            **pose_influence(model, shop.ground, _DEFAULT),
        }

    return row


def _from_unit_noise(steps: int) -> Sampling:
    return Sampling(GenerationSettings(steps=steps), noise=1.0)


def _solved(steps: int, grid: str, euler: bool) -> Callable[[Workshop], Figures]:
    sampling = Sampling(GenerationSettings(steps=steps, grid=grid), euler)

    def row(shop: Workshop) -> Figures:
        ground = replace(shop.ground, captured=shop.ground.captured[::2], timed=shop.ground.timed[::2])
        return measure(shop.shipped(), ground, sampling)

    return row


def _prior_alone(shop: Workshop) -> Figures:
    return measure_lips(replace(shop.model(_OURS), fields={}), shop.ground, _DEFAULT)


def _lips(sampling: Sampling) -> Callable[[Workshop], Figures]:
    return lambda shop: measure_lips(shop.shipped(), shop.ground, sampling)


def _without(loss: str) -> Callable[[Workshop], Figures]:
    return lambda shop: measure_fcme(shop.fcme_without(loss), shop.ground)


_GRIDS: Final = {2: GRIDS[:2], 4: GRIDS[:2], 5: GRIDS, 10: GRIDS[:2], 50: GRIDS[:1]}
"""A single step lies anywhere the same, EPSS is for 5 to 7 steps, and 50 lie close enough on any grid."""

_SOLVERS: Final = {"Euler": True, "Adams-Bashforth 2": False}

QUESTIONS: Final = (
    Question(
        "latents",
        "Structured latents or a plain VAE, flow or diffusion? The table of the DEMO paper in small: each row has one "
        "field of all 42 latents, no lip prior, noise of unit spread, and an auto-encoder trained for as many steps as "
        "the field.",
        {
            "VAE + flow": _joint(Variant(ALL, "none", space="vae")),
            "FCME + diffusion": _joint(Variant(ALL, "none", "diffusion", space="fcme")),
            "FCME + flow": _joint(Variant(ALL, "none", space="fcme")),
        },
    ),
    Question(
        "joint",
        "One field of all factors, or one field for each? Both start from the lip prior. What becomes of the lips when "
        "only the head is drawn again, or given?",
        {
            "one joint field": _influenced(Variant(ALL)),
            "a field for each factor (ours)": _influenced(*_CASCADE),
        },
    ),
    Question(
        "diffusion",
        "Flow or diffusion for the lips? Diffusion predicts the noise (squared error, cosine schedule) and is sampled "
        "by DDIM. Both start from noise of unit spread, which diffusion needs.",
        {
            f"{path}, {steps} evaluations": _measured(Variant(path=path), sampling=_from_unit_noise(steps))
            for path in ("diffusion", "flow")
            for steps in (5, 10, 50)
        }
        | {"flow, 5 evaluations, calmer noise (ours)": _measured(_OURS)},
    ),
    Question(
        "solver",
        "How many evaluations, where, by which solver? In brackets relative to 50. Every other clip.",
        {"1": _solved(1, "uniform", euler=True)}
        | {
            f"{steps}, {grid}, {solver}": _solved(steps, grid, euler)
            for steps, grids in _GRIDS.items()
            for grid in grids
            for solver, euler in _SOLVERS.items()
        },
        reference="50, uniform, Adams-Bashforth 2",
        finished=True,
    ),
    Question(
        "prior",
        "What is the lip prior worth, and what the flow on top of it?",
        {
            "no prior": _measured(replace(_OURS, prior="none")),
            "prior as a condition": _measured(replace(_OURS, prior="condition")),
            "prior alone, no flow": _prior_alone,
            "residual on the prior (ours)": _measured(_OURS),
        },
    ),
    Question(
        "coupling",
        "Noise paired with motion by chance, or by optimal transport within the batch?",
        {
            "optimal transport": _measured(replace(_OURS, coupling="transport")),
            "independent (ours)": _measured(_OURS),
        },
    ),
    Question(
        "reach",
        "How many frames to each side may lips and their prior attend to, in each block?",
        {
            f"{reach} frames{' (ours)' * (reach == _OURS.reach)}": _measured(replace(_OURS, reach=reach))
            for reach in (2, 5, 10, 20)
        },
    ),
    Question(
        "error",
        "L1 or squared flow error? And do frames of shut lips cost more, for the field and its prior?",
        {
            "lips L1, shut lips cost more (ours)": _measured(_OURS),
            "lips L1, all frames cost the same": _measured(replace(_OURS, cost="same")),
            "lips squared": _measured(replace(_OURS, error="squared")),
            "eyes L1": _measured(_OURS, Variant("pose"), Variant("eyes", error="l1")),
            "eyes squared (ours)": _measured(_OURS, Variant("pose"), Variant("eyes")),
        },
    ),
    Question(
        "noise",
        "Spread of the lips' initial noise, and strength of their guidance by the audio; ours is the default of both.",
        {
            "ours": _lips(_DEFAULT),
            **{f"noise {spread:g}": _lips(replace(_DEFAULT, noise=spread)) for spread in (0.0, 0.25, 0.5, 0.75, 1.0)},
            **{f"guidance {g:g}": _lips(controlled("lip", _DEFAULT, guidance=g)) for g in (1.3, 1.5, 2.0)},
        },
        finished=True,
    ),
    Question(
        "fcme",
        "What is each loss of FCME worth? One is left out at a time. Through the channel input: variance that unseen "
        "motion keeps, how well sound tells the lip latents, how much latents of different factors correlate. Through "
        "the landmark input, on new people before new cameras: change of the other factors over that of the one that "
        "is replaced (leakage), errors of head and gaze.",
        {"all losses (ours)": _without("")}
        | {f"no {loss}": _without(loss) for loss in dict.fromkeys(CHANNEL_LOSSES + LANDMARK_LOSSES)},
    ),
)
