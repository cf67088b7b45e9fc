// The least that a Lambda runtime does: the next event, the handler, its answer.
export async function serve(handler) {
  const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
  for (;;) {
    const next = await fetch(`${api}/next`);
    const id = next.headers.get('lambda-runtime-aws-request-id');
    const answer = await handler(await next.json());
    await fetch(`${api}/${id}/response`, { method: 'POST', body: JSON.stringify(answer) });
  }
}
