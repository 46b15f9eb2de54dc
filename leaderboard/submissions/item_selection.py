"""Item selection: which blocks and items of a sealed set a new run is scored on."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import takewhile
from typing import cast

from django.conf import settings

from evaluator import policy
from evaluator.contract import BlockId, Tier
from evaluator.ledger.manifests import Manifest
from evaluator.ledger.notices import retired, retired_blocks
from leaderboard.benchmarks.models import ItemSet
from leaderboard.errors import Refusal, refuse
from leaderboard.ledger.models import Entry, Evaluator, ListedEndpoint, Party
from leaderboard.submissions.models import Run, Submission, blocks_asked
from leaderboard.submissions.states import RunState


@dataclass(frozen=True)
class ItemSelection:
    """Blocks of a sealed set, ascending, and the items in them that are not retired.

    ``may_be_shown`` is False for a tier that is shown nothing of the set. There are no blocks then,
    and neither where all that the tier is shown are retired.
    """

    tier: Tier
    may_be_shown: bool
    blocks: tuple[BlockId, ...]
    items: frozenset[int]


def recipient_of(submission: Submission) -> str:
    """Return who will see the items: ``jail`` for weights, else the endpoint's host and port."""
    if not submission.is_endpoint:
        return policy.JAIL
    return policy.recipient_of(submission.url)


def tier_of(submission: Submission) -> Tier:
    """Return the tier that the site grants.

    The evaluator's own list decides; this may only be stricter. An endpoint is T1 where it is
    listed exactly as it was submitted and comes without a key of the submitter's. The tier of its
    party, where one is registered, lowers that, and so do the lists that the evaluators announce:
    an endpoint that all of them show public items only is known before its run is queued.
    """
    if not submission.is_endpoint:
        return policy.JAIL_TIER
    asked = policy.EndpointId(
        submission.url,
        submission.served_model,
        submission.api,
        submission.provider,
    )
    rows = ListedEndpoint.objects.filter(url=submission.url)
    tier: Tier = policy.endpoint_tier(
        asked,
        own_key=bool(submission.sealed_keys),
        listed=[row.identity for row in rows],
        season_open=True,
    )
    party = Party.objects.filter(recipient=recipient_of(submission)).first()
    if party:
        tier = policy.stricter(tier, cast("Tier", party.tier))
    tiers: list[Tier] = []
    announces_all = True
    for evaluator in Evaluator.objects.of_pool(settings.POOL).live():
        published = evaluator.endpoint_policy()
        if published is None:
            # It is of a release that announces no list.
            announces_all = False
            continue
        announced = policy.announced_tier(
            asked,
            published,
            own_key=bool(submission.sealed_keys),
            season=submission.pair.season,
        )
        tiers.append(announced)
    if tiers and announces_all:
        # The widest one that any of them gives.
        tier = policy.stricter(tier, min(tiers))
    return tier


def stages_asked(
    item_set: ItemSet, manifest: Manifest, recipient: str, gone: Collection[BlockId]
) -> int:
    """Return the number of a set's stages that a provider was asked whole in closed cohorts.

    Runs of the open cohort do not count: all runs of a provider in one cohort are asked the same,
    and no stage can be used up before anything could be learned from the one before. A run that
    failed does not count either. A stage of which every block is retired counts as asked.
    """
    exposures = Entry.objects.filter(
        kind="exposure",
        set_name=item_set.name,
        recipient=recipient,
        tier=policy.STAGED_TIER,
    )
    # An adaptive run is asked some items of all stages, and none of them whole.
    whole_runs = Run.objects.filter(state=RunState.RANKED, plan__isnull=True)
    runs = whole_runs.filter(pk__in=exposures.values("run"))
    most = 0
    for selection in ([], *blocks_asked(item_set, runs)):
        asked_or_gone = frozenset(selection).union(gone)
        whole_stages = list(takewhile(asked_or_gone.issuperset, manifest.stages))
        most = max(most, len(whole_stages))
    return most


def select_items(submission: Submission, *, staged: bool = True) -> ItemSelection:
    """Return the item selection of a new run: the blocks of its tier, without retired items.

    All self-declared endpoints of a season have the same one. A listed endpoint has the stages that
    its provider was asked before this cohort, and one more; all of them unless ``staged``. The
    selection may be empty: ``admission`` says what follows. On a practice pair nothing sealed is
    selected, and an endpoint has the tier that is shown nothing sealed.
    """
    pair = submission.pair
    if pair.practice:
        tier = policy.PUBLIC_TIER if submission.is_endpoint else policy.JAIL_TIER
        return ItemSelection(tier, True, (), frozenset())
    manifest = pair.private.facts()
    if manifest is None:
        raise refuse(Refusal.BAD_REGISTRATION, pair.private.name)
    tier = tier_of(submission)
    notices = pair.private.signed_notices()
    gone = retired_blocks(manifest, notices)
    stage = None
    if staged and tier == policy.STAGED_TIER:
        stage = stages_asked(pair.private, manifest, recipient_of(submission), gone)
    permitted = policy.blocks(tier, manifest, season=pair.season, stage=stage)
    blocks = tuple(block for block in permitted if block not in gone)
    items: frozenset[int] = frozenset()
    if blocks:
        items = manifest.indices(blocks) - retired(manifest, notices)
    return ItemSelection(tier, bool(permitted), blocks, items)
