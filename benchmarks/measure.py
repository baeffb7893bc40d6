"""Runs a process against a sandbox for some seconds, and counts its lines, bytes, processor time and memory."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

_BLOCK = 1 << 20
_SAMPLE_SECONDS = 0.25
_MEGABYTE = 1e6


@dataclass
class Counter:
    """Counts lines and bytes of a stream."""

    lines: int = 0
    size: int = 0

    def drain(self, stream: IO[bytes]) -> None:
        # Into one block: whoever counts must not take the processor from who is measured.
        block = bytearray(_BLOCK)
        while read := os.readv(stream.fileno(), [block]):
            self.lines += block.count(b"\n", 0, read)
            self.size += read


@dataclass
class Usage:
    """Processor seconds and peak memory (megabytes) of a process and its children, as last seen alive.

    Memory that several of them share counts once (their proportional sets).
    """

    process: psutil.Process
    cpu: float = 0.0
    peak: float = 0.0
    _ended: dict[int, float] = field(default_factory=dict)

    def sample(self) -> None:
        memory = 0.0
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in (self.process, *self.process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess), process.oneshot():
                    times = process.cpu_times()
                    self._ended[process.pid] = times.user + times.system
                    memory += process.memory_full_info().pss / _MEGABYTE
        self.cpu = sum(self._ended.values())
        self.peak = max(self.peak, memory)


@dataclass(frozen=True)
class Measured:
    """What one run came to. ``rows`` are lines of output: of a tap's, a few in a thousand are STATE and SCHEMA."""

    rows: int
    size: int
    seconds: float
    memory: float
    cpu: float
    server_cpu: float

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


@contextlib.contextmanager
def sandbox(
    *, events: int, profiles: int, latency: float, limits: bool, procedural: bool = True
) -> Iterator[tuple[str, psutil.Process]]:
    """An account in a process of its own: its address, and the process."""
    command = [sys.executable, "-m", "klaviyo_sandbox", "--port", "0"]
    command += ["--events", str(events), "--profiles", str(profiles), "--latency", str(latency)]
    command += [*(["--procedural"] if procedural else []), *([] if limits else ["--no-limits"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise RuntimeError("the sandbox did not start")
            yield line.split()[4], psutil.Process(process.pid)
        finally:
            # Not asked to leave: it would wait for answers that nobody waits for.
            process.kill()


def run(
    command: Sequence[str],
    server: psutil.Process,
    seconds: float,
    log: IO[bytes],
    *,
    source: Path | None = None,
    environment: Mapping[str, str] | None = None,
    gently: bool = False,
) -> Measured:
    """Run a process until it ends or the seconds are over, from its start on.

    Args:
        command: what to run.
        server: the sandbox that it talks to.
        seconds: how long it may run.
        log: where its errors go.
        source: what it reads.
        environment: its variables; None: ours.
        gently: ask it to stop when the seconds are over, and wait until it has; otherwise it is killed.

    Raises:
        RuntimeError: it failed; its log says why.
    """
    counter, before = Counter(), Usage(server)
    before.sample()
    began = time.monotonic()
    with (
        contextlib.nullcontext() if source is None else source.open("rb") as lines,
        subprocess.Popen(command, stdin=lines, stdout=subprocess.PIPE, stderr=log, env=environment) as process,
    ):
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        thread = threading.Thread(target=counter.drain, args=(process.stdout,))
        thread.start()
        usage = Usage(psutil.Process(process.pid))
        _sample_until(process, usage, began + seconds)
        finished = process.poll() is not None
        if gently and not finished:
            process.terminate()
            _sample_until(process, usage, float("inf"))
        took = time.monotonic() - began
        rows, size = counter.lines, counter.size
        after = Usage(server)
        after.sample()
        process.kill()
        thread.join()
    if finished:
        rows, size = counter.lines, counter.size
    if finished and process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return Measured(rows, size, took, usage.peak, usage.cpu, after.cpu - before.cpu)


def _sample_until(process: subprocess.Popen[bytes], usage: Usage, moment: float) -> None:
    """Sample a process until it ends, or until this moment of the monotonic clock."""
    while process.poll() is None and time.monotonic() < moment:
        usage.sample()
        time.sleep(_SAMPLE_SECONDS)
