"""URLs are fetched from public addresses only, within bounds."""

import socket
from collections.abc import AsyncGenerator
from ipaddress import ip_address

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from dragoman.media.fetching import Fetched, Fetcher, Obstacle, Unfetchable
from dragoman.media.public_addresses import is_public

NOT_PUBLIC = "leads to an address that is not public"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("0.1.2.3", "224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1"),
        *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:0:7f00:1::"),
    ],
)  # fmt: skip
def test_an_address_of_this_network_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


class Names(AbstractResolver):
    """A name server for tests; the same name may have other addresses the next time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers = {
            "public.test": [["127.0.0.1"]] * 9,
            "private.test": [["127.0.0.2"]],
            "both.test": [["127.0.0.1", "10.0.0.1"]],
            "changing.test": [["127.0.0.1"], ["127.0.0.2"]],
        }

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        if host not in self.answers:
            raise OSError("no such name")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.answers[host].pop(0)
        ]

    async def close(self) -> None:
        pass


@pytest_asyncio.fixture
async def names() -> AsyncGenerator[Names]:
    """A web server of this machine, which counts as public under 127.0.0.1 and no other address."""

    async def data(_: web.Request) -> web.Response:
        return web.Response(body=b"data")

    async def zipped(_: web.Request) -> web.Response:
        return web.Response(body=b"data", headers={"Content-Encoding": "gzip"})

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 10_000)

    async def redirected(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["to"]})

    app = web.Application()
    app.router.add_get("/data", data)
    app.router.add_get("/zipped", zipped)
    app.router.add_get("/endless", endless)
    app.router.add_get("/to", redirected)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield Names(runner.addresses[0][1])
    await runner.cleanup()


def fetcher(names: Names, **options: float) -> Fetcher:
    public = ip_address("127.0.0.1")
    return Fetcher(100_000, allows=lambda address: address == public, resolver=names, **options)


async def test_data_is_fetched_and_redirects_are_followed(names: Names) -> None:
    start = f"http://public.test:{names.port}"
    data = Fetched(b"data", f"{start}/data", "application/octet-stream")
    assert await fetcher(names).fetch(f"{start}/data") == data
    assert await fetcher(names).fetch(f"{start}/to?to=/data") == data
    assert (await fetcher(names).fetch(f"http://127.0.0.1:{names.port}/data")).data == b"data"


async def test_each_redirect_must_be_permitted(names: Names) -> None:
    start = f"http://public.test:{names.port}"
    with pytest.raises(Unfetchable, match="is not permitted") as refused:
        await fetcher(names).fetch(f"{start}/to?to=/data", lambda url: url.path != "/data")
    assert refused.value.obstacle is Obstacle.FORBIDDEN


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://private.test:{port}/data", NOT_PUBLIC),
        ("http://both.test:{port}/data", NOT_PUBLIC),
        ("http://127.0.0.2:{port}/data", NOT_PUBLIC),
        ("http://[::1]:{port}/data", NOT_PUBLIC),
        ("http://[::ffff:127.0.0.1]:{port}/data", NOT_PUBLIC),
        ("http://public.test:{port}/to?to=http://private.test:{port}/data", NOT_PUBLIC),
        ("http://public.test:{port}/to?to=http://127.0.0.2:{port}/data", NOT_PUBLIC),
        ("http://changing.test:{port}/to?to=http://changing.test:{port}/data", NOT_PUBLIC),
        ("http://public.test:{port}/to?to=file:///etc/passwd", "is not an http or https URL"),
        ("http://public.test:{port}/to?to=/to?to=/to?to=/to?to=/to?to=/to?to=/data", "redirects more than|was answered"),
        ("http://public.test:{port}/none", "was answered with status 404"),
        ("http://public.test:{port}/zipped", "compressed"),
        ("http://public.test:{port}/endless", "is larger than 100,000 bytes"),
        ("http://unknown.test/", "has a host that is not found"),
        ("http://public.test:1/", "cannot be reached"),
        ("file:///etc/passwd", "is not an http or https URL"),
        ("ftp://public.test/", "is not an http or https URL"),
        ("//public.test/", "is not an http or https URL"),
        ("", "is not an http or https URL"),
        ("http://", "is not an http or https URL|is not a valid URL"),
        ("http://[", "is not a valid URL"),
        ("http://public.test:99999/", "is not a valid URL"),
        ("http://a b/", "is not a valid URL|not found"),
    ],
)  # fmt: skip
async def test_what_may_not_be_fetched_has_a_reason(names: Names, url: str, reason: str) -> None:
    with pytest.raises(Unfetchable, match=reason):
        await fetcher(names).fetch(url.replace("{port}", str(names.port)))


async def test_the_time_is_bounded(names: Names) -> None:
    late = pytest.raises(Unfetchable, match=r"did not arrive within 0\.2 seconds")
    with socket.create_server(("127.0.0.1", 0)) as silent, late:  # connections are made, and nothing answers
        await fetcher(names, seconds=0.2).fetch(f"http://public.test:{silent.getsockname()[1]}/")


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "[::1]", "0", "127.0.0.1."]
)
async def test_no_spelling_of_this_machine_is_fetched_from(names: Names, host: str) -> None:
    with pytest.raises(Unfetchable, match=f"{NOT_PUBLIC}|not found|not a valid URL"):
        await Fetcher(1000).fetch(f"http://{host}:{names.port}/data")
