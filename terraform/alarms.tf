# docs/operations.md has a section for each alarm: what it means, and what to do.

locals {
  function_name = { for name in keys(local.functions) : name => "${var.name}-${name}" }
  machine       = "${local.arn}:states:${local.place}:stateMachine:${var.name}-bulk-sync"

  # Defaults: what an alarm sets itself overrides them.
  usual = {
    namespace  = "PermitHandoff"
    statistic  = "Sum"
    period     = 300
    periods    = 1
    missing    = "notBreaching"
    threshold  = 1
    comparison = "GreaterThanOrEqualToThreshold"
  }

  # Alarms on one metric.
  alarms = {
    sign-ins-refused = {
      description = "People were turned away at sign-in because Permit could not be brought up to date"
      metric      = "SignIns"
      dimensions  = { function = local.function_name["post-authentication"], outcome = "refused" }
    }
    sign-ins-queued = {
      description = "For 15 minutes, sign-ins have been queued instead of synced at once; new roles arrive late"
      metric      = "SignIns", periods = 3
      dimensions  = { function = local.function_name["post-authentication"], outcome = "queued" }
      threshold   = 10
    }
    sign-ins-unsynced = {
      description = "People signed in, and neither Permit nor the queue took their sign-in; the bulk sync has to mend it"
      metric      = "SignIns"
      dimensions  = { function = local.function_name["post-authentication"], outcome = "unsynced" }
    }
    sign-ins-slow = {
      description = "For 15 minutes, one sign-in in a hundred has taken more than 3 s in the handler"
      metric      = "SignInLatency", statistic = "p99", periods = 3
      dimensions  = { function = local.function_name["post-authentication"] }
      threshold   = 3000, comparison = "GreaterThanThreshold"
    }
    function-throttles = {
      description = "Lambda turned calls of the trigger away; those sign-ins failed or were slow"
      namespace   = "AWS/Lambda", metric = "Throttles"
      dimensions  = { FunctionName = local.function_name["post-authentication"] }
    }
    queue-age = {
      description = "A queued sign-in has waited for more than 15 minutes"
      namespace   = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", statistic = "Maximum"
      dimensions  = { QueueName = aws_sqs_queue.this["overflow"].name }
      threshold   = 900, comparison = "GreaterThanThreshold"
    }
    dead-letters = {
      description = "A queued sign-in was given up; the person's roles wait for the next bulk sync or sign-in"
      namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum"
      dimensions  = { QueueName = aws_sqs_queue.this["overflow-dead"].name }
    }
    schedule-missed = {
      description = "The schedule could not start the bulk sync"
      namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum"
      dimensions  = { QueueName = aws_sqs_queue.this["schedule-dead"].name }
    }
    bulk-sync-refused = {
      description = "The bulk sync refused to take roles away, because it would have been too many or the pool looked wrong"
      metric      = "BulkSyncRefused", statistic = "Maximum", period = 3600, missing = "ignore"
      dimensions  = { function = local.function_name["bulk-sync"] }
    }
    bulk-sync-not-converged = {
      description = "A bulk sync wrote everything, and read back something else"
      metric      = "BulkSyncRuns"
      dimensions  = { function = local.function_name["bulk-sync"], outcome = "not_converged" }
    }
    triggers-missing = {
      description = "The user pool no longer calls post-authentication; people sign in, and are synced by the bulk sync alone"
      metric      = "TriggersMissing", statistic = "Maximum", period = 3600, missing = "ignore"
      dimensions  = { function = local.function_name["bulk-sync"] }
    }
    pdp-lag = {
      description = "The PDP did not know within a minute what a bulk sync had changed in Permit; permission checks are out of date"
      metric      = "PdpLag", statistic = "Maximum", period = 3600, missing = "ignore"
      dimensions  = { function = local.function_name["bulk-sync"] }
      threshold   = 60
    }
  }

  # Alarms on a sum or a ratio of metrics.
  math_alarms = {
    function-errors = {
      description = "A function that answers sign-ins or reads the queue failed"
      expression  = "FILL(trigger, 0) + FILL(reconcile, 0)"
      namespace   = "AWS/Lambda"
      metrics = {
        trigger   = { metric = "Errors", dimensions = { FunctionName = local.function_name["post-authentication"] } }
        reconcile = { metric = "Errors", dimensions = { FunctionName = local.function_name["reconcile"] } }
      }
    }
    bulk-sync-failed = {
      description = "A bulk sync ended without bringing Permit in step, after its retries"
      expression  = "(FILL(failed, 0) + FILL(late, 0)) / (FILL(failed, 0) + FILL(late, 0) + FILL(well, 0))"
      namespace   = "AWS/States", missing = "ignore"
      metrics = {
        failed = { metric = "ExecutionsFailed", dimensions = { StateMachineArn = local.machine } }
        late   = { metric = "ExecutionsTimedOut", dimensions = { StateMachineArn = local.machine } }
        well   = { metric = "ExecutionsSucceeded", dimensions = { StateMachineArn = local.machine } }
      }
      threshold = 0, comparison = "GreaterThanThreshold"
    }
    permit-throttled = {
      description = "For 15 minutes, Permit has answered 429 although requests are paced; something else uses the limits, or they are set too high"
      expression  = "FILL(trigger, 0) + FILL(reconcile, 0) + FILL(bulk, 0)"
      periods     = 3
      metrics = {
        trigger   = { metric = "PermitThrottled", dimensions = { function = local.function_name["post-authentication"] } }
        reconcile = { metric = "PermitThrottled", dimensions = { function = local.function_name["reconcile"] } }
        bulk      = { metric = "PermitThrottled", dimensions = { function = local.function_name["bulk-sync"] } }
      }
      threshold = 10
    }
    monthly-active-users = {
      description = "Permit's monthly active users are at 80% of what the plan allows"
      expression  = "100 * mau / limit"
      statistic   = "Maximum", period = 3600, missing = "ignore"
      metrics = {
        mau   = { metric = "PermitMau", dimensions = { function = local.function_name["bulk-sync"] } }
        limit = { metric = "PermitMauLimit", dimensions = { function = local.function_name["bulk-sync"] } }
      }
      threshold = 80
    }
  }

  notify = var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each                              = { for name, alarm in local.alarms : name => merge(local.usual, alarm) if(name != "triggers-missing" || var.watch_triggers) && (name != "pdp-lag" || var.permit_pdp_url != "") }
  alarm_name                            = "${var.name}-${each.key}"
  alarm_description                     = each.value.description
  namespace                             = each.value.namespace
  metric_name                           = each.value.metric
  dimensions                            = each.value.dimensions
  statistic                             = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic                    = startswith(each.value.statistic, "p") ? each.value.statistic : null
  evaluate_low_sample_count_percentiles = startswith(each.value.statistic, "p") ? "ignore" : null
  period                                = each.value.period
  evaluation_periods                    = each.value.periods
  threshold                             = each.value.threshold
  comparison_operator                   = each.value.comparison
  treat_missing_data                    = each.value.missing
  alarm_actions                         = local.notify
  ok_actions                            = local.notify
}

resource "aws_cloudwatch_metric_alarm" "math" {
  for_each            = { for name, alarm in local.math_alarms : name => merge(local.usual, alarm) }
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  evaluation_periods  = each.value.periods
  threshold           = each.value.threshold
  comparison_operator = each.value.comparison
  treat_missing_data  = each.value.missing
  alarm_actions       = local.notify
  ok_actions          = local.notify
  metric_query {
    id          = "all"
    expression  = each.value.expression
    return_data = true
  }
  dynamic "metric_query" {
    for_each = each.value.metrics
    content {
      id = metric_query.key
      metric {
        namespace   = each.value.namespace
        metric_name = metric_query.value.metric
        dimensions  = metric_query.value.dimensions
        stat        = each.value.statistic
        period      = each.value.period
      }
    }
  }
}
