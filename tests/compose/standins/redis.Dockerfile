# Stands in for redis:…-bookworm, as far as docker-compose.yaml uses it: the server, its client, the user, /data.
FROM stand-in/debian:bookworm
RUN groupadd --system --gid 999 redis && useradd --system --uid 999 --gid redis --no-create-home redis \
    && apt-get update \
    && apt-get install --yes --no-install-recommends redis-server \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=redis --group=redis /data
VOLUME /data
WORKDIR /data
CMD ["redis-server"]
