"""The routes of files, `/v1/files`, which both APIs have.

A request with an `anthropic-version` header gets Anthropic's form, one without it OpenAI's; the files are the same.
"""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dragoman.server.files.handlers import FileHandlers
from dragoman.server.transport.versions import VERSION_HEADER, version_of


def file_routes(anthropic: FileHandlers, openai: FileHandlers) -> Sequence[Route]:
    """Return the routes of files, for the clients of both APIs."""

    def handlers(request: Request) -> FileHandlers:
        if VERSION_HEADER not in request.headers:
            return openai
        version_of(request.headers)
        return anthropic

    async def upload(request: Request) -> Response:
        return await handlers(request).upload(request)

    async def several(request: Request) -> Response:
        return await handlers(request).list(request)

    async def retrieve(request: Request) -> Response:
        return await handlers(request).retrieve(request)

    async def content(request: Request) -> Response:
        return await handlers(request).content(request)

    async def delete(request: Request) -> Response:
        return await handlers(request).delete(request)

    return [
        Route("/v1/files", upload, methods=["POST"]),
        Route("/v1/files", several, methods=["GET"]),
        Route("/v1/files/{file}", retrieve, methods=["GET"]),
        Route("/v1/files/{file}", delete, methods=["DELETE"]),
        Route("/v1/files/{file}/content", content, methods=["GET"]),
    ]
