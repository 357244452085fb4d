# Needs Python 3.11 or 3.12, a C++ compiler (Python 3.11 only) and make. `make help` lists the targets.

PYTHON ?= $(shell for p in python3 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$p && break; done)
# A machine without a GPU saves gigabytes with: make setup TORCH_FLAGS="--index-url https://download.pytorch.org/whl/cpu"
TORCH_FLAGS ?=
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
S2S := $(BIN)/s2s

.DEFAULT_GOAL := help
.PHONY: help setup run nmt summarize chatbot code asr lipread caption g2p prepare train generate score report translate test test-slow lint audit docs dist format bench limit-memory limit-structure limit-domain web-kernel clean

help: ## list the targets
	@grep -hE '^[a-z0-9 -]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 40

setup: $(VENV)/ready ## build .venv: torch, fairseq, this project

$(VENV)/ready: setup.cfg pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or 3.12 found: install one, or name it: make setup PYTHON=..."; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
		{ echo "error: $(PYTHON) is $$($(PYTHON) -V 2>&1): fairseq needs 3.11 or 3.12, name one: make setup PYTHON=..."; exit 2; }
	@test -x $(BIN)/python || { echo "setup: $$($(PYTHON) -V) in $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "setup: torch"
	@$(PIP) $(TORCH_FLAGS) torch
	@$(PIP) numpy cython setuptools wheel
	@echo "setup: fairseq (built from source on Python 3.11: two to four minutes)"
	@$(PIP) --no-build-isolation fairseq-fixed
	@$(PIP) --no-build-isolation --editable ".[viz]"
	@touch $@
	@echo "setup: done"

$(VENV)/ready-media: $(VENV)/ready
	@echo "setup: audio, video and pictures"
	@$(PIP) --no-build-isolation --editable ".[viz,audio,video,image]"
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready-media
	@$(PIP) --no-build-isolation --editable ".[viz,audio,video,image,landmarks,check,knn,onnx,serve,structure,tables,docs,dev]"
	@touch $@

run: setup ## set up, then train and evaluate the default translator: data, model, scores, report
	@$(S2S) run app=nmt $(ARGS)

nmt: run ## the same as run; ARGS="data=multi30k name=m30k" changes it

summarize: setup ## summarization: Debian's package descriptions; ARGS="experiment=aeslc" for subjects of e-mails
	@$(S2S) run app=summarize $(ARGS)

asr: $(VENV)/ready-media ## speech recognition: telephone prompts, letters; ARGS="data=fsdd" and others
	@$(S2S) run app=asr $(ARGS)

lipread: $(VENV)/ready-media ## lip reading: synthetic mouths; ARGS="data=grid data.from_dir=FOLDER" for real ones
	@$(S2S) run app=lipread $(ARGS)

caption: $(VENV)/ready-media ## image captioning: names of emoji; ARGS="data=tuxpaint" and others
	@$(S2S) run app=caption $(ARGS)

g2p: $(VENV)/ready-media ## grapheme to phoneme: CMUdict; ARGS="data=sigmorphon2020 data.source_lang=kor" and others
	@$(S2S) run app=g2p $(ARGS)

chatbot: setup ## small talk: AIML and chatterbot-corpus; ARGS="experiment=songys" for Korean; then: s2s chat app=chatbot
	@$(S2S) run app=chatbot $(ARGS)

code: setup ## requests to shell commands: examples of AWS and Azure; ARGS="experiment=nl2bash" and others
	@$(S2S) run app=code $(ARGS)

prepare train generate score report: setup ## one stage of it; ARGS as for s2s
	@$(S2S) $@ app=nmt $(ARGS)

translate: setup ## lines from standard input through the trained model
	@$(S2S) translate app=nmt $(ARGS)

test: $(VENV)/ready-dev ## set up, then run the tests
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow" $(ARGS)

test-slow: $(VENV)/ready-dev ## the long tests
	@$(BIN)/python -m pytest -m slow $(ARGS)

lint: $(VENV)/ready-dev ## ruff, mypy and the import layers
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-logo

audit: $(VENV)/ready-dev ## look up known vulnerabilities of all that is installed
	@$(PIP) pip-audit
	@$(BIN)/pip freeze --exclude-editable | sed 's/+.*//' > $(VENV)/audit.txt
	@$(BIN)/pip-audit --strict --no-deps --disable-pip --progress-spinner off --requirement $(VENV)/audit.txt

docs: $(VENV)/ready-dev ## build the documentation in site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

dist: $(VENV)/ready-dev ## build the sdist and the wheel in dist/
	@$(BIN)/python -m build

format: $(VENV)/ready-dev ## let ruff rewrite the sources
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: setup ## our default against stock fairseq's LSTM (about an hour); ARGS="--quick" for a look
	@$(BIN)/python bench/quality_vs_stock.py $(ARGS)

limit-memory: setup ## a laboratory of docs/limits.md, about 45 minutes; ARGS="--seeds 1" for a look
	@PYTHONPATH=bench $(BIN)/python -m limits.$(@:limit-%=%) $(ARGS)

limit-structure: $(VENV)/ready-dev ## the same of another limit, with taggers of the extra structure
	@PYTHONPATH=bench $(BIN)/python -m limits.$(@:limit-%=%) $(ARGS)

limit-domain: $(VENV)/ready-dev ## the same of new domains and tasks
	@PYTHONPATH=bench $(BIN)/python -m limits.$(@:limit-%=%) $(ARGS)

web-kernel: ## the kernel of web pages, by Debian's clang and lld
	clang --target=wasm32 -O3 -msimd128 -mbulk-memory -ffreestanding -nostdlib -fno-builtin -Wall -Wextra \
		-Wl,--no-entry,--import-memory,--strip-all,-z,stack-size=4096 -o s2s_plugin/web/kernel/kernel.wasm s2s_plugin/web/kernel/kernel.c

clean: ## delete runs and prepared data, not the downloads
	@rm -rf runs multirun outputs && find data-bin -mindepth 1 -maxdepth 1 ! -name downloads -exec rm -rf {} + 2>/dev/null || true
