"""Keeping a FusionPBX's api key out of sight.

FusionPBX takes the key in the query string only, and httpx shows URLs in its log lines and carries
them in its exceptions. So the client builds requests without the key, and this transport, which
stands below everything that logs or raises, adds it to those that are marked.
"""

import httpx
from pydantic import SecretStr

from ringfence_pbx.http import plain_transport

WITH_KEY = "ringfence-with-key"
"""The request extension that asks for the key."""


class KeyedTransport(httpx.AsyncBaseTransport):
    """Sends a request on, with `key=` added to the query where the request is marked for it."""

    def __init__(self, inner: httpx.AsyncBaseTransport, key: SecretStr) -> None:
        self._inner = inner
        self._key = key

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The inner transport's answer; what it raises names no URL."""
        if not request.extensions.get(WITH_KEY):
            return await self._inner.handle_async_request(request)
        keyed = httpx.Request(
            request.method,
            request.url.copy_merge_params({"key": self._key.get_secret_value()}),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return await self._inner.handle_async_request(keyed)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def keyed_transport(key: SecretStr, connections: int) -> KeyedTransport:
    """A transport of at most so many connections, verifying TLS."""
    return KeyedTransport(plain_transport(connections), key)
