"""Servers in threads that hang, count, and record."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager


class Listener:
    """Takes connections and hands each to `serve(connection)` in a thread of its own."""

    def __init__(self, serve) -> None:
        self._serve = serve
        self._open: list[socket.socket] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.connected = threading.Semaphore(0)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self._open.append(connection)
            self.connected.release()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)  # else the thread that accepts keeps it open
        for one in (self.socket, *self._open):
            one.close()


@contextmanager
def listening(serve=lambda connection: None):
    """Accepts connections; without `serve` it never answers them."""
    listener = Listener(serve)
    try:
        yield listener
    finally:
        listener.close()


def answering(body=b"{}", *, seen=None, head=b""):
    """Answers every request with 200; `seen` collects what came."""

    def serve(connection):
        with connection:
            while data := _read_request(connection):
                if seen is not None:
                    seen.append(data)
                length = str(len(body)).encode()
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                    + head + b"content-length: " + length + b"\r\n\r\n" + body
                )  # fmt: skip

    return serve


def _read_request(connection) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            part = connection.recv(65_536)
        except OSError:
            return b""
        if not part:
            return b""
        data += part
    return data
