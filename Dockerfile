# The stock proxy with this plugin. `docker build .` gives the image to run, `--target test` one that runs the tests.
# `--build-arg DATABASE=true` adds what virtual keys need: Prisma's client and Node.js, for a Postgres named by DATABASE_URL.
ARG PYTHON=3.12
ARG DATABASE=false

FROM python:${PYTHON}-slim-bookworm AS packages
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /srv/stackspot
COPY requirements.lock .
RUN python -m venv /opt/venv \
  && /opt/venv/bin/python -m pip install --no-cache-dir --no-compile --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
ENV PATH=/opt/venv/bin:$PATH

# Its own stages, so that an image without a database has neither Node.js nor Prisma's engines.
FROM packages AS database-false
RUN mkdir -p /opt/prisma

FROM packages AS database-true
ENV PRISMA_BINARY_CACHE_DIR=/opt/prisma
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends nodejs npm openssl && rm -rf /var/lib/apt/lists/* \
  && prisma generate --schema="$(python -c 'import litellm_proxy_extras as at; print(at.__path__[0])')/schema.prisma" \
  && prisma --version

# hadolint ignore=DL3006
FROM database-${DATABASE} AS built
WORKDIR /srv/stackspot
COPY custom_handler custom_handler
COPY docs/errors.md custom_handler/templates/errors.md
# The base image has no bytecode, and a read-only file system takes none: without this each start compiles all again.
RUN python -m compileall -q --invalidation-mode unchecked-hash -x 'bad_|badsyntax|lib2to3/tests' /usr/local/lib/python3* /opt/venv custom_handler

FROM python:${PYTHON}-slim-bookworm AS test
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends chromium git make prometheus redis-server && rm -rf /var/lib/apt/lists/*
WORKDIR /srv/stackspot
COPY . .
RUN useradd --create-home --uid 10001 proxy && chown -R proxy:proxy .
USER 10001:10001
RUN make .venv/.test .venv-clients/.test
CMD ["bash", ".ci/run"]

FROM python:${PYTHON}-slim-bookworm AS runtime
ARG DATABASE
# hadolint ignore=DL3008
RUN if [ "$DATABASE" = true ]; then \
    apt-get update && apt-get install -y --no-install-recommends nodejs openssl && rm -rf /var/lib/apt/lists/*; fi \
  && useradd --no-create-home --home-dir /tmp --uid 10001 proxy \
  && install -d -o proxy -g proxy /srv/stackspot/jobs /srv/stackspot/runs
COPY --from=built /usr/local/lib /usr/local/lib
COPY --from=built /opt /opt
WORKDIR /srv/stackspot
COPY --from=built /srv/stackspot/custom_handler custom_handler
COPY config.yaml .
# Nothing is written but in /tmp and in the two volumes: the page of LiteLLM's own administration is laid out anew in /tmp.
ENV PATH=/opt/venv/bin:$PATH \
  KEEPALIVE_TIMEOUT=75 \
  LITELLM_LOCAL_MODEL_COST_MAP=True \
  REDIS_SOCKET_TIMEOUT=1 \
  REDIS_CIRCUIT_BREAKER_TIMEOUT_MIN_DURATION=1 \
  LITELLM_UI_PATH=/tmp/litellm-ui \
  LITELLM_MIGRATION_DIR=/tmp/litellm-migrations \
  PRISMA_BINARY_CACHE_DIR=/opt/prisma \
  PYTHONUNBUFFERED=1
VOLUME ["/srv/stackspot/jobs", "/srv/stackspot/runs"]
USER 10001:10001
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:4000/health/liveliness', timeout=4)"]
CMD ["litellm", "--config", "config.yaml", "--port", "4000"]
