# streamcli: a person's chat, or a team's server. See docker-compose.yml. For x86_64 and arm64.
# requirements.txt has the extra `server`.
FROM python:3.11-slim-bookworm
RUN useradd --create-home streamcli
WORKDIR /src
COPY requirements.txt pyproject.toml README.md LICENSE ./
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.txt
COPY streamcli streamcli
RUN pip install --no-cache-dir --no-deps --no-build-isolation --no-index .
USER streamcli
# Made here so that a volume mounted on one of them, or on .local, belongs to the user.
RUN mkdir -p -m 700 /home/streamcli/.local/share/streamcli /home/streamcli/.local/state/streamcli
# The server's jars, so that a container starts without a network. A mirror: --build-arg STREAMCLI_MAVEN_URL=...
ARG STREAMCLI_MAVEN_URL
RUN python -c "import sys; from streamcli.java import jars, progress; jars.ensure_jars(progress.Lines(sys.stderr))"
WORKDIR /home/streamcli
ENTRYPOINT ["streamcli"]
