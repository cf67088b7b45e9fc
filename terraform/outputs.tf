output "trigger_arn" {
  description = "The function that the user pool's triggers call. If Terraform manages the pool, put this into it, so that the triggers stay: lambda_config { post_authentication = module.permit_handoff.trigger_arn, post_confirmation = module.permit_handoff.trigger_arn }"
  value       = aws_lambda_function.this["post-authentication"].arn
}

output "next_steps" {
  description = "The commands to run, in this order"
  value = [
    "aws secretsmanager put-secret-value --region ${local.region} --secret-id ${local.secret} --secret-string file:///dev/stdin",
    "AWS_REGION=${local.region} permit-handoff doctor --stack ${var.name}",
    "AWS_REGION=${local.region} permit-handoff plan --stack ${var.name}",
    "AWS_REGION=${local.region} permit-handoff sync --stack ${var.name}",
  ]
}

output "state_machine_arn" {
  description = "The bulk sync that the schedule starts"
  value       = aws_sfn_state_machine.bulk_sync.arn
}

output "queue_url" {
  description = "Sign-ins that could not be synced in time"
  value       = aws_sqs_queue.this["overflow"].url
}
