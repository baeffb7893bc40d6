# The tap, the target and klaviyo-audience; with `--target sandbox` the sandbox alone.
#   docker build -t klaviyo .
#   docker run --rm klaviyo tap-klaviyo --help
#   docker build -t klaviyo-sandbox --target sandbox .
#   docker run --rm -p 8765:8765 klaviyo-sandbox
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS tools
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY pyproject.toml requirements.lock ./
COPY scripts/locked.py scripts/long_description.py scripts/
COPY klaviyo_sandbox/pyproject.toml klaviyo_sandbox/
RUN python scripts/locked.py --only-build > build.txt \
 && pip install --quiet --require-hashes --requirement build.txt \
 && python -m venv --without-pip /opt/klaviyo

# What others publish comes before our own files, so that a change of ours does not fetch it again.
FROM tools AS plugins-built
RUN python scripts/locked.py audience --without pytest > needed.txt \
 && pip --python /opt/klaviyo/bin/python install --quiet --only-binary :all: --require-hashes --requirement needed.txt
COPY README.md LICENSE ./
COPY schemas schemas
COPY klaviyo_client klaviyo_client
COPY tap_klaviyo tap_klaviyo
COPY target_klaviyo target_klaviyo
COPY klaviyo_audience klaviyo_audience
RUN pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels . \
 && pip --python /opt/klaviyo/bin/python install --quiet --no-deps --no-index wheels/*.whl

FROM tools AS sandbox-built
RUN python scripts/locked.py --project klaviyo_sandbox > needed.txt \
 && pip --python /opt/klaviyo/bin/python install --quiet --only-binary :all: --require-hashes --requirement needed.txt
COPY klaviyo_sandbox klaviyo_sandbox
RUN pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels ./klaviyo_sandbox \
 && pip --python /opt/klaviyo/bin/python install --quiet --no-deps --no-index wheels/*.whl

FROM ${BASE} AS sandbox
COPY --from=sandbox-built /opt/klaviyo /opt/klaviyo
ENV PATH=/opt/klaviyo/bin:$PATH
WORKDIR /data
RUN chown 10001:10001 /data
USER 10001:10001
EXPOSE 8765
# Outside a container the sandbox listens on this machine only; in one, that would be nobody.
ENTRYPOINT ["klaviyo-sandbox", "--host", "0.0.0.0"]

FROM ${BASE} AS plugins
COPY --from=plugins-built /opt/klaviyo /opt/klaviyo
# Whoever is named by `docker run --user` has no home of their own here.
ENV PATH=/opt/klaviyo/bin:$PATH HOME=/tmp
WORKDIR /work
RUN chown 10001:10001 /work
USER 10001:10001
CMD ["sh", "-c", "echo 'Name a command: tap-klaviyo, target-klaviyo or klaviyo-audience.' >&2; exit 2"]
