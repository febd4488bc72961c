# The tag moves whenever Debian or Python is patched; `docker build --pull` takes the newest. To build
# the same again, name the image by its digest:
#   docker build --build-arg PYTHON_IMAGE=python:3.13-slim-trixie@sha256:… .
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /app

# Before the code, so that a change of code alone installs no package again. Wheels only: there is
# no compiler here. The bytecode holds whatever becomes of the files' times, since nobody can write
# it anew later on.
COPY requirements/runtime.txt requirements/
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-compile --only-binary :all: \
        --require-hashes -r requirements/runtime.txt \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/venv

# What .dockerignore lets in. It is installed where it lies, as app/ finds alembic/ beside it, and
# made readable for all, as a clone under a strict umask is not.
COPY . .
RUN pip --python /opt/venv/bin/python install --no-deps --no-build-isolation -e . \
    && python -m compileall -q --invalidation-mode unchecked-hash . \
    && chmod -R a+rX .

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/venv/bin:$PATH \
    GATEHOUSE_DATA_DIR=/data \
    GATEHOUSE_HOST=0.0.0.0 \
    GATEHOUSE_PORT=8000 \
    GATEHOUSE_LOG_FORMAT=json
# A new volume takes owner and mode from here.
RUN install -d -o 10001 -g 10001 -m 0700 /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app

WORKDIR /app
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# /health/live, not /health/ready: some supervisors start an unhealthy container again, which mends a
# process that hangs but not a store that does not answer. It answers only after the migration. Not
# by urllib, which would ask a proxy that HTTP_PROXY names.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --start-interval=1s \
    CMD ["python", "-I", "-c", "import http.client, os; \
        gateway = http.client.HTTPConnection('127.0.0.1:' + os.environ['GATEHOUSE_PORT'], timeout=4); \
        gateway.request('GET', '/health/live'); \
        raise SystemExit(gateway.getresponse().status != 200)"]
ENTRYPOINT ["gatehouse"]
CMD ["serve"]

LABEL org.opencontainers.image.title="Gatehouse" \
    org.opencontainers.image.description="One directory of people behind two doors: JSON-RPC and REST" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="Apache-2.0"
