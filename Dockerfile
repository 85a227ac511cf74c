# The service as an image: one virtual environment from hashed pins, no compiler, no pip, no root.
#   docker build -t remediator .
# Pin the base by digest where you build: --build-arg PYTHON_IMAGE=python:3.12-slim-trixie@sha256:...
ARG PYTHON_IMAGE=python:3.12-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# The pins before the code, so that a change of the code finds them in the build cache. --only-binary: nothing is compiled.
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python -m pip install --require-hashes --only-binary=:all: -r requirements/build.txt
RUN python -m venv --without-pip /opt/remediator
RUN python -m pip --python /opt/remediator/bin/python install --require-hashes --only-binary=:all: -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY remediator/ remediator/
COPY playbooks/ playbooks/
RUN python -m pip wheel --no-index --no-deps --no-build-isolation --wheel-dir dist .
RUN python -m pip --python /opt/remediator/bin/python install --no-index --no-deps --find-links dist remediator

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="remediator" \
      org.opencontainers.image.description="Receives Alertmanager webhooks and runs remediation playbooks on Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/remediator /opt/remediator
# The starter set (it only observes) and the commented example configuration.
COPY playbooks/ /usr/share/remediator/playbooks/
COPY config/ /usr/share/remediator/config/
# The only place besides /tmp that is written; everything else may be mounted read-only.
RUN install -d -m 0750 -o 65532 -g 65532 /var/lib/remediator
# HOME: uid 65532 has no entry in /etc/passwd, and kubernetes-asyncio asks for a home directory when it is imported.
ENV PATH=/opt/remediator/bin:$PATH HOME=/var/lib/remediator PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /var/lib/remediator
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 8080
# Kubernetes has probes of its own: /-/healthy and /-/ready.
HEALTHCHECK NONE
ENTRYPOINT ["remediator"]
CMD ["serve", "--config", "/etc/remediator/config/remediator.yaml"]
