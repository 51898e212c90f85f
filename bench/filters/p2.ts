// As p1; then reads one header of the response and sets one.

import { defineFilter } from "fairlead";

export default defineFilter({
  onRequest({ headers }) {
    const user = headers.get("x-user") ?? "nobody";
    const site = headers.get("x-site") ?? "none";
    const plan = headers.get("x-plan");
    headers.set("x-who", user);
    headers.set("x-pool", plan === "gold" ? "first" : site);
    headers.delete("x-secret");
  },
  onResponse({ headers }) {
    headers.set("x-kind", headers.get("content-type") ?? "none");
  },
});
