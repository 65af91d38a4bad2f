// The view that the address names, and how it changes.

import { parseRoute, type Route } from "../route";
import { saved } from "../saved";

class Router {
  route = $state.raw<Route>(parseRoute(location.pathname));
  /** The search part of the address when the route was entered, by a link or by the history. */
  search = $state.raw(location.search);

  /** A saved file is one container, at an address of its own. */
  private isFile = false;

  /** Reads the address. Called once, before the page is shown. */
  start(): void {
    const file = saved();
    if (file !== null) {
      this.isFile = true;
      this.route = { name: "container", id: file.container.id };
      this.search = "";
      return;
    }
    addEventListener("popstate", () => this.read());
  }

  /** Navigates to another view of the page. */
  go(address: string): void {
    if (this.isFile) return;
    history.pushState(null, "", address);
    this.read();
    scrollTo(0, 0);
  }

  /** Writes the state of the current view into the address. */
  note(search: string, replace: boolean): void {
    if (this.isFile || search === location.search) return;
    const address = location.pathname + search;
    if (replace) history.replaceState(history.state, "", address);
    else history.pushState(null, "", address);
  }

  private read(): void {
    this.route = parseRoute(location.pathname);
    this.search = location.search;
  }
}

export const router = new Router();

export const start = (): void => router.start();

/** Follows a link within the page. Leaves other links, and clicks for another tab, to the browser. */
export function followLink(event: MouseEvent): void {
  const link = (event.target as Element | null)?.closest("a");
  if (!link || event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.origin !== location.origin || link.target !== "" || link.hasAttribute("download")) return;
  if (parseRoute(link.pathname).name === "unknown") return;
  event.preventDefault();
  router.go(link.pathname + link.search);
}
