// What a family of hooks does not measure. Such a figure is shown as unknown, never as 0.

import { UNKNOWN, type Series } from "./units";

/** sysdig's chisel posts CPU time, virtual sizes and bytes: neither calls, opens, connects nor resident memory. */
export const isChisel = (hooks: string): boolean => hooks === "sysdig";

/** `text`, unless the hooks do not measure this figure. */
export const unlessChisel = (hooks: string, text: string): string => (isChisel(hooks) ? UNKNOWN : text);

/** Scans of /proc find no peers and their bytes, no opens, and not how processes ended. */
export const isScanned = (hooks: string): boolean => hooks === "procfs";

/** Whether the hooks count how often files are opened. */
export const hasOpens = (hooks: string): boolean => !isChisel(hooks) && !isScanned(hooks);

/** How often files were opened, as text. */
export const opensText = (hooks: string, text: string): string => (hasOpens(hooks) ? text : UNKNOWN);

/** What the hooks cannot find, so that nothing of it can stand out. Empty: they find all of it. */
export const unmeasured = (hooks: string): string => (isScanned(hooks) ? "peers, failures and exits" : isChisel(hooks) ? "failed connections" : "");

/** `values`, all unknown if the hooks do not measure the network. */
export const networkValues = (hooks: string, values: Series): Series => (isScanned(hooks) ? values.map(() => null) : values);
