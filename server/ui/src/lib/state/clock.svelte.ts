// The server's time, updated each second. One timer serves the whole page.

import { serverNow } from "../api/client";

class Clock {
  now = $state(serverNow());

  constructor() {
    setInterval(() => (this.now = serverNow()), 1000);
  }
}

export const clock = new Clock();
