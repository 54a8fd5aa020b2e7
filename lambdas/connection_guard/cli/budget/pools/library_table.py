"""The names by which libraries and frameworks take the size of a pool, and their defaults: one row
per library, the only place that knows them.

All names are canonical: HIKARI_MAXIMUM_POOL_SIZE, hikari.maximum-pool-size and
hikari.maximumPoolSize are one (Spring Boot reference, "Relaxed Binding").
"""

from dataclasses import dataclass
from enum import Enum


class Formula(Enum):
    """A default that depends on something else."""

    TWICE_THE_CPUS_AND_ONE = "2 x CPUs + 1"
    FOUR_OR_THE_CPUS = "the greater of 4 and the CPUs"
    ONE_PER_THREAD = "one connection per thread"


@dataclass(frozen=True, slots=True)
class Library:
    """How a library is recognized, which settings give its pool's size, and its default, None where
    it has no limit of its own.

    `signs` begin the names of settings that only it has, `words` are in the image or the command,
    `schemes` begin its URLs, `parameters` are those of a URL that give the size, `url_signs` others
    that only it has. `write` is what to write to set the size.
    """

    name: str
    write: str
    default: int | Formula | None
    default_overflow: int = 0
    sizes: tuple[str, ...] = ()
    overflows: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    url_signs: tuple[str, ...] = ()


# ASP.NET Core's own names of connection strings: ConnectionStrings__Orders.
NPGSQL = "CONNECTIONSTRINGS"

# Of several that match, the first counts.
LIBRARIES = (
    # https://www.keycloak.org/server/all-config: db-pool-max-size, default 100.
    Library(
        "Keycloak",
        write="KC_DB_POOL_MAX_SIZE",
        default=100,
        sizes=("KCDBPOOLMAXSIZE",),
        signs=("KCDB",),
    ),
    # https://github.com/brettwooldridge/HikariCP#frequently-used: maximumPoolSize, default 10.
    Library(
        "HikariCP",
        write="SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE",
        default=10,
        sizes=(
            "SPRINGDATASOURCEHIKARIMAXIMUMPOOLSIZE",
            "SPRINGDATASOURCEHIKARIMAXPOOLSIZE",
            "HIKARIMAXIMUMPOOLSIZE",
            "HIKARIMAXPOOLSIZE",
            "MAXIMUMPOOLSIZE",
        ),
        signs=("SPRINGDATASOURCE", "HIKARI", "MAXIMUMPOOLSIZE"),
    ),
    # https://www.prisma.io/docs/orm/v6: num_physical_cpus * 2 + 1. From version 7 on the driver's
    # own default counts.
    Library(
        "Prisma",
        write="connection_limit in DATABASE_URL",
        default=Formula.TWICE_THE_CPUS_AND_ONE,
        parameters=("connection_limit",),
        signs=("PRISMA",),
        words=("prisma",),
        url_signs=("connection_limit", "pgbouncer", "pool_timeout", "schema"),
    ),
    # https://docs.sqlalchemy.org/en/20/core/pooling.html: pool_size 5, max_overflow 10. Airflow's
    # own defaults are the same.
    Library(
        "SQLAlchemy",
        write="SQLALCHEMY_POOL_SIZE and SQLALCHEMY_MAX_OVERFLOW",
        default=5,
        default_overflow=10,
        sizes=("SQLALCHEMYPOOLSIZE", "AIRFLOWDATABASESQLALCHEMYPOOLSIZE"),
        overflows=(
            "SQLALCHEMYMAXOVERFLOW",
            "AIRFLOWDATABASESQLALCHEMYMAXOVERFLOW",
            "DBMAXOVERFLOW",
            "DBPOOLMAXOVERFLOW",
            "DBPOOLOVERFLOW",
            "DATABASEMAXOVERFLOW",
            "DATABASEPOOLMAXOVERFLOW",
            "POOLMAXOVERFLOW",
            "MAXOVERFLOW",
        ),
        signs=("SQLALCHEMY", "AIRFLOWDATABASE"),
        schemes=("postgresql+", "postgres+"),
    ),
    # https://docs.djangoproject.com/en/5.2/ref/databases/: a connection per thread, or OPTIONS
    # "pool" with psycopg_pool's max_size.
    Library(
        "Django",
        write="DB_POOL_MAX_SIZE, read in OPTIONS",
        default=Formula.ONE_PER_THREAD,
        signs=("DJANGO", "CONNMAXAGE", "DBCONNMAXAGE", "DATABASECONNMAXAGE"),
        words=("manage.py", "django"),
    ),
    # https://guides.rubyonrails.org/configuring.html#database-pooling: pool, default 5.
    Library(
        "Active Record",
        write="RAILS_MAX_THREADS, or pool in config/database.yml",
        default=5,
        sizes=("DBPOOL", "RAILSMAXTHREADS"),  # what database.yml states counts before its default
        parameters=("pool",),
        signs=("RAILS",),
        words=("rails", "puma", "sidekiq"),
    ),
    # https://node-postgres.com/apis/pool: max, default 10. Only libpq's variables show it.
    Library(
        "node-postgres",
        write="PGPOOL_MAX, read as the pool's max",
        default=10,
        sizes=("PGPOOLMAX", "PGPOOLSIZE", "PGMAXCONNECTIONS", "PGMAX", "PGMAXCLIENTS"),
        signs=("PGPOOL",),
    ),
    # https://pkg.go.dev/github.com/jackc/pgx/v5/pgxpool#ParseConfig: the greater of 4 and the CPUs.
    Library(
        "pgxpool",
        write="pool_max_conns in DATABASE_URL",
        default=Formula.FOUR_OR_THE_CPUS,
        parameters=("pool_max_conns",),
        url_signs=("pool_max_conns", "pool_min_conns", "pool_max_conn_lifetime"),
    ),
    # https://www.npgsql.org/doc/connection-string-parameters.html: Maximum Pool Size, default 100.
    Library(
        "Npgsql",
        write="Maximum Pool Size in its connection string",
        default=100,
        parameters=("maximum_pool_size", "maxpoolsize"),
        signs=(NPGSQL,),
    ),
)

# Settings that applications read themselves and hand to one library or another.
COMMON_SIZES = (
    "DBPOOLSIZE",
    "DBPOOLMAX",
    "DBPOOLMAXSIZE",
    "DBMAXPOOLSIZE",
    "DBPOOL",
    "DBMAXCONNECTIONS",
    "DBMAXCONNS",
    "DBMAXOPENCONNS",
    "DBMAXOPENCONNECTIONS",
    "DATABASEPOOLSIZE",
    "DATABASEPOOLMAX",
    "DATABASEPOOLMAXSIZE",
    "DATABASEMAXPOOLSIZE",
    "DATABASEPOOL",
    "DATABASEMAXCONNECTIONS",
    "DATABASEMAXCONNS",
    "DATABASEMAXOPENCONNS",
    "POSTGRESPOOLSIZE",
    "POSTGRESMAXCONNECTIONS",
    "POSTGRESMAXOPENCONNS",
    "PGPOOLSIZE",
    "PGMAXOPENCONNS",
    "MAXOPENCONNS",
    "GFDATABASEMAXOPENCONN",
    "QUARKUSDATASOURCEJDBCMAXSIZE",
)

# Settings that are the URL of a database. Their passwords are never shown.
URLS = (
    "DATABASEURL",
    "DBURL",
    "DATABASEURI",
    "SQLALCHEMYDATABASEURI",
    "SQLALCHEMYDATABASEURL",
    "AIRFLOWDATABASESQLALCHEMYCONN",
    "SPRINGDATASOURCEURL",
    "SPRINGDATASOURCEHIKARIJDBCURL",
    "JDBCURL",
    "JDBCDATABASEURL",
    "POSTGRESURL",
    "POSTGRESQLURL",
    "POSTGRESPRISMAURL",
    "PGURL",
    "POSTGRESDSN",
    "DATABASEDSN",
    "DBDSN",
    "DIRECTURL",
)
HOSTS = (
    "PGHOST",
    "DBHOST",
    "DATABASEHOST",
    "DBHOSTNAME",
    "DATABASEHOSTNAME",
    "DBSERVER",
    "POSTGRESHOST",
    "POSTGRESQLHOST",
    "POSTGRESSERVER",
    "SQLHOST",
    "RDSHOSTNAME",
    "DATABASESHOST",
    "KCDBURLHOST",
    "AIRFLOWDATABASEHOST",
    "KEYCLOAKDATABASEHOST",
    "GFDATABASEHOST",
)
APPLICATIONS = ("PGAPPNAME", "DBAPPLICATIONNAME", "APPLICATIONNAME")
APPLICATION_PARAMETERS = ("application_name", "ApplicationName")

CELERY_PROCESSES = ("CELERYWORKERCONCURRENCY", "CELERYCONCURRENCY")
# Gunicorn, uvicorn and puma read WEB_CONCURRENCY themselves.
PROCESSES = (
    "WEBCONCURRENCY",
    "GUNICORNWORKERS",
    "GUNICORNPROCESSES",
    "UVICORNWORKERS",
    "PUMAWORKERS",
    "UWSGIPROCESSES",
    "UWSGIWORKERS",
    "WORKERS",
    *CELERY_PROCESSES,
)
THREADS = ("GUNICORNTHREADS", "UWSGITHREADS")

# PgBouncer's images (Bitnami's, edoburu's and its own) take its settings with and without a prefix.
# https://www.pgbouncer.org/config.html: default_pool_size 20, reserve_pool_size 0.
PGBOUNCER_DEFAULT_POOL_SIZE = 20
PGBOUNCER_PREFIXES = ("PGBOUNCER", "")
