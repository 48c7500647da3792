"""Keeps a FusionPBX's api key out of logs and errors.

FusionPBX takes the key only in the query string, and httpx puts URLs into its log lines and
exceptions. So the client builds requests without the key, and this transport adds it to the marked
requests, below all code that logs or raises.
"""

import httpx
from pydantic import SecretStr

from ringfence_pbx.http import plain_transport

WITH_KEY = "ringfence-with-key"
"""The request extension that marks a request which needs the key."""


class KeyedTransport(httpx.AsyncBaseTransport):
    """Passes requests on, with `key=` added to the query of those that are marked."""

    def __init__(self, inner: httpx.AsyncBaseTransport, key: SecretStr) -> None:
        self._inner = inner
        self._key = key

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The inner transport's answer. Its errors contain no URL."""
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
    """A transport with at most `connections` connections that verifies TLS."""
    return KeyedTransport(plain_transport(connections), key)
