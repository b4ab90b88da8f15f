#!/bin/sh
# make gpu: on a machine with an NVIDIA GPU, say what can run, test it there, build the engines, and measure them.
#
#   PYTHON=/path/to/python    use this environment as it is: its PyTorch, TensorRT, ONNX Runtime; nothing is installed
#   (without it)              make .venv-gpu on top of the system's packages, and install what is small and missing
#   NAME=workstation          name of the result in benchmarks/results; by default the GPU's
#
# PyTorch and TensorRT are never installed: which build fits is for the machine's owner to say. What is not there is
# named, and its rows are missing in the result.
set -u
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD:$PWD/export:$PWD/benchmarks${PYTHONPATH:+:$PYTHONPATH}"
needed='click numpy safetensors tqdm filelock av PIL scipy psutil pytest'
base=${PYTHON:-python3}

has() { "$python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)" 2>/dev/null; }

python=$base
if [ -z "${PYTHON:-}" ]; then
  [ -x .venv-gpu/bin/python ] || "$base" -m venv --system-site-packages .venv-gpu || exit 1
  python=$PWD/.venv-gpu/bin/python
fi
missing=
for module in $needed; do has "$module" || missing="$missing $module"; done
if [ -n "$missing" ]; then
  if [ -n "${PYTHON:-}" ]; then
    echo "make gpu: $PYTHON has no$missing; install them there: pip install '.[video,bench]' pytest" >&2
    exit 5
  fi
  echo "make gpu: installing$missing into .venv-gpu"
  "$python" -m pip install --quiet '.[video,bench]' pytest || exit 1
fi

gpu=$("$python" - <<'PROBE'
import re, sys
from edgevae.cuda.probe import gpus
from edgevae.errors import EdgeVaeError
try:
    gpu = gpus()[0]
except EdgeVaeError as error:
    sys.exit(f"make gpu: {error}")
print(gpu.cuda_version[0], re.sub(r"[^a-z0-9]+", "-", gpu.name.lower()).strip("-"))
PROBE
) || exit 5
cuda=${gpu%% *}
name=${NAME:-gpu-${gpu#* }}

# Two small things that every GPU backend of ours needs: CUDA from Python, and ONNX Runtime to check engines against.
wanted=
case $cuda in
  12) bindings='cuda-bindings>=12.9.1,<13' ;;
  *) bindings="cuda-bindings>=$cuda,<$((cuda + 1))" ;;
esac
has cuda.bindings || has pycuda || wanted=$bindings
has onnxruntime || wanted="$wanted onnxruntime"
for package in $wanted; do
  if [ -n "${PYTHON:-}" ]; then
    echo "make gpu: missing: pip install '$package'"
  else
    "$python" -m pip install --quiet "$package" || echo "make gpu: missing: $package could not be installed"
  fi
done
has torch || echo "make gpu: missing: PyTorch, so nothing to compare with; give PYTHON= an environment with a CUDA build"

echo; "$python" -c 'from edgevae.cli import main; main()' doctor
failed=
echo; "$python" -m pytest -q -m gpu tests/gpu || failed="$failed tests"
for backend in tensorrt tensorrt_rtx; do
  for model in edgevae-video-s:480p edgevae-predict-digits:64x64 edgevae-generate-digits:64x64 edgevae-gan-digits:64x64 \
    edgevae-senses-made:64x64; do
    echo; "$python" -c 'from edgevae.cli import main; main()' build "${model%%:*}" --backend $backend --size "${model#*:}"
    code=$?
    [ $code -eq 0 ] || [ $code -eq 5 ] || failed="$failed build-${model%%:*}-$backend"
  done
done
mkdir -p benchmarks/results
echo; "$python" -c 'from edgevae.cli import main; main()' benchmark edgevae-video-s --against edgevae-video-s \
  --device cuda --backend all --size 832x480 --resume --output "benchmarks/results/$name.json" || failed="$failed benchmark"
[ -z "$failed" ] || { echo "make gpu: failed:$failed" >&2; exit 1; }
echo "make gpu: all passed; benchmarks/results/$name.json"
