"""Refusals of the site: one code, one sentence, one next step, one HTTP status.

Codes of ``evaluator.errors`` are the reasons why a run failed; these are the reasons why a request
was not accepted. The exceptions have names of their own: ``EvaluatorError`` and its classes never
leave the engine's code, ``SiteError`` and its classes are answers to a request. They split first by
the party at fault, then by whether the same request may work later.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import ClassVar

from django.db import DataError, IntegrityError, InterfaceError, OperationalError, transaction
from django.db import Error as DatabaseError

from evaluator.errors import EXPLANATIONS, Code, Explanation, Fault
from leaderboard.explanations import REFUSALS
from leaderboard.refusals import Refusal, RefusalExplanation

__all__ = [
    "REFUSALS",
    "QuietFormatter",
    "Refusal",
    "RefusalExplanation",
    "RequestDeferred",
    "RequestRejected",
    "SiteError",
    "SiteMisconfigured",
    "SiteUnavailable",
    "conflicts_refused",
    "explain",
    "explain_code",
    "quiet_database",
    "refusal_of",
    "refuse",
    "sqlstate",
]


class SiteError(Exception):
    """Base of the site's errors.

    ``detail`` names a field or a limit, never a value that was sent.
    """

    fault: ClassVar[Fault]
    again: ClassVar[bool]

    retry_after = 5
    """Seconds to wait before the same request, where it may work later."""

    def __init__(self, code: Refusal | Code, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    @property
    def status(self) -> int:
        """HTTP status that carries it: of an engine's code 503 where our side may work later."""
        if isinstance(self.code, Refusal):
            return REFUSALS[self.code].status
        return 503 if self.again and self.fault is Fault.OURS else 422

    def to_dict(self) -> dict[str, str]:
        """Return the API's answer: code, message, advice."""
        return explain(self.code, self.detail)

    def advised(self) -> str:
        """Return message and advice for a person."""
        explained = self.to_dict()
        return f"{explained['message']} {explained['advice']}"

    def __str__(self) -> str:
        return f"{self.code}: {self.advised()}"


class RequestRejected(SiteError):
    """The request has to change."""

    fault = Fault.THEIRS
    again = False


class RequestDeferred(SiteError):
    """The requester's side failed, and may work later."""

    fault = Fault.THEIRS
    again = True


class SiteMisconfigured(SiteError):
    """The site is set up wrongly."""

    fault = Fault.OURS
    again = False


class SiteUnavailable(SiteError):
    """The site failed, and may work later."""

    fault = Fault.OURS
    again = True


_CLASSES: dict[tuple[Fault, bool], type[SiteError]] = {
    (kind.fault, kind.again): kind
    for kind in (RequestRejected, RequestDeferred, SiteMisconfigured, SiteUnavailable)
}


def refuse(code: Refusal | Code, detail: str = "") -> SiteError:
    """Return the exception of ``code``, of the class that its explanation names."""
    known = _explanation(code)
    return _CLASSES[known.fault, known.again](code, detail)


def explain(code: Refusal | Code, detail: str = "") -> dict[str, str]:
    """Return code, message and advice, as a page or the API shows them."""
    known = _explanation(code)
    message = f"{known.sentence[:-1]}: {detail}." if detail else known.sentence
    return {"code": code.value, "message": message, "advice": known.advice}


def _explanation(code: Refusal | Code) -> RefusalExplanation | Explanation:
    return REFUSALS[code] if isinstance(code, Refusal) else EXPLANATIONS[code]


def explain_code(code: str | None) -> dict[str, str] | None:
    """Return :func:`explain` for the code that ended or delays a run; None where there is none.

    A code that this version no longer knows is explained as internal.
    """
    if not code:
        return None
    if code in (Refusal.PAIR_WITHDRAWN, Refusal.SAME_WEIGHTS):
        return explain(Refusal(code))
    return explain(Code(code) if code in set(Code) else Code.INTERNAL)


# --- databases' errors, which quote rows


def sqlstate(failure: BaseException) -> str:
    """Return PostgreSQL's five-character code of a database error, or else its class's name.

    The error's own text is never used: its DETAIL quotes the row that failed.
    """
    state = getattr(failure.__cause__, "sqlstate", None)
    return str(state) if state else type(failure).__name__


_CONFLICTS = {
    "user_name_unique_without_case": Refusal.NAME_TAKEN,
    "accounts_user_username_key": Refusal.NAME_TAKEN,
    "organisation_name_unique_without_case": Refusal.NAME_TAKEN,
    "organisation_name_looks_like_no_other": Refusal.NAME_ALIKE,
    "accounts_organisation_name_key": Refusal.NAME_TAKEN,
    "model_name_unique_without_case": Refusal.MODEL_TAKEN,
    "submissions_model_name_key": Refusal.MODEL_TAKEN,
    "submission_once_per_key": Refusal.KEY_REUSED,
    "published_publishedtable_slug_key": Refusal.ALREADY_REGISTERED,
    "published_publishedtable_digest_key": Refusal.ALREADY_REGISTERED,
}
"""Refusal of each unique constraint that requests can race for; any other is ``conflict``."""
_RACES = frozenset({"23505", "23503", "23P01"})
"""Unique, foreign-key and exclusion violations: another request was quicker."""
_CANCELLED = frozenset({"57014", "55P03", "40P01", "40001", "25P03"})
"""Statement time-out, lock time-out, deadlock, serialisation failure, idle transaction."""


def refusal_of(failure: BaseException) -> SiteError:
    """Return the refusal for a database's error, with its code and none of its text.

    A race is the loser's ``conflict``, a value that no column holds is ``bad_request``; the site's
    own faults are ``busy``, ``database_away`` and ``internal``.
    """
    state = sqlstate(failure)
    if isinstance(failure, IntegrityError) and state in _RACES:
        diagnostics = getattr(failure.__cause__, "diag", None)
        constraint = getattr(diagnostics, "constraint_name", None) or ""
        return refuse(_CONFLICTS.get(constraint, Refusal.CONFLICT))
    if isinstance(failure, DataError):
        return refuse(Refusal.BAD_REQUEST)
    if isinstance(failure, OperationalError | InterfaceError):
        return refuse(Refusal.BUSY if state in _CANCELLED else Refusal.DATABASE_AWAY, state)
    return refuse(Refusal.INTERNAL, state)


@contextmanager
def conflicts_refused() -> Iterator[None]:
    """Turn a lost race for a unique name into its refusal.

    All writes of the block are undone then, and no others.
    """
    try:
        with transaction.atomic():
            yield
    except IntegrityError as failure:
        if sqlstate(failure) not in _RACES:
            raise
        raise refusal_of(failure) from None


@contextmanager
def quiet_database() -> Iterator[None]:
    """Turn a database's error into ``busy``, ``database_away`` or ``internal``.

    The refusal has the error's code and none of its text.
    """
    try:
        yield
    except (OperationalError, InterfaceError) as failure:
        raise refusal_of(failure) from None
    except DatabaseError as failure:
        raise refuse(Refusal.INTERNAL, sqlstate(failure)) from None


class QuietFormatter(logging.Formatter):
    """Formatter of exceptions as stack and class, without the rows that a database quotes."""

    def formatException(  # noqa: N802 - the standard library's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Return the stack, then the class's name and, for a database's error, its code."""
        kind, failure, trace = ei
        if kind is None or failure is None:
            return ""
        lines = []
        while trace is not None:
            code = trace.tb_frame.f_code
            lines.append(f'  File "{code.co_filename}", line {trace.tb_lineno}, in {code.co_name}')
            trace = trace.tb_next
        last = kind.__name__
        if isinstance(failure, DatabaseError):
            last += f" {sqlstate(failure)}"
        lines.append(last)
        return "\n".join(lines)
