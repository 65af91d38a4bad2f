// What the view of recordings says, and the requests that it makes.

import { address, ApiError, failure, request } from "./api/client";
import type { RecordedLoss, RecordingItem, RecordingList, Uploaded } from "./api/types";
import { containerLink } from "./route";
import { token } from "./token";
import { bytes, count, duration } from "./units";

/** Containers that a card shows. */
export const MAX_SHOWN = 8;

export async function recordings(signal?: AbortSignal): Promise<RecordingList> {
  return (await (await request(address("/recordings"), signal)).json()) as RecordingList;
}

export async function deleteRecording(id: string): Promise<void> {
  await request(address(`/recordings/${encodeURIComponent(id)}`), undefined, undefined, { method: "DELETE" });
}

async function read(response: Response): Promise<Uploaded> {
  if (!response.ok) throw await failure(response);
  return (await response.json()) as Uploaded;
}

/** Uploads a file. `onsent` gets the bytes that were sent so far. */
export function uploadFile(file: File, onsent: (bytes: number) => void): Promise<Uploaded> {
  // `fetch` tells nothing of what was sent.
  const call = new XMLHttpRequest();
  call.open("POST", address("/recordings", { name: nameOf(file) }));
  call.setRequestHeader("content-type", "application/octet-stream");
  const bearer = token();
  if (bearer !== null) call.setRequestHeader("authorization", `Bearer ${bearer}`);
  return new Promise((resolve, reject) => {
    call.upload.onprogress = (event) => onsent(event.loaded);
    call.onerror = () => reject(new ApiError(0, "unreachable", "the connection was lost: the server does not answer, or refused the file"));
    call.onload = () => void read(new Response(call.responseText, { status: call.status })).then(resolve, reject);
    call.send(file);
  });
}

/** Longest name of a recording, in characters. */
const MAX_NAME = 200;

/** The name of a file as the name of a recording: without control characters, and not too long. */
export function nameOf(file: { name: string }): string {
  // eslint-disable-next-line no-control-regex
  const name = [...file.name.replace(/[\u0000-\u001f\u007f-\u009f]/g, " ").trim()].slice(0, MAX_NAME).join("");
  return name === "" ? "capture" : name;
}

/** The link to a container of a recording, at its range. */
export const rangeLink = (container: { id: string }, from: number, to: number): string => `${containerLink(container.id)}?from=${from}&to=${to}`;

/** The exact length of a recording, in seconds. Without the times of its events, that of its slots. */
export function lengthOf(recording: Pick<RecordingItem, "from" | "to" | "upload">): number {
  const { from, to } = recording.upload ?? {};
  return from != null && to != null ? Math.max(0, to - from) : recording.to - recording.from;
}

/** A length; short ones in milliseconds. */
export const lengthText = (seconds: number): string => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : duration(seconds));

/** What could not be counted: each reason with its figures. The accounting of a container explains them. */
export const lossTexts = (losses: readonly RecordedLoss[]): string[] =>
  losses.map((loss) => `${loss.reason.replaceAll("_", " ") || "unknown reason"}: ${count(loss.count)}×${loss.bytes > 0 ? `, ${bytes(loss.bytes)}` : ""}`);

/** What is wrong with an upload that was taken, a sentence each. */
export function warnings(upload: Uploaded): string[] {
  const found = [];
  if (upload.containers_count === 0) found.push("No container is in it, so nothing is stored.");
  if (upload.damage != null) found.push(`It is not whole: ${upload.damage}. Everything that could be read is stored.`);
  const [refused] = upload.refused;
  if (refused !== undefined) found.push(`${count(upload.refused_count)} seconds are not stored. The first of them, of ${refused.container}: ${refused.reason}.`);
  if (upload.known > 0) found.push("It was stored before, at least in part. It counts once.");
  return found;
}
