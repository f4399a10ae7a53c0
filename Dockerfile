# Airflow with this provider, and nothing that requirements/stack.txt does not lock: every service of
# docker-compose.yaml that is ours runs from this one image.
#
# The base is pinned by version. To pin its bytes as well, append the digest that
# `docker buildx imagetools inspect python:3.11.13-slim-bookworm` prints: python:3.11.13-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/venv
WORKDIR /src
COPY requirements/stack.txt requirements/stack.txt
RUN /opt/venv/bin/pip install --quiet --no-deps --require-hashes -r requirements/stack.txt
COPY pyproject.toml README.md LICENSE ./
COPY dev/long_description.py dev/
COPY airflow_provider_cio_cohort airflow_provider_cio_cohort
RUN /opt/venv/bin/pip install --quiet --no-deps --no-build-isolation . && /opt/venv/bin/pip check

FROM ${PYTHON_IMAGE}
# git and ssh: for DAG bundles from a repository.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 50000 --gid 0 --home-dir /opt/airflow --shell /usr/sbin/nologin airflow \
    # Volumes take their owner from here.
    && install --directory --owner=airflow --group=0 --mode=0775 \
        /opt/airflow /opt/airflow/dags /opt/airflow/logs /opt/airflow/snapshots
COPY --from=build /opt/venv /opt/venv
COPY dev /opt/stack/dev
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False
USER 50000:0
WORKDIR /opt/stack
CMD ["airflow", "version"]
