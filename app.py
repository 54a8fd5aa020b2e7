"""The CDK application: `cdk deploy` runs it, and deploys what guard.toml describes.

`cdk deploy -c guard=FILE` takes another file than the guard.toml beside this one.
"""

import sys
from pathlib import Path

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

sys.path.insert(0, str(Path(__file__).parent / "lambdas"))
sys.path.insert(0, str(Path(__file__).parent / "infra"))

from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.errors import ConfigurationError
from connection_guard_cdk.stack import ConnectionGuardStack


def main() -> None:
    app = App()
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    first = Path(__file__).parent / "guard.toml"
    guard_file = Path(__file__).parent / (app.node.try_get_context("guard") or first)
    try:
        ConnectionGuardStack(app, read_configuration(guard_file, first))
    except ConfigurationError as mistakes:
        sys.exit(str(mistakes))
    try:
        app.synth()
    except RuntimeError as error:
        if "ValidationFailed" in str(error):  # each finding is on standard error already
            sys.exit(str(error))
        raise


if __name__ == "__main__":
    main()
