# The image of fluxbase-cli. docs/operators/container.md says how to build it and how to run it.
#
#   docker build --target cli .       the tool (also without --target)
#   docker build --target daemon .    `rotation daemon`, with a health check
#   docker build --target kubectl .   the tool and kubectl, to stop and start a server in a cluster
#   docker build --target docker .    the tool and Docker's command line, to stop and start a server on this machine
#
# Python packages have exact versions and digests: packaging/image.txt and packaging/build.txt, made by `make lock`.
ARG PYTHON=docker.io/library/python:3.13.15-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285

# --- The wheel, and an environment with what it needs. -----------------------------------------------------------------
FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ONLY_BINARY=:all: PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY packaging/build.txt packaging/image.txt packaging/
RUN python -m venv /build && /build/bin/pip install --require-hashes -r packaging/build.txt
# Without pip: nothing is ever installed into it later.
RUN python -m venv --without-pip /opt/fluxbase-cli \
    && python -m pip --python /opt/fluxbase-cli/bin/python install --require-hashes -r packaging/image.txt
COPY packaging/hatch_build.py packaging/man_pages.py packaging/
COPY pyproject.toml README.md LICENSE ./
COPY fluxbase_cli fluxbase_cli
# The dates of files in the wheel. So the same source makes the same wheel.
ARG SOURCE_DATE_EPOCH=1577836800
RUN /build/bin/python -m build --wheel --no-isolation --outdir /dist . \
    && python -m pip --python /opt/fluxbase-cli/bin/python install --no-index --no-deps /dist/*.whl \
    # Nobody can write compiled files into the finished image. These need no date of their source.
    && /opt/fluxbase-cli/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/fluxbase-cli/lib

# --- What all images have. It runs no shell. ---------------------------------------------------------------------------
FROM ${PYTHON} AS base
RUN groupadd --gid 65532 fluxbase-cli \
    && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin fluxbase-cli
COPY --from=build /opt/fluxbase-cli /opt/fluxbase-cli
ENV PATH=/opt/fluxbase-cli/bin:$PATH PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8
# fluxbase.yaml is looked for here. Mount it here, or name it with FLUXBASE_CLI_CONFIG.
WORKDIR /etc/fluxbase
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="fluxbase-cli" \
      org.opencontainers.image.description="Change the key that seals the secrets of a Fluxbase database" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13.15-slim-trixie" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# A number, so that Kubernetes sees that it is not root.
USER 65532:65532
STOPSIGNAL SIGTERM
# The first process of a container gets the processes that others left behind. dumb-init collects them, and passes
# signals on to the tool alone: the tool decides itself what becomes of the processes that it started.
ENTRYPOINT ["dumb-init", "--single-child", "--", "fluxbase-cli"]
CMD ["--help"]

# --- With programs that stop and start a server. -----------------------------------------------------------------------
FROM base AS kubectl
COPY --from=registry.k8s.io/kubectl:v1.33.12 /bin/kubectl /usr/local/bin/kubectl

FROM base AS docker
COPY --from=docker.io/library/docker:28-cli /usr/local/bin/docker /usr/local/bin/docker
COPY --from=docker.io/library/docker:28-cli \
     /usr/local/libexec/docker/cli-plugins/docker-compose /usr/local/libexec/docker/cli-plugins/docker-compose

# --- The daemon. -------------------------------------------------------------------------------------------------------
FROM base AS daemon
ENV FLUXBASE_CLI_LISTEN=0.0.0.0:9821
EXPOSE 9821
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["fluxbase-cli", "rotation", "health"]
CMD ["rotation", "daemon"]

# --- The tool. ---------------------------------------------------------------------------------------------------------
FROM base AS cli
