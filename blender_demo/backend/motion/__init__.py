# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion as plain arrays: the channel table (`factors`), clips (`clip`), frame rates (`resample`) and keys (`reduce`).

Numpy and the standard library only; of the project it imports nothing but `errors`.
"""
