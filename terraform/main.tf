# permit-handoff for Terraform: the trigger, its queue and consumer, and the nightly bulk sync. It says the
# same as template.yaml: scripts/compare-terraform.py fails if rights, settings or limits differ. POST
# /handoff and the dashboard are only in template.yaml. Attach the triggers where the pool is managed: see
# outputs.tf.

data "aws_caller_identity" "this" {}
data "aws_region" "this" {}
data "aws_partition" "this" {}

locals {
  region   = data.aws_region.this.name
  account  = data.aws_caller_identity.this.account_id
  arn      = "arn:${data.aws_partition.this.partition}"
  place    = "${local.region}:${local.account}"
  has_key  = var.kms_key_arn != ""
  pool_arn = "${local.arn}:cognito-idp:${local.place}:userpool/${var.user_pool_id}"
  secret   = var.permit_api_key_secret_arn != "" ? var.permit_api_key_secret_arn : one(aws_secretsmanager_secret.api_key[*].arn)

  # Parts that run at once divide the bulk sync's 70% of Permit's limits.
  bulk_share = { "1" = "0.7", "2" = "0.35", "4" = "0.17" }

  # The resources that rights are on, by the names in tests/permissions.toml.
  resources = {
    secret        = local.secret
    pool          = local.pool_arn
    queue         = aws_sqs_queue.this["overflow"].arn
    dead-letters  = aws_sqs_queue.this["overflow-dead"].arn
    schedule-dead = aws_sqs_queue.this["schedule-dead"].arn
    function      = "${local.arn}:lambda:${local.place}:function:${var.name}-bulk-sync"
    state-machine = "${local.arn}:states:${local.place}:stateMachine:${var.name}-bulk-sync"
    key           = var.kms_key_arn
  }

  shared_environment = {
    PERMIT_API_URL           = var.permit_api_url
    PERMIT_API_KEY_SECRET_ID = local.secret
    PERMIT_PROJECT           = var.permit_project
    PERMIT_ENVIRONMENT       = var.permit_environment
    PERMIT_LIMITS            = var.permit_limits
    HANDOFF_POLICY_FILE      = "/opt/policy.toml"
    RUST_LOG                 = var.log_level
  }

  functions = {
    post-authentication = {
      memory  = 512
      timeout = 5
      environment = {
        PERMIT_PDP_URL        = var.permit_pdp_url
        SIGN_IN_GROUPS        = var.sign_in_groups
        SIGN_IN_ON_FAILURE    = var.sign_in_on_failure
        SIGN_IN_BUDGET_MS     = tostring(var.sign_in_budget_ms)
        SIGN_IN_CACHE_SECONDS = tostring(var.sign_in_cache_seconds)
        RECONCILE_QUEUE_URL   = aws_sqs_queue.this["overflow"].url
        USER_POOL_ID          = var.user_pool_id
      }
    }
    reconcile = {
      memory  = 256
      timeout = 300
      environment = {
        PERMIT_PDP_URL        = var.permit_pdp_url
        DEAD_LETTER_QUEUE_URL = aws_sqs_queue.this["overflow-dead"].url
        RECONCILE_QUEUE_URL   = aws_sqs_queue.this["overflow"].url
        USER_POOL_ID          = var.user_pool_id
        # Set only if the schedule may run the state machine too.
        BULK_SYNC_STATE_MACHINE_ARN = var.schedule_state == "ENABLED" ? local.resources["state-machine"] : ""
      }
    }
    bulk-sync = {
      memory  = 1769
      timeout = 900
      environment = {
        USER_POOL_ID         = var.user_pool_id
        PERMIT_PDP_URL       = var.permit_pdp_url
        BULK_SHARE           = local.bulk_share[var.shard_concurrency]
        RECONCILE_QUEUE_URL  = aws_sqs_queue.this["overflow"].url
        CHANGE_EVENTS        = var.change_events
        TRIGGER_FUNCTION_ARN = var.watch_triggers ? "${local.arn}:lambda:${local.place}:function:${var.name}-post-authentication" : ""
      }
    }
  }

  # Calls that lead to a look at a person, or to a bulk sync.
  change_events = [
    "AdminAddUserToGroup", "AdminConfirmSignUp", "AdminCreateUser", "AdminDeleteUser", "AdminDeleteUserAttributes",
    "AdminDisableProviderForUser", "AdminDisableUser", "AdminEnableUser", "AdminLinkProviderForUser",
    "AdminRemoveUserFromGroup", "AdminUpdateUserAttributes", "ConfirmSignUp", "DeleteUser", "DeleteUserAttributes",
    "UpdateUserAttributes", "VerifyUserAttribute", "DeleteGroup", "StartUserImportJob",
  ]

  # Each role's rights. Each function also writes to its own log group.
  rights = {
    post-authentication = {
      secret = ["secretsmanager:GetSecretValue"]
      pool   = ["cognito-idp:AdminListGroupsForUser"]
      queue  = ["sqs:SendMessage"]
      key    = ["kms:Decrypt", "kms:GenerateDataKey"]
    }
    reconcile = {
      secret        = ["secretsmanager:GetSecretValue"]
      pool          = ["cognito-idp:ListUsers", "cognito-idp:AdminListGroupsForUser"]
      queue         = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:SendMessage"]
      dead-letters  = ["sqs:SendMessage"]
      state-machine = ["states:StartExecution"]
      key           = ["kms:Decrypt", "kms:GenerateDataKey"]
    }
    bulk-sync = {
      secret = ["secretsmanager:GetSecretValue"]
      pool   = ["cognito-idp:ListUsers", "cognito-idp:ListGroups", "cognito-idp:ListUsersInGroup", "cognito-idp:DescribeUserPool"]
      queue  = ["sqs:SendMessage"]
      key    = ["kms:Decrypt", "kms:GenerateDataKey"]
    }
    state-machine = {
      function      = ["lambda:InvokeFunction"]
      state-machine = ["states:ListExecutions"]
    }
    schedule = {
      state-machine = ["states:StartExecution"]
      schedule-dead = ["sqs:SendMessage"]
      key           = ["kms:Decrypt", "kms:GenerateDataKey"]
    }
  }

  # The service that may assume each role.
  trust = {
    post-authentication = "lambda"
    reconcile           = "lambda"
    bulk-sync           = "lambda"
    state-machine       = "states"
    schedule            = "scheduler"
  }

  queues = {
    overflow      = { retention = 345600, visibility = 1800 }
    overflow-dead = { retention = 1209600, visibility = 30 }
    schedule-dead = { retention = 1209600, visibility = 30 }
  }
}

# ---------------------------------------------------------------- The policy, the key

data "archive_file" "policy" {
  type        = "zip"
  output_path = "${path.root}/.terraform/${var.name}-policy.zip"
  source {
    filename = "policy.toml"
    content  = file(var.policy_file)
  }
}

resource "aws_lambda_layer_version" "policy" {
  layer_name          = "${var.name}-policy"
  description         = "policy.toml, who gets which role"
  filename            = data.archive_file.policy.output_path
  source_code_hash    = data.archive_file.policy.output_base64sha256
  compatible_runtimes = ["provided.al2023"]
}

resource "aws_secretsmanager_secret" "api_key" {
  #checkov:skip=CKV_AWS_149:A customer-managed key costs money and needs a key policy; set kms_key_arn to use one
  #checkov:skip=CKV2_AWS_57:Permit makes its keys: nothing here could rotate them
  count       = var.permit_api_key_secret_arn == "" ? 1 : 0
  name        = "${var.name}/permit-api-key"
  description = "The Permit API key of ${var.name}"
  kms_key_id  = local.has_key ? var.kms_key_arn : null
}

# ---------------------------------------------------------------- Roles

data "aws_iam_policy_document" "trust" {
  for_each = local.trust
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["${each.value}.amazonaws.com"]
    }
    dynamic "condition" {
      for_each = each.value == "lambda" ? [] : [1]
      content {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [local.account]
      }
    }
  }
}

data "aws_iam_policy_document" "rights" {
  for_each = local.rights
  dynamic "statement" {
    for_each = { for word, actions in each.value : word => actions if word != "key" || local.has_key }
    content {
      actions   = statement.value
      resources = [local.resources[statement.key]]
    }
  }
  dynamic "statement" {
    for_each = local.trust[each.key] == "lambda" ? [1] : []
    content {
      actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      resources = ["${aws_cloudwatch_log_group.this[each.key].arn}:*"]
    }
  }
}

resource "aws_iam_role" "this" {
  for_each           = local.trust
  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
}

resource "aws_iam_role_policy" "this" {
  for_each = local.rights
  name     = each.key
  role     = aws_iam_role.this[each.key].id
  policy   = data.aws_iam_policy_document.rights[each.key].json
}

resource "aws_iam_role_policy_attachment" "vpc" {
  for_each   = length(var.vpc_subnet_ids) > 0 ? local.functions : {}
  role       = aws_iam_role.this[each.key].name
  policy_arn = "${local.arn}:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
}

# ---------------------------------------------------------------- Functions

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:Logs hold no personal data and are encrypted by AWS; kms_key_arn gives a customer-managed key
  #checkov:skip=CKV_AWS_338:log_retention_days sets how long
  for_each          = local.functions
  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.has_key ? var.kms_key_arn : null
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:X-Ray needs rights on every resource
  #checkov:skip=CKV_AWS_115:A cap could refuse sign-ins that Cognito sends; queue and state machine bound the others
  #checkov:skip=CKV_AWS_116:Nothing calls these functions asynchronously; queue and schedule have their own dead-letter queues
  #checkov:skip=CKV_AWS_117:A VPC is optional; by default a function calls only public HTTPS endpoints
  #checkov:skip=CKV_AWS_173:The settings hold no secret; kms_key_arn encrypts them with a customer-managed key
  #checkov:skip=CKV_AWS_272:The release's zips are attested (gh attestation verify) and have checksums
  for_each         = local.functions
  function_name    = "${var.name}-${each.key}"
  filename         = "${var.packages}/${each.key}-${var.architecture}.zip"
  source_code_hash = filebase64sha256("${var.packages}/${each.key}-${var.architecture}.zip")
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  layers           = [aws_lambda_layer_version.policy.arn]
  memory_size      = each.value.memory
  timeout          = each.value.timeout
  role             = aws_iam_role.this[each.key].arn
  kms_key_arn      = local.has_key ? var.kms_key_arn : null
  environment {
    # Empty settings are left out.
    variables = { for name, value in merge(local.shared_environment, each.value.environment) : name => value if value != "" }
  }
  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this[each.key].name
  }
  dynamic "vpc_config" {
    for_each = length(var.vpc_subnet_ids) > 0 ? [1] : []
    content {
      subnet_ids         = var.vpc_subnet_ids
      security_group_ids = var.vpc_security_group_ids
    }
  }
  depends_on = [aws_iam_role_policy.this]
  lifecycle {
    precondition {
      condition     = (var.permit_project == "") == (var.permit_environment == "")
      error_message = "Give permit_project and permit_environment, or neither of them."
    }
    precondition {
      condition     = (length(var.vpc_subnet_ids) == 0) == (length(var.vpc_security_group_ids) == 0)
      error_message = "Give vpc_subnet_ids and vpc_security_group_ids, or neither of them."
    }
  }
}

# Only this pool, in this account, may call the trigger.
resource "aws_lambda_permission" "cognito" {
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.this["post-authentication"].function_name
  principal      = "cognito-idp.amazonaws.com"
  source_account = local.account
  source_arn     = local.pool_arn
}

# ---------------------------------------------------------------- Queues

resource "aws_sqs_queue" "this" {
  for_each                   = local.queues
  name                       = "${var.name}-${each.key}"
  message_retention_seconds  = each.value.retention
  visibility_timeout_seconds = each.value.visibility
  sqs_managed_sse_enabled    = local.has_key ? null : true
  kms_master_key_id          = local.has_key ? var.kms_key_arn : null
}

# Five tries, half an hour apart, outlast an outage of two hours. The bulk sync repairs what is lost after
# that.
resource "aws_sqs_queue_redrive_policy" "overflow" {
  queue_url = aws_sqs_queue.this["overflow"].id
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.this["overflow-dead"].arn
    maxReceiveCount     = 5
  })
}

data "aws_iam_policy_document" "queue" {
  for_each = local.queues
  dynamic "statement" {
    for_each = each.key == "overflow" ? aws_cloudwatch_event_rule.changes : []
    content {
      sid       = "TakeChanges"
      effect    = "Allow"
      actions   = ["sqs:SendMessage"]
      resources = [aws_sqs_queue.this["overflow"].arn]
      principals {
        type        = "Service"
        identifiers = ["events.amazonaws.com"]
      }
      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = [statement.value.arn]
      }
    }
  }
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.this[each.key].arn]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "this" {
  for_each  = local.queues
  queue_url = aws_sqs_queue.this[each.key].id
  policy    = data.aws_iam_policy_document.queue[each.key].json
}

# If a trail logs management events, CloudTrail reports calls of Cognito's API to EventBridge. `reconcile`
# then reads in the pool what a call changed.
resource "aws_cloudwatch_event_rule" "changes" {
  count       = var.change_events == "on" ? 1 : 0
  name        = "${var.name}-changes"
  description = "Brings changes in the user pool to the queue of people to look at"
  event_pattern = jsonencode({
    source      = ["aws.cognito-idp"]
    detail-type = ["AWS API Call via CloudTrail"]
    detail = {
      eventSource = ["cognito-idp.amazonaws.com"]
      eventName   = local.change_events
      # A call by the person may name the pool elsewhere in the event, or not at all: `reconcile` checks it.
      "$or" = [
        { requestParameters = { userPoolId = [var.user_pool_id] } },
        { requestParameters = { userPoolId = [{ exists = false }] } },
      ]
    }
  })
}

resource "aws_cloudwatch_event_target" "changes" {
  count     = length(aws_cloudwatch_event_rule.changes)
  rule      = aws_cloudwatch_event_rule.changes[0].name
  target_id = "queue"
  arn       = aws_sqs_queue.this["overflow"].arn
  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 10
  }
}

resource "aws_lambda_event_source_mapping" "overflow" {
  event_source_arn                   = aws_sqs_queue.this["overflow"].arn
  function_name                      = aws_lambda_function.this["reconcile"].arn
  batch_size                         = 1000
  maximum_batching_window_in_seconds = 5
  function_response_types            = ["ReportBatchItemFailures"]
  scaling_config {
    maximum_concurrency = 2
  }
}

# ---------------------------------------------------------------- The bulk sync

resource "aws_sfn_state_machine" "bulk_sync" {
  #checkov:skip=CKV_AWS_284:X-Ray needs rights on every resource
  #checkov:skip=CKV_AWS_285:So do logs; AWS keeps an execution's history for 90 days
  name     = "${var.name}-bulk-sync"
  role_arn = aws_iam_role.this["state-machine"].arn
  definition = templatefile("${path.module}/../state-machine/bulk-sync.asl.json", {
    Partition           = data.aws_partition.this.partition
    BulkSyncFunctionArn = aws_lambda_function.this["bulk-sync"].arn
    Shards              = var.shards
    ShardConcurrency    = var.shard_concurrency
  })
  depends_on = [aws_iam_role_policy.this]
}

resource "aws_scheduler_schedule" "bulk_sync" {
  #checkov:skip=CKV_AWS_297:The input is {}, with nothing to encrypt
  name                         = "${var.name}-bulk-sync"
  description                  = "Starts the bulk sync"
  schedule_expression          = var.schedule
  schedule_expression_timezone = var.schedule_timezone
  state                        = var.schedule_state
  flexible_time_window {
    mode = "OFF"
  }
  target {
    arn      = aws_sfn_state_machine.bulk_sync.arn
    role_arn = aws_iam_role.this["schedule"].arn
    input    = "{}"
    retry_policy {
      maximum_retry_attempts       = 10
      maximum_event_age_in_seconds = 3600
    }
    dead_letter_config {
      arn = aws_sqs_queue.this["schedule-dead"].arn
    }
  }
}
