"""The outputs of the stack by which the command line finds what was deployed."""

from enum import StrEnum

_GUARDS = "The function that guards "


class StackOutput(StrEnum):
    """The names of the outputs, as CloudFormation has them."""

    REPORTER = "ReporterName"
    INCIDENTS_TABLE = "IncidentsTable"
    EVIDENCE_BUCKET = "EvidenceBucket"
    INCIDENTS_TOPIC = "IncidentsTopic"
    REPORTER_ALARMS_TOPIC = "ReporterAlarmsTopic"
    RESPONDERS_LOG = "RespondersLogName"


def responder_description(database: str) -> str:
    """Return the description of the output that names a database's responder: the name of the
    output itself is CloudFormation's.
    """
    return f"{_GUARDS}{database}"


def guarded_by(description: str) -> str | None:
    """Return the database of such a description, None for any other output's."""
    return description.removeprefix(_GUARDS) if description.startswith(_GUARDS) else None
