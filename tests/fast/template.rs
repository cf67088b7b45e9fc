//! Compares `template.yaml` with what the code needs: the permissions (`permissions.toml`), the settings,
//! and the wiring of the queue, the schedule, the state machine and the alarms.

#![allow(clippy::unwrap_used, clippy::panic)] // a test may, and its helpers are part of it

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

/// The settings in docs/settings.md, with the functions that read them.
const SETTINGS: &[(&str, &[&str])] = &[
    ("PERMIT_API_URL", &["post-authentication", "handoff", "reconcile", "bulk-sync"]),
    ("PERMIT_API_KEY_SECRET_ID", &["post-authentication", "handoff", "reconcile", "bulk-sync"]),
    ("PERMIT_PROJECT", &["post-authentication", "handoff", "reconcile", "bulk-sync"]),
    ("PERMIT_ENVIRONMENT", &["post-authentication", "handoff", "reconcile", "bulk-sync"]),
    ("PERMIT_LIMITS", &["post-authentication", "handoff", "reconcile", "bulk-sync"]),
    ("HANDOFF_POLICY_FILE", &["post-authentication", "handoff", "reconcile", "bulk-sync"]),
    ("RUST_LOG", &["post-authentication", "handoff", "reconcile", "bulk-sync"]),
    ("PERMIT_PDP_URL", &["post-authentication", "handoff", "reconcile", "bulk-sync"]),
    ("SIGN_IN_GROUPS", &["post-authentication"]),
    ("SIGN_IN_ON_FAILURE", &["post-authentication", "handoff"]),
    ("SIGN_IN_BUDGET_MS", &["post-authentication", "handoff"]),
    ("SIGN_IN_CACHE_SECONDS", &["post-authentication", "handoff"]),
    ("RECONCILE_QUEUE_URL", &["post-authentication", "handoff", "reconcile", "bulk-sync"]),
    ("DEAD_LETTER_QUEUE_URL", &["reconcile"]),
    ("BULK_SYNC_STATE_MACHINE_ARN", &["reconcile"]),
    ("HANDOFF_ALLOWED_ORIGINS", &["handoff"]),
    ("USER_POOL_ID", &["post-authentication", "handoff", "reconcile", "bulk-sync"]),
    ("BULK_SHARE", &["bulk-sync"]),
    ("TRIGGER_FUNCTION_ARN", &["bulk-sync"]),
    ("CHANGE_EVENTS", &["bulk-sync"]),
];

/// The project's own metrics, each with its dimension besides `function`, and that dimension's values.
const METRICS: &[(&str, &str, &[&str])] = &[
    ("SignIns", "outcome", &["synced", "unchanged", "held", "queued", "unsynced", "refused", "rejected"]),
    ("SignInLatency", "", &[]),
    ("TokensRefused", "", &[]),
    ("EventsOfOtherPools", "", &[]),
    ("PermitRequests", "kind", &["read", "write", "bulk"]),
    ("Changes", "outcome", &["looked", "started", "ignored", "unread", "refused"]),
    ("ChangeLag", "", &[]),
    ("PermitThrottled", "", &[]),
    ("BulkSyncRuns", "outcome", &["converged", "incomplete", "not_converged", "failed"]),
    ("BulkSyncRefused", "", &[]),
    ("BulkSyncRejected", "", &[]),
    ("BulkSyncDrifted", "", &[]),
    ("BulkSyncSeconds", "", &[]),
    ("PermitMau", "", &[]),
    ("PermitMauLimit", "", &[]),
    ("TriggersMissing", "", &[]),
    ("PdpLag", "", &[]),
    ("ReconcileDeadLettered", "", &[]),
];

/// binary, function, role
const FUNCTIONS: &[(&str, &str, &str)] = &[
    ("post-authentication", "PostAuthenticationFunction", "PostAuthenticationRole"),
    ("handoff", "HandoffFunction", "HandoffRole"),
    ("reconcile", "ReconcileFunction", "ReconcileRole"),
    ("bulk-sync", "BulkSyncFunction", "BulkSyncRole"),
];

#[test]
fn each_role_may_do_what_the_code_does_and_nothing_else() {
    let template = template();
    let mut table = permission_table();
    table.remove("operator");
    let roles = FUNCTIONS
        .iter()
        .map(|(part, _, role)| (*part, *role))
        .chain([("state-machine", "BulkSyncStateMachineRole"), ("schedule", "BulkSyncScheduleRole")])
        .collect::<BTreeMap<_, _>>();
    assert_eq!(
        roles.keys().map(ToString::to_string).collect::<Vec<_>>(),
        table.keys().cloned().collect::<Vec<_>>()
    );

    for (part, role) in roles {
        let allowed = permissions(&template["Resources"][role], part);
        assert_eq!(allowed, table[part], "{role}: left is template.yaml, right is permissions.toml");
    }
}

#[test]
fn every_call_in_the_source_is_in_the_table() {
    let table = permission_table();
    let actions = table.values().flat_map(BTreeMap::values).flatten();
    let operations =
        actions.filter_map(|action| action.split_once(':')).map(|(_, name)| name).collect::<BTreeSet<_>>();
    for file in rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let source = fs::read_to_string(&file).unwrap();
        for call in aws_calls(&source) {
            assert!(
                operations.contains(call.as_str()),
                "{}: {call} is not in permissions.toml",
                file.display()
            );
        }
    }
}

#[test]
fn the_security_guide_names_every_right() {
    let guide = read("docs/security.md");
    let mut table = permission_table();
    table.remove("operator");
    for (part, resources) in table {
        for action in resources.values().flatten().filter(|action| !action.starts_with("logs:")) {
            let name = action.strip_prefix("cognito-idp:").unwrap_or(action);
            assert!(
                guide.contains(&format!("`{name}`")) || guide.contains(&format!("`{action}`")),
                "{part}: {action}"
            );
        }
    }
}

#[test]
fn no_right_comes_from_elsewhere() {
    let template = template();
    let mut roles = 0;
    for (name, resource) in resources(&template) {
        let properties = &resource["Properties"];
        match resource["Type"].as_str().unwrap() {
            "AWS::IAM::Role" => {
                roles += 1;
                let managed = &properties["ManagedPolicyArns"];
                let is_vpc_access_alone = managed["Fn::If"][0] == "HasVpc"
                    && managed["Fn::If"][1].as_array().is_some_and(|arns| arns.len() == 1)
                    && managed["Fn::If"][1][0]["Fn::Sub"].as_str().is_some_and(|arn| {
                        arn.ends_with("policy/service-role/AWSLambdaVPCAccessExecutionRole")
                    })
                    && managed["Fn::If"][2] == no_value();
                assert!(managed.is_null() || is_vpc_access_alone, "{name} has a managed policy");
            }
            "AWS::Serverless::Function" | "AWS::Serverless::StateMachine" => {
                assert!(!properties["Role"].is_null(), "{name}: SAM would make a wider role");
                assert!(properties["Policies"].is_null(), "{name}: its role has the policies");
            }
            // The queue policy only denies, except for the rule that delivers changes.
            "AWS::SQS::QueuePolicy" => {
                let statements = properties["PolicyDocument"]["Statement"].as_array().unwrap();
                let [denied, changes] = statements.as_slice() else { panic!("{name}") };
                assert_eq!(denied["Effect"], "Deny", "{name}");
                let expected = json!({
                    "Sid": "TakeChanges", "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"},
                    "Action": "sqs:SendMessage", "Resource": get_att("OverflowQueue", "Arn"),
                    "Condition": {"ArnEquals": {"aws:SourceArn": get_att("ChangeRule", "Arn")}},
                });
                assert_eq!(changes["Fn::If"], json!(["HasChangeEvents", expected, no_value()]));
            }
            "AWS::Lambda::Permission" => assert_eq!(name, "CognitoPermission"),
            other => assert!(!other.starts_with("AWS::IAM::"), "{name} grants rights that no test reads"),
        }
    }
    assert_eq!(roles, 6);
}

#[test]
fn the_rule_lets_through_what_is_read_and_nothing_else() {
    use permit_handoff::aws::change::{OF_MANY, OF_ONE};
    let pattern = &template()["Resources"]["ChangeRule"]["Properties"]["EventPattern"]["detail"];
    let names: BTreeSet<&str> =
        pattern["eventName"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(names, OF_ONE.into_iter().chain(OF_MANY).collect());
}

#[test]
fn only_the_pool_may_call_the_trigger() {
    let template = template();
    let permission = &template["Resources"]["CognitoPermission"]["Properties"];
    assert_eq!(permission["FunctionName"], json!({"Ref": "PostAuthenticationFunction"}));
    assert_eq!(permission["Principal"], "cognito-idp.amazonaws.com");
    assert_eq!(permission["Action"], "lambda:InvokeFunction");
    assert_eq!(permission["SourceAccount"], json!({"Ref": "AWS::AccountId"}));
    assert_eq!(resource_name(&permission["SourceArn"], ""), "pool");
}

#[test]
fn each_function_is_built_from_its_binary_and_has_its_settings() {
    let template = template();
    let globals = &template["Globals"]["Function"];
    assert_eq!(globals["Runtime"], "provided.al2023");
    for (binary, function, role) in FUNCTIONS {
        let resource = &template["Resources"][function];
        assert_eq!(resource["Metadata"]["BuildMethod"], "rust-cargolambda");
        assert_eq!(resource["Metadata"]["BuildProperties"], json!({ "Binary": binary }));
        assert_eq!(resource["Properties"]["Role"], get_att(role, "Arn"));
        assert!(
            resource["Properties"]["LoggingConfig"]["LogGroup"]["Ref"].is_string(),
            "{function}: logs are kept"
        );

        let own = resource["Properties"]["Environment"]["Variables"].as_object().unwrap();
        let shared = globals["Environment"]["Variables"].as_object().unwrap();
        let settings = own.keys().chain(shared.keys()).map(String::as_str).collect::<BTreeSet<_>>();
        let wanted = SETTINGS
            .iter()
            .filter(|(_, functions)| functions.contains(binary))
            .map(|(name, _)| *name)
            .collect::<BTreeSet<_>>();
        assert_eq!(settings, wanted, "{function}");
        for (name, value) in own.iter().chain(shared) {
            let optional = value["Fn::If"][2] == no_value();
            let default = default_of(&template, value);
            assert!(optional || default != json!(""), "{function}: {name} would be set, and empty");
        }
    }
}

#[test]
fn the_policy_is_where_the_functions_look_for_it() {
    let template = template();
    let layer = &template["Resources"]["PolicyLayer"]["Properties"];
    let folder = layer["ContentUri"].as_str().unwrap();
    assert_eq!(template["Globals"]["Function"]["Layers"], json!([{"Ref": "PolicyLayer"}]));
    let file =
        template["Globals"]["Function"]["Environment"]["Variables"]["HANDOFF_POLICY_FILE"].as_str().unwrap();
    let packaged = Path::new(folder).join(file.strip_prefix("/opt/").unwrap());
    toml::from_str::<toml::Table>(&read(packaged.to_str().unwrap())).unwrap();
}

#[test]
fn a_sign_in_is_answered_before_cognito_gives_up() {
    let template = template();
    let timeout = &template["Resources"]["PostAuthenticationFunction"]["Properties"]["Timeout"];
    assert!(timeout.as_u64().unwrap() <= 5);
    let budget = &template["Parameters"]["SignInBudgetMs"];
    assert!(budget["MaxValue"].as_u64().unwrap() < timeout.as_u64().unwrap() * 1000);
}

#[test]
fn what_was_queued_is_drained_tried_again_and_then_set_aside() {
    let template = template();
    let resources = &template["Resources"];
    let queue_url = json!({"Ref": "OverflowQueue"});
    let setting = |function: &str, name: &str| {
        resources[function]["Properties"]["Environment"]["Variables"][name].clone()
    };
    for function in ["PostAuthenticationFunction", "HandoffFunction"] {
        assert_eq!(setting(function, "RECONCILE_QUEUE_URL"), queue_url, "{function}");
    }
    let dead_letters = json!({"Ref": "OverflowDeadLetters"});
    assert_eq!(setting("ReconcileFunction", "DEAD_LETTER_QUEUE_URL"), dead_letters);

    let reconcile = &resources["ReconcileFunction"]["Properties"];
    let source = &reconcile["Events"]["Overflow"];
    assert_eq!(source["Type"], "SQS");
    assert_eq!(source["Properties"]["Queue"], get_att("OverflowQueue", "Arn"));
    assert_eq!(source["Properties"]["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    // The breaker for departures relies on two: `AT_ONCE` in src/entry/reconcile/breaker.rs.
    assert_eq!(source["Properties"]["ScalingConfig"], json!({"MaximumConcurrency": 2}));

    let queue = &resources["OverflowQueue"]["Properties"];
    let visibility = queue["VisibilityTimeout"].as_u64().unwrap();
    assert!(visibility >= 6 * reconcile["Timeout"].as_u64().unwrap());
    assert_eq!(queue["RedrivePolicy"]["deadLetterTargetArn"], get_att("OverflowDeadLetters", "Arn"));
    let tries = queue["RedrivePolicy"]["maxReceiveCount"].as_u64().unwrap();
    assert!(
        tries * visibility < queue["MessageRetentionPeriod"].as_u64().unwrap(),
        "it must not expire while tried"
    );
}

#[test]
fn the_schedule_starts_the_state_machine_and_the_state_machine_the_function() {
    let template = template();
    let resources = &template["Resources"];
    let target = &resources["BulkSyncSchedule"]["Properties"]["Target"];
    assert_eq!(target["Arn"], json!({"Ref": "BulkSyncStateMachine"}));
    assert_eq!(target["RoleArn"], get_att("BulkSyncScheduleRole", "Arn"));
    assert_eq!(target["DeadLetterConfig"]["Arn"], get_att("ScheduleDeadLetters", "Arn"));

    let machine = &resources["BulkSyncStateMachine"]["Properties"];
    assert_eq!(machine["Role"], get_att("BulkSyncStateMachineRole", "Arn"));
    // The role refers to the state machine by this name.
    assert_eq!(machine["Name"], json!({"Fn::Sub": "${AWS::StackName}-bulk-sync"}));
    let definition = read(machine["DefinitionUri"].as_str().unwrap());
    let substitutions = machine["DefinitionSubstitutions"].as_object().unwrap();
    assert_eq!(substitutions["BulkSyncFunctionArn"], get_att("BulkSyncFunction", "Arn"));
    assert_eq!(
        placeholders(&definition),
        substitutions.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        "left is the definition, right the template"
    );

    let definition: Value = serde_json::from_str(&definition).unwrap();
    let sync = &definition["States"]["Each part"]["ItemProcessor"]["States"]["Sync"];
    let timeout = resources["BulkSyncFunction"]["Properties"]["Timeout"].as_u64().unwrap();
    assert!(sync["TimeoutSeconds"].as_u64().unwrap() > timeout, "the function stops first, and reports");
    // Every number of parts that the parameter allows has a state; 1 is the default.
    let asked = template["Parameters"]["Shards"]["AllowedValues"].as_array().unwrap();
    let known = definition["States"]["Alone?"]["Choices"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|choice| choice["StringEquals"].as_str())
        .chain(["1"])
        .collect::<BTreeSet<_>>();
    assert_eq!(asked.iter().map(|value| value.as_str().unwrap()).collect::<BTreeSet<_>>(), known);
}

#[test]
fn parts_at_once_share_the_limits() {
    let template = template();
    let parameter = &template["Parameters"]["ShardConcurrency"]["AllowedValues"];
    let shares = template["Mappings"]["PartsAtOnce"].as_object().unwrap();
    assert_eq!(parameter.as_array().unwrap().len(), shares.len());
    for parts in parameter.as_array().unwrap() {
        let parts = parts.as_str().unwrap();
        let share: f64 = shares[parts]["BulkShare"].as_str().unwrap().parse().unwrap();
        let together = share * parts.parse::<f64>().unwrap();
        assert!((0.6..=0.7).contains(&together), "{parts} at once would take {together} of Permit's limits");
    }
}

#[test]
fn alarms_ring_on_metrics_that_exist_and_are_documented() {
    let template = template();
    let operations = read("docs/operations.md");
    let notify = json!({"Fn::If": ["HasTopic", [{"Ref": "AlarmTopicArn"}], no_value()]});
    let mut alarms = 0;
    for (name, resource) in
        resources(&template).filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm")
    {
        alarms += 1;
        let alarm = &resource["Properties"];
        assert_eq!(alarm["AlarmActions"], notify, "{name}");
        let title =
            alarm["AlarmName"]["Fn::Sub"].as_str().unwrap().strip_prefix("${AWS::StackName}-").unwrap();
        assert!(
            operations.contains(&format!("\n### `{title}`\n")),
            "docs/operations.md says nothing of {title}"
        );

        let metrics = alarm["Metrics"].as_array().map_or_else(
            || vec![alarm],
            |metrics| {
                metrics
                    .iter()
                    .map(|metric| &metric["MetricStat"]["Metric"])
                    .filter(|metric| !metric.is_null())
                    .collect()
            },
        );
        assert!(!metrics.is_empty(), "{name}");
        for metric in metrics {
            if metric["Namespace"] == "PermitHandoff" {
                let dimensions = metric["Dimensions"].as_array().unwrap();
                let dimensions = dimensions
                    .iter()
                    .map(|dimension| {
                        (dimension["Name"].as_str().unwrap(), dimension["Value"].as_str().unwrap_or(""))
                    })
                    .collect();
                assert_metric(metric["MetricName"].as_str().unwrap(), &dimensions, name);
            }
        }
    }
    let sections = operations.lines().filter(|line| line.starts_with("### `")).count();
    assert_eq!(alarms, sections, "an alarm has no section in docs/operations.md, or a section no alarm");
}

#[test]
fn the_table_of_metrics_is_what_the_code_counts() {
    let source = read("src/telemetry/metrics.rs");
    let described =
        source.split("describe_").skip(1).filter(|rest| rest.split('(').next().unwrap().ends_with('!'));
    let described = described.filter_map(|rest| rest.split('"').nth(1));
    let known = METRICS.iter().map(|(name, ..)| *name).collect::<BTreeSet<_>>();
    assert_eq!(described.collect::<BTreeSet<_>>(), known);
    let operations = read("docs/operations.md");
    for name in &known {
        assert!(operations.contains(&format!("`{name}`")), "docs/operations.md says nothing of {name}");
    }

    for (of, metric) in [
        ("SignInOutcome", "SignIns"),
        ("BulkSyncOutcome", "BulkSyncRuns"),
        ("RequestKind", "PermitRequests"),
        ("ChangeOutcome", "Changes"),
    ] {
        let (_, names) = source.split_once(&format!("    {of} {{")).unwrap();
        let (names, _) = names.split_once("\n}").unwrap();
        let names = names.split(" = \"").skip(1).map(|rest| rest.split('"').next().unwrap());
        let (_, _, values) = METRICS.iter().find(|(name, ..)| *name == metric).unwrap();
        assert_eq!(names.collect::<BTreeSet<_>>(), values.iter().copied().collect(), "{metric}");
        for value in *values {
            assert!(operations.contains(value), "docs/operations.md says nothing of {value}");
        }
    }
}

#[test]
fn the_dashboard_shows_metrics_that_exist() {
    let template = template();
    let body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"].as_str().unwrap();
    // A number, so that the one placeholder outside a string stays valid JSON.
    let mut plain = body.to_owned();
    for placeholder in placeholders(body) {
        plain = plain.replace(&format!("${{{placeholder}}}"), "3500");
    }
    let body: Value = serde_json::from_str(&plain).unwrap();
    let mut shown = BTreeSet::new();
    for widget in body["widgets"].as_array().unwrap() {
        let mut previous: Vec<String> = Vec::new();
        for metric in widget["properties"]["metrics"].as_array().into_iter().flatten() {
            let metric = expand(metric, &previous);
            if metric[0] == "PermitHandoff" {
                let dimensions =
                    metric[2..].chunks(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
                assert_metric(&metric[1], &dimensions, "Dashboard");
                shown.insert(metric[1].clone());
            }
            previous = metric;
        }
    }
    let unseen = METRICS
        .iter()
        .filter(|(name, ..)| !shown.contains(*name))
        .map(|(name, ..)| *name)
        .collect::<Vec<_>>();
    assert_eq!(unseen, ["ReconcileDeadLettered"], "the dead-letter queue's own depth shows this one");
}

/// Expands a dashboard's metric: "..." repeats the beginning of the one before it, "." the value at its
/// position.
fn expand(metric: &Value, previous: &[String]) -> Vec<String> {
    let own = metric.as_array().unwrap().iter().filter_map(Value::as_str).collect::<Vec<_>>();
    let (kept, own) = match own.split_first() {
        Some((&"...", rest)) => (&previous[..previous.len() - rest.len()], rest.to_vec()),
        _ => (&previous[..0], own),
    };
    let own = own.iter().enumerate().map(|(place, value)| match *value {
        "." => previous[place].clone(),
        value => value.to_owned(),
    });
    kept.iter().cloned().chain(own).collect()
}

fn assert_metric(name: &str, dimensions: &BTreeMap<&str, &str>, whose: &str) {
    let (_, second, values) = METRICS
        .iter()
        .find(|(known, ..)| *known == name)
        .unwrap_or_else(|| panic!("{whose}: {name} is emitted by nobody"));
    let mut wanted = BTreeSet::from(["function"]);
    if !second.is_empty() {
        wanted.insert(second);
        assert!(
            values.contains(&dimensions[second]),
            "{whose}: {name} has no {second} {}",
            dimensions[second]
        );
    }
    assert_eq!(dimensions.keys().copied().collect::<BTreeSet<_>>(), wanted, "{whose}: dimensions of {name}");
}

/// part, resource, actions
fn permission_table() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    toml::from_str(&read("tests/permissions.toml")).unwrap()
}

/// The operations that a file calls on an AWS client: `client.list_users()` is `ListUsers`.
fn aws_calls(source: &str) -> BTreeSet<String> {
    if !source.contains("aws_sdk_") {
        return BTreeSet::new();
    }
    let calls = source.split("client").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('.'));
    let names = calls.filter_map(|rest| rest.split_once("()")).map(|(name, _)| name);
    let names = names.filter(|name| name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'));
    names.map(|name| name.split('_').map(capitalized).collect()).collect()
}

fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at(1.min(word.len()));
    first.to_uppercase() + rest
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => rust_files(&path),
            Some(extension) if extension == "rs" => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

/// A role's permissions, in the terms of `permissions.toml`: resource to actions.
fn permissions(role: &Value, part: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut permissions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for policy in role["Properties"]["Policies"].as_array().unwrap() {
        for statement in policy["PolicyDocument"]["Statement"].as_array().unwrap() {
            let (statement, on_condition) = match &statement["Fn::If"] {
                Value::Null => (statement, false),
                choice => {
                    assert_eq!((&choice[0], &choice[2]), (&json!("HasKey"), &no_value()));
                    (&choice[1], true)
                }
            };
            assert_eq!(statement["Effect"], "Allow");
            assert!(statement["NotAction"].is_null() && statement["NotResource"].is_null());
            let resource = resource_name(&statement["Resource"], part);
            assert_eq!(resource == "key", on_condition, "the key is allowed just where there is one");
            let actions =
                statement["Action"].as_array().cloned().unwrap_or_else(|| vec![statement["Action"].clone()]);
            for action in actions {
                let action = action.as_str().unwrap().to_owned();
                assert!(!action.contains('*'), "{part}: {action}");
                permissions.entry(resource.clone()).or_default().insert(action);
            }
        }
    }
    permissions
}

fn resource_name(resource: &Value, part: &str) -> String {
    let logs = FUNCTIONS
        .iter()
        .find(|(binary, ..)| *binary == part)
        .map(|(_, function, _)| get_att(&function.replace("Function", "Logs"), "Arn"));
    let region = "${AWS::Region}:${AWS::AccountId}";
    let known = [
        (
            "secret",
            json!({"Fn::If": ["CreateSecret", {"Ref": "PermitApiKeySecret"}, {"Ref": "PermitApiKeySecretArn"}]}),
        ),
        (
            "pool",
            json!({"Fn::Sub": format!("arn:${{AWS::Partition}}:cognito-idp:{region}:userpool/${{UserPoolId}}")}),
        ),
        ("queue", get_att("OverflowQueue", "Arn")),
        ("dead-letters", get_att("OverflowDeadLetters", "Arn")),
        ("schedule-dead", get_att("ScheduleDeadLetters", "Arn")),
        ("function", get_att("BulkSyncFunction", "Arn")),
        ("state-machine", json!({"Ref": "BulkSyncStateMachine"})),
        (
            "state-machine",
            json!({"Fn::Sub": format!("arn:${{AWS::Partition}}:states:{region}:stateMachine:${{AWS::StackName}}-bulk-sync")}),
        ),
        ("key", json!({"Ref": "KmsKeyArn"})),
    ];
    known
        .into_iter()
        .chain(logs.map(|logs| ("logs", logs)))
        .find_map(|(name, value)| (value == *resource).then(|| name.to_owned()))
        .unwrap_or_else(|| panic!("{part}: {resource} has no word in permissions.toml"))
}

fn resources(template: &Value) -> impl Iterator<Item = (&str, &Value)> {
    template["Resources"].as_object().unwrap().iter().map(|(name, resource)| (name.as_str(), resource))
}

/// The default of the parameter that a setting refers to; otherwise `"given"`.
fn default_of(template: &Value, value: &Value) -> Value {
    match value["Ref"].as_str() {
        None => json!("given"),
        Some(name) => template["Parameters"][name].get("Default").cloned().unwrap_or(json!("given")),
    }
}

fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

fn get_att(resource: &str, attribute: &str) -> Value {
    json!({ "Fn::GetAtt": format!("{resource}.{attribute}") })
}

fn no_value() -> Value {
    json!({"Ref": "AWS::NoValue"})
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn template() -> Value {
    yaml(&read("template.yaml"))
}

/// Parses `text`, which must be one document.
pub(crate) fn yaml(text: &str) -> Value {
    let documents = Yaml::load_from_str(text).unwrap();
    assert_eq!(documents.len(), 1);
    to_json(&documents[0])
}

/// Converts YAML to JSON, with CloudFormation's short tags in their long form: `!Ref X` is `{"Ref":
/// "X"}`.
fn to_json(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(boolean)) => json!(boolean),
        Yaml::Value(Scalar::Integer(integer)) => json!(integer),
        Yaml::Value(Scalar::FloatingPoint(float)) => json!(float.into_inner()),
        Yaml::Value(Scalar::String(string)) => json!(string),
        Yaml::Sequence(items) => items.iter().map(to_json).collect(),
        Yaml::Mapping(entries) => Value::Object(
            entries
                .iter()
                .map(|(key, value)| (key.as_str().unwrap().to_owned(), to_json(value)))
                .collect::<Map<_, _>>(),
        ),
        Yaml::Tagged(tag, value) => {
            let function = match tag.suffix.as_ref() {
                name @ ("Ref" | "Condition") => name.to_owned(),
                name => format!("Fn::{name}"),
            };
            json!({ function: to_json(value) })
        }
        other => panic!("template.yaml has a node that is not read here: {other:?}"),
    }
}
