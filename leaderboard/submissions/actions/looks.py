"""Looking at the weights of a submission: on the hub, of an upload, of an adapter and its base."""

from collections.abc import Iterator
from contextlib import contextmanager

from evaluator.artefacts.config import LANGUAGE_MODELS, VERIFIERS
from evaluator.contract.adapters import Base, BaseInFolder, BaseOnHub, UploadedAdapter, base_upload
from evaluator.contract.hub import DEFAULT_REVISION, HubFacts, is_repo
from evaluator.contract.uploads import UploadFacts
from evaluator.errors import Code
from leaderboard.accounts.models import User
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions import hub
from leaderboard.submissions.actions.uploads import reachable, store_of, uploads_for
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import Upload


def facts_of_weights(user: User, ask: Ask) -> HubFacts | UploadFacts:
    """Return the facts of a model on the hub, at the commit of its revision, or of an upload.

    Those of an adapter are of the model that it makes of its base. Raises the HUB_* and
    CHECKPOINT_* codes, ``upload_unknown``, ``upload_expired``, ``upload_incomplete``.
    """
    with _stated_base(user, ask) as base:
        if ask.kind == "hub":
            revision = ask.revision or DEFAULT_REVISION
            return hub.look(ask.repo, revision, ask.hub_token, base)
        upload = _complete_upload(user, ask, ask.upload)
        facts = upload.inspected()
        if facts is None:
            raise refuse(Refusal.UPLOAD_INCOMPLETE)
        if isinstance(facts, UploadFacts):
            if base is not None:
                raise refuse(Code.CHECKPOINT_ADAPTER_NONE)
            return _with_architecture(facts, LANGUAGE_MODELS)
        changed = base
        if changed is None:
            # The author states none: it is the base that the adapter itself names.
            adapter = facts.adapter
            if not adapter.named:
                raise refuse(Code.CHECKPOINT_ADAPTER_NO_BASE)
            revision = adapter.named_revision or DEFAULT_REVISION
            changed = BaseOnHub(repo=adapter.named, revision=revision)
        files = upload.declared()
        store = store_of(upload.organisation)
        with reachable(), store.reading(ask.upload, files) as folder:
            merged = hub.inspect_adapter(folder, changed, ask.hub_token)
    return UploadFacts.of(ask.upload, facts.files, merged)


def facts_of_verifier(user: User, ask: Ask) -> HubFacts | UploadFacts | None:
    """Return the facts of a verifier on the hub, at a commit, or of an upload.

    None for a checkpoint and for none. Raises as ``facts_of_weights``.
    """
    repo, _, revision = ask.verifier.partition("@")
    if is_repo(repo):
        return hub.look(
            repo,
            revision or DEFAULT_REVISION,
            ask.hub_token,
            verifier=True,
        )
    if not base_upload(ask.verifier):
        return None
    facts = _complete_upload(user, ask, ask.verifier).inspected()
    if not isinstance(facts, UploadFacts):
        raise refuse(Code.CHECKPOINT_NO_CONFIG, "an adapter is no verifier")
    return _with_architecture(facts, VERIFIERS)


def _with_architecture(facts: UploadFacts, endings: tuple[str, ...]) -> UploadFacts:
    """Return the facts of an upload, which may be a model or a verifier.

    Raises ``checkpoint_bad_config`` unless its architecture has one of the ``endings``.
    """
    if not facts.architecture.endswith(endings):
        raise refuse(Code.CHECKPOINT_BAD_CONFIG, "architectures")
    return facts


def _complete_upload(user: User, ask: Ask, upload: str) -> Upload:
    """Return a complete upload of the organisation that submits."""
    own = uploads_for(user, ask.organisation)
    related = own.select_related("organisation")
    found = related.filter(pk=upload).first()
    if found is None:
        raise refuse(Refusal.UPLOAD_UNKNOWN)
    if found.state == Upload.State.EXPIRED:
        raise refuse(Refusal.UPLOAD_EXPIRED)
    if found.state != Upload.State.COMPLETE:
        raise refuse(Refusal.UPLOAD_INCOMPLETE)
    return found


@contextmanager
def _stated_base(user: User, ask: Ask) -> Iterator[Base | None]:
    """Give the base that the author stated, None for none, until the block ends."""
    if not ask.base:
        yield None
        return
    if not base_upload(ask.base):
        repo, _, revision = ask.base.partition("@")
        yield BaseOnHub(repo=repo, revision=revision or DEFAULT_REVISION)
        return
    upload = _complete_upload(user, ask, ask.base)
    if isinstance(upload.inspected(), UploadedAdapter):
        raise refuse(Code.CHECKPOINT_ADAPTER_STACKED)
    files = upload.declared()
    store = store_of(upload.organisation)
    with reachable(), store.reading(ask.base, files) as folder:
        yield BaseInFolder(folder=str(folder.absolute()))
