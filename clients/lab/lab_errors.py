"""Errors of the lab itself."""


class LabError(Exception):
    """The lab cannot go on with a row; the message is one line that says why."""


class UnavailableError(LabError):
    """Something that a row needs is not installed; the message says what."""
