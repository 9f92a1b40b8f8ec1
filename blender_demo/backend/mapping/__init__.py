# SPDX-License-Identifier: GPL-3.0-or-later
"""From the name of a shape key to what it shows. From outside, import `recognize` and its like from `names`.

The conventions are data: one TOML file each under `conventions`, mouth shapes of speech in `poses.toml`, and in
`words.toml` the words that may stand around a name.
"""
