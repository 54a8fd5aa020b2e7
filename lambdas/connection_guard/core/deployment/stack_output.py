"""The outputs of a stack by which the command line finds what was deployed."""

import re
from collections.abc import Mapping
from enum import StrEnum


class StackOutput(StrEnum):
    """The names of a guard's outputs in its construct."""

    REPORTER = "ReporterName"
    INCIDENTS_TABLE = "IncidentsTable"
    EVIDENCE_BUCKET = "EvidenceBucket"
    INCIDENTS_TOPIC = "IncidentsTopic"
    REPORTER_ALARMS_TOPIC = "ReporterAlarmsTopic"
    RESPONDERS_LOG = "RespondersLogName"


# The CDK puts the names of the constructs around an output before its name and a hash behind it;
# the construct "Default" leaves no trace.
# https://docs.aws.amazon.com/cdk/v2/guide/identifiers.html#identifiers-logical-ids
_KEY = re.compile(rf"(?P<guard>[A-Za-z0-9]*?)(?P<output>{'|'.join(StackOutput)})([0-9A-F]{{8}})?")


def outputs_of_guards(outputs: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return what the guards of a stack put out, by the names of their constructs without what is
    no letter or digit: "" for the one of guard.toml. `outputs` are by their keys in the stack.
    """
    guards: dict[str, dict[str, str]] = {}
    for key, value in outputs.items():
        if found := _KEY.fullmatch(key):
            guards.setdefault(found["guard"], {})[found["output"]] = value
    return {name: each for name, each in guards.items() if StackOutput.REPORTER in each}
