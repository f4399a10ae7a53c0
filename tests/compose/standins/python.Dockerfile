# Stands in for python:…-slim-bookworm, which has the same Python on the same Debian.
FROM stand-in/debian:bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/* /usr/lib/python3*/EXTERNALLY-MANAGED \
    && ln -s python3 /usr/bin/python
ENV LANG=C.UTF-8
CMD ["python"]
