// Answers itself.

import { defineFilter } from "fairlead";

export default defineFilter({
  onRequest() {
    return new Response("no entry\n", { status: 403 });
  },
});
