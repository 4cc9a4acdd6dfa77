"""A server that lists threads, written for ``openai-chatkit`` 1.6.5; prints its port. Run by either package."""

import asyncio
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from chatkit.server import ChatKitServer
from chatkit.store import Store
from chatkit.types import Page


class Listing(Store[Any]):
    async def load_threads(self, limit: int, after: Any, order: str, context: Any) -> Page[Any]:
        return Page(data=[], has_more=False, after=None)


class Answering(ChatKitServer[Any]):
    async def respond(self, thread: Any, input_user_message: Any, context: Any) -> Any:
        return
        yield

    async def transcribe(self, audio_input: Any, context: Any) -> Any:
        raise NotImplementedError


class Endpoint(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer: Any = asyncio.run(server.process(body, {}))
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer.json)))
        self.end_headers()
        self.wfile.write(answer.json)

    def log_message(self, format: str, *args: Any) -> None:
        pass


Listing.__abstractmethods__ = frozenset()
server = Answering(Listing())  # type: ignore[abstract]
with HTTPServer(("127.0.0.1", 0), Endpoint) as listener:
    sys.stdout.write(f"{listener.server_port}\n")
    sys.stdout.flush()
    listener.serve_forever()
