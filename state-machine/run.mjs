// Runs bulk-sync.asl.json in this process, with a Lambda Invoke API behind its task: the test's, or that of a
// real binary under `cargo lambda watch`. Prints one JSON object:
// {status, output | error + cause, requests, failed}. `failed` has the output of the step "Run failed" for
// each part that ended there, as an operator sees it in the console.
//
//   node state-machine/run.mjs --endpoint http://127.0.0.1:9000 --function bulk-sync --shards 16
//   node state-machine/run.mjs --validate
//
// Exit codes: 0 if the execution succeeded, 1 if it failed, 2 if the definition or the options are wrong.
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    // The folder in which scripts/lint-template.sh installs the packages of package-lock.json.
    modules: { type: "string", default: new URL("../.local/state-machine/", import.meta.url).pathname },
    validate: { type: "boolean", default: false },
    endpoint: { type: "string" },
    function: { type: "string", default: "bulk-sync" },
    shards: { type: "string", default: "1" },
    concurrency: { type: "string", default: "1" },
    // Answer as if an older execution were still running.
    "another-run": { type: "boolean", default: false },
    after: { type: "string" },
  },
});
const require = createRequire(options.modules);

// aws-local-stepfunctions is written for Node 22, which has this. Debian's Node does not.
Promise.withResolvers ??= () => {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
};

const functionArn = `arn:aws:lambda:us-east-1:000000000000:function:${options.function}`;
const machine = "arn:aws:states:us-east-1:000000000000:stateMachine:bulk-sync";
const execution = "arn:aws:states:us-east-1:000000000000:execution:bulk-sync:this";
const substitutions = {
  Partition: "aws",
  BulkSyncFunctionArn: functionArn,
  Shards: options.shards,
  ShardConcurrency: options.concurrency,
};

const template = await readFile(new URL("bulk-sync.asl.json", import.meta.url), "utf8");
const definition = JSON.parse(
  template.replace(/\$\{(\w+)\}/g, (_, name) => {
    if (!(name in substitutions)) fail(`bulk-sync.asl.json has the unknown placeholder ${name}`);
    return substitutions[name];
  }),
);

const { isValid, errorsText } = require("asl-validator")(definition);
if (!isValid) fail(errorsText());
if (options.validate) process.exit(0);
if (!options.endpoint) fail("--endpoint names the Lambda Invoke API, for example http://127.0.0.1:9000");

// The state machine's task names the function by ARN, but local servers know it by name.
async function invoke({ FunctionName, Payload }) {
  if (FunctionName !== functionArn) throw taskError("Lambda.ResourceNotFoundException", FunctionName);
  requests.push(Payload);
  const answer = await fetch(`${options.endpoint}/2015-03-31/functions/${options.function}/invocations`, {
    method: "POST",
    body: JSON.stringify(Payload),
  });
  const body = await answer.json().catch(() => ({}));
  if (answer.status === 429) throw taskError("Lambda.TooManyRequestsException", body.Message);
  if (isFunctionError(answer, body)) throw taskError(body.errorType, JSON.stringify(body));
  if (!answer.ok) throw taskError("Lambda.AWSLambdaException", `Lambda answered ${answer.status}`);
  return { StatusCode: answer.status, Payload: body };
}

// Whether the function ran and failed. AWS then answers 200 with a header, `cargo lambda watch` 500 without.
function isFunctionError({ status, headers }, body) {
  return headers.has("x-amz-function-error") || (status === 500 && typeof body.errorType === "string");
}

function listExecutions({ StateMachineArn, StatusFilter }) {
  if (StateMachineArn !== machine || StatusFilter !== "RUNNING") throw taskError("Sfn.InvalidArnException");
  const older = options["another-run"] ? [{ ExecutionArn: `${execution}-older` }] : [];
  return { Executions: [{ ExecutionArn: execution }, ...older] };
}

function taskError(name, message = "") {
  return Object.assign(new Error(message), { name });
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

const requests = [];
const { StateMachine } = require("aws-local-stepfunctions");
const run = new StateMachine(definition).run(options.after ? { after: options.after } : {}, {
  context: { Execution: { Id: execution, Input: {} }, StateMachine: { Id: machine } },
  overrides: {
    taskResourceLocalHandlers: { Sync: invoke, "Look for another run": listExecutions },
    retryIntervalOverrides: { Sync: 0, "Look for another run": 0 },
  },
});
const failed = [];
let failure = {};
const watching = (async () => {
  for await (const event of run.eventLogs) {
    if (event.type === "StateExited" && event.state.name === "Run failed") failed.push(event.state.output);
    if (event.type === "ExecutionFailed") failure = { error: event.Error, cause: event.Cause };
  }
})();
let result;
try {
  result = { status: "SUCCEEDED", output: await run.result };
} catch (error) {
  // The engine's own error does not name the state machine's error. Only its events do.
  await watching;
  result = { status: "FAILED", error: error.name, cause: error.message, ...failure };
}
await watching;
process.stdout.write(`${JSON.stringify({ ...result, requests, failed })}\n`);
process.exitCode = result.status === "SUCCEEDED" ? 0 : 1;
