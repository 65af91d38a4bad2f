// The token of a link (`/c/ID#token=JWT`). It is in the fragment, which browsers
// do not send, and is taken out of the address at once, so that it is neither in
// the history nor in a copied link. It lives as long as the tab.

const KEY = "bubble-token";

/** The token in a fragment such as `#token=JWT`, or null. */
export function tokenOf(fragment: string): string | null {
  return new URLSearchParams(fragment.replace(/^#/, "")).get("token") || null;
}

/** Moves a token from the address into the tab's storage. */
export function takeToken(): void {
  const token = tokenOf(location.hash);
  if (token === null) return;
  saveToken(token);
  history.replaceState(history.state, "", location.pathname + location.search);
}

export function saveToken(token: string): void {
  sessionStorage.setItem(KEY, token);
}

export function token(): string | null {
  return sessionStorage.getItem(KEY);
}
