// Lets a request pass when the cluster "auth" knows its token, and tells the upstream who the user is.

import { defineFilter } from "fairlead";

export default defineFilter({
  async onRequest(request) {
    const authorization = request.headers.get("authorization");
    if (authorization === null) {
      return new Response("sign in first\n", { status: 401, headers: { "www-authenticate": "Bearer" } });
    }

    const verdict = await verify(authorization);
    if (verdict === null) return new Response("try again later\n", { status: 503 });
    if (!verdict.ok) return new Response("not allowed\n", { status: 403 });

    // Replaces what the client may have claimed.
    request.headers.set("x-user", verdict.headers.get("x-user") ?? "unknown");
  },
});

/** What the cluster says about a token; null when it cannot say. */
async function verify(authorization: string): Promise<Response | null> {
  try {
    const answer = await fetch("http://auth/verify", { headers: { authorization }, timeoutMs: 500 });
    // Envoy answers 503 itself when the call breaks.
    if (answer.status < 500) return answer;
    console.error("cannot verify: status", answer.status);
  } catch (error) {
    console.error("cannot verify:", error);
  }
  return null;
}
