"""Explanations: for each code the party that has to act, one sentence and one next step."""

from evaluator.errors.checkpoints import CHECKPOINTS
from evaluator.errors.codes import Code, Explanation, ours, theirs

EXPLANATIONS: dict[Code, Explanation] = {
    Code.BAD_MESSAGE: ours(
        "A message did not follow the contract.", "Check that both programs are of one version."
    ),
    Code.UNKNOWN_PROTOCOL: ours(
        "There is no protocol of this name here.",
        "Choose a published one; where a pair names it, maintainers update this evaluator or"
        " withdraw the pair.",
    ),
    Code.UNKNOWN_GRADER: theirs(
        "There is no grader of this name.", "Choose one of the published graders."
    ),
    Code.GRADER_UNFIT: theirs(
        "This grader does not grade such completions or such items.",
        "Numbers, choices and expressions are read of a text; programs and unit tests need a"
        " protocol whose answers are programs, and a grader that executes them.",
    ),
    Code.PROTOCOL_UNFIT: theirs(
        "This protocol cannot be asked of a system of this kind.",
        "Choose another: weights are given a text, messages go to chat APIs, likelihoods are"
        " read of weights only.",
    ),
    Code.VERIFIER_NEEDED: theirs(
        "By this protocol a second model, the verifier, chooses among the candidates.",
        "Name its folder with --verifier, or choose another protocol.",
    ),
    Code.VERIFIER_UNFIT: theirs(
        "This protocol has no candidates for a verifier to choose among.",
        "Leave --verifier out, or choose a protocol that has one: 'protocols --words' describes"
        " each.",
    ),
    Code.VERIFIER_ENDPOINT: theirs(
        "A verifier is weights that run on the evaluator; an endpoint cannot be one.",
        "Name weights: a folder at a terminal; on a site a checkpoint of the evaluators, a model on"
        " the hub or an upload.",
    ),
    Code.UNKNOWN_SET: ours(
        "The evaluator does not hold this set.", "Install the set on the evaluator."
    ),
    Code.SET_MISMATCH: ours(
        "The evaluator holds another set under this name.",
        "Compare the set's commitment on both sides.",
    ),
    Code.RECIPIENT_REFUSED: theirs(
        "This recipient may not receive sealed items.",
        "Ask the maintainers to add it to the evaluator's list.",
    ),
    Code.PROBE_UNANSWERED: ours(
        "No evaluator answered the check in time.",
        "Check again. If that lasts, see the status page.",
        again=True,
    ),
    Code.PROBE_NEEDS_KEY: theirs(
        "A check does not use the maintainers' key for the endpoint.",
        "Give a key of your own for the check, or submit without one.",
    ),
    Code.PLAN_DIFFERS: ours(
        "The job does not follow the plan that this run began with.",
        "Compare the plan that the run's page shows with the site's database and the ledger.",
    ),
    Code.SET_UNREADABLE: theirs(
        "The set's file cannot be read.", "Check the path and the file's permissions."
    ),
    Code.CORPUS_UNREADABLE: theirs(
        "A file of the corpus cannot be read, or the folder has none of a known kind.",
        "Check path and permissions. Known kinds are .jsonl, .txt, .md and .py, also as .gz.",
    ),
    Code.SET_EMPTY: theirs("The set has no items.", "Give a file with one JSON object a line."),
    Code.SET_BAD_JSON: theirs(
        "A line of the set is not a JSON object.", "Mend the line and try again."
    ),
    Code.SET_MISSING_FIELD: theirs(
        "An item lacks a question, an answer, or another field that its kind needs.",
        "Give each item all fields of its kind, as non-empty texts.",
    ),
    Code.SET_DUPLICATE_QUESTION: theirs(
        "Two items ask the same question.", "Remove one of the two."
    ),
    Code.SET_GOLD_NOT_NUMERIC: theirs(
        "An item's answer does not end in a number.",
        "End it in '#### N' with a decimal number, or make it the bare number.",
    ),
    Code.SET_GOLD_UNREADABLE: theirs(
        "The grader of the set's kind cannot read an item's answer.",
        "Give an expression in LaTeX or plain text, the letter of a choice, or a Python literal.",
    ),
    Code.SET_UNKNOWN_KIND: theirs(
        "An item has an unknown kind.",
        "Use number, expression, choice, program or tests, or leave the field 'kind' out.",
    ),
    Code.SET_BAD_FIELD: theirs(
        "A field of an item does not fit its kind.",
        "Mend the field that is named, or leave it out where it belongs to another kind.",
    ),
    Code.SET_MIXED_KINDS: theirs(
        "The set has items of more than one kind.",
        "Make a set of each kind: all items of a set are graded by one grader.",
    ),
    Code.SET_REFERENCE_FAILS: theirs(
        "An item's reference solution does not pass its tests.",
        "Execute both, and mend the one that is wrong; 'check' names all such lines.",
    ),
    Code.SET_TESTS_WEAK: theirs(
        "An item's tests let wrong programs pass.",
        "Add tests until a function that returns nothing fails, and four fifths of the mutants do.",
    ),
    Code.SET_TOO_FEW_SHOTS: theirs(
        "The shot pool holds fewer items than the protocol shows.",
        "Give a larger pool with --shots.",
    ),
    Code.RESPONSES_UNREADABLE: theirs(
        "The file of responses cannot be read.",
        "Give one JSON object a line, with 'response' (text or null) and 'gold' as text: a bare"
        " decimal number.",
    ),
    Code.COMPARE_UNFIT: theirs(
        "The two runs are not of the same items.",
        "Give two finished runs on one set, or two files of responses in the same order.",
    ),
    Code.DISTIL_SEALED: theirs(
        "Answers to a sealed set are never made into training data.",
        "Give a run on a public set or a training set, with files outside the folder of a sealed"
        " set.",
    ),
    Code.DISTIL_UNFIT: theirs(
        "Self-training needs a run with several samples of each question, and its set.",
        "Run a set by a protocol with several samples, such as lmsi-5shot-sc32, and give that set.",
    ),
    Code.PROGRAMS_UNREADABLE: theirs(
        "The file of programs cannot be read.",
        "Give one JSON object a line, with 'program' as text, and 'function', 'variable' or"
        " 'tests' where they are wanted.",
    ),
    Code.KEY_UNREADABLE: ours(
        "A key file is missing or is not a key.", "Make keys with 'python -m evaluator keygen'."
    ),
    Code.KEY_PERMISSIONS: ours(
        "A private key file can be read by others.", "Set its mode to 0400."
    ),
    Code.KEY_EXISTS: ours(
        "A key of this name is already there.",
        "Choose an empty folder: keys are never overwritten.",
    ),
    Code.SEAL_BROKEN: ours(
        "The sealed set does not match its commitment.",
        "Restore the set from its backup; do not use this copy.",
    ),
    Code.NOT_ENROLLED: ours(
        "The set is not sealed to this evaluator's key.", "Enrol this host for the set."
    ),
    Code.JOURNAL_BROKEN: ours(
        "The exposure journal does not verify.",
        "Stop the evaluator and restore the journal from its backup.",
    ),
    Code.HEAD_INVALID: ours(
        "A signed tree head does not verify.",
        "Get it again from who signed it; do not mend it by hand.",
    ),
    Code.ALLOCATION_INVALID: ours(
        "The strata and blocks asked for do not fit the set.",
        "Seal with one of the allocations that are listed, or with more items.",
    ),
    Code.BLOCK_REFUSED: ours(
        "This recipient may not see these blocks of the set.",
        "Compare the tiers and the season on both sides.",
    ),
    Code.SHEET_UNREADABLE: theirs(
        "A sheet (CSV) does not have the rows and columns it should.",
        "Export it again as UTF-8, separated by commas, with the columns it came with.",
    ),
    Code.ATTESTATION_MISSING: theirs(
        "An author has not attested that no model was used.",
        "Ask the author to fill the attestation in.",
    ),
    Code.CHECK_FAILED: theirs(
        "The set has errors that stop sealing.",
        "Mend the lines that are named; 'python -m evaluator check ITEMS.jsonl --public FILE'"
        " lists all.",
    ),
    Code.SELECTION_IMPOSSIBLE: theirs(
        "The set cannot be matched to the public one at this size.",
        "Ask for fewer items, or write more.",
    ),
    Code.RULE_INVALID: ours(
        "The release rule is not a valid one.", "Write it as docs/operations.md shows."
    ),
    Code.RULE_NOT_MET: ours(
        "The evidence does not meet the release rule.",
        "Wait until it does; the set's page shows what is missing.",
    ),
    Code.EVIDENCE_UNREADABLE: ours(
        "The evidence is not a file that the site wrote.",
        "Export it again with 'manage.py release_progress SLUG --evidence FILE'.",
    ),
    Code.EVIDENCE_DIFFERS: ours(
        "The statement is about another set, root or evidence.",
        "Sign anew over the files that you hold.",
    ),
    Code.STATEMENT_UNREADABLE: ours(
        "The release statement is not a valid one.", "Make it again with 'sign'."
    ),
    Code.NOT_A_MAINTAINER: ours(
        "This key is not one of the maintainers' in the manifest.",
        "Sign with the key the set was sealed under.",
    ),
    Code.SIGNATURE_INVALID: ours(
        "A signature does not verify.", "Remove it, or ask its maintainer to sign again."
    ),
    Code.QUORUM_MISSING: ours(
        "Too few maintainers have signed.",
        "Pass the statement on with 'countersign' until the quorum is there.",
    ),
    Code.BUNDLE_BROKEN: ours(
        "The release bundle does not verify.", "Make it again with 'release'."
    ),
    Code.NOTICE_INVALID: ours(
        "A notice about the set is not valid.", "Make it again with 'notice'."
    ),
    **CHECKPOINTS,
    Code.HUB_UNREACHABLE: ours(
        "The hub does not answer, or its connection breaks.",
        "Try again later. What was fetched already stays stored, and a queued run tries again"
        " by itself.",
        again=True,
    ),
    Code.HUB_RATE_LIMITED: ours(
        "The hub accepts no more requests from here for now.",
        "Try again in a few minutes; a queued run does so by itself.",
        again=True,
    ),
    Code.HUB_REDIRECTED: ours(
        "The hub redirects to an address that may not be called.",
        "Maintainers: compare HF_ENDPOINT with the hub's documentation.",
    ),
    Code.HUB_FAILED: ours(
        "The hub gave an answer that its client does not understand.",
        "Try again later. Maintainers: compare HF_ENDPOINT and the release of huggingface_hub.",
        again=True,
    ),
    Code.HUB_FILE_DIFFERS: ours(
        "The hub sent a file that differs from its own listing of it.",
        "Try again later. Where it stays so, upload the file to the hub again.",
        again=True,
    ),
    Code.HUB_NOT_FOUND: theirs(
        "The hub has no such repository, or it is private.",
        "Compare the spelling of organisation/name; make the repository public, or give an access"
        " token that may read it.",
    ),
    Code.HUB_GATED: theirs(
        "The repository is gated: the hub gives its files only to accounts that were admitted.",
        "Give an access token of an account that was admitted, or open the repository.",
    ),
    Code.HUB_REVISION_GONE: theirs(
        "The repository has no such revision, or its commit is gone from the hub.",
        "Name a branch, a tag or a commit that the repository's page lists, and submit it anew.",
    ),
    Code.HUB_BAD_FILES: theirs(
        "The repository's listing names paths or files that no model needs.",
        "Upload the model into a repository of its own, with its files at the top.",
    ),
    Code.HUB_TOO_LARGE: theirs(
        "The model's files are larger than what is fetched here.",
        "Submit a smaller or a quantised model, or ask the maintainers for a higher limit.",
    ),
    Code.UPLOAD_UNREACHABLE: ours(
        "The site does not give the uploaded files, or the connection breaks.",
        "What was fetched already stays stored, and a queued run tries again by itself.",
        again=True,
    ),
    Code.UPLOAD_DIFFERS: ours(
        "The site sent a file that differs from what was uploaded.",
        "A queued run tries again by itself. Maintainers: check the disk of HOLDFAST_UPLOADS.",
        again=True,
    ),
    Code.UPLOAD_GONE: ours(
        "The site refuses the uploaded files to this evaluator.",
        "Maintainers: compare HOLDFAST_SITE with the site's address, and the clocks of both.",
        again=True,
    ),
    Code.UPLOAD_NO_SITE: ours(
        "This evaluator does not know the address of the site, which has the uploaded files.",
        "Maintainers: set HOLDFAST_SITE on the evaluators.",
        elsewhere=True,
    ),
    Code.STORE_TOO_SMALL: ours(
        "The model does not fit into the store of this evaluator next to the models in use.",
        "Maintainers: raise HOLDFAST_STORE_GIB on a host with a larger disk.",
        elsewhere=True,
    ),
    Code.JAIL_MISSING: ours(
        "Bubblewrap is missing, so no model can be shut in.",
        "Install bubblewrap on the evaluator's host.",
        elsewhere=True,
    ),
    Code.SANDBOX_MISSING: ours(
        "This machine cannot shut a program in, so it executes none that a model wrote.",
        "Install bubblewrap and libseccomp ('apt-get install bubblewrap libseccomp2'), and allow"
        " user namespaces where this does not run as root.",
        elsewhere=True,
    ),
    Code.SANDBOX_FAILED: ours(
        "The sandbox for programs did not start.",
        "Try it with 'python -m evaluator doctor'; look at the host's free memory and processes.",
        again=True,
    ),
    Code.HOST_FAILED: theirs(
        "The model server stopped while loading or answering.",
        "Check that the checkpoint loads on your side.",
    ),
    Code.HOST_TIMEOUT: ours(
        "The model server was not ready in time.",
        "Try again when the host is less busy.",
        again=True,
    ),
    Code.HOST_DIED: ours(
        "The model server was ended, or crashed, before it had answered.",
        "Maintainers: look at the evaluator's host. Where every attempt ends so, the checkpoint"
        " may be what ends it.",
        elsewhere=True,
    ),
    Code.HOST_HUNG: ours(
        "The model server stopped responding.",
        "Maintainers: look at the evaluator's host. Where every attempt ends so, the checkpoint"
        " may be what stops it.",
        elsewhere=True,
    ),
    Code.HOST_RESOURCES: ours(
        "The evaluator's host lacks file descriptors, processes or memory to start a program.",
        "Raise the limits of the evaluator's service: see docs/operations.md.",
        again=True,
    ),
    Code.ENGINE_MISSING: ours(
        "A package that the engine needs is not installed on the evaluator's host.",
        "Install it there: requirements/hosts.txt lists what engines need.",
        elsewhere=True,
    ),
    Code.ENGINE_OOM: ours(
        "The model does not fit into the memory of this host.",
        "Run it on a host with more or larger GPUs.",
        elsewhere=True,
    ),
    Code.ENGINE_WRONG: ours(
        "The engine does not pass the self-test of the evaluator's host.",
        "Run 'python -m evaluator doctor' there, and install the pinned release of the engine.",
        elsewhere=True,
    ),
    Code.HARNESS_SEALED: theirs(
        "A sealed set never goes through lm-evaluation-harness, which keeps what it asks.",
        "Give a public file.",
    ),
    Code.HARNESS_FAILED: ours(
        "lm-evaluation-harness did not finish the task.",
        "Check the task's name and the fields that it wants.",
    ),
    Code.PROMPT_TOO_LONG: theirs(
        "A prompt does not fit into the model's context.",
        "Choose a protocol with fewer shots, or a longer context.",
    ),
    Code.ENDPOINT_REFUSED: theirs(
        "This address may not be called.", "Give a public https address."
    ),
    Code.ENDPOINT_UNREACHABLE: theirs(
        "The endpoint cannot be reached.", "Check that it is up, then continue the run.", again=True
    ),
    Code.ENDPOINT_TIMEOUT: theirs(
        "The endpoint did not answer in time.",
        "Check that it is up, then continue the run.",
        again=True,
    ),
    Code.ENDPOINT_ERROR: theirs(
        "The endpoint answers with server errors.",
        "Check its own log, then continue the run.",
        again=True,
    ),
    Code.ENDPOINT_BAD_RESPONSE: theirs(
        "The endpoint's answer is not an OpenAI-compatible completion.",
        "Check the address and the kind of API.",
    ),
    Code.ENDPOINT_UNAUTHORIZED: theirs(
        "The endpoint refuses the API key.", "Continue the run with a valid key."
    ),
    Code.ENDPOINT_NOT_FOUND: theirs(
        "The endpoint does not know this path or model.", "Check the address and the model."
    ),
    Code.ENDPOINT_RATE_LIMITED: theirs(
        "The endpoint refuses more requests.", "Raise its limit, then continue the run.", again=True
    ),
    Code.ENDPOINT_REDIRECTED: theirs(
        "The endpoint redirects, which is never followed.", "Give the final address."
    ),
    Code.ENDPOINT_REJECTED: theirs(
        "The endpoint rejects the request as such.",
        "Check the kind of API and the model, then read its own log.",
    ),
    Code.ENDPOINT_REFUSES_ITEMS: theirs(
        "The endpoint refuses to answer most of the items.",
        "Check its content filter and the rights of the key, then continue the run.",
    ),
    Code.ENDPOINT_REASONING_ONLY: theirs(
        "The endpoint puts whole answers into the reasoning field and leaves the content empty.",
        "Correct the server's reasoning parser, then continue the run.",
    ),
    Code.ENDPOINT_NO_CREDIT: theirs(
        "The account behind the API key has no credit left.",
        "Add credit at the provider, then continue the run.",
    ),
    Code.ENDPOINT_STREAM_ONLY: theirs(
        "The endpoint only streams its answers.",
        "Give an address that answers a request without 'stream' as a whole.",
    ),
    Code.ENDPOINT_OUTPUT_LIMIT: theirs(
        "The endpoint writes fewer tokens than the protocol allows an answer.",
        "Choose a protocol with a lower limit, or raise the endpoint's.",
    ),
    Code.ENDPOINT_NO_MAX_TOKENS: theirs(
        "The endpoint refuses the parameter max_tokens.",
        "Choose a protocol that sends max_completion_tokens, such as gsm1k-0shot-reasoning-api.",
    ),
    Code.ENDPOINT_NO_MAX_COMPLETION_TOKENS: theirs(
        "The endpoint refuses the parameter max_completion_tokens.",
        "Choose a protocol that sends max_tokens, such as gsm1k-5shot-api-2.",
    ),
    Code.ENDPOINT_NO_TEMPERATURE: theirs(
        "The endpoint refuses the parameter temperature.",
        "Choose a protocol that sends none, such as gsm1k-0shot-reasoning-api.",
    ),
    Code.ENDPOINT_NO_STOP: theirs(
        "The endpoint refuses the parameter stop.",
        "Choose a protocol that sends none, such as gsm1k-0shot-reasoning-api.",
    ),
    Code.ENDPOINT_NO_SEED: theirs(
        "The endpoint refuses the parameter seed.",
        "Choose a protocol that draws nothing at random.",
    ),
    Code.BUDGET_SPENT: theirs(
        "What this run may spend is spent.",
        "Raise the cap and start it again: it goes on where it stopped.",
    ),
    Code.KEY_NOT_SEALED: ours(
        "The endpoint's API key is sealed to other evaluators than the ones that run now.",
        "Start one of those evaluators, or submit again.",
        again=True,
    ),
    Code.UNKNOWN_VERSION: ours(
        "The evaluator does not know the protocol or the message of a newer release.",
        "Install the same release on the site and on the evaluators.",
        again=True,
    ),
    Code.EVALUATOR_AWAY: ours(
        "No evaluator of the run's pool is running.",
        "Start one; the run then begins by itself.",
        again=True,
    ),
    Code.OUT_OF_SERVICE: ours(
        "Every evaluator of the run's pool is out of service.",
        "See the reason that each evaluator announces, and mend it.",
        again=True,
    ),
    Code.LEASE_LOST: ours(
        "The evaluator's lease on the run ended before the attempt did.",
        "See that site, broker and evaluator reach each other, then queue it again.",
        again=True,
    ),
    Code.INCOMPLETE: ours(
        "Some items could not be asked, so the run is not ranked.",
        "Continue it: the items left are asked.",
    ),
    Code.CONTROL_FAILED: ours(
        "The grader does not grade its control items as it must, so the run is worth nothing.",
        "Install the evaluator again from a clean copy, then run its tests.",
    ),
    Code.COMPLETIONS_MISSING: ours(
        "This evaluator keeps no completions of the run on this set.",
        "Ask the evaluator that made the run.",
    ),
    Code.RUN_UNDER_WAY: ours(
        "The run is under way, or was queued again since.",
        "Wait until it has ended, then ask again.",
        again=True,
    ),
    Code.DEADLINE: ours(
        "The run did not end within its time.",
        "Continue it: it goes on where it stopped. Maintainers can set a longer limit.",
    ),
    Code.NOT_STARTED: ours(
        "No evaluator began the run within its time in the queue.",
        "Nothing is wrong with the submission. Continue it once the status page shows an"
        " evaluator in service.",
    ),
    Code.HANDED_BACK: ours(
        "The evaluator was stopped and handed the run back.",
        "You need not do anything: it goes on by itself, with the items that are left.",
        again=True,
    ),
    Code.LOST: ours(
        "The evaluator was lost too often.",
        "Continue it once the status page shows an evaluator in service.",
        again=True,
    ),
    Code.DISK_FULL: ours(
        "The disk is full.",
        "Free some space, then run again: what was graded is stored.",
        again=True,
    ),
    Code.OUT_UNWRITABLE: ours(
        "A folder on the evaluator's host cannot be written.",
        "Make it writable, or choose another.",
        elsewhere=True,
    ),
    Code.OUT_OF_ANOTHER_RUN: theirs(
        "The output folder belongs to another run.",
        "Choose another folder, or the same model, set and protocol.",
    ),
    Code.MISCONFIGURED: ours(
        "A setting is missing or wrong.", "Correct the setting that is named."
    ),
    Code.INTERNAL: ours(
        "Something failed that should not.", "Report it with the code and the run's id.", again=True
    ),
}
