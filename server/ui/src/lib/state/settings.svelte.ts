// Preferences for all pages, stored in the browser.

const KEY = "bubble-settings";

class Settings {
  /** Show times in UTC, else in the browser's time zone. */
  utc = $state(false);

  constructor() {
    try {
      const stored = JSON.parse(localStorage.getItem(KEY) ?? "{}") as { utc?: unknown };
      this.utc = stored.utc === true;
    } catch {
      // The stored value is invalid: keep the defaults.
    }
  }

  toggleUtc(): void {
    this.utc = !this.utc;
    localStorage.setItem(KEY, JSON.stringify({ utc: this.utc }));
  }

  get zone(): string {
    return this.utc ? "UTC" : "local";
  }
}

export const settings = new Settings();
