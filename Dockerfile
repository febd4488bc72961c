# The tag moves with patches of Debian and Python; `docker build --pull` uses the newest. For a
# reproducible build, name the image by its digest:
#   docker build --build-arg PYTHON_IMAGE=python:3.13-slim-trixie@sha256:… .
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# Before the code, so that a change of the code does not reinstall the packages. Only wheels, since the
# image has no compiler. The bytecode does not depend on file times, because the user of the container
# cannot rewrite it.
COPY requirements/runtime.txt requirements/
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-compile --only-binary :all: \
        --require-hashes -r requirements/runtime.txt \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/venv

# Limited by .dockerignore.
COPY . .
RUN pip --python /opt/venv/bin/python install --no-compile --no-deps --no-build-isolation . \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib/python3*/site-packages/app

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/venv/bin:$PATH \
    GATEHOUSE_DATA_DIR=/data \
    GATEHOUSE_HOST=0.0.0.0 \
    GATEHOUSE_PORT=8000 \
    GATEHOUSE_LOG_FORMAT=json
# A new volume inherits owner and mode.
RUN install -d -o 10001 -g 10001 -m 0700 /data
COPY --from=build /opt/venv /opt/venv

USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# /health/live, not /health/ready: some supervisors restart an unhealthy container, which repairs a
# process that hangs but not an unavailable database. It responds only after the migration. urllib
# would use the proxy in HTTP_PROXY.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --start-interval=1s \
    CMD ["python", "-I", "-c", "import http.client, os; \
        gateway = http.client.HTTPConnection('127.0.0.1:' + os.environ['GATEHOUSE_PORT'], timeout=4); \
        gateway.request('GET', '/health/live'); \
        raise SystemExit(gateway.getresponse().status != 200)"]
ENTRYPOINT ["gatehouse"]
CMD ["serve"]

# `make release` adds version and revision.
LABEL org.opencontainers.image.title="Gatehouse" \
    org.opencontainers.image.description="One user directory with two doors: JSON-RPC and REST" \
    org.opencontainers.image.licenses="Apache-2.0"
