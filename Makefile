# make demo   each family trained and used on scikit-learn's data; writes demo/out/report.html
# make gallery  the same with larger models, some six minutes on two cores; writes demo/out/gallery/report.html
# make test   everything that CI checks
# make check  its fast part: lint, types, quick tests
# make fuzz   damaged files at every door, without end; prints the seeds of what fails
# make settings  portable coding under 81 combinations of torch's settings, in 15 minutes
# make lowest the fast tests with the lowest versions that pyproject.toml allows
# make venv   only the environment
# make docs   the documentation as a site, docs/_build/index.html, without network
# make release  sdist and wheel in dist/, checked
PYTHON ?= python3
BIN := .venv/bin

.PHONY: venv demo gallery test check quick lint fuzz settings lowest docs release clean

venv: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: venv
	$(BIN)/python demo/demo.py

gallery: venv
	$(BIN)/python demo/demo.py --gallery --out demo/out/gallery

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# Types take one core, so the tests start beside them.
check: venv
	$(MAKE) --jobs 2 --output-sync=target lint quick

quick: venv
	$(BIN)/pytest -q -n 2 --hypothesis-profile quick -m "not slow"

test: lint
	$(BIN)/pytest -q -n 2 --dist loadscope

fuzz: venv
	$(BIN)/python tests/fuzz.py

settings: venv
	$(BIN)/python tests/every_setting.py

# Warnings are not errors here: old versions have their own.
lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --constraint constraints-lowest.txt torch
	.venv-lowest/bin/python -m pip install --quiet --constraint constraints-lowest.txt \
		--editable '.[demo,hub,sklearn]' httpx hypothesis pandas playwright pytest pytest-xdist scipy
	.venv-lowest/bin/pytest -q -n 2 -m "not slow" -W default

docs: venv
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build

# The tests build both anew, and run the first steps with the wheel alone.
release: venv
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/twine check --strict dist/*
	$(BIN)/pytest -q tests/test_release.py

clean:
	rm -rf .venv .venv-lowest demo/out docs/_build dist
