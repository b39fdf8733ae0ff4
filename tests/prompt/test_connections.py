"""Which addresses are connected to, with a fake lookup and recorded connects: no request is real."""

import socket
from collections.abc import Callable

import pytest

from magistral_mlx.errors import MagistralError, NetworkError
from magistral_mlx.prompt.urls import fetch_image

Connects = list[tuple[str, int]]
Lookup = Callable[[dict[str, list[str]]], Connects]


@pytest.fixture
def look_up(monkeypatch: pytest.MonkeyPatch) -> Lookup:
    """Answers lookups from a table, each once only, and records connects instead of making them."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    connects: Connects = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        connects.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    def use(table: dict[str, list[str]]) -> Connects:
        def answer(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
            return [(0, 0, 0, "", (address, port)) for address in table.pop(host)]

        monkeypatch.setattr(socket, "getaddrinfo", answer)
        return connects

    monkeypatch.setattr(socket, "create_connection", connect)
    return use


def failure(url: str) -> MagistralError:
    with pytest.raises(NetworkError) as caught:
        fetch_image(url, limit=1000)
    assert "\n" not in str(caught.value)
    return caught.value


PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "2002:0a00:0001::",
    "64:ff9b::a00:1",
]


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_of_a_private_address_is_never_connected_to(
    look_up: Lookup, address: str, scheme: str
) -> None:
    connects = look_up({"images.example": [address]})
    assert "no address of the public internet" in failure(f"{scheme}://images.example/a.png").problem
    assert connects == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "localhost.", "box.localhost"])
def test_other_spellings_of_this_computer_are_refused(look_up: Lookup, host: str) -> None:
    connects = look_up({host: ["127.0.0.1"]})
    assert "no address of the public internet" in failure(f"http://{host}/a.png").problem
    assert connects == []


@pytest.mark.parametrize(
    ("host", "address"), [("localhost", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")]
)
def test_a_person_may_name_a_server_on_this_computer(look_up: Lookup, host: str, address: str) -> None:
    connects = look_up({host.strip("[]"): [address]})
    assert "Connection refused" in failure(f"http://{host}:8080/a.png").problem
    assert connects == [(address, 8080)]


def test_localhost_that_is_another_computer_is_refused(look_up: Lookup) -> None:
    connects = look_up({"localhost": ["192.168.1.9"]})
    failure("http://localhost/a.png")
    assert connects == []


def test_the_judged_address_is_the_one_connected_to(look_up: Lookup) -> None:
    # The table answers once: a second lookup, which could give another address, would be a KeyError.
    connects = look_up({"images.example": ["10.0.0.1", "8.8.8.8", "2606:4700::1111"]})
    assert "Connection refused" in failure("http://images.example/a.png").problem
    assert connects == [("8.8.8.8", 80), ("2606:4700::1111", 80)]
    connects = look_up({"images.example": ["8.8.8.8"]})
    failure("https://images.example/a.png")
    assert connects[-1] == ("8.8.8.8", 443)


def test_a_proxy_may_be_private_but_is_not_asked_for_private_addresses(
    look_up: Lookup, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://10.1.1.1:3128")
    for url in ("http://images.example/a.png", "https://images.example/a.png"):
        connects = look_up({"10.1.1.1": ["10.1.1.1"]})
        assert "Connection refused" in failure(url).problem
    assert connects == [("10.1.1.1", 3128), ("10.1.1.1", 3128)]
    for host in ("192.168.1.1", "0xa000001", "[fe80::1]"):
        for scheme in ("http", "https"):
            assert "no address of the public internet" in failure(f"{scheme}://{host}/a.png").problem
    assert len(connects) == 2


def test_a_lookup_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    from magistral_mlx.prompt import urls

    monkeypatch.setattr(urls, "ANSWER_SECONDS", 0.1)
    never = Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: never.wait())
    try:
        assert "not found in time" in failure("http://images.example/a.png").problem
    finally:
        never.set()
