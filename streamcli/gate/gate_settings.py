"""What the gate remembers of the last invitation: the port, further host names, and which stream it is for."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

from streamcli.errors import FileTrouble
from streamcli.model.address import Stream
from streamcli.system import private_files
from streamcli.system.paths import ensure_dir, gate_dir

DEFAULT_PORT: Final = 4483
SETTINGS: Final = "gate.json"


@dataclass(frozen=True)
class GateSettings:
    """The owner's name, the stream, the port, and host names that the owner has given.

    The gate also listens on ``earlier_ports``, so that guests find it who know one of these, and are told the new one.
    """

    owner: str
    scope: str
    stream: str
    port: int = DEFAULT_PORT
    hosts: tuple[str, ...] = ()
    earlier_ports: tuple[int, ...] = ()

    @property
    def full_stream(self) -> Stream:
        """The stream that guests are let into."""
        return Stream(self.scope, self.stream)


def read_settings() -> GateSettings | None:
    """Return the settings; None if nobody was ever invited. Raises FileTrouble if they can't be used."""
    path = gate_dir() / SETTINGS
    try:
        fields = json.loads(path.read_bytes())
        lists = {name: tuple(fields[name]) for name in ("hosts", "earlier_ports")}
        return GateSettings(**{**fields, **lists})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FileTrouble(f"{path} can't be used ({error}). Remove it and invite once more.") from error


def write_settings(settings: GateSettings) -> None:
    """Replace the settings. Raises CannotCreate or FileTrouble."""
    private_files.write(ensure_dir(gate_dir()) / SETTINGS, json.dumps(asdict(settings), indent=1))
