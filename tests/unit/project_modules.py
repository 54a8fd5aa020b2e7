"""The project's own modules, and what each of them imports."""

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("lambdas", "infra")
OTHERS = ("doubles", "demo", "benchmarks", "clients", "examples", "tests")


@dataclass(frozen=True)
class Module:
    """A module of the project by the name that it is imported by."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def folder(self) -> str:
        """The package that holds it."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


def read_modules(root: Path = ROOT) -> dict[str, Module]:
    """Return every module of the project by its name."""
    files = [root / "app.py"]
    for folder in (*PRODUCT, *OTHERS):
        files += sorted((root / folder).rglob("*.py"))
    modules = {}
    for path in files:
        place = path.relative_to(root)
        parts = place.with_suffix("").parts
        parts = parts[1:] if place.parts[0] in PRODUCT else parts
        name = ".".join(parts).removesuffix(".__init__")
        modules[name] = Module(name, place, ast.parse(path.read_text()))
    return modules


MODULES = read_modules()


def project_imports(module: Module) -> set[str]:
    """Return the modules of the project that it imports at any place, also for type checkers."""
    found = set()
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names):
                found |= {each.name for each in names}
            case ast.ImportFrom(package, names):
                for each in names:
                    name = f"{package}.{each.name}"
                    found.add(name if name in MODULES else str(package))
    return found & MODULES.keys()


IMPORTS = {name: project_imports(module) for name, module in MODULES.items()}
