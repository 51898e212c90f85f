import { defineFilter } from "fairlead";

export default defineFilter({
  onRequest(request) {
    // The upstream learns whose site is asked for: shop.example.com is the tenant "shop".
    request.headers.set("x-tenant", request.host?.split(".")[0] ?? "none");
  },
  onResponse(response) {
    response.headers.set("strict-transport-security", "max-age=31536000");
    response.headers.delete("x-powered-by");
  },
});
