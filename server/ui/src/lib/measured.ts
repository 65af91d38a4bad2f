// What a family of hooks does not measure. Such a figure is shown as unknown, never as 0.

import { UNKNOWN } from "./units";

/** sysdig's chisel posts CPU time, virtual sizes and bytes: neither calls, opens, connects nor resident memory. */
export const isChisel = (hooks: string): boolean => hooks === "sysdig";

/** `text`, unless the hooks do not measure this figure. */
export const unlessChisel = (hooks: string, text: string): string => (isChisel(hooks) ? UNKNOWN : text);
