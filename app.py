"""The CDK application: `cdk deploy` runs it, and deploys what guard.toml describes.

`cdk deploy -c guard=FILE` takes another file than the guard.toml beside this one, and a glob such
as 'guards/*.toml' takes several, each of which is a stack of its own.
"""

import sys
from pathlib import Path

from aws_cdk import Annotations, App, Validations
from cdk_nag import AwsSolutionsChecks

sys.path.insert(0, str(Path(__file__).parent / "lambdas"))
sys.path.insert(0, str(Path(__file__).parent / "infra"))

from connection_guard.errors import ConfigurationError
from connection_guard_cdk.fleet_limits import refuse_beyond_limits
from connection_guard_cdk.nested_stacks import stack_identifiers
from connection_guard_cdk.several_guard_files import guarded_twice, read_guard_files
from connection_guard_cdk.stack import ConnectionGuardStack


def main() -> None:
    app = App()
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    try:
        add_stacks(app, app.node.try_get_context("guard"))
    except ConfigurationError as mistakes:
        sys.exit(str(mistakes))
    try:
        app.synth()
    except RuntimeError as error:
        if "ValidationFailed" in str(error):  # each finding is on standard error already
            sys.exit(str(error))
        raise


def add_stacks(app: App, files: str | None) -> None:
    """Add the stack of each guard file. Raise ConfigurationError where a file is wrong, or a stack
    would be larger than AWS allows.
    """
    folder = Path(__file__).parent
    first = folder / "guard.toml"
    configurations = read_guard_files(files or first.name, folder, first)
    refuse_beyond_limits(configurations)
    identifiers = stack_identifiers([each.target for each in configurations.values()])
    stacks = {
        file: ConnectionGuardStack(app, configuration, identifier)
        for (file, configuration), identifier in zip(
            configurations.items(), identifiers, strict=True
        )
    }
    for file, warning in guarded_twice(configurations):
        Annotations.of(stacks[file]).add_warning(warning)


if __name__ == "__main__":
    main()
