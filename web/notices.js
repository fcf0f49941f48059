// Shows what a run left when it was stopped, and which of several concepts failed: newer pages take the text off the
// nodes when a job ends.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

app.registerExtension({
  name: "DTI.Notices",
  setup() {
    // Without `life` it stays until it is closed.
    api.addEventListener("dti.notice", ({ detail }) =>
      app.extensionManager.toast.add({ severity: "info", summary: "DTI", detail: detail.text }),
    );
  },
});
