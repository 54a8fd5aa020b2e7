"""A function's package as an asset of the app that deploys it."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from aws_cdk import Stage
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import Architecture
from connection_guard_cdk.packages.build_package import build_package

# A key of the app's context: the folder to build in, where that is not the default.
FOLDER_KEY = "connection-guard:packages"


def function_code(
    scope: Construct, function: str, architecture: Architecture, data: Mapping[str, bytes]
) -> lambda_.Code:
    """Return the code of `function` with the files that this deployment adds; see
    build_package.
    """
    package = build_package(function, architecture, data, packages_folder(scope))
    return lambda_.Code.from_asset(str(package))


def packages_folder(scope: Construct) -> Path:
    """Return the folder in which the packages of the construct's app are built: that of its
    context, or one beside the app's cloud assembly.

    Without the CDK's command line the assembly is in a new temporary folder, beside which others
    may write: then the packages are inside it.
    """
    if chosen := scope.node.try_get_context(FOLDER_KEY):
        return Path(chosen).resolve()
    app = scope.node.root
    assert isinstance(app, Stage)
    assembly = Path(app.outdir).resolve()
    is_temporary = assembly.parent == Path(tempfile.gettempdir()).resolve()
    return (assembly if is_temporary else assembly.parent) / ".connection-guard"
