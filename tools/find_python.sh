#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Print the path of a Python of the given version: on PATH, under pyenv, or under uv. Fails with a remedy.
#   tools/find_python.sh 3.13
version=$1
works() { "$1" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" 2>/dev/null; }
for candidate in "python$version" python3 "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
    path=$(command -v "$candidate" 2>/dev/null) || continue
    if works "$path"; then echo "$path"; exit 0; fi
done
if command -v uv >/dev/null 2>&1; then
    path=$(uv python find "$version" 2>/dev/null || { uv python install "$version" >&2 && uv python find "$version"; }) || path=
    if [ -n "$path" ] && works "$path"; then echo "$path"; exit 0; fi
fi
echo "Python $version was not found. Install python$version with its venv module (Debian: python$version-venv; or uv, or pyenv)." >&2
exit 1
