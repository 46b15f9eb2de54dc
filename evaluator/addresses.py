"""Deny list of addresses that may not be called, shared by the site and the evaluator.

- :func:`check` judges the URL as it is written.
- :func:`resolve` judges every address that its name resolves to.
- The caller connects to that very address, follows no redirect and ignores proxy variables.

``ipaddress.is_global`` is not used: it calls several dangerous addresses global. With
``allow_private`` the operator permits an endpoint of their own on plain http, on any port, on this
machine or in a private network. It never opens link-local and metadata addresses.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from evaluator.errors import Code, EvaluatorError, error

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""Resolver: the addresses of a host and port, as text."""


@dataclass(frozen=True, slots=True)
class Target:
    """Address that may be called; ``host`` is lower case, ``path`` has no final slash."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """The base URL, as the paths of an API are appended to it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


_PRIVATE = tuple(
    ipaddress.ip_network(block)
    for block in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
    )
)
_NEVER = tuple(
    ipaddress.ip_network(block)
    for block in (
        # IANA's IPv4 special-purpose registry
        "0.0.0.0/8",
        "169.254.0.0/16",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        # metadata services outside the link-local block: Alibaba, Azure, AWS, Google
        "100.100.100.200/32",
        "168.63.129.16/32",
        "fd00:ec2::/32",
        "fd20:ce::/32",
        # in IPv6's global unicast: protocol assignments and Teredo, documentation, 6to4, AS112
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")

JAIL = "jail"
"""Name in the exposure log of weights that run here.

No host may have it, or its lines would read as the jail's.
"""
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)
_PATH = re.compile(r"(/[A-Za-z0-9._~@:+-]+)*/?", re.ASCII)
_OWN_NAMES = frozenset(
    (
        "localhost",
        "localdomain",
        "local",
        "internal",
        "intranet",
        "lan",
        "home",
        "corp",
        "private",
        "arpa",
        "onion",
    )
)
"""Last labels that never belong to a public host."""
_SERVICES = frozenset(
    (
        1080,
        1433,
        1521,
        2049,
        2375,
        2376,
        2379,
        2380,
        3128,
        3306,
        3389,
        5432,
        5672,
        5900,
        5984,
        6000,
        6379,
        6443,
        8125,
        8500,
        9042,
        9092,
        9200,
        9300,
        10250,
        11211,
        15672,
        26257,
        27017,
        50070,
    )
)
"""Ports above 1023 where databases, brokers and clusters listen."""


def check(url: str, *, allow_private: bool) -> Target:
    """Take a URL apart and judge it as it is written, without asking any name server.

    Raises ENDPOINT_REFUSED for everything but ``https://NAME[:PORT][/PATH]`` with a
    public-looking name; with ``allow_private`` also http, IP addresses in canonical form, and any
    port.
    """
    parts = _split(url)
    if parts.scheme not in (("http", "https") if allow_private else ("https",)):
        raise error(Code.ENDPOINT_REFUSED, "scheme")
    host, port = _host_and_port(parts)
    is_public_port = port == 443 or (port > 1023 and port not in _SERVICES)
    if port == 0 or not (allow_private or is_public_port):
        raise error(Code.ENDPOINT_REFUSED, "port")
    literal = _ip_literal(host)
    if literal is None:
        _check_name(host, allow_private=allow_private)
    elif not (allow_private and permitted(literal, allow_private=True)):
        raise error(Code.ENDPOINT_REFUSED, "ip_literal")
    return Target(parts.scheme, host, port, parts.path.rstrip("/"))


async def resolve(
    target: Target, *, allow_private: bool, lookup: Lookup | None = None
) -> tuple[str, ...]:
    """Return the addresses of a target, each of them checked; connect to one of these only.

    Raises ENDPOINT_REFUSED if any address is not permitted, ENDPOINT_UNREACHABLE if there is none.
    """
    try:
        answers = await (lookup or _system_lookup)(target.host, target.port)
    except OSError:
        raise error(Code.ENDPOINT_UNREACHABLE) from None
    if not answers:
        raise error(Code.ENDPOINT_UNREACHABLE)
    try:
        resolved = [ipaddress.ip_address(text) for text in answers]
    except ValueError:
        raise error(Code.ENDPOINT_REFUSED, "address") from None
    if not all(permitted(address, allow_private=allow_private) for address in resolved):
        raise error(Code.ENDPOINT_REFUSED, "address")
    return tuple(dict.fromkeys(answers))


def permitted(address: Address, *, allow_private: bool) -> bool:
    """Return True if this very address may be connected to.

    IPv6 forms that wrap an IPv4 address are never permitted.
    """
    if getattr(address, "scope_id", None) or _in(address, _NEVER):
        return False
    if _in(address, _PRIVATE):
        return allow_private
    return address.version == 4 or address in _GLOBAL_IPV6


def _in(address: Address, blocks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return any(address in block for block in blocks)


def _split(url: str) -> SplitResult:
    refused: EvaluatorError = error(Code.ENDPOINT_REFUSED, "url")
    # urlsplit drops tabs and newlines silently and browsers read a backslash as a slash
    if not url.isascii() or not url.isprintable() or len(url) > 2000:
        raise refused
    if set(url) & set(" \\?#@%"):
        raise refused
    try:
        parts = urlsplit(url)
    except ValueError:
        raise refused from None
    # HTTPS:// would be another text for the same address
    if not url.startswith(f"{parts.scheme}://"):
        raise refused
    if not parts.netloc:
        raise refused
    if not _PATH.fullmatch(parts.path) or ".." in parts.path.split("/"):
        raise refused
    return parts


def _host_and_port(parts: SplitResult) -> tuple[str, int]:
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise error(Code.ENDPOINT_REFUSED, "port") from None
    if not host or parts.netloc.endswith(":"):
        raise error(Code.ENDPOINT_REFUSED, "host")
    if port is None:
        port = 443 if parts.scheme == "https" else 80
    return host.removesuffix("."), port


def _ip_literal(host: str) -> Address | None:
    """Return the address that a host is written as, None for a name.

    Raises ENDPOINT_REFUSED for an address in disguise.
    """
    if ":" in host:
        try:
            return ipaddress.IPv6Address(host)
        except ValueError:
            raise error(Code.ENDPOINT_REFUSED, "ip_literal") from None
    if not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return None
    # a numeric last label makes it an address to every resolver: 127.1, 0x7f000001, 0177.0.0.1
    try:
        return ipaddress.IPv4Address(host)
    except ValueError:
        raise error(Code.ENDPOINT_REFUSED, "ip_literal") from None


def _check_name(host: str, *, allow_private: bool) -> None:
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise error(Code.ENDPOINT_REFUSED, "host")
    if not allow_private and (len(labels) == 1 or labels[-1] in _OWN_NAMES):
        raise error(Code.ENDPOINT_REFUSED, "host")
    if host.startswith("metadata.") or host in ("metadata", "instance-data", JAIL):
        raise error(Code.ENDPOINT_REFUSED, "host")


async def _system_lookup(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    try:
        answers = await loop.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
    except UnicodeError:  # a name that cannot be encoded for the resolver
        raise error(Code.ENDPOINT_REFUSED, "host") from None
    return [str(answer[4][0]) for answer in answers]
