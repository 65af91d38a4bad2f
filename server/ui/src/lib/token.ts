// The token of a link (`/c/ID#token=JWT`). It is in the fragment, which browsers do
// not send to the server. It is removed from the address at once, so it does not
// show up in the history or in a copied link. It is stored until the tab is closed.

const KEY = "bubble-token";

/** The token in a fragment such as `#token=JWT`, or null. */
export function tokenOf(fragment: string): string | null {
  return new URLSearchParams(fragment.replace(/^#/, "")).get("token") || null;
}

/** The token in a pasted link, or a pasted token. Null if the text has no token. */
export function tokenIn(text: string): string | null {
  const trimmed = text.trim();
  const hash = trimmed.indexOf("#");
  if (hash >= 0) return tokenOf(trimmed.slice(hash));
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(trimmed) ? trimmed : null;
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

/** Forgets the token: nothing of a link that has ended stays in the browser. */
export function dropToken(): void {
  sessionStorage.removeItem(KEY);
}

export function token(): string | null {
  return sessionStorage.getItem(KEY);
}
