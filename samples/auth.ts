// Lets a request pass when the cluster "auth" knows its token, and tells the upstream who the user is.

import { defineFilter } from "fairlead";

export default defineFilter({
  async onRequest(request) {
    // Only this filter says who the user is.
    request.headers.delete("x-user");

    const authorization = request.headers.get("authorization");
    if (authorization === null) {
      return new Response("sign in first\n", { status: 401, headers: { "www-authenticate": "Bearer" } });
    }

    let verdict: Response;
    try {
      verdict = await fetch("http://auth/verify", { headers: { authorization }, timeoutMs: 500 });
    } catch (error) {
      console.error("cannot verify:", error);
      return new Response("try again later\n", { status: 503 });
    }
    if (!verdict.ok) return new Response("not allowed\n", { status: 403 });

    request.headers.set("x-user", verdict.headers.get("x-user") ?? "unknown");
  },
});
