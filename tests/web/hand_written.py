"""The endpoints that the reference shows for FastAPI, as written there, around a server that is given."""

# No postponed annotations: FastAPI looks the names of annotations up in the module.
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import Response, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from chatkit.server import ChatKitServer, StreamingResult


def make_app(server: ChatKitServer[Any], *, lifespan: Callable[..., Any] | None = None) -> FastAPI:
    app = FastAPI(lifespan=lifespan)

    # CORS for local development
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["http://localhost:5173"],
        allow_credentials=True,
        allow_methods=["*"],
        allow_headers=["*"],
    )

    @app.post("/chatkit")
    async def chatkit_endpoint(request: Request):
        # Extract context from headers
        context = {
            "headers": dict(request.headers),
            "user_id": request.headers.get("x-user-id"),
        }

        result = await server.process(await request.body(), context=context)

        if isinstance(result, StreamingResult):
            return StreamingResponse(
                result,
                media_type="text/event-stream",
                headers={
                    "Cache-Control": "no-cache",
                    "Connection": "keep-alive",
                },
            )
        return Response(content=result.json, media_type="application/json")

    @app.get("/health")
    async def health():
        return {"status": "ok"}

    return app


@dataclass
class User:
    id: str
    email: str


async def verify_jwt(token: str) -> User | None:
    name = token.removeprefix("token-of-")
    return None if name == token else User(name, f"{name}@example.com")


security = HTTPBearer()


async def verify_token(credentials: HTTPAuthorizationCredentials = Depends(security)):  # noqa: B008 -- as the reference has it
    token = credentials.credentials
    # Verify JWT or session token
    user = await verify_jwt(token)
    if not user:
        raise HTTPException(status_code=401, detail="Invalid token")
    return user


def make_app_with_bearer(
    server: ChatKitServer[Any], *, lifespan: Callable[..., Any] | None = None
) -> FastAPI:
    app = FastAPI(lifespan=lifespan)

    @app.post("/chatkit")
    async def chatkit_endpoint(request: Request, user=Depends(verify_token)):  # noqa: B008 -- as the reference has it
        context = {
            "user_id": user.id,
            "user_email": user.email,
        }
        result = await server.process(await request.body(), context=context)
        if isinstance(result, StreamingResult):
            return StreamingResponse(result, media_type="text/event-stream")
        return Response(content=result.json, media_type="application/json")

    return app
