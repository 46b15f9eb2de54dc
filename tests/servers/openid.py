"""A sign-in provider on loopback, as OpenID Connect and as GitHub: state, PKCE, one code for one use.

``faults`` makes it break a rule, so that a client that does not check is found.
"""

import base64
import hashlib
import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt

CLIENT, SECRET = "holdfast", "a-client-secret"


class Provider:
    """One person who is signed in at the provider, and what it says of them."""

    def __init__(self) -> None:
        self.person: dict[str, Any] = {
            "sub": "4711",
            "preferred_username": "ada",
            "email": "ada@lab.example",
            "email_verified": True,
        }
        self.faults: set[str] = set()
        self.refused: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._tokens: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def consent(self, address: str) -> str:
        """Return the path to which the browser is sent back, after the person's consent at ``address``."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["client_id"] == CLIENT and asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256" and asked["state"]
        code = secrets.token_urlsafe()
        self._codes[code] = asked
        back = urlsplit(asked["redirect_uri"])
        return f"{back.path}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """Return tokens for a code; None where the client, the code or its proof is another."""
        asked = self._codes.pop(form.get("code", ""), None)
        secret = form.get("client_secret", "")
        if authorization.startswith("Basic "):
            secret = base64.b64decode(authorization[6:]).decode().partition(":")[2]
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or secret != SECRET or proof != asked["code_challenge"]:
            self.refused.append("token")
            return None
        access = secrets.token_urlsafe()
        self._tokens.add(access)
        audience = "another-site" if "audience" in self.faults else CLIENT
        issuer = "https://evil.example" if "issuer" in self.faults else self.url
        facts = {"iss": issuer, "aud": audience, "iat": 1, "exp": 2**31, **self.person}
        return {
            "access_token": access,
            "token_type": "bearer",
            "id_token": jwt.encode(facts, "k" * 32, algorithm="HS256"),
        }

    def answer(self, path: str, authorization: str) -> Any:
        """Return what is read at a path; None for nothing."""
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "userinfo_endpoint": f"{self.url}/userinfo",
                "jwks_uri": f"{self.url}/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
            }
        if authorization.partition(" ")[2] not in self._tokens:
            self.refused.append(path)
            return None
        email, verified = self.person["email"], self.person["email_verified"]
        return {
            "/userinfo": self.person,
            "/user": {"id": 4711, "login": self.person["preferred_username"]},
            "/user/emails": [{"email": email, "verified": verified, "primary": True}],
        }.get(path)


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(provider.answer(self.path, self.headers.get("Authorization", "")))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self._send(provider.token(form, self.headers.get("Authorization", "")))

        def _send(self, data: Any) -> None:
            broken = "down" in provider.faults
            body = json.dumps(data if data is not None else {"error": "invalid"}).encode()
            self.send_response(502 if broken else 200 if data is not None else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
