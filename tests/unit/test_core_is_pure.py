"""Lint keeps clocks, sockets, the environment and SDKs out of the core; adapters may have them."""

import subprocess
import sys

import pytest


def complaints(path: str, code: str) -> str:
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--select",
        "TID251",
        "--stdin-filename",
        path,
        "-",
    ]
    return subprocess.run(command, input=code, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(
    "code",
    [
        "import boto3\n",
        "from botocore.session import Session\n",
        "import psycopg2\n",
        "from aws_lambda_powertools import Logger\n",
        "import os\n",
        "import socket\n",
        "import time\n",
        "from subprocess import run\n",
        "from datetime import datetime\ndatetime.now()\n",
        "from connection_guard.adapters.postgresql.guard_session import run\n",
    ],
)
def test_the_core_may_not_reach_outside(code: str) -> None:
    assert "core is pure" in complaints("lambdas/connection_guard/core/any.py", code)
    assert "core is pure" not in complaints("lambdas/connection_guard/adapters/any.py", code)
