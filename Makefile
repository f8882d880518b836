# `make run` and `make test` do all the set-up themselves, in .venv.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
# An index may serve several gigabytes of CUDA for a plain `torch`; this exact version is what was tried.
INSTALL := $(BIN)/python -m pip install --quiet --constraint envs/cpu.txt torch==2.13.0 --editable
# A bundle (`polar-tools bundle`) has the packages beside it, and asks no index for any.
PACKED := $(wildcard wheels/requirements.txt)

.PHONY: run pull data test test-all test-slurm test-docs default-run examples lint format fix docs pictures bench bench-memory bench-eval bench-slurm clean

run: $(VENV)/installed-run  ## the default workflow
	PATH="$(abspath $(BIN)):$$PATH" snakemake
	@echo
	@echo "Done. Open results/report/index.html. For more: . $(BIN)/activate"

pull: $(VENV)/installed-pull  ## the results of this commit out of DVC's remote; nothing has to run then
	PATH="$(abspath $(BIN)):$$PATH" dvc pull
	PATH="$(abspath $(BIN)):$$PATH" snakemake --quiet --dry-run  # which brings the times of what came in order

data: $(VENV)/installed-run  ## what config/examples/shapes is made from and no pypi:// source gives, into data/: see docs/data.md
	PATH="$(abspath $(BIN)):$$PATH" python examples/fetch_data.py data
	PATH="$(abspath $(BIN)):$$PATH" python examples/make_vision_model.py data/tiny-gemma3 data/emoji/metadata.jsonl

test: $(VENV)/installed-test  ## the fast tests
	PATH="$(abspath $(BIN)):$$PATH" pytest -n 2 --dist worksteal -m "not slow and not gpu and not slurm"

test-all: $(VENV)/installed-test  ## every test that this machine can run
	PATH="$(abspath $(BIN)):$$PATH" pytest -n 2 --dist worksteal -m "not slow and not slurm"
	PATH="$(abspath $(BIN)):$$PATH" pytest -m "slow and not slurm"
	PATH="$(abspath $(BIN)):$$PATH" pytest -rs -m slurm tests/slurm

test-slurm: $(VENV)/installed-test  ## the workflow on a real Slurm cluster of virtual nodes, with real faults; as root on Debian it installs what is missing
	PATH="$(abspath $(BIN)):$$PATH" pytest -rs -m "slurm and not slow" tests/slurm

test-docs: $(VENV)/installed-test  ## the commands of the documentation, in order, as a reader would; the site, every page; from one's own CSV to a report with the wheel
	PATH="$(abspath $(BIN)):$$PATH" pytest -n 2 --dist worksteal -m slow tests/docs tests/unit/test_init.py tests/unit/test_new_method.py tests/unit/test_controller.py

default-run: $(VENV)/installed-test  ## the default workflow in a clean clone, with what it must reach
	PATH="$(abspath $(BIN)):$$PATH" pytest -m slow tests/workflow/test_default_run.py

docs: $(VENV)/installed-test  ## the documentation as a site in build/site, in English and Korean; it opens from the disk
	PATH="$(abspath $(BIN)):$$PATH" python -m docs.site.building build/site

TUTORIAL ?= films/results
pictures: $(VENV)/installed-test  ## what docs/ shows of the pages of the default run and of the tutorial's project, taken by Chromium, and the workflow's drawing
	PATH="$(abspath $(BIN)):$$PATH" python -m docs.draw_workflow . docs/pictures/workflow.svg
	PATH="$(abspath $(BIN)):$$PATH" python -m docs.take_pictures results $(TUTORIAL) docs/pictures

examples: data $(VENV)/installed-test  ## the examples of all shapes and all methods on real models and data; prints before -> after
	PATH="$(abspath $(BIN)):$$PATH" pytest -m slow tests/contract/test_shape_examples.py
	PATH="$(abspath $(BIN)):$$PATH" python examples/before_after.py

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

fix: $(VENV)/installed-test  ## write the generated files anew
	$(BIN)/pytest -q --fix tests/test_generated.py

bench: $(VENV)/installed-test  ## start-up, planning, copies, preparing and tokens, side by side
	PATH="$(abspath $(BIN)):$$PATH" python bench/planning.py
	PATH="$(abspath $(BIN)):$$PATH" python -m bench.pull_push
	PATH="$(abspath $(BIN)):$$PATH" python -m bench.tokenizing
	PATH="$(abspath $(BIN)):$$PATH" python -m bench.prepare
	PATH="$(abspath $(BIN)):$$PATH" python -m bench.near_duplicates --rows 20000
	PATH="$(abspath $(BIN)):$$PATH" python -m bench.overlap

bench-memory: $(VENV)/installed-test  ## memory as `polar-tools plan` predicts it beside what ten small trainings needed, on the default run's models and others
	PATH="$(abspath $(BIN)):$$PATH" snakemake results/models/smollm2/manifest.json resources/models/minilm/manifest.json
	PATH="$(abspath $(BIN)):$$PATH" python -m bench.memory --real .

bench-eval: $(VENV)/installed-test  ## what a model writes and how it is scored, beside Seq2SeqTrainer.predict, a plain loop and rouge_score
	PATH="$(abspath $(BIN)):$$PATH" python -m bench.evaluating
	PATH="$(abspath $(BIN)):$$PATH" python -m bench.scoring

bench-slurm: $(VENV)/installed-test  ## what a job costs beside its work on a cluster of virtual nodes, alone and in groups
	PATH="$(abspath $(BIN)):$$PATH" python -m bench.slurm

PEERS := $(patsubst bench/peers/%.txt,build/bench-train/%/installed,$(wildcard bench/peers/*.txt))

bench-train: $(VENV)/installed-test $(PEERS)  ## one fine-tuning job by this project, trl, LLaMA-Factory, ms-swift and bare loops, side by side
	PATH="$(abspath $(BIN)):$$PATH" python -m bench.training

build/bench-train/%/installed: bench/peers/%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --no-deps --requirement $<
	@rm -f $(@D)/lib/python*/site-packages/torchaudio/lib/*.so  # they want CUDA, and torchaudio does without: nobody hears sounds here
	@touch $@

clean:  ## forget all results; what was fetched and made is gone
	rm -rf resources results logs benchmarks .snakemake

$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python 3.11 with venv is needed: apt-get install python3.11-venv, or make PYTHON=/path/to/python3.11" >&2; exit 1; }

$(VENV)/installed-run: $(VENV)/bin/python pyproject.toml envs/cpu.txt $(PACKED)
ifdef PACKED
	$(BIN)/python -m pip install --quiet --no-index --find-links wheels --require-hashes --requirement $(PACKED)
	$(BIN)/python -m pip install --quiet --no-index --no-deps --no-build-isolation --editable .
else
	$(INSTALL) ".[run]"
endif
	@touch $@

$(VENV)/installed-pull: $(VENV)/installed-run
	$(INSTALL) ".[run,dvc]"
	@touch $@

$(VENV)/installed-test: $(VENV)/bin/python pyproject.toml envs/cpu.txt
	$(INSTALL) ".[run,quantize,optimizers,distributed,korean,harness,dvc,sign,track,archive,docs,dev]"
	$(BIN)/python -m pip install --quiet --no-deps --constraint envs/cpu.txt mlflow  # the server; 3.17 asks for an older pyarrow than it needs
	@touch $@ $(VENV)/installed-run $(VENV)/installed-pull
