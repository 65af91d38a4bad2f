// The server's time, ticking: one timer for all that counts seconds on the page.

import { serverNow } from "../api/client";

class Clock {
  now = $state(serverNow());

  constructor() {
    setInterval(() => (this.now = serverNow()), 1000);
  }
}

export const clock = new Clock();
