"""Changes streams with the Java client, in a process of its own: scales them, cuts their heads off, deletes them.

Run as a program it obeys lines of JSON on standard input; :class:`Admin` is the test's side of that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from streamcli.java.client import client_runtime
from streamcli.java.progress import Quiet
from streamcli.log.java.client import Manager, java, start_jvm
from streamcli.model.address import parse_url

SCOPE = "scope"


class Admin:
    """Changes streams of a server that asks for no account."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.java_admin", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Admin:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def make(self, stream: str, segments: int) -> None:
        """Create a stream, without a tag."""
        self._ask("make", stream=stream, segments=segments)

    def scale(self, stream: str, segments: list[int], ranges: list[float]) -> None:
        """Replace ``segments`` by new ones that share the keys between each two neighbours of ``ranges``."""
        self._ask("scale", stream=stream, segments=segments, ranges=ranges)

    def truncate(self, stream: str, offsets: dict[int, int]) -> None:
        """Cut off all before a stream cut."""
        self._ask("truncate", stream=stream, offsets=offsets)

    def current(self, stream: str) -> list[int]:
        """The segments that are written to now, in the order of their keys."""
        return [int(number) for number in self._ask("current", stream=stream)]

    def append_bytes(self, stream: str, data: str) -> None:
        """Append bytes that are no events to a stream of one segment."""
        self._ask("bytes", stream=stream, data=data)

    def seal(self, stream: str) -> None:
        """Seal a stream."""
        self._ask("seal", stream=stream)

    def delete(self, stream: str) -> None:
        """Delete a sealed stream."""
        self._ask("delete", stream=stream)

    def _ask(self, what: str, **fields: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"do": what, **fields}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the admin died at {what!r}"
        return json.loads(answer)


def _do(manager: Manager, order: dict[str, Any]) -> Any:
    name, controller, answer = order["stream"], manager.controller, True
    client = "io.pravega.client.stream"
    stream = java(f"{client}.impl.StreamImpl")(SCOPE, name)
    if order["do"] == "make":
        policy = java(f"{client}.ScalingPolicy").fixed(order["segments"])
        controller.createScope(SCOPE).get()
        config = java(f"{client}.StreamConfiguration").builder().scalingPolicy(policy).build()
        controller.createStream(SCOPE, name, config).get()
    elif order["do"] == "scale":
        long, double = java("java.lang.Long"), java("java.lang.Double")
        old = java("java.util.Arrays").asList(*map(long.valueOf, order["segments"]))
        new = java("java.util.HashMap")()
        for low, high in zip(order["ranges"], order["ranges"][1:], strict=False):
            new.put(double.valueOf(low), double.valueOf(high))
        done = controller.scaleStream(stream, old, new, manager.pool.getInternalExecutor()).getFuture().get()
        assert done, "it is not scaled"
    elif order["do"] == "truncate":
        cut = java("java.util.HashMap")()
        for number, offset in order["offsets"].items():
            segment = java("io.pravega.client.segment.impl.Segment")(SCOPE, name, int(number))
            cut.put(segment, java("java.lang.Long").valueOf(offset))
        controller.truncateStream(SCOPE, name, java(f"{client}.impl.StreamCutImpl")(stream, cut)).get()
    elif order["do"] == "current":
        ranges = controller.getCurrentSegments(SCOPE, name).get()
        found = sorted(ranges.getSegments(), key=lambda segment: int(segment.getSegmentId()))
        return [int(segment.getSegmentId()) for segment in found]
    elif order["do"] == "bytes":
        bytes_ = java("io.pravega.client.ByteStreamClientFactory").withScope(SCOPE, manager.config)
        writer = bytes_.createByteStreamWriter(name)
        writer.write(java("java.nio.ByteBuffer").wrap(java("java.lang.String")(order["data"]).getBytes()))
        writer.close()
    elif order["do"] == "seal":
        controller.sealStream(SCOPE, name).get()
    elif order["do"] == "delete":
        controller.deleteStream(SCOPE, name).get()
    return answer


def main(url: str) -> None:
    """Obey."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    runtime = client_runtime(Quiet())
    start_jvm(str(runtime.jvm), runtime.flags, runtime.classpath)
    manager = Manager(parse_url(url))
    for line in sys.stdin:
        answers.write(json.dumps(_do(manager, json.loads(line))) + "\n")
        answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
