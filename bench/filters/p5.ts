// Asks a cluster, then lets the request go on.

import { defineFilter } from "fairlead";

export default defineFilter({
  async onRequest() {
    const answer = await fetch("http://ask/check");
    if (answer.status !== 200) return new Response("no entry\n", { status: 403 });
  },
});
