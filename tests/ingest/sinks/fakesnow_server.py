"""fakesnow's server, with a way to end what killed clients have left open.

Snowflake rolls back the transaction of a session that is gone once another one waits for it (after
five minutes). fakesnow keeps it for ever, so a test says when: POST /test/end-sessions.
Run by the interpreter that has fakesnow: fakesnow_server.py PORT.
"""

from __future__ import annotations

import contextlib
import importlib
import sys

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

# By its name: the package has a function of that name.
server = importlib.import_module("fakesnow.server")


def end_sessions(_request: Request) -> JSONResponse:
    for connection in server.sessions.values():
        with contextlib.suppress(Exception):
            connection._duck_conn.rollback()
    ended = len(server.sessions)
    server.sessions.clear()
    return JSONResponse({"ended": ended})


server.app.router.routes.append(Route("/test/end-sessions", end_sessions, methods=["POST"]))

if __name__ == "__main__":
    uvicorn.run(server.app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
