"""The least that logs in to the database with an IAM token and runs a statement, as one would
write it with boto3.
"""

import json
import os

import boto3
import psycopg2

_settings = json.loads(os.environ["CONNECTION_GUARD_SETTINGS"])
_door = _settings["direct"]


def lambda_handler(_event: object, _context: object) -> int:
    token = boto3.client("rds").generate_db_auth_token(
        DBHostname=_door["host"], Port=_door["port"], DBUsername=_door["role"]
    )
    connection = psycopg2.connect(
        host=_door["host"],
        port=_door["port"],
        user=_door["role"],
        password=token,
        dbname=_settings["database_name"],
        sslmode="verify-full",
        sslrootcert=os.environ["ROOT_CERTIFICATES"],
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        [(one,)] = cursor.fetchall()
    return int(one)
