"""Every surface on which something sealed could be found: how it is looked at, and how a control gets onto it.

A control is a canary that is put there on purpose, in the way the surface would really get it where that can be
done, before the one scan that looks for everything. A surface whose control is not found was not looked at.
"""

import base64
import contextlib
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.leaks import database, processes
from tests.leaks.canaries import Canary, token
from tests.leaks.drive import Used
from tests.leaks.scanner import Hit, Scanner

Look = Callable[[Scanner], list[Hit]]


@dataclass(frozen=True)
class Surface:
    """``name`` begins with its number in the list of leaks; ``may_hold`` are fields of canaries that belong there."""

    name: str
    look: Look
    control: Canary
    may_hold: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What one look came to: bytes, leaks, and whether the control was found."""

    surface: Surface
    bytes: int
    leaks: list[Hit]
    found: bool


def scan(
    surface: Surface, secrets: Sequence[Canary], tokenizers: Sequence[Path]
) -> tuple[Seen, Scanner]:
    """Look at one surface for every secret and for its control."""
    scanner = Scanner([*secrets, surface.control], tokenizers=tokenizers)
    hits = surface.look(scanner)
    leaks = [
        hit
        for hit in hits
        if hit.canary != surface.control and hit.canary.field not in surface.may_hold
    ]
    return Seen(
        surface, scanner.bytes_scanned, leaks, any(hit.canary == surface.control for hit in hits)
    ), scanner


def blob(name: str, content: Callable[[], bytes], control: Canary, *may_hold: str) -> Surface:
    """A surface that is read as a whole."""
    return Surface(name, lambda scanner: scanner.scan_bytes(content(), name), control, may_hold)


def _blobs(name: str, parts: dict[str, bytes], control: Canary, *may_hold: str) -> Surface:
    def look(scanner: Scanner) -> list[Hit]:
        return [
            hit
            for place, content in parts.items()
            for hit in scanner.scan_bytes(content, f"{name}: {place}")
        ]

    return Surface(name, look, control, may_hold)


def _files(
    name: str, list_files: Callable[[], Iterator[Path]], control: Canary, *may_hold: str
) -> Surface:
    def look(scanner: Scanner) -> list[Hit]:
        return [hit for file in list_files() for hit in scanner.scan_file(file)]

    return Surface(name, look, control, may_hold)


# --- the database


def of_database(used: Used) -> list[Surface]:
    """Dumps, files, log, sessions. The site has a row with the control in it, and a session."""
    url, row, session, logged = (
        used.house.place.database_url,
        token("control"),
        token("control"),
        token("control"),
    )
    packed = base64.urlsafe_b64encode(zlib.compress(session.text.encode())).decode()
    used.change("CREATE TABLE leak_control (words text)")
    used.change("INSERT INTO leak_control VALUES (%s)", row.text)
    used.change("INSERT INTO django_session VALUES ('control', %s, now())", f".{packed}:0:0")
    database.force_errors(
        url, logged.text, "SET log_error_verbosity = verbose", "SET log_min_error_statement = error"
    )
    with contextlib.suppress(Exception):  # not inside a transaction
        used.change("CHECKPOINT")

    def files(*, log: bool) -> Iterator[Path]:
        found = database.files(used.server, since=used.begun)
        return (file for file in found if ("pg_wal" in file.parts) == log and file.name != "log")

    rows = "SELECT session_data FROM django_session"
    return [
        blob("L01 pg_dump, plain", lambda: database.dump(url, "plain"), row),
        blob("L01 pg_dump, custom", lambda: database.dump(url, "custom"), row),
        # A row that was refused stays in the file until it is vacuumed: it is what the visitor typed.
        _files("L01 files of the cluster", lambda: files(log=False), row, "typed", "forced"),
        _files("L01 write-ahead log", lambda: files(log=True), row, "typed", "forced"),
        blob("L02 PostgreSQL's log", (used.server.folder / "log").read_bytes, logged),
        blob(
            "L13 sessions",
            lambda: "\n".join(line[0] for line in used.house.query(rows)).encode(),
            session,
        ),
    ]


# --- the broker


def of_broker(used: Used) -> list[Surface]:
    """What was overheard, what is held, what is saved to disk. Forged messages are of course in all of it."""
    control, client = token("control"), used.wiretap.client
    client.set("control", control.text)
    used.wiretap.await_hearing(control.text.encode())
    used.wiretap.sample()
    client.save()
    client.delete("control")
    saved = Path(client.config_get("dir")["dir"]) / "dump.rdb"
    return [
        blob("L05 broker: every command", lambda: b"\n".join(used.wiretap.heard), control, "typed"),
        blob("L05 broker: every key", lambda: b"\n".join(used.wiretap.held), control, "typed"),
        blob("L05 broker: RDB file", saved.read_bytes, control, "typed"),
    ]


def of_folder_broker(folder: Path) -> Surface:
    """Messages of a broker that is a folder."""
    control = token("control")
    (folder / "messages" / "control.msg").write_text(control.text)
    return Surface(
        "L05 broker that is a folder", lambda scanner: scanner.scan_tree(folder), control
    )


# --- programs


def of_logs(used: Used) -> list[Surface]:
    """The output of every program, database errors and refused messages among it."""
    surfaces = []
    for name in ("site", "recorder", "evaluator"):
        control = token("control")
        with used.house.place.log(name).open("a") as log:
            log.write(control.text + "\n")
        # Django's log names the address that was not found: it is the visitor's text.
        address = ("address",) if name == "site" else ()
        surfaces.append(
            blob(
                f"L03 L07 log of the {name}",
                used.house.place.log(name).read_bytes,
                control,
                *address,
            )
        )
    return surfaces


def of_processes(used: Used, keeper: processes.Process) -> list[Surface]:
    """What is seen of programs from outside, and the memory of those that open nothing. ``keeper`` holds the control."""
    control = used.control
    used.look_at_processes()
    used.running |= processes.outside([keeper.pid])
    surfaces = [_blobs("L14 environment of every process", dict(used.running), control)]
    for name in ("site", "recorder"):
        pids = [*processes.family(used.house.processes[name].pid), keeper.pid]

        def look(scanner: Scanner, pids: list[int] = pids) -> list[Hit]:
            return [hit for pid in pids for hit in scanner.scan_process(pid, memory=True)]

        # What a visitor types passes through the site, and what a forger sends through the recorder.
        passing = ("typed", "address", "api key", *(("hub token",) if name == "site" else ()))
        surfaces.append(Surface(f"L14 memory of the {name}", look, control, passing))
    return surfaces


def of_disk(used: Used) -> list[Surface]:
    """Every file and name that the programs wrote, and what is new in the places for temporary files."""
    place = used.house.place
    ours, elsewhere = token("control"), token("control")
    (place.folder / "evaluator" / "home" / f"{ours.text}.tmp").touch()
    apart = [
        place.keys,
        place.folder / "redis",
        place.folder / "logs",
        place.folder / "checkpoints",
    ]

    def tree(scanner: Scanner) -> list[Hit]:
        skip = [file for folder in apart for file in folder.rglob("*")]
        return scanner.scan_tree(place.folder, skip=skip)

    def temporary() -> Iterator[Path]:
        for folder in (Path(tempfile.gettempdir()), Path("/dev/shm"), Path.home() / ".cache"):
            if folder.is_dir():
                yield from _new_files(folder, since=used.begun)

    with tempfile.NamedTemporaryFile("w", prefix="leak-control-", delete=False) as file:
        file.write(elsewhere.text)
    used.leftovers.append(Path(file.name))
    return [
        Surface("L30 L33 files of the programs, and their names", tree, ours),
        _files("L17 temporary files and caches", temporary, elsewhere),
    ]


def _new_files(folder: Path, *, since: float) -> Iterator[Path]:
    """Files that were made since, but for the tests' own and those of other programs of this machine."""
    for path in folder.iterdir():
        own = path.name.startswith(("pytest-", "holdfast-test", "playwright", "bash_jobs", "p6"))
        with contextlib.suppress(OSError):
            if own or path.is_symlink():
                continue
            if path.is_file() and path.stat().st_mtime >= since:
                yield path
            elif path.is_dir() and path.stat().st_mtime >= since:
                yield from (
                    file
                    for file in path.rglob("*")
                    if file.is_file() and file.stat().st_mtime >= since
                )


# --- what people see


def of_pages(used: Used, shown: Canary) -> list[Surface]:
    """What each visitor was answered, and the pages of refusals and failures. ``shown`` is the title of the pair."""
    pages = used.pages | {"control": used.crawls["stranger"].ask("GET", "/sets/twins/").content}
    surfaces = [_blobs("L08 error pages", pages, shown)]
    for name, crawl in used.crawls.items():
        # Who types something sees it again in the form.
        typed = ("typed",) if name == "other submitter" else ()
        surfaces.append(_blobs(f"L11 L25 L26 L34 every URL as {name}", crawl.seen, shown, *typed))
    return surfaces


def of_notifications(used: Used, calls: Path) -> list[Surface]:
    """What a webhook was sent, and every mail."""
    called, mailed = token("control"), token("control")
    with calls.open("a") as log:
        log.write(called.text + "\n")
    (used.house.place.mails / "control.log").write_text(mailed.text)
    return [
        blob("L35 calls of webhooks", calls.read_bytes, called),
        # A sign-up is answered by a mail that has the visitor's name in it.
        Surface(
            "L35 mail",
            lambda scanner: scanner.scan_tree(used.house.place.mails),
            mailed,
            ("typed",),
        ),
    ]


def of_cores(used: Used, scratch: Path) -> list[Surface]:
    """What programs leave that crash, where this machine lets a test see it."""
    if not processes.leaves_core_files():
        return []
    control = token("control")
    scratch.mkdir(exist_ok=True)
    with (
        processes.cores_allowed() as allowed,
        processes.holder(control.text, folder=scratch) as keeper,
    ):
        if not allowed:
            return []
        processes.abort(keeper)
    for process in used.house.processes.values():
        processes.abort(process)
    time.sleep(0.2)
    dumped = [*processes.cores(scratch), *processes.cores(used.house.place.source)]
    used.leftovers += dumped
    return [_files("L15 core dumps", lambda: iter(dumped), control)]
