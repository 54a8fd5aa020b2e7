"""responder/handler.py with other root certificates: the benchmark's server has a certificate of
its own.
"""

import os
from pathlib import Path

from psycopg2.extensions import connection

from connection_guard.adapters.postgresql.login import sign_token, start_login
from connection_guard.configuration.policy.policy_file import parse_policy
from connection_guard.core.database.door import Door
from connection_guard.core.deployment.responder_settings import ResponderSettings
from responder.respond import Responder

_settings = ResponderSettings.from_environment(os.environ)
_policy = parse_policy((Path(os.environ["LAMBDA_TASK_ROOT"]) / "policy.toml").read_text())
_roots = Path(os.environ["ROOT_CERTIFICATES"])


def _connect(door: Door) -> connection:
    return start_login(
        door, _settings.database_name, _roots, sign_token(door, _settings.region, os.environ)
    )


lambda_handler = Responder(_settings, _policy, _connect)
