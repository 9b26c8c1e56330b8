"""Replies that arrive on a connection of their own, read from a socket that sends prepared bytes."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dragoman.engines import paced_wait, reply_stream
from dragoman.engines.paced_wait import FLOWING
from dragoman.engines.reply_stream import Address, ReplyStream, Unreachable

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n4\r\n two\r\n0\r\n\r\n"
MEASURED = b"HTTP/1.1 500 No\r\nContent-Length: 7\r\n\r\none two"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\n\r\none two"
ANNOUNCED = b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED


@asynccontextmanager
async def replying(*pieces: bytes, stays: bool = False) -> AsyncIterator[tuple[Address, list[bytes]]]:
    """An address whose server sends these pieces one by one, and the heads of the requests that it got.

    Then the server closes the connection; one that `stays` leaves that to the client.
    """
    heads: list[bytes] = []
    done = asyncio.Event()

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if stays:
            await reader.read()
        writer.close()
        done.set()

    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Address(f"http://user:secret@127.0.0.1:{port}/engine/", {"X-Kind": "test"}), heads
        await done.wait()


async def received(address: Address) -> tuple[int, bytes]:
    reply = await address.send("POST", "/completion", b"{}", {"X-Session": "1"})
    try:
        return reply.status, b"".join([data async for data in reply])
    finally:
        reply.close()


@pytest.mark.parametrize(
    ("data", "status"), [(CHUNKED, 200), (MEASURED, 500), (UNTIL_CLOSED, 200), (ANNOUNCED, 200)], ids=range(4)
)
async def test_a_reply_is_the_same_at_every_split_point(data: bytes, status: int) -> None:
    for at in range(len(data) + 1):
        protocol = ReplyStream()  # without a socket, so that every split is read as it is
        protocol.data_received(data[:at])
        protocol.data_received(data[at:])
        protocol.connection_lost(None)
        await protocol.head()
        assert (protocol.status, b"".join([piece async for piece in protocol])) == (status, b"one two")


async def test_a_reply_that_was_read_is_freed_without_the_garbage_collector() -> None:
    gc.disable()
    try:
        async with replying(CHUNKED) as (address, _):
            reply = await address.send("POST", "/completion", b"{}", {})
            kept = weakref.ref(reply)
            assert b"".join([data async for data in reply]) == b"one two"
            reply.close()
            del reply
            await asyncio.sleep(0.01)
            assert kept() is None
    finally:
        gc.enable()


async def test_a_request_has_the_fields_of_its_address_and_its_own() -> None:
    async with replying(CHUNKED) as (address, heads):
        assert await received(address) == (200, b"one two")
    lines = heads[0].decode().splitlines()
    assert lines[0] == "POST /engine/completion HTTP/1.1"
    assert {"X-Kind: test", "X-Session: 1", "Content-Length: 2", "Authorization: Basic dXNlcjpzZWNyZXQ="} <= set(lines)


async def test_a_large_reply_waits_in_the_socket_until_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_stream, "_MOST_WAITING", 1000)
    size = 3_000_000
    async with replying(UNTIL_CLOSED, *[b"x" * 1000] * (size // 1000)) as (address, _):
        assert len((await received(address))[1]) == len(b"one two") + size


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 2", b"SMTP ready\r\n\r\n", CHUNKED[:-5], MEASURED[:-1]])
async def test_a_reply_that_is_missing_or_incomplete_is_reported(data: bytes) -> None:
    async with replying(data) as (address, _):
        with pytest.raises(ConnectionError) as raised:
            await received(address)
    assert not isinstance(raised.value, Unreachable)


async def pieces_of(*received: bytes) -> list[bytes]:
    """What the reader of a reply gets at a time, where this is received without a socket."""
    reply, pieces = ReplyStream(), list[bytes]()

    async def read() -> None:
        async for piece in reply:
            pieces.append(piece)

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    for data in received:
        asyncio.get_running_loop().call_soon(reply.data_received, data)
    asyncio.get_running_loop().call_soon(reply.connection_lost, None)
    async with asyncio.timeout(10):
        await reading
    return pieces


@pytest.mark.clause("TRN-5")
async def test_the_beginning_and_the_end_of_a_reply_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paced_wait, "INTERVAL", 60.0)
    head, events = CHUNKED[: CHUNKED.index(b"3")], [b"3\r\none\r\n"] * 100
    pieces = await pieces_of(head, *events, b"0\r\n\r\n")
    assert pieces == [b"one"] * (FLOWING - 1) + [b"one" * (101 - FLOWING)]  # the head counts


async def test_much_of_a_reply_is_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paced_wait, "INTERVAL", 60.0)
    monkeypatch.setattr(reply_stream, "_MOST_HELD", 10_000)
    pieces = await pieces_of(UNTIL_CLOSED, *[b"x" * 1000] * 500)
    assert sum(map(len, pieces)) == len(b"one two") + 500_000
    assert max(map(len, pieces)) == 11_000


async def test_closing_ends_the_wait_for_more() -> None:
    async def close() -> None:
        reply.close()

    async with replying(UNTIL_CLOSED, stays=True) as (address, _):
        reply = await address.send("POST", "/completion", b"{}", {})
        assert await anext(reply) == b"one two"
        closing = asyncio.create_task(close())
        with pytest.raises(ConnectionError):
            await anext(reply)
        await closing
