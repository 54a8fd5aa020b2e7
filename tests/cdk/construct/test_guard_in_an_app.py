"""A guard in somebody's app: what it offers, what can be brought along, and what an app may do."""

from pathlib import Path

import pytest
from aws_cdk import Stack, Stage, Validations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from cdk_nag import AwsSolutionsChecks

from connection_guard.core.deployment.reporter_settings import ReporterSettings
from connection_guard.core.deployment.stack_output import StackOutput, outputs_of_guards
from connection_guard_cdk import ConfigurationError
from tests.cdk.construct.apps import (
    a_cluster,
    a_guard,
    an_app,
    an_instance,
    responders,
    template_of,
)
from tests.cdk.template import Template, referred


def reporter_settings(template: Template) -> ReporterSettings:
    [reporter] = [
        each
        for each in template.of("AWS::Lambda::Function").values()
        if each["Handler"] == "reporter.handler.lambda_handler"
    ]
    return ReporterSettings.from_environment(reporter["Environment"]["Variables"])


def test_others_use_its_topic_its_alarms_and_its_widgets(tmp_path: Path) -> None:
    stack = Stack(an_app(tmp_path), "Shop")
    guard, orders = a_guard(stack), an_instance(stack)
    watched = guard.watch(orders)
    guard.incidents.add_subscription(subscriptions.UrlSubscription("https://pager.example.com/"))
    cloudwatch.CompositeAlarm(
        stack,
        "Any",
        alarm_rule=cloudwatch.AlarmRule.any_of(*guard.alarms),
    )
    cloudwatch.Dashboard(
        stack, "Ours", dashboard_name="ours", widgets=[guard.dashboard_widgets(orders)]
    )

    template = template_of(stack)

    assert {each.alarm_arn for each in guard.alarms} == {each.alarm_arn for each in watched.alarms}
    [any_alarm] = template.of("AWS::CloudWatch::CompositeAlarm").values()
    assert any_alarm["AlarmRule"].count("ALARM(") == len(guard.alarms)
    [ours] = [
        each["DashboardBody"]
        for each in template.of("AWS::CloudWatch::Dashboard").values()
        if each["DashboardName"] == "ours"
    ]
    assert "percent of the usable connections" in ours
    topics = {
        each["TopicArn"]
        for each in template.of("AWS::SNS::Subscription").values()
        if each["Endpoint"] == "https://pager.example.com/"
    }
    assert topics == {reporter_settings(template).incidents_topic}


def test_the_command_line_finds_each_guard_of_a_stack_by_its_outputs(tmp_path: Path) -> None:
    stack = Stack(an_app(tmp_path), "Shop")
    a_guard(stack).watch(an_instance(stack))
    a_guard(stack, "Second-One", alarm_prefix="second")

    template = template_of(stack)

    guards = outputs_of_guards({key: each["Value"] for key, each in template.outputs.items()})
    assert guards.keys() == {"Guard", "SecondOne"}
    reporters = {f"${{{name}}}" for name in template.of("AWS::Lambda::Function")}
    for guard, outputs in guards.items():
        assert outputs.keys() == set(StackOutput)
        assert outputs[StackOutput.REPORTER] in reporters
        assert all(each.startswith(f"${{{guard}") for each in outputs.values())


def an_incidents_table(stack: Stack) -> dynamodb.Table:
    text = dynamodb.AttributeType.STRING
    table = dynamodb.Table(
        stack,
        "OurTable",
        partition_key=dynamodb.Attribute(name="pk", type=text),
        sort_key=dynamodb.Attribute(name="sk", type=text),
        encryption_key=kms.Key(stack, "KeyOfOurTable"),
        time_to_live_attribute="expires_at",
    )
    table.add_global_secondary_index(
        index_name="pending",
        partition_key=dynamodb.Attribute(name="pending", type=text),
        sort_key=dynamodb.Attribute(name="due_at", type=text),
    )
    return table


def test_a_topic_a_log_a_table_and_a_bucket_can_be_brought_along(tmp_path: Path) -> None:
    stack = Stack(an_app(tmp_path), "Shop")
    guard = a_guard(
        stack,
        incidents_topic=sns.Topic(stack, "OurTopic"),
        log_group=logs.LogGroup(stack, "OurLog"),
        table=an_incidents_table(stack),
        bucket=s3.Bucket.from_bucket_name(stack, "OurBucket", "our-evidence"),
        alarm_prefix="shop-guard",
    )
    guard.watch(an_instance(stack, instance_identifier="orders"))

    template = template_of(stack)

    settings = reporter_settings(template)
    assert referred(settings.incidents_topic).startswith("OurTopic")
    assert referred(settings.table).startswith("OurTable")
    assert settings.bucket == "our-evidence"
    assert not template.of("AWS::S3::Bucket")
    assert len(template.of("AWS::DynamoDB::Table")) == 1
    [responder] = responders(template).values()
    assert referred(responder["LoggingConfig"]["LogGroup"]).startswith("OurLog")
    names = {each["AlarmName"] for each in template.of("AWS::CloudWatch::Alarm").values()}
    assert "shop-guard-orders-critical" in names
    assert {name.startswith("shop-guard-") for name in names} == {True}
    [reporter] = template.who_may("sns:Publish", referred(settings.incidents_topic))
    [key] = [each for each in template.of("AWS::KMS::Key") if each.startswith("KeyOfOurTable")]
    assert reporter in template.who_may("kms:Decrypt", key)


def test_a_table_with_other_keys_is_refused(tmp_path: Path) -> None:
    stack = Stack(an_app(tmp_path), "Shop")
    text = dynamodb.AttributeType.STRING
    table = dynamodb.TableV2(stack, "Table", partition_key=dynamodb.Attribute(name="id", type=text))

    with pytest.raises(ConfigurationError) as refused:
        a_guard(stack, table=table)

    keys, index = str(refused.value).splitlines()
    assert keys == (
        'Shop/Table: its keys are not those of incidents; give it partition_key "pk" and sort_key '
        '"sk", both of type STRING'
    )
    assert index == (
        'Shop/Table: it has no index of what is pending; add the global secondary index "pending" '
        'with partition_key "pending" and sort_key "due_at", both of type STRING, which includes '
        "version, channels, pending_since"
    )


def test_a_key_of_the_app_lets_the_logs_use_it(tmp_path: Path) -> None:
    stack = Stack(an_app(tmp_path), "Shop")
    a_guard(stack, key=kms.Key(stack, "OurKey")).watch(an_instance(stack))

    template = template_of(stack)

    [key] = [each for each in template.of("AWS::KMS::Key") if each.startswith("OurKey")]
    assert "logs.${AWS::Region}.amazonaws.com" in template.who_may("kms:Encrypt", key)


def test_the_value_of_a_secret_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        a_guard(Stack(an_app(tmp_path), "Shop"), slack_secret="xoxb-1234-abcd")

    assert str(refused.value).startswith(
        "Shop/Guard: slack_secret: this value looks like Slack's token or webhook itself; revoke it"
    )
    assert "xoxb" not in str(refused.value)


def test_a_channel_of_slack_needs_slack(tmp_path: Path) -> None:
    stack = Stack(an_app(tmp_path), "Shop")

    with pytest.raises(ConfigurationError) as refused:
        a_guard(stack).watch(an_instance(stack), slack_channel="#orders")

    assert str(refused.value) == (
        "Shop/Orders: slack_channel: Slack is not notified; pass slack_secret to Shop/Guard, or "
        "remove this"
    )


def test_databases_of_other_stacks_may_have_the_same_name(tmp_path: Path) -> None:
    """A guard in a stack of its own refers to them, and they do not refer to the guard."""
    app = an_app(tmp_path)
    platform = Stack(app, "Platform")
    guard = a_guard(platform)
    stacks = [Stack(app, name) for name in ("Europe", "Asia")]
    for stack in stacks:
        guard.watch(an_instance(stack))

    template = template_of(platform)

    assert len(responders(template)) == 2
    assert len({each["FunctionName"] for each in responders(template).values()}) == 2
    assert {
        each["GroupId"].partition(":")[0]
        for each in template.of("AWS::EC2::SecurityGroupIngress").values()
    } == {"${Europe", "${Asia"}
    vpcs = [each["VpcId"] for each in template.of("AWS::EC2::SecurityGroup").values()]
    assert len(set(vpcs)) == 2


def test_two_guards_of_an_app_share_no_name(tmp_path: Path) -> None:
    app = an_app(tmp_path)
    stacks = [Stack(app, name) for name in ("Shop", "Bank")]
    for stack in stacks:
        a_guard(stack).watch(an_instance(stack))

    shop, bank = map(template_of, stacks)

    def names(template: Template) -> set[str]:
        return {
            str(properties[name])
            for resource in template.resources.values()
            for properties in [resource.get("Properties", {})]
            for name in ("AlarmName", "DashboardName", "FunctionName", "LogGroupName", "Name")
            if not str(properties.get(name, "${")).startswith("${")  # a reference
        }

    assert names(shop)
    assert not names(shop) & names(bank)


def test_a_permissions_boundary_and_tags_of_the_app_reach_everything(tmp_path: Path) -> None:
    app = an_app(tmp_path)
    stack = Stack(app, "Shop")
    a_guard(stack).watch(an_instance(stack))
    boundary = iam.ManagedPolicy.from_managed_policy_name(stack, "Boundary", "boundary")
    iam.PermissionsBoundary.of(app).apply(boundary)

    roles = template_of(stack).of("AWS::IAM::Role")

    assert {("PermissionsBoundary" in each) for each in roles.values()} == {True}
    assert len(roles) >= 2


def test_cdk_nag_of_an_app_finds_nothing_in_the_guard(tmp_path: Path) -> None:
    app = an_app(tmp_path)
    stack = Stack(app, "Shop")
    a_guard(stack).watch(an_instance(stack))
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))

    with pytest.raises(RuntimeError) as findings:
        app.synth()

    assert "Shop/Orders/Resource" in str(findings.value)  # which is the app's
    assert "Shop/Guard" not in str(findings.value)


def test_it_works_in_a_stage_of_a_pipeline(tmp_path: Path) -> None:
    app = an_app(tmp_path)
    stage = Stage(app, "Production")
    stack = Stack(stage, "Shop")
    a_guard(stack).watch(a_cluster(stack))

    assembly = app.synth()

    [nested] = [each for each in tmp_path.iterdir() if each.name.startswith("assembly-")]
    template = Template.read(nested / f"{stack.artifact_id}.template.json")
    assert assembly.directory == str(tmp_path)
    assert len(responders(template)) == 1
