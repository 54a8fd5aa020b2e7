"""Where Lambda enters: `responder.handler.lambda_handler`."""

import os
from pathlib import Path

from connection_guard.adapters.postgresql.login import connect_with_iam
from connection_guard.configuration.policy.policy_file import parse_policy
from connection_guard.core.deployment.responder_settings import ResponderSettings
from responder.respond import Responder

_settings = ResponderSettings.from_environment(os.environ)
_policy = parse_policy((Path(os.environ["LAMBDA_TASK_ROOT"]) / "policy.toml").read_text())

lambda_handler = Responder(_settings, _policy, connect_with_iam(_settings, os.environ))
