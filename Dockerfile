# syntax=docker/dockerfile:1
# One image for every program: `docker run zinzino serve web|worker|beat|...`, or any other command of manage.py.

# The version that the tests run on.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
COPY requirements.lock /tmp/requirements.lock
# Everything is in the lock file with its hash: nothing else is taken, and nothing is resolved here.
RUN /opt/venv/bin/pip install --quiet --no-deps --require-hashes -r /tmp/requirements.lock \
    && /opt/venv/bin/python -m compileall -q /opt/venv

FROM python:${PYTHON}
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    DATA_DIR=/data \
    STATIC_DIR=/srv/static
# The root file system may be read-only: what is written goes to /data (a volume) and /tmp.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin zinzino \
    && install -d -o zinzino -g zinzino -m 700 /data
WORKDIR /srv/zinzino
COPY --from=packages /opt/venv /opt/venv
COPY manage.py ./
COPY locale locale
COPY zinzino zinzino
COPY accounts accounts
COPY devices devices
COPY notifications notifications
COPY telemetry telemetry
COPY analytics analytics
COPY syncapi syncapi
COPY backoffice backoffice
# The files of the admin. The settings want a production environment to be whole; nothing of this one is kept.
RUN python -m compileall -q . \
    && ENVIRONMENT=production SECRET_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(48))')" \
       JWT_SIGNING_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(48))')" \
       DATABASE_URL=postgres://build@localhost/build REDIS_URL=redis://localhost/0 TRUSTED_PROXY_COUNT=0 \
       DATA_DIR=/tmp/build python manage.py collectstatic --no-input --verbosity 0 \
    && rm -rf /tmp/build
USER 10001:10001
VOLUME /data
EXPOSE 3000
STOPSIGNAL SIGTERM
# Of `serve web`; other programs bring their own, or none.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '3000') + '/health/live', timeout=2)"]
ENTRYPOINT ["python", "manage.py"]
CMD ["serve", "web"]
