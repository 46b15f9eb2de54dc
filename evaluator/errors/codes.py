"""Codes of every refusal and every failed run, and the form of their explanations."""

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """Party that has to act: the submitter (``theirs``) or the operators (``ours``)."""

    OURS = "ours"
    THEIRS = "theirs"


@dataclass(frozen=True)
class Explanation:
    """Meaning of a code for a person.

    ``again`` is true where the same attempt may work later, ``elsewhere`` where another attempt
    may, on another host.
    """

    fault: Fault
    again: bool
    sentence: str
    advice: str
    elsewhere: bool = False

    @property
    def retried(self) -> bool:
        """True where the site starts another attempt by itself: our side failed, and may work."""
        return (self.again or self.elsewhere) and self.fault is Fault.OURS


def theirs(sentence: str, advice: str, *, again: bool = False) -> Explanation:
    """Return the explanation of a code for which the submitter has to act."""
    return Explanation(Fault.THEIRS, again, sentence, advice)


def ours(
    sentence: str, advice: str, *, again: bool = False, elsewhere: bool = False
) -> Explanation:
    """Return the explanation of a code for which the operators have to act."""
    return Explanation(Fault.OURS, again, sentence, advice, elsewhere)


class Code(StrEnum):
    """Reasons of every refusal and every failed run."""

    # job specifications and reports
    BAD_MESSAGE = "bad_message"
    UNKNOWN_PROTOCOL = "unknown_protocol"
    UNKNOWN_GRADER = "unknown_grader"
    GRADER_UNFIT = "grader_unfit"
    PROTOCOL_UNFIT = "protocol_unfit"
    VERIFIER_NEEDED = "verifier_needed"
    VERIFIER_UNFIT = "verifier_unfit"
    VERIFIER_ENDPOINT = "verifier_endpoint"
    UNKNOWN_SET = "unknown_set"
    SET_MISMATCH = "set_mismatch"
    RECIPIENT_REFUSED = "recipient_refused"
    PLAN_DIFFERS = "plan_differs"
    PROBE_UNANSWERED = "probe_unanswered"
    PROBE_NEEDS_KEY = "probe_needs_key"
    # sets
    SET_UNREADABLE = "set_unreadable"
    SET_EMPTY = "set_empty"
    SET_BAD_JSON = "set_bad_json"
    SET_MISSING_FIELD = "set_missing_field"
    SET_DUPLICATE_QUESTION = "set_duplicate_question"
    SET_GOLD_NOT_NUMERIC = "set_gold_not_numeric"
    SET_GOLD_UNREADABLE = "set_gold_unreadable"
    SET_UNKNOWN_KIND = "set_unknown_kind"
    SET_BAD_FIELD = "set_bad_field"
    SET_MIXED_KINDS = "set_mixed_kinds"
    SET_REFERENCE_FAILS = "set_reference_fails"
    SET_TESTS_WEAK = "set_tests_weak"
    SET_TOO_FEW_SHOTS = "set_too_few_shots"
    RESPONSES_UNREADABLE = "responses_unreadable"
    CORPUS_UNREADABLE = "corpus_unreadable"
    COMPARE_UNFIT = "compare_unfit"
    DISTIL_SEALED = "distil_sealed"
    DISTIL_UNFIT = "distil_unfit"
    PROGRAMS_UNREADABLE = "programs_unreadable"
    # sealing
    KEY_UNREADABLE = "key_unreadable"
    KEY_PERMISSIONS = "key_permissions"
    KEY_EXISTS = "key_exists"
    SEAL_BROKEN = "seal_broken"
    NOT_ENROLLED = "not_enrolled"
    JOURNAL_BROKEN = "journal_broken"
    HEAD_INVALID = "head_invalid"
    ALLOCATION_INVALID = "allocation_invalid"
    BLOCK_REFUSED = "block_refused"
    # making a twin
    SHEET_UNREADABLE = "sheet_unreadable"
    ATTESTATION_MISSING = "attestation_missing"
    CHECK_FAILED = "check_failed"
    SELECTION_IMPOSSIBLE = "selection_impossible"
    # release
    RULE_INVALID = "rule_invalid"
    RULE_NOT_MET = "rule_not_met"
    EVIDENCE_UNREADABLE = "evidence_unreadable"
    EVIDENCE_DIFFERS = "evidence_differs"
    STATEMENT_UNREADABLE = "statement_unreadable"
    NOT_A_MAINTAINER = "not_a_maintainer"
    SIGNATURE_INVALID = "signature_invalid"
    QUORUM_MISSING = "quorum_missing"
    BUNDLE_BROKEN = "bundle_broken"
    NOTICE_INVALID = "notice_invalid"
    # checkpoints
    CHECKPOINT_UNKNOWN = "checkpoint_unknown"
    CHECKPOINT_NO_CONFIG = "checkpoint_no_config"
    CHECKPOINT_BAD_CONFIG = "checkpoint_bad_config"
    CHECKPOINT_NO_TOKENIZER = "checkpoint_no_tokenizer"
    CHECKPOINT_NO_WEIGHTS = "checkpoint_no_weights"
    CHECKPOINT_PICKLE = "checkpoint_pickle"
    CHECKPOINT_BAD_HEADER = "checkpoint_bad_header"
    CHECKPOINT_TRUNCATED = "checkpoint_truncated"
    CHECKPOINT_REMOTE_CODE = "checkpoint_remote_code"
    CHECKPOINT_BAD_FILE = "checkpoint_bad_file"
    CHECKPOINT_UNTRUSTED = "checkpoint_untrusted"
    CHECKPOINT_BAD_TEMPLATE = "checkpoint_bad_template"
    CHECKPOINT_ADAPTER = "checkpoint_adapter"
    CHECKPOINT_ADAPTER_NONE = "checkpoint_adapter_none"
    CHECKPOINT_ADAPTER_NO_BASE = "checkpoint_adapter_no_base"
    CHECKPOINT_ADAPTER_BASE_GONE = "checkpoint_adapter_base_gone"
    CHECKPOINT_ADAPTER_BASE_GATED = "checkpoint_adapter_base_gated"
    CHECKPOINT_ADAPTER_STACKED = "checkpoint_adapter_stacked"
    CHECKPOINT_ADAPTER_KIND = "checkpoint_adapter_kind"
    CHECKPOINT_ADAPTER_UNFIT = "checkpoint_adapter_unfit"
    CHECKPOINT_LFS_POINTER = "checkpoint_lfs_pointer"
    CHECKPOINT_QUANTISED = "checkpoint_quantised"
    CHECKPOINT_MISSING_TENSORS = "checkpoint_missing_tensors"
    CHECKPOINT_WRONG_SHAPES = "checkpoint_wrong_shapes"
    CHECKPOINT_BAD_NUMBERS = "checkpoint_bad_numbers"
    CHECKPOINT_TOO_COSTLY = "checkpoint_too_costly"
    CHECKPOINT_UNKNOWN_MODEL = "checkpoint_unknown_model"
    CHECKPOINT_GGUF = "checkpoint_gguf"
    # intake from a hub
    HUB_UNREACHABLE = "hub_unreachable"
    HUB_RATE_LIMITED = "hub_rate_limited"
    HUB_REDIRECTED = "hub_redirected"
    HUB_FAILED = "hub_failed"
    HUB_FILE_DIFFERS = "hub_file_differs"
    HUB_NOT_FOUND = "hub_not_found"
    HUB_GATED = "hub_gated"
    HUB_REVISION_GONE = "hub_revision_gone"
    HUB_BAD_FILES = "hub_bad_files"
    HUB_TOO_LARGE = "hub_too_large"
    # intake of an uploaded folder
    UPLOAD_UNREACHABLE = "upload_unreachable"
    UPLOAD_DIFFERS = "upload_differs"
    UPLOAD_GONE = "upload_gone"
    UPLOAD_NO_SITE = "upload_no_site"
    STORE_TOO_SMALL = "store_too_small"
    # model servers
    JAIL_MISSING = "jail_missing"
    SANDBOX_MISSING = "sandbox_missing"
    SANDBOX_FAILED = "sandbox_failed"
    HOST_FAILED = "host_failed"
    HOST_TIMEOUT = "host_timeout"
    HOST_DIED = "host_died"
    HOST_HUNG = "host_hung"
    HOST_RESOURCES = "host_resources"
    ENGINE_MISSING = "engine_missing"
    ENGINE_OOM = "engine_oom"
    ENGINE_WRONG = "engine_wrong"
    HARNESS_SEALED = "harness_sealed"
    HARNESS_FAILED = "harness_failed"
    PROMPT_TOO_LONG = "prompt_too_long"
    ENDPOINT_REFUSED = "endpoint_refused"
    ENDPOINT_UNREACHABLE = "endpoint_unreachable"
    ENDPOINT_TIMEOUT = "endpoint_timeout"
    ENDPOINT_ERROR = "endpoint_error"
    ENDPOINT_BAD_RESPONSE = "endpoint_bad_response"
    ENDPOINT_UNAUTHORIZED = "endpoint_unauthorized"
    ENDPOINT_NOT_FOUND = "endpoint_not_found"
    ENDPOINT_RATE_LIMITED = "endpoint_rate_limited"
    ENDPOINT_REDIRECTED = "endpoint_redirected"
    ENDPOINT_REJECTED = "endpoint_rejected"
    ENDPOINT_REFUSES_ITEMS = "endpoint_refuses_items"
    ENDPOINT_REASONING_ONLY = "endpoint_reasoning_only"
    ENDPOINT_NO_CREDIT = "endpoint_no_credit"
    ENDPOINT_STREAM_ONLY = "endpoint_stream_only"
    ENDPOINT_OUTPUT_LIMIT = "endpoint_output_limit"
    ENDPOINT_NO_MAX_TOKENS = "endpoint_no_max_tokens"
    ENDPOINT_NO_MAX_COMPLETION_TOKENS = "endpoint_no_max_completion_tokens"
    ENDPOINT_NO_TEMPERATURE = "endpoint_no_temperature"
    ENDPOINT_NO_STOP = "endpoint_no_stop"
    ENDPOINT_NO_SEED = "endpoint_no_seed"
    BUDGET_SPENT = "budget_spent"
    # runs
    KEY_NOT_SEALED = "key_not_sealed"
    UNKNOWN_VERSION = "unknown_version"
    EVALUATOR_AWAY = "evaluator_away"
    OUT_OF_SERVICE = "out_of_service"
    LEASE_LOST = "lease_lost"
    INCOMPLETE = "incomplete"
    CONTROL_FAILED = "control_failed"
    COMPLETIONS_MISSING = "completions_missing"
    RUN_UNDER_WAY = "run_under_way"
    DEADLINE = "deadline"
    NOT_STARTED = "not_started"
    LOST = "lost"
    HANDED_BACK = "handed_back"
    DISK_FULL = "disk_full"
    OUT_UNWRITABLE = "out_unwritable"
    OUT_OF_ANOTHER_RUN = "out_of_another_run"
    MISCONFIGURED = "misconfigured"
    INTERNAL = "internal"
