"""Every alarm has a section in docs/operating.md, and every section of an alarm has its alarm."""

import re

from connection_guard.configuration.guard.guard_configuration import Configuration
from tests.cdk.template import ROOT, Template

MANUAL = (ROOT / "docs" / "operating.md").read_text()
ALARM_SECTION = re.compile(r"^### ([a-z-]+)\n\n(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)
PARTS = ("What happened", "What it means", "What to do")


def test_every_alarm_has_a_section(template: Template, configuration: Configuration) -> None:
    of_one = [f"connection-guard-{database.identifier}-" for database in configuration.databases]
    prefix = "|".join([*of_one, f"{configuration.target.stack_name}-"])
    names = {alarm["AlarmName"] for alarm in template.of("AWS::CloudWatch::Alarm").values()}

    expected = {re.sub(f"^({prefix})", "", name) for name in names}

    assert {name for name, _ in ALARM_SECTION.findall(MANUAL)} == expected


def test_every_section_says_what_happened_what_it_means_and_what_to_do() -> None:
    for name, text in ALARM_SECTION.findall(MANUAL):
        assert [part for part in PARTS if f"- **{part}**: " in text] == list(PARTS), name
