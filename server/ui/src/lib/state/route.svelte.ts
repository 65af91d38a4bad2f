// The view that the address names. `/` is the list, `/c/ID` one container.

export type Route = { name: "containers" } | { name: "container"; id: string } | { name: "hosts" } | { name: "unknown" };

export function parseRoute(path: string): Route {
  if (path === "/" || path === "/index.html") return { name: "containers" };
  if (path === "/hosts" || path === "/hosts/") return { name: "hosts" };
  const container = /^\/c\/([^/]+)\/?$/.exec(path)?.[1];
  if (container === undefined) return { name: "unknown" };
  try {
    return { name: "container", id: decodeURIComponent(container) };
  } catch {
    return { name: "unknown" };
  }
}

export const containerLink = (id: string): string => `/c/${encodeURIComponent(id)}`;

class Router {
  route = $state.raw<Route>(parseRoute(location.pathname));
  /** The search part of the address when the route was entered, by a link or by the history. */
  search = $state.raw(location.search);

  constructor() {
    addEventListener("popstate", () => this.read());
  }

  /** Navigates to another view of the page. */
  go(address: string): void {
    history.pushState(null, "", address);
    this.read();
    scrollTo(0, 0);
  }

  /** Writes the state of the current view into the address. */
  note(search: string, replace: boolean): void {
    if (search === location.search) return;
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
