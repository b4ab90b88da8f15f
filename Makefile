# edgevae: every target does its own set-up in .venv; it needs Python (3.11 or later) and make.
#
#   make demo    export the shipped model, run it on a clip without PyTorch, measure it against PyTorch, picture it
#   make test    lint, types, layers, documentation, all tests; what CI runs
#   make gpu     on a machine with an NVIDIA GPU: doctor, the tests on it, engines, the benchmark against PyTorch
#                (PYTHON=... uses that environment as it is; without it .venv-gpu is made on the system's packages)
#   make results NAME=2core-xeon   on a machine with nothing else to do: measure the shipped model on its CPU against PyTorch
#                and OpenVINO, about 10 minutes on two cores, into benchmarks/results/cpu-NAME.json; then the README's figures
#   make families  export a small model of every family of diffusers, run it, and write the table of docs/foreign.md;
#                some minutes
#   make full-size NAME=2core-xeon   VAEs of diffusers at their published size and 512x512 against diffusers itself, on the
#                CPU of a machine with nothing else to do, into benchmarks/results/foreign; an hour on two cores
#   make docs    write docs/cli.md from --help, the tables of docs/architecture.md from the modules, the schema of the
#                benchmark's results from its classes, the figures of README.md, docs/results.svg, docs/predict.md,
#                docs/multimodal.md and docs/generate.md from benchmarks/results, and the table of docs/foreign.md from
#                docs/families.json
#   make cards   write the figures of the model cards from benchmarks/results/quality-*.json
#   make assets  write the tiny models of the tests again
#   make clean   remove what these targets made

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(BIN)/python
# TensorRT-RTX's builder needs no GPU: it checks every graph in CI. It has no wheel for other systems than Linux x86-64.
BUILDER := $(shell [ "$$(uname -sm)" = "Linux x86_64" ] && echo ,tensorrt-rtx)
EXTRAS := cpu,video,train,export,diffusers,bench,dev$(BUILDER)

.PHONY: demo test check docs cards families full-size assets clean test-310 browser gpu results families full-size

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: got Python %d.%d, expected 3.11 or later; set PYTHON=" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --constraint constraints.txt torch
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

# Any import of PyTorch fails in these processes, so that what they do is done without it.
WITHOUT_TORCH := $(RUN) -c "import sys; sys.modules['torch'] = None; from edgevae.cli import main; main()"
CLIP := edgevae/clips/flower.mp4

demo: $(VENV)/ready
	@mkdir -p demo
	$(BIN)/edgevae export edgevae-video-s -o demo/bundle --overwrite
	$(WITHOUT_TORCH) encode demo/bundle $(CLIP) -o demo/flower.safetensors --overwrite
	$(WITHOUT_TORCH) decode demo/bundle demo/flower.safetensors -o demo/flower.mp4 --overwrite
	$(BIN)/edgevae benchmark demo/bundle --video $(CLIP) --against edgevae-video-s \
	  --picture demo/flower.png --output demo/benchmark.json
	@echo "Look at demo/flower.png (source, reconstruction, difference) and demo/flower.mp4."

check: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Two test processes share the cores: a thread that waits must not spin on what the other needs (4x slower steps).
test: check test-310 browser
	OMP_WAIT_POLICY=PASSIVE $(RUN) -m pytest -n 2 --dist loadfile

# The runtime on Python 3.10, which JetPack 6 has; skipped, and said so, where it is not installed.
test-310: $(VENV)/ready
	@sh tests/python310.sh

# Chromium for the tests of the benchmark's page; they are skipped, and say so, where it cannot be had.
browser:
	@sh tests/browser.sh

gpu:
	@PYTHON="$(if $(filter file,$(origin PYTHON)),,$(PYTHON))" NAME="$(NAME)" sh benchmarks/gpu.sh

# --resume: what a broken-off run has measured is not measured again. The page is not committed: it is large, and can be
# made from the JSON again but for its pictures.
RESULT := benchmarks/results/cpu-$(NAME)
results: $(VENV)/ready
	@[ -n "$(NAME)" ] || { echo "make results: got no NAME; name the machine: make results NAME=2core-xeon" >&2; exit 2; }
	$(RUN) -m pip install --quiet --constraint constraints.txt openvino
	$(BIN)/edgevae benchmark edgevae-video-s --against edgevae-video-s --device cpu --backend all \
	  --size 640x360 --size 1280x720 --frames 16 --chunks 2 --rounds 8 --starts 4 --resume \
	  -o $(RESULT).json --report $(RESULT).html
	$(RUN) docs/make_results.py

docs: $(VENV)/ready
	$(RUN) docs/make_cli.py
	$(RUN) docs/make_architecture.py
	$(RUN) -m edgevae_bench.json_schema
	$(RUN) docs/make_results.py
	$(RUN) docs/make_predict.py
	$(RUN) docs/make_generation.py
	$(RUN) docs/make_multimodal.py
	$(RUN) docs/make_families.py

families: $(VENV)/ready
	$(RUN) -m edgevae_export.diffusers.survey docs/families.json
	$(RUN) docs/make_families.py

FULL := sd-random taesd-random
full-size: $(VENV)/ready
	@[ -n "$(NAME)" ] || { echo "make full-size: got no NAME; name the machine: make full-size NAME=2core-xeon" >&2; exit 2; }
	$(RUN) -m edgevae_export.diffusers.full_models demo
	mkdir -p benchmarks/results/foreign
	for model in $(FULL); do \
	  $(BIN)/edgevae export demo/$$model -o demo/$$model.bundle --precision fp32 --overwrite && \
	  $(BIN)/edgevae benchmark demo/$$model.bundle --against demo/$$model --device cpu --size 512x512 \
	    --backend auto --backend pytorch_diffusers --boundary call --frames 2 --chunks 2 --rounds 3 --resume \
	    -o benchmarks/results/foreign/cpu-$(NAME)-$$model.json || exit 1; \
	done
	$(RUN) docs/make_families.py

cards: $(VENV)/ready
	$(RUN) docs/make_cards.py

assets: $(VENV)/ready
	$(RUN) tests/assets/make_bundles.py

clean:
	rm -rf $(VENV) $(VENV)-310 $(VENV)-gpu demo
