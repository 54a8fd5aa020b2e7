"""The command that makes a server ready for the guard."""

from connection_guard.configuration.guard.guard_configuration import Database, ProxyAuthentication


def bootstrap_command(database: Database) -> str:
    """Return the command that creates the guard's roles on the server; a person writes the master
    user for <master>.
    """
    roles = f"-v guard_role={database.role}"
    if database.proxy is not None and database.proxy.authentication is ProxyAuthentication.SECRETS:
        roles += f" -v proxy_role={database.proxy.role}"
    server = (
        f"host={database.host} port={database.port} dbname={database.database_name} user=<master>"
    )
    return f'psql "{server}" {roles} -f bootstrap/bootstrap.sql'
