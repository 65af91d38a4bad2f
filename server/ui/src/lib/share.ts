// Shared links: what the dialog says about them.

import type { ContainerItem, ShareItem, Stored } from "./api/types";
import { duration, moment, near } from "./units";

/** Days until a new link expires. */
export const DAYS = [1, 7, 30] as const;

/** What a link shows: `12:00–12:06`, or `whole life`. */
export function extentText(share: Pick<ShareItem, "from" | "to">, utc: boolean): string {
  if (typeof share.from !== "number" || typeof share.to !== "number") return "whole life";
  return `${moment(share.from, utc)} – ${near(share.to, share.from, utc)}`;
}

/** The same range in whole minutes, as the server shares it. */
export function wholeMinutes(from: number, to: number): [number, number] {
  return [Math.floor(from / 60) * 60, Math.ceil(to / 60) * 60];
}

/** How fine the shared data still is after some time. Empty if it does not change while the link is valid. */
export function fadingText(container: ContainerItem, stored: Stored | null, days: number): string {
  if (stored === null || container.recordings.length > 0) return "";
  const valid = days * 86_400;
  if (stored.seconds >= valid) return "";
  const minutes = stored.minutes < valid ? `, minutes for ${duration(stored.minutes)}` : "";
  const left = stored.minutes < valid ? "hours" : "minutes";
  return `This server keeps seconds for ${duration(stored.seconds)}${minutes}. After that the link shows whole ${left} only. A file keeps what it has.`;
}
