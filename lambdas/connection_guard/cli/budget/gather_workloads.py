"""Read files, folders and standard input, and return the workloads that they describe."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from connection_guard.cli.budget.files.file_kinds import (
    KINDS,
    is_rails,
    is_spring,
    kind_of,
    known_kinds,
)
from connection_guard.cli.budget.files.located_yaml import load_documents
from connection_guard.cli.budget.files.settings_files import (
    application_settings,
    properties,
    rails_settings,
)
from connection_guard.cli.budget.files.workload import Document, Setting, Settings, Workload
from connection_guard.cli.budget.pools.service_pools import services_of
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.configuration.toml.readers import MistakeError
from connection_guard.configuration.toml.text_file import read_text
from connection_guard.core.words import printable

STANDARD_INPUT = "-"
_INI = re.compile(r"^\[(?:databases|pgbouncer)\]\s*$", re.MULTILINE)
# A key of each kind of file: without any, a large package-lock.json need not be parsed.
_KEY = re.compile(
    "apiVersion|services|eplica|ontainerDefinitions|askDefinition|esiredCount|calableTarget"
    "|esourceId|spring|adapter"
)
# Whose an .env is, only a person knows: docker-compose names its own.
_SUFFIXES = frozenset({".yaml", ".yml", ".json", ".ini", ".properties"})


@dataclass(slots=True)
class _Found:
    documents: list[Document] = field(default_factory=list)
    settings: dict[Path, dict[str, Setting]] = field(default_factory=dict)
    inis: list[Setting] = field(default_factory=list)


def gather_workloads(paths: Sequence[str]) -> list[Workload]:
    """Return what the files describe. Raise UserMistakeError where one cannot be read, or is of no
    known kind; in a folder, the latter are left out.
    """
    found = _Found()
    for path in paths:
        if path == STANDARD_INPUT:
            _read(_standard_input(), "standard input", Path(), found, is_named=True)
        elif _is_folder(Path(path)):
            for file in _files(Path(path)):
                _read(_text(file), printable(str(file)), file.parent, found, is_named=False)
        else:
            _read(_text(Path(path)), printable(path), Path(path).parent, found, is_named=True)
    workloads = [
        workload
        for kind in KINDS
        for workload in kind.read(
            [each for each in found.documents if kind_of(each.content) is kind]
        )
    ]
    workloads = _with_inis(workloads, found.inis)
    for folder, settings in found.settings.items():
        workloads = _with_settings(workloads, folder, settings)
    return workloads


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # of a name that is too long
        return False


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder. A Helm chart in it has its values.yaml: its templates are not
    YAML.
    """
    charts = {each.parent for each in folder.rglob("Chart.yaml")}
    for path in sorted(folder.rglob("*")):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts[:-1])
        chart = next((each for each in charts if each in path.parents), None)
        if path.suffix not in _SUFFIXES or is_hidden or not path.is_file():
            continue
        if chart is None or path == chart / "values.yaml":
            yield path


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UserMistakeError(f"standard input is not UTF-8 text (byte {error.start})") from error


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except (MistakeError, ValueError) as error:
        raise UserMistakeError(printable(str(error))) from error


def _read(text: str, source: str, folder: Path, found: _Found, *, is_named: bool) -> None:
    name = Path(source).name
    if name.endswith((".properties", ".env")):
        found.settings.setdefault(folder, {}).update(properties(text, source))
    elif _INI.search(text):
        found.inis.append(Setting(text, source))
    elif not name.endswith(".ini") and (is_named or _KEY.search(text)):
        _read_documents(text, source, folder, found, is_named=is_named)
    elif is_named:
        raise UserMistakeError(f"{source}: has neither [databases] nor [pgbouncer]")


def _read_documents(text: str, source: str, folder: Path, found: _Found, *, is_named: bool) -> None:
    def beside(path: str) -> str | None:
        try:
            return read_text(folder / path)
        except (MistakeError, ValueError):
            return None

    if text.lstrip()[:1] in ("{", "["):
        text = text.replace("\t", " ")  # which JSON may be indented with, and YAML may not
    documents = [each for each in load_documents(text, source) if each is not None]
    is_known = False
    for each in documents:
        if kind_of(each) is not None:
            content = {"services": each} if isinstance(each, list) else each
            found.documents.append(Document(source, content, beside))
        elif is_spring(each):
            settings = application_settings(text, source)
            found.settings.setdefault(folder, {}).update(settings)
        elif is_rails(each):
            found.settings.setdefault(folder, {}).update(rails_settings(each, source))
        else:
            continue
        is_known = True
    if is_named and not is_known:
        what = "no key of a known kind of file" if documents else "is empty"
        raise UserMistakeError(f"{source}: {what}; looked for: {known_kinds()}")


def _with_inis(workloads: Sequence[Workload], inis: Sequence[Setting]) -> list[Workload]:
    """Return the workloads with each pgbouncer.ini in the only PgBouncer that has none of its own,
    or else as one of its own.
    """
    result = list(workloads)
    known = {each.ini.value for each in workloads if each.ini is not None}
    for ini in inis:
        if ini.value in known:
            continue
        waiting = [
            place
            for place, each in enumerate(result)
            if each.ini is None and any("pgbouncer" in word for word in each.words[:1])
        ]
        if len(waiting) == 1:
            result[waiting[0]] = replace(result[waiting[0]], ini=ini)
        else:
            note = "1 replica: nothing that runs it was read"
            name = Path(ini.place).stem
            result.append(Workload(name, ini.place, 1, 0, {}, (), (note,), ini=ini))
    return result


def _with_settings(
    workloads: Sequence[Workload], folder: Path, settings: Mapping[str, Setting]
) -> list[Workload]:
    """Return the workloads with the settings of a file: those from the same folder, or all where
    there are none; and of several those that use PostgreSQL, as far as that can be seen.
    """
    if not workloads:
        raise UserMistakeError(
            f"{next(iter(settings.values())).place if settings else folder}: holds settings, but "
            "no replicas: name the manifest of its service as well, or declare it in guard.toml"
        )
    near = [each for each in workloads if _folder(each.place) == folder] or list(workloads)
    meant = [each for each in near if services_of([each], cpus=1)] or near

    def merged(own: Settings) -> Settings:
        return {**settings, **own}

    return [
        replace(each, settings=merged(each.settings)) if each in meant else each
        for each in workloads
    ]


def _folder(place: str) -> Path:
    return Path(re.sub(r":[0-9]+$", "", place)).parent
