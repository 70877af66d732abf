# A façade: one or two commands a target. It needs Python 3.11+, make and a compiler, and builds its environment itself.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

# Given as `make compare REQUESTS=500 USERS=100`. The shell, not make, expands the values ("$$REQUESTS"), so that no
# character in them becomes a command; Python validates them before anything starts.
VARIABLES := REQUESTS USERS PROFILE RATE OUT SEED CORPUS LEGACY_URL STREAMING_URL TARGETS WORKERS PROCESSES \
  STREAMS ROUNDS LEVELS CLIENTS HOLD READERS PATIENCE WORDS EARLY SERVERS ONLY LONG MUTANT PROXY
OPTIONS = $(foreach name,$(VARIABLES),$${$(name):+"--$(shell echo $(name) | tr A-Z_ a-z-)=$$$(name)"})
GIVEN := $(foreach name,$(.VARIABLES),$(if $(findstring command,$(origin $(name))),$(name)))
UNKNOWN := $(filter-out $(VARIABLES) PYTHON PORT PYTEST_ARGS -%,$(GIVEN))
$(if $(UNKNOWN),$(error no such variable: $(UNKNOWN) (there are: $(VARIABLES) PORT PYTEST_ARGS PYTHON)))

# shared/ and the harness import no framework: their own tests say nothing of FastAPI. Nor does the batch stack,
# whose packages are the same in both environments (tests/test_locks.py).
ON_LATEST := tests/apps tests/fastapi_app tests/pitfalls/test_pitfalls.py \
  tests/loadtests/test_provoking.py::test_every_promise_holds_on_a_server \
  tests/loadtests/test_parity.py::test_our_stacks_differ_as_the_ledger_says_and_in_nothing_else
# Nor do a store of sessions, the frames in it, and clients in a crowd.
NOT_ON_LATEST := $(patsubst %,--ignore=tests/fastapi_app/test_%.py,crowd redis_sessions replay sse stores watchdog)

COG := $(BIN)/python -m cogapp -P -p "from guide.blocks import *; from guide.figures import *" --markers="<!--= =--> <!--end-->"

.DEFAULT_GOAL := help
.PHONY: help install check mirror guide guide-check test test-latest compare report sweep bench bench-simulator \
  bench-limiter faults slow-readers readers parity pitfalls knobs drops myths rolling proxy deploy-check demo serve-legacy serve-streaming simulate diff results lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 26

install: .venv/.installed ## build .venv from requirements.lock (every target does it when needed)

check: guide-check deploy-check ## lint, format, strict types, import contracts, mirror, guide, deploy/
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
	$(BIN)/python -m pytest --quiet tests/test_mirror.py tests/test_security.py

mirror: .venv/.installed ## the two apps have the same files with the same public names
	$(BIN)/python -m pytest --quiet tests/test_mirror.py

guide: .venv/.installed ## write the listings, diffs, tables and figures of the guide again
	@$(COG) -r migration_guide.md

guide-check: .venv/.installed ## the guide says what the code and the committed figures say
	@$(COG) --check --diff migration_guide.md

deploy-check: .venv/.installed ## what deploy/ ships, as nginx -t, gunicorn and systemd-analyze see it
	@.ci/packages
	@$(BIN)/python -m loadtests deploy-check

test: .venv/.installed ## the whole suite on FastAPI 0.115.14
	@.ci/packages
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-latest: .venv-latest/.installed ## the apps and the faults on the current FastAPI and Starlette
	@.ci/packages
	.venv-latest/bin/python -m pytest $(ON_LATEST) $(NOT_ON_LATEST) -k "not legacy_flask" $(PYTEST_ARGS)

compare: .venv/.installed ## the same 10,000 requests against both stacks, then the comparison (about 20 minutes)
	@$(BIN)/python -m loadtests run $(OPTIONS)

report: .venv/.installed ## write the report of a finished run again: OUT=out/compare
	@$(BIN)/python -m loadtests report "$${OUT:-out/compare}"

sweep: .venv/.installed ## both stacks over rising concurrency: the knee of each
	@$(BIN)/python -m loadtests sweep $(OPTIONS)

bench: .venv/.installed ## CPU microseconds per relayed token: ours, the articles' recipe, nginx
	@$(BIN)/python -m loadtests bench $(OPTIONS)

bench-simulator: .venv/.installed ## what the simulator itself costs, and how well it keeps its deadlines
	@$(BIN)/python -m loadtests bench-simulator $(OPTIONS)

bench-limiter: .venv/.installed ## what a limit a user costs a call, in memory and in a real Redis (REQUESTS=10000 CLIENTS=50)
	@$(BIN)/python -m loadtests bench-limiter $(OPTIONS)

faults: .venv/.installed ## every fault provoked for real on every server (SERVERS=gunicorn-asgi ONLY="dead peer" LONG=1)
	@$(BIN)/python -m loadtests faults $(OPTIONS)

slow-readers: .venv/.installed ## clients who read nothing: what they cost our stack and the recipe (CLIENTS=200 HOLD=60)
	@$(BIN)/python -m loadtests slow-readers $(OPTIONS)

readers: .venv/.installed ## impatient readers: who gives up, and which tokens are paid for (READERS=400 PATIENCE=10)
	@$(BIN)/python -m loadtests readers $(OPTIONS)

knobs: .venv/.installed ## each knob between a token and its reader, alone and together, through nginx (STREAMS=250)
	@$(BIN)/python -m loadtests knobs $(OPTIONS)

drops: .venv/.installed ## a scaled day of silent stretches through an idle timeout, heartbeat on and off
	@$(BIN)/python -m loadtests drops $(OPTIONS)

rolling: .venv/.installed ## streams through nginx while each backend is drained, stopped and started again (STREAMS=200)
	@$(BIN)/python -m loadtests rolling $(OPTIONS)

myths: .venv/.installed ## what the articles say, what is so, and the line of evidence
	@$(BIN)/python -m tests.pitfalls.myths $(OPTIONS)

parity: .venv/.installed ## several hundred requests to both stacks: an unlisted difference fails (MUTANT=buffered PROXY=shipped)
	@$(BIN)/python -m loadtests parity $(OPTIONS)

pitfalls: .venv/.installed .venv-latest/.installed ## what a migration trips over, shown on FastAPI 0.115.14 and the current one
	@$(BIN)/python -m tests.pitfalls $(OPTIONS)

demo: .venv/.installed ## the page that shows both stacks side by side, until Ctrl-C (PORT=8000 and the next two)
	@$(BIN)/python -m loadtests demo $${PORT:+"--port=$$PORT"} $(OPTIONS)

proxy: .venv/.installed ## nginx as deploy/ ships it, before both stacks, until Ctrl-C (PORT=8080)
	@$(BIN)/python -m loadtests proxy --port "$${PORT:-8080}" $(OPTIONS)

serve-legacy: .venv/.installed ## the Flask stack on PORT (8001)
	@$(BIN)/python -m legacy_flask --port "$${PORT:-8001}"

serve-streaming: .venv/.installed ## the FastAPI stack on PORT (8002)
	@$(BIN)/python -m fastapi_app --port "$${PORT:-8002}"

simulate: .venv/.installed ## the simulated upstream on PORT (8003), PROFILE=article
	@$(BIN)/python -m loadtests simulate --port "$${PORT:-8003}" $${PROFILE:+"--profile=$$PROFILE"} $${SEED:+"--seed=$$SEED"}

# Only the diff itself goes to stdout, so that it can be kept as a patch; a pager that is left early is no error.
diff: ## the migration itself: a unified diff here, and side by side with the guide in out/diff/index.html (OUT=dir)
	@$(MAKE) --silent --no-print-directory .venv/.installed >&2
	@if [ -t 1 ] && diff --color /dev/null /dev/null 2>/dev/null; then set -- --color; fi; \
	  diff -ru "$$@" --exclude=__pycache__ legacy_flask fastapi_app || case $$? in 1 | 141) ;; *) exit 2 ;; esac
	@$(BIN)/python -m guide.diff $(OPTIONS)

results: .venv/.installed ## keep the figures of out/ in results/, and show them in the README
	@$(BIN)/python -m loadtests readme --take out

lock: .venv/.installed ## resolve both lock files again
	$(call resolve,pinned,requirements.lock)
	$(call resolve,latest,requirements-latest.lock)

clean: ## remove the environments and the caches (results in out/ stay)
	rm -rf .venv .venv-latest .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info

.venv/.installed: requirements.lock pyproject.toml
	$(call build,.venv,requirements.lock)

.venv-latest/.installed: requirements-latest.lock pyproject.toml
	$(call build,.venv-latest,requirements-latest.lock)

define resolve
$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
  --upgrade --quiet --group dev --group $1 --output-file $2
endef

define build
@command -v "$(PYTHON)" >/dev/null || { echo "make: Python 3.11 or newer is needed and none was found; name one with PYTHON=..." >&2; exit 1; }
@"$(PYTHON)" -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "make: Python 3.11 or newer is needed, and " + sys.executable + " is " + sys.version.split()[0])'
@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) has no venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }
@echo "Building $1 from $2 (once, about a minute)"
"$(PYTHON)" -m venv $1
$1/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $2
$1/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
@touch $@
endef
