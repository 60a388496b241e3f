PYTHON ?= python3.11
NAME ?=
TRAIN := train-ctr train-topk train-dccf train-towers train-directau ablation-directau train-cml ablation-cml train-release train-sequence train-generate search-ctr curve-rating search-topk search-rating train-rating
LOOK := interpret-topk interpret-pairs interpret-sequence
CHAPTERS := chapter-80 chapter-50 chapter-60 chapter-61 chapter-70 chapter-71 chapter-40 chapter-41 chapter-42 chapter-43 chapter-44 chapter-30 chapter-20 chapter-10 chapter-90 chapter-00
# What takes longest: the outputs of these stages lie in Git, for `make repro` to take where they belong.
SHELF := ablation-directau ablation-cml curve-rating train-generate train-dccf train-towers \
	$(addprefix train-sequence@ml-100k-sequence-,gru4rec sasrec) train-directau@ml-100k-topk-directau_graph \
	train-topk@ml-100k-topk-neumf_implicit \
	$(foreach kind,uniform magnitude,search-ctr@ml-100k-ctr-fm-$(kind) search-rating@ml-100k-rating-mf-$(kind) search-topk@ml-100k-topk-bpr-$(kind)) \
	$(foreach ids,ctr ctr_attributes,$(addprefix train-ctr@ml-100k-$(ids)-,widedeep autoint_flat autoint_plus))
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export JUPYTER_CONFIG_PATH := $(CURDIR)/.jupyter
unexport PYTHONDONTWRITEBYTECODE  # a hundred processes import the same modules

.PHONY: repro test book lab data tune bench shelf clean
.DEFAULT_GOAL := repro

repro: .venv/ready data  ## everything: environment, data, pipeline, reports, the book
	python -m latent_factors.repro $(TRAIN) -- $(LOOK) -- $(CHAPTERS)

test: .venv/ready  ## every test
	ruff check .
	OMP_NUM_THREADS=1 python -m latent_factors.nursery pytest --numprocesses 2 --dist worksteal

book: .venv/ready  ## the site, from executed chapters
	python -m latent_factors.book

lab: .venv/ready  ## JupyterLab; notebooks are saved without outputs
	jupyter lab notebooks

data: .venv/ready  ## fetch the data set of params.yaml, or NAME=…
	python -m latent_factors.data.fetch $(NAME)

tune: .venv/ready data  ## search settings on the validation part, write them to params.yaml (hours)
	python -m latent_factors.tune

bench: .venv/ready data  ## time what should be fast, into reports/bench.json
	python -m latent_factors.bench

shelf: .venv/ready  ## lay what takes longest into reports/shelf, after `make repro` and before a commit
	python -m latent_factors.shelf $(SHELF)

clean:  ## remove what `make repro` can make again; data, environment and DVC's cache stay
	rm -rf build failed .pytest_cache .ruff_cache .hypothesis

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	python -m pip install --quiet --no-compile --requirement requirements.lock  # most modules are never imported
	python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@
