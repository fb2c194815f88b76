"""The HTTP protocol of the server: uvicorn's, with an end to how long and how slow a head may be.

Here: what happens before there is a request, where no layer of the application can look. Not here:
heads that arrive whole (`edge` refuses large ones with a problem document), bodies and answers
(`edge`).

uvicorn bounds neither the bytes nor the time of a head, so that anybody could fill the memory of
the service, or hold its connections, without a key.
"""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 2_000_000
"""What arrives before the end of a head; several times what the layer behind accepts, since a read
may hold the end of the body before."""


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    head_seconds: ClassVar[float] = 30.0
    """A new connection, and a head that has begun, have so long until the head is whole."""

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - uvicorn's own arguments
        """Begin as uvicorn does, before the first head."""
        super().__init__(*given, **named)
        self._in_head = True
        self._head_bytes = 0
        self._deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Wait for a head."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self.head_seconds, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Read on, and refuse a head without end."""
        super().data_received(data)
        if not self._in_head:
            if self._deadline is not None:
                self._stop_waiting()
            return
        if self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response(f"Address and headers may have {MAX_HEAD_BYTES} bytes.")
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self._give_up)

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.send_400_response(
                f"Address and headers must arrive within {self.head_seconds:g} s."
            )

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
