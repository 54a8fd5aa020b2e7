"""The kinds of Report: what responder and reporter, and the filters between them, agree on."""

from enum import StrEnum


class Kind(StrEnum):
    """What a Report is about. The reporter is sent every kind but `heartbeat`."""

    REMEDIATION = "remediation"
    OBSERVATION = "observation"
    HEARTBEAT = "heartbeat"
    PREFLIGHT_FAILED = "preflight_failed"
    LOCKED_OUT = "locked_out"
