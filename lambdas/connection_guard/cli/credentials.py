"""A check for AWS credentials before the CDK starts, which reports missing ones late and with a
stack trace.
"""

import sys
from argparse import ArgumentParser

from botocore.exceptions import BotoCoreError
from botocore.session import Session

from connection_guard.cli.access.aws_session import MISSING


def main() -> None:
    """Exit with one line where the CDK would find none with the same arguments."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--profile")
    arguments, _others_for_the_cdk = parser.parse_known_args()
    try:
        found = Session(profile=arguments.profile).get_credentials()
    except BotoCoreError as error:
        sys.exit(f"AWS credentials cannot be read: {error}")
    if found is None:
        sys.exit(MISSING)


if __name__ == "__main__":
    main()
