"""Explanations: for each code the party that has to act, one sentence and one next step."""

from evaluator.errors.codes import Code, Explanation, Fault


def _theirs(sentence: str, advice: str, *, again: bool = False) -> Explanation:
    return Explanation(Fault.THEIRS, again, sentence, advice)


def _ours(
    sentence: str, advice: str, *, again: bool = False, elsewhere: bool = False
) -> Explanation:
    return Explanation(Fault.OURS, again, sentence, advice, elsewhere)


EXPLANATIONS: dict[Code, Explanation] = {
    Code.BAD_MESSAGE: _ours(
        "A message did not follow the contract.", "Check that both programs are of one version."
    ),
    Code.UNKNOWN_PROTOCOL: _ours(
        "There is no protocol of this name here.",
        "Choose a published one; where a pair names it, maintainers update this evaluator or"
        " withdraw the pair.",
    ),
    Code.UNKNOWN_GRADER: _theirs(
        "There is no grader of this name.", "Choose one of the published graders."
    ),
    Code.PROTOCOL_UNFIT: _theirs(
        "This protocol cannot be asked of a system of this kind.",
        "Choose another: weights are given a text, messages go to chat APIs, likelihoods are"
        " read of weights only.",
    ),
    Code.UNKNOWN_SET: _ours(
        "The evaluator does not hold this set.", "Install the set on the evaluator."
    ),
    Code.SET_MISMATCH: _ours(
        "The evaluator holds another set under this name.",
        "Compare the set's commitment on both sides.",
    ),
    Code.RECIPIENT_REFUSED: _theirs(
        "This recipient may not receive sealed items.",
        "Ask the maintainers to add it to the evaluator's list.",
    ),
    Code.PLAN_DIFFERS: _ours(
        "The job does not follow the plan that this run began with.",
        "Compare the plan that the run's page shows with the site's database and the ledger.",
    ),
    Code.SET_UNREADABLE: _theirs(
        "The set's file cannot be read.", "Check the path and the file's permissions."
    ),
    Code.CORPUS_UNREADABLE: _theirs(
        "A file of the corpus cannot be read, or the folder has none of a known kind.",
        "Check path and permissions. Known kinds are .jsonl, .txt, .md and .py, also as .gz.",
    ),
    Code.SET_EMPTY: _theirs("The set has no items.", "Give a file with one JSON object a line."),
    Code.SET_BAD_JSON: _theirs(
        "A line of the set is not a JSON object.", "Mend the line and try again."
    ),
    Code.SET_MISSING_FIELD: _theirs(
        "An item lacks a question or an answer.",
        "Give each item both fields, as non-empty strings.",
    ),
    Code.SET_DUPLICATE_QUESTION: _theirs(
        "Two items ask the same question.", "Remove one of the two."
    ),
    Code.SET_GOLD_NOT_NUMERIC: _theirs(
        "An item's answer does not end in a number.",
        "End it in '#### N' with a decimal number, or make it the bare number.",
    ),
    Code.SET_TOO_FEW_SHOTS: _theirs(
        "The shot pool holds fewer items than the protocol shows.",
        "Give a larger pool with --shots.",
    ),
    Code.RESPONSES_UNREADABLE: _theirs(
        "The file of responses cannot be read.",
        "Give one JSON object a line, with 'response' (text or null) and 'gold' as text: a bare"
        " decimal number.",
    ),
    Code.PROGRAMS_UNREADABLE: _theirs(
        "The file of programs cannot be read.",
        "Give one JSON object a line, with 'program' as text, and 'function', 'variable' or"
        " 'tests' where they are wanted.",
    ),
    Code.KEY_UNREADABLE: _ours(
        "A key file is missing or is not a key.", "Make keys with 'python -m evaluator keygen'."
    ),
    Code.KEY_PERMISSIONS: _ours(
        "A private key file can be read by others.", "Set its mode to 0400."
    ),
    Code.KEY_EXISTS: _ours(
        "A key of this name is already there.",
        "Choose an empty folder: keys are never overwritten.",
    ),
    Code.SEAL_BROKEN: _ours(
        "The sealed set does not match its commitment.",
        "Restore the set from its backup; do not use this copy.",
    ),
    Code.NOT_ENROLLED: _ours(
        "The set is not sealed to this evaluator's key.", "Enrol this host for the set."
    ),
    Code.JOURNAL_BROKEN: _ours(
        "The exposure journal does not verify.",
        "Stop the evaluator and restore the journal from its backup.",
    ),
    Code.HEAD_INVALID: _ours(
        "A signed tree head does not verify.",
        "Get it again from who signed it; do not mend it by hand.",
    ),
    Code.ALLOCATION_INVALID: _ours(
        "The strata and blocks asked for do not fit the set.",
        "Seal with one of the allocations that are listed, or with more items.",
    ),
    Code.BLOCK_REFUSED: _ours(
        "This recipient may not see these blocks of the set.",
        "Compare the tiers and the season on both sides.",
    ),
    Code.SHEET_UNREADABLE: _theirs(
        "A sheet (CSV) does not have the rows and columns it should.",
        "Export it again as UTF-8, separated by commas, with the columns it came with.",
    ),
    Code.ATTESTATION_MISSING: _theirs(
        "An author has not attested that no model was used.",
        "Ask the author to fill the attestation in.",
    ),
    Code.CHECK_FAILED: _theirs(
        "The set has errors that stop sealing.",
        "Mend the lines that are named; 'python -m evaluator check ITEMS.jsonl --public FILE'"
        " lists all.",
    ),
    Code.SELECTION_IMPOSSIBLE: _theirs(
        "The set cannot be matched to the public one at this size.",
        "Ask for fewer items, or write more.",
    ),
    Code.RULE_INVALID: _ours(
        "The release rule is not a valid one.", "Write it as docs/operations.md shows."
    ),
    Code.RULE_NOT_MET: _ours(
        "The evidence does not meet the release rule.",
        "Wait until it does; the set's page shows what is missing.",
    ),
    Code.EVIDENCE_UNREADABLE: _ours(
        "The evidence is not a file that the site wrote.",
        "Export it again with 'manage.py release_progress SLUG --evidence FILE'.",
    ),
    Code.EVIDENCE_DIFFERS: _ours(
        "The statement is about another set, root or evidence.",
        "Sign anew over the files that you hold.",
    ),
    Code.STATEMENT_UNREADABLE: _ours(
        "The release statement is not a valid one.", "Make it again with 'sign'."
    ),
    Code.NOT_A_MAINTAINER: _ours(
        "This key is not one of the maintainers' in the manifest.",
        "Sign with the key the set was sealed under.",
    ),
    Code.SIGNATURE_INVALID: _ours(
        "A signature does not verify.", "Remove it, or ask its maintainer to sign again."
    ),
    Code.QUORUM_MISSING: _ours(
        "Too few maintainers have signed.",
        "Pass the statement on with 'countersign' until the quorum is there.",
    ),
    Code.BUNDLE_BROKEN: _ours(
        "The release bundle does not verify.", "Make it again with 'release'."
    ),
    Code.NOTICE_INVALID: _ours(
        "A notice about the set is not valid.", "Make it again with 'notice'."
    ),
    Code.CHECKPOINT_UNKNOWN: _theirs(
        "The evaluator knows no checkpoint of this name.", "Check the folder's name."
    ),
    Code.CHECKPOINT_NO_CONFIG: _theirs(
        "The checkpoint has no config.json.", "Add the model's config.json."
    ),
    Code.CHECKPOINT_BAD_CONFIG: _theirs(
        "A configuration file of the checkpoint is not usable.",
        "Save the model again with its library.",
    ),
    Code.CHECKPOINT_NO_TOKENIZER: _theirs(
        "The checkpoint has no tokenizer.json.", "Save the fast tokenizer in its folder."
    ),
    Code.CHECKPOINT_NO_WEIGHTS: _theirs(
        "The checkpoint has no safetensors file.", "Save the weights as safetensors."
    ),
    Code.CHECKPOINT_PICKLE: _theirs(
        "The checkpoint holds a pickle, which can run code.", "Remove it and keep safetensors only."
    ),
    Code.CHECKPOINT_BAD_HEADER: _theirs(
        "A safetensors file's header is not valid.", "Save the weights again."
    ),
    Code.CHECKPOINT_TRUNCATED: _theirs(
        "A safetensors file is shorter than its header says.",
        "Copy the file again and compare its checksum.",
    ),
    Code.CHECKPOINT_REMOTE_CODE: _theirs(
        "The checkpoint asks to run code of its own.",
        "Use an architecture that the library knows by itself.",
    ),
    Code.CHECKPOINT_BAD_FILE: _theirs(
        "The checkpoint holds something that is not a plain file.",
        "Copy the files themselves, without links.",
    ),
    Code.CHECKPOINT_UNTRUSTED: _theirs(
        "Without bubblewrap only checkpoints that Holdfast ships are run.",
        "Install bubblewrap on the evaluator.",
    ),
    Code.CHECKPOINT_BAD_TEMPLATE: _theirs(
        "The checkpoint's chat template is missing, or does not show the question once and"
        " unchanged.",
        "Mend the template, or choose a protocol that does not use it.",
    ),
    Code.CHECKPOINT_ADAPTER: _theirs(
        "The checkpoint is an adapter, or has one among its files: it is not clear which model"
        " is meant.",
        "Merge it into its base model, and submit the whole model without the adapter's files.",
    ),
    Code.CHECKPOINT_LFS_POINTER: _theirs(
        "A file of the checkpoint is a Git LFS pointer, not the file itself.",
        "Fetch the files with 'git lfs pull' and copy them again.",
    ),
    Code.CHECKPOINT_QUANTISED: _theirs(
        "The weights are quantised in a way that this evaluator's engine cannot read.",
        "Submit the weights in 16 or 32 bits, or ask the maintainers for a pool with another"
        " engine.",
    ),
    Code.CHECKPOINT_MISSING_TENSORS: _theirs(
        "The checkpoint lacks weights that its configuration needs; they would be random numbers.",
        "Save the whole model under its library's names, with its output head where it is not"
        " tied, and compare"
        " config.json with the model.",
    ),
    Code.CHECKPOINT_WRONG_SHAPES: _theirs(
        "Weights of the checkpoint have other shapes than its configuration says.",
        "Save the model and its config.json together.",
    ),
    Code.CHECKPOINT_BAD_NUMBERS: _theirs(
        "Weights of the checkpoint are not finite numbers, or a whole matrix of them is zero.",
        "Save the weights again from a model that gives sensible answers, and compare the copy's"
        " checksum.",
    ),
    Code.CHECKPOINT_TOO_COSTLY: _theirs(
        "Reading the checkpoint's headers or tokenizer takes more memory or time than any real"
        " one's.",
        "Save the model again with its library.",
    ),
    Code.CHECKPOINT_UNKNOWN_MODEL: _theirs(
        "The evaluator's libraries do not know this kind of model, so its weights cannot be"
        " checked.",
        "Use an architecture of the installed Transformers release, or ask the maintainers for a"
        " newer one.",
    ),
    Code.CHECKPOINT_GGUF: _theirs(
        "The model is stored as GGUF only, which the engines here do not read.",
        "Submit the repository that the GGUF file was made from, with its safetensors.",
    ),
    Code.HUB_UNREACHABLE: _ours(
        "The hub does not answer, or its connection breaks.",
        "Try again later. What was fetched already stays stored, and a queued run tries again"
        " by itself.",
        again=True,
    ),
    Code.HUB_RATE_LIMITED: _ours(
        "The hub accepts no more requests from here for now.",
        "Try again in a few minutes; a queued run does so by itself.",
        again=True,
    ),
    Code.HUB_REDIRECTED: _ours(
        "The hub redirects to an address that may not be called.",
        "Maintainers: compare HF_ENDPOINT with the hub's documentation.",
    ),
    Code.HUB_FAILED: _ours(
        "The hub gave an answer that its client does not understand.",
        "Try again later. Maintainers: compare HF_ENDPOINT and the release of huggingface_hub.",
        again=True,
    ),
    Code.HUB_FILE_DIFFERS: _ours(
        "The hub sent a file that differs from its own listing of it.",
        "Try again later. Where it stays so, upload the file to the hub again.",
        again=True,
    ),
    Code.HUB_NOT_FOUND: _theirs(
        "The hub has no such repository, or it is private.",
        "Compare the spelling of organisation/name; make the repository public, or give an access"
        " token that may read it.",
    ),
    Code.HUB_GATED: _theirs(
        "The repository is gated: the hub gives its files only to accounts that were admitted.",
        "Give an access token of an account that was admitted, or open the repository.",
    ),
    Code.HUB_REVISION_GONE: _theirs(
        "The repository has no such revision, or its commit is gone from the hub.",
        "Name a branch, a tag or a commit that the repository's page lists, and submit it anew.",
    ),
    Code.HUB_BAD_FILES: _theirs(
        "The repository's listing names paths or files that no model needs.",
        "Upload the model into a repository of its own, with its files at the top.",
    ),
    Code.HUB_TOO_LARGE: _theirs(
        "The model's files are larger than what is fetched here.",
        "Submit a smaller or a quantised model, or ask the maintainers for a higher limit.",
    ),
    Code.UPLOAD_UNREACHABLE: _ours(
        "The site does not give the uploaded files, or the connection breaks.",
        "What was fetched already stays stored, and a queued run tries again by itself.",
        again=True,
    ),
    Code.UPLOAD_DIFFERS: _ours(
        "The site sent a file that differs from what was uploaded.",
        "A queued run tries again by itself. Maintainers: check the disk of HOLDFAST_UPLOADS.",
        again=True,
    ),
    Code.UPLOAD_GONE: _ours(
        "The site refuses the uploaded files to this evaluator.",
        "Maintainers: compare HOLDFAST_SITE with the site's address, and the clocks of both.",
        again=True,
    ),
    Code.UPLOAD_NO_SITE: _ours(
        "This evaluator does not know the address of the site, which has the uploaded files.",
        "Maintainers: set HOLDFAST_SITE on the evaluators.",
        elsewhere=True,
    ),
    Code.STORE_TOO_SMALL: _ours(
        "The model does not fit into the store of this evaluator next to the models in use.",
        "Maintainers: raise HOLDFAST_STORE_GIB on a host with a larger disk.",
        elsewhere=True,
    ),
    Code.JAIL_MISSING: _ours(
        "Bubblewrap is missing, so no model can be shut in.",
        "Install bubblewrap on the evaluator's host.",
        elsewhere=True,
    ),
    Code.SANDBOX_MISSING: _ours(
        "This machine cannot shut a program in, so it executes none that a model wrote.",
        "Install bubblewrap and libseccomp ('apt-get install bubblewrap libseccomp2'), and allow"
        " user namespaces where this does not run as root.",
        elsewhere=True,
    ),
    Code.SANDBOX_FAILED: _ours(
        "The sandbox for programs did not start.",
        "Try it with 'python -m evaluator doctor'; look at the host's free memory and processes.",
        again=True,
    ),
    Code.HOST_FAILED: _theirs(
        "The model server stopped while loading or answering.",
        "Check that the checkpoint loads on your side.",
    ),
    Code.HOST_TIMEOUT: _ours(
        "The model server was not ready in time.",
        "Try again when the host is less busy.",
        again=True,
    ),
    Code.HOST_DIED: _ours(
        "The model server was ended, or crashed, before it had answered.",
        "Maintainers: look at the evaluator's host. Where every attempt ends so, the checkpoint"
        " may be what ends it.",
        elsewhere=True,
    ),
    Code.HOST_HUNG: _ours(
        "The model server stopped responding.",
        "Maintainers: look at the evaluator's host. Where every attempt ends so, the checkpoint"
        " may be what stops it.",
        elsewhere=True,
    ),
    Code.HOST_RESOURCES: _ours(
        "The evaluator's host lacks file descriptors, processes or memory to start a program.",
        "Raise the limits of the evaluator's service: see docs/operations.md.",
        again=True,
    ),
    Code.ENGINE_MISSING: _ours(
        "A package that the engine needs is not installed on the evaluator's host.",
        "Install it there: requirements/hosts.txt lists what engines need.",
        elsewhere=True,
    ),
    Code.ENGINE_OOM: _ours(
        "The model does not fit into the memory of this host.",
        "Run it on a host with more or larger GPUs.",
        elsewhere=True,
    ),
    Code.HARNESS_SEALED: _theirs(
        "A sealed set never goes through lm-evaluation-harness, which keeps what it asks.",
        "Give a public file.",
    ),
    Code.HARNESS_FAILED: _ours(
        "lm-evaluation-harness did not finish the task.",
        "Check the task's name and the fields that it wants.",
    ),
    Code.PROMPT_TOO_LONG: _theirs(
        "A prompt does not fit into the model's context.",
        "Choose a protocol with fewer shots, or a longer context.",
    ),
    Code.ENDPOINT_REFUSED: _theirs(
        "This address may not be called.", "Give a public https address."
    ),
    Code.ENDPOINT_UNREACHABLE: _theirs(
        "The endpoint cannot be reached.", "Check that it is up, then continue the run.", again=True
    ),
    Code.ENDPOINT_TIMEOUT: _theirs(
        "The endpoint did not answer in time.",
        "Check that it is up, then continue the run.",
        again=True,
    ),
    Code.ENDPOINT_ERROR: _theirs(
        "The endpoint answers with server errors.",
        "Check its own log, then continue the run.",
        again=True,
    ),
    Code.ENDPOINT_BAD_RESPONSE: _theirs(
        "The endpoint's answer is not an OpenAI-compatible completion.",
        "Check the address and the kind of API.",
    ),
    Code.ENDPOINT_UNAUTHORIZED: _theirs(
        "The endpoint refuses the API key.", "Continue the run with a valid key."
    ),
    Code.ENDPOINT_NOT_FOUND: _theirs(
        "The endpoint does not know this path or model.", "Check the address and the model."
    ),
    Code.ENDPOINT_RATE_LIMITED: _theirs(
        "The endpoint refuses more requests.", "Raise its limit, then continue the run.", again=True
    ),
    Code.ENDPOINT_REDIRECTED: _theirs(
        "The endpoint redirects, which is never followed.", "Give the final address."
    ),
    Code.ENDPOINT_REJECTED: _theirs(
        "The endpoint rejects the request as such.",
        "Check the kind of API and the model, then read its own log.",
    ),
    Code.ENDPOINT_REFUSES_ITEMS: _theirs(
        "The endpoint refuses to answer most of the items.",
        "Check its content filter and the rights of the key, then continue the run.",
    ),
    Code.ENDPOINT_REASONING_ONLY: _theirs(
        "The endpoint puts whole answers into the reasoning field and leaves the content empty.",
        "Correct the server's reasoning parser, then continue the run.",
    ),
    Code.ENDPOINT_NO_CREDIT: _theirs(
        "The account behind the API key has no credit left.",
        "Add credit at the provider, then continue the run.",
    ),
    Code.ENDPOINT_STREAM_ONLY: _theirs(
        "The endpoint only streams its answers.",
        "Give an address that answers a request without 'stream' as a whole.",
    ),
    Code.ENDPOINT_OUTPUT_LIMIT: _theirs(
        "The endpoint writes fewer tokens than the protocol allows an answer.",
        "Choose a protocol with a lower limit, or raise the endpoint's.",
    ),
    Code.ENDPOINT_NO_MAX_TOKENS: _theirs(
        "The endpoint refuses the parameter max_tokens.",
        "Choose a protocol that sends max_completion_tokens, such as gsm1k-0shot-reasoning-api.",
    ),
    Code.ENDPOINT_NO_MAX_COMPLETION_TOKENS: _theirs(
        "The endpoint refuses the parameter max_completion_tokens.",
        "Choose a protocol that sends max_tokens, such as gsm1k-5shot-api-2.",
    ),
    Code.ENDPOINT_NO_TEMPERATURE: _theirs(
        "The endpoint refuses the parameter temperature.",
        "Choose a protocol that sends none, such as gsm1k-0shot-reasoning-api.",
    ),
    Code.ENDPOINT_NO_STOP: _theirs(
        "The endpoint refuses the parameter stop.",
        "Choose a protocol that sends none, such as gsm1k-0shot-reasoning-api.",
    ),
    Code.ENDPOINT_NO_SEED: _theirs(
        "The endpoint refuses the parameter seed.",
        "Choose a protocol that draws nothing at random.",
    ),
    Code.BUDGET_SPENT: _theirs(
        "What this run may spend is spent.",
        "Raise the cap and start it again: it goes on where it stopped.",
    ),
    Code.KEY_NOT_SEALED: _ours(
        "The endpoint's API key is sealed to other evaluators than the ones that run now.",
        "Start one of those evaluators, or submit again.",
        again=True,
    ),
    Code.UNKNOWN_VERSION: _ours(
        "The evaluator does not know the protocol or the message of a newer release.",
        "Install the same release on the site and on the evaluators.",
        again=True,
    ),
    Code.EVALUATOR_AWAY: _ours(
        "No evaluator of the run's pool is running.",
        "Start one; the run then begins by itself.",
        again=True,
    ),
    Code.OUT_OF_SERVICE: _ours(
        "Every evaluator of the run's pool is out of service.",
        "See the reason that each of them announces, and mend it.",
        again=True,
    ),
    Code.LEASE_LOST: _ours(
        "The evaluator's lease on the run ended before the attempt did.",
        "See that site, broker and evaluator reach each other, then queue it again.",
        again=True,
    ),
    Code.INCOMPLETE: _ours(
        "Some items could not be asked, so the run is not ranked.",
        "Continue it: the items left are asked.",
    ),
    Code.CONTROL_FAILED: _ours(
        "The grader does not grade its control items as it must, so the run is worth nothing.",
        "Install the evaluator again from a clean copy, then run its tests.",
    ),
    Code.COMPLETIONS_MISSING: _ours(
        "This evaluator keeps no completions of the run on this set.",
        "Ask the evaluator that made the run.",
    ),
    Code.RUN_UNDER_WAY: _ours(
        "The run is under way, or was queued again since.",
        "Wait until it has ended, then ask again.",
        again=True,
    ),
    Code.DEADLINE: _ours(
        "The run did not end within its time.",
        "Continue it: it goes on where it stopped. Maintainers can set a longer limit.",
    ),
    Code.NOT_STARTED: _ours(
        "No evaluator began the run within its time in the queue.",
        "Nothing is wrong with the submission. Continue it once the status page shows an"
        " evaluator in service.",
    ),
    Code.LOST: _ours(
        "The evaluator was lost too often.",
        "Look at the evaluators, then queue it again.",
        again=True,
    ),
    Code.DISK_FULL: _ours(
        "The disk is full.",
        "Free some space, then run again: what was graded is stored.",
        again=True,
    ),
    Code.OUT_UNWRITABLE: _ours(
        "A folder on the evaluator's host cannot be written.",
        "Make it writable, or choose another.",
        elsewhere=True,
    ),
    Code.OUT_OF_ANOTHER_RUN: _theirs(
        "The output folder belongs to another run.",
        "Choose another folder, or the same model, set and protocol.",
    ),
    Code.MISCONFIGURED: _ours(
        "A setting is missing or wrong.", "Correct the setting that is named."
    ),
    Code.INTERNAL: _ours(
        "Something failed that should not.", "Report it with the code and the run's id.", again=True
    ),
}
