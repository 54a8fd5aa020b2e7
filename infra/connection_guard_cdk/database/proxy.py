"""The RDS Proxy that the stack puts in front of a database that has none."""

from hashlib import sha256

from aws_cdk import ArnFormat, Names, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_rds as rds
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import (
    Database,
    ExistingProxy,
    NewProxy,
    ProxyAuthentication,
)
from connection_guard_cdk.database.login_permission import may_log_in
from connection_guard_cdk.network.network_access import NetworkAccess

PoolSettings = rds.CfnDBProxyTargetGroup.ConnectionPoolConfigurationInfoFormatProperty

# A proxy listens on its engine's default port, even if the database listens on another one.
PORT = 5432

# The guard gives a proxy 2 seconds, then uses the other door. Most applications that wait longer
# for a connection have given up, and would only lengthen the queue: by default RDS lets them wait
# for 120 seconds.
CONNECTION_BORROW_TIMEOUT_SECONDS = 5

# Of max_connections. The guard spares the sessions of a proxy: this one must not be able to fill
# the database by itself, or keep many sessions that no client uses.
MAX_CONNECTIONS_PERCENT = 50
MAX_IDLE_CONNECTIONS_PERCENT = 5


class Proxy(Construct):
    """An RDS Proxy that its clients log in to with IAM tokens, over TLS.

    `created` describes it as guard.toml describes an existing proxy. `security_group` is that of
    all created proxies of its VPC.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        database: Database,
        settings: NewProxy,
        network: NetworkAccess,
    ) -> None:
        super().__init__(scope, identifier)
        self.security_group = network.of_proxy(database, PORT)
        with_iam = settings.authentication is ProxyAuthentication.IAM
        log_in = self._with_tokens(database, settings) if with_iam else self._with_secret(settings)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("rds.amazonaws.com"),
            # Inline, so that the role has the permission before the proxy uses it.
            inline_policies={"LogIn": iam.PolicyDocument(statements=log_in)},
        )
        secret = rds.CfnDBProxy.AuthFormatProperty(
            auth_scheme="SECRETS", secret_arn=settings.secret, iam_auth="REQUIRED"
        )
        proxy = rds.CfnDBProxy(
            self,
            "Proxy",
            db_proxy_name=self._name(database),
            engine_family="POSTGRESQL",
            require_tls=True,
            role_arn=role.role_arn,
            vpc_subnet_ids=list(database.network.subnets),
            vpc_security_group_ids=[self.security_group.security_group_id],
            default_auth_scheme="IAM_AUTH" if with_iam else None,
            auth=None if with_iam else [secret],
        )
        targets = [database.identifier]
        rds.CfnDBProxyTargetGroup(
            self,
            "Targets",
            db_proxy_name=proxy.ref,
            target_group_name="default",  # a proxy has no other
            db_cluster_identifiers=targets if database.is_cluster else None,
            db_instance_identifiers=None if database.is_cluster else targets,
            connection_pool_configuration_info=PoolSettings(
                connection_borrow_timeout=CONNECTION_BORROW_TIMEOUT_SECONDS,
                max_connections_percent=MAX_CONNECTIONS_PERCENT,
                max_idle_connections_percent=MAX_IDLE_CONNECTIONS_PERCENT,
            ),
        )
        resource_id = (
            Stack.of(self)
            .split_arn(proxy.attr_db_proxy_arn, ArnFormat.COLON_RESOURCE_NAME)
            .resource_name
        )
        assert resource_id is not None
        self.created = ExistingProxy(
            host=proxy.attr_endpoint,
            port=PORT,
            resource_id=resource_id,
            security_groups=(self.security_group.security_group_id,),
            authentication=settings.authentication,
            role=settings.role,
        )

    def _name(self, database: Database) -> str:
        """Return another name for other subnets, since CloudFormation then creates the new proxy
        before it deletes the old one.

        RDS keeps names in lower case, and allows at most 60 letters, digits and single hyphens.
        """
        subnets = sha256(" ".join(database.network.subnets).encode()).hexdigest()[:8]
        return f"{Names.unique_resource_name(self, max_length=51, separator='-').lower()}-{subnets}"

    def _with_tokens(self, database: Database, settings: NewProxy) -> list[iam.PolicyStatement]:
        """Return what a proxy with IAM needs.

        https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-iam-setup.html
        """
        return [may_log_in(self, [(database.resource_id, settings.role)])]

    def _with_secret(self, settings: NewProxy) -> list[iam.PolicyStatement]:
        assert settings.secret is not None
        read = iam.PolicyStatement(
            actions=["secretsmanager:GetSecretValue"], resources=[settings.secret]
        )
        if settings.secret_key is None:
            return [read]  # AWS's own key decrypts for every role that may read the secret
        decrypt = iam.PolicyStatement(
            actions=["kms:Decrypt"],
            resources=[settings.secret_key],
            conditions={
                "StringEquals": {
                    "kms:ViaService": f"secretsmanager.{Stack.of(self).region}.amazonaws.com"
                }
            },
        )
        return [read, decrypt]
