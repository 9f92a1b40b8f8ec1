# SPDX-License-Identifier: GPL-3.0-or-later
"""Flow matching in the latent space: vector field, lip prior, sampler."""
