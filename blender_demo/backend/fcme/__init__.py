# SPDX-License-Identifier: GPL-3.0-or-later
"""The motion auto-encoder: channels to factor latents and back."""
