// The state of a container in words.

import type { ContainerItem } from "./api/types";
import { ago, duration } from "./units";

/** `running 3 h`, `exited 137, out of memory`, … */
export function stateText(container: ContainerItem, now: number): string {
  const start = container.started ?? container.first_seen;
  if (container.state === "silent") return `silent, last seen ${ago(now - container.last_seen)}`;
  if (container.state === "running") return `running ${duration(Math.max(0, Math.floor(now - start)))}`;
  const end = container.ended ?? container.last_seen;
  const ran = `after ${duration(Math.max(0, end - start))}`;
  if (container.exit_code === null || container.exit_code === undefined) {
    return container.oom_killed ? `ended, out of memory, ${ran}` : `ended ${ran}`;
  }
  return `exited ${container.exit_code}${container.oom_killed ? ", out of memory," : ""} ${ran}`;
}
