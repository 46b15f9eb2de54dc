"""An endpoint whose address or certificate changes while a run asks it: no question leaves to it, or in the clear."""

import asyncio
import datetime
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp.connector
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from evaluator import addresses
from evaluator.errors import Code, EvaluatorError
from evaluator.hosts.gateway.adapter import Refused
from evaluator.hosts.gateway.plain import PlainAdapter
from tests.planting import planted
from tests.servers.repeating import response

HOST = "models.example"
DAY = datetime.timedelta(days=1)
QUESTION = {"model": "m", "prompt": "one"}


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a folder, and the certificates that it signs."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def certificate(
        self, host: str = HOST, *, days: tuple[int, int] = (-2, 2), trusted: bool = True
    ) -> Path:
        """Write a certificate that is good from and to these days from now, with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        signer = self.key if trusted else key
        pem = self._signed(host, key.public_key(), signer, days, for_host=True)
        path = self.folder / f"{host}{days[1]}{trusted}.pem"
        encoding, no_encryption = serialization.Encoding.PEM, serialization.NoEncryption()
        private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, no_encryption)
        path.write_bytes(pem + private)
        return path

    def own(self) -> str:
        """Return the authority's own certificate."""
        return self._signed("authority", self.key.public_key(), self.key, (-2, 2)).decode()

    @staticmethod
    def _signed(
        host: str,
        public: ec.EllipticCurvePublicKey,
        signer: ec.EllipticCurvePrivateKey,
        days: tuple[int, int],
        *,
        for_host: bool = False,
    ) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        alternative = x509.SubjectAlternativeName([x509.DNSName(host)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + days[0] * DAY)
            .not_valid_after(now + days[1] * DAY)
            .add_extension(x509.BasicConstraints(ca=not for_host, path_length=None), critical=True)
            .add_extension(alternative, critical=False)
        )
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass
class Endpoint:
    """An endpoint by TLS on loopback; ``questions`` counts what it could read."""

    context: ssl.SSLContext
    port: int = 0
    questions: int = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.questions += 1
        writer.write(response("one"))
        writer.close()

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0, ssl=self.context)
        self.port = server.sockets[0].getsockname()[1]
        return server


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that the gateway trusts."""
    made = Authority(tmp_path)
    trusting = ssl.create_default_context(cadata=made.own())
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    return made


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that the name server returns; empty where it fails."""
    found = ["127.0.0.1"]

    async def lookup(host: str, port: int) -> Sequence[str]:
        if not found:
            raise OSError("no answer")
        return tuple(found)

    monkeypatch.setattr(addresses, "_system_lookup", lookup)
    return found


def adapter(port: int) -> PlainAdapter:
    url = f"https://{HOST}:{port}/v1"
    return PlainAdapter(url, "completions", key="", allow_private=True, seconds=10)


def served_by(certificate: Path) -> Endpoint:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return Endpoint(context)


async def asked_twice(endpoint: Endpoint, change: Any) -> Code | None:
    """Ask once, let something change, and ask again. Returns how the second question failed."""
    server = await endpoint.serve()
    asking = adapter(endpoint.port)
    await asking.open()
    try:
        async with server:
            await asking.ask_once(QUESTION)
            change()
            try:
                await asking.ask_once(QUESTION)
            except Refused as refused:
                return refused.code
            return None
    finally:
        await asking.close()


BAD: dict[str, dict[str, Any]] = {
    "N05-expired": {"days": (-3, -1)},
    "N05-not-yet-valid": {"days": (1, 3)},
    "N05-self-signed": {"trusted": False},
    "N05-of-another-host": {"host": "other.example"},
}


@pytest.mark.parametrize("case", list(BAD), ids=list(BAD))
@pytest.mark.parametrize("checked", [True, False], ids=["this-build", "unchecked"])
def test_a_certificate_that_goes_bad_is_sent_no_question(
    authority: Authority, answers: list[str], case: str, checked: bool
) -> None:
    endpoint = served_by(authority.certificate())
    bad = authority.certificate(**BAD[case])
    unchecked = (
        "evaluator/hosts/gateway/plain.py",
        "force_close=True",
        "force_close=True, ssl=False",
    )
    with planted(*[unchecked] * (not checked)):
        code = asyncio.run(asked_twice(endpoint, lambda: endpoint.context.load_cert_chain(bad)))
    assert code == (Code.ENDPOINT_REFUSED if checked else None)
    assert endpoint.questions == (1 if checked else 2)


def test_n05_a_certificate_that_is_renewed_is_taken(
    authority: Authority, answers: list[str]
) -> None:
    endpoint = served_by(authority.certificate())
    renewed = authority.certificate(days=(-1, 90))
    change = lambda: endpoint.context.load_cert_chain(renewed)  # noqa: E731
    assert asyncio.run(asked_twice(endpoint, change)) is None
    assert endpoint.questions == 2


@pytest.mark.parametrize(
    "later", [[], ["127.0.0.2"], ["169.254.169.254"]], ids=["fails", "another", "metadata"]
)
def test_n05_a_run_stays_at_the_address_that_was_checked(
    authority: Authority, answers: list[str], later: list[str]
) -> None:
    endpoint = served_by(authority.certificate())

    def change() -> None:
        answers[:] = later

    assert asyncio.run(asked_twice(endpoint, change)) is None
    assert endpoint.questions == 2


def test_n05_a_name_server_that_fails_begins_no_run(answers: list[str]) -> None:
    answers.clear()
    with pytest.raises(EvaluatorError) as caught:
        asyncio.run(adapter(443).open())
    assert caught.value.code is Code.ENDPOINT_UNREACHABLE


def test_n05_an_endpoint_that_stops_speaking_tls_is_not_asked_in_the_clear(
    authority: Authority, answers: list[str]
) -> None:
    """Another program takes the endpoint's port, and reads what it is sent."""
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))
        writer.close()

    endpoint = served_by(authority.certificate())

    async def run() -> None:
        server = await endpoint.serve()
        asking = adapter(endpoint.port)
        await asking.open()
        await asking.ask_once(QUESTION)
        server.close()
        await server.wait_closed()
        async with await asyncio.start_server(hear, "127.0.0.1", endpoint.port):
            with pytest.raises(Refused) as refused:
                await asking.ask_once(QUESTION)
        await asking.close()
        assert refused.value.code in (Code.ENDPOINT_UNREACHABLE, Code.ENDPOINT_REFUSED)

    asyncio.run(run())
    assert endpoint.questions == 1
    assert heard and not any(b"POST" in one for one in heard)
