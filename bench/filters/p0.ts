// A hook that does nothing.

import { defineFilter } from "fairlead";

export default defineFilter({
  onRequest() {},
});
