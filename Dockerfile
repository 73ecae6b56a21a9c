# streamcli alone, without a server: see docker-compose.yml. For x86_64 and arm64. requirements.txt has the extra `server`.
FROM python:3.11-slim-bookworm
RUN useradd --create-home streamcli
WORKDIR /src
COPY requirements.txt pyproject.toml README.md LICENSE ./
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.txt
COPY streamcli streamcli
RUN pip install --no-cache-dir --no-deps --no-build-isolation --no-index .
USER streamcli
# Made here so that a volume mounted on it belongs to the user.
RUN mkdir -p -m 700 /home/streamcli/.local/state/streamcli
WORKDIR /home/streamcli
ENTRYPOINT ["streamcli"]
