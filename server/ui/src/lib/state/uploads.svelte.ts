// Uploads of captures, one after the other. They go on while another view is shown.

import { ApiError } from "../api/client";
import type { Uploaded } from "../api/types";
import { uploadFile } from "../recordings";
import { count } from "../units";

export class Upload {
  state = $state.raw<"waiting" | "sending" | "reading" | "done" | "failed">("waiting");
  /** Bytes that were sent. */
  sent = $state.raw(0);
  result = $state.raw<Uploaded | null>(null);
  error = $state.raw<ApiError | null>(null);
  /** It is larger than the server takes, so it is not sent. */
  isTooLarge = false;

  constructor(
    readonly id: number,
    readonly file: File,
  ) {}

  get ended(): boolean {
    return this.state === "done" || this.state === "failed";
  }
}

class Uploads {
  list = $state.raw<readonly Upload[]>([]);
  private next = 0;
  private busy = false;
  /** Called when something was stored. */
  onstored: (() => void) | null = null;

  /** Adds files, and uploads them. One that is larger than `max` bytes is refused here. */
  add(files: Iterable<File>, max: number): void {
    const added = [...files].map((file) => {
      const upload = new Upload(this.next++, file);
      if (file.size > max) this.refuse(upload, max);
      return upload;
    });
    this.list = [...this.list, ...added];
    void this.run();
  }

  /** Uploads a file again. */
  retry(upload: Upload): void {
    upload.error = null;
    upload.state = "waiting";
    void this.run();
  }

  dismiss(upload: Upload): void {
    this.list = this.list.filter((other) => other !== upload);
  }

  private refuse(upload: Upload, max: number): void {
    upload.error = new ApiError(413, "", `it is larger than ${count(max)} bytes: compress it, record less at a time (sysdig -w FILE -C 100), or post it with bubble-agent analyse`);
    upload.isTooLarge = true;
    upload.state = "failed";
  }

  private async run(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    for (let upload = this.waiting(); upload !== undefined; upload = this.waiting()) await this.send(upload);
    this.busy = false;
  }

  private waiting(): Upload | undefined {
    return this.list.find((upload) => upload.state === "waiting");
  }

  private async send(upload: Upload): Promise<void> {
    upload.sent = 0;
    upload.state = "sending";
    try {
      upload.result = await uploadFile(upload.file, (sent) => {
        upload.sent = sent;
        if (sent >= upload.file.size) upload.state = "reading";
      });
      upload.state = "done";
      this.onstored?.();
    } catch (failure) {
      upload.error = ApiError.of(failure);
      upload.state = "failed";
    }
  }
}

export const uploads = new Uploads();
