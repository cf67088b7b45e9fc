# The parameters of template.yaml, with the same names and defaults: scripts/compare-terraform.py checks that
# they agree.

variable "name" {
  description = "Name of the deployment. The functions' names begin with it, and the command line's --stack takes it."
  type        = string
  default     = "permit-handoff"
  validation {
    condition     = can(regex("^[A-Za-z][-A-Za-z0-9]{0,43}$", var.name))
    error_message = "A letter, then letters, digits and -, at most 44 characters: Lambda's names have 64."
  }
}

variable "packages" {
  description = "Folder with the release's zips: post-authentication-arm64.zip and so on. Check them first: gh attestation verify, or SHA256SUMS."
  type        = string
}

variable "policy_file" {
  description = "policy.toml: who gets which role."
  type        = string
}

variable "user_pool_id" {
  description = "The Cognito user pool, in the region of the provider, for example eu-west-1_AbCdEf123."
  type        = string
  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+_[0-9A-Za-z]+$", var.user_pool_id))
    error_message = "It looks like eu-west-1_AbCdEf123."
  }
}

variable "permit_api_key_secret_arn" {
  description = "ARN of a secret that already holds the Permit API key. Empty: an empty secret is created."
  type        = string
  default     = ""
}

variable "permit_api_url" {
  description = "Permit's address. The EU region is https://api.eu.permit.io."
  type        = string
  default     = "https://api.permit.io"
}

variable "permit_project" {
  description = "Id or key of the Permit project. Empty, together with permit_environment, asks the API key for its scope."
  type        = string
  default     = ""
}

variable "permit_environment" {
  description = "Id or key of the Permit environment. Give both or neither."
  type        = string
  default     = ""
}

variable "permit_pdp_url" {
  description = "Address of your PDP. Empty: writes go only to Permit."
  type        = string
  default     = ""
}

variable "permit_limits" {
  description = "Requests a minute that your Permit plan allows, for example all=1000,write=300,delete=60,bulk=10."
  type        = string
  default     = ""
}

variable "sign_in_groups" {
  description = "lookup, skip or event."
  type        = string
  default     = "lookup"
}

variable "sign_in_on_failure" {
  description = "admit or deny."
  type        = string
  default     = "admit"
}

variable "sign_in_budget_ms" {
  description = "How long a sign-in may take in the handler. Cognito gives up at 5000."
  type        = number
  default     = 3500
}

variable "sign_in_cache_seconds" {
  description = "How long a warm function does not look up an unchanged person again. 0 always looks."
  type        = number
  default     = 300
}

variable "change_events" {
  description = "on brings changes in the pool to Permit within seconds. It needs a CloudTrail trail that logs management events in this region. Without a trail it does nothing."
  type        = string
  default     = "on"
  validation {
    condition     = contains(["on", "off"], var.change_events)
    error_message = "Use on or off."
  }
}

variable "watch_triggers" {
  description = "Whether each bulk sync checks that the user pool still calls the trigger."
  type        = bool
  default     = true
}

variable "schedule" {
  description = "When the bulk sync runs, as an EventBridge Scheduler expression."
  type        = string
  default     = "cron(0 3 * * ? *)"
}

variable "schedule_timezone" {
  description = "Time zone of a cron expression, for example Europe/Berlin."
  type        = string
  default     = "UTC"
}

variable "schedule_state" {
  description = "Set it to ENABLED after you have seen the first plan."
  type        = string
  default     = "DISABLED"
}

variable "shards" {
  description = "Parts that the pool is synced in: 1, 16 or 256."
  type        = string
  default     = "1"
}

variable "shard_concurrency" {
  description = "Parts at once: 1, 2 or 4."
  type        = string
  default     = "1"
}

variable "alarm_topic_arn" {
  description = "SNS topic that alarms notify. Empty creates the alarms, but they notify nobody."
  type        = string
  default     = ""
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 90
}

variable "log_level" {
  description = "Log filter (RUST_LOG)."
  type        = string
  default     = "info"
}

variable "architecture" {
  description = "Processor of the functions: arm64 or x86_64."
  type        = string
  default     = "arm64"
}

variable "vpc_subnet_ids" {
  description = "Private subnets for the functions. Empty: no VPC."
  type        = list(string)
  default     = []
}

variable "vpc_security_group_ids" {
  description = "Security groups for the functions in those subnets."
  type        = list(string)
  default     = []
}

variable "kms_key_arn" {
  description = "Customer-managed key for the secret, the queues, the logs and the functions' settings."
  type        = string
  default     = ""
}
