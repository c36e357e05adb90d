"""Server-sent events: what changes is told to every open page."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

from pydantic import BaseModel

_MAX_WAITING = 500
_HEARTBEAT_SECONDS = 15.0


class EventHub:
    """Hands events from any thread to every listener."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Queue[bytes], asyncio.AbstractEventLoop] = {}
        self._lock = threading.Lock()

    def publish(self, name: str, record: BaseModel) -> None:
        """Send an event; a listener that is too slow misses some."""
        message = f"event: {name}\ndata: {record.model_dump_json(by_alias=True)}\n\n".encode()
        with self._lock:
            listeners = list(self._listeners.items())
        for queue, loop in listeners:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_put, queue, message)

    async def listen(self) -> AsyncIterator[bytes]:
        """The events from now on, as bytes of the stream; ``ready`` is the first."""
        queue: asyncio.Queue[bytes] = asyncio.Queue(_MAX_WAITING)
        with self._lock:
            self._listeners[queue] = asyncio.get_running_loop()
        try:
            yield b"retry: 1000\nevent: ready\ndata: {}\n\n"
            while True:
                try:
                    yield await asyncio.wait_for(queue.get(), _HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield b": \n\n"
        finally:
            with self._lock:
                del self._listeners[queue]


def _put(queue: asyncio.Queue[bytes], message: bytes) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(message)
