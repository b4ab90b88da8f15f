#!/bin/sh
# Run the tests of the runtime and of video files on Python 3.10, without PyTorch: what a Jetson with JetPack 6 has.
set -eu
python=${PYTHON310:-}
for candidate in python3.10 "$HOME"/.pyenv/versions/3.10.*/bin/python; do
  if [ -z "$python" ] && command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c '' 2>/dev/null; then
    python=$candidate
  fi
done
if [ -z "$python" ]; then
  echo "Python 3.10 is not installed: the runtime was not tested on it (set PYTHON310 to its path)"
  exit 0
fi
venv=.venv-310
[ -f $venv/ready ] || "$python" -m venv $venv
$venv/bin/python -m pip install --quiet --constraint constraints-310.txt --editable '.[cpu,video]' pytest cuda-bindings
touch $venv/ready
$venv/bin/python -m pytest -q tests/test_*.py tests/cuda tests/engine tests/runtime tests/video
