# Everything needs only Python 3.11 or later with pip; `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: chromium mosquitto prometheus cluster wrk help run test coverage lint audit soak mixed-soak trial bench lock clean venv packages dev-packages

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: packages mosquitto ## the whole product on http://127.0.0.1:3000 (HOST, PORT, DATA_DIR, DATABASE_URL, REDIS_URL)
	@exec $(BIN)/python manage.py run --tied

test: dev-packages chromium mosquitto prometheus ## the tests, three at a time: many wait (ARGS="-k name" selects)
	@$(BIN)/python -m pytest -n 3 -m "not soak" $(ARGS)

coverage: dev-packages chromium mosquitto prometheus ## the tests once more, with the lines and branches that they reach (95 % wanted)
	@$(BIN)/python -m pytest -n 2 -m "not soak" --cov --cov-report=term:skip-covered --cov-fail-under=95 $(ARGS)

# The browser tests use Debian's Chromium; without it they are skipped, and say so.
chromium:
	@command -v chromium >/dev/null || { \
		if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
			echo "Installing chromium ..."; \
			apt-get install -y -qq chromium >/dev/null 2>&1 || \
				{ apt-get update -qq && apt-get install -y -qq chromium; } >/dev/null 2>&1; \
		fi; \
		command -v chromium >/dev/null || echo "There is no chromium: the browser tests will be skipped."; \
	}

# The MQTT tests use Debian's Mosquitto; without it they are skipped, and say so. It installs to sbin, and is
# not started by us.
mosquitto:
	@command -v mosquitto >/dev/null || test -x /usr/sbin/mosquitto || { \
		if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
			echo "Installing mosquitto ..."; \
			apt-get install -y -qq --no-install-recommends mosquitto >/dev/null 2>&1 || \
				{ apt-get update -qq && apt-get install -y -qq --no-install-recommends mosquitto; } >/dev/null 2>&1; \
		fi; \
		command -v mosquitto >/dev/null || test -x /usr/sbin/mosquitto || \
			echo "There is no mosquitto: dispensers speak HTTP only, and the MQTT tests are skipped."; \
	}

# The tests of the alert rules use Debian's Prometheus; without it they are skipped, and say so. Nothing of it is
# started by us as a service.
prometheus:
	@command -v promtool >/dev/null || { \
		if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
			echo "Installing prometheus ..."; \
			export RUNLEVEL=1; install="apt-get install -y -qq --no-install-recommends prometheus"; \
			$$install >/dev/null 2>&1 || { apt-get update -qq && $$install; } >/dev/null 2>&1; \
		fi; \
		command -v promtool >/dev/null || echo "There is no prometheus: the tests of the alert rules will be skipped."; \
	}

soak: dev-packages ## the long runs
	@$(BIN)/python -m pytest -m soak $(ARGS)

mixed-soak: dev-packages mosquitto ## half an hour at 70 % of capacity while its parts fail (ARGS="--minutes 3" is shorter)
	@$(BIN)/python -m tests.soak $(ARGS)

trial: packages mosquitto cluster ## two of everything on this machine, killed one by one: is anything lost?
	@$(BIN)/python -m deploy.cluster $(ARGS)

# Debian's; nothing of it is started by us as a service.
cluster:
	@command -v patroni >/dev/null && command -v etcd >/dev/null && test -x /usr/sbin/haproxy || { \
		if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
			echo "Installing patroni, etcd-server and haproxy ..."; \
			export RUNLEVEL=1; install="apt-get install -y -qq --no-install-recommends patroni etcd-server haproxy"; \
			$$install >/dev/null 2>&1 || { apt-get update -qq && $$install; } >/dev/null 2>&1; \
		fi; \
	}

# Its load is made by Debian's wrk, which leaves the cores to what is measured.
wrk:
	@command -v wrk >/dev/null || { \
		if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
			echo "Installing wrk ..."; \
			apt-get install -y -qq wrk >/dev/null 2>&1 || \
				{ apt-get update -qq && apt-get install -y -qq wrk; } >/dev/null 2>&1; \
		fi; \
	}

bench: dev-packages mosquitto wrk ## whether it is as fast as it is meant to be (ARGS="--rounds 7 --seconds 4" to believe it)
	@$(BIN)/python -m benchmarks $(ARGS)

# Strong throw-away secrets: `check --deploy` looks at the settings as production would have them.
RANDOM_KEY = $$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(48))')
AS_PRODUCTION = ENVIRONMENT=production SECRET_KEY="$(RANDOM_KEY)" JWT_SIGNING_KEY="$(RANDOM_KEY)" \
	DATABASE_URL=postgres://lint@localhost/lint REDIS_URL=redis://localhost/0 TRUSTED_PROXY_COUNT=1 \
	ALLOWED_HOSTS=api.zinzino.example PUBLIC_URL=https://api.zinzino.example DEVICE_CLAIM_MODE=code \
	EMAIL_URL=smtp+tls://mail.zinzino.example:587

lint: dev-packages ## format, types, imports, migrations, settings, API document, secrets
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python manage.py lintmigrations --no-cache --ignore-initial-migrations --warnings-as-errors
	@echo "manage.py check --deploy"; $(AS_PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py openapi --check
	$(BIN)/python -m tests.no_secrets

# Needs the network, and says so where there is none: what could not be looked up is a failure.
audit: dev-packages ## known weaknesses of the packages, by the lock files
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements.lock
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements-dev.lock

# --- packages: installed again only when the lock file changed --------------------------------

packages: venv
	@$(call install,requirements.lock)

dev-packages: venv
	@$(call install,requirements-dev.lock)

# $(1): a lock file. Its copy in the venv says that it is installed; `.installing` that it was interrupted.
define install
	cmp -s $(1) $(VENV)/$(1) && exit 0; \
	echo "Installing $(1) ..."; \
	touch $(VENV)/.installing && \
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --no-deps --require-hashes -r $(1) && \
	cp requirements.lock $(VENV)/requirements.lock && cp $(1) $(VENV)/$(1) && \
	rm $(VENV)/.installing
endef

# Made anew when it is missing, was interrupted half-way, or its Python is gone or too old.
venv:
	@if test -e $(VENV)/.installing || \
		! $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
			{ echo "Python 3.11 or later is needed, and $(PYTHON) is not: make PYTHON=/path/to/python3.12 ..."; exit 1; }; \
		echo "Making $(VENV) ..."; \
		rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); \
	fi

# --- housekeeping -----------------------------------------------------------------------------

UV_VERSION := 0.13.9
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url

lock: ## resolve requirements*.txt into the lock files
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && \
	$(PYTHON) -m venv "$$tools" && "$$tools/bin/pip" install --quiet uv==$(UV_VERSION) && \
	"$$tools/bin/"$(COMPILE) requirements.txt -o requirements.lock && \
	"$$tools/bin/"$(COMPILE) -c requirements.lock requirements-dev.txt -o requirements-dev.lock

LOCK_FREE = import fcntl, sys; [fcntl.flock(open(path), fcntl.LOCK_EX | fcntl.LOCK_NB) for path in sys.argv[1:]]

clean: ## remove .venv, var (the embedded data!) and caches
	@for lock in var/run/run.lock var/run/users.lock; do \
		test ! -e $$lock || $(PYTHON) -c '$(LOCK_FREE)' $$lock 2>/dev/null || \
			{ echo "It is running on var/: end it first."; exit 1; }; \
	done
	rm -rf $(VENV) var .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache htmlcov .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
