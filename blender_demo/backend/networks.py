# SPDX-License-Identifier: GPL-3.0-or-later
"""The four trained networks as one file: `weights/demo.safetensors`, tensors and sizes together."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from .audio.encoder import AudioEncoder, AudioEncoderConfig
from .errors import WeightsError
from .fcme.model import Fcme, FcmeConfig
from .flow.model import FlowConfig, LipPrior, VectorFields

__all__ = ["WEIGHTS_DIR", "WEIGHTS_FILE", "Networks"]

WEIGHTS_DIR: Final = Path(__file__).parent / "weights"
WEIGHTS_FILE: Final = "demo.safetensors"
_FORMAT: Final = "2"


@dataclass
class Networks:
    """Frozen networks, and the mean and scale (42,) that make latents comparable in size for the flow."""

    encoder: AudioEncoder
    fcme: Fcme
    prior: LipPrior
    fields: VectorFields
    latent_mean: Tensor
    latent_scale: Tensor

    def modules(self) -> dict[str, nn.Module]:
        """The networks by the name under which their tensors are stored."""
        return {"encoder": self.encoder, "fcme": self.fcme, "prior": self.prior, "fields": self.fields}

    def to(self, device: torch.device) -> "Networks":
        """Move everything to a device, ready for inference."""
        for module in self.modules().values():
            module.to(device).eval().requires_grad_(False)
        self.latent_mean, self.latent_scale = self.latent_mean.to(device), self.latent_scale.to(device)
        return self

    def save(self, folder: Path) -> Path:
        """Write `demo.safetensors` into a folder, atomically."""
        tensors = {
            f"{name}.{key}": value.contiguous()
            for name, module in self.modules().items()
            for key, value in module.state_dict().items()
        }
        tensors |= {"latent_mean": self.latent_mean, "latent_scale": self.latent_scale}
        configs = {
            "encoder": self.encoder.config_json(),
            "fcme": self.fcme.config_json(),
            "flow": self.fields.config_json(),
        }
        path = folder / WEIGHTS_FILE
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(save(tensors, metadata={"format": _FORMAT, "configs": json.dumps(configs)}))
        os.replace(temporary, path)
        return path

    @classmethod
    def load(cls, folder: Path = WEIGHTS_DIR) -> "Networks":
        """Read what `save` wrote. Raises WeightsError for a file that is missing, damaged or of another version."""
        path = Path(folder) / WEIGHTS_FILE
        if not path.is_file():
            raise WeightsError(f"The model's weights are missing: {path}. Install the add-on again.")
        try:
            with safe_open(path, framework="pt") as stored:
                metadata = stored.metadata() or {}
                tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118  not a dictionary
            if metadata.get("format") != _FORMAT:
                raise WeightsError(f"{path} belongs to another version of this add-on. Install the add-on again.")
            configs = json.loads(metadata["configs"])
            flow = FlowConfig(**configs["flow"])
            networks = cls(
                AudioEncoder(AudioEncoderConfig(**configs["encoder"])),
                Fcme(FcmeConfig(**configs["fcme"])),
                LipPrior(flow),
                VectorFields(flow),
                tensors["latent_mean"],
                tensors["latent_scale"],
            )
            for name, module in networks.modules().items():
                module.load_state_dict(
                    {key.removeprefix(f"{name}."): t for key, t in tensors.items() if key.startswith(f"{name}.")}
                )
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(f"The model's weights in {path} are damaged. Install the add-on again.") from error
        return networks
