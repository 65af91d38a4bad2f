// The path below which a reverse proxy shows the server: empty, or `/bubble`. The server writes it into the page.

export const BASE = typeof document === "undefined" ? "" : (document.querySelector('meta[name="base"]')?.getAttribute("content") ?? "");
