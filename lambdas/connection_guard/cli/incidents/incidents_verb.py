"""The verb `incidents`: what happened, and what was done about it?"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import RenderableType
from rich.text import Text

from connection_guard.adapters.aws.evidence_bucket import EvidenceBucket
from connection_guard.cli.access.aws_session import problem_behind
from connection_guard.cli.access.deployed_stack import DeployedStack, stack_options
from connection_guard.cli.incidents.channel_state import channel_states
from connection_guard.cli.incidents.incident_evidence import (
    LINES,
    SessionLine,
    evidence_keys,
    evidence_sessions,
    sessions_shown,
)
from connection_guard.cli.incidents.incident_list import list_shown, meant
from connection_guard.cli.incidents.incident_story import story_document, story_shown
from connection_guard.cli.incidents.private_file import save_private
from connection_guard.cli.incidents.stored_incidents import (
    StoredIncidents,
    databases_of,
    stored_incidents,
)
from connection_guard.cli.terminal.mistakes import (
    FINDING_STATUS,
    UserMistakeError,
    nearest,
    write_problem,
)
from connection_guard.cli.terminal.moments import Moment
from connection_guard.cli.terminal.output import json_option, write
from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.links import links_of
from connection_guard.core.notification.view import View
from connection_guard.core.words import printable, quoted
from connection_guard.errors import StoreError

Watched = Mapping[str, WatchedDatabase]


@click.command("incidents")
@click.argument("incident", required=False)
@click.option(
    "--since",
    metavar="TIME",
    type=Moment(),
    default="7d",
    show_default=True,
    help="List incidents of that time, and those that are still open: 30m, 12h, 7d, 2w, or a date.",
)
@click.option(
    "--database", help="Only those of this database, which may be one that is no longer guarded."
)
@click.option("--evidence", is_flag=True, help="Also show the sessions that each run saw.")
@click.option(
    "--save",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write the evidence to files below this folder, which only you can read.",
)
@stack_options
@json_option
def incidents(
    stack: DeployedStack,
    incident: str | None,
    since: datetime,
    database: str | None,
    evidence: bool,
    save: Path | None,
) -> None:
    """List the incidents of the databases that a stack guards, or show one as its story.

    INCIDENT is what Slack, e-mail or a log shows of it: its ID or the beginning of that, the
    request ID of one of its runs, or the name of its database, whose latest incident it is then.

    A story is in the words of the e-mail, with what each channel has been notified of, and when.
    The exit status is 1 where something that is stored cannot be read; the rest is shown.

    \b
    Examples:
      connection-guard incidents
      connection-guard incidents --since 30d --database orders
      connection-guard incidents orders
      connection-guard incidents 20261120T030000-6fb81a4e --evidence
      connection-guard incidents 20261120T030000-6fb81a4e --save night
    """
    if incident is None and (evidence or save):
        raise UserMistakeError("--evidence and --save need an incident: name one of the list")
    settings, now = stack.reporter_settings(), datetime.now(UTC)
    watched, problems = _watched(stack, settings)
    if incident is None:
        problems += _list(stack, settings, watched, database, since, now)
    else:
        problems += _show(stack, settings, watched, database, incident, evidence, save, now)
    for problem in problems:
        write_problem(problem)
    if problems:
        sys.exit(FINDING_STATUS)


def _list(
    stack: DeployedStack,
    settings: ReporterSettings,
    watched: Watched,
    database: str | None,
    since: datetime,
    now: datetime,
) -> Iterable[str]:
    """Write the list; return why some of it is missing."""
    stored = _stored(stack, settings, watched, database, since, now)
    listed = [each for each in stored.listed.values() if stored.kept[each.id].incident.matters]
    listed.sort(key=lambda each: each.opened_at, reverse=True)
    document = {"stack": stack.name, "since": since, "incidents": [asdict(each) for each in listed]}
    none = Text(f"There is no incident since {since:%Y-%m-%d %H:%M} UTC, and none is open.")
    write(document, list_shown(listed, now) if listed or stored.problems else none)
    return stored.problems.values()


def _show(
    stack: DeployedStack,
    settings: ReporterSettings,
    watched: Watched,
    database: str | None,
    name: str,
    with_evidence: bool,
    folder: Path | None,
    now: datetime,
) -> Iterable[str]:
    """Write the story of an incident; return why some of its evidence is missing."""
    stored = _stored(stack, settings, watched, database, None, now)
    if name in stored.problems:
        raise UserMistakeError(stored.problems[name])
    kept = stored.kept[meant(stored.kept, name)]
    problems: list[str] = []
    about = watched.get(kept.incident.database) or stack.unwatched(kept.incident.database)
    owners = stack.configuration.application_owners if stack.configuration else ()
    links = links_of(kept.incident, about, settings, stack.region)
    view = View(kept.incident, about, links, now, owners, stack.region)
    states = channel_states(kept, settings.channels)
    document, shown = story_document(view, states), story_shown(view, states)
    if with_evidence or folder is not None:
        objects = _objects(stack, settings, kept.incident, problems)
        if with_evidence:
            document["sessions"] = _sessions(objects, shown, problems)
        if folder is not None:
            saved = [str(save_private(folder, key, body)) for key, body in objects.items()]
            document["saved"] = saved
            shown += [Text(f"saved {printable(path)}") for path in saved]
    write(document, *shown)
    return problems


def _watched(stack: DeployedStack, settings: ReporterSettings) -> tuple[Watched, list[str]]:
    """Return what is known of the databases, and why that is nothing: those that guard.toml or
    the call names are shown without it.
    """
    try:
        return stack.watched(settings), []
    except StoreError as error:
        return {}, [problem_behind(error)]


def _stored(
    stack: DeployedStack,
    settings: ReporterSettings,
    watched: Watched,
    database: str | None,
    since: datetime | None,
    now: datetime,
) -> StoredIncidents:
    known = databases_of(stack, settings, watched)
    if database is None or database in known:
        return stored_incidents(stack, settings, [database] if database else known, since, now)
    if not stored_incidents(stack, settings, [database], None, now):
        raise UserMistakeError(
            f"{quoted(database)} is not guarded, and has no incident: {nearest(database, known)}"
        )
    return stored_incidents(stack, settings, [database], since, now)


def _objects(
    stack: DeployedStack, settings: ReporterSettings, incident: Incident, problems: list[str]
) -> dict[str, bytes]:
    """Return the evidence by its keys; add to the problems what is missing."""
    bucket = EvidenceBucket(settings.bucket, stack.session)
    objects: dict[str, bytes] = {}
    for key in evidence_keys(incident):
        body = bucket.get(key)
        if body is None:
            problems.append(f"bucket {settings.bucket}: {printable(key)} is not there (any more)")
        else:
            objects[key] = body
    return objects


def _sessions(
    objects: Mapping[str, bytes], shown: list[RenderableType], problems: list[str]
) -> dict[str, list[SessionLine]]:
    """Return the sessions by the keys of their objects; add to what is shown, and to the problems
    what cannot be read.
    """
    sessions: dict[str, list[SessionLine]] = {}
    for key, body in objects.items():
        if not key.endswith(LINES):
            continue
        try:
            sessions[key] = evidence_sessions(body)
        except ValueError as wrong:
            problems.append(f"{printable(key)}: {printable(str(wrong))}")
        else:
            shown += sessions_shown(key, sessions[key])
    if not sessions and not problems:
        shown.append(Text("No run of this incident looked at the sessions."))
    return sessions
