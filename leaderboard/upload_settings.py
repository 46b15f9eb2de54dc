"""Settings of uploads: their bounds, the folder of their files, or the object store instead."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from leaderboard.environment import number, text


@dataclass(frozen=True)
class Bucket:
    """Bucket of an S3-compatible store at ``endpoint``, and a key that may read and write it.

    ``seconds`` is the time for which a signed address may be used.
    """

    endpoint: str
    name: str
    region: str
    key: str
    secret: str = field(repr=False)
    seconds: int = 900

    @property
    def origin(self) -> str:
        """Scheme, host and port, as browsers compare them."""
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme}://{parts.netloc}"


def upload_folder(source: Path) -> Path:
    """Return the folder of uploaded files."""
    return Path(
        text(
            "HOLDFAST_UPLOADS",
            str(source / ".uploads"),
            about="The folder of uploaded models, which all processes of the site and the recorder "
            "share.",
            shown="`.uploads` in the source tree",
        )
    )


def bucket() -> Bucket | None:
    """Return the bucket of the object store, None where uploads lie in the folder.

    Raises ``ImproperlyConfigured`` for a part of the settings alone.
    """
    endpoint = text(
        "HOLDFAST_S3_ENDPOINT",
        about="The address of an S3-compatible store for uploads, as `https://host`, instead of "
        "the folder; the evaluators need the same.",
        shown="none: uploads lie in the folder",
    ).rstrip("/")
    name = text(
        "HOLDFAST_S3_BUCKET", about="The store's bucket, which holds nothing else.", shown="none"
    )
    region = text("HOLDFAST_S3_REGION", "us-east-1", about="The store's region.")
    key = text(
        "HOLDFAST_S3_KEY",
        about="Id of an access key that may read and write the bucket.",
        shown="none",
    )
    secret = text("HOLDFAST_S3_SECRET", about="The secret of that access key.", shown="none")
    about = "How long a signed address of the store may be used, for a chunk of 8 MiB."
    seconds = int(number("HOLDFAST_S3_SECONDS", 900, least=1, about=about))
    given = [bool(part) for part in (endpoint, name, key, secret)]
    if not any(given):
        return None
    parts = urlsplit(endpoint)
    is_web_address = parts.scheme in ("http", "https") and bool(parts.hostname)
    if not all(given) or not is_web_address:
        raise ImproperlyConfigured(
            "HOLDFAST_S3_ENDPOINT (https://host), HOLDFAST_S3_BUCKET, HOLDFAST_S3_KEY and"
            " HOLDFAST_S3_SECRET belong together"
        )
    return Bucket(endpoint, name, region, key, secret, seconds)
