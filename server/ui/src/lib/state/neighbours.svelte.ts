// Which containers the peers of the page's range are. A shared link shows one container, so its page does
// not ask.

import { api } from "../api/client";
import type { Neighbour } from "../api/types";
import { later } from "../pace";
import { byPeer, peerKey } from "../peer";
import { saved } from "../saved";
import { scope } from "../scope";
import type { Page } from "./page.svelte";

/** In ms: a live page asks again for new peers. */
const LIVE_INTERVAL = 15_000;
const RETRY_DELAY = 5000;

const NONE: readonly Neighbour[] = [];

export class NeighboursFeed {
  private known = $state.raw<ReadonlyMap<string, Neighbour[]>>(new Map());
  /** Containers with an address of a peer that were not read. */
  unread = $state(0);

  private pending = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly page: Page) {}

  /** The containers that a peer is. */
  of(peer: Parameters<typeof peerKey>[0]): readonly Neighbour[] {
    return this.known.get(peerKey(peer)) ?? NONE;
  }

  ask(): void {
    this.stop();
    if (scope() !== null || saved() !== null) return;
    this.pending = new AbortController();
    void this.fetch(this.pending.signal);
  }

  stop(): void {
    this.pending.abort();
    clearTimeout(this.timer);
  }

  private async fetch(signal: AbortSignal): Promise<void> {
    const [from, to] = this.page.shown;
    let wait = LIVE_INTERVAL;
    try {
      const answer = await api.neighbours(this.page.id, { from, to }, signal);
      if (signal.aborted) return;
      this.known = byPeer(answer.peers);
      this.unread = answer.unread;
      if (!this.page.live) return;
    } catch {
      if (signal.aborted) return;
      // The addresses are there without the names.
      wait = RETRY_DELAY;
    }
    later(() => void this.fetch(signal), wait, () => true, (timer) => (this.timer = timer));
  }
}
