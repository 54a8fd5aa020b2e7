"""The outputs of the stack by which the command line finds what was deployed."""

from enum import StrEnum


class StackOutput(StrEnum):
    """The names of the outputs, as CloudFormation has them."""

    REPORTER = "ReporterName"
    INCIDENTS_TABLE = "IncidentsTable"
    EVIDENCE_BUCKET = "EvidenceBucket"
