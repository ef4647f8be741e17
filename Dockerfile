# wisen with all it needs: Chromium for web tasks, bubblewrap for code tasks, CPU torch, pg_dump for backups.
# Debian's own Python, because the sandbox runs /usr/bin/python3.
FROM debian:12.11-slim

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      bubblewrap ca-certificates chromium-headless-shell fonts-dejavu-core postgresql-client-15 python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

RUN python3 -m venv /opt/wisen && /opt/wisen/bin/pip install --no-cache-dir --upgrade "pip>=25"
ENV PATH=/opt/wisen/bin:$PATH

# The large layers first: they change with the lock, and not with every line of code.
COPY requirements.lock /tmp/
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch==2.13.0
RUN pip install --no-cache-dir --require-hashes --no-deps -r /tmp/requirements.lock

COPY . /tmp/source
RUN pip install --no-cache-dir --no-deps --no-build-isolation /tmp/source && rm -rf /tmp/source

RUN useradd --create-home --uid 10001 wisen && install -d -o wisen -g wisen /home/wisen/work
USER wisen
WORKDIR /home/wisen/work
VOLUME /home/wisen/work
ENTRYPOINT ["wisen"]
CMD ["doctor"]
