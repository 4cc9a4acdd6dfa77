"""The application: one endpoint for the protocol, for users with a token, and for pages of another origin."""

import os
from typing import Annotated

from accounts import user_of
from assistant import Assistant, Context
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import Response, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from file_store import BucketFileStore
from store import SQLiteStore

from chatkit.server import StreamingResult
from chatkit.web import install_error_handlers, server_lifespan

bucket = os.environ.get("S3_BUCKET")
server = Assistant(SQLiteStore(), BucketFileStore(bucket) if bucket else None)

app = FastAPI(lifespan=server_lifespan(server))
install_error_handlers(app)
app.add_middleware(
    CORSMiddleware,
    allow_origins=["http://localhost:5173"],
    allow_methods=["POST"],
    allow_headers=["*"],
)


async def signed_in(sent: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> Context:
    """Returns the context of a request: the user that the token names."""
    user = user_of(sent.credentials)
    if user is None:
        raise HTTPException(401, "The token is not valid.")
    return {"user_id": user}


@app.post("/chatkit")
async def chatkit(request: Request, context: Annotated[Context, Depends(signed_in)]) -> Response:
    """Speaks the protocol."""
    result = await server.process(await request.body(), context)
    if isinstance(result, StreamingResult):
        headers = {"Cache-Control": "no-cache"}
        return StreamingResponse(result, media_type="text/event-stream", headers=headers)
    return Response(result.json, media_type="application/json")


@app.get("/health")
async def health() -> dict[str, str]:
    """Answers a load balancer."""
    return {"status": "ok"}
