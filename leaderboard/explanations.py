"""Sentence, next step and HTTP status of each reason why the site does not accept a request."""

from evaluator.errors import Fault
from leaderboard.refusals import Refusal, RefusalExplanation

REFUSALS: dict[Refusal, RefusalExplanation] = {
    Refusal.BAD_REQUEST: RefusalExplanation(
        400, "The request is not valid.", "Read the API's documentation at /api/v1/docs."
    ),
    Refusal.BAD_ADDRESS: RefusalExplanation(
        400,
        "The address has a control character in its path or query.",
        "Leave it out: no name here has one.",
    ),
    Refusal.BAD_JSON: RefusalExplanation(
        400, "The body is not a JSON object.", "Send one JSON object, in UTF-8."
    ),
    Refusal.INVALID_FIELD: RefusalExplanation(
        422, "A field is missing, unknown or not valid.", "Mend the fields named."
    ),
    Refusal.UNAUTHORIZED: RefusalExplanation(
        401, "This needs a valid token.", "Send 'Authorization: Bearer TOKEN'."
    ),
    Refusal.FORBIDDEN: RefusalExplanation(
        403, "This is not allowed.", "Sign in with an account that may do it."
    ),
    Refusal.NOT_FOUND: RefusalExplanation(404, "There is nothing here.", "Check the address."),
    Refusal.TOO_LARGE: RefusalExplanation(413, "The body is too large.", "Send a smaller one."),
    Refusal.KEY_MISSING: RefusalExplanation(
        400,
        "The header Idempotency-Key is missing or not valid.",
        "Send one of 1 to 100 letters, digits, '-' or '_'.",
    ),
    Refusal.KEY_REUSED: RefusalExplanation(
        409,
        "This Idempotency-Key belongs to another submission.",
        "Send a new key with a new submission.",
    ),
    Refusal.MODEL_TAKEN: RefusalExplanation(
        409, "Another organisation has a model of this name.", "Choose another name for the model."
    ),
    Refusal.MODEL_OF_OTHER: RefusalExplanation(
        409,
        "The model belongs to another of your organisations.",
        "Choose that organisation, or another name for the model.",
    ),
    Refusal.MODEL_ALIKE: RefusalExplanation(
        409,
        "Another organisation has a model of a name that looks the same.",
        "Choose a name that readers can tell from it.",
    ),
    Refusal.MODEL_RENAMED: RefusalExplanation(
        409,
        "A model had this name before, and the name still leads to it.",
        "Use the model's present name, or choose another one.",
    ),
    Refusal.TRANSFER_UNKNOWN: RefusalExplanation(
        404,
        "There is no such offer of a model, or it was withdrawn.",
        "Ask an owner of the model's organisation to offer it again.",
    ),
    Refusal.TRANSFER_EXPIRED: RefusalExplanation(
        409,
        "The offer of the model has expired.",
        "Ask an owner of the model's organisation to offer it again.",
    ),
    Refusal.MODEL_DIFFERS: RefusalExplanation(
        409,
        "The model is known with other facts.",
        "Leave the facts as they are, or choose another name.",
    ),
    Refusal.UNKNOWN_PAIR: RefusalExplanation(
        422, "There is no pair of sets of this name.", "Choose one listed at /sets."
    ),
    Refusal.BAD_API_KEY: RefusalExplanation(
        422,
        "The endpoint's API key is not usable.",
        "Give the bare key: printable ASCII, no spaces.",
    ),
    Refusal.BAD_HUB_TOKEN: RefusalExplanation(
        422,
        "The access token to the hub is not usable.",
        "Give the bare token, such as hf_…: letters, digits, '.', '_' and '-'.",
    ),
    Refusal.CONTEXT_TOO_SHORT: RefusalExplanation(
        422,
        "The model's context is too short for the benchmark's answers.",
        "Submit a model with a longer context, or choose another benchmark.",
    ),
    Refusal.NO_WORKER: RefusalExplanation(
        422,
        "No worker of the evaluators holds the model.",
        "Submit a smaller or a quantised model, or ask the maintainers for such a worker.",
    ),
    Refusal.NO_PROBER: RefusalExplanation(
        503, "No evaluator can ask it now.", "Check again later, or submit.", Fault.OURS, again=True
    ),
    Refusal.NO_EVALUATOR: RefusalExplanation(
        503,
        "No evaluator is registered that could hold this key.",
        "Try again later.",
        Fault.OURS,
        again=True,
    ),
    Refusal.NOT_NOW: RefusalExplanation(
        409, "The run's state does not allow this.", "Look at the run's page."
    ),
    Refusal.KEY_NEEDED: RefusalExplanation(
        422,
        "The run needs the endpoint's API key again: the one before was refused or has been"
        " erased.",
        "Give a valid key.",
    ),
    Refusal.CONTINUED_TOO_OFTEN: RefusalExplanation(
        409, "The run has been continued as often as is allowed.", "Submit the model again."
    ),
    Refusal.ALREADY_WATCHED: RefusalExplanation(
        409,
        "This endpoint is on the watch list of this benchmark already.",
        "End that watch first.",
    ),
    Refusal.NOT_RESCORED: RefusalExplanation(
        409,
        "Some runs have not been graded again by this grader.",
        "Have them graded again first, or leave them out.",
    ),
    Refusal.PAIR_ADAPTIVE: RefusalExplanation(
        409,
        "Runs on this pair were asked by plans that follow from its grader's outcomes.",
        "Register another pair over the same sets, without the adaptive test.",
    ),
    Refusal.NO_ORGANISATION: RefusalExplanation(
        403, "You belong to no organisation.", "Make an account with an organisation of your own."
    ),
    Refusal.BAD_REGISTRATION: RefusalExplanation(
        400,
        "What is to be registered is not valid.",
        "Make it again with the engine's commands.",
        Fault.OURS,
    ),
    Refusal.ALREADY_REGISTERED: RefusalExplanation(
        409, "Something else is registered under this name.", "Choose another name.", Fault.OURS
    ),
    Refusal.BAD_TABLE: RefusalExplanation(
        400,
        "The published table cannot be read.",
        "Mend the lines named; nothing of it was stored.",
        Fault.OURS,
    ),
    Refusal.BAD_OVERLAP: RefusalExplanation(
        400,
        "This is no report of an overlap that can be published.",
        "Send report.json as holdfast overlap wrote it; nothing of it was stored.",
        Fault.OURS,
    ),
    Refusal.OVERLAP_NOT_PUBLIC: RefusalExplanation(
        422,
        "The report is of no public set that is registered here.",
        "Make it with --set naming the public set's own file. Of a sealed set none is published.",
    ),
    Refusal.BAD_HEAD: RefusalExplanation(
        400,
        "The signed tree head does not verify for this set.",
        "Give the head that was sealed with it.",
        Fault.OURS,
    ),
    Refusal.BAD_NOTICE: RefusalExplanation(
        400,
        "The notice does not verify for this set.",
        "Make it again with 'python -m evaluator notice'.",
        Fault.OURS,
    ),
    Refusal.BAD_BUNDLE: RefusalExplanation(
        400,
        "The release bundle does not verify.",
        "Make it again with 'python -m evaluator release'.",
        Fault.OURS,
    ),
    Refusal.BAD_STEP: RefusalExplanation(
        409,
        "The state of the set's release does not allow this.",
        "Look at the set's release page.",
    ),
    Refusal.SECOND_PERSON: RefusalExplanation(
        403,
        "The maintainer who proposed a release cannot publish it.",
        "Ask another maintainer to publish it.",
    ),
    Refusal.NO_SUCCESSOR: RefusalExplanation(
        409,
        "A release needs a sealed successor.",
        "Register the next sealed set and name it as successor.",
    ),
    Refusal.PAIR_RETIRED: RefusalExplanation(
        409,
        "Every block of this pair's sealed set is retired.",
        "Choose the pair that succeeds it.",
    ),
    Refusal.PAIR_RANKED: RefusalExplanation(
        409,
        "A run on this pair has a result.",
        "What was graded stays: a pair with results is never withdrawn.",
    ),
    Refusal.PAIR_WITHDRAWN: RefusalExplanation(
        409, "Maintainers have withdrawn this pair.", "Choose another pair; its page says why."
    ),
    Refusal.SET_OVER: RefusalExplanation(
        409,
        "Nothing new is asked of this sealed set.",
        "Seal and register its successor, and pair that.",
    ),
    Refusal.TERMS_DIFFER: RefusalExplanation(
        409,
        "The sealed set is asked and graded otherwise.",
        "Name the protocol and the grader that it commits to.",
    ),
    Refusal.PROTOCOL_UNPUBLISHED: RefusalExplanation(
        422,
        "There is no published protocol of this id.",
        "Choose one of those that the form lists.",
    ),
    Refusal.GRADER_UNPUBLISHED: RefusalExplanation(
        422, "There is no published grader of this id.", "Choose one of those that the form lists."
    ),
    Refusal.PUBLIC_ONLY: RefusalExplanation(
        422,
        "Sealed items are not sent to this endpoint.",
        "Submit the public-only run instead: it asks public items, and is not ranked.",
    ),
    Refusal.NO_PUBLIC_RUN: RefusalExplanation(
        422, "No practice pair asks this benchmark's public set.", "Practise on another pair."
    ),
    Refusal.SAME_WEIGHTS: RefusalExplanation(
        409,
        "These weights have a run on this benchmark already, under this or another name.",
        "Its result is theirs; submit other weights, or these to another benchmark.",
    ),
    Refusal.UPLOAD_BAD_NAME: RefusalExplanation(
        422,
        "A file has a name that no model needs, or the same as another's.",
        "Leave out all but safetensors, configuration, tokenizer and chat template, without"
        " folders; the command 'submit --folder' does.",
    ),
    Refusal.UPLOAD_EMPTY_FILE: RefusalExplanation(
        422, "A file is empty.", "Save or copy the model again and compare the files' sizes."
    ),
    Refusal.UPLOAD_TOO_MANY_FILES: RefusalExplanation(
        422, "The folder has too many files.", "Save the model again in larger shards."
    ),
    Refusal.UPLOAD_TOO_LARGE: RefusalExplanation(
        422,
        "The files are larger than what may be uploaded.",
        "Submit a smaller or a quantised model, or put it on the hub.",
    ),
    Refusal.UPLOAD_SHARE_USED: RefusalExplanation(
        429,
        "The uploads of your organisation have used their share of the disk.",
        "Delete uploads that are no longer needed at /uploads/, or put the model on the hub.",
    ),
    Refusal.UPLOAD_NO_SPACE: RefusalExplanation(
        503,
        "The site has no space for the upload at the moment.",
        "Try again later: what has come already stays stored. Or put the model on the hub.",
        Fault.OURS,
        again=True,
    ),
    Refusal.UPLOAD_NO_LIST: RefusalExplanation(
        409,
        "The list of the file's chunks has not come.",
        "Send the list before the first chunk.",
    ),
    Refusal.UPLOAD_LIST_DIFFERS: RefusalExplanation(
        422,
        "The list of the file's chunks does not have the declared digest.",
        "The file has changed since it was declared: begin the upload again.",
    ),
    Refusal.UPLOAD_CHUNK_DIFFERS: RefusalExplanation(
        422,
        "The chunk does not have the digest of the list.",
        "Send it again. Where the file has changed since it was declared, begin again.",
    ),
    Refusal.UPLOAD_CHUNK_SIZE: RefusalExplanation(
        422,
        "The chunk is longer or shorter than the declared size of the file leaves.",
        "Send 8 MiB for every chunk but the last, which is the rest of the file.",
    ),
    Refusal.UPLOAD_CUT: RefusalExplanation(
        400, "The connection broke within the chunk.", "Send the chunk again.", again=True
    ),
    Refusal.VERIFIER_MISSING: RefusalExplanation(
        422,
        "By this protocol a verifier chooses among the candidates of a generator.",
        "Name a verifier together with the model, or choose another protocol.",
    ),
    Refusal.VERIFIER_UNUSED: RefusalExplanation(
        422,
        "This protocol has no candidates for a verifier to choose among.",
        "Leave the verifier out, or choose a protocol that has one.",
    ),
    Refusal.UPLOAD_INCOMPLETE: RefusalExplanation(
        409,
        "Some chunks of the upload are missing.",
        "Begin the same upload again: it goes on where it ended.",
    ),
    Refusal.UPLOAD_EXPIRED: RefusalExplanation(
        409,
        "The upload has expired, and its files are deleted.",
        "Upload the folder again.",
    ),
    Refusal.UPLOAD_UNKNOWN: RefusalExplanation(
        422,
        "The organisation that submits has no such upload.",
        "Choose an upload of it, or the organisation that has the upload: /uploads/ lists them.",
    ),
    Refusal.UPLOAD_IN_USE: RefusalExplanation(
        409, "A run still needs the files of this upload.", "Cancel the run, or wait for its end."
    ),
    Refusal.EMBARGO_REFUSED: RefusalExplanation(
        422,
        "An embargo is for weights that are ranked: not for an endpoint, a reference model, a"
        " public benchmark or another protocol.",
        "Submit without an embargo.",
    ),
    Refusal.EMBARGO_RUNNING: RefusalExplanation(
        409,
        "A result of this model is under embargo, and a panel of references would disclose it.",
        "Wait for the end of the embargo.",
    ),
    Refusal.REPLY_REFUSED: RefusalExplanation(
        422,
        "A reply is plain text of 1 to 500 printable characters.",
        "Shorten it, and leave out control characters.",
    ),
    Refusal.REPLY_HIDDEN: RefusalExplanation(
        409,
        "Maintainers hid this reply for the reason that stands in its place.",
        "Ask them to show it again.",
    ),
    Refusal.UPLOAD_DIRECT: RefusalExplanation(
        409,
        "Chunks of this site's uploads go to an object store, not to the site.",
        "Ask for signed addresses of the chunks and send them there, as 'holdfast submit --folder'"
        " does.",
    ),
    Refusal.UPLOAD_NOT_DIRECT: RefusalExplanation(
        409,
        "This site has no object store: its uploads have no signed addresses.",
        "Send the chunks to the site, as 'holdfast submit --folder' does.",
    ),
    Refusal.UPLOAD_STORE_AWAY: RefusalExplanation(
        503,
        "The store of uploads does not answer.",
        "Try again in a minute: what has come already stays stored.",
        Fault.OURS,
        again=True,
    ),
    Refusal.COHORT_SHARE: RefusalExplanation(
        429,
        "The organisation, the submitter, the endpoint's host or the lineage has its run of this"
        " cohort.",
        "Submit or continue it once the board's cohort is closed.",
    ),
    Refusal.SEASON_SHARE: RefusalExplanation(
        429,
        "The organisation, the submitter, the endpoint's host or the lineage has used its runs on"
        " this season's block.",
        "Submit again when the maintainers open the next season, or submit weights.",
    ),
    Refusal.QUEUE_SHARE: RefusalExplanation(
        429,
        "The organisation, or its submitter, has as many runs in the queue or under way as it may.",
        "Submit again when one of them has ended; /mine/ lists your own.",
        again=True,
    ),
    Refusal.QUOTA_USED: RefusalExplanation(
        429,
        "The organisation, or its submitter, has used its official runs on this benchmark.",
        "Submit again then, or ask the maintainers for more; /quotas/ lists what was counted.",
        again=True,
    ),
    Refusal.PRACTICE_SHARE: RefusalExplanation(
        429,
        "The organisation, or its submitter, has used its practice runs of the last 24 hours.",
        "Practise again after as many seconds as Retry-After says, or submit officially.",
        again=True,
    ),
    Refusal.TOO_OFTEN: RefusalExplanation(
        429,
        "This account sends requests too often.",
        "Wait for as many seconds as Retry-After says, then send fewer.",
        again=True,
    ),
    Refusal.UNKNOWN_LINEAGE: RefusalExplanation(
        422, "There is no lineage of this name.", "Register it with 'manage.py register_lineage'."
    ),
    Refusal.UNKNOWN_USER: RefusalExplanation(
        422, "There is no account of this name.", "Sign up first."
    ),
    Refusal.NAME_TAKEN: RefusalExplanation(
        409, "An account or an organisation of this name is here already.", "Choose another name."
    ),
    Refusal.CONFLICT: RefusalExplanation(
        409,
        "Another request has just changed the same thing.",
        "Load the page again and look before you repeat it.",
    ),
    Refusal.TOO_MANY: RefusalExplanation(
        429,
        "There were too many attempts from this address.",
        "Wait a moment, then try again.",
        again=True,
    ),
    Refusal.SCOPE_MISSING: RefusalExplanation(
        403,
        "The token's scope does not include this.",
        "Make a token of that scope at /accounts/tokens/.",
    ),
    Refusal.NAME_ALIKE: RefusalExplanation(
        409,
        "An organisation of a name that looks the same is here already.",
        "Choose a name that readers can tell from it, or ask its owners for an invitation.",
    ),
    Refusal.NAME_KNOWN: RefusalExplanation(
        403,
        "This is the name of an organisation that everybody knows.",
        "Confirm an address at its mail domain and create it at /organisations/, or ask the"
        " maintainers.",
    ),
    Refusal.UNKNOWN_ORGANISATION: RefusalExplanation(
        404, "There is no organisation of this name.", "Look for it at /organisations/."
    ),
    Refusal.ORGANISATION_NOT_YOURS: RefusalExplanation(
        403,
        "You are not a member of this organisation.",
        "Choose one of yours; /organisations/ lists them.",
    ),
    Refusal.NOT_A_MEMBER: RefusalExplanation(
        404, "The organisation has no member of this name.", "Look at the list of its members."
    ),
    Refusal.OWNERS_ONLY: RefusalExplanation(
        403, "Only an owner of the organisation may do this.", "Ask one of its owners."
    ),
    Refusal.LAST_OWNER: RefusalExplanation(
        409,
        "An organisation needs an owner, and this is the last one.",
        "Make another member an owner first.",
    ),
    Refusal.INVITATION_UNKNOWN: RefusalExplanation(
        404,
        "There is no such invitation, or it was withdrawn.",
        "Open the whole link of the mail, or ask for a new invitation.",
    ),
    Refusal.INVITATION_USED: RefusalExplanation(
        409,
        "The invitation has been used.",
        "If it was not by you, tell an owner of the organisation, who can send a new one.",
    ),
    Refusal.INVITATION_EXPIRED: RefusalExplanation(
        409,
        "The invitation has expired.",
        "Ask an owner of the organisation for a new one.",
    ),
    Refusal.INVITATION_FOR_ANOTHER: RefusalExplanation(
        403,
        "The invitation is for another address.",
        "Sign in with the account whose confirmed address the mail was sent to, or ask for an"
        " invitation to yours.",
    ),
    Refusal.WEBHOOK_REFUSED: RefusalExplanation(
        422,
        "This address may not be called.",
        "Give https://NAME/PATH with a public name, without user, query and fragment.",
    ),
    Refusal.TOO_MANY_WEBHOOKS: RefusalExplanation(
        409,
        "The organisation has as many webhooks as it may.",
        "Remove one that is not needed.",
    ),
    Refusal.MAIL_AWAY: RefusalExplanation(
        503,
        "The mail server does not take the mail.",
        "Try again in a few minutes.",
        Fault.OURS,
        again=True,
    ),
    Refusal.PROVIDER_AWAY: RefusalExplanation(
        503,
        "The site that you sign in with does not answer.",
        "Try again in a few minutes, or sign in with a password.",
        Fault.OURS,
        again=True,
    ),
    Refusal.BUSY: RefusalExplanation(
        503,
        "The site is busy and gave this request up.",
        "Try again in a few seconds.",
        Fault.OURS,
        again=True,
    ),
    Refusal.DATABASE_AWAY: RefusalExplanation(
        503,
        "The site cannot reach its database.",
        "Try again in a few seconds.",
        Fault.OURS,
        again=True,
    ),
    Refusal.INTERNAL: RefusalExplanation(
        500, "Something failed that should not.", "Report it with the time.", Fault.OURS, again=True
    ),
}
