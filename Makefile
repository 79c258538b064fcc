# What a person types. Every target is handed to the command `lab` of this repository's own .venv; lab/bootstrap.sh
# makes that .venv first where it is missing or out of date. `make help` lists what there is.
#
# `make stage-1 demo` names two goals. They are one command: the stage does all the work and hands every other word to
# the command line, known or not, so there is one place that can say what exists. Written for GNU make 3.81 (macOS).

.DEFAULT_GOAL := help
.SUFFIXES:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# A value counts when it was typed (`make … NAME=alice`); NETWORK and LEVERS also when they are in the environment.
# The other names are too common there: many machines have a NAME or a PORT that means something else.
KNOWN := NAME LISTEN PORT MAX SERVER TARGET LEVERS NETWORK GOAL REGISTER PASSWORD_FILE PASSPHRASE_FILE CA FROM TO FILE MINUTES SEED \
  ABLATIONS FAMILY VIA LAN SLOW ATTACK QUESTION PART AGAIN ATTACHED FRESH GIVE_UP ARGS PYTHON
TYPED := $(foreach v,$(KNOWN),$(if $(filter command,$(origin $v)),$v))
MISTYPED := $(filter-out $(KNOWN),$(foreach v,$(.VARIABLES),$(if $(filter command,$(origin $v)),$v)))
$(if $(MISTYPED),$(error There is no $(MISTYPED:%=%=); there are $(KNOWN:%=%=)))
TYPED += $(foreach v,LEVERS NETWORK,$(if $(filter environment,$(origin $v)),$v))

# Values reach the shell through the environment ("$$NAME"), never as text of a recipe, and are taken as they are:
# without this, make itself would run a `$(shell …)` in them. A quote or a `$(…)` in a name is then just a name.
$(foreach v,$(TYPED),$(eval override $v := $$(value $v)))

option = $(if $(filter $1,$(TYPED)),$2 "$$$1")
OPTIONS = $(call option,NAME,--name) $(call option,LISTEN,--listen) $(call option,PORT,--port) \
  $(call option,MAX,--max) $(call option,SERVER,--server) $(call option,TARGET,--target) \
  $(call option,LEVERS,--levers) $(call option,NETWORK,--network) $(call option,GOAL,--goal) \
  $(call option,PASSWORD_FILE,--password-file) $(call option,PASSPHRASE_FILE,--passphrase-file) \
  $(call option,CA,--ca) $(call option,FROM,--from) $(call option,TO,--to) $(call option,FILE,) $(call option,ATTACK,) \
  $(if $(filter REGISTER,$(TYPED)),$(if $(filter-out 0 no off,$(REGISTER)),--register)) \
  $(call option,QUESTION,--question) $(call option,PART,--part) \
  $(if $(filter AGAIN,$(TYPED)),$(if $(filter-out 0 no off,$(AGAIN)),--again)) \
  $(call option,FAMILY,--family) $(call option,VIA,--via) $(call option,LAN,--lan) \
  $(if $(filter SLOW,$(TYPED)),$(if $(filter-out 0 no off,$(SLOW)),--slow)) \
  $(if $(filter ABLATIONS,$(TYPED)),$(if $(filter-out 0 no off,$(ABLATIONS)),--ablations)) \
  $(if $(filter ATTACHED,$(TYPED)),$(if $(filter-out 0 no off,$(ATTACHED)),--attached)) \
  $(if $(filter FRESH,$(TYPED)),$(if $(filter-out 0 no off,$(FRESH)),--fresh)) \
  $(if $(filter GIVE_UP,$(TYPED)),$(if $(filter-out 0 no off,$(GIVE_UP)),--give-up))

BOOTSTRAP := sh lab/bootstrap.sh
SETUP = $(BOOTSTRAP) $(call option,PYTHON,--python) $(call option,ARGS,--words)

STAGE := $(firstword $(filter stage-%,$(MAKECMDGOALS)))
ifneq ($(STAGE),)

VERBS := $(filter-out $(STAGE),$(MAKECMDGOALS))
LAB_WORDS := $(STAGE) $(VERBS)
# An attack's own exit status says what it did; typed through make, it succeeds when the verdict is the expected one.
LAB_EXPECT := 1
export LAB_WORDS LAB_EXPECT $(TYPED)

.PHONY: $(MAKECMDGOALS)

$(STAGE):
	@set -f; $(SETUP) $(if $(filter test,$(VERBS)),--dev) lab $$LAB_WORDS $(OPTIONS)

$(VERBS):
	@:

else

TARGETS := help doctor lan matrix field diff wireshark flow report hint progress handouts grade crack audits bench \
  bench-levers test faults soak fuzz mutants licences audit-deps check lock clean
LAB_UNKNOWN := $(filter-out $(TARGETS),$(MAKECMDGOALS))
export LAB_UNKNOWN $(TYPED)

.PHONY: $(TARGETS) $(LAB_UNKNOWN)

help doctor:
	@$(SETUP) lab $@

lan matrix field diff wireshark flow report hint progress handouts grade:
	@$(SETUP) lab $@ $(OPTIONS)

crack: # that nothing was found is an answer too
	@LAB_EXPECT=1; export LAB_EXPECT; $(SETUP) lab $@ $(OPTIONS)

audits: # the scores are computed by a library that only developers need
	@$(SETUP) --dev lab $@ $(OPTIONS)

bench:
	@$(SETUP) python -m benchmarks

# What each lever costs: a table, and a picture in runs/levers; ten minutes. ARGS="--stage 3" for one stage.
bench-levers:
	@$(SETUP) python -m benchmarks.levers

# Side by side, on up to four cores; `make test ARGS="-n 0 …"` runs one after the other.
test:
	@$(SETUP) --dev python -m pytest --numprocesses auto --maxprocesses 4 --dist loadscope

# Every night: what tests/faults does a few times in every run of the tests, it does hundreds of times here.
faults:
	@LAB_WHOLE=1 $(SETUP) --dev python -m pytest tests/faults

soak:
	@$(SETUP) --dev python -m tests.faults.soak $(call option,MINUTES,--minutes) $(call option,SEED,--seed)

# A million made-up inputs; ARGS="--seconds 600", and again, to go on from there.
fuzz:
	@$(SETUP) --dev python -m tests.fuzz

# What is broken in a stage's lever or in the referee has to be noticed; ten minutes.
mutants:
	@$(SETUP) --nightly python -m tests.mutants

# What is known against the packages that are locked, and under which licences they stand.
audit-deps:
	@$(SETUP) --nightly python -m tests.packages audit
licences:
	@$(SETUP) --nightly python -m tests.packages licences

check:
	@$(BOOTSTRAP) $(call option,PYTHON,--python) --dev ruff check
	@$(BOOTSTRAP) --dev ruff format --check
	@$(BOOTSTRAP) --dev mypy --strict common stages attacks lab tests benchmarks
	@$(BOOTSTRAP) --dev lint-imports --no-logo

# The locks hold for every supported Python and system; `make lock ARGS=--upgrade` takes the newest versions.
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --custom-compile-command "make lock" pyproject.toml $$ARGS
lock:
	@command -v uv >/dev/null || { echo "'make lock' needs uv: install it and try again." >&2; exit 2; }
	@set -f; $(COMPILE) --output-file requirements.lock >/dev/null
	@set -f; $(COMPILE) --group dev --constraints requirements.lock --output-file requirements-dev.lock >/dev/null
	@set -f; $(COMPILE) --group dev --group nightly --constraints requirements-dev.lock --output-file requirements-nightly.lock >/dev/null

# Only what this repository made. Identities and pins live in the user's own data folder and stay.
clean:
	@rm -rf .venv runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .grimp_cache mutants .fuzz.json
	@find . -name .git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

$(LAB_UNKNOWN):
	@echo "There is no target '$$LAB_UNKNOWN': there are $(TARGETS:%=%,) and a stage with a verb, as in 'make stage-1 demo'." >&2; exit 2

endif
